"""How much of the mass lies beyond a pixel: Chernoff's bound on a sum of independent steps.

The position X of the mass along an axis is a sum of independent steps, one a layer. For any t > 0

    P(X >= a) <= exp(K(t) - t a),    K(t) = sum over layers of log E exp(t step),

because ``1(X >= a) <= exp(t (X - a))``. Every t gives a bound, so t is searched for loosely: 2 % beside the best, the exponent is
within ``(0.02 t std)**2 / 2`` of the least, 0.02 at a bound of 1e-20. Near the edges of a window that leaves out 1e-12, the bound is
some 20 times the exact mass, which widens the window by 4 %.

K is the logarithm of the product of all expectations, taken once (`laws.cpp`). Rounding is covered: K is raised by a bound on the
error of its sums and products before it is used.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .. import _backend
from .laws import Family, Integers

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
        self._parts = [_Part(f, axis, sign) for f in families]
        self.end = sum(f.ends[axis, sign] for f in families)
        self._deviation = math.sqrt(sum(float(f.variances[axis] @ f.counts) for f in families))
        widest = max(int(part.steps.max() - part.steps.min()) for part in self._parts)
        self._largest = WIDEST / max(widest, 1)
        self._points: list[tuple[float, float]] = []  # t and K(t), from the smallest t on

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

    def _search(self, objective: Callable[[float, float], float], deviations: float) -> float:
        """The least value found of a function with one minimum in t; all points tried are kept for the next search."""
        if not self._points:
            guess = deviations / self._deviation if self._deviation > deviations / self._largest else self._largest
            self._add(guess / 1.3, guess, min(guess * 1.3, self._largest))
        for _ in range(TRIES):
            values = [objective(t, k) for t, k in self._points]
            further = _better([t for t, _ in self._points], values, self._largest)
            if further is None:
                break
            self._add(further)
        return min(objective(t, k) for t, k in self._points)

    def _add(self, *points: float) -> None:
        known = {t for t, _ in self._points}
        fresh = [t for t in dict.fromkeys(points) if t not in known]
        if fresh:
            for point in zip(fresh, self._cumulants(np.array(fresh)).tolist(), strict=True):
                insort(self._points, point)

    def _cumulants(self, t: Array) -> Array:
        """K(t), never below the exact value, [len(t)]."""
        total, slack = np.zeros(len(t)), np.zeros(len(t))
        for part in self._parts:
            logs, shift, roundings = part.cumulants(t)
            total += logs + shift
            slack += roundings + 8 * (np.abs(logs) + np.abs(shift))
        return np.asarray(total + ROUNDOFF * (slack + 8 * np.abs(total)))


class _Part:
    """Steps of one family along an axis; `steps` [side] in the order of the taps."""

    def __init__(self, family: Family, axis: int, sign: int) -> None:
        self.steps: Integers = sign * family.positions(axis)
        self._layers = float(family.layers)
        often = family.counts > 1
        masses = family.marginals[axis]
        self._once = np.ascontiguousarray(masses[:, ~often]) if often.any() else masses
        self._often, self._counts = masses[:, often], family.counts[often]
        # Each sum has `side` products, of masses off by some roundings, and exponentials off by those of an argument of up to 600 and
        # their own; it is then a factor of a product, or its logarithm a term of a sum.
        self._roundings = family.sides[0] * family.sides[1] + len(self.steps) + 4 * WIDEST + 8

    def cumulants(self, t: Array) -> tuple[Array, Array, Array]:
        """Sum of the logarithms of the expectations relative to the largest step, what that adds, and a bound on roundings, [len(t)]."""
        largest = float(self.steps.max())
        factors = np.exp(t[:, None] * (self.steps - largest))  # exponents are never positive
        logs, roundings = np.zeros(len(t)), np.full(len(t), self._layers * self._roundings)
        if self._once.shape[1]:
            logs += _backend.CUMULANTS(self._once, factors, FLOOR)
        if len(self._counts):
            each = np.log(np.maximum(factors @ self._often, FLOOR)) @ self._counts
            logs += each
            roundings += (len(self._counts) + 8) * np.abs(each)
        return logs, t * (largest * self._layers), roundings


def _better(t: list[float], values: list[float], largest: float) -> float | None:
    """A point that is likely to be better than all of these; None where it would lie beside one of them."""
    i = min(range(len(values)), key=values.__getitem__)
    if i == 0:
        return t[0] / 2
    if i == len(t) - 1:
        return None if t[-1] >= largest else min(2 * t[-1], largest)
    # the vertex of the parabola through the three
    left, right = t[i] - t[i - 1], t[i + 1] - t[i]
    down, up = (values[i - 1] - values[i]) / left, (values[i + 1] - values[i]) / right
    if not down + up > 0:
        return None
    vertex = t[i] + (down * right - up * left) / (2 * (down + up))
    vertex = min(max(vertex, t[i] - 0.9 * left), t[i] + 0.9 * right)
    return vertex if abs(vertex - t[i]) > CLOSE * t[i] else None
