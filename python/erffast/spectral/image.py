"""Images on a period: what the inverse transform gives, and where it belongs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..chain import Box
from ..execution import reserve

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Tile:
    """One draw's image on its period.

    Attributes
    ----------
    pixels : float64 [height, width]
        The pixel at input coordinate (y, x) is ``pixels[(y - origin[0]) % height, (x - origin[1]) % width]``.
    origin : tuple of two int
    low : tuple of two int
        Input coordinate of the first row and column; what lies outside [low, low + shape) is taken for zero.
    exponent : int
        True values are pixels times ``2**exponent``.
    error : float
        Estimated error / peak.
    """

    pixels: Array
    origin: tuple[int, int]
    low: tuple[int, int]
    exponent: int
    error: float

    def copy_into(self, out: NDArray[np.floating], corner: tuple[int, int], factor: float) -> None:
        """``out[i, j] = factor * pixel (corner[0] + i, corner[1] + j)`` where it lies in the tile; the rest is left as it is."""
        rows, columns = (list(self._pieces(a, corner[a], out.shape[a])) for a in (0, 1))
        for to_row, from_row in rows:
            for to_column, from_column in columns:
                np.multiply(self.pixels[from_row, from_column], factor, out=out[to_row, to_column], casting="same_kind")

    def _pieces(self, axis: int, corner: int, n: int) -> list[tuple[slice, slice]]:
        """(target, source) slices along an axis: the period is cut where it wraps."""
        period = self.pixels.shape[axis]
        first, last = max(corner, self.low[axis]), min(corner + n, self.low[axis] + period)
        pieces = []
        while first < last:
            index = (first - self.origin[axis]) % period
            count = min(last - first, period - index)
            pieces.append((slice(first - corner, first - corner + count), slice(index, index + count)))
            first += count
        return pieces


class TiledOutcome:
    """Tiles of all draws, with what `execution.Outcome` offers for signed chains; `axes` may be one axis of a separable chain."""

    bounded = False  # errors are estimates

    def __init__(self, tiles: list[Tile], axes: tuple[int, ...], dtype: str, remedy: str) -> None:
        self.tiles, self.axes, self.dtype, self._remedy = tiles, axes, dtype, remedy
        self.peaks: Array = np.array([peak_of(t.pixels) for t in tiles])
        self.exponents = np.array([t.exponent for t in tiles], dtype=np.int64)
        self.border = self.trimmed = self.rounding = np.zeros(len(tiles))
        self.errors: Array = np.array([t.error for t in tiles])
        self.written_peaks: Array = self.peaks

    @property
    def draws(self) -> int:
        return len(self.tiles)

    def alive(self, draw: int) -> bool:
        return bool(self.peaks[draw] > 0)

    def span(self, draw: int, axis: int) -> tuple[int, int]:
        """First and last pixel along an axis."""
        native = self._native(axis)
        low = self.tiles[draw].low[native]
        return low, low + self.tiles[draw].pixels.shape[native] - 1

    def marginal(self, draw: int, axis: int) -> Array:
        """Sums of absolute values along an axis, in units of the peak; from the first pixel of `span`."""
        tile, native = self.tiles[draw], self._native(axis)
        sums = np.abs(tile.pixels).sum(axis=1 - native) / self.peaks[draw]
        return np.roll(sums, tile.origin[native] - tile.low[native])

    def _native(self, axis: int) -> int:
        return self.axes.index(axis) + 2 - len(self.axes)

    def energies(self) -> Array:
        """Per draw, the sum of (pixel / peak)**2."""
        return np.array([_energy(t.pixels) / p**2 if p > 0 else 0.0 for t, p in zip(self.tiles, self.peaks, strict=True)])

    def write(self, box: Box, factors: Array) -> NDArray[np.floating]:
        """Pixels of a box times one factor per draw: [draws, *shape of these axes]."""
        shape = tuple(box[1][a] - box[0][a] + 1 for a in self.axes)
        out = reserve((self.draws, *shape), self.dtype, self._remedy)
        self.written_peaks = self.peaks * factors
        flat = out.reshape(self.draws, 1, *shape) if len(shape) == 1 else out
        corner = tuple(box[0][a] for a in self.axes)
        for image, tile, factor in zip(flat, self.tiles, factors, strict=True):
            tile.copy_into(image, (tile.low[0], corner[0]) if len(corner) == 1 else (corner[0], corner[1]), float(factor))
        return out


def peak_of(pixels: Array) -> float:
    """The largest absolute value."""
    return float(max(pixels.max(), -pixels.min()))


def _energy(pixels: Array) -> float:
    flat = pixels.ravel()
    return float(flat @ flat)
