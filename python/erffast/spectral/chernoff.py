"""How much of the mass lies beyond a pixel: Chernoff's bound on a sum of independent steps.

The position X of the mass along an axis is a sum of independent steps, one a layer. For any t > 0

    P(X >= a) <= exp(K(t) - t a),    K(t) = sum over layers of log E exp(t step),

because ``1(X >= a) <= exp(t (X - a))``. Every t gives a bound, so t is searched for loosely: 2 % beside the best, the exponent is
within ``(0.02 t std)**2 / 2`` of the least, 0.02 at a bound of 1e-20. Near the edges of a window that leaves out 1e-12, the bound is
some 20 times the exact mass, which widens the window by 4 %.

Rounding is covered: K is raised by a bound on the error of its sums before it is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .laws import Family

Array = NDArray[np.float64]

ROUNDOFF = 2.0**-53
# t is kept so small that exp(t step) spans less than exp(600): no overflow, and terms that underflow are below the floor.
WIDEST = 600.0
# Sums below this count as this: larger, so the bound stands, and a logarithm is never taken of zero.
FLOOR = 1e-290
LEAST = 2.0**-1022
TRIES = 16
CLOSE = 0.02


class Tail:
    """Bounds on P(X >= a), for one axis and one direction.

    Parameters
    ----------
    families : sequence of Family
    axis : int
    sign : {1, -1}
        -1: of the reversed axis, so that a tail is always on the right.
    """

    def __init__(self, families: Sequence[Family], axis: int, sign: int) -> None:
        # [n, side] masses, [side] steps from the smallest to the largest, [n] counts, area of the kernel
        self._parts = [
            (f.marginals[axis][:, ::sign], sign * f.positions(axis)[::sign], f.counts, f.sides[0] * f.sides[1]) for f in families
        ]
        self.end = sum(_last(masses, steps, counts) for masses, steps, counts, _ in self._parts)
        self._deviation = math.sqrt(sum(float(f.variances[axis] @ f.counts) for f in families))
        widest = max(int(steps[-1] - steps[0]) for _, steps, _, _ in self._parts)
        self._largest = WIDEST / max(widest, 1)
        self._t: list[float] = []
        self._k: list[float] = []

    def reach(self, level: float) -> int:
        """The smallest a that is certified to leave at most exp(level) beyond: P(X >= a) <= exp(level).

        `end` + 1 at the furthest, beyond which there is nothing.
        """
        best = self._search(lambda t, k: (k - level) / t, math.sqrt(max(-2 * level, 1.0)))
        # one part in 1e12 for the quotient: 1e-7 pixels in 1e5
        return min(math.ceil(best + 1e-12 * abs(best)), self.end + 1)

    def beyond(self, a: int) -> float:
        """Bound on P(X >= a): at most 1, and 0 past the end alone."""
        if a > self.end:
            return 0.0
        best = self._search(lambda t, k: k - t * a + 4 * ROUNDOFF * abs(t * a), 8.0)
        # 0 is said of nothing that is there
        return min(1.0, max(math.exp(min(best, 0.0)) * (1 + 1e-12), LEAST))

    def _search(self, objective: Callable[[Array, Array], Array], deviations: float) -> float:
        """The least value found of a function with one minimum in t; all points tried are kept for the next search."""
        guess = deviations / self._deviation if self._deviation > deviations / self._largest else self._largest
        if not self._t:
            self._add(guess / 1.3, guess, min(guess * 1.3, self._largest))
        for _ in range(TRIES):
            order = np.argsort(self._t)
            t = np.array(self._t)[order]
            values = objective(t, np.array(self._k)[order])
            further = _better(t, values, self._largest)
            if further is None:
                break
            self._add(further)
        return float(objective(np.array(self._t), np.array(self._k)).min())

    def _add(self, *points: float) -> None:
        fresh = [p for p in dict.fromkeys(points) if p not in self._t]
        self._t += fresh
        self._k += self._cumulants(np.array(fresh)).tolist()

    def _cumulants(self, t: Array) -> Array:
        """K(t), never below the exact value, [len(t)]."""
        total, slack = np.zeros(len(t)), np.zeros(len(t))
        for masses, steps, counts, area in self._parts:
            layers = float(counts.sum())
            # relative to the largest step: exponents are never positive
            sums = np.exp(t[:, None] * (steps - steps[-1])) @ masses.T
            logs = np.log(np.maximum(sums, FLOOR))
            shift = t * float(steps[-1]) * layers
            total += logs @ counts + shift
            # A sum of `side` products, of masses off by area + 1 roundings and exponentials off by those of an argument of up to
            # 600 and their own; then the sum over the kernels.
            slack += layers * (area + masses.shape[1] + 4 * WIDEST)
            slack += (len(counts) + 8) * (np.abs(logs) @ counts + np.abs(shift))
        return np.asarray(total + ROUNDOFF * (slack + 8 * np.abs(total)))


def _last(masses: Array, steps: NDArray[np.int64], counts: NDArray[np.int64]) -> int:
    """The largest sum of steps that has any mass."""
    last = masses.shape[1] - 1 - np.argmax(masses[:, ::-1] > 0, axis=1)
    return int((steps[last] * counts).sum())


def _better(t: Array, values: Array, largest: float) -> float | None:
    """A point that is likely to be better than all of these; None where it would lie beside one of them."""
    i = int(np.argmin(values))
    if i == 0:
        return float(t[0] / 2)
    if i == len(t) - 1:
        return None if t[-1] >= largest else float(min(2 * t[-1], largest))
    # the vertex of the parabola through the three
    left, right = t[i] - t[i - 1], t[i + 1] - t[i]
    down, up = (values[i - 1] - values[i]) / left, (values[i + 1] - values[i]) / right
    if not down + up > 0:
        return None
    vertex = t[i] + (down * right - up * left) / (2 * (down + up))
    vertex = min(max(vertex, t[i] - 0.9 * left), t[i] + 0.9 * right)
    if vertex > t[i] * (1 + CLOSE):
        return float(vertex)
    return float(vertex) if vertex < t[i] * (1 - CLOSE) else None
