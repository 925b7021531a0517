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
        Draw d takes number d modulo n. The largest pixel is in [0.5, 1); true values are these times ``2**exponent``.
    """

    name: str
    images: NDArray[np.float64] | None = None
    exponent: int = 0

    def for_engine(self, draws: range, channels: int, rect: Rect) -> Any:
        """A name, or [draws or 1, channels, rows, columns] of the rectangle."""
        if self.images is None and self.name != "constant":
            return self.name
        low, high = rect
        if self.images is None:
            return np.ones((1, channels, *(1, *[b - a + 1 for a, b in zip(low, high, strict=True)])[-2:]))
        where: Any = (..., *[slice(a, b + 1) for a, b in zip(low, high, strict=True)])
        cut = self.images[where]
        some = cut if len(cut) == 1 else cut[[d % len(cut) for d in draws]]
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
