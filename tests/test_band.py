"""The band-limited engine: its bounds are never below the true errors, of images, tails and spectra known exactly."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from band_runs import lowered, resources
from deep_oracles import Truth, Vectors, chain, error, lattice_image, on_lattice, power, truth
from erffast import _core, execution
from erffast.chain import Box, Chain
from erffast.errors import AccuracyError
from erffast.layers import Conv, Stack
from erffast.lowering import lower_gradient
from erffast.spectral.band import Certified, run_band
from erffast.spectral.plan import Plan
from oracles import exact_variance
from strategies import FULL, batches, generator
from tolerances import tolerance

Array = NDArray[np.float64]
TOL = 1e-12
# Deep stacks of kernels like those of networks: how far the bound may lie above the true error.
CAUTION = 1000.0


def true_pixels(chain: Chain, box: Box) -> tuple[Array, int, float, float, float]:
    """By the direct engine, one draw: pixels of a box, exponent, the relative error of each (a bound), peak and share outside."""
    outcome = execution.run_direct(chain, dtype="float64", trim=0.0, resources=resources())[0]
    whole = outcome.write(chain.box, np.ones(1))[0]
    low, high = ([n - o for n, o in zip(corner, chain.box[0], strict=True)] for corner in box)
    pixels = whole[low[0] : high[0] + 1, low[1] : high[1] + 1]
    outside = whole.copy()
    outside[low[0] : high[0] + 1, low[1] : high[1] + 1] = 0
    beyond = float(outside.sum() / whole.sum())
    return pixels, int(outcome.exponents[0]), float(outcome.rounding[0]), float(pixels.max()), beyond


def check_against_layers(chain: Chain, *, box: Box | None = None, tol: float = TOL) -> Certified:
    """Run, and compare with the direct engine, which is right pixel by pixel: the error bound, the window, what it leaves out."""
    (found,), crop = run_band(chain, box=box, tol=tol, resources=resources())
    assert box is None or crop == box
    assert all(a >= c and b <= d for a, b, c, d in zip(*crop, *chain.box, strict=True)), "the window lies in the field"
    pixels, exponent, relative, peak, beyond = true_pixels(chain, crop)
    got = np.ldexp(found.write(crop, np.ones(1))[0], int(found.exponents[0]) - exponent)
    assert got.shape == pixels.shape
    assert got.min() >= 0
    worst = float(np.abs(got - pixels).max()) / peak
    assert worst <= found.bound + relative, "the bound on the error"
    assert found.truncation[0] <= tol / 2
    assert beyond * (1 - 2 * relative - 1e-13) <= found.trimmed[0], "the bound on what lies outside the window"
    assert box is not None or found.trimmed[0] <= tol
    return found


# ------------------------------------------------------------------------------------------------ images


@pytest.mark.parametrize("n", [100, 300])
@pytest.mark.parametrize("k", [2, 3, *([4, 5] if FULL else []), (2, 3), (1, 5)], ids=str)
@pytest.mark.parametrize("peaked", [False, True], ids=["even taps", "peaked taps"])
def test_stacks_of_distinct_kernels(n: int, k: Any, peaked: bool) -> None:
    sides = k if isinstance(k, tuple) else (k, k)
    kernels = generator(n, "band").random((n, *sides)) ** (8 if peaked else 1)
    assert check_against_layers(lowered(kernels)).bound <= 1e-10


@pytest.mark.parametrize("numbers", batches(60, 1000, 20))
def test_random_stacks(numbers: range) -> None:
    """Any sides, dilations, strides, units, repeats, windows and tolerances, in shallow stacks."""
    for number in numbers:
        rng = generator(number, "band stacks")
        layers, kernels = [], []
        for _ in range(int(rng.integers(1, 9))):
            sides, repeats = tuple(rng.integers(1, 6, 2).tolist()), int(rng.choice([1, 1, 2, 40]))
            narrow = sum(sides) * repeats > 150
            stride = 1 if narrow or repeats > 2 else tuple(rng.choice([1, 1, 1, 2, 3], 2).tolist())
            dilation = 1 if narrow else tuple(rng.choice([1, 1, 2, 5], 2).tolist())
            kernel = rng.random(sides) ** rng.choice([1, 20]) * (rng.random(sides) < rng.choice([0.4, 1.0]))
            kernel[tuple(rng.integers(0, sides))] = 1.0
            layers += [Conv(sides, stride=stride, dilation=dilation, padding=tuple(rng.integers(0, 3, 2).tolist()))] * repeats
            kernels += [kernel * 2.0 ** int(rng.integers(-900, 900))] * repeats
        chain = lower_gradient(Stack(layers, ndim=2), kernels, None, tuple(rng.integers(-50, 50, 2).tolist()))
        if math.prod(b - a + 1 for a, b in zip(*chain.box, strict=True)) > 400_000:
            continue
        try:
            found = check_against_layers(chain, tol=float(rng.choice([1e-12, 1e-6, 1e-2, 0.5, 1e-30])))
            assert found.bound < 1
        except Exception as exc:
            raise AssertionError(f"case {number}: {exc}\n{layers} {kernels}") from exc


def corners(*places: tuple[int, int], side: int = 3) -> Array:
    kernel = np.zeros((side, side))
    kernel[tuple(zip(*places, strict=True))] = 1.0
    return kernel


# In each the spectrum does not fall off everywhere, or hardly at all, or the image is nothing like a Gaussian.
NASTY: dict[str, tuple[Array, dict[str, Any]]] = {
    "end taps, every second pixel": (corners((0, 0), (0, 2), (2, 0), (2, 2)), {}),
    "end taps of one axis": (corners((1, 0), (1, 2)), {}),
    "checkerboard": (corners((0, 1), (1, 0), (1, 2), (2, 1)), {}),
    "a diagonal line": (corners((0, 0), (1, 1)), {}),
    "two taps a side": (np.ones((2, 2)), {}),
    "far apart": (np.arange(1.0, 10.0).reshape(3, 3), {"dilation": 8}),
    "one huge tap": (np.full((3, 3), 1e-9) + corners((2, 0)), {}),
    "one tap beside the least": (np.full((3, 3), 1e-300) + corners((2, 0)), {}),
    "one tap": (corners((0, 2)), {}),
    "one pixel": (np.ones((1, 1)), {}),
}


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("distinct", [True, False], ids=["distinct", "repeated"])
def test_bounds_hold_where_spectra_are_not_gaussian(name: str, distinct: bool) -> None:
    kernel, conv = NASTY[name]
    n = 30 if conv else 150
    weights = 1 + (generator(0, name).random((n, *kernel.shape)) if distinct else np.zeros((n, 1, 1)))
    found = check_against_layers(lowered(kernel * weights, **conv))
    assert found.bound <= 1e-10


def test_alternating_huge_taps() -> None:
    """The image is nearly one pixel: not what a Gaussian of its covariance, by which period and band are planned, looks like."""
    first, second = (np.full((3, 3), 1e-9) + corners(place) for place in ((2, 0), (0, 1)))
    assert check_against_layers(lowered([first * (1 + i / 100) if i % 2 else second for i in range(100)])).bound <= 1e-10


@pytest.mark.parametrize("number", range(12 if FULL else 4))
def test_shallow_stacks_equal_exact_rationals(number: int) -> None:
    rng = generator(number, "band exact")
    kernels = [rng.integers(0, 9, tuple(rng.integers(1, 5, 2))) for _ in range(10)]
    for kernel in kernels:
        kernel[0, 0] += 1
    strides = [int(s) for s in rng.choice([1, 1, 2], 10)]
    convs = [Conv(k.shape, stride=s, padding=1, tap_variance=k.tolist()) for k, s in zip(kernels, strides, strict=True)]
    origin, numerators, _, _ = exact_variance(Stack(convs, ndim=2), None, (3, -2))
    net = Stack([Conv(k.shape, stride=s, padding=1) for k, s in zip(kernels, strides, strict=True)], ndim=2)
    chain = lower_gradient(net, [k.astype(np.float64) for k in kernels], None, (3, -2))
    (found,), crop = run_band(chain, box=chain.box, tol=TOL, resources=resources())
    assert origin == crop[0]
    assert numerators.shape == tuple(b - a + 1 for a, b in zip(*crop, strict=True))
    assert error(found.write(crop, np.ones(1))[0], int(found.exponents[0]), truth(numerators)) <= found.bound <= 1e-10
    assert found.trimmed[0] == 0


LATTICES: dict[str, Vectors] = {"outer products": ((1, 0), (0, 1)), "sheared": ((1, 0), (1, 1)), "diagonal": ((1, 1), (1, -1))}


@cache
def deep_lines(n: int) -> tuple[NDArray[np.int64], list[Truth]]:
    """Integer kernels of two 1-D chains, and those chains."""
    lines = generator(n, "band lines").integers(1, 50, (2, n, 3))
    return lines, [truth(chain(line)) for line in lines]


@pytest.mark.parametrize("name", LATTICES)
@pytest.mark.parametrize("n", [1000, *([3000] if FULL else [])])
def test_deep_stacks_equal_exact_integers(name: str, n: int) -> None:
    """Products of 1-D chains of integers, laid out along the axes or other lattices, of which kernels of full rank come."""
    lines, (rows, columns) = deep_lines(n)
    vectors = LATTICES[name]
    chain_of_all = lowered(on_lattice(np.multiply.outer(a, b), vectors) for a, b in zip(*lines, strict=True))
    # nothing to speak of is left out, so that the bound on rounding has to hold by itself
    (found,), crop = run_band(chain_of_all, box=None, tol=1e-18, resources=resources())
    low = tuple(a - b for a, b in zip(crop[0], chain_of_all.box[0], strict=True))
    shape = tuple(b - a + 1 for a, b in zip(*crop, strict=True))
    expected = lattice_image(rows, columns, vectors, (low[0], low[1]), (shape[0], shape[1]))
    worst = error(found.write(crop, np.ones(1))[0], int(found.exponents[0]), expected)
    assert worst <= found.bound <= 1e-10
    if name != "diagonal":  # there a second peak of the spectrum, at the highest frequencies, is bounded with less care
        assert found.bound <= CAUTION * worst, "the bound is of some use"


def test_ten_thousand_equal_kernels_lose_nothing() -> None:
    """The bound knows that powers are taken in double-double arithmetic."""
    taps = [1, 3, 2]
    chain_of_all = lowered([np.multiply.outer(taps, taps)] * 10_000)
    (found,), crop = run_band(chain_of_all, box=None, tol=1e-14, resources=resources())
    low = tuple(a - b for a, b in zip(crop[0], chain_of_all.box[0], strict=True))
    height, width = (b - a + 1 for a, b in zip(*crop, strict=True))
    line = truth(power(taps, 10_000))
    expected = lattice_image(line, line, LATTICES["outer products"], (low[0], low[1]), (height, width))
    assert error(found.write(crop, np.ones(1))[0], int(found.exponents[0]), expected) <= found.bound <= 1e-13


def test_a_hundred_thousand_layers_have_the_moments_of_their_taps() -> None:
    n = 100_000 if FULL else 20_000
    kernels = generator(n, "band moments").random((n, 3, 3))
    kernels[:, 0, 2] += 0.1  # a drift of thousands of pixels
    chain_of_all = lower_gradient(Stack([Conv(3)], ndim=2) * n, kernels)
    (found,), _ = run_band(chain_of_all, box=None, tol=TOL, resources=resources(2))
    masses = kernels / kernels.sum(axis=(1, 2), keepdims=True)
    at = np.arange(3) - 1.0
    for axis in (0, 1):
        profiles = masses.sum(axis=2 - axis)
        means = profiles @ at
        mean, std = n + math.fsum(means), math.sqrt(math.fsum(profiles @ at**2 - means**2))
        marginal, (first, last) = found.marginal(0, axis), found.span(0, axis)
        pixels = np.arange(first, last + 1) - mean
        share = marginal / marginal.sum()
        assert abs(share @ pixels) <= tolerance("std") * std
        assert abs(math.sqrt(share @ pixels**2) / std - 1) <= tolerance("std")


def test_draws_share_a_window_and_keep_their_own_accounts() -> None:
    rng = generator(0, "band draws")
    weights = rng.random((3, 60, 3, 3)) ** np.array([1, 9, 4])[:, None, None, None]
    weights[2, :, 0, 0] += 3.0  # wanders off
    together = lower_gradient(Stack([Conv(3)] * 60, ndim=2), weights)
    (found,), crop = run_band(together, box=None, tol=TOL, resources=resources(2))
    images = found.write(crop, np.ones(3))
    for draw in range(3):
        pixels, exponent, relative, peak, beyond = true_pixels(lower_gradient(Stack([Conv(3)] * 60, ndim=2), weights[draw]), crop)
        got = np.ldexp(images[draw], int(found.exponents[draw]) - exponent)
        assert np.abs(got - pixels).max() <= (found.errors[draw] + relative) * peak
        assert beyond <= found.trimmed[draw] <= TOL
        assert found.peaks[draw] == images[draw].max()
    assert len({float(e) for e in found.errors}) == 3


@pytest.mark.parametrize(
    "box",
    [((50, 50), (70, 70)), ((60, 60), (60, 60)), ((0, 0), (120, 120)), ((40, 56), (50, 119)), ((35, 60), (37, 61))],
    ids=["middle", "one pixel", "all", "beside", "in the tail"],
)
def test_windows_of_any_place(box: Box) -> None:
    check_against_layers(lowered(generator(0, "band box").random((60, 3, 3))), box=box)


def test_the_mass_of_windows() -> None:
    """Marginals are the sums of the pixels, and a window knows its share of the mass."""
    chain_of_all = lowered(generator(1, "band box").random((60, 3, 3)))
    box = ((50, 55), (70, 69))
    (found,), _ = run_band(chain_of_all, box=box, tol=TOL, resources=resources())
    _, _, _, _, beyond = true_pixels(chain_of_all, box)
    assert found.trimmed[0] == pytest.approx(beyond, rel=1e-9)
    pixels = found.write(box, np.ones(1))[0] / found.peaks[0]
    for axis in (0, 1):
        np.testing.assert_allclose(found.marginal(0, axis), pixels.sum(axis=1 - axis), rtol=1e-12)
        assert found.span(0, axis) == (box[0][axis], box[1][axis])


def test_the_result_says_what_it_keeps() -> None:
    weights = generator(2, "band result").random((200, 3, 3))
    net = Stack([Conv(3)] * 200, ndim=2)
    got = ef.gradient(net, weights, engine="spectral")
    exact = ef.gradient(net, weights, engine="direct", window="full")
    low = [a - b for a, b in zip(got.origin, exact.origin, strict=True)]
    part = exact.image[low[0] : low[0] + got.shape[0], low[1] : low[1] + got.shape[1]]
    assert np.abs(np.ldexp(got.image, int(got.exponent) - int(exact.exponent)) - part).max() <= (got.error + exact.error) * part.max()
    assert (got.engine, got.accuracy, got.error_is_bound, got.lost_is_bound) == ("spectral", "peak", True, True)
    assert 0 < got.lost <= TOL


def test_the_same_bits_for_any_number_of_threads() -> None:
    chain_of_all = lowered(generator(3, "band threads").random((150, 5, 5)))
    images = []
    for threads in (1, 3):
        (found,), crop = run_band(chain_of_all, box=None, tol=TOL, resources=resources(threads))
        images.append(found.write(crop, np.ones(1)).copy())
    assert images[0].tobytes() == images[1].tobytes()


# ------------------------------------------------------------------------------------------------ guesses and refusals


def test_a_peak_guessed_too_high_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Period and band are planned for a guessed peak, and planned again where the image shows that they left out too much."""
    runs: list[tuple[int, int]] = []
    native = _core.spectrum

    def counted(layers: Any, shape: tuple[int, int], *rest: Any) -> Any:
        runs.append(shape)
        return native(layers, shape, *rest)

    monkeypatch.setattr(_core, "spectrum", counted)
    chain_of_all = lowered(generator(4, "band guess").random((200, 3, 3)))
    check_against_layers(chain_of_all)
    assert len(runs) == 1
    monkeypatch.setattr(Plan, "guess_peak", lambda self, box: setattr(self, "log_peak", 20.0))
    check_against_layers(chain_of_all)
    assert len(runs) >= 3
    assert runs[-1] > runs[1]


