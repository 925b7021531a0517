"""A chain of layers seen along one axis: independent steps, each a distribution over taps at a spacing in input pixels.

Where each random convolution, and each max-pool, sends its share of E g^2 to a tap independently of the others, the image
is the distribution of a sum. All average pools of a chain together are one such step, the square of their joint amplitude:
``V = (v_1 * v_2 * ...) * |a_1 * a_2 * ...|^2`` on the unbounded plane.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _validate as check
from .._graphs import chain_of
from ..layers import AvgPool, Conv, Layer, MaxPool, Stack, _Window

_LARGEST_JUMP = 2**62
_LONGEST = 10**6  # pixels of the joint amplitude of average pools


@dataclass(frozen=True)
class Step:
    """`times` independent equal steps: tap a is taken with probability weights[a] and moves by ``spacing * a`` pixels."""

    weights: tuple[float, ...]
    spacing: int
    times: int


def as_stack(net: Any) -> Stack:
    """A layer as a stack of itself; a stack as it is. Networks with skip connections are refused by name."""
    if isinstance(net, Layer):
        return chain_of(net if isinstance(net, Stack) else Stack([net]), "the theory")
    raise TypeError(f"net must be a Layer or a Stack, got {net!r}")


def axis_of(net: Stack, axis: int) -> int:
    """`axis` counted from 0."""
    axis = check.integer(axis, "axis")
    if not -net.ndim <= axis < net.ndim:
        raise ValueError(f"axis must lie between {-net.ndim} and {net.ndim - 1}, got {axis}")
    return axis % net.ndim


def windows(net: Stack, axis: int, jump: int = 1, times: int = 1) -> Iterator[tuple[_Window, int, int]]:
    """(layer, jump below it, times) of every convolution and pool along one axis, from the input; runs stay runs."""
    for part, count in net.parts:
        stride = _stride(part, axis, net.ndim)
        if stride == 1:
            if isinstance(part, Stack):
                yield from windows(part, axis, jump, times * count)
            elif isinstance(part, _Window):
                yield part, jump, times * count
            continue
        for _ in range(count):
            if isinstance(part, Stack):
                yield from windows(part, axis, jump, times)
            elif isinstance(part, _Window):
                yield part, jump, times
            jump *= stride
            if jump > _LARGEST_JUMP:
                raise OverflowError(f"the jump of {net} exceeds 2**62 pixels")


def _stride(part: Layer, axis: int, ndim: int) -> int:
    if isinstance(part, Stack):
        # 2**64 is enough to tell an overflow; the true power of a long repeat would be slow to form
        total = 1
        for inner, count in part.parts:
            total *= _stride(inner, axis, ndim) ** min(count, 64)
        return total
    return part.geometry(ndim)[1][axis] if isinstance(part, _Window) else 1


def tap_weights(layer: Conv | MaxPool, axis: int, ndim: int) -> tuple[float, ...]:
    """Shares of the taps along one axis: tap variances summed over the other axes, or uniform."""
    kernel = layer.geometry(ndim)[0]
    if isinstance(layer, Conv) and layer.tap_variance is not None:
        taps = np.array(layer.tap_variance, dtype=np.float64)
        along = taps.sum(axis=tuple(a for a in range(ndim) if a != axis))
        return tuple((along / along.sum()).tolist())
    return (1 / kernel[axis],) * kernel[axis]


def steps(net: Stack, axis: int) -> list[Step]:
    """The independent steps of a chain along one axis; layers of one tap are left out."""
    found: list[Step] = []
    for layer, jump, times in windows(net, axis):
        if isinstance(layer, AvgPool):
            continue
        assert isinstance(layer, Conv | MaxPool)
        weights = tap_weights(layer, axis, net.ndim)
        if len(weights) > 1:
            found.append(Step(weights, jump * layer.geometry(net.ndim)[2][axis], times))
    amplitude = pooled_amplitude(net, axis)
    if len(amplitude) > 1:
        found.append(Step(tuple((amplitude**2 / (amplitude @ amplitude)).tolist()), 1, 1))
    return found


def pooled_amplitude(net: Stack, axis: int) -> NDArray[np.float64]:
    """All average pools of a chain along one axis as one filter at input resolution; sums to 1."""
    amplitude = np.ones(1)
    for layer, jump, times in windows(net, axis):
        if isinstance(layer, AvgPool):
            kernel = layer.geometry(net.ndim)[0][axis]
            box = np.zeros((kernel - 1) * jump + 1)
            box[::jump] = 1 / kernel
            if len(amplitude) + times * (len(box) - 1) > _LONGEST:
                raise OverflowError(f"the average pools of {net} together span more than {_LONGEST} pixels")
            for _ in range(times):
                amplitude = np.convolve(amplitude, box)
    return amplitude


def offset(net: Stack, axis: int) -> int:
    """Input coordinate of tap 0 of all layers for unit 0: minus the paddings, each times its jump."""
    return -sum(jump * times * layer.geometry(net.ndim)[3][axis][0] for layer, jump, times in windows(net, axis))


def jump_of(net: Stack, axis: int) -> int:
    """Input pixels between neighbouring units."""
    return _stride(net, axis, net.ndim)


def lattice(found: list[Step]) -> int:
    """Span of the lattice on which a sum of steps lives, in input pixels; 0 for no step."""
    span = 0
    for step in found:
        reached = [tap for tap, weight in enumerate(step.weights) if weight]
        span = math.gcd(span, *(step.spacing * (tap - reached[0]) for tap in reached))
    return span
