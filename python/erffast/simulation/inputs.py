"""What the first layer sees."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _validate as check
from .._foreign import on_host
from .program import Rect

NAMES = ("normal", "uniform", "constant")


class Inputs(NamedTuple):
    """Drawn inputs by name, or images.

    Attributes
    ----------
    name : str
        "normal": mean 0 and variance 1. "uniform": on (0, 1). "constant": ones. Independent pixels.
    images : float64 [n, channels, *map], optional
        Draw ``first + d`` takes number d modulo n. The largest pixel is in [0.5, 1); true values are these times ``2**exponent``.
    origin : tuple of int, optional
        Where on the map the images begin; None is its corner.
    """

    name: str
    images: NDArray[np.float64] | None = None
    exponent: int = 0
    first: int = 0
    origin: tuple[int, ...] | None = None

    def of(self, draws: range, rect: Rect) -> Inputs:
        """What some draws see of them."""
        if self.images is None:
            return self
        cut = self._cut(rect)
        number = len(cut)
        if number <= len(draws):
            return self._replace(images=cut, origin=rect[0])
        start = draws.start % number
        # a view where they follow each other: many parts may wait at a time
        some = cut[start : start + len(draws)] if start + len(draws) <= number else cut[[d % number for d in draws]]
        return self._replace(images=some, origin=rect[0], first=draws.start)

    def _cut(self, rect: Rect) -> NDArray[np.float64]:
        """The images in a rectangle."""
        assert self.images is not None
        low, high = rect
        origin = self.origin or (0,) * len(low)
        where: Any = (..., *[slice(a - o, b - o + 1) for a, b, o in zip(low, high, origin, strict=True)])
        cut: NDArray[np.float64] = self.images[where]
        return cut

    def for_engine(self, draws: range, channels: int, rect: Rect) -> Any:
        """A name, or [draws or 1, channels, rows, columns] of the rectangle."""
        if self.images is None and self.name != "constant":
            return self.name
        low, high = rect
        if self.images is None:
            return np.ones((1, channels, *(1, *[b - a + 1 for a, b in zip(low, high, strict=True)])[-2:]))
        cut = self._cut(rect)
        some = cut if len(cut) == 1 else cut[[(d - self.first) % len(cut) for d in draws]]
        return some if len(low) == 2 else some[..., None, :]


def read_inputs(inputs: Any, ndim: int) -> Inputs:
    """The inputs given by a user, checked: a name, or images [*map], [channels, *map] or [n, channels, *map]."""
    if isinstance(inputs, str):
        return Inputs(check.choice(inputs, "inputs", NAMES))
    if inputs is None:
        raise TypeError(f"inputs must be one of {', '.join(map(repr, NAMES))} or images, got None")
    array = check.real_array(on_host(inputs, "inputs"), "inputs").astype(np.float64, copy=False)
    if not ndim <= array.ndim <= ndim + 2 or array.size == 0:
        raise ValueError(f"inputs has shape {array.shape}; wanted [*map], [channels, *map] or [n, channels, *map] with {ndim} map axes")
    scaled, exponent = normal_numbers(array)
    return Inputs("images", scaled.reshape((1,) * (ndim + 2 - array.ndim) + array.shape), exponent)


def normal_numbers(array: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """An array with its largest value in [0.5, 1), and the power of two taken out; unchanged where it is near 1 already.

    The engine flushes subnormal numbers.
    """
    exponent = int(np.frexp(max(array.max(), -array.min()))[1])
    return (array, 0) if abs(exponent) < 64 else (np.ldexp(array, -exponent), exponent)
