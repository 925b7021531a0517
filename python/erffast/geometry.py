"""Where things are: theoretical receptive fields, map sizes, and which pixels are reached at all.

A window layer maps output unit ``i`` to the inputs ``s*i - p ... s*i - p + d*(k - 1)`` in each axis (forward convention).
Composing these affine maps gives the field of any unit; a run of equal layers composes in closed form. Where paths meet, the
field is the hull of their intervals. A path takes any branch of each block, so the first pixel of all paths through a chain of
blocks is the sum of the blocks' own, as is the last: hulls compose as intervals do. The centres of the paths are all sums of
one centre from each block, so they agree where, and only where, they agree in every block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _validate as check
from ._validate import LARGEST as LARGEST
from .layers import AvgPool, Layer, MaxPool, Residual, Stack, _Window

Reach = tuple[NDArray[np.bool_], ...]


class Span(NamedTuple):
    """One axis of a network: unit u sees ``start + jump*u ... start + jump*u + extra``.

    `aligned` tells whether all paths have one centre; it is then that of the interval.
    """

    jump: int = 1
    start: int = 0
    extra: int = 0
    aligned: bool = True

    def then(self, later: Span) -> Span:
        """This network followed (towards the output) by another."""
        start, extra = self.start + self.jump * later.start, self.extra + self.jump * later.extra
        return Span(self.jump * later.jump, start, extra, self.aligned and later.aligned)

    def beside(self, other: Span) -> Span:
        """This network and another on the same map, with the same jump, their outputs added: the hull."""
        start = min(self.start, other.start)
        extra = max(self.start + self.extra, other.start + other.extra) - start
        alike = 2 * self.start + self.extra == 2 * other.start + other.extra
        return Span(self.jump, start, extra, self.aligned and other.aligned and alike)

    def times(self, count: int) -> Span:
        """This network repeated `count` times."""
        if self.jump == 1:
            return Span(1, self.start * count, self.extra * count, self.aligned)
        if count > 62:
            raise OverflowError(
                f"{count} repeats of stride {self.jump} give a jump of {self.jump}**{count} pixels; coordinates are limited to 2**62"
            )
        total = Span()
        for _ in range(count):
            total = total.then(self)
        return total


@dataclass(frozen=True)
class ReceptiveField:
    """The theoretical receptive field: the pixels that can change a unit at all.

    Attributes
    ----------
    size : tuple of int
        Side lengths in input pixels.
    jump : tuple of int
        Effective stride: input pixels between neighbouring units.
    start : tuple of int
        Input coordinate of the first pixel unit 0 sees; negative with padding. Unit u sees ``start + jump*u`` and the
        ``size - 1`` pixels after it.
    centre : tuple of float
        Centre of unit 0 in input coordinates: the middle of its field.
    aligned : bool
        Whether all paths agree on jump and centre; always so for a sequence. Skip connections may join maps that are shifted
        against each other, by an even kernel, say, or by an average pool of 2 beside a convolution with stride 2.
    name : str or None
        Label of the layer.
    layers : list of ReceptiveField
        The fields after each layer, in forward order.
    """

    size: tuple[int, ...]
    jump: tuple[int, ...]
    start: tuple[int, ...]
    centre: tuple[float, ...]
    aligned: bool = True
    name: str | None = None
    net: Stack | None = field(default=None, repr=False, compare=False)

    @property
    def layers(self) -> list[ReceptiveField]:
        return [] if self.net is None else list(_fields(self.net))

    def box(self, unit: Sequence[int], input_size: Sequence[int] | None = None) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """First and last input pixel `unit` sees, cut by the map where there is one."""
        low = tuple([s + j * u for s, j, u in zip(self.start, self.jump, unit, strict=True)])
        high = tuple([a + n - 1 for a, n in zip(low, self.size, strict=True)])
        if input_size is None:
            return low, high
        return tuple(max(a, 0) for a in low), tuple(min(b, n - 1) for b, n in zip(high, input_size, strict=True))


def receptive_field(net: Layer | Any, *, layer: str | int | None = None) -> ReceptiveField:
    """The theoretical receptive field of a network, or of one of its layers.

    Parameters
    ----------
    net : Layer
        A `Stack`, or one layer (taken as 2-D).
    layer : str or int, optional
        Index or name (the first of that name) of the layer whose unit is asked for; the last one by default.

    Returns
    -------
    ReceptiveField
        Sizes in input pixels, on the unbounded plane; ``.layers`` has one entry per layer.

    Raises
    ------
    ValueError
        No layer at all, no such layer, or a residual block whose body and shortcut have different jumps.
    OverflowError
        The field exceeds 2**62 pixels.

    Notes
    -----
    Intervals, not sizes, are carried (``lo' = s*lo - p``, ``hi' = s*hi + d*(k-1) - p``), so that positions are exact too. With
    skip connections the field is the hull of what all paths see.

    Examples
    --------
    >>> import erffast as ef
    >>> ef.receptive_field(ef.parse("conv3:p1 * 2, maxpool2, conv3:p1")).size
    (10, 10)
    >>> ef.receptive_field(ef.parse("conv7/2:p3, residual(conv3:p1, relu, conv3:p1) * 2")).size
    (23, 23)
    """
    return field_of(upto(as_stack(net), layer))


def field_of(net: Stack) -> ReceptiveField:
    """The theoretical receptive field of a network that has been checked."""
    return _as_field(span_of(net), net.parts[-1][0].label, net)


def as_stack(net: Any) -> Stack:
    """A network argument as a `Stack`, with a readable refusal of anything else."""
    if isinstance(net, Stack):
        return net
    if isinstance(net, Layer):
        return Stack([net])
    if isinstance(net, str):
        raise TypeError(f"net must be a Layer, got text; use erffast.parse({net!r})")
    raise TypeError(f"net must be a Layer such as Stack([Conv(3)]), got {type(net).__name__}")


def upto(net: Stack, layer: str | int | None) -> Stack:
    """`net` cut after `layer` (index from either end, or name)."""
    if len(net) == 0:
        raise ValueError("the network is empty: it needs at least one layer")
    if layer is None:
        return net
    if isinstance(layer, str):
        for index, item in enumerate(net):
            if item.label == layer:
                return net.upto(index)
        named = list(dict.fromkeys(item.label for item, _ in net.parts))[:8]
        raise ValueError(f"layer {layer!r} is not in the network; its layers begin with {', '.join(named)}")
    index = check.integer(layer, "layer")
    if not -len(net) <= index < len(net):
        raise ValueError(f"layer {index} is outside the network of {len(net)} layers")
    return net.upto(index % len(net))


def part_spans(part: Layer, ndim: int) -> tuple[Span, ...]:
    """What the units of one layer or block see, per axis."""
    if isinstance(part, Stack):
        return span_of(part)
    if isinstance(part, Residual):
        return _spans_of_block(part, ndim)
    return _spans_of_window(*part.geometry(ndim)) if isinstance(part, _Window) else (Span(),) * ndim


def _spans_of_block(block: Residual, ndim: int) -> tuple[Span, ...]:
    """The hulls of body and shortcut, if their maps can be added."""
    body = span_of(block.body)
    shortcut = (Span(),) * ndim if block.shortcut is None else span_of(block.shortcut)
    jumps = [tuple([span.jump for span in branch]) for branch in (body, shortcut)]
    if jumps[0] != jumps[1]:
        raise ValueError(f"layer {block.shown}: its body has jump {jumps[0]}, but its shortcut {jumps[1]}: such maps cannot be added")
    return tuple([one.beside(other) for one, other in zip(body, shortcut, strict=True)])


@lru_cache(maxsize=256)  # a deep network has few different windows
def _spans_of_window(*geometry: tuple[Any, ...]) -> tuple[Span, ...]:
    return tuple([Span(s, -p[0], d * (k - 1)) for k, s, d, p in zip(*geometry, strict=True)])


def span_of(net: Stack) -> tuple[Span, ...]:
    """What the units of a whole stack see, per axis, from its run-length encoding; kept with the stack, which never changes."""
    known: tuple[Span, ...] | None = vars(net).get("_spans")
    if known is None:
        known = vars(net)["_spans"] = _composed(net)
    return known


def _composed(net: Stack) -> tuple[Span, ...]:
    total = (Span(),) * net.ndim
    for part, count in net.parts:
        total = tuple([t.then(s.times(count)) for t, s in zip(total, part_spans(part, net.ndim), strict=True)])
    if any(max(t.jump, t.extra, -t.start) > LARGEST for t in total):
        raise OverflowError("the receptive field exceeds 2**62 pixels; coordinates are limited to that")
    return total


def _as_field(spans: tuple[Span, ...], name: str | None, net: Stack | None = None) -> ReceptiveField:
    return ReceptiveField(
        size=tuple([s.extra + 1 for s in spans]),
        jump=tuple([s.jump for s in spans]),
        start=tuple([s.start for s in spans]),
        centre=tuple([s.start + s.extra / 2 for s in spans]),
        aligned=all(s.aligned for s in spans),
        name=name,
        net=net,
    )


def _fields(net: Stack) -> Iterator[ReceptiveField]:
    total = (Span(),) * net.ndim
    for layer in net:
        total = tuple(t.then(s) for t, s in zip(total, part_spans(layer, net.ndim), strict=True))
        yield _as_field(total, layer.label)


# ------------------------------------------------------------------------------------------------ finite maps


def output_extent(layer: Layer, extent: tuple[int, ...]) -> tuple[int, ...]:
    """Size of a layer's output map for an input map of `extent`; torch's rules, ceil mode included.

    Raises ValueError where the output would be empty, or a block's body and shortcut make maps of different sizes.
    """
    if isinstance(layer, Residual):
        return _sum_extent(layer, extent)
    if not isinstance(layer, _Window):
        return extent
    kernel, stride, dilation, padding = layer.geometry(len(extent))
    ceil = isinstance(layer, MaxPool | AvgPool) and layer.ceil_mode
    out = []
    for n, k, s, d, (before, after) in zip(extent, kernel, stride, dilation, padding, strict=True):
        room = n + before + after - d * (k - 1) - 1
        size = (room + (s - 1 if ceil else 0)) // s + 1
        if size < 1:
            raise ValueError(
                f"layer {layer.label}: its window of {d * (k - 1) + 1} pixels does not fit the map of {n} (+ {before + after} padding): "
                "the output is empty"
            )
        if n + before + after > LARGEST:
            raise OverflowError(f"layer {layer.label}: its padded map exceeds 2**62 pixels; coordinates are limited to that")
        # torch: the last window must start inside the map or its left padding
        out.append(size - 1 if ceil and (size - 1) * s >= n + before else size)
    return tuple(out)


def _sum_extent(block: Residual, extent: tuple[int, ...]) -> tuple[int, ...]:
    body = output_size(block.body, extent)
    shortcut = extent if block.shortcut is None else output_size(block.shortcut, extent)
    if body != shortcut:
        raise ValueError(
            f"layer {block.shown}: of a map of {extent} its body makes one of {body}, but its shortcut one of {shortcut}: "
            "they cannot be added"
        )
    return body


def output_size(net: Stack, input_size: tuple[int, ...]) -> tuple[int, ...]:
    """Size of the network's output map, from its run-length encoding."""
    extent = input_size
    for part, count in net.parts:
        extent = repeated_extent(part, count, extent)
    return extent


