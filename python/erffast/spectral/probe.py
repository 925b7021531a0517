"""What single frequencies tell of a spectrum and its image: how exact they are, where the image lies, and what folded onto it.

At a frequency the product of the transfer functions can be had in double-double arithmetic, on the period's grid or beside it.

**On the grid**, at frequencies drawn in proportion to the energy, it gives the rounding of the product in doubles: the root mean
square of the relative difference is, by Parseval's theorem, that of the image. Its derivative gives the mean position of the
energy and its spread, without regard to the period.

**Beside the grid** it tells what the period hides. An image that lies within one period has a spectrum that its pixels determine
everywhere, half way between the grid's frequencies too. What has folded there has its phase wrong, by -1 for a shift of one
period: the difference is twice what has folded. Half of the frequencies are taken beside those of the energy, half evenly, for
what folds may have frequencies of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import _backend
from ..condition import GENERATORS

Array = NDArray[np.float64]
Waves = NDArray[np.complex128]
Shape = tuple[int, int]
Native = list[tuple[Array, tuple[int, int], int]]

ON_GRID = 64  # frequencies
BESIDE = 16  # of each kind


@dataclass(frozen=True)
class Energy:
    """Of each draw.

    Attributes
    ----------
    errors : float64 [draws]
        Root mean square of the spectrum's relative error, weighted by the energy.
    centres, spreads : float64 [draws, 2]
        Mean position of the energy and its standard deviation, in input pixels from phase 0.
    places : int64 [draws, ON_GRID, 2]
        The frequencies looked at.
    """

    errors: Array
    centres: Array
    spreads: Array
    places: NDArray[np.int64]


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
    return Energy(errors, centres, spreads, places)


def folded(layers: Native, pixels: Array, places: NDArray[np.int64], first: Sequence[int], exponent: int, threads: int) -> float:
    """What has folded onto an image on its period: root mean square relative to the image's energy, rounding included.

    Parameters
    ----------
    layers : list
        Of this one draw.
    pixels : float64 [height, width]
        Pixel (0, 0) stands at phase 0, cyclically; its true value is times ``2**exponent``.
    places : int64 [n, 2]
        Frequencies of the energy on the grid.
    first : sequence of two int
        The coordinate, from phase 0, of the first row and column of the period that the image is taken to lie in.
    """
    shape = pixels.shape
    beside = _beside(places, (shape[0], shape[1]))
    high, _, powers, _ = _backend.SAMPLE(layers, (2 * shape[0], 2 * shape[1]), beside[None], threads)
    wanted = _times(high[0], powers[0] - exponent)
    waves = [_waves(beside[:, axis], shape[axis], first[axis]) for axis in (0, 1)]
    rows = waves[0].real @ pixels + 1j * (waves[0].imag @ pixels)
    apart = np.abs((rows * waves[1]).sum(axis=1) - wanted) ** 2
    energy = np.abs(wanted[:BESIDE]) ** 2
    flat = pixels.ravel()
    # by Parseval's theorem the mean of |P|^2 over all frequencies is the sum of the squares of the pixels
    return float(np.sqrt(max(apart[:BESIDE].sum() / energy.sum(), apart[BESIDE:].mean() / (flat @ flat))))


def _beside(places: NDArray[np.int64], shape: Shape) -> NDArray[np.int64]:
    """Frequencies half way between the grid's, as indices on the doubled grid; an axis of one pixel stays at 0."""
    near = places[:: max(1, len(places) // BESIDE)][:BESIDE]
    even = np.floor((np.arange(1, BESIDE + 1)[:, None] * GENERATORS[:2] + 0.5) % 1.0 * shape).astype(np.int64)
    return np.concatenate([near, even]) * 2 + (np.array(shape) > 1)


def _waves(frequencies: NDArray[np.int64], n: int, first: int) -> Waves:
    """exp(-i frequency . x) of the pixels of a cyclic axis of `n`, whose coordinates begin at `first`."""
    at = first + (np.arange(n) - first) % n
    turns = (frequencies[:, None] * at) % (2 * n)
    return np.asarray(np.exp(-1j * np.pi / n * turns))


def _times(values: Waves, powers: NDArray[np.int64]) -> Waves:
    clipped = np.clip(powers, -2000, 1000)
    return np.asarray(np.ldexp(values.real, clipped) + 1j * np.ldexp(values.imag, clipped))
