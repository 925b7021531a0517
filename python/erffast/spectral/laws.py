"""The layers of a non-negative chain as probability distributions.

Divided by its total, a kernel without negative taps is the distribution of a random step, and the image is the distribution of
the sum of all steps. Everything that the band-limited engine certifies is said about that sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .transfer import Layers, Transfer

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Family:
    """Kernels of one shape and spacing, of one draw.

    Attributes
    ----------
    masses : float64 [n_kernels, rows, columns]
        Taps divided by their total; each within (rows * columns + 1) roundings of the exact quotient.
    counts : int64 [n_kernels]
        How often each kernel is used.
    spacing : tuple of two int
        Input pixels between neighbouring taps, per axis.
    """

    masses: Array
    counts: Integers
    spacing: tuple[int, int]

    @property
    def layers(self) -> int:
        return int(self.counts.sum())

    @property
    def sides(self) -> tuple[int, int]:
        return self.masses.shape[1], self.masses.shape[2]

    def positions(self, axis: int) -> Integers:
        """Where the taps of an axis stand, [side], in input pixels from the centre."""
        side = self.sides[axis]
        return (np.arange(side, dtype=np.int64) - (side - 1) // 2) * self.spacing[axis]

    @cached_property
    def marginals(self) -> tuple[Array, Array]:
        """Distribution of the step along each axis, [n_kernels, side]."""
        return np.einsum("nab->na", self.masses), np.einsum("nab->nb", self.masses)

    @cached_property
    def means(self) -> tuple[Array, Array]:
        """Mean step along each axis, [n_kernels], in input pixels."""
        return self.marginals[0] @ self.positions(0), self.marginals[1] @ self.positions(1)

    @cached_property
    def variances(self) -> tuple[Array, Array]:
        """Variance of the step along each axis, [n_kernels], in square pixels. Sums of squares: no cancellation."""
        return self._variances(0), self._variances(1)

    def _variances(self, axis: int) -> Array:
        away = self.positions(axis) - self.means[axis][:, None]
        away *= away
        away *= self.marginals[axis]
        return np.asarray(away @ np.ones(away.shape[1]))


def families(transfer: Transfer, draw: int) -> list[Family]:
    """The layers of one draw, those of one shape and spacing together."""
    found: dict[tuple[int, ...], list[Layers]] = {}
    for layers in transfer.layers:
        found.setdefault((*layers.taps.shape[2:], *layers.spacing), []).append(layers)
    return [_family(members, draw) for members in found.values()]


def _family(members: Sequence[Layers], draw: int) -> Family:
    taps = [m.taps[:, draw if m.taps.shape[1] > 1 else 0] for m in members]
    together = taps[0] if len(taps) == 1 else np.concatenate(taps)
    counts = np.concatenate([np.full(len(m.taps), m.count, dtype=np.int64) for m in members])
    return Family(together / together.sum(axis=(1, 2))[:, None, None], counts, members[0].spacing)
