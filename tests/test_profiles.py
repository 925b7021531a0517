"""Profiles of deep 1-D chains without negative taps against integers, each value relative to itself, tails included."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import erffast as ef
from deep_oracles import chain, power
from erffast import _backend, _core
from erffast.layers import Conv, Stack
from strategies import generator
from tolerances import tolerance

Taps = Sequence[int]
BITS = 120  # of integers that are compared: a relative 1e-36


def top(value: int) -> tuple[int, int]:
    """The leading bits, and the power of two that they are to be multiplied by."""
    shift = max(value.bit_length() - BITS, 0)
    return value >> shift, shift


def worst_error(values: Any, exponent: int, exact: Sequence[int], total: int = 1) -> float:
    """Largest relative error of ``values * 2**exponent`` against exact / total; zeros stand for what no double at this scale can show."""
    worst, (t, t_shift) = 0.0, top(total)
    assert len(values) == len(exact)
    for value, integer in zip(values.tolist(), exact, strict=True):
        if value == 0:
            assert integer == 0 or integer.bit_length() - total.bit_length() - exponent <= -1021
            continue
        mantissa, e = math.frexp(value)
        x, x_shift = top(integer)
        shift = e - 53 + exponent + t_shift - x_shift
        got = int(mantissa * 2**53) * t
        apart = abs((got << shift) - x) if shift >= 0 else abs(got - (x << -shift)) >> -shift
        worst = max(worst, apart / x)
    return worst


def repeats(taps: Taps, n: int, **options: Any) -> ef.ERF:
    return ef.variance(Stack([Conv((len(taps),), tap_variance=[float(t) for t in taps])], ndim=1) * n, **options)


def window(erf: ef.ERF, exact: Sequence[int]) -> Sequence[int]:
    """The integers at the pixels of a result; they begin at its field's first pixel."""
    first = erf.origin[0] - erf.receptive_field.start[0]
    return exact[first : first + erf.shape[0]]


def assert_right(erf: ef.ERF, exact: Sequence[int], total: int = 1) -> None:
    error = worst_error(erf.image, int(erf.exponent), window(erf, exact), total)
    assert error <= erf.error <= tolerance("deep variance")
    assert erf.error_is_bound


# ------------------------------------------------------------------------------------------------ repeats

THREE: dict[str, Taps] = {
    "uniform": (1, 1, 1),
    "binomial": (1, 2, 1),
    "heavy at the end": (2, 1, 9),
    "heavy at the beginning": (9, 1, 2),
    "hollow": (7, 1, 7),
    "two taps": (1, 1),
    "two taps, one small": (200, 1),
}


@pytest.mark.parametrize("n", [32, 999, 10_000])
@pytest.mark.parametrize("taps", THREE.values(), ids=THREE)
def test_powers_of_two_and_three_taps_are_right_to_the_last_digit(taps: Taps, n: int) -> None:
    exact, total = power(taps, n), sum(taps) ** n
    for asked in ("auto", "full"):
        erf = repeats(taps, n, window=asked)
        assert_right(erf, exact, total)
        assert erf.error < 1e-15, "all steps together cost less than one rounding"


@pytest.mark.parametrize(
    ("taps", "plain", "spacing", "before"), [((3, 0, 1), (3, 1), 2, 0), ((0, 1, 2, 0), (1, 2), 1, 1), ((0, 5, 0), (5,), 1, 1)]
)
def test_zeros_of_a_kernel_are_no_taps(taps: Taps, plain: Taps, spacing: int, before: int) -> None:
    n = 100
    exact = np.zeros(n * (len(taps) - 1) + 1, dtype=object)
    exact[before * n : before * n + spacing * n * (len(plain) - 1) + 1 : spacing] = power(plain, n)
    assert_right(repeats(taps, n, window="full"), exact.tolist(), sum(taps) ** n)


LONGER: dict[str, tuple[Taps, int]] = {
    "five": ((1,) * 5, 3000),
    "seven, uneven": ((3, 1, 4, 1, 5, 9, 2), 1000),
    "four, far apart in size": ((1, 1000, 1, 1000), 500),
    "three, far apart in size": ((1000, 1, 1000), 500),
    "many": ((1,) * 40, 64),
    "more than fit in exact products": (tuple(range(1, 701)), 33),
}


