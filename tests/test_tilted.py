"""Tilted bands: every pixel of a window is certain relative to itself, far below what a spectrum resolves."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from band_runs import lowered, resources
from deep_oracles import chain as line_of
from deep_oracles import on_lattice, power
from erffast import execution
from erffast.chain import Box, Chain
from erffast.errors import AccuracyError
from erffast.layers import Conv, Stack
from erffast.lowering import lower_gradient
from erffast.spectral import tilted
from erffast.spectral.tilted import Tilted, run_tilted
from strategies import FULL, batches, generator

Array = NDArray[np.float64]
TOL = 1e-12
ROUNDOFF = 2.0**-53
DROWNED = 1e-20  # of the peak: what these pixels are below, no spectrum in doubles can tell


def run(chain: Chain, *, box: Box | None = None, tol: float = TOL, threads: int = 1) -> tuple[Tilted, Array, Box]:
    """One draw, its pixels at the scale of 2**exponent, and the window."""
    (found,), crop = run_tilted(chain, box=box, tol=tol, resources=resources(threads))
    return found, found.write(crop, np.ones(found.draws))[0], crop


def split(values: Iterable[int]) -> tuple[Array, NDArray[np.int64]]:
    """Positive integers as correctly rounded mantissas in [0.5, 1] and powers of two."""
    lengths = [v.bit_length() for v in values]
    return np.array([v / (1 << n) for v, n in zip(values, lengths, strict=True)]), np.array(lengths)


def worst_of_outer(pixels: Array, exponent: int, rows: Iterable[int], columns: Iterable[int]) -> float:
    """The largest error relative to a pixel of the outer product of two lines of integers."""
    (y, ey), (x, ex) = split(rows), split(columns)
    expected = np.multiply.outer(y, x)
    got = np.ldexp(pixels, exponent - np.add.outer(ey, ex))
    return float(np.abs(got / expected - 1).max()) - 4 * ROUNDOFF


def check_against_layers(chain: Chain, *, box: Box | None = None, tol: float = TOL) -> tuple[Tilted, float]:
    """Compare with the direct engine, whose pixels are right relative to themselves; the error seen."""
    found, pixels, crop = run(chain, box=box, tol=tol)
    layers = execution.run_direct(chain, dtype="float64", trim=0.0, resources=resources())[0]
    expected = layers.write(crop, np.ones(1))[0]
    shift = int(found.exponents[0] - layers.exponents[0])
    mantissas, powers = np.frexp(expected)
    worst = float(np.abs(np.ldexp(pixels, shift - powers) / mantissas - 1).max())
    assert worst <= found.errors[0] + float(layers.rounding[0])
    return found, worst


# ------------------------------------------------------------------------------------------------ against integers


@pytest.mark.parametrize("n", [200, 1000, *([4000] if FULL else [])])
def test_outer_products_equal_exact_integers_pixel_by_pixel(n: int) -> None:
    lines = generator(n, "tilted lines").integers(1, 50, (2, n, 3))
    chain = lowered(np.multiply.outer(a, b) for a, b in zip(*lines, strict=True))
    found, pixels, crop = run(chain)
    assert pixels.min() < DROWNED * pixels.max()
    rows, columns = (line_of(line)[a - first : b - first + 1] for line, a, b, first in zip(lines, *crop, chain.box[0], strict=True))
    assert worst_of_outer(pixels, int(found.exponents[0]), rows, columns) <= found.errors[0] <= 2e-13 * n


def test_a_kernel_used_ten_thousand_times() -> None:
    taps = [1, 3, 2]
    chain = lowered([np.multiply.outer(taps, taps)] * 10_000)
    found, pixels, crop = run(chain)
    line = power(taps, 10_000)
    rows, columns = (line[a - first : b - first + 1] for a, b, first in zip(*crop, chain.box[0], strict=True))
    assert worst_of_outer(pixels, int(found.exponents[0]), rows, columns) <= found.errors[0] <= 1e-10


def test_kernels_of_full_rank_equal_exact_integers() -> None:
    """On a sheared lattice: its pixels are those of an outer product, moved."""
    vectors = ((1, 0), (1, 1))
    lines = generator(0, "tilted lattice").integers(20, 50, (2, 120, 3))
    chain = lowered(on_lattice(np.multiply.outer(a, b), vectors) for a, b in zip(*lines, strict=True))
    image = on_lattice(np.multiply.outer(*(line_of(line) for line in lines)), vectors)
    found, pixels, crop = run(chain, tol=1e-6)
    rows, columns = (slice(a - first, b - first + 1) for a, b, first in zip(*crop, chain.box[0], strict=True))
    expected = image[rows, columns]
    mantissas, powers = split(expected.ravel().tolist())
    got = np.ldexp(pixels.ravel(), int(found.exponents[0]) - powers)
    assert np.abs(got / mantissas - 1).max() - 2 * ROUNDOFF <= found.errors[0]


# ------------------------------------------------------------------------------------------------ against the direct engine


@pytest.mark.parametrize("k", [2, 3, 4, (2, 3), (1, 5)], ids=str)
@pytest.mark.parametrize("peaked", [False, True], ids=["even taps", "peaked taps"])
def test_stacks_of_distinct_kernels(k: Any, peaked: bool) -> None:
    sides = k if isinstance(k, tuple) else (k, k)
    kernels = generator(7, "tilted").random((150, *sides)) ** (8 if peaked else 1)
    box = ((0, 40), (0, 560)) if sides[0] == 1 else None
    found, worst = check_against_layers(lowered(kernels), box=box)
    assert worst <= 1e-12
    assert found.errors[0] <= 3e-10


@pytest.mark.parametrize("numbers", batches(30, 600, 15))
def test_random_stacks(numbers: range) -> None:
    """Any sides, dilations, strides, repeats, windows and tolerances: certain to the error told, or refused."""
    done = 0
    for number in numbers:
        rng = generator(number, "tilted stacks")
        layers, kernels = [], []
        for _ in range(int(rng.integers(2, 7))):
            sides, repeats = tuple(rng.integers(1, 5, 2).tolist()), int(rng.choice([1, 2, 10, 40]))
            stride = 1 if repeats > 1 else tuple(rng.choice([1, 1, 1, 2], 2).tolist())
            dilation = tuple(rng.choice([1, 1, 2, 3], 2).tolist())
            kernel = rng.random(sides) ** rng.choice([1, 6])
            layers += [Conv(sides, stride=stride, dilation=dilation)] * repeats
            kernels += [kernel * 2.0 ** int(rng.integers(-900, 900))] * repeats
        chain = lower_gradient(Stack(layers, ndim=2), kernels, None, tuple(rng.integers(-50, 50, 2).tolist()))
        if math.prod(b - a + 1 for a, b in zip(*chain.box, strict=True)) > 400_000:
            continue
        try:
            check_against_layers(chain, tol=float(rng.choice([1e-12, 1e-6, 1e-2, 1e-20])))
            done += 1
        except AccuracyError:
            continue
        except Exception as exc:
            raise AssertionError(f"case {number}: {exc}\n{layers} {kernels}") from exc
    assert done >= len(numbers) // 4


@pytest.mark.parametrize(
    "box",
    [((140, 140), (160, 160)), ((200, 200), (200, 200)), ((90, 220), (100, 230)), ((60, 100), (240, 110))],
    ids=["middle", "one pixel", "in a corner", "a strip"],
)
def test_windows_of_any_place(box: Box) -> None:
    check_against_layers(lowered(generator(0, "tilted box").random((150, 3, 3))), box=box)


def test_draws_keep_their_own_accounts() -> None:
    weights = generator(0, "tilted draws").random((2, 120, 3, 3)) ** np.array([1, 5])[:, None, None, None]
    net = Stack([Conv(3)] * 120, ndim=2)
    (found,), crop = run_tilted(lower_gradient(net, weights), box=None, tol=TOL, resources=resources())
    images = found.write(crop, np.ones(2))
    for draw in range(2):
        alone, pixels, _ = run(lower_gradient(net, weights[draw]), box=crop)
        assert np.array_equal(images[draw], pixels)
        assert found.exponents[draw] == alone.exponents[0]
        assert found.errors[draw] == alone.errors[0]
    assert found.errors[0] != found.errors[1]


def test_the_mass_of_windows() -> None:
    chain = lowered(generator(1, "tilted box").random((100, 3, 3)))
    box = ((90, 95), (120, 118))
    found, pixels, _ = run(chain, box=box)
    whole = execution.run_direct(chain, dtype="float64", trim=0.0, resources=resources())[0].write(chain.box, np.ones(1))[0]
    share = whole[90:121, 95:119].sum() / whole.sum()
    assert 1 - share <= found.trimmed[0] <= (1 - share) * (1 + 1e-9)
    for axis in (0, 1):
        np.testing.assert_allclose(found.marginal(0, axis) * found.peaks[0], pixels.sum(axis=1 - axis), rtol=1e-12)


# ------------------------------------------------------------------------------------------------ what fails


@pytest.mark.parametrize("fault", ["tilt", "taps", "factor"])
def test_faults_are_seen(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Ten times the error told, planted in the tilt, the taps or the factors, exceeds the bound."""
    lines = generator(3, "tilted lines").integers(1, 50, (2, 150, 3))
    chain = lowered(np.multiply.outer(a, b) for a, b in zip(*lines, strict=True))
    off = 1 + 1e-10
    with_tilt, take_off = tilted._with_tilt, tilted._take_off

    def wrong_taps(parts: Any, tilt: Any) -> Any:
        made = with_tilt(parts, (tilt[0] * off, tilt[1]) if fault == "tilt" else tilt)
        if fault == "taps":
            made.layers[0].taps[5, 0, 0] *= off
        return made

    def wrong_factor(pixels: Any, box: Any, tilt: Any) -> int:
        exponent = take_off(pixels, box, tilt)
        pixels *= off
        return exponent

    monkeypatch.setattr(tilted, "_with_tilt", wrong_taps)
    if fault == "factor":
        monkeypatch.setattr(tilted, "_take_off", wrong_factor)
    found, pixels, crop = run(chain)
    rows, columns = (line_of(line)[a - first : b - first + 1] for line, a, b, first in zip(lines, *crop, chain.box[0], strict=True))
    assert worst_of_outer(pixels, int(found.exponents[0]), rows, columns) > found.errors[0]


