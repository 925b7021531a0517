"""The spectral engine: every kind of layer, position and number format, by automatic differentiation, the direct engine and identities.

How right it is when deep is asked in test_deep_signed.py; identities stand in test_spectral_identities.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from deep_oracles import chain, error, lattice_image, signed_kernels, truth
from erffast.layers import AvgPool, Conv, Stack
from oracles import case_gradients
from spectral_runs import PERIODS, apart, assert_same_bits, direct, normal_weights, spectral
from strategies import Case, batches, field, generator, random_case
from tolerances import tolerance

Array = NDArray[np.float64]


# ------------------------------------------------------------------------------------------------ automatic differentiation


def plain_case(number: int) -> Case | None:
    """A random case on the plane, where it has one channel."""
    case = random_case(number, "spectral")
    single = all(w.ndim == case.net.ndim + (case.draws is not None) for w in case.weights)
    return Case(case.net, case.weights, None, case.unit, case.draws) if single else None


@pytest.mark.parametrize("numbers", batches(200, 2000, 50))
def test_random_networks(numbers: range) -> None:
    pytest.importorskip("torch", reason="torch is the oracle: automatic differentiation")
    answered = 0
    for number in numbers:
        case = plain_case(number)
        if case is None:
            continue
        answered += 1
        origin, expected = case_gradients(case)
        period = PERIODS[number % 2]
        erf = spectral(case.net, case.weights, unit=case.unit, period=period, accuracy="peak")
        assert (erf.origin, erf.shape) == (origin, expected.shape[1:]), f"case {number}: {case}"
        exponents = np.asarray(erf.exponent).reshape(-1, *(1,) * erf.ndim)
        got = np.ldexp(erf.image.reshape(expected.shape), exponents)
        peak = np.abs(expected).reshape(len(expected), -1).max(axis=1)
        worst = (np.abs(got - expected).reshape(len(expected), -1).max(axis=1) / peak).max()
        assert worst <= tolerance("gradient", engine="spectral"), f"case {number}: {worst:.1e} of the peak\n{case}"
    assert answered >= len(numbers) / 4


# ------------------------------------------------------------------------------------------------ kinds of layers

NETWORKS: dict[str, tuple[str, int]] = {
    "3x3": ("conv3 * 12", 2),
    "one layer": ("conv3", 2),
    "even kernels": ("conv2 * 12", 2),
    "even and odd sides": ("conv4x3 * 6, conv2x5 * 5", 2),
    "rows and columns": ("conv1x3 * 8, conv3x1 * 7, conv1 * 3", 2),
    "columns only": ("conv1x3 * 9", 2),
    "rows only": ("conv3x1 * 9", 2),
    "single taps": ("conv1 * 5", 2),
    "sizes mixed": ("conv3, conv7, conv2, conv5x1, conv3 * 4, conv6, conv1, conv4x3", 2),
    "large kernels": ("conv31 * 2, conv3, conv16x17", 2),
    "dilation": ("conv3:d2 * 7", 2),
    "dilations mixed": ("conv3:d3, conv3:d8, conv3:d1x2, conv5:d2 * 2, conv2:d7, conv3 * 3", 2),
    "strides": ("conv3 * 4, conv3/2, conv3 * 3, conv5/3, conv3 * 2, conv2/2, conv3", 2),
    "strides of one axis": ("conv3/1x2, conv3 * 3, conv3/3x1, conv3:d2 * 3", 2),
    "strides that skip pixels": ("conv2/3, conv3 * 4, conv2/3, conv1/2", 2),
    "padding": ("conv3:p1 * 4, conv5:p2x0+3, conv4:same * 3, conv3/2:p1", 2),
    "average pools": ("conv3 * 4, avgpool2, conv3 * 3, avgpool3/2:p1, conv2", 2),
    "boxes repeated": ("conv3 * 3, avgpool3/1 * 40, conv3", 2),
    "constants": ("conv3 * 3, scale-0.3, batchnorm, conv3 * 4, dropout0.5, scale-7e200", 2),
    "one axis": ("conv3 * 30", 1),
    "one axis, everything": ("conv4 * 5, conv3/2:p1, conv5:d3 * 4, avgpool2, conv2 * 5, conv31, conv3/3, conv1", 1),
}


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_layer_against_the_direct_engine(name: str, period: str) -> None:
    text, ndim = NETWORKS[name]
    net = ef.parse(text, ndim=ndim)
    weights = normal_weights(net, name)
    unit = (2, -5)[:ndim]
    expected = direct(net, weights, unit=unit)
    erf = spectral(net, weights, unit=unit, period=period)
    worst = apart(erf, expected)
    assert worst <= tolerance("gradient", engine="spectral")
    assert worst <= erf.error + expected.error
    assert erf.receptive_field == expected.receptive_field
    assert (erf.border, erf.lost, erf.dead) == (0, 0, 0)


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("ndim", [1, 2])
def test_strides_and_dilations_in_a_deep_stack(ndim: int, period: str) -> None:
    """Spacings up to 24 pixels, 200 layers; exact in one axis, in two by the outer product of that and itself."""
    rng = generator(ndim, "deep strides")
    dilations = rng.choice([1, 1, 2, 3], 200)
    strides = np.ones(200, dtype=int)
    strides[[60, 120, 170]] = 2
    jumps = np.concatenate([[1], np.cumprod(strides)[:-1]])
    kernels = signed_kernels(rng, 200, (3,))
    net = Stack([Conv(3, stride=int(s), dilation=int(d)) for s, d in zip(strides, dilations, strict=True)], ndim=ndim)
    line = truth(chain(kernels, (jumps * dilations).tolist()))
    weights = kernels.astype(np.float64) if ndim == 1 else (kernels[:, :, None] * kernels[:, None, :]).astype(np.float64)
    erf = spectral(net, weights, period=period)
    if ndim == 1:
        true = error(erf.image, int(np.asarray(erf.exponent)), line)
    else:
        shape: Any = erf.shape
        true = error(erf.image, int(np.asarray(erf.exponent)), lattice_image(line, line, ((1, 0), (0, 1)), (0, 0), shape))
    assert true <= tolerance("deep gradient", engine="spectral")
    assert true <= erf.error


@pytest.mark.parametrize("ndim", [1, 2])
def test_images_of_one_tap_stay_one_pixel(ndim: int) -> None:
    """Kernels with a single tap each: a shift and a factor, whatever the period."""
    rng = generator(0, "deltas")
    net = Stack([Conv(3)], ndim=ndim) * 50
    weights, at, value = np.zeros((50, *(3,) * ndim)), [0] * ndim, 1.0
    for kernel in weights:
        tap = tuple(rng.integers(0, 3, ndim))
        kernel[tap] = rng.choice([-1.5, 0.75])
        at, value = [a + int(b) for a, b in zip(at, tap, strict=True)], value * kernel[tap]
    expected = np.zeros((101,) * ndim)
    expected[tuple(at)] = value
    for period in PERIODS:
        erf = spectral(net, weights, period=period)
        np.testing.assert_allclose(np.asarray(erf), expected, rtol=0, atol=1e-14 * abs(value))


@pytest.mark.parametrize("ndim", [1, 2])
def test_frequencies_without_any_response(ndim: int) -> None:
    """Differences have none at frequency 0, sums none at pi: whole lines of the spectrum are zero."""
    lines = [np.array([1, -1])] * 9 + [np.array([1, 1])] * 8 + [np.array([1, 0, -1])] * 5
    line = chain(lines).astype(np.float64)
    outer = np.multiply.outer(line, line) if ndim == 2 else line
    net = Stack([Conv(len(k)) for k in lines], ndim=ndim)
    weights = [np.multiply.outer(k, k).astype(float) if ndim == 2 else k.astype(float) for k in lines]
    for period in PERIODS:
        erf = spectral(net, weights, period=period)
        np.testing.assert_allclose(np.asarray(erf), outer, rtol=0, atol=tolerance("gradient") * np.abs(outer).max())


# ------------------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize("period", PERIODS)
def test_scales_of_layers_move_the_exponent_only(period: str) -> None:
    rng = generator(0, "wild scales")
    net = ef.parse("conv3 * 40")
    weights = signed_kernels(rng, 40, (3, 3)).astype(np.float64)
    powers = rng.integers(-1000, 1000, 40)
    plain = spectral(net, weights, period=period)
    wild = spectral(net, np.ldexp(weights, powers[:, None, None]), period=period)
    np.testing.assert_array_equal(wild.image, plain.image)
    assert wild.exponent == plain.exponent + int(powers.sum())  # type: ignore[operator]
    tiny = spectral(net, np.ldexp(weights, -1074), period=period)  # taps that are no normal numbers
    np.testing.assert_array_equal(tiny.image, plain.image)
    assert tiny.exponent == plain.exponent - 40 * 1074  # type: ignore[operator]


@pytest.mark.parametrize("seed", range(3))
def test_decimal_scales_from_the_smallest_to_the_largest(seed: int) -> None:
    rng = generator(seed, "decimal scales")
    net = ef.parse("conv3 * 15")
    weights = rng.standard_normal((15, 3, 3)) * 10.0 ** rng.integers(-300, 300, 15)[:, None, None]
    assert apart(spectral(net, weights), direct(net, weights)) <= tolerance("gradient")


def test_taps_of_one_kernel_that_are_far_apart_in_size() -> None:
    net = ef.parse("conv3 * 6", ndim=1)
    weights = np.array([[1e300, 1, -1e-300], [1e-310, -1e-320, 0], [-1, 1e-200, 1]] * 2)
    assert apart(spectral(net, weights), direct(net, weights)) <= tolerance("gradient")


@pytest.mark.parametrize(("text", "ndim"), [("conv3 * 60", 2), ("conv5 * 200", 1)])
def test_float32_is_float64_rounded_once(text: str, ndim: int) -> None:
    net = ef.parse(text, ndim=ndim)
    weights = normal_weights(net, "float32")
    fine, coarse = spectral(net, weights), spectral(net, weights, dtype="float32")
    assert coarse.image.dtype == np.float32
    assert apart(coarse, fine) <= tolerance("gradient", "float32", "spectral")
    assert apart(coarse, fine) <= coarse.error


# ------------------------------------------------------------------------------------------------ positions


@pytest.mark.parametrize("period", PERIODS)
def test_another_unit_is_another_place(period: str) -> None:
    net = ef.parse("conv3 * 5, conv3/2:p1, conv4 * 4, conv3/3")
    weights = normal_weights(net, "units")
    first = spectral(net, weights, period=period)
    for unit in [(1, 0), (-7, 1000), (10**6, -(10**6))]:
        other = spectral(net, weights, unit=unit, period=period)
        assert other.origin == tuple(o + 6 * u for o, u in zip(first.origin, unit, strict=True))
        np.testing.assert_array_equal(other.image, first.image)


def test_a_map_whose_border_is_not_met_is_the_plane() -> None:
    net = ef.parse("conv3:p1 * 10, conv3/2:p1, conv3:p1 * 5")
    weights = normal_weights(net, "maps")
    size, _, start = field(net)
    unit = (20, 25)
    assert all(s + 2 * u >= 0 and s + 2 * u + n <= 120 for s, u, n in zip(start, unit, size, strict=True))
    on_map = spectral(net, weights, input_size=120, unit=unit)
    assert_same_bits(on_map, spectral(net, weights, unit=unit))
    assert apart(on_map, direct(net, weights, input_size=120, unit=unit)) <= tolerance("gradient")


@pytest.mark.parametrize("ndim", [1, 2])
@pytest.mark.parametrize("period", PERIODS)
def test_windows_are_crops(ndim: int, period: str) -> None:
    net = ef.parse("conv3 * 60, conv2", ndim=ndim)
    weights = normal_weights(net, "windows")
    whole = spectral(net, weights, period=period)
    total = float((whole.image**2).sum())
    for window in [1, 8, 31, 70]:
        part = spectral(net, weights, window=window, period=period)
        assert part.shape == (window,) * ndim
        inside = tuple(slice(p - w, p - w + window) for p, w in zip(part.origin, whole.origin, strict=True))
        crop = whole.image[inside]
        scale = 2.0 ** (np.asarray(part.exponent) - np.asarray(whole.exponent))
        np.testing.assert_allclose(part.image * scale, crop, rtol=1e-15, atol=0)
        assert part.lost == pytest.approx(1 - float((crop**2).sum()) / total, abs=tolerance("account"))


# ------------------------------------------------------------------------------------------------ when it is taken, and refused


def test_deep_signed_stacks_take_it_by_themselves() -> None:
    net = ef.parse("conv3 * 200")
    weights = np.array(normal_weights(net, "auto"))
    erf = ef.gradient(net, weights)
    assert erf.engine == "spectral"
    assert "frequency by frequency" in erf.reason
    assert_same_bits(erf, spectral(net, weights))
    line = ef.gradient(ef.parse("conv3 * 1000", ndim=1), generator(0, "auto line").standard_normal((1000, 3)))
    assert line.engine == "spectral"


def test_deep_separable_signed_stacks_take_it_for_each_axis() -> None:
    n = 500
    rows, columns = (signed_kernels(generator(seed, "axes"), n, (3,)) for seed in range(2))
    erf = ef.gradient(Stack([Conv(3)]) * n, (rows[:, :, None] * columns[:, None, :]).astype(np.float64), window="full")
    assert (erf.engine, erf.separable) == ("spectral", True)
    shape: Any = erf.shape
    expected = lattice_image(truth(chain(rows)), truth(chain(columns)), ((1, 0), (0, 1)), (0, 0), shape)
    true = error(erf.image, int(np.asarray(erf.exponent)), expected)
    assert true <= erf.error <= tolerance("deep gradient", engine="spectral")


def test_shallow_signed_stacks_do_not_need_it() -> None:
    net = ef.parse("conv3 * 3")
    assert ef.gradient(net, normal_weights(net, "shallow")).engine == "direct"


@pytest.mark.parametrize(
    ("text", "options", "shape", "message"),
    [
        ("conv3:p1 * 5", {"input_size": 9}, (5, 3, 3), "the border of the map cuts layer by layer, which a spectrum cannot do"),
        ("conv3 * 5", {}, (5, 2, 2, 3, 3), "its layers have several channels"),
        ("conv3 * 5", {"ndim": 3}, (5, 3, 3, 3), "it has three axes"),
    ],
)
def test_networks_that_have_no_spectrum_are_refused_with_the_reason(text: str, options: Any, shape: Any, message: str) -> None:
    net = ef.parse(text, ndim=options.get("ndim", 2))
    weights = list(generator(0, "refused").standard_normal(shape))
    with pytest.raises(ValueError, match=rf'^engine="spectral" does not apply: {message}$'):
        ef.gradient(net, weights, engine="spectral", input_size=options.get("input_size"))


def test_a_promise_for_each_pixel_of_a_signed_stack_is_refused() -> None:
    weights = -np.abs(generator(0, "pixel").standard_normal((5, 3, 3)))
    with pytest.raises(ValueError, match=r'^accuracy="pixel" '):
        ef.gradient(ef.parse("conv3 * 5"), weights, engine="spectral", accuracy="pixel")


def test_a_tolerance_below_rounding_is_refused() -> None:
    net = ef.parse("conv3 * 300")
    weights = normal_weights(net, "too fine")
    reached = spectral(net, weights).error
    with pytest.raises(ef.AccuracyError, match=r"of the peak, above tol=1\.0e-16"):
        spectral(net, weights, tol=1e-16)
    assert spectral(net, weights, tol=2 * reached, period="full").error <= 2 * reached


@pytest.mark.parametrize("period", ["half", 512, None])
def test_periods_are_auto_or_full(period: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="period"):
        ef.gradient(ef.parse("conv3"), [np.ones((3, 3))], period=period)


def test_memory_is_asked_for_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    net = ef.parse("conv3 * 1000")
    weights = np.array(normal_weights(net, "memory"))
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", "60M")
    with pytest.raises(MemoryError, match=r'period="auto"'):
        spectral(net, weights, period="full", window=201)
    assert spectral(net, weights, window=201).shape == (201, 201)


# ------------------------------------------------------------------------------------------------ without negative taps


@pytest.mark.parametrize("ndim", [1, 2])
def test_non_negative_stacks_as_gradient_and_as_variance(ndim: int) -> None:
    """Relative to the peak the spectral engine serves these too, and no pixel of a variance is negative."""
    net = Stack([Conv(3), AvgPool(2, stride=1)], ndim=ndim) * 30
    weights = [np.abs(w) for w in normal_weights(net, "positive")]
    erf = ef.gradient(net, weights, engine="spectral", accuracy="peak", window="full")
    assert apart(erf, direct(net, weights)) <= min(erf.error + 1e-13, tolerance("gradient"))
    plain = Stack([Conv(3)], ndim=ndim) * 60
    image = ef.variance(plain, engine="spectral", accuracy="peak", window="full")
    assert image.engine == "spectral"
    assert (image.image >= 0).all()
    assert apart(image, ef.variance(plain, window="full")) <= min(image.error + 1e-13, tolerance("gradient"))
