"""Images on a period: what the inverse transform gives, and where it belongs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..chain import Box
from ..execution import Resources, require_image, reserve_on_device
from .period import Array, Image, on_device, remark


@dataclass(frozen=True)
class Tile:
    """One draw's image on its period.

    Attributes
    ----------
    image : Image
        Empty once it stands in an answer. The pixel at input coordinate (y, x) is that at
        ``(y - origin[0]) % height, (x - origin[1]) % width``.
    origin : tuple of two int
    low : tuple of two int
        Input coordinate of the first row and column; what lies outside [low, low + shape) is taken for zero.
    exponent : int
        True values are pixels times ``2**exponent``.
    peak, energy : float
        Largest absolute value of the pixels, and the sum of their squares.
    error : float
        Estimated error / peak.
    """

    image: Image
    origin: tuple[int, int]
    low: tuple[int, int]
    exponent: int
    peak: float
    energy: float
    error: float

    def placed(self, corner: tuple[int, int], shape: tuple[int, int], factor: float) -> tuple[Any, ...]:
        """What puts the tile into an image whose pixel (0, 0) is at `corner`, for the native function."""
        first, to, sides = [], [], []
        for axis in (0, 1):
            begin = max(corner[axis], self.low[axis])
            end = min(corner[axis] + shape[axis], self.low[axis] + self.image.shape[axis])
            first.append((begin - self.origin[axis]) % self.image.shape[axis])
            to.append(begin - corner[axis] if begin < end else 0)
            sides.append(max(end - begin, 0))
        return self.image.native, tuple(first), tuple(to), tuple(sides), factor


class Answer:
    """Pixels of a box, [draws, *shape of these axes], written draw by draw as they are found.

    Attributes
    ----------
    pixels : ndarray
        Images of two axes that are made on a GPU stay there (`_cuda.DeviceImage`).
    tops : float64 [draws]
        The largest absolute values written.
    each : int
        Bytes of a draw.
    held : int
        Bytes that the answer takes on the device of all else.
    """

    def __init__(self, draws: int, box: Box, axes: tuple[int, ...], dtype: str, resources: Resources) -> None:
        shape = tuple(box[1][a] - box[0][a] + 1 for a in axes)
        self._stays = len(shape) == 2 and on_device(resources)
        self._shape = (shape[0], shape[1]) if len(shape) == 2 else (1, shape[0])
        self.pixels: Any
        if self._stays:
            self.pixels = reserve_on_device((draws, *self._shape), dtype, resources)
        else:
            require_image((draws, *shape), dtype, resources.remedy)
            self.pixels = np.empty((draws, *shape), dtype=dtype)
        self.tops: Array = np.zeros(draws)
        self.each = math.prod(shape) * np.dtype(dtype).itemsize
        self.held = draws * self.each if self._stays else 0
        self._dtype, self._native = dtype, resources.native
        self._corner = box[0][axes[-2]] if len(shape) == 2 else None, box[0][axes[-1]]

    def put(self, draws: Sequence[int], tiles: Sequence[Tile], factors: Sequence[float], threads: int) -> None:
        """Write the images of some draws, times a factor each; different draws may be written at once."""
        down, across = self._corner
        placed = [
            tile.placed((tile.low[0] if down is None else down, across), self._shape, factor)
            for tile, factor in zip(tiles, factors, strict=True)
        ]
        for some in _runs(draws):
            first = draws[some.start]
            here = slice(first, first + some.stop - some.start)
            if self._stays:
                self.tops[here] = self._native.place_on_device(placed[some], self.pixels, first)
            else:
                target = self.pixels[here].reshape(-1, *self._shape)
                self.tops[here] = tiles[0].image.place(self._dtype)(placed[some], target, threads)


def _runs(draws: Sequence[int]) -> Iterator[slice]:
    """Where draws that follow one another stand."""
    for _, members in itertools.groupby(range(len(draws)), lambda i: draws[i] - i):
        indices = list(members)
        yield slice(indices[0], indices[-1] + 1)


class TiledOutcome:
    """Tiles of all draws, with what `execution.Outcome` offers for signed chains; `axes` may be one axis of a separable chain.

    An `answer` given holds them already, of the box and with the factors that `write` will be asked for.

    Attributes
    ----------
    remark : str
        Where the inverse transform was made, if not on the device of all else; or empty.
    """

    bounded = False  # errors are estimates

    def __init__(self, tiles: list[Tile], axes: tuple[int, ...], dtype: str, resources: Resources, answer: Answer | None = None) -> None:
        self.tiles, self.axes, self.dtype, self._resources, self._answer = tiles, axes, dtype, resources, answer
        self.peaks: Array = np.array([t.peak for t in tiles])
        self.exponents = np.array([t.exponent for t in tiles], dtype=np.int64)
        self.border = self.trimmed = self.rounding = np.zeros(len(tiles))
        self.errors: Array = np.array([t.error for t in tiles])
        self.written_peaks: Array = self.peaks
        self.tops: Array = self.peaks
        self.remark = remark(resources)

    @property
    def draws(self) -> int:
        return len(self.tiles)

    def alive(self, draw: int) -> bool:
        return bool(self.peaks[draw] > 0)

    def span(self, draw: int, axis: int) -> tuple[int, int]:
        """First and last pixel along an axis."""
        native = self._native(axis)
        low = self.tiles[draw].low[native]
        return low, low + self.tiles[draw].image.shape[native] - 1

    def marginal(self, draw: int, axis: int) -> Array:
        """Sums of absolute values along an axis, in units of the peak; from the first pixel of `span`."""
        tile, native = self.tiles[draw], self._native(axis)
        sums = tile.image.sums(native) / self.peaks[draw]
        return np.roll(sums, tile.origin[native] - tile.low[native])

    def _native(self, axis: int) -> int:
        return self.axes.index(axis) + 2 - len(self.axes)

    def energies(self) -> Array:
        """Per draw, the sum of (pixel / peak)**2."""
        return np.array([t.energy / t.peak**2 if t.peak > 0 else 0.0 for t in self.tiles])

    def write(self, box: Box, factors: Array) -> Any:
        """Pixels of a box times one factor per draw: [draws, *shape of these axes]; on a GPU where an `Answer`'s are."""
        self.written_peaks = self.peaks * factors
        answer = self._answer
        if answer is None:
            answer = Answer(self.draws, box, self.axes, self.dtype, self._resources)
            answer.put(range(self.draws), self.tiles, factors.tolist(), self._resources.threads)
        self.tops = answer.tops
        return answer.pixels
