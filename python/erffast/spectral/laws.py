"""The layers of a non-negative chain as probability distributions.

Divided by its total, a kernel without negative taps is the distribution of a random step, and the image is the distribution of
the sum of all steps. Everything that the band-limited engine certifies is said about that sum. All that is needed of the taps is
gathered in one native pass over them (`laws.cpp`): autocorrelations, added up, and each kernel's sums along rows and columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .. import _backend
from .transfer import Layers, Transfer

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
SIDES = ((0, 1), (0, -1), (1, 1), (1, -1))  # axis, direction


@dataclass(frozen=True)
class Family:
    """Kernels of one shape and spacing, of one draw.

    Attributes
    ----------
    sides : tuple of two int
        Taps per axis.
    spacing : tuple of two int
        Input pixels between neighbouring taps, per axis.
    counts : int64 [n_kernels]
        How often each kernel is used.
    lags : float64 [2 rows - 1, 2 columns - 1]
        Autocorrelations of the kernels, divided by their totals, added up with their counts; lag 0 in the middle.
    marginals : tuple of float64 [side, n_kernels]
        Distributions of the steps along each axis. Masses are within (rows * columns + 2) roundings of the exact quotients; a tap
        below 2**-1022 of the total counts as nothing.
    ends : dict of int
        By axis and direction, how far all steps together may go: no tap that is not 0 reaches further.
    """

    sides: tuple[int, int]
    spacing: tuple[int, int]
    counts: Integers
    lags: Array
    marginals: tuple[Array, Array]
    ends: dict[tuple[int, int], int]

    @cached_property
    def layers(self) -> int:
        return int(self.counts.sum())

    def positions(self, axis: int) -> Integers:
        """Where the taps of an axis stand, [side], in input pixels from the centre."""
        return positions(self.sides[axis], self.spacing[axis])

    @cached_property
    def means(self) -> tuple[Array, Array]:
        """Mean step along each axis, [n_kernels], in input pixels."""
        return self.positions(0) @ self.marginals[0], self.positions(1) @ self.marginals[1]

    @cached_property
    def variances(self) -> tuple[Array, Array]:
        """Variance of the step along each axis, [n_kernels], in square pixels. Sums of squares: no cancellation."""
        return self._variances(0), self._variances(1)

    def _variances(self, axis: int) -> Array:
        away = self.positions(axis)[:, None] - self.means[axis]
        away *= away
        away *= self.marginals[axis]
        return np.asarray(away.sum(axis=0))


def positions(side: int, spacing: int) -> Integers:
    return (np.arange(side, dtype=np.int64) - (side - 1) // 2) * spacing


def families(transfer: Transfer, draw: int, threads: int = 1) -> list[Family]:
    """The layers of one draw, those of one shape and spacing together."""
    found: dict[tuple[int, ...], list[Layers]] = {}
    for layers in transfer.layers:
        found.setdefault((*layers.taps.shape[2:], *layers.spacing), []).append(layers)
    return [_family(members, draw, threads) for members in found.values()]


def _family(members: Sequence[Layers], draw: int, threads: int) -> Family:
    first = members[0]
    counts = np.concatenate([np.full(len(m.taps), m.count, dtype=np.int64) for m in members])
    taps = [m.taps[:, draw if m.taps.shape[1] > 1 else 0] for m in members]
    # several members are mostly single layers, of strided networks or used often: one array of them, unless they are used often
    if len({m.count for m in members}) == 1:
        lags, *marginals = _steps(np.concatenate(taps) if len(taps) > 1 else taps[0], threads)
        lags *= first.count
    else:
        parts = [_steps(t, threads) for t in taps]
        lags = np.sum([part[0] * m.count for part, m in zip(parts, members, strict=True)], axis=0)
        marginals = [np.concatenate([part[1 + axis] for part in parts], axis=1) for axis in (0, 1)]
    ends = {side: sum(_end(t, m, *side) for t, m in zip(taps, members, strict=True)) for side in SIDES}
    rows, columns = first.taps.shape[2:]
    return Family((rows, columns), first.spacing, counts, lags, (marginals[0], marginals[1]), ends)


def _steps(taps: Array, threads: int) -> tuple[Array, Array, Array]:
    return _backend.STEPS(taps[:, None], 0, threads)


def _end(taps: Array, layers: Layers, axis: int, sign: int) -> int:
    """The furthest sum of steps of kernels [n, rows, columns], each used as often as `layers` says."""
    at = positions(taps.shape[1 + axis], layers.spacing[axis])
    if taps[:, 0, 0].min() > 0 and taps[:, -1, -1].min() > 0:  # they reach all four sides
        return len(taps) * layers.count * int((sign * at).max())
    reached = (taps > 0).any(axis=2 - axis)
    return layers.count * int(np.where(reached, sign * at, np.iinfo(np.int64).min).max(axis=1).sum())
