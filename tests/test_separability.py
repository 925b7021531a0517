"""Recognising outer products: what passes, what does not, and that both engines then say the same."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from erffast import separability
from erffast.layers import Activation, AvgPool, Conv, MaxPool, Stack
from erffast.reference import power
from erffast.separability import TOLERANCE, rank_one
from strategies import batches, cases, generator, random_case, random_products
from tolerances import tolerance

Array = NDArray[np.float64]


# ------------------------------------------------------------------------------------------------ the test itself


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (3, 3), (7, 7), (4, 6)], ids=str)
def test_rounded_products_are_recognised(shape: tuple[int, int]) -> None:
    kernels = random_products(generator(0, "products"), (2000,), shape)
    factors = rank_one(kernels)
    assert factors is not None
    rows, columns = factors
    assert rows.shape == (2000, shape[0])
    assert columns.shape == (2000, shape[1])
    peaks = np.abs(kernels).max(axis=(1, 2), keepdims=True)
    assert (np.abs(rows[:, :, None] * columns[:, None, :] - kernels) <= TOLERANCE * peaks).all()


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1.0, 1e150, 1e300])
def test_scale_does_not_matter(scale: float) -> None:
    rng = generator(1, "scale")
    kernel = np.multiply.outer(rng.standard_normal(5), rng.standard_normal(4))
    assert rank_one(kernel[None] * scale) is not None
    kernel[2, 3] += 0.01 * np.abs(kernel).max()
    assert rank_one(kernel[None] * scale) is None


@pytest.mark.parametrize(("units", "is_product"), [(0, True), (1, True), (6, False), (100, False)])
def test_four_roundings_of_the_largest_tap_are_allowed(units: int, is_product: bool) -> None:
    """A corner that is off by some units in the last place of the largest tap, the largest tap being 1."""
    kernel = np.ones((3, 3))
    kernel[0, 0] += units * np.finfo(np.float64).eps
    # the largest tap moves too; in units of eps the deviation stays the same
    assert (rank_one(kernel[None]) is not None) == is_product


@pytest.mark.parametrize("kernel", [[[1, 0], [0, 1]], [[1, 1], [1, -1]], [[0, 1, 0], [1, 1, 1], [0, 1, 0]], [[1, 2], [2, 4.001]]], ids=str)
def test_other_kernels_are_not(kernel: Any) -> None:
    assert rank_one(np.array([kernel], dtype=float)) is None


def test_small_taps_of_non_negative_kernels_have_to_agree_too() -> None:
    """1e-30 instead of 1e-34: nothing beside the largest tap, but all of that pixel."""
    kernel = np.array([[1.0, 1e-17], [1e-17, 1e-30]])
    assert rank_one(kernel[None]) is None
    assert rank_one(kernel[None] * [[1, -1], [1, 1]]) is not None
    erf = ef.variance(Stack([Conv(2, tap_variance=kernel)]), window="full")
    assert erf.engine == "direct"
    np.testing.assert_allclose(np.asarray(erf), kernel, rtol=1e-15)


def test_one_kernel_that_is_none_spoils_the_batch() -> None:
    kernels = np.ones((5, 2, 2))
    assert rank_one(kernels) is not None
    kernels[3, 1, 1] = 2
    assert rank_one(kernels) is None


def test_zeros_are_products_where_rows_and_columns_vanish() -> None:
    assert rank_one(np.array([[[0.0, 0.0, 0.0], [1.0, 0.0, -2.0], [0.0, 0.0, 0.0]]])) is not None
    assert rank_one(np.array([[[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])) is None


# ------------------------------------------------------------------------------------------------ what the engines do with it


def both(solve: Any, *args: Any, **options: Any) -> tuple[ef.ERF, ef.ERF]:
    return solve(*args, **options, engine="direct"), solve(*args, **options, engine="separable")


def same(one: ef.ERF, other: ef.ERF, bound: float, *, of_peak: bool) -> None:
    assert (one.engine, other.engine) == ("direct", "separable")
    assert not one.separable
    assert other.separable
    assert (one.origin, one.shape) == (other.origin, other.shape)
    shift = np.asarray(other.exponent) - np.asarray(one.exponent)
    moved = np.ldexp(other.image, shift.reshape(-1, *(1,) * one.ndim) if shift.ndim else int(shift))
    np.testing.assert_allclose(moved, one.image, rtol=0 if of_peak else bound, atol=bound if of_peak else 2.0**-1020)


@pytest.mark.parametrize("numbers", batches(60, 600, 30))
def test_signed_products_give_the_same_by_either_engine(numbers: range) -> None:
    for number in numbers:
        case = random_case(number, "separable", separable=True, ndim=2)
        options = {"input_size": case.input_size, "unit": case.unit, "window": "full", "tol": 1e-9}
        same(*both(ef.gradient, case.net, case.weights, **options), tolerance("gradient"), of_peak=True)


def test_axes_that_are_alike_are_run_once_and_give_what_each_gives_alone() -> None:
    """A network of one axis is the other axis's truth; a unit, stride or size of its own makes an axis differ."""
    square = Stack([Conv(3, padding=1), Conv(5, padding=2, stride=2), AvgPool(2)])
    line = Stack(list(square), ndim=1)
    for unit, size in (((1, 1), (21, 21)), ((1, 0), (21, 21)), ((1, 1), (21, 27)), ((2, -1), None)):
        erf = ef.variance(square, unit=unit, input_size=size, engine="separable", window="full")
        for axis in range(2):
            alone = ef.variance(line, unit=unit[axis], input_size=size and size[axis], window="full")
            np.testing.assert_allclose(erf.marginal(axis), alone.marginal(), rtol=1e-13)
            assert erf.origin[axis] == alone.origin[0]


