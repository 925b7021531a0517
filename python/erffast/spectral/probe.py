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
from .period import BLOCKS, Array, Blocks, Native, Shape, Spectra, Waves

BY_ENERGY = 64  # frequencies
# Frequencies taken evenly: as many as this number of taps allows in all, some milliseconds, and no fewer than EVENLY.
TAPS, EVENLY = 500_000, 128
FRACTIONS = 1009  # of a step between frequencies; prime
FLOOR = 64 * 2.0**-53  # of the largest value: transforms and sums of pixels


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


def on_grid(layers: Native, shape: Shape, spectra: Spectra, threads: int) -> Energy:
    """Compare spectra with products in double-double arithmetic."""
    rows, columns = shape[0], shape[1] // 2 + 1
    by_energy_at, squares = spectra.quantiles(BY_ENERGY)
    draws = len(squares)
    places = np.concatenate([by_energy_at, np.tile(_even(layers, rows, columns), (draws, 1, 1))], axis=1)
    high, low, powers, positions = _backend.SAMPLE(layers, shape, places, BY_ENERGY, threads)
    given = spectra.at(places)
    shift = powers - spectra.exponents[:, None]
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
    height, width = tile.image.shape
    first = (tile.low[0] - tile.origin[0], tile.low[1] - tile.origin[1])
    share = seen.sums / (height * width * tile.peak)
    used = share > tol / 4 / BLOCKS
    # an axis of one pixel has one frequency
    finer = [FRACTIONS if n > 1 else 1 for n in (height, width)]
    beside = seen.places[used] * finer + _fractions(int(used.sum())) * (np.array((height, width)) > 1)
    high, _, powers, _ = _backend.SAMPLE(layers, (finer[0] * height, finer[1] * width), beside[None], 0, threads)
    found = tile.image.between(beside, first, (finer[0], finer[1]), threads)
    wanted = _times(high[0], powers[0] - tile.exponent)
    apart = np.abs(found - wanted)
    # what rounding makes of the largest values reaches all frequencies
    known = 4 * error * np.abs(wanted) + FLOOR * seen.largest.max()
    return float((np.maximum(apart - known, 0.0) / seen.largest[used] * share[used]).sum())


def _fractions(count: int) -> NDArray[np.int64]:
    """Numerators of fractions of a step, [count, 2], none of them 0."""
    sequence = (np.arange(1, count + 1)[:, None] * GENERATORS[:2] + 0.5) % 1.0
    return np.asarray(1 + np.floor(sequence * (FRACTIONS - 1)).astype(np.int64))


def _times(values: Waves, powers: NDArray[np.int64]) -> Waves:
    clipped = np.clip(powers, -2000, 1000)
    return np.asarray(np.ldexp(values.real, clipped) + 1j * np.ldexp(values.imag, clipped))
