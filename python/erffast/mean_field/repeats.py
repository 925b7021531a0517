"""Repeats of a part: walked pass by pass, closed with a power once settled, leapt over while they drift slowly.

A million repeats cost no more than about a thousand: a repeat is closed with a power once its gains and increments no
longer change (checked again at its far end), and while they change slowly, as 1/n for tanh at the edge of chaos, the walk
leaps. Pass by pass the state obeys y[n+1] = f(y[n]); the curve through these points has the derivative
log(1 + D) y = D y - D^2 y / 2 + D^3 y / 3 - ..., D the forward difference, and is integrated by Runge-Kutta.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..layers import Layer, Stack
from .state import State

Array: TypeAlias = NDArray[np.float64]
Item: TypeAlias = Any  # a leaf's log2 gain, or for a block the list of its parts' runs
Runs: TypeAlias = list[tuple[Any, int]]

_SETTLED = 1e-14  # change of a pass's log2 gains and increments that counts as none
_WALKED = 256  # passes walked one by one before leaps: the fourth difference left out is then (1/256)^3 of the rate
_LEAP_TOLERANCE = 3e-4  # Runge-Kutta order 4 against order 2, in log2; for a drift as 1/n order 4 itself is good to 1e-7


def _means(item: Item) -> list[float]:
    """Mean log2 gain of every leaf of a pass."""
    if not isinstance(item, list):
        return [item]
    flat: list[float] = []
    for runs in item:
        if len(runs) == 1:
            flat += _means(runs[0][0])
            continue
        total = sum(times for _, times in runs)
        columns = zip(*(_means(inner) for inner, _ in runs), strict=True)
        flat += [sum(g * t for g, (_, t) in zip(column, runs, strict=True)) / total for column in columns]
    return flat


def _rebuilt(part: Layer, gains: list[float]) -> Item:
    """A pass with one run per part from its leaves' gains; takes them off the list."""
    if not isinstance(part, Stack):
        return gains.pop(0)
    return [[(_rebuilt(inner, gains), count)] for inner, count in part.parts]


class Repeat:
    """One part, repeated: passes one by one, closed by a power once settled, by leaps while it drifts slowly."""

    def __init__(self, part: Layer, count: int, once: Callable[[State], tuple[Item, State]]) -> None:
        self.part, self.count, self.once = part, count, once
        self.runs: Runs = []
        self.done = 0
        self.next_leap, self.stride = _WALKED, 0.05  # the stride is a share of the passes done

    def walk(self, state: State) -> tuple[Runs, State]:
        last: Array | None = None
        while self.done < self.count:
            item, above = self.once(state)
            rate = self.rate(item, state, above)
            steady = state.kind() == above.kind()
            self.add(item, 1)
            state = above
            if not steady:
                last = None
                continue
            if last is not None and _same(rate, last):
                state = self.close(item, state, rate)
            elif last is not None and self.done >= self.next_leap:
                state = self.leap(state, float(np.abs(rate - last).max()))
            last = rate
        return self.runs, state

    def add(self, item: Item, times: int) -> None:
        if self.runs and self.runs[-1][0] == item:
            self.runs[-1] = (item, self.runs[-1][1] + times)
        else:
            self.runs.append((item, times))
        self.done += times

    def rate(self, item: Item, state: State, above: State) -> Array:
        """What one pass adds to log2 q, to log2 (v / q) and to the log2 gain of each leaf."""
        motion = [above.log_q - state.log_q, above.log_share - state.log_share]
        return np.array([m if abs(m) > _SETTLED else 0.0 for m in motion] + _means(item))  # rounding would add up over a million passes

    def rate_at(self, state: State) -> Array:
        item, above = self.once(state)
        return self.rate(item, state, above)

    def close(self, item: Item, state: State, rate: Array) -> State:
        """Repeat a settled pass as often as its far end still agrees: a drift through many scales may not last."""
        times = self.count - self.done
        while times > 1:
            far = state.moved((times - 1) * rate)
            if _same(self.rate_at(far), rate):
                break
            times //= 2
        if times:
            self.add(item, times)
        return state.moved(times * rate)

    def flow(self, state: State) -> Array:
        """Derivative by n of the curve through the passes: log(1 + D) to third order, from three passes."""
        rates = []
        for _ in range(3):
            item, above = self.once(state)
            rates.append(self.rate(item, state, above))
            state = above
        a, b, c = rates
        return np.asarray(a - (b - a) / 2 + (c - 2 * b + a) / 3)

    def leap(self, state: State, change: float) -> State:
        """One Runge-Kutta step over `stride` times the passes done; shorter until orders 4 and 2 agree.

        change: the largest difference of two passes' rates. For a drift as c / n it is c / n^2; where it has become smaller,
        the walk nears a fixed point, and a leap must not throw it back.
        """
        tolerance = _LEAP_TOLERANCE * min(1.0, change * self.done**2)
        while True:
            times = min(round(self.done * self.stride), self.count - self.done - 1)  # a pass is left to walk: it sets the rest right
            if times < 24:  # hardly worth twelve passes: walk on for a while
                self.next_leap, self.stride = self.done + self.done // 8, 0.05
                return state
            k1 = self.flow(state)
            k2 = self.flow(state.moved(times / 2 * k1))
            k3 = self.flow(state.moved(times / 2 * k2))
            k4 = self.flow(state.moved(times * k3))
            step = times / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            agreement = 0.8 * (tolerance / max(float(np.abs(step - times * k2).max()), 1e-300)) ** (1 / 3)
            if agreement >= 0.8:
                break
            self.stride = times / self.done * max(0.2, agreement)
        self.add(_rebuilt(self.part, (step[2:] / times).tolist()), times)
        self.stride = min(0.25, self.stride * min(2.0, agreement))
        return state.moved(step)


def _same(a: Array, b: Array) -> bool:
    return bool((np.abs(a - b) <= _SETTLED * np.maximum(1, np.abs(a))).all())
