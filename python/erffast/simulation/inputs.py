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
        Draw d takes number d modulo n.
    """

    name: str
    images: NDArray[np.float64] | None = None

    def for_engine(self, draws: range, channels: int, rect: Rect) -> Any:
        """A name, or [draws or 1, channels, rows, columns] of the rectangle."""
        if self.images is None and self.name != "constant":
            return self.name
        low, high = rect
        if self.images is None:
            return np.ones((1, channels, *(1, *[b - a + 1 for a, b in zip(low, high, strict=True)])[-2:]))
        some = self.images[:1] if len(self.images) == 1 else self.images[[d % len(self.images) for d in draws]]
        where: Any = (..., *[slice(a, b + 1) for a, b in zip(low, high, strict=True)])
        cut = some[where]
        return cut if len(low) == 2 else cut[..., None, :]


def read_inputs(inputs: Any, ndim: int) -> Inputs:
    """The inputs given by a user, checked: a name, or images [*map], [channels, *map] or [n, channels, *map]."""
    if isinstance(inputs, str):
        return Inputs(check.choice(inputs, "inputs", NAMES))
    array = check.real_array(on_host(inputs, "inputs"), "inputs").astype(np.float64, copy=False)
    if not ndim <= array.ndim <= ndim + 2 or array.size == 0:
        raise ValueError(f"inputs has shape {array.shape}; wanted [*map], [channels, *map] or [n, channels, *map] with {ndim} map axes")
    return Inputs("images", array.reshape((1,) * (ndim + 2 - array.ndim) + array.shape))