def test_factors_of_kernels_met_before_are_those_of_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = np.multiply.outer([1.0, 2.0, 0.5], [3.0, 1.0, 1 / 3])
    results = []
    for remembered in (separability.REMEMBERED, separability.REMEMBERED, 0):
        monkeypatch.setattr(separability, "REMEMBERED", remembered)
        results.append(ef.variance(Conv(3, tap_variance=kernel) * 7, window="full"))
    assert len({(erf.error, erf.image.tobytes(), erf.engine) for erf in results}) == 1
    assert results[0].engine == "separable"


@pytest.mark.parametrize("sign", [1, -1])
def test_many_kernels_are_looked_at_to_the_last(sign: int) -> None:
    kernels = np.ones((100, 2, 2))
    kernels[:, 0] *= sign
    assert rank_one(kernels) is not None
    for odd_one in (0, 15, 16, 99):
        spoilt = kernels.copy()
        spoilt[odd_one, 1, 1] = 2
        assert rank_one(spoilt) is None
    # a small tap counts for itself where there is no negative one, among the first kernels and among all
    small = np.array([[1.0, 1e-17], [1e-17, 1e-30]])
    assert (rank_one(np.concatenate([small[None], kernels])) is None) == (sign == 1)


@pytest.mark.parametrize("window", ["full", 9, (5, 12)])
@pytest.mark.parametrize("input_size", [None, 20], ids=["plane", "map"])
def test_variances_give_the_same_by_either_engine(input_size: int | None, window: Any) -> None:
    rows, columns = [1.0, 3.0, 2.0], [2.0, 0.0, 1.0, 5.0]
    taps = np.multiply.outer(rows, columns)
    net = Stack([Conv(3, padding=1), Conv((3, 4), tap_variance=taps, padding=((1, 1), (2, 1))), Conv(3, dilation=2, padding="same")] * 3)
    unit = None if input_size is None else (0, 13)
    same(*both(ef.variance, net, input_size=input_size, unit=unit, window=window), tolerance("variance"), of_peak=False)


def test_pools_and_repeats_are_separable() -> None:
    net = Stack([Conv(3, padding=1)] * 2 + [AvgPool(2), Conv(3, padding=1), Activation("relu"), Conv(3, padding=1)])
    same(*both(ef.variance, net, input_size=16, window="full"), tolerance("variance"), of_peak=False)


def test_automatic_windows_hold_the_same_pixels() -> None:
    direct, separable = both(ef.variance, Stack([Conv(3)]) * 25)
    assert (direct.origin, direct.shape) == (separable.origin, separable.shape)
    same(direct, separable, tolerance("variance"), of_peak=False)