@pytest.mark.parametrize("case", LONGER)
def test_other_kernels_are_squared(case: str) -> None:
    taps, n = LONGER[case]
    exact, total = power(taps, n), sum(taps) ** n
    for asked in ("auto", "full"):
        assert_right(repeats(taps, n, window=asked), exact, total)


def test_palindromes_stay_palindromes() -> None:
    for taps in ((1, 1, 1), (1, 2, 3, 2, 1), (2, 1, 1, 2)):
        image = repeats(taps, 2001, window="full").image
        np.testing.assert_array_equal(image, image[::-1])


def test_the_mirrored_kernel_gives_the_mirrored_profile() -> None:
    for taps in ((5, 2, 1), (1, 3, 2)):
        erf, mirrored = repeats(taps, 500, window="full"), repeats(taps[::-1], 500, window="full")
        np.testing.assert_array_equal(erf.image, mirrored.image[::-1])


@pytest.mark.parametrize("dilation", [2, 3])
def test_repeats_after_other_layers(dilation: int) -> None:
    net = ef.parse(f"conv3 * 40, conv3:d{dilation} * 50, conv4 * 60", ndim=1)
    kernels, spacings = [(1,) * 3] * 90 + [(1,) * 4] * 60, [1] * 40 + [dilation] * 50 + [1] * 60
    for asked in ("auto", "full"):
        assert_right(ef.variance(net, window=asked), chain(kernels, spacings).tolist(), 3**90 * 4**60)


def test_a_million_layers_keep_their_moments() -> None:
    """The mass is 1 and the variance n (k^2 - 1) / 12, in a window of any kind."""
    n = 1_000_000
    for asked in ("auto", "full"):
        erf = ef.variance(ef.parse(f"conv3 * {n}"), window=asked)
        assert erf.error < 1e-12
        profile, exponent = erf.marginal(0), erf.receptive_field
        assert profile.sum() == pytest.approx(1, abs=1e-12)
        assert erf.std()[0] == pytest.approx(math.sqrt(n * 8 / 12), rel=1e-9)
        assert exponent.size == (2 * n + 1, 2 * n + 1)


def test_what_a_border_leaves_of_a_deep_tail_is_right() -> None:
    """A map that cuts all but the far tail of a run before it: nothing was dropped there for being faint."""
    n = 3000
    exact, total = power((1, 1, 1), n), 3**n
    first = next(i for i, v in enumerate(exact) if total.bit_length() - v.bit_length() < 1700)
    ones = np.ones((1, 1, 1, 1, 1, 3))
    deep = (ones, (1, 1), (1, 1), (0, 0), None, (0, 0), n, False, 1, None)
    cut = (np.ones((1,) * 6), (1, 1), (1, 1), (0, 0), (1, 50), (0, 0), 1, False, 1, None)
    images = _core.propagate_f64([deep, cut], (0, -first), 1, 1, True, 0.0, 1, 2**24, None)
    out = np.empty((1, 1, 50))
    images.write(out, 0, 0, 1 / images.peaks())
    peak = int(np.frexp(images.peaks()[0])[1])
    out[0, 0] = np.ldexp(out[0, 0] * np.ldexp(images.peaks()[0], -peak), 0)
    assert worst_error(out[0, 0], int(images.exponents()[0]) + peak, exact[first : first + 50]) < 1e-14


# ------------------------------------------------------------------------------------------------ different kernels


