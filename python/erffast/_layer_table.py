"""The rows of a layer table: where each layer of a network leaves the jump, the field and the width of the ERF.

Repeats stay together: a run of equal layers is one row, a repeated block is one row, or its layers once and a row for the
rest. Everything composes in closed form, so that the cost goes with the length of the text, not with the depth of the network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .geometry import Span, part_spans
from .layers import AvgPool, Conv, Layer, Residual, Stack, _Window

SHORT_BLOCK = 34  # characters of a repeated block that still fits one row of an 80-column table


@dataclass(frozen=True)
class Row:
    """A layer, a run of equal layers or a repeated block, and the network up to its end.

    Attributes
    ----------
    text : str
        What the row is about, in the text form or by the layer's name.
    depth : int
        How many repeated blocks stand around it.
    layers : int
        Layers of the network up to here, the first pass of a block counted once.
    jump, size, start : tuple of int
        The theoretical receptive field up to here, as in `ReceptiveField`.
    std : tuple of float, or None
        Standard deviation of the variance ERF of a unit here, on the unbounded plane, in input pixels. None where no
        closed form gives it: overlapping average pools above each other, and skip connections.
    skips : bool
        Whether there is a skip connection up to here.
    """

    text: str
    depth: int
    layers: int
    jump: tuple[int, ...]
    size: tuple[int, ...]
    start: tuple[int, ...]
    std: tuple[float, ...] | None
    skips: bool = False


class Spread(NamedTuple):
    """One axis of a chain of layers, at jump 1: how much it widens the ERF.

    Variances add, ``sum J^2 d^2 (k^2 - 1) / 12``, as long as the squares of the fixed averages multiply as well:
    ``|a_1 * a_2|^2 = |a_1|^2 * |a_2|^2`` holds where no two pairs of taps meet in one pixel. `averaged` is the extent of the
    averages so far and `spacing` the smallest distance of their taps: averages whose taps stand further apart than the extent
    of those below never meet.
    """

    jump: int = 1
    twelve_variances: float = 0  # 12 times the variance: an integer for uniform taps, so exact
    averaged: int = 0
    spacing: int = 0
    exact: bool = True
    skips: bool = False  # over a skip connection, whose paths have weights of their own

    def then(self, later: Spread) -> Spread:
        """This chain followed, towards the output, by another."""
        meets = self.averaged > 0 and later.averaged > 0 and self.jump * later.spacing <= self.averaged
        return Spread(
            self.jump * later.jump,
            self.twelve_variances + self.jump**2 * later.twelve_variances,
            self.averaged + self.jump * later.averaged,
            self.spacing if self.averaged else self.jump * later.spacing,
            self.exact and later.exact and not meets,
            self.skips or later.skips,
        )

    def times(self, count: int) -> Spread:
        """This chain repeated `count` times."""
        if self.jump == 1:
            exact = self.exact and (self.averaged == 0 or count == 1)
            return self._replace(twelve_variances=self.twelve_variances * count, averaged=self.averaged * count, exact=exact)
        total = Spread()
        for _ in range(count):  # few: `Span.times` has refused jumps past 2**62
            total = total.then(self)
        return total


State = tuple[tuple[Span, ...], tuple[Spread, ...]]


def layer_rows(net: Stack) -> Iterator[Row]:
    """The rows of the table of `net`, from the input to the output."""
    start: State = (Span(),) * net.ndim, (Spread(),) * net.ndim
    yield from _rows(net, start, 0, 0, {})


def _rows(net: Stack, state: State, layers: int, depth: int, steps: dict[int, State]) -> Iterator[Row]:
    """`steps` remembers by identity: a network written out layer by layer holds few different layer objects."""
    for part, count in net.parts:
        length = len(part) if isinstance(part, Stack) else 1
        text = f"({part})" if isinstance(part, Stack) else part.label
        if isinstance(part, Stack) and count > 1 and len(text) > SHORT_BLOCK:
            yield from _rows(part, state, layers, depth + 1, steps)
            text = f"these {length:,} layers"
        step = steps[id(part)] if id(part) in steps else steps.setdefault(id(part), _step(part, net.ndim))
        spans = tuple(s.then(later.times(count)) for s, later in zip(state[0], step[0], strict=True))
        spreads = tuple(s.then(later.times(count)) for s, later in zip(state[1], step[1], strict=True))
        state = spans, spreads
        layers += length * count
        yield _row(text if count == 1 else f"{text} * {count}", depth, layers, state)


def _row(text: str, depth: int, layers: int, state: State) -> Row:
    spans, spreads = state
    skips = any(s.skips for s in spreads)
    exact = all(s.exact for s in spreads) and not skips
    return Row(
        text=text,
        depth=depth,
        layers=layers,
        jump=tuple(s.jump for s in spans),
        size=tuple(s.extra + 1 for s in spans),
        start=tuple(s.start for s in spans),
        std=tuple(math.sqrt(s.twelve_variances / 12) for s in spreads) if exact else None,
        skips=skips,
    )


def _step(part: Layer, ndim: int) -> State:
    """What one layer or block does to the state."""
    return part_spans(part, ndim), _spread_of(part) if isinstance(part, Stack) else _layer_spread(part, ndim)


def _spread_of(net: Stack) -> tuple[Spread, ...]:
    total = (Spread(),) * net.ndim
    for part, count in net.parts:
        inner = _spread_of(part) if isinstance(part, Stack) else _layer_spread(part, net.ndim)
        total = tuple(t.then(s.times(count)) for t, s in zip(total, inner, strict=True))
    return total


def _layer_spread(layer: Layer, ndim: int) -> tuple[Spread, ...]:
    if isinstance(layer, Residual):
        return tuple(Spread(span.jump, skips=True) for span in part_spans(layer, ndim))
    if not isinstance(layer, _Window):
        return (Spread(),) * ndim
    kernel, stride, dilation, _ = layer.geometry(ndim)
    if isinstance(layer, Conv) and layer.tap_variance is not None:
        own = [12 * _variance_along(np.asarray(layer.tap_variance), axis) for axis in range(ndim)]
    else:
        own = [k * k - 1 for k in kernel]
    average = isinstance(layer, AvgPool)
    return tuple(
        Spread(s, d * d * v, k - 1 if average else 0, 1 if average and k > 1 else 0)
        for k, s, d, v in zip(kernel, stride, dilation, own, strict=True)
    )


def _variance_along(taps: np.ndarray, axis: int) -> float:
    """Variance, in taps squared, of the distribution `taps` along one axis."""
    weights = taps.sum(axis=tuple(a for a in range(taps.ndim) if a != axis))
    weights = weights / weights.sum()
    places = np.arange(len(weights))
    mean = weights @ places
    return float(weights @ (places - mean) ** 2)