def test_auto_takes_the_separable_engine_where_it_applies() -> None:
    product = np.multiply.outer([1.0, -2.0, 1.0], [3.0, 1.0])
    assert ef.gradient(Stack([Conv((3, 2))]), [product]).engine == "separable"
    product[0, 0] += 1
    assert ef.gradient(Stack([Conv((3, 2))]), [product]).engine == "direct"
    assert ef.gradient(Stack([Conv(3)], ndim=1), [[1.0, 2.0, 3.0]]).engine == "direct"  # type: ignore[list-item]


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_layer_that_is_no_product_is_named(ndim: Any) -> None:
    taps = np.ones((2,) * ndim)
    taps.flat[0] = 2
    net = Stack([Conv(3), Conv(2, name="odd one", tap_variance=taps), Conv(3)], ndim=ndim)
    with pytest.raises(ValueError, match="the kernel of layer odd one is not an outer product of one vector per axis"):
        ef.variance(net, engine="separable")
    if ndim == 3:
        with pytest.raises(ValueError, match="3-D networks need separable kernels: the kernel of layer odd one"):
            ef.variance(net)


def test_the_direct_engine_is_for_two_axes_at_most() -> None:
    with pytest.raises(ValueError, match='engine="direct" is for 1-D and 2-D networks'):
        ef.variance(Stack([Conv(3)], ndim=3), engine="direct")


def test_a_gate_at_the_border_is_no_product() -> None:
    """(1 - 2^-m) / m for m = rows x columns of a window is no product; without a border it is one number."""
    net = Stack([Conv(3, padding=1), Activation("relu"), MaxPool(3, stride=2, padding=1)])
    with pytest.raises(ValueError, match="the kernel of layer maxpool3/2:p1 is not an outer product"):
        ef.variance(net, input_size=9, unit=(0, 0), engine="separable")
    assert ef.variance(net, input_size=9, unit=(2, 2)).engine == "separable"


@pytest.mark.parametrize("signed", [False, True], ids=["non-negative", "signed"])
@pytest.mark.parametrize("n", [1, 30, 300])
def test_rounded_factors_are_in_the_error(n: int, signed: bool) -> None:
    """Factors have to be rounded, and equal layers repeat the same error: against products of exact lines."""
    for number in cases(3, 30):
        rng = generator(number, "rounded factors")
        rows, columns = ([int(v) for v in rng.integers(1, 90, 3)] for _ in range(2))
        rows[0] *= -1 if signed else 1
        erf = ef.gradient(Stack([Conv(3)]) * n, [np.multiply.outer(rows, columns).astype(float)] * n, window="full", tol=1e-9)
        assert erf.separable
        for line, profile in zip((rows, columns), erf._profiles or (), strict=True):
            exact = power(line, n, dtype=object)
            peak = max(abs(v) for v in exact)
            want = np.array([float(Fraction(int(v), int(peak))) for v in exact])
            at = int(np.abs(want).argmax())
            scale = np.ones(len(want)) if signed else want
            shown = np.abs(want) > 2.0**-1000
            apart = np.abs(profile / profile[at] * want[at] - want)[shown] / scale[shown]
            assert apart.max() <= 2 * erf.error


# ------------------------------------------------------------------------------------------------ three axes


def test_signed_products_of_three_axes() -> None:
    rng = generator(0, "three axes")
    factors = [[rng.standard_normal(k) for k in sides] for sides in ((3, 2, 4), (1, 3, 3))]
    kernels = [np.einsum("i,j,k->ijk", *f) for f in factors]
    net = Stack([Conv((3, 2, 4), stride=(1, 2, 1)), Conv((1, 3, 3))], ndim=3)
    erf = ef.gradient(net, kernels)
    lines = [
        ef.gradient(Stack([Conv(len(f[a]), stride=s) for f, s in zip(factors, strides, strict=True)], ndim=1), [f[a] for f in factors])
        for a, strides in enumerate([(1, 1), (2, 1), (1, 1)])
    ]
    expected = np.einsum("i,j,k->ijk", *map(np.asarray, lines))
    np.testing.assert_allclose(np.asarray(erf), expected, rtol=0, atol=1e-14 * np.abs(expected).max())


def test_draws_are_separated_one_by_one() -> None:
    kernels = random_products(generator(0, "draws"), (4, 2), (3, 3))
    one, many = (
        [ef.gradient(Stack([Conv(3)]) * 2, kernels[d], window="full") for d in range(4)],
        ef.gradient(Stack([Conv(3)]) * 2, kernels, window="full"),
    )
    assert many.separable
    for d, erf in enumerate(one):
        np.testing.assert_array_equal(many.image[d], erf.image)
