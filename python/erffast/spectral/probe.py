"""What single frequencies tell of a spectrum and its image: how exact they are, where the image lies, and what folded onto it.

At a frequency the product of the transfer functions can be had in double-double arithmetic, on the period's grid or beside it.

**On the grid** it gives the rounding of the product in doubles: the root mean square of the difference is, by Parseval's theorem, that
of the image. Frequencies are drawn in proportion to the energy, and evenly as well: a factor that vanishes near a frequency leaves
few correct digits there, and much of the error may lie where next to nothing of the energy is (156 notches all around the circle:
95 % of it where a millionth of the energy is). The derivative gives the mean position of the energy and its spread, without regard
to the period.

**Beside the grid** it tells what the period hides. An image that lies within one period has a spectrum that its pixels determine
everywhere, between the grid's frequencies too. What has folded from m periods away has its phase wrong by m times the fraction of
a step; fractions are different from block to block, with a prime denominator, so that no m escapes. What folds may have
frequencies of its own, where little of the energy is: so the grid is cut into blocks, each is looked at beside its largest value,
and the difference there, relative to that value, is taken to hold for all of the block. The sum over all frequencies bounds what
any pixel can be off by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import _backend
from ..condition import GENERATORS, TINY
from .image import Tile

Array = NDArray[np.float64]
Waves = NDArray[np.complex128]
Shape = tuple[int, int]
Native = list[tuple[Array, tuple[int, int], int]]

BY_ENERGY = 64  # frequencies
# Frequencies taken evenly: as many as this number of taps allows in all, some milliseconds, and no fewer than EVENLY.
TAPS, EVENLY = 500_000, 128
FRACTIONS = 1009  # of a step between frequencies; prime
FLOOR = 64 * 2.0**-53  # of the largest value: transforms and sums of pixels
STRIDE = 32  # coordinates from one exponential to the next
BLOCKS = 256  # of frequencies, 16 along each axis; of a spectrum with one row, along it


@dataclass(frozen=True)
class Energy:
    """Of each draw.

    Attributes
    ----------
    errors : float64 [draws]
        Root mean square of the spectrum's error relative to that of the spectrum: the larger of what both kinds of frequencies say.
    centres, spreads : float64 [draws, 2]
        Mean position of the energy and its standard deviation, in input pixels from phase 0.
    """

    errors: Array
    centres: Array
    spreads: Array


def on_grid(layers: Native, shape: Shape, values: Waves, exponents: NDArray[np.int64], threads: int) -> Energy:
    """Compare spectra [draws, rows, columns] times ``2**exponents`` with products in double-double arithmetic."""
    draws, rows, columns = values.shape
    by_energy_at, squares = _backend.QUANTILES(values, shape, None, BY_ENERGY, threads)
    places = np.concatenate([by_energy_at, np.tile(_even(layers, rows, columns), (draws, 1, 1))], axis=1)
    high, low, powers, positions = _backend.SAMPLE(layers, shape, places, BY_ENERGY, threads)
    given = values[np.arange(draws)[:, None], places[:, :, 0], places[:, :, 1]]
    shift = powers - exponents[:, None]
    apart = np.abs((_times(high, shift) - given) + _times(low, shift))
    size = np.abs(given[:, :BY_ENERGY])
    by_energy = (np.divide(apart[:, :BY_ENERGY], size, out=np.zeros(size.shape), where=size > 0) ** 2).mean(axis=1)
    evenly = (apart[:, BY_ENERGY:] ** 2).mean(axis=1) / np.maximum(squares / (rows * columns), TINY)
    # errors that the energy does not show lie on few of the even frequencies: their mean is known less well
    errors = np.sqrt(np.maximum(by_energy, np.where(evenly > 4 * by_energy, 2.25, 1.0) * evenly))
    positions = np.where(np.isfinite(positions), positions, 0.0)
    centres = positions.real.mean(axis=1)
    spreads = np.sqrt(np.maximum((np.abs(positions) ** 2).mean(axis=1) - centres**2, 0.0))
    return Energy(errors, centres, spreads)


def _even(layers: Native, rows: int, columns: int) -> NDArray[np.int64]:
    """Frequencies of a half spectrum, evenly: all of them where the number of taps allows."""
    taps = sum(len(taps) * taps.shape[2] * taps.shape[3] for taps, _, _ in layers)
    count = max(EVENLY, TAPS // taps)
    if count >= rows * columns:
        return np.stack(np.divmod(np.arange(rows * columns), columns), axis=1)
    sequence = (np.arange(1, count + 1)[:, None] * GENERATORS[:2] + 0.5) % 1.0
    return np.asarray(np.floor(sequence * (rows, columns)).astype(np.int64))


@dataclass(frozen=True)
class Blocks:
    """The blocks of one draw's spectrum.

    Attributes
    ----------
    places : int64 [n, 2]
        Where each is largest.
    largest, sums : float64 [n]
        The modulus there, and the sum of all of the block, of the frequencies it stands for by symmetry too.
    """

    places: NDArray[np.int64]
    largest: Array
    sums: Array


def blocks(values: Waves) -> Blocks:
    """The blocks of a half spectrum [rows, columns]."""
    rows, columns = values.shape
    down = min(rows, round(BLOCKS**0.5))
    across = min(columns, BLOCKS // down)
    height, width = -(-rows // down), -(-columns // across)
    sizes = np.zeros((down * height, across * width))
    np.abs(values, out=sizes[:rows, :columns])
    cut = np.swapaxes(sizes.reshape(down, height, across, width), 1, 2).reshape(down * across, height * width)
    at = cut.argmax(axis=1)
    block = np.arange(down * across)
    places = np.stack([block // across * height + at // width, block % across * width + at % width], axis=1)
    return Blocks(places, cut[block, at], 2 * cut.sum(axis=1))


def folded(layers: Native, tile: Tile, seen: Blocks, error: float, tol: float, threads: int) -> float:
    """What has folded onto an image on its period, in any pixel at most, relative to the peak: an estimate.

    Parameters
    ----------
    layers : list
        Of this one draw.
    tile : Tile
        The image, where it is taken to lie.
    seen : Blocks
        Of the spectrum, at the scale of the pixels.
    error : float
        Relative rounding error of the spectrum: that much difference is not counted, four times over.
    tol : float
        Blocks that together make less than a quarter of it are not looked at.
    """
    pixels = tile.pixels
    height, width = pixels.shape
    first = (tile.low[0] - tile.origin[0], tile.low[1] - tile.origin[1])
    share = seen.sums / (pixels.size * tile.peak)
    used = share > tol / 4 / BLOCKS
    # an axis of one pixel has one frequency
    finer = [FRACTIONS if n > 1 else 1 for n in pixels.shape]
    beside = seen.places[used] * finer + _fractions(int(used.sum())) * (np.array(pixels.shape) > 1)
    high, _, powers, _ = _backend.SAMPLE(layers, (finer[0] * height, finer[1] * width), beside[None], 0, threads)
    found = _between(beside, pixels, first, (finer[0], finer[1]), threads)
    wanted = _times(high[0], powers[0] - tile.exponent)
    apart = np.abs(found - wanted)
    # what rounding makes of the largest values reaches all frequencies
    known = 4 * error * np.abs(wanted) + FLOOR * seen.largest.max()
    return float((np.maximum(apart - known, 0.0) / seen.largest[used] * share[used]).sum())


def _fractions(count: int) -> NDArray[np.int64]:
    """Numerators of fractions of a step, [count, 2], none of them 0."""
    sequence = (np.arange(1, count + 1)[:, None] * GENERATORS[:2] + 0.5) % 1.0
    return np.asarray(1 + np.floor(sequence * (FRACTIONS - 1)).astype(np.int64))


def _between(frequencies: NDArray[np.int64], pixels: Array, first: tuple[int, int], finer: Shape, threads: int) -> Waves:
    """Sums over a cyclic image times exp(-i frequency . x), [n]; its coordinates begin at `first`, frequencies are [n, 2].

    Rows as far above the middle as below it share a cosine and, but for its sign, a sine: half the multiply-adds.
    """
    height, width = pixels.shape
    above = np.arange((height + 1) // 2)
    upper, lower = pixels[(first[0] + above) % height], pixels[(first[0] + height - 1 - above) % height]
    if height % 2:
        lower[-1] = 0.0  # the middle row has no other
    down = _waves(frequencies[:, 0], 1 - height, len(above), height, finer[0])
    parts = np.empty((2, len(frequencies), width))
    _backend.combine(down[0], upper + lower, parts[0], threads)
    _backend.combine(down[1], np.subtract(upper, lower, out=upper), parts[1], threads)
    begin = first[1] % width
    across = np.roll(_waves(frequencies[:, 1], 2 * first[1], width, width, finer[1]), begin, axis=2)
    real = np.einsum("nx,nx->n", parts[0], across[0]) - np.einsum("nx,nx->n", parts[1], across[1])
    imaginary = np.einsum("nx,nx->n", parts[0], across[1]) + np.einsum("nx,nx->n", parts[1], across[0])
    return np.asarray((real + 1j * imaginary) * _turn(frequencies[:, 0], np.array([2 * first[0] + height - 1]), height, finer[0])[:, 0])


def _waves(frequencies: NDArray[np.int64], twice: int, count: int, n: int, finer: int) -> Array:
    """exp(-i frequency . x) at `count` coordinates x = twice / 2, and 1, 2, .. further on: real and imaginary parts [2, n, count].

    Products of two waves, to every `STRIDE`th coordinate and on from there: exponentials for all took a quarter of `folded`'s time.
    """
    coarse = _turn(frequencies, twice + 2 * STRIDE * np.arange(-(-count // STRIDE)), n, finer)
    waves = coarse[:, :, None] * _turn(frequencies, 2 * np.arange(STRIDE), n, finer)[:, None]
    flat = waves.reshape(len(frequencies), -1)[:, :count]
    return np.stack([flat.real, flat.imag])


def _turn(frequencies: NDArray[np.int64], twice: NDArray[np.int64], n: int, finer: int) -> Waves:
    """exp(-i frequency . x) at coordinates x = twice / 2 of a cyclic axis of `n` pixels; frequencies in 1 / (n finer)."""
    # whole turns are taken out in integers, which hold the product; of at most half a turn the rounding is least
    halves = (frequencies[:, None] * twice + n * finer) % (2 * n * finer) - n * finer
    return np.asarray(np.exp((-1j * np.pi / (n * finer)) * halves))


def _times(values: Waves, powers: NDArray[np.int64]) -> Waves:
    clipped = np.clip(powers, -2000, 1000)
    return np.asarray(np.ldexp(values.real, clipped) + 1j * np.ldexp(values.imag, clipped))