def repeated_extent(part: Layer, count: int, extent: tuple[int, ...]) -> tuple[int, ...]:
    """Map size after `count` repeats of a layer or block."""
    for done in range(count):
        before = extent
        extent = output_size(part, extent) if isinstance(part, Stack) else output_extent(part, extent)
        if extent == before:
            return extent
        if _shrinks_evenly(part):
            return _shrunk(part, count - done, before, extent)
    return extent


def _shrinks_evenly(part: Layer) -> bool:
    if isinstance(part, Stack):
        return all(_shrinks_evenly(inner) for inner, _ in part.parts)
    if isinstance(part, Residual):
        return all(_shrinks_evenly(branch) for branch in part.branches)
    return not isinstance(part, _Window) or set(_strides(part)) == {1}


def _strides(layer: _Window) -> tuple[int, ...]:
    stride = layer.kernel if layer.stride is None else layer.stride
    return stride if isinstance(stride, tuple) else (stride,)


def _shrunk(part: Layer, count: int, before: tuple[int, ...], after: tuple[int, ...]) -> tuple[int, ...]:
    """Stride 1 changes the map by the same amount each time, until it is empty."""
    last = tuple(b + (count - 1) * (a - b) for b, a in zip(before, after, strict=True))
    if min(last) < 1:
        raise ValueError(f"layer {part.label}: after {count} repeats the map of {before} is used up: the output is empty")
    return output_size(part, last) if isinstance(part, Stack) else output_extent(part, last)


