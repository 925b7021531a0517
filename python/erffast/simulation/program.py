"""A network as a program: operations on numbered maps, each of which is computed only where the unit's gradient needs it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .. import geometry
from ..layers import Activation, AvgPool, Conv, Dropout, Layer, MaxPool, Norm, Residual, Scale, Stack, _Window
from ..places import Place, WindowRun
from ..pooling import divisor_scales

OVERRUN = 32  # numbers beyond each row that the engine may write
MANY_CHANNELS = 8  # as in the engine, cpp/src/simulation/network.hpp
MOST_CHOICES = 2**16 - 1  # the engine keeps the pixel that a window chose in 16 bits
Rect = tuple[tuple[int, ...], tuple[int, ...]]  # first and last pixel along each axis


class Made(NamedTuple):
    """One operation: what it is, the values it reads, and the map it makes."""

    layer: Layer | None  # None: a sum
    reads: tuple[int, ...]
    channels: int
    extent: tuple[int, ...] | None  # of the map it makes; None on the plane
    number: int  # of its layer among all, for random numbers


@dataclass
class Program:
    """A network unrolled. Value 0 is the input, value i + 1 what operation i makes.

    Attributes
    ----------
    ndim : int
    channels : int
        Of the input.
    operations : list of Made
    rects : list
        Per value, the first and last pixel computed along each axis.
    """

    ndim: int
    channels: int
    extent: tuple[int, ...] | None
    operations: list[Made] = field(default_factory=list)
    rects: list[Rect] = field(default_factory=list)

    def channels_of(self, value: int) -> int:
        return self.operations[value - 1].channels if value else self.channels

    def extent_of(self, value: int) -> tuple[int, ...] | None:
        return self.operations[value - 1].extent if value else self.extent

    @property
    def convolutions(self) -> list[Made]:
        """In forward order."""
        return [made for made in self.operations if isinstance(made.layer, Conv)]

    def weights_of(self, made: Made) -> int:
        """Numbers of the weights of a convolution."""
        assert isinstance(made.layer, Conv)
        return made.channels * (self.channels_of(made.reads[0]) // made.layer.groups) * math.prod(made.layer.geometry(self.ndim)[0])

    @property
    def side_by_side(self) -> bool:
        """Whether the engine puts the channels of a pixel side by side."""
        convs = self.convolutions
        return max((made.channels for made in convs), default=1) >= MANY_CHANNELS and all(made.layer.groups == 1 for made in convs)  # type: ignore[union-attr]

    @property
    def work(self) -> int:
        """Multiply-adds of a draw, forward and backward, about."""
        return sum(
            2 * self.weights_of(made) * self.pixels(i + 1) // made.channels
            for i, made in enumerate(self.operations)
            if isinstance(made.layer, Conv)
        )

    def stored(self, value: int, line: int) -> float:
        """Numbers that the engine keeps for a map: channels filled up to multiples of `line`, and zeros beside each row."""
        low, high = self.rects[value]
        return self._planes([b - a + 1 for a, b in zip(low, high, strict=True)], self.channels_of(value), line)

    def reached(self, index: int, line: int) -> float:
        """Numbers of the gradient below an operation, before the border of the map cuts it."""
        made = self.operations[index]
        if not isinstance(made.layer, _Window):
            return 0.0
        low, high = self.rects[index + 1]
        kernel, stride, dilation, _ = made.layer.geometry(self.ndim)
        sides = [s * (b - a) + d * (k - 1) + 1 for a, b, k, s, d in zip(low, high, kernel, stride, dilation, strict=True)]
        return self._planes(sides, self.channels_of(made.reads[0]), line)

    def _planes(self, sides: Sequence[int], channels: int, line: int) -> float:
        width = math.ceil(channels / line) * line * (sides[-1] + 2 * self._margin) + OVERRUN
        return float(math.prod(sides[:-1])) * (width if line > 1 else channels * (sides[-1] + 2 * self._margin + OVERRUN))

    @cached_property
    def _margin(self) -> int:
        """Columns of zeros that the engine puts at each side of a row: as far as a window reads beyond it."""
        most = 1
        for index, made in enumerate(self.operations):
            if isinstance(made.layer, _Window):
                span = geometry.part_spans(made.layer, self.ndim)[-1]
                (low, high), (first, last) = ([side[-1] for side in self.rects[value]] for value in (made.reads[0], index + 1))
                beyond = max(low - (span.start + span.jump * first), span.start + span.jump * last + span.extra - high)
                most = max(most, beyond + 1, span.extra // span.jump + 1)
        return most

    def pixels(self, value: int) -> int:
        """Computed, over all channels."""
        return self.channels_of(value) * math.prod(high - low + 1 for low, high in zip(*self.rects[value], strict=True))


def program_of(
    net: Stack, unit: tuple[int, ...], extent: tuple[int, ...] | None, channels: int, width: Callable[[Conv, int, int], int]
) -> Program:
    """Unroll a network for the gradient of one unit.

    Parameters
    ----------
    net : Stack
    unit : tuple of int
    extent : tuple of int, optional
        The input map; None is the plane.
    channels : int
        Of the input.
    width : callable
        (layer, its number among the convolutions, input channels) -> output channels.
    """
    program = Program(net.ndim, channels, extent)
    builder = _Builder(program, width)
    last = builder.add(_probed(net), 0)
    if last == 0:
        raise ValueError("the network has no layer that its unit could be seen through: it needs a convolution or a pool")
    _restrict(program, unit)
    return program


def _probed(net: Stack) -> Stack:
    """The network up to the last layer that does more than act on single pixels: behind a last ReLU half of all units are dead."""
    length = len(net)
    for layer in reversed(list(_tail(net))):
        if _reaches(layer):
            break
        length -= 1
    return net if length == len(net) else net.upto(length - 1) if length else Stack(ndim=net.ndim)  # type: ignore[arg-type]


def _tail(net: Stack) -> list[Layer]:
    """The last layers, enough of them to hold one that is not for single pixels, or all."""
    layers: list[Layer] = []
    for part, count in reversed(net.parts):
        inner = list(part) if isinstance(part, Stack) else [part]
        few = inner * min(count, 1 if any(_reaches(layer) for layer in inner) else count)
        layers = few + layers
        if any(_reaches(layer) for layer in inner):
            break
    return layers


def _reaches(layer: Layer) -> bool:
    return not isinstance(layer, Activation | Dropout | Norm | Scale)


class _Builder:
    """Appends layers to a program, in forward order."""

    def __init__(self, program: Program, width: Callable[[Conv, int, int], int]) -> None:
        self.program, self.width = program, width
        self.number = 0  # of the next layer
        self.convolutions = 0

    def add(self, layer: Layer, value: int) -> int:
        """The value that the layer makes of another."""
        if isinstance(layer, Stack):
            for part, count in layer.parts:
                for _ in range(count):
                    value = self.add(part, value)
            return value
        self.number += 1
        number, channels, extent = self.number - 1, self.program.channels_of(value), self.program.extent_of(value)
        if isinstance(layer, Residual):
            return self._residual(layer, value, number)
        if isinstance(layer, Norm):
            if layer.kind != "batch":
                raise NotImplementedError(f"layer {number} ({layer.label}): of all norms simulate() takes batch norm only, as calibrated")
            if extent is None:
                raise ValueError(f"layer {number} ({layer.label}): the statistics of a norm are taken over the map; give input_size")
        if isinstance(layer, Activation) and layer.name == "identity":
            return value
        if isinstance(layer, _Window):
            try:
                extent = None if extent is None else geometry.output_extent(layer, extent)
            except ValueError as exc:
                raise ValueError(f"layer {number}: {exc}") from None
        if isinstance(layer, MaxPool) and math.prod(layer.geometry(self.program.ndim)[0]) >= MOST_CHOICES:
            raise ValueError(f"layer {number} ({layer.label}): simulate() takes max-pools of fewer than {MOST_CHOICES} pixels")
        if isinstance(layer, Conv):
            if channels % layer.groups:
                raise ValueError(f"layer {number} ({layer.label}) has {layer.groups} groups, but its input has {channels} channels")
            channels = self.width(layer, self.convolutions, channels)
            self.convolutions += 1
        return self._append(Made(layer, (value,), channels, extent, number))

    def _residual(self, layer: Any, value: int, number: int) -> int:
        body = self.add(layer.body, value)
        short = value if layer.shortcut is None else self.add(layer.shortcut, value)
        of_body, of_short = ((self.program.channels_of(v), self.program.extent_of(v)) for v in (body, short))
        if of_body[0] != of_short[0]:
            raise ValueError(f"layer {number} ({layer.label}): its body gives {of_body[0]} channels, but its shortcut {of_short[0]}")
        if of_body[1] != of_short[1]:
            raise ValueError(f"layer {number} ({layer.label}): its body gives a map of {of_body[1]}, but its shortcut {of_short[1]}")
        return self._append(Made(None, (body, short), *of_body, number))

    def _append(self, made: Made) -> int:
        self.program.operations.append(made)
        return len(self.program.operations)


def _restrict(program: Program, unit: tuple[int, ...]) -> None:
    """Fill in what of each value the gradient of `unit` needs, from the last value back."""
    needed: list[Rect | None] = [None] * (len(program.operations) + 1)
    needed[-1] = unit, unit
    for value in range(len(program.operations), 0, -1):
        made, rect = program.operations[value - 1], needed[value]
        assert rect is not None  # every value is read by the one after it, or by a sum
        for read in made.reads:
            needed[read] = _hull(needed[read], _read(made, rect, program.extent_of(read), program.ndim))
    program.rects = [rect for rect in needed if rect is not None]


def _read(made: Made, rect: Rect, extent: tuple[int, ...] | None, ndim: int) -> Rect:
    """What an operation reads to make `rect`."""
    if isinstance(made.layer, Norm):
        assert extent is not None
        return (0,) * ndim, tuple([n - 1 for n in extent])  # all of it, for the statistics
    low, high = rect
    if isinstance(made.layer, _Window):
        spans = geometry.part_spans(made.layer, ndim)
        low = tuple([s.start + s.jump * a for s, a in zip(spans, low, strict=True)])
        high = tuple([s.start + s.jump * b + s.extra for s, b in zip(spans, high, strict=True)])
    if extent is not None:
        # where windows lie in the padding as a whole, one pixel of the border stands for none
        low = tuple([min(max(a, 0), n - 1) for a, n in zip(low, extent, strict=True)])
        high = tuple([max(min(b, n - 1), a) for a, b, n in zip(low, high, extent, strict=True)])
    return low, high


def _hull(one: Rect | None, other: Rect) -> Rect:
    if one is None:
        return other
    return tuple(map(min, one[0], other[0])), tuple(map(max, one[1], other[1]))


# ------------------------------------------------------------------------------------------------ for the engine


def native_values(program: Program) -> list[tuple[int, tuple[int, ...]]]:
    """(channels, (row, column, height, width)) of each value; 1-D maps have height 1."""
    found = []
    for value, (low, high) in enumerate(program.rects):
        first, size = (0, *low)[-2:], (1, *[b - a + 1 for a, b in zip(low, high, strict=True)])[-2:]
        found.append((program.channels_of(value), (*first, *size)))
    return found


def native_operations(program: Program, weights: Sequence[tuple[Any, int]]) -> list[tuple[Any, ...]]:
    """The operations as the engine reads them. `weights`: per convolution, standard deviations [*kernel], or kernels
    [draws or 1, out, in // groups, *kernel], with a power of two."""
    found: list[tuple[Any, ...]] = []
    given = iter(weights)
    for index, made in enumerate(program.operations):
        layer, read = made.layer, made.reads[0]
        if layer is None:
            found.append(("sum", read, made.reads[1]))
        elif isinstance(layer, Conv):
            kernels, exponent = next(given)
            window = _window(layer, program.ndim)
            found.append(("convolution", read, window, layer.groups, made.number, _planar(kernels, program.ndim), exponent))
        elif isinstance(layer, AvgPool):
            taps = np.full(layer.geometry(program.ndim)[0], 1.0)
            found.append(
                ("filter", read, _window(layer, program.ndim), _planar(taps / taps.size, program.ndim), _shares(program, index, layer))
            )
        elif isinstance(layer, MaxPool):
            found.append(("maximum", read, _window(layer, program.ndim)))
        elif isinstance(layer, Norm):
            found.append(("norm", read))
        elif isinstance(layer, Activation):
            found.append(("activation", read, layer.name))
        elif isinstance(layer, Dropout):
            found.append(("dropout", read, layer.rate, made.number))
        else:
            assert isinstance(layer, Scale)
            found.append(("scale", read, *math.frexp(layer.value)))
    return found


def _window(layer: _Window, ndim: int) -> tuple[tuple[int, int], ...]:
    """kernel, stride, dilation and padding before, for two axes."""
    kernel, stride, dilation, padding = layer.geometry(ndim)
    ones = (1,) * (2 - ndim)
    return (*ones, *kernel), (*ones, *stride), (*ones, *dilation), (*(0,) * (2 - ndim), *[p[0] for p in padding])  # type: ignore[return-value]


def _planar(array: Any, ndim: int) -> Any:
    """With two kernel axes."""
    return array if ndim == 2 else np.expand_dims(array, -2)


def _shares(program: Program, index: int, layer: AvgPool) -> Any:
    """What the sums of windows that overhang the map are multiplied by, [rows, columns] of what is computed; or None."""
    extent = program.extent_of(index)
    if extent is None:
        return None
    place = Place(WindowRun(layer, 1), *layer.geometry(program.ndim), extent, program.operations[index].extent)
    scales = divisor_scales(place, power=1)
    if scales is None:
        return None
    low, high = program.rects[index + 1]
    sides = [scale[a : b + 1] for scale, a, b in zip(scales, low, high, strict=True)]
    return np.multiply.outer(np.ones(1), sides[0]) if program.ndim == 1 else np.multiply.outer(*sides)
