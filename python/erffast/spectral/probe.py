"""What single frequencies tell of a spectrum and its image: how exact they are, where the image lies, and what folded onto it.

At a frequency the product of the transfer functions can be had in double-double arithmetic, on the period's grid or beside it.

**On the grid**, at frequencies drawn in proportion to the energy, it gives the rounding of the product in doubles: the root mean
square of the relative difference is, by Parseval's theorem, that of the image. Its derivative gives the mean position of the
energy and its spread, without regard to the period.

**Beside the grid** it tells what the period hides. An image that lies within one period has a spectrum that its pixels determine
everywhere, half way between the grid's frequencies too. What has folded there has its phase wrong, by -1 for a shift of one
period: the difference is twice what has folded. What folds may have frequencies of its own, where little of the energy is: so the
grid is cut into blocks, each is looked at beside its largest value, and the difference there, relative to that value, is taken to
hold for all of the block. The sum over all frequencies bounds what any pixel can be off by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import _backend

Array = NDArray[np.float64]
Waves = NDArray[np.complex128]
Shape = tuple[int, int]
Native = list[tuple[Array, tuple[int, int], int]]

ON_GRID = 64  # frequencies
FLOOR = 64 * 2.0**-53  # of the largest value: transforms and sums of pixels
BLOCKS = 256  # of frequencies, 16 along each axis; of a spectrum with one row, along it


@dataclass(frozen=True)
class Energy:
    """Of each draw.

    Attributes
    ----------
    errors : float64 [draws]
        Root mean square of the spectrum's relative error, weighted by the energy.
    centres, spreads : float64 [draws, 2]
        Mean position of the energy and its standard deviation, in input pixels from phase 0.
    """

    errors: Array
    centres: Array
    spreads: Array


def on_grid(layers: Native, shape: Shape, values: Waves, exponents: NDArray[np.int64], threads: int) -> Energy:
    """Compare spectra [draws, rows, columns] times ``2**exponents`` with products in double-double arithmetic."""
    places = _backend.QUANTILES(values, shape, None, ON_GRID)
    high, low, powers, positions = _backend.SAMPLE(layers, shape, places, threads)
    given = values[np.arange(len(values))[:, None], places[:, :, 0], places[:, :, 1]]
    shift = powers - exponents[:, None]
    apart = (_times(high, shift) - given) + _times(low, shift)
    size = np.abs(given)
    errors = np.sqrt((np.divide(np.abs(apart), size, out=np.zeros(size.shape), where=size > 0) ** 2).mean(axis=1))
    positions = np.where(np.isfinite(positions), positions, 0.0)
    centres = positions.real.mean(axis=1)
    spreads = np.sqrt(np.maximum((np.abs(positions) ** 2).mean(axis=1) - centres**2, 0.0))
    return Energy(errors, centres, spreads)


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


def folded(
    layers: Native, pixels: Array, seen: Blocks, first: Sequence[int], exponent: int, error: float, tol: float, threads: int
) -> float:
    """What has folded onto an image on its period, in any pixel at most, relative to the peak: an estimate.

    Parameters
    ----------
    layers : list
        Of this one draw.
    pixels : float64 [height, width]
        Pixel (0, 0) stands at phase 0, cyclically; its true value is times ``2**exponent``.
    seen : Blocks
        Of the spectrum, at the scale of the pixels.
    first : sequence of two int
        The coordinate, from phase 0, of the first row and column of the period that the image is taken to lie in.
    error : float
        Relative rounding error of the spectrum: that much difference is not counted, four times over.
    tol : float
        Blocks that together make less than a quarter of it are not looked at.
    """
    height, width = pixels.shape
    share = seen.sums / (pixels.size * max(float(pixels.max()), -float(pixels.min())))
    used = share > tol / 4 / BLOCKS
    beside = 2 * seen.places[used] + (np.array(pixels.shape) > 1)
    high, _, powers, _ = _backend.SAMPLE(layers, (2 * height, 2 * width), beside[None], threads)
    down, across = (_waves(beside[:, axis], pixels.shape[axis], first[axis]) for axis in (0, 1))
    parts = np.empty((2 * len(down), width))
    _backend.combine(np.concatenate([down.real, down.imag]), pixels, parts, threads)
    found = ((parts[: len(down)] + 1j * parts[len(down) :]) * across).sum(axis=1)
    wanted = _times(high[0], powers[0] - exponent)
    apart = np.abs(found - wanted)
    # what rounding makes of the largest values reaches all frequencies
    known = 4 * error * np.abs(wanted) + FLOOR * seen.largest.max()
    return float((np.maximum(apart - known, 0.0) / seen.largest[used] * share[used]).sum())


def _waves(frequencies: NDArray[np.int64], n: int, first: int) -> Waves:
    """exp(-i frequency . x) of the pixels of a cyclic axis of `n`, whose coordinates begin at `first`."""
    at = first + (np.arange(n) - first) % n
    turns = np.exp(-1j * np.pi / n * np.arange(2 * n))
    return np.asarray(turns[(frequencies[:, None] * at) % (2 * n)])


def _times(values: Waves, powers: NDArray[np.int64]) -> Waves:
    clipped = np.clip(powers, -2000, 1000)
    return np.asarray(np.ldexp(values.real, clipped) + 1j * np.ldexp(values.imag, clipped))