@pytest.mark.parametrize(("k", "n"), [(2, 300), (3, 1000), (5, 200), (16, 60), (17, 40), (33, 40), (40, 40)])
def test_different_kernels_equal_integers(k: int, n: int) -> None:
    weights = generator(k, "different kernels").integers(0, 10, (n, k)) + (np.arange(k) == k // 2)
    exact = chain(weights).tolist()
    for asked in ("auto", "full"):
        assert_right(ef.gradient(ef.parse(f"conv{k} * {n}", ndim=1), weights.astype(float), window=asked), exact)


def test_different_kernels_with_a_dilation() -> None:
    weights = generator(0, "dilated kernels").integers(1, 10, (90, 3))
    exact = chain(weights, [1] * 40 + [3] * 50).tolist()
    assert_right(ef.gradient(ef.parse("conv3 * 40, conv3:d3 * 50", ndim=1), weights.astype(float), window="full"), exact)


def test_different_kernels_whose_taps_reach_over_the_range_of_a_double() -> None:
    weights = np.ldexp(1.0, generator(1, "wide range").integers(-60, 60, (64, 3)) * 4)
    smallest = 2 * 4 * 60
    exact = chain_of_large([[int(v) for v in np.ldexp(row, smallest).tolist()] for row in weights])
    erf = ef.gradient(ef.parse("conv3 * 64", ndim=1), weights, window="full")
    assert_right(erf, exact, 1 << (64 * smallest))


def chain_of_large(kernels: list[list[int]]) -> list[int]:
    image = [1]
    for kernel in kernels:
        image = [
            sum(t * image[i - a] for a, t in enumerate(kernel) if 0 <= i - a < len(image)) for i in range(len(image) + len(kernel) - 1)
        ]
    return image


def test_draws_are_composed_one_by_one() -> None:
    weights = generator(2, "draws of profiles").integers(1, 8, (5, 70, 3)).astype(float)
    net = ef.parse("conv3 * 70", ndim=1)
    together = ef.gradient(net, weights, window="full", threads=2)
    for draw in range(5):
        alone = ef.gradient(net, weights[draw], window="full")
        np.testing.assert_array_equal(together.image[draw], alone.image)


def test_float32_profiles_are_rounded_once() -> None:
    weights = generator(3, "float32 profiles").integers(1, 8, (100, 3)).astype(float)
    net = ef.parse("conv3 * 100", ndim=1)
    single, double = (ef.gradient(net, weights, window="full", dtype=dtype) for dtype in ("float32", "float64"))
    factor = 2.0 ** (int(double.exponent) - int(single.exponent))
    held = single.image > 0
    np.testing.assert_allclose(single.image[held], factor * double.image[held], rtol=4 * 2.0**-24)
    assert (double.image[~held] * factor < 2.0**-125).all()


# ------------------------------------------------------------------------------------------------ threads


@pytest.mark.parametrize("work", ["squares", "different kernels"])
def test_profiles_have_the_same_bits_for_any_number_of_threads(work: str) -> None:
    def run(threads: int) -> ef.ERF:
        if work == "squares":
            return ef.variance(ef.parse("conv11 * 3000", ndim=1), window="full", threads=threads)
        weights = generator(4, "threads").random((3000, 31))
        return ef.gradient(ef.parse("conv31 * 3000", ndim=1), weights, window="full", threads=threads)

    one = run(1)
    for threads in (2, 3, 5):
        np.testing.assert_array_equal(run(threads).image, one.image)


# ------------------------------------------------------------------------------------------------ outer products


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (40, 33), (1001, 1003), (3, 400_001)])
@pytest.mark.parametrize("power", [0, 5, -40])
def test_images_of_profiles_by_definition(shape: tuple[int, int], dtype: str, power: int) -> None:
    """Of every size, also beyond the caches, where pixels are written around them."""
    rng = generator(5, "outer products")
    rows, columns = rng.random(shape[0]), rng.random(shape[1])
    for threads in (1, 3):
        place = np.zeros(shape[0] * shape[1] + 1, dtype=dtype)[1:].reshape(shape)  # aligned to no more than a pixel
        _backend.OUTER[dtype](rows, columns, -2, power, place, threads)
        rounded = (np.ldexp(rows, -2)[:, None] * columns).astype(dtype)
        np.testing.assert_array_equal(place, np.ldexp(rounded, power))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_true_values_are_the_image_scaled(dtype: Any) -> None:
    erf = ef.variance(ef.parse("conv3 * 60", ndim=2), window="full", dtype=dtype)
    smallest = np.finfo(dtype).smallest_normal
    for _ in range(2):  # before and after the image is formed
        np.testing.assert_array_equal(
            np.asarray(erf), np.where(np.ldexp(erf.image, erf.exponent) < smallest, 0, np.ldexp(erf.image, erf.exponent))
        )


def test_the_largest_true_values_are_no_overflow() -> None:
    gain = 2.0**1023
    erf = ef.gradient(ef.parse("conv3"), np.full((1, 3, 3), gain))
    np.testing.assert_array_equal(np.asarray(erf), np.full((3, 3), gain))
