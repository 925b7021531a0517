"""From layers to backward steps.

A network becomes a `Chain`: runs of equal backward steps from the output to the input, and one account of constant gains,
which never touch a pixel on the way. Layers that only multiply (activations, norms, dropout, scales) leave no step.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _validate as check
from . import geometry
from ._graphs import chain_of
from .chain import GAINS, Box, Chain, Step
from .geometry import ReceptiveField, Span
from .layers import Activation, AvgPool, Conv, Dropout, MaxPool, Norm, Scale, Stack
from .places import Place, place
from .pooling import CORRELATED_GATES, correlates_gates, divisor_scales, max_pool_scale, pooled_amplitude, reject_lags
from .weights import Weights, read_weights

Array = NDArray[np.float64]
KEPT_ONES = 1024  # taps of a kernel that is kept for the next layer
# Taps of a network whose backward steps are kept with it, and its parts: more would hold memory that nobody asked for.
KEPT_TAPS, FEW_PARTS = 64 * KEPT_ONES, 64
FARTHEST = 2**46  # centres, means and halos are floats in input coordinates


def located(net: Stack, input_size: Any, unit: Any) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
    """The map and the unit, checked."""
    extent = None
    if input_size is not None:
        extent = check.per_axis(check.integers(input_size, "input_size", least=1), net.ndim, "input_size")
    output = None if extent is None else geometry.output_size(net, extent)
    if unit is None:
        return extent, (0,) * net.ndim if output is None else tuple(n // 2 for n in output)
    at = check.per_axis(check.integers(unit, "unit"), net.ndim, "unit")
    if output is not None and any(not 0 <= u < n for u, n in zip(at, output, strict=True)):
        raise ValueError(f"unit {at} lies outside the output map of {output} (units count from 0)")
    return extent, at


def seen_box(fieldnd: ReceptiveField, unit: tuple[int, ...], extent: tuple[int, ...] | None) -> Box:
    low, high = fieldnd.box(unit)
    if min(low) < -FARTHEST or max(high) > FARTHEST:
        raise ValueError(f"unit {unit} is too far out: it sees pixels beyond 2**46, where a float no longer tells their hundredths")
    if extent is None:
        return low, high
    box = fieldnd.box(unit, extent)
    if any(high < low for low, high in zip(*box, strict=True)):
        raise ValueError(f"unit {unit} sees padding only: no pixel of the map {extent} can change it")
    return box


def _touches(places: Sequence[Place], unit: tuple[int, ...]) -> bool:
    """Whether the field of the unit passes the border of any map on the way."""
    low, high = list(unit), list(unit)
    for item in reversed(places):
        assert item.extent is not None
        for a, (k, s, d, p) in enumerate(zip(item.kernel, item.stride, item.dilation, item.padding, strict=True)):
            # within a run the edges of field and map both move evenly, so the last step decides
            span = Span(s, -p[0], d * (k - 1)).times(item.count)
            low[a], high[a] = span.start + span.jump * low[a], span.start + span.jump * high[a] + span.extra
            if low[a] < 0 or high[a] >= item.extent[a]:
                return True
    return False


# ------------------------------------------------------------------------------------------------ variance


class _Backward(NamedTuple):
    """The variance of a network on its way back, wherever the unit stands."""

    steps: tuple[Step, ...]
    gain: Decimal
    method: str
    assumptions: tuple[str, ...]


def lower_variance(net: Any, input_size: Any = None, unit: Any = None, layer: str | int | None = None) -> Chain:
    """The chain of the variance image E[g^2] (theory: section "The variance image" of the documentation)."""
    net = geometry.upto(geometry.as_stack(net), layer)
    default = input_size is None and unit is None
    known: Chain | None = vars(net).get("_chain") if default else None
    if known is not None:
        return known
    extent, at = located(chain_of(net, "variance()"), input_size, unit)
    places = place(net, extent, alike=True) if extent is not None else []
    back = _backward(net, places) if extent is not None and _touches(places, at) else _on_the_plane(net)
    where = geometry.field_of(net)
    box = seen_box(where, at, extent)
    chain = Chain(net, back.steps, back.gain, at, extent, where, box, method=back.method, assumptions=back.assumptions)
    if default and _keeps(net, chain.steps):
        vars(net)["_chain"] = chain  # with what is found out about it later; the same is often asked again
    return chain


def _on_the_plane(net: Stack) -> _Backward:
    """`_backward` on the plane, kept with a stack of few parts: it never changes, and is often asked again."""
    known: _Backward | None = vars(net).get("_backward")
    if known is None:
        known = _backward(net, place(net, None, alike=True))
        if _keeps(net, known.steps):
            vars(net)["_backward"] = known
    return known


def _keeps(net: Stack, steps: Sequence[Step]) -> bool:
    return len(net.parts) <= FEW_PARTS and sum([step.kernels.size for step in steps]) <= KEPT_TAPS


def _backward(net: Stack, places: Sequence[Place]) -> _Backward:
    with decimal.localcontext(GAINS):
        steps, gain, closed = _variance_steps(places, net.ndim)
        walk, assumptions = _mean_field(net)
        gain *= walk
    if closed:
        assumptions += ("average pools: closed form for fixed filters in a chain of random convolutions (exact)",)
    if correlates_gates(net):
        assumptions += (CORRELATED_GATES,)
    mean_field = any("mean field" in a or "mean-field" in a for a in assumptions)
    return _Backward(tuple(steps), gain, "mean-field" if mean_field else "exact", ("independent zero-mean weights", *assumptions))


def _mean_field(net: Stack) -> tuple[Decimal, tuple[str, ...]]:
    if all(isinstance(part, Conv) for part, _ in net.parts):
        gains = [Decimal(part.variance_gain) ** count for part, count in net.parts if part.variance_gain != 1.0]  # type: ignore[attr-defined]
        return math.prod(gains, start=Decimal(1)), ()
    from . import mean_field

    walk = mean_field.gains(net)
    return walk.total, walk.assumptions


def _variance_steps(places: Sequence[Place], ndim: int) -> tuple[list[Step], Decimal, bool]:
    steps: list[Step] = []
    gain = Decimal(1)
    closed = reject_lags(places)  # True: the pools go into one closed form
    for item in reversed(places):
        layer, taps = item.layer, math.prod(item.kernel)
        if isinstance(layer, Conv) and layer.tap_variance is None:
            gain *= Decimal(taps) ** -item.count
            steps.append(item.step(_ones(item)))
        elif isinstance(layer, Conv):
            kernel = np.array(layer.tap_variance)
            total = sum(map(Decimal, kernel.ravel().tolist()), Decimal(0))
            gain *= total**-item.count
            steps.append(item.step(kernel[None, None, None, None]))
        elif isinstance(layer, AvgPool) and closed:
            only = replace(item, kernel=(1,) * ndim)
            steps.append(only.step(np.ones((1, 1, 1, 1, *only.kernel)), shared=True))
        elif isinstance(layer, AvgPool):
            gain *= Decimal(taps) ** (-2 * item.count)
            steps.append(item.step(_ones(item), shared=True, scales=divisor_scales(item, power=2)))
        else:
            gain *= Decimal(taps) ** -item.count
            steps.append(item.step(_ones(item), shared=True, **max_pool_scale(item)))
    if closed:
        amplitude = pooled_amplitude(places, ndim)
        kernel = np.ones(())
        for profile in amplitude:
            kernel = np.multiply.outer(kernel, profile**2)
        one = (1,) * ndim
        steps.append(Step("average pools", kernel[None, None, None, None], one, one, (0,) * ndim, shared=True, growth=(0,) * ndim))
    return steps or [_identity(ndim)], gain, closed


def _ones(item: Place) -> Array:
    return (_kept_ones if math.prod(item.kernel) <= KEPT_ONES else _box_of_ones)(item.kernel)


def _box_of_ones(kernel: tuple[int, ...]) -> Array:
    taps = np.ones((1, 1, 1, 1, *kernel))
    taps.flags.writeable = False
    return taps


_kept_ones = lru_cache(maxsize=64)(_box_of_ones)  # layer after layer has the same


def _identity(ndim: int) -> Step:
    """A network of multiplying layers only still needs one step: a single tap."""
    one = (1,) * ndim
    return Step("identity", np.ones((1, 1, 1, 1, *one)), one, one, (0,) * ndim, shared=True, growth=(0,) * ndim)


# ------------------------------------------------------------------------------------------------ gradient


def lower_gradient(net: Any, weights: Any, input_size: Any = None, unit: Any = None, layer: str | int | None = None) -> Chain:
    """The chain of the gradient image for given weights."""
    whole = geometry.as_stack(net)
    net = chain_of(geometry.upto(whole, layer), "gradient()")
    sign_gain = _linear_gain(net)
    extent, at = located(net, input_size, unit)
    places = place(net, extent)
    if extent is not None and not _touches(places, at):
        places = place(net, None)
    given = read_weights(weights, places, sum(isinstance(i, Conv) for i in whole) if len(whole) != len(net) else None)
    where = geometry.field_of(net)
    steps: list[Step] = []
    with decimal.localcontext(GAINS):
        gain = sign_gain
        for item in reversed(places):
            if isinstance(item.layer, Conv):
                steps.extend(_conv_steps(item, given))
            else:
                gain *= Decimal(math.prod(item.kernel)) ** -item.count
                steps.append(item.step(_ones(item), shared=True, scales=divisor_scales(item, power=1)))
    steps = steps or [_identity(net.ndim)]
    channels = next((s.kernels.shape[2] for s in steps if not s.shared), 1)
    return Chain(net, tuple(steps), gain, at, extent, where, seen_box(where, at, extent), given.draws, channels, signed=True)


def _linear_gain(net: Stack) -> Decimal:
    """Product of the constants; raises at the first layer whose gradient depends on the input."""
    gain = Decimal(1)
    with decimal.localcontext(GAINS):
        for part, count in net.parts:
            if isinstance(part, Stack):
                gain *= _linear_gain(part) ** count
            elif isinstance(part, Scale):
                gain *= Decimal(part.value) ** count
            elif isinstance(part, MaxPool) or (isinstance(part, Activation) and part.name != "identity"):
                raise ValueError(
                    f"gradient() is for linear layers: the gradient of {part.label} depends on the input; "
                    "use variance() for the expectation at random weights, or simulate() for random networks as they are"
                )
            elif not isinstance(part, Conv | AvgPool | Activation | Norm | Dropout):
                raise TypeError(f"gradient() does not know the layer {part.label}")
    return gain


def _conv_steps(item: Place, given: Weights) -> Iterable[Step]:
    """Backward steps of a run of convolutions; kernels of the same shape stay together."""
    run = slice(item.run.index, item.run.index + item.count)
    whole = item.step(np.empty(0))
    if given.stacked is not None:
        yield _piece(whole, 0, item.count, np.ascontiguousarray(given.stacked[run][::-1]), 1)
        return
    convs = list(given.each[run])[::-1]
    groups = item.layer.groups  # type: ignore[attr-defined]
    # the sum over the network's input channels is taken in the first layer's kernel
    first = item.run.index == 0
    done = 0
    while done < len(convs):
        this = convs[done]
        end = done + 1
        keeps = this.shape[1] == this.shape[2] * groups
        while keeps and end < len(convs) and convs[end].shape == this.shape:
            end += 1
        if first and end == len(convs) and this.shape[2] * groups > 1:
            if end - done > 1:
                end -= 1
            else:
                convs[done] = this = _sum_of_inputs(this)
                yield _piece(whole, done, 1, this[None], 1)
                return
        yield _piece(whole, done, end - done, np.stack(convs[done:end]), groups)
        done = end


def _sum_of_inputs(kernels: Array) -> Array:
    """Kernels [draws, out, in, *kernel] summed over `in`, correctly rounded but for the last bit (Neumaier 1974).

    What cancels there would otherwise leave the rounding of the large terms, which no estimate of what follows could know.
    """
    total, rest = kernels[:, :, 0], np.zeros_like(kernels[:, :, 0])
    for i in range(1, kernels.shape[2]):
        term = kernels[:, :, i]
        new = total + term
        rest = rest + np.where(np.abs(total) >= np.abs(term), (total - new) + term, (term - new) + total)
        total = new
    return np.asarray(total + rest)[:, :, None]


def _piece(whole: Step, done: int, count: int, kernels: Array, groups: int) -> Step:
    extent = whole.extent
    if extent is not None:
        extent = tuple(n + done * g for n, g in zip(extent, whole.growth, strict=True))
    return replace(whole, kernels=kernels, count=count, extent=extent, groups=groups)