def test_windows_without_a_certain_pixel_are_refused() -> None:
    with pytest.raises(AccuracyError, match=r'does not stand out from what a spectrum is certain to, .*accuracy="pixel" keeps such pixels'):
        run_band(lowered(generator(5, "band").random((60, 3, 3))), box=((0, 0), (5, 5)), tol=TOL, resources=resources())


def test_memory_is_asked_for_first(monkeypatch: pytest.MonkeyPatch) -> None:
    chain_of_all = lowered(generator(6, "band").random((100, 3, 3)))
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", "100K")
    with pytest.raises(MemoryError, match=r"an image of \d+ x \d+ pixels needs .* and 100 KiB are available; use fewer layers"):
        run_band(chain_of_all, box=None, tol=TOL, resources=resources())
    apart = lowered(generator(6, "band").random((9, 3, 3)), dilation=64)  # all frequencies of a period, for a window of one pixel
    middle = tuple(n // 2 for n in apart.field.size)
    with pytest.raises(MemoryError, match=r"a spectrum of \d+ x \d+ frequencies needs"):
        run_band(apart, box=(middle, middle), tol=TOL, resources=resources())


def test_any_part_of_a_window_is_written_with_its_factor() -> None:
    (found,), crop = run_band(lowered(np.ones((30, 3, 3))), box=None, tol=TOL, resources=resources())
    sampled = found.peaks[0]
    whole = found.write(crop, np.ones(1))[0]
    assert sampled <= found.peaks[0] == whole.max()
    low, high = (crop[0][0] + 3, crop[0][1] + 5), (crop[1][0] - 9, crop[1][1])
    part = found.write((low, high), np.full(1, 0.375))[0]
    np.testing.assert_allclose(part, 0.375 * whole[3:-9, 5:], rtol=0, atol=found.bound * whole.max())
    np.testing.assert_array_equal(found.write(crop, np.full(1, -1.0))[0], -whole)
    assert not found.write(crop, np.zeros(1)).any()