def test_pixels_without_a_path_are_refused() -> None:
    weights = generator(0, "tilted holes").random((100, 3, 3))
    with pytest.raises(AccuracyError, match="no path"):
        run(lowered(weights, dilation=2))
    holes = weights.copy()
    holes[:, [0, 1, 1, 2], [1, 0, 2, 1]] = 0  # every second pixel, as on a chessboard: no product of axes
    with pytest.raises(AccuracyError, match="cannot be certified"):
        run(lowered(holes))


def test_the_far_end_of_the_support_is_refused_and_goes_to_the_direct_engine() -> None:
    net, weights = ef.parse("conv3 * 30"), generator(0, "tilted end").random((30, 3, 3))
    with pytest.raises(AccuracyError, match="cannot be certified"):
        ef.gradient(net, weights, engine="spectral", accuracy="pixel", window="full")
    assert ef.gradient(net, weights, window="full").engine == "direct"


# ------------------------------------------------------------------------------------------------ results


def test_the_same_bits_for_any_number_of_threads() -> None:
    chain = lowered(generator(5, "tilted").random((200, 3, 3)))
    one, pixels, _ = run(chain)
    for threads in (2, 3):
        other, same, _ = run(chain, threads=threads)
        assert np.array_equal(pixels, same)
        assert other.errors[0] == one.errors[0]


