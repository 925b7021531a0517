"""Deep signed stacks against truths that hold at any depth: the claim of the spectral engine, and the failure of loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from deep_oracles import (
    AXES,
    HAS_LONG_DOUBLE,
    LATTICES,
    NO_LONG_DOUBLE,
    Exact,
    Integers,
    Truth,
    Vectors,
    difference,
    error,
    folded,
    lattice_image,
    lattice_stack,
    line,
    long_double_image,
    named_stack,
    on_a_torus,
    on_lattice,
    power,
    response,
    response_of,
    truth,
    truth_of_long,
)
from erffast.layers import Conv, Stack
from strategies import FULL, cases, generator
from tolerances import tolerance

Array = NDArray[np.float64]

SEEDS = range(20 if FULL else 3)
DEEPEST_SEEDS = range(20 if FULL else 1)
ERROR_FLOOR = 2e-16  # a true error below one rounding of the peak is luck
CAUTION = 100.0  # how far the reported error may lie above the true one


# ------------------------------------------------------------------------------------------------ what is checked


def stack(kernels: Any) -> Stack:
    """One convolution per kernel [n, *kernel], no padding."""
    return Stack([Conv(np.shape(kernels)[1:])], ndim=np.ndim(kernels) - 1) * len(kernels)


def spectral(kernels: Any, **options: Any) -> ef.ERF:
    kernels = np.asarray(kernels, dtype=np.float64)
    erf = ef.gradient(stack(kernels), kernels, engine="spectral", **options)
    assert erf.engine == "spectral"
    assert erf.accuracy == "peak"
    return erf


def power_of_two(erf: ef.ERF) -> int:
    return int(np.asarray(erf.exponent))


def assert_right(image: NDArray[Any], exponent: int, expected: Truth) -> float:
    """The check that this library has to pass, and a loop does not; returns the error."""
    worst = error(image, exponent, expected)
    assert worst <= tolerance("deep gradient", engine="spectral"), f"{worst:.1e} of the peak"
    return worst


def assert_honest(erf: ef.ERF, true: float) -> None:
    """The reported error is not below the true one, and not so careful that it says nothing."""
    print(f"  true {true:.1e}  reported {erf.error:.1e}  ratio {erf.error / max(true, ERROR_FLOOR):.1f}")
    assert not erf.error_is_bound
    assert true <= erf.error, f"error {true:.1e}, reported {erf.error:.1e}"
    assert erf.error <= CAUTION * max(true, ERROR_FLOOR), f"error {true:.1e}, reported {erf.error:.1e}"


def assert_right_and_honest(erf: ef.ERF, expected: Truth) -> None:
    assert erf.origin == (0,) * erf.ndim  # nothing is padded: the field of unit 0 begins there, and all of it is asked for
    assert_honest(erf, assert_right(erf.image, power_of_two(erf), expected))


# ------------------------------------------------------------------------------------------------ the claim


@pytest.mark.parametrize("period", ["auto", "full"])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("n", "k"), [(300, 3), (300, 5), (1000, 3), (1000, 5)])
def test_one_axis(n: int, k: int, seed: int, period: str) -> None:
    kernels, exact = line(n, k, seed)
    assert_right_and_honest(spectral(kernels, window="full", period=period), truth(exact))


@pytest.mark.parametrize("period", ["auto", "full"])
@pytest.mark.parametrize("lattice", LATTICES)
@pytest.mark.parametrize("seed", SEEDS)
def test_two_axes_at_300_layers(lattice: str, seed: int, period: str) -> None:
    kernels, expected = named_stack(lattice, 300, seed)
    assert_right_and_honest(spectral(kernels, window="full", period=period), expected)


@pytest.mark.parametrize("lattice", ["3x3 diagonal", *(["5x5 diagonal"] if FULL else [])])
@pytest.mark.parametrize("seed", DEEPEST_SEEDS)
def test_two_axes_at_1000_layers(lattice: str, seed: int) -> None:
    kernels, expected = named_stack(lattice, 1000, seed)
    for period in ("auto", "full"):
        assert_right_and_honest(spectral(kernels, window="full", period=period), expected)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [300, *([1000] if FULL else [])])
def test_outer_products(n: int, seed: int) -> None:
    """Rank-one kernels, which may go axis by axis."""
    kernels, expected = lattice_stack(AXES, n, seed)
    assert_right_and_honest(spectral(kernels, window="full"), expected)


def assert_right_on_a_torus(image: NDArray[Any], exponent: int, sums: Exact) -> None:
    """Sums of pixels might err by the sum of their errors; these have to be as right as a pixel, relative to the peak of the pixels.

    A sum of many may be zero, where one kernel's taps cancel.
    """
    got = folded(image.astype(np.float64), sums.shape)  # type: ignore[arg-type]
    worst = difference(got, exponent, truth(sums, exponent)) / float(np.abs(image).max())
    print(f"  {worst:.1e} of the peak")
    assert worst <= tolerance("deep gradient", engine="spectral"), f"{worst:.1e} of the peak"


@pytest.mark.parametrize(
    ("n", "k", "periods"), [(300, 3, (31, 17)), (300, 5, (13, 32)), (300, 3, (1, 601)), (300, 3, (601, 1)), (1000, 3, (17, 12))]
)
@pytest.mark.parametrize("seed", DEEPEST_SEEDS)
def test_any_kernels_summed_on_a_torus(n: int, k: int, periods: tuple[int, int], seed: int) -> None:
    kernels, sums = on_a_torus(n, k, periods, seed)
    erf = spectral(kernels, window="full")
    assert_right_on_a_torus(erf.image, power_of_two(erf), sums)


needs_long_double = pytest.mark.skipif(not HAS_LONG_DOUBLE, reason=NO_LONG_DOUBLE)


@needs_long_double
@pytest.mark.parametrize(("n", "k"), [(100, 3), (100, 5), (300, 3), *([(300, 5), (1000, 3)] if FULL else [])])
def test_normal_kernels_against_long_double(n: int, k: int) -> None:
    kernels = generator(n, "long double").standard_normal((n, k, k))
    erf = spectral(kernels, window="full")
    period = n * (k - 1) + 1 if n < 1000 else 1001  # 19 standard deviations to either side: nothing comes round
    wrapped = np.zeros((2 * period, 2 * period))
    wrapped[: erf.shape[0], : erf.shape[1]] = erf.image
    wrapped = wrapped.reshape(2, period, 2, period).sum(axis=(0, 2))
    expected = truth_of_long(*long_double_image(kernels, (period, period)))
    assert_honest(erf, assert_right(wrapped, power_of_two(erf), expected))


@needs_long_double
@pytest.mark.parametrize(
    ("n", "sides", "window"), [(1000, (3, 3), 601), (100_000, (3,), 8001), *([(10_000, (3, 3), 2001)] if FULL else [])]
)
def test_the_response_of_any_depth(n: int, sides: tuple[int, ...], window: int) -> None:
    """The image's own Fourier sums, at frequencies that are on nobody's grid, against products in long double."""
    rng = generator(n, "response")
    kernels = 1 + 0.5 * rng.standard_normal((n, *sides))  # most of the energy is at low frequencies, where one knows to look
    erf = spectral(kernels, window=window)
    assert np.isfinite(erf.image).all()
    frequencies = np.asarray(rng.uniform(-np.pi, np.pi, (80, len(sides))), dtype=np.longdouble)
    frequencies[:40] /= np.sqrt(n)
    expected, exponent = response(kernels, frequencies)
    got = response_of(erf.image, erf.origin, frequencies)
    apart = np.abs(got - expected * np.ldexp(np.longdouble(1), exponent - power_of_two(erf)))
    largest = np.abs(got).max()
    print(f"  {float(apart.max() / largest):.1e} of the largest response, {float(largest / np.abs(erf.image).max()):.1e} of the peak")
    assert largest > 1  # of an image with its peak below 1: most of it is in what was looked at
    assert apart.max() <= tolerance("deep gradient", engine="spectral") * largest


# ------------------------------------------------------------------------------------------------ equal layers

REPEATS = 10_000


def repeated(kernel: Any, **options: Any) -> ef.ERF:
    """One kernel many times."""
    taps = np.asarray(kernel, dtype=np.float64)
    return spectral(np.broadcast_to(taps, (REPEATS, *taps.shape)), **options)


@pytest.mark.parametrize("taps", [(-1, 6, -1), (2, 5, -1), (1, -1), (3, 0, 0, 1, -2)], ids=str)
def test_ten_thousand_equal_layers(taps: tuple[int, ...]) -> None:
    erf = repeated(taps, window="full")
    true = error(erf.image, power_of_two(erf), truth(power(taps, REPEATS)))
    assert true <= tolerance("repeats", engine="spectral"), f"{true:.1e} of the peak"
    assert_honest(erf, true)


@pytest.mark.parametrize("vectors", [AXES, *(LATTICES[name][0] for name in ("5x3 sheared", "5x5 diagonal"))], ids=str)
def test_ten_thousand_equal_layers_in_two_axes(vectors: Vectors) -> None:
    taps = (-1, 6, -1), (1, 4, 1)  # symmetric: the image stays in the middle, where a window shows it
    erf = repeated(on_lattice(np.multiply.outer(*map(np.array, taps)), vectors), window=801)
    down, along = (truth(power(t, REPEATS)) for t in taps)
    true = error(erf.image, power_of_two(erf), lattice_image(down, along, vectors, erf.origin, erf.shape))  # type: ignore[arg-type]
    assert true <= tolerance("repeats", engine="spectral"), f"{true:.1e} of the peak"
    assert_honest(erf, true)


@pytest.mark.parametrize("taps", [(1, 2, -1, 2), (-1, -3, -2, -4, 4)], ids=str)
def test_a_second_lobe_far_away_is_not_folded_onto_the_first(taps: tuple[int, ...]) -> None:
    """A kernel whose gain has two maxima, of nearly the same height and with different delays, leaves two lobes far apart.

    The smaller one holds too little energy for the spread of the energy to show it, and may miss the seam of a period.
    """
    expected = truth(power(taps, 1000))
    erf = spectral(np.broadcast_to(np.array(taps, dtype=np.float64), (1000, len(taps))), window="full", period="auto")
    assert_right_and_honest(erf, expected)


def test_nor_in_two_axes() -> None:
    kernel = [[0.515, -1.49, 0.62], [2.567, -0.227, 1.117], [0.458, 2.119, 0.135]]
    weights = np.broadcast_to(np.array(kernel), (300, 3, 3))
    one, whole = (spectral(weights, window="full", period=period) for period in ("auto", "full"))
    expected = Truth(whole.image, np.zeros_like(whole.image), power_of_two(whole))
    assert error(one.image, power_of_two(one), expected) <= one.error + whole.error


@pytest.mark.parametrize("far", [640, 1280])
def test_a_small_tap_far_away_is_not_folded_onto_the_rest(far: int) -> None:
    kernels, exact = line(1000, 3, 0)
    last = np.zeros(far + 1)
    last[[0, -1]] = 1024, 1  # the image, and 1/1024 of it far away
    shifted = np.zeros(len(exact) + far, dtype=object)
    shifted[: len(exact)] += 1024 * exact
    shifted[far:] += exact
    net = Stack([stack(kernels), Conv(far + 1)], ndim=1)
    erf = ef.gradient(net, [*kernels.astype(np.float64), last], engine="spectral", window="full", period="auto")
    assert_right_and_honest(erf, truth(shifted))


@pytest.mark.parametrize("k", [2, 3, 6])
def test_ten_thousand_boxes(k: int) -> None:
    erf = ef.variance(Stack([Conv(k)], ndim=1) * REPEATS, engine="spectral", accuracy="peak", window="full")
    assert erf.engine == "spectral"
    exact = power((1,) * k, REPEATS)
    true = true_share(erf, exact, k**REPEATS)
    assert true <= tolerance("repeats", engine="spectral"), f"{true:.1e} of the peak"
    assert true <= erf.error


def true_share(erf: ef.ERF, exact: Exact, total: int) -> float:
    """max |image - exact / total| / peak, with 1 / total to 120 bits."""
    bits = total.bit_length() + 120
    return error(erf.image, power_of_two(erf) + bits, truth(exact * ((1 << bits) // total)))


# ------------------------------------------------------------------------------------------------ the failure of loops


def float32_loop(kernels: Integers) -> tuple[NDArray[np.float32], int]:
    """Layer by layer in float32, brought back to a peak near 1 after each layer: what one writes first."""
    image, exponent = np.ones((1, 1), dtype=np.float32), 0
    for kernel in kernels.astype(np.float32):
        out = np.zeros((image.shape[0] + kernel.shape[0] - 1, image.shape[1] + kernel.shape[1] - 1), dtype=np.float32)
        for (a, b), tap in np.ndenumerate(kernel):
            if tap:
                out[a : a + image.shape[0], b : b + image.shape[1]] += tap * image
        shift = int(np.frexp(np.abs(out).max())[1])
        image, exponent = np.ldexp(out, -shift), exponent + shift
    return image, exponent


def torch_loop(kernels: Integers) -> tuple[NDArray[np.float32], int]:
    """The same by torch, as a full convolution."""
    torch = pytest.importorskip("torch", reason="torch is the framework that is looked at")
    torch.set_num_threads(1)  # on maps this small, waking threads costs more than the work
    image, exponent = torch.ones((1, 1, 1, 1), dtype=torch.float32), 0
    # torch correlates: the kernel is turned round
    for kernel in torch.from_numpy(np.ascontiguousarray(kernels[:, ::-1, ::-1]).astype(np.float32)):
        image = torch.nn.functional.conv2d(image, kernel[None, None], padding=tuple(k - 1 for k in kernel.shape))
        shift = int(np.frexp(float(image.abs().max()))[1])
        image, exponent = image * 2.0**-shift, exponent + shift
    return image[0, 0].numpy(), exponent


@pytest.mark.parametrize("loop", [float32_loop, torch_loop])
def test_a_loop_in_float32_is_seen_to_fail(loop: Any) -> None:
    """It is right where it is shallow. At 300 layers it fails the check that the spectral engine passes, by eight orders of ten."""
    kernels, expected = named_stack("5x3 sheared", 10, 0)
    assert error(*loop(kernels), expected) <= 1e-5
    kernels, sums = on_a_torus(300, 3, (31, 17), 0)
    image, exponent = loop(kernels)
    with pytest.raises(AssertionError, match=r"e-0[123] of the peak"):
        assert_right_on_a_torus(image, exponent, sums)
    erf = spectral(kernels, window="full")
    assert_right_on_a_torus(erf.image, power_of_two(erf), sums)


@pytest.mark.parametrize("name", LATTICES)
def test_the_direct_engine_agrees_where_it_is_shallow(name: str) -> None:
    kernels, expected = named_stack(name, 16, 0)
    erf = ef.gradient(stack(kernels), kernels.astype(np.float64), engine="direct")
    assert erf.engine == "direct"
    assert error(erf.image, power_of_two(erf), expected) <= tolerance("gradient")


def test_a_small_mistake_is_seen() -> None:
    """The check finds one pixel wrong by more than the tolerance, and an exponent off by one."""
    _, expected = named_stack("5x3 sheared", 20, 0)
    image = expected.high.copy()
    assert assert_right(image, expected.exponent, expected) < 2e-16
    image[3, 4] += 2 * tolerance("deep gradient", engine="spectral") * expected.peak
    with pytest.raises(AssertionError, match="of the peak"):
        assert_right(image, expected.exponent, expected)
    with pytest.raises(AssertionError, match="of the peak"):
        assert_right(expected.high, expected.exponent + 1, expected)


@pytest.mark.parametrize(("taps", "far"), [(34, 1e-3), (1001, 1e-6), (3001, 1e-8)])
def test_nor_is_one_that_whole_periods_hide(taps: int, far: float) -> None:
    """Between two frequencies of the grid, half way, a shift of two periods has its phase right."""
    last = np.zeros(taps)
    last[[0, -1]] = 1.0, far
    weights = [*generator(taps, "far").standard_normal((200, 3)), last]
    net = Stack([*[Conv(3)] * 200, Conv(taps)], ndim=1)
    one, whole = (ef.gradient(net, weights, engine="spectral", period=period) for period in ("auto", "full"))
    apart = np.abs(np.ldexp(one.image, int(one.exponent) - int(whole.exponent)) - whole.image).max()
    assert apart <= one.error + whole.error


@pytest.mark.parametrize("number", cases(12, 300))
def test_notches_all_around_the_circle(number: int) -> None:
    """Most of the error lies near the zeros, where next to nothing of the energy is; double-double arithmetic tells it."""
    rng = generator(number, "notches")
    n = int(rng.integers(30, 160))
    middle = -2 * np.cos(rng.permutation(rng.uniform(0, np.pi, n)))
    net = Stack([Conv(3)], ndim=1) * n
    weights = np.stack([np.ones(n), middle, np.ones(n)], axis=1)
    got = ef.gradient(net, weights, engine="spectral", tol=0.1)
    try:
        truth = ef.gradient(net, weights, engine="direct", tol=1e-14)
    except ef.AccuracyError:
        return  # beyond double-double arithmetic: no truth
    apart = np.abs(np.ldexp(got.image, int(got.exponent) - int(truth.exponent)) - truth.image).max()
    assert apart <= got.error + truth.error
