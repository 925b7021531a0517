"""The window layers of a network in a row: run-length encoded, with their geometry and the maps they sit on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import geometry
from .chain import Step
from .layers import Activation, AvgPool, Conv, Dropout, Layer, MaxPool, Stack, _Window

Array = NDArray[np.float64]


@dataclass
class WindowRun:
    """`count` equal window layers in a row, in forward order, and what stands between and after them."""

    layer: _Window
    count: int
    gate: str | None = None  # the activation that shares a max-pool's gate
    nonlinear: bool = False  # a nonlinearity or dropout follows
    between: bool = False  # or stands between its repeats
    index: int = 0  # of the first of its convolutions among all convolutions


def window_runs(net: Stack, *, alike: bool = False, commute: bool = False) -> list[WindowRun]:
    """The window layers of a network, run-length encoded, the multiplying layers between them dropped.

    `alike`: kernels depend on the window only, so that convolutions with the same window are one run whatever their gains and
    channels. `commute`: the order of such convolutions without a stride may change, as it may on the unbounded plane. A block of
    them then costs as little as one layer, however often it is repeated.
    """
    runs: list[WindowRun] = []
    _collect(net, runs, None, None, alike, commute)
    return _numbered(runs)


def _numbered(runs: list[WindowRun]) -> list[WindowRun]:
    index = 0
    for run in runs:
        run.index = index
        index += run.count if isinstance(run.layer, Conv) else 0
    return runs


def _collect(net: Stack, runs: list[WindowRun], before: Layer | None, after: Layer | None, alike: bool, commute: bool) -> bool:
    """Append the windows of `net`; tell whether a nonlinearity stands before the first of them."""
    leading = False
    for position, (part, count) in enumerate(net.parts):
        if isinstance(part, Conv):
            _add(runs, WindowRun(part, count), alike)
            continue
        previous = _end(net.parts[position - 1][0], -1) if position else before
        following = _end(net.parts[position + 1][0], 0) if position + 1 < len(net.parts) else after
        inner: list[WindowRun] = []
        nonlinear = isinstance(part, Dropout) or (isinstance(part, Activation) and part.name != "identity")
        if isinstance(part, Stack):
            around = (_end(part, -1), _end(part, 0)) if count > 1 else (previous, following)
            nonlinear = _collect(part, inner, *around, alike, commute)
        elif isinstance(part, _Window):
            gate = None
            if isinstance(part, MaxPool):
                gate = next((n.name for n in (previous, following) if isinstance(n, Activation) and n.name != "identity"), None)
            _add(runs, WindowRun(part, count, gate), alike)
        if nonlinear and runs:
            runs[-1].nonlinear = True
        leading |= nonlinear and not runs
        if commute and count > 1 and all(_commutes(run) for run in inner):
            inner, count = _gathered(inner, count, nonlinear), 1
        _repeat(runs, inner, count, nonlinear, alike)
    return leading


def _commutes(run: WindowRun) -> bool:
    stride = run.layer.stride
    return isinstance(run.layer, Conv) and (set(stride) if isinstance(stride, tuple) else {stride}) == {1}


def _gathered(inner: list[WindowRun], count: int, leading: bool) -> list[WindowRun]:
    """A block repeated `count` times, each of its layers in one run."""
    nonlinear = leading or any(run.nonlinear or run.between for run in inner)
    counts: dict[_Window, int] = {}
    for run in inner:
        counts[run.layer] = counts.get(run.layer, 0) + run.count * count
    return [WindowRun(layer, times, nonlinear=nonlinear, between=nonlinear) for layer, times in counts.items()]


def _repeat(runs: list[WindowRun], inner: list[WindowRun], count: int, leading: bool, alike: bool) -> None:
    """Append a block's windows `count` times; `leading`: a nonlinearity stands before them in the block."""
    if len(inner) == 1:
        only = inner[0]
        _add(runs, replace(only, count=only.count * count, between=only.between or (count > 1 and (leading or only.nonlinear))), alike)
    elif inner:
        for _ in range(count):
            if leading and runs:
                runs[-1].nonlinear = True
            for run in inner:
                _add(runs, replace(run), alike)


def _end(part: Layer, which: int) -> Layer | None:
    while isinstance(part, Stack):
        if not part.parts:
            return None
        part = part.parts[which][0]
    return part


def _add(runs: list[WindowRun], run: WindowRun, alike: bool) -> None:
    last = runs[-1] if runs else None
    if last and last.gate == run.gate and (last.layer == run.layer or (alike and _same_window(last.layer, run.layer))):
        last.count += run.count
        last.between |= last.nonlinear or run.between
        last.nonlinear = run.nonlinear
    else:
        runs.append(run)


def _same_window(one: Layer, other: Layer) -> bool:
    """Whether two convolutions differ in their gains and channels at most."""
    if not (isinstance(one, Conv) and isinstance(other, Conv)):
        return False
    return (one.kernel, one.stride, one.dilation, one.padding, one.tap_variance) == (
        other.kernel,
        other.stride,
        other.dilation,
        other.padding,
        other.tap_variance,
    )


@dataclass(frozen=True)
class Place:
    """A window run with its geometry and the maps it sits on."""

    run: WindowRun
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    extent: tuple[int, ...] | None  # the input map of its first layer, in forward order
    output: tuple[int, ...] | None

    @property
    def layer(self) -> _Window:
        return self.run.layer

    @property
    def count(self) -> int:
        return self.run.count

    def step(self, kernels: Array, **options: Any) -> Step:
        """The backward step of the whole run."""
        growth = tuple(
            [d * (k - 1) - before - after for k, d, (before, after) in zip(self.kernel, self.dilation, self.padding, strict=True)]
        )
        extent, count = self.extent, self.run.count
        if extent is not None and count > 1:
            extent = tuple([n - (count - 1) * g for n, g in zip(extent, growth, strict=True)])
        before = tuple([p[0] for p in self.padding])
        return Step(self.run.layer.label, kernels, self.stride, self.dilation, before, count, extent, growth, **options)


def place(net: Stack, input_size: tuple[int, ...] | None, *, alike: bool = False) -> list[Place]:
    """The window runs with their maps, in forward order. On a map, strided repeats are spelled out and none change places.

    `alike`: as in `window_runs`; on the plane such convolutions commute.
    """
    places: list[Place] = []
    extent = input_size
    for run in window_runs(net, alike=alike, commute=alike and input_size is None):
        geom = run.layer.geometry(net.ndim)
        pieces = [run]
        if (
            extent is not None
            and run.count > 1
            and (set(geom[1]) != {1} or (isinstance(run.layer, AvgPool | MaxPool) and run.layer.padding != 0))
        ):
            pieces = [replace(run, count=1, index=run.index + i) for i in range(run.count)]
        for piece in pieces:
            output = None if extent is None else geometry.repeated_extent(run.layer, piece.count, extent)
            places.append(Place(piece, *geom, extent, output))
            extent = output
    return places