# ------------------------------------------------------------------------------------------------ reach


class AxisRun(NamedTuple):
    """`times` equal window layers along one axis."""

    size: int  # taps of the window
    taps: NDArray[np.bool_] | None  # marks those that are not zero; None: none is zero
    stride: int
    dilation: int
    before: int
    extent: int | None  # the first input map met on the way back; None on the plane
    growth: int  # change of that map with each further layer of the run
    times: int


def reach_of_axis(runs: Sequence[AxisRun], unit: int) -> tuple[int, NDArray[np.bool_]]:
    """Which input pixels a unit reaches along one axis.

    Parameters
    ----------
    runs : sequence of AxisRun
        From the output back to the input.
    unit : int
        Output unit.

    Returns
    -------
    origin, mask : int, bool array
        ``mask[i]`` tells whether pixel ``origin + i`` is reached.
    """
    origin, n, runs = _without_holes(runs, unit)
    mask = np.ones(n, dtype=bool)
    for run in runs:
        taps = np.ones(run.size, dtype=bool) if run.taps is None else run.taps
        if run.times > 1 and run.stride == 1 and run.extent is None:
            origin, mask = origin - run.before * run.times, _spread(mask, _repeat_taps(taps, run.times), run.dilation)
            continue
        for i in range(run.times):
            mask = _spread(_upsampled(mask, run.stride), taps, run.dilation)
            origin = run.stride * origin - run.before
            if run.extent is not None:
                origin, mask = _clipped(origin, mask, run.extent + i * run.growth)
            if not len(mask):  # the unit sees nothing but padding: no further layer adds a pixel
                return origin, mask
    return origin, mask


