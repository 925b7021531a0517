"""`variance` is the exact recurrence: Python integers, every representable pixel, and the accounts beside it."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from erffast.layers import Activation, Conv, Dropout, MaxPool, Scale, Stack
from erffast.lowering import lower_variance
from oracles import Exact, coefficients, exact_variance, rounded
from strategies import FULL, batches, generator, random_map, random_stack, with_tap_variance
from tolerances import tolerance

Array = NDArray[np.float64]
# Peaks lie in [0.5, 1), so below this a pixel is no normal number of the image.
SMALLEST = {"float64": 2.0**-1022, "float32": 2.0**-126}


def worst_pixel(got: NDArray[Any], expected: Array) -> float:
    """Largest relative error of the representable pixels; the others must be smaller than any of these."""
    smallest = SMALLEST[got.dtype.name]
    # a pixel that rounding moves across the end of the range is neither
    here = expected >= smallest * (1 + 1e-6)
    assert got.shape == expected.shape
    assert (got[expected < smallest * (1 - 1e-6)] <= smallest).all()
    assert (got[expected == 0] == 0).all()
    return float(np.max(np.abs(got[here].astype(np.float64) / expected[here] - 1), initial=0.0))


def cropped(erf: ef.ERF, origin: tuple[int, ...], image: Any) -> Any:
    """The part of an exact image that a result shows, zeros where it shows more."""
    low = [o - p for o, p in zip(erf.origin, origin, strict=True)]
    out = np.zeros(erf.shape, dtype=image.dtype)
    inner = tuple(slice(max(a, 0), max(min(a + n, m), 0)) for a, n, m in zip(low, erf.shape, image.shape, strict=True))
    where = tuple(slice(i.start - a, i.start - a + max(i.stop - i.start, 0)) for i, a in zip(inner, low, strict=True))
    out[where] = image[inner]
    return out


def exactly_lost(erf: ef.ERF, origin: tuple[int, ...], numerators: Exact) -> Fraction:
    """Share of the mass outside the window."""
    return 1 - Fraction(int(cropped(erf, origin, numerators).sum()), int(numerators.sum()))


# ------------------------------------------------------------------------------------------------ random chains


def random_variance_case(number: int, *, ndim: int | None = None, uniform: bool = False) -> Any:
    rng = generator(number, "variance")
    while True:
        axes = int(rng.integers(1, 3)) if ndim is None else ndim
        net = random_stack(rng, axes, widest=45 if axes == 2 else 300, pools=(), constants=())
        net = net if uniform else with_tap_variance(rng, net)
        bounded = rng.random() < 0.6
        where = random_map(rng, net, widest=55 if axes == 2 else 350) if bounded else None
        if bounded == (where is not None):
            return net, *(where or (None, tuple(int(rng.integers(-4, 5)) for _ in range(axes))))


def check_against_integers(net: Stack, input_size: Any, unit: Any, **options: Any) -> None:
    origin, numerators, denominator, border = exact_variance(net, input_size, unit)
    erf = ef.variance(net, input_size=input_size, unit=unit, window="full", **options)
    dtype, engine = erf.image.dtype.name, erf.engine
    assert erf.dead == (0 if numerators.sum() else 1)
    expected = rounded(cropped(erf, origin, numerators), denominator, int(erf.exponent))
    outside = int(numerators.sum()) - int(cropped(erf, origin, numerators).sum())
    assert outside == 0, "the full window leaves out pixels that count"
    worst = worst_pixel(erf.image, expected)
    assert worst <= tolerance("variance", dtype, engine)
    assert worst <= erf.error, "the bound on the error"
    assert erf.accuracy == "pixel"
    assert erf.error_is_bound
    assert erf.lost == 0
    assert abs(erf.border - float(border)) <= (tolerance("account") if dtype == "float64" or engine == "separable" else 1e-4)


@pytest.mark.parametrize("uniform", [True, False], ids=["uniform taps", "random taps"])
@pytest.mark.parametrize("numbers", batches(80, 1000, 20))
def test_random_stacks_equal_exact_rationals(numbers: range, uniform: bool) -> None:
    for number in numbers:
        net, input_size, unit = random_variance_case(number, uniform=uniform)
        for options in [{"engine": "direct"}, {"engine": "direct", "dtype": "float32"}, *([{"engine": "separable"}] if uniform else [])]:
            try:
                check_against_integers(net, input_size, unit, **options)
            except Exception as exc:
                raise AssertionError(f"case {number}, {options}: {exc}\n{net!r} input_size={input_size} unit={unit}") from exc


@pytest.mark.parametrize("engine", ["direct", "separable"])
@pytest.mark.parametrize("unit", [(0, 0), (0, 11), (11, 11), (6, 5)], ids=["top left", "top right", "bottom right", "middle"])
def test_units_in_corners_of_padded_maps(unit: tuple[int, int], engine: str) -> None:
    net = Stack([Conv(3, padding=1), Conv((5, 2), padding=((2, 2), (1, 0)), dilation=(1, 1)), Conv(3, padding="same", dilation=2)] * 2)
    check_against_integers(net, (12, 12), unit, engine=engine)


@pytest.mark.parametrize("engine", ["direct", "separable"])
def test_a_deep_padded_stack_keeps_its_border_account(engine: str) -> None:
    net = Stack([Conv(3, padding=1)]) * 60
    check_against_integers(net, (9, 9), (0, 4), engine=engine)


def test_taps_that_reach_over_the_whole_range_of_a_double() -> None:
    """Pixels down to 2**-1022 of the peak are right; layer by layer they would be lost near 2**-1074 of each other."""
    net = Stack([Conv(3, tap_variance=[1.0, 2.0**80, 3.0])], ndim=1) * 13
    origin, numerators, denominator, _ = exact_variance(net, None, (0,))
    erf = ef.variance(net, window="full")
    expected = rounded(numerators, denominator, int(erf.exponent))
    assert expected.min() < SMALLEST["float64"] < 2.0**-900 < np.median(expected[expected > 2.0**-1000])
    assert erf.origin == origin
    assert worst_pixel(erf.image, expected) <= tolerance("variance")


# ------------------------------------------------------------------------------------------------ coefficients


DEPTHS = (1, 2, 3, 7, 31, 32, 33, 100, 1000)


@pytest.fixture(scope="module", params=[2, 3, 4, 5], ids=lambda k: f"{k} taps")
def pascal(request: pytest.FixtureRequest) -> tuple[int, dict[int, Exact]]:
    return request.param, coefficients(request.param, DEPTHS)


@pytest.mark.parametrize("n", DEPTHS)
def test_coefficients_equal_python_integers(pascal: tuple[int, dict[int, Exact]], n: int) -> None:
    k, rows = pascal
    for window in ("full", "auto"):
        erf = ef.variance(Stack([Conv(k)], ndim=1) * n, window=window)
        expected = rounded(cropped(erf, (0,), rows[n]), k**n, int(erf.exponent))
        worst = worst_pixel(erf.image, expected)
        assert worst <= tolerance("deep variance")
        assert worst <= erf.error
        if window == "full":
            assert erf.shape == (n * (k - 1) + 1,)
        lost = exactly_lost(erf, (0,), rows[n])
        assert lost <= Fraction(erf.lost)
        assert erf.lost <= 1e-12


def products(row: Exact, denominator: int, exponent: int, picked: slice) -> Array:
    """Outer square of a row of exact numbers; two roundings a pixel, the exponent applied last."""
    top = max(row).bit_length() - denominator.bit_length()
    one = rounded(row, denominator, top)
    mantissa, power = np.frexp(one)
    # a factor below the range of a double squares to nothing
    outer = np.multiply.outer(mantissa[picked], mantissa)
    return np.asarray(np.ldexp(outer, np.add.outer(power[picked], power) + 2 * top - exponent))


@pytest.mark.parametrize(
    ("n", "engine"), [(1, "direct"), (8, "direct"), (40, "direct"), (8, "separable"), (40, "separable"), (1000, "separable")]
)
def test_two_axes_are_the_product_of_the_coefficients(n: int, engine: str) -> None:
    k = 3
    row = coefficients(k, [n])[n]
    for window in ("full", "auto"):
        erf = ef.variance(Stack([Conv(k)]) * n, window=window, engine=engine)
        assert erf.origin[0] == erf.origin[1]
        shown = row[erf.origin[0] : erf.origin[0] + erf.shape[0]]
        image, worst = erf.image, 0.0
        for y in range(0, len(shown), 200):
            rows = slice(y, y + 200)
            worst = max(worst, worst_pixel(image[rows], products(shown, k**n, int(erf.exponent), rows)))
        assert worst <= tolerance("deep variance")
        assert worst <= erf.error
        inside = Fraction(int(shown.sum()), k**n) ** 2
        assert 1 - inside <= Fraction(erf.lost)
        assert erf.lost <= 1e-12
        if window == "full":
            assert erf.shape == (2 * n + 1,) * 2


# ------------------------------------------------------------------------------------------------ windows and accounts


@pytest.mark.parametrize("tol", [0.3, 2.0**-9, 1e-3, 1e-6, 1e-12])
@pytest.mark.parametrize("numbers", batches(30, 300, 30))
def test_what_an_automatic_window_leaves_out_is_certified(numbers: range, tol: float) -> None:
    smaller = 0
    for number in numbers:
        net, input_size, unit = random_variance_case(number)
        origin, numerators, denominator, _ = exact_variance(net, input_size, unit)
        if not numerators.sum():
            continue
        for engine in ("direct", "auto"):
            erf = ef.variance(net, input_size=input_size, unit=unit, tol=tol, engine=engine)
            where = f"case {number}, {engine}"
            lost = exactly_lost(erf, origin, numerators)
            assert lost <= Fraction(erf.lost), f"{where}: {float(lost):.17g} is lost, {erf.lost:.17g} said"
            assert erf.lost <= tol, where
            assert erf.lost_is_bound
            worst = worst_pixel(erf.image, rounded(cropped(erf, origin, numerators), denominator, int(erf.exponent)))
            assert worst <= min(erf.error, max(tol, tolerance("variance"))), where
            smaller += erf.image.size < numerators.size
    assert smaller > 0 or tol == 1e-12


@pytest.mark.parametrize("n", [10, 11, 40])
@pytest.mark.parametrize("power", [1, 5, 9, 10, 11, 30])
def test_a_window_whose_lost_mass_equals_the_tolerance(n: int, power: int) -> None:
    """Binomial rows: sums of 2**-n, where bounds can be met exactly."""
    tol = 2.0**-power
    row = coefficients(2, [n])[n]
    erf = ef.variance(Stack([Conv(2)], ndim=1) * n, tol=tol)
    lost = exactly_lost(erf, (0,), row)
    assert lost <= Fraction(erf.lost)
    assert erf.lost <= tol
    # no smaller window would do: half the tolerance a side, and one pixel more meets it but for rounding
    if erf.shape[0] > 1:
        first = erf.origin[0]
        assert Fraction(int(row[: first + 1].sum()), 2**n) > Fraction(tol * (1 - 1e-9)) / 2


@pytest.mark.parametrize("accuracy", ["pixel", "peak"])
def test_the_tolerance_holds_at_either_accuracy(accuracy: str) -> None:
    n, tol = 400, 1e-9
    row = coefficients(3, [n])[n]
    erf = ef.variance(Stack([Conv(3)], ndim=1) * n, tol=tol, accuracy=accuracy)
    expected = rounded(cropped(erf, (0,), row), 3**n, int(erf.exponent))
    assert erf.accuracy == accuracy
    error = worst_pixel(erf.image, expected) if accuracy == "pixel" else float(np.abs(erf.image - expected).max() / expected.max())
    assert error <= erf.error <= tol
    assert exactly_lost(erf, (0,), row) <= Fraction(erf.lost)


@pytest.mark.parametrize("engine", ["direct", "separable"])
@pytest.mark.parametrize(
    ("input_size", "unit"),
    [(None, (0, 0)), (None, (-7, 3)), ((30, 24), (15, 12)), ((30, 24), (0, 23))],
    ids=["plane", "plane, another unit", "map", "map, corner"],
)
@pytest.mark.parametrize("window", [1, 4, (3, 11), (6, 2), "widest"])
def test_explicit_windows_are_crops_of_the_full_one(window: Any, input_size: Any, unit: Any, engine: str) -> None:
    net = Stack([Conv(3, padding=1), Conv((2, 3), padding=((1, 0), (1, 1)))] * 5)
    options = {"input_size": input_size, "unit": unit, "engine": engine}
    full = ef.variance(net, window="full", **options)
    wanted = full.shape if window == "widest" else window
    crop = ef.variance(net, window=wanted, **options)
    assert crop.shape == (wanted if isinstance(wanted, tuple) else (wanted,) * 2)
    low = [a - b for a, b in zip(crop.origin, full.origin, strict=True)]
    there = full.image[tuple(slice(a, a + n) for a, n in zip(low, crop.shape, strict=True))]
    shift = int(full.exponent) - int(crop.exponent)
    np.testing.assert_allclose(crop.image, np.ldexp(there, shift), rtol=tolerance("variance"), atol=0)
    if input_size is None:  # centred on the receptive field, to half a pixel
        for a, n, start, size in zip(crop.origin, crop.shape, full.origin, full.shape, strict=True):
            assert abs((a + (n - 1) / 2) - (start + (size - 1) / 2)) <= 0.5
    outside = 1 - float(there.sum() / full.image.sum())
    assert outside <= crop.lost * (1 + 1e-9) + 1e-15


def test_a_deep_explicit_window_shows_tails_that_trimming_must_not_touch() -> None:
    """The corner of a wide window holds 1e-190 of the peak; it is right to 1e-12 all the same."""
    n, side = 300, 601 - 2 * 60
    row = coefficients(3, [n])[n]
    erf = ef.variance(Stack([Conv(3)]) * n, window=side)
    shown = row[erf.origin[0] : erf.origin[0] + side]
    expected = products(shown, 3**n, int(erf.exponent), slice(None))
    assert expected.min() < 1e-100
    assert worst_pixel(erf.image, expected) <= tolerance("deep variance")


# ------------------------------------------------------------------------------------------------ constants


def test_constant_layers_only_move_the_exponent_and_the_gain() -> None:
    plain = ef.variance(Stack([Conv(3, padding=1)] * 4), input_size=8, window="full")
    with_constants = Stack([Conv(3, padding=1), Activation("relu"), Dropout(0.75), Scale(-8.0)] * 4)
    erf = ef.variance(with_constants, input_size=8, window="full")
    np.testing.assert_array_equal(erf.image, plain.image)
    # per layer 1/2, 1/(1 - 3/4), 64
    assert erf.exponent == plain.exponent + 4 * (-1 + 2 + 6)  # type: ignore[operator]
    assert erf.border == plain.border


def test_gains_beyond_any_float_stay_exact() -> None:
    erf = ef.variance(Stack([Conv(1), Scale(3.0)], ndim=1) * 50_000)
    exact = 9**50_000
    exponent = exact.bit_length()
    assert erf.exponent == exponent
    assert erf.image[0] == pytest.approx(exact / 2**exponent if exponent < 1000 else float(Fraction(exact, 2**exponent)), rel=1e-14)


@pytest.mark.parametrize("gain", [0.5, 3.0, 1e-3])
def test_variance_gain_multiplies_the_mass(gain: float) -> None:
    erf = ef.variance(Stack([Conv(3, variance_gain=gain), Conv(5)]), window="full")
    assert float(np.asarray(erf).sum()) == pytest.approx(gain, rel=1e-14)


@pytest.mark.parametrize("input_size", [None, 40], ids=["plane", "map"])
def test_layers_that_differ_in_gain_and_channels_only_are_one_run(input_size: int | None) -> None:
    layers = [
        Conv(3, padding=1, variance_gain=gain, channels=width) for gain, width in zip([1.0, 0.5, 4.0, 2.0] * 9, range(1, 37), strict=True)
    ]
    erf = ef.variance(Stack(layers), input_size=input_size)
    plain = ef.variance(Conv(3, padding=1) * 36, input_size=input_size)
    np.testing.assert_array_equal(erf.image, plain.image)
    assert erf.exponent - plain.exponent == 18
    assert len(lower_variance(Stack(layers), input_size).steps) == 1
    assert len(lower_variance(Stack([*layers, Conv(3)])).steps) == 2


def test_max_pools_share_the_mass_among_their_taps() -> None:
    erf = ef.variance(Stack([MaxPool(3)]), window="full")
    np.testing.assert_allclose(np.asarray(erf), np.full((3, 3), 1 / 9), rtol=1e-15)
    assert erf.method == "mean-field"


# ------------------------------------------------------------------------------------------------ depth


@pytest.mark.parametrize("ndim", [1, 2])
@pytest.mark.parametrize("k", [2, 3, 5])
def test_a_hundred_thousand_layers(k: int, ndim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", "1G")  # more would be refused
    n = 100_000
    erf = ef.variance(Stack([Conv(k)], ndim=ndim) * n)  # type: ignore[arg-type]
    for std, mean in zip(erf.std(), erf.mean(), strict=True):
        assert std == pytest.approx(math.sqrt(n * (k * k - 1) / 12), rel=tolerance("std"))
        assert mean == pytest.approx(n * (k - 1) / 2, abs=1e-6)
    assert isinstance(erf.exponent, int)
    # the peak of a Gaussian, per axis
    peak = -ndim * math.log2(math.sqrt(2 * math.pi * n * (k * k - 1) / 12))
    assert erf.exponent == math.floor(peak) + 1
    assert erf.lost <= 1e-12
    assert all(np.isfinite(erf.marginal(a)).all() for a in range(ndim))


@pytest.mark.parametrize("n", [20_000] + ([100_000] if FULL else []))
def test_deep_layers_with_taps_of_their_own(n: int) -> None:
    """No repeats to compose: layer by layer, trimmed."""
    rng = generator(0, "deep")
    taps = [tuple(int(v) for v in rng.integers(1, 9, 3)) for _ in range(4)]
    erf = ef.variance(Stack([Conv(3, tap_variance=t) for t in taps], ndim=1) * (n // 4))
    mean = sum((t[1] + 2 * t[2]) / sum(t) for t in taps) * n / 4
    var = sum((t[1] + 4 * t[2]) / sum(t) - ((t[1] + 2 * t[2]) / sum(t)) ** 2 for t in taps) * n / 4
    assert erf.mean()[0] == pytest.approx(mean, rel=1e-9)
    assert erf.std()[0] == pytest.approx(math.sqrt(var), rel=tolerance("std"))


# ------------------------------------------------------------------------------------------------ three axes


def test_three_axes_are_a_product() -> None:
    net = Stack([Conv((3, 2, 5), padding=((1, 1), (0, 0), (2, 1)), stride=(1, 2, 1)), Conv(3, padding=1)] * 2, ndim=3)
    check_against_integers(net, (7, 14, 8), (0, 2, 3))
    check_against_integers(net, None, (1, -2, 0))


@pytest.mark.parametrize(
    "text", ["(conv3, conv5) * 40", "conv2/2, (conv3:d2, conv1x4, conv3:p1) * 9, conv5", "((conv2, relu) * 3, conv3, conv2) * 8"]
)
def test_repeated_blocks_are_gathered_and_give_the_same_image(text: str) -> None:
    net = ef.parse(text)
    gathered = ef.variance(net, engine="direct", window="full")
    one_by_one = ef.variance(ef.Stack(list(net)), engine="direct", window="full")
    assert (gathered.origin, gathered.exponent) == (one_by_one.origin, one_by_one.exponent)
    # two orders of the same sums, each within its own bound
    assert np.abs(gathered.image - one_by_one.image).max() <= gathered.error + one_by_one.error


def test_a_block_costs_no_more_steps_the_more_often_it_is_repeated() -> None:
    assert len(lower_variance(ef.parse("(conv3, relu, conv5, relu) * 50000")).steps) == 2


def test_what_is_kept_with_a_network_serves_every_request() -> None:
    """The chain of unit 0 on the plane is kept: other options, units and maps are answered as those of a fresh network are."""
    net = Stack([Conv(3), Conv((5, 2), stride=2)]) * 3
    assert lower_variance(net) is lower_variance(net)
    requests: list[dict[str, Any]] = [
        {}, {"window": "full"}, {"tol": 1e-3}, {"engine": "direct"}, {"engine": "spectral"}, {"unit": (2, -1)},
        {"input_size": 200}, {"layer": 1}, {"dtype": "float32", "engine": "direct"}, {},
    ]  # fmt: skip
    for options in requests:
        found, fresh = ef.variance(net, **options), ef.variance(Stack(list(net)), **options)
        assert (found.origin, found.exponent, found.error, found.lost) == (fresh.origin, fresh.exponent, fresh.error, fresh.lost)
        assert np.array_equal(found.image, fresh.image)


def test_large_kernels_are_not_kept_with_a_network() -> None:
    """A network read from a text outlives the call."""
    small, large = ef.parse("conv3 * 20"), ef.parse("conv300")
    for net in (small, large):
        ef.variance(net, window=9)
    kept = {"_chain", "_backward"}
    assert kept & set(vars(small)) == kept
    assert not kept & set(vars(large))