def test_deep_stacks_take_it_by_themselves() -> None:
    """And say so: the error is a bound for each pixel, the window that of the direct engine or a little wider."""
    net, weights = ef.parse("conv7 * 600"), generator(0, "tilted choice").random((600, 7, 7))
    erf = ef.gradient(net, weights)
    assert (erf.engine, erf.accuracy, erf.error_is_bound) == ("spectral", "pixel", True)
    assert "tilted" in erf.reason
    assert erf.error <= 1e-10
    assert 0 < erf.lost <= TOL
    assert (erf.image > 0).all()


def test_stacks_of_equal_outer_products_and_shallow_ones_do_not() -> None:
    assert ef.variance(ef.parse("conv3 * 5000")).engine == "separable"
    assert ef.gradient(ef.parse("conv3 * 50"), generator(0, "tilted choice").random((50, 3, 3))).engine == "direct"


def test_float32_answers_are_the_rounded_ones() -> None:
    net, weights = ef.parse("conv3 * 150"), generator(0, "tilted dtype").random((150, 3, 3))
    wide = ef.gradient(net, weights, engine="spectral", accuracy="pixel")
    narrow = ef.gradient(net, weights, engine="spectral", accuracy="pixel", dtype="float32")
    assert narrow.image.dtype == np.float32
    assert np.array_equal(narrow.image, wide.image.astype(np.float32))
    assert narrow.error == pytest.approx(wide.error + 2.0**-24)