def _without_holes(runs: Sequence[AxisRun], unit: int) -> tuple[int, int, Sequence[AxisRun]]:
    """The first pixel and the number of pixels reached, as long as there are no holes; and the runs from the one that leaves some.

    Few networks leave any, and for all others two numbers a layer tell what is reached.
    """
    low, n = unit, 1
    for index, run in enumerate(runs):
        grows = run.dilation * (run.size - 1)
        if run.extent is None and run.stride == 1 and _leaves_no_hole(run, n):  # as it grows, the less so
            low, n = low - run.times * run.before, n + run.times * grows
            continue
        for i in range(run.times):
            if not _leaves_no_hole(run, n):
                left = run._replace(times=run.times - i, extent=run.extent and run.extent + i * run.growth)
                return low, n, [left, *runs[index + 1 :]]
            low, n = run.stride * low - run.before, run.stride * (n - 1) + grows + 1
            if run.extent is not None:
                first, past = max(low, 0), min(low + n, run.extent + i * run.growth)
                low, n = first, max(past - first, 0)
            if n == 0:
                return low, n, ()
    return low, n, ()


def _leaves_no_hole(run: AxisRun, n: int) -> bool:
    """Whether `n` neighbours reach pixels without a hole through a layer of the run."""
    if run.taps is not None:
        return False
    if n == 1:
        return run.size == 1 or run.dilation == 1
    if run.stride == 1:
        return run.size == 1 or run.dilation <= n
    return run.dilation == 1 and run.stride <= run.size


def _repeat_taps(taps: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """The taps of `count` equal layers in one: their sum set, by binary powers."""
    if taps.all():
        return np.ones(count * (len(taps) - 1) + 1, dtype=bool)
    total = np.ones(1, dtype=bool)
    for bit in bin(count)[2:]:
        total = _spread(total, total, 1)
        if bit == "1":
            total = _spread(total, taps, 1)
    return total


def _upsampled(mask: NDArray[np.bool_], stride: int) -> NDArray[np.bool_]:
    if stride == 1:
        return mask
    out = np.zeros(stride * (len(mask) - 1) + 1, dtype=bool)
    out[::stride] = mask
    return out


def _spread(mask: NDArray[np.bool_], taps: NDArray[np.bool_], dilation: int) -> NDArray[np.bool_]:
    """Union of `mask` shifted to every tap: the boolean convolution."""
    out = np.zeros(len(mask) + dilation * (len(taps) - 1), dtype=bool)
    if len(taps) <= 64:
        for i in np.flatnonzero(taps):
            out[i * dilation : i * dilation + len(mask)] |= mask
    elif taps.all():
        # many taps without holes: a running count along each residue class instead of one pass a tap
        for r in range(min(dilation, len(mask))):
            part = mask[r::dilation].astype(np.int64)
            total = np.cumsum(np.concatenate([part, np.zeros(len(taps) - 1, dtype=np.int64)]))
            total[len(taps) :] -= total[: -len(taps)].copy()
            out[r::dilation] |= total > 0
    else:
        from scipy.signal import fftconvolve

        wide = _upsampled(taps, dilation).astype(float)
        out = fftconvolve(mask.astype(float), wide) > 0.5
    return out


def _clipped(origin: int, mask: NDArray[np.bool_], extent: int) -> tuple[int, NDArray[np.bool_]]:
    low, high = max(origin, 0), min(origin + len(mask), extent)
    return low, mask[low - origin : max(high, low) - origin]
