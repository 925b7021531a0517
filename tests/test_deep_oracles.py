"""Deep signed stacks against truths that hold at any depth; and those truths against each other, where they are not yet needed."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from deep_oracles import (
    HAS_LONG_DOUBLE,
    NO_LONG_DOUBLE,
    Exact,
    Integers,
    Truth,
    Vectors,
    chain,
    error,
    folded,
    lattice_image,
    long_double_image,
    on_lattice,
    on_torus,
    power,
    response,
    response_of,
    signed_kernels,
    truth,
    truth_of_long,
    unit_roots,
)
from erffast.layers import Conv, Stack
from erffast.reference import backward_step
from strategies import FULL, generator
from tolerances import tolerance

Array = NDArray[np.float64]

AXES: Vectors = ((1, 0), (0, 1))
DIAGONALS: Vectors = ((1, 1), (1, -1))
# Two 1-D chains of 3 taps laid out along these vectors, and whether a layer belongs to both of them, or to one and the other in
# turn. None of these kernels is an outer product of its rows and columns.
LATTICES: dict[str, tuple[Vectors, bool]] = {
    "3x3 diagonal": (DIAGONALS, False),
    "5x3 sheared": (((1, 0), (1, 1)), True),
    "5x5 diagonal": (DIAGONALS, True),
}
SEEDS = range(20 if FULL else 3)
DEEPEST_SEEDS = range(20 if FULL else 1)
ERROR_FLOOR = 2e-16  # a true error below one rounding of the peak is luck
CAUTION = 100.0  # how far the reported error may lie above the true one


# ------------------------------------------------------------------------------------------------ deep stacks with their truths


@lru_cache(maxsize=4)
def line(n: int, k: int, seed: int) -> tuple[Integers, Exact]:
    """Signed 1-D kernels [n, k] and their chain."""
    kernels = signed_kernels(generator(seed, f"deep line {n} {k}"), n, (k,))
    return kernels, chain(kernels)


def lattice_stack(vectors: Vectors, n: int, seed: int, *, both: bool = True) -> tuple[Integers, Truth]:
    """Kernels [n, ky, kx] laid out along the vectors, and the image of their chain."""
    (rows, down), (columns, along) = (line(n if both else n // 2, 3, s) for s in (seed, 1000 + seed))
    one = np.ones(1, dtype=np.int64)
    pairs = [pair for r, c in zip(rows, columns, strict=True) for pair in ([(r, c)] if both else [(r, one), (one, c)])]
    kernels = np.array([on_lattice(np.multiply.outer(*pair), vectors) for pair in pairs])
    shape = kernels.shape[1:]
    full = (n * (shape[0] - 1) + 1, n * (shape[1] - 1) + 1)
    return kernels, lattice_image(truth(down), truth(along), vectors, (0, 0), full)


def named_stack(name: str, n: int, seed: int) -> tuple[Integers, Truth]:
    vectors, both = LATTICES[name]
    return lattice_stack(vectors, n, seed, both=both)


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


@lru_cache(maxsize=2)
def on_a_torus(n: int, k: int, periods: tuple[int, int], seed: int) -> tuple[Integers, Truth]:
    """Kernels without any structure [n, k, k], and their image summed over the classes of pixels modulo the periods."""
    kernels = signed_kernels(generator(seed, f"torus {n} {k}"), n, (k, k))
    return kernels, truth(on_torus(kernels, periods))


def assert_right_on_a_torus(image: NDArray[Any], exponent: int, sums: Truth) -> float:
    """Sums of pixels might err by the sum of their errors; these have to be as right as a pixel. Returns the error / peak of a pixel."""
    periods: Any = sums.high.shape
    apart = error(folded(image.astype(np.float64), periods), exponent, sums)
    worst = apart * sums.peak / math.ldexp(float(np.abs(image).max()), exponent - sums.exponent)
    print(f"  {worst:.1e} of the peak")
    assert worst <= tolerance("deep gradient", engine="spectral"), f"{worst:.1e} of the peak"
    return worst


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
    """max |image - exact / total| / peak."""
    bits = total.bit_length() + 200
    shares = np.frompyfunc(lambda v: (v << bits) // total, 1, 1)(exact)
    return error(erf.image, power_of_two(erf) + bits, truth(shares))


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


# ------------------------------------------------------------------------------------------------ the truths themselves


def image_by_definition(kernels: Any) -> Exact:
    """Pixel by pixel in Python integers."""
    image = np.ones((1,) * (np.ndim(kernels) - 1), dtype=object)
    for kernel in kernels:
        taps = np.frompyfunc(int, 1, 1)(kernel)
        image = backward_step(image, taps, dtype=object)[1]
    return image


@pytest.mark.parametrize("k", [1, 2, 3, 7])
def test_chains_are_the_definition(k: int) -> None:
    kernels = signed_kernels(generator(k, "chains"), 37, (k,))
    assert (chain(kernels) == image_by_definition(kernels)).all()
    spacings = [1, 2, 3, 8] * 3
    strided = np.array([1], dtype=object)
    for kernel, spacing in zip(kernels, spacings, strict=False):
        strided = backward_step(strided, np.frompyfunc(int, 1, 1)(kernel), dilation=spacing, dtype=object)[1]
    assert (chain(kernels[:12], spacings) == strided).all()


@pytest.mark.parametrize("taps", [(-1, 6, -1), (2, 5, -1), (1, -1), (3, 0, 0, 1, -2), (4,)], ids=str)
def test_powers_are_chains(taps: tuple[int, ...]) -> None:
    assert (power(taps, 23) == chain([taps] * 23)).all()


def test_truths_hold_a_hundred_bits() -> None:
    exact = chain(signed_kernels(generator(0, "truth"), 400, (3,)))
    given = truth(exact)
    scale = max(abs(v) for v in exact)
    for v, high, low in zip(exact, given.high, given.low, strict=True):
        whole = sum(p * 2**given.exponent * 2**1200 // q for p, q in (high.as_integer_ratio(), low.as_integer_ratio()))
        assert abs(whole - v * 2**1200) <= scale * 2**1200 >> 104


@pytest.mark.parametrize("name", LATTICES)
def test_images_on_lattices_are_the_definition(name: str) -> None:
    kernels, expected = named_stack(name, 9 if LATTICES[name][1] else 10, 0)
    assert max(np.linalg.matrix_rank(kernel) for kernel in kernels) > 1
    exact = image_by_definition(kernels)
    assert exact.shape == expected.high.shape
    assert (
        np.frompyfunc(lambda h, lo: int(h * 2.0**expected.exponent) + int(lo * 2.0**expected.exponent), 2, 1)(*expected[:2]) == exact
    ).all()
    deep, whole = named_stack(name, 40, 1)
    vectors, both = LATTICES[name]
    part = lattice_image(*(truth(line(40 if both else 20, 3, s)[1]) for s in (1, 1001)), vectors, (7, 11), (40, 40))
    assert (part.high == whole.high[7:47, 11:51]).all()
    # products in double-double: against integers, where they have more than 53 bits
    worst = np.frompyfunc(lambda v, h, lo: abs(v * 2**1200 - sum(apart(x, whole.exponent) for x in (h, lo))), 3, 1)
    exact = image_by_definition(deep)
    assert worst(exact, *whole[:2]).max() <= max(abs(v) for v in exact.ravel()) * 2**1200 >> 98


def apart(value: float, exponent: int) -> int:
    """value * 2**(exponent + 1200) as an integer."""
    p, q = float(value).as_integer_ratio()
    return p * 2 ** (exponent + 1200) // q


@pytest.mark.parametrize("periods", [(1, 1), (3, 5), (8, 2), (1, 40), (40, 40)])
def test_tori_are_folded_images(periods: tuple[int, int]) -> None:
    kernels = signed_kernels(generator(0, "torus"), 12, (3, 4))
    image = image_by_definition(kernels)
    sums = np.array([[image[y :: periods[0], x :: periods[1]].sum() for x in range(periods[1])] for y in range(periods[0])])
    assert (on_torus(kernels, periods) == sums).all()
    assert (folded(image.astype(np.float64), periods) == sums).all()  # small enough to be exact
    apart_by_two = on_torus(kernels, (80, 80), [(2, 1)] * 12)
    assert (apart_by_two[: 2 * image.shape[0] - 1 : 2, : image.shape[1]] == image).all()


@needs_long_double
@pytest.mark.parametrize("n", [1, 2, 7, 8, 12, 601, 1000])
def test_roots_of_unity(n: int) -> None:
    z = unit_roots(n)
    assert z[0] == 1
    assert np.abs(z * np.conj(z) - 1).max() <= 2 * np.finfo(np.longdouble).eps
    j = np.arange(n)
    assert np.abs(z * z[(7 * j) % n] - z[(8 * j) % n]).max() <= 4 * np.finfo(np.longdouble).eps
    assert abs(z[n // 3] - np.exp(-2j * np.pi * (n // 3) / n)) < 1e-15


@needs_long_double
@pytest.mark.parametrize("name", LATTICES)
def test_long_double_products_are_right_at_depth(name: str) -> None:
    kernels, expected = named_stack(name, 100, 0)
    image, exponent = long_double_image(kernels.astype(np.float64), expected.high.shape)  # type: ignore[arg-type]
    got = truth_of_long(image, exponent)
    worst = np.abs(got.high - np.ldexp(expected.high, s := expected.exponent - got.exponent) + (got.low - np.ldexp(expected.low, s)))
    assert worst.max() <= 1e-16 * expected.peak


@needs_long_double
@pytest.mark.parametrize("ndim", [1, 2])
def test_responses_are_fourier_sums(ndim: int) -> None:
    kernels = signed_kernels(generator(ndim, "responses"), 10, (3,) * ndim)
    frequencies = np.asarray(generator(0, "frequencies").uniform(-np.pi, np.pi, (20, ndim)), dtype=np.longdouble)
    mantissas, exponent = response(kernels.astype(np.float64), frequencies)
    expected = mantissas * np.ldexp(np.longdouble(1), exponent)
    got = response_of(image_by_definition(kernels).astype(np.float64), (0,) * ndim, frequencies)
    assert np.abs(got - expected).max() <= 1e-15 * np.abs(expected).max()
    moved = response_of(image_by_definition(kernels).astype(np.float64), (3,) * ndim, frequencies)
    assert np.abs(moved * np.exp(3j * frequencies.sum(axis=1)) - got).max() <= 1e-15 * np.abs(expected).max()


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
