"""The part of an image that elliptical models are fitted to: all of it but what holds next to no mass."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .._pixels import require_memory
from ..measures import Array, Dense, Product, Weights
from .forms import along

LEFT_OUT = 1e-13  # share of the mass beyond each side; what a window leaves out itself is ten times as much
SMALLER = 'fit "gaussian", "edgeworth", "box gaussian" or "raised cosine", which need no image of a product'


def core(weights: Weights) -> tuple[Dense, tuple[int, ...]]:
    """The pixels of the smallest box with all but next to no mass, and the index of its first one; a product is multiplied out there.

    Raises MemoryError, before allocating, where they are too many.
    """
    sides = [_side(first, part) for first, part in weights.parts]
    low = tuple(a for a, _ in sides)
    size = [b - a for a, b in sides]
    # its mass, and the image of a product or the square of a signed one
    require_memory(2 * 8 * math.prod(size), f"fitting to {' x '.join(map(str, size))} pixels", SMALLER)
    if isinstance(weights, Product):
        return Dense(_multiplied([s[a:b] / (s.max() or 1.0) for s, (a, b) in zip(weights.sums, sides, strict=True)])), low
    assert isinstance(weights, Dense)
    return Dense(weights.values[tuple(slice(a, b) for a, b in sides)], weights.power), low


def _side(first: int, part: Array) -> tuple[int, int]:
    """First and past-the-end index of what is kept of an axis."""
    before = int(np.searchsorted(np.cumsum(part), LEFT_OUT, side="right"))
    after = int(np.searchsorted(np.cumsum(part[::-1]), LEFT_OUT, side="right"))
    return (first + before, first + len(part) - after) if before + after < len(part) else (first, first + len(part))


def _multiplied(factors: Sequence[Array]) -> Array:
    image = np.ones((1,) * len(factors))
    for axis, factor in enumerate(factors):
        image = image * along(factor, axis, len(factors), slice(None))
    return image
