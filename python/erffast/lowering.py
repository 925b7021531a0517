"""From layers to backward steps: what an engine runs.

A network becomes a `Chain`: runs of equal backward steps from the output to the input, and one account of constant gains,
which never touch a pixel on the way. Layers that only multiply (activations, norms, dropout, scales) leave no step.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _validate as check
from . import geometry
from .geometry import AxisRun, ReceptiveField, Span
from .layers import Activation, AvgPool, Conv, Dropout, Layer, MaxPool, Norm, Scale, Stack, _Window
from .pooling import CORRELATED_GATES, correlates_gates, divisor_scales, max_pool_scale, pooled_amplitude, reject_lags

Array = NDArray[np.float64]

# Gains multiply over up to millions of layers: 50 digits lose nothing, and the exponent has no limit a network could reach.
GAINS = decimal.Context(prec=50, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[decimal.InvalidOperation, decimal.DivisionByZero])


@dataclass(frozen=True)
class Step:
    """A run of `count` equal backward steps.

    Attributes
    ----------
    kernels : float64 [n_kernels, tap_draws, channels_out, channels_in, *kernel]
        In backward order; n_kernels is 1 (the same each time) or `count`, tap_draws 1 or the number of draws,
        channels_in counts the inputs of one group.
    shared : bool
        The one-channel kernel holds for every channel (pooling).
    extent, growth : tuple of int
        Input map of the first backward step and its change with each further one; extent None on the plane.
    scales : tuple of float64 arrays, optional
        Factor of each output position per axis; its outer product multiplies the incoming image. count is 1 then.
    gate : float64 array [*output map], optional
        The same where it is no outer product.
    """

    label: str
    kernels: Array
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    count: int = 1
    extent: tuple[int, ...] | None = None
    growth: tuple[int, ...] = ()
    shared: bool = False
    groups: int = 1
    scales: tuple[Array, ...] | None = None
    gate: Array | None = None

    @property
    def kernel(self) -> tuple[int, ...]:
        return self.kernels.shape[4:]


@dataclass(frozen=True)
class Chain:
    """Everything an engine and the result need to know."""

    net: Stack
    steps: tuple[Step, ...]  # from the output to the input
    gain: Decimal
    unit: tuple[int, ...]
    input_size: tuple[int, ...] | None
    field: ReceptiveField
    box: tuple[tuple[int, ...], tuple[int, ...]]  # first and last pixel of the receptive field, cut by the map
    draws: int | None = None  # None: no draws axis
    channels: int = 1  # of the output map
    signed: bool = False  # the answer is a gradient, not a variance
    method: str = "exact"
    assumptions: tuple[str, ...] = ()

    @property
    def ndim(self) -> int:
        return self.net.ndim

    @cached_property
    def non_negative(self) -> bool:
        return all(float(step.kernels.min()) >= 0 for step in self.steps)

    @property
    def bounded(self) -> bool:
        """Whether the border of a map cuts anything off."""
        return any(step.extent is not None for step in self.steps)

    @property
    def layers(self) -> int:
        return sum(step.count for step in self.steps)

    def reach(self) -> tuple[NDArray[np.bool_], ...] | None:
        """Per axis, which pixels of the box are reached; None where the set is no product of axes."""
        supports = [_axis_supports(step) for step in self.steps]
        if any(s is None for s in supports):
            return None
        masks = []
        for axis, (low, high) in enumerate(zip(*self.box, strict=True)):
            runs = [run for step, s in zip(self.steps, supports, strict=True) for run in _axis_runs(step, axis, s)]  # type: ignore[arg-type]
            origin, reached = geometry.reach_of_axis(runs, self.unit[axis])
            mask = np.zeros(high - low + 1, dtype=bool)
            mask[origin - low : origin - low + len(reached)] = reached
            masks.append(mask)
        return tuple(masks)


# ------------------------------------------------------------------------------------------------ windows of a network


@dataclass
class WindowRun:
    """`count` equal window layers in a row, in forward order, and what stands between and after them."""

    layer: _Window
    count: int
    gate: str | None = None  # the activation that shares a max-pool's gate
    nonlinear: bool = False  # a nonlinearity or dropout follows
    between: bool = False  # or stands between its repeats
    index: int = 0  # of the first of its convolutions among all convolutions


def window_runs(net: Stack) -> list[WindowRun]:
    """The window layers of a network, run-length encoded, the multiplying layers between them dropped."""
    runs: list[WindowRun] = []
    _collect(net, runs, None, None)
    return _numbered(runs)


def _numbered(runs: list[WindowRun]) -> list[WindowRun]:
    index = 0
    for run in runs:
        run.index = index
        index += run.count if isinstance(run.layer, Conv) else 0
    return runs


def _collect(net: Stack, runs: list[WindowRun], before: Layer | None, after: Layer | None) -> bool:
    """Append the windows of `net`; tell whether a nonlinearity stands before the first of them."""
    leading = False
    leaves = [before, *(_end(part, 0) for part, _ in net.parts), after]
    for position, (part, count) in enumerate(net.parts):
        previous = _end(net.parts[position - 1][0], -1) if position else before
        following = leaves[position + 2]
        inner: list[WindowRun] = []
        nonlinear = isinstance(part, Dropout) or (isinstance(part, Activation) and part.name != "identity")
        if isinstance(part, Stack):
            nonlinear = _collect(part, inner, _end(part, -1) if count > 1 else previous, _end(part, 0) if count > 1 else following)
        elif isinstance(part, _Window):
            gate = None
            if isinstance(part, MaxPool):
                gate = next((n.name for n in (previous, following) if isinstance(n, Activation) and n.name != "identity"), None)
            _add(runs, WindowRun(part, count, gate))
        if nonlinear and runs:
            runs[-1].nonlinear = True
        leading |= nonlinear and not runs
        _repeat(runs, inner, count, nonlinear)
    return leading


def _repeat(runs: list[WindowRun], inner: list[WindowRun], count: int, leading: bool) -> None:
    """Append a block's windows `count` times; `leading`: a nonlinearity stands before them in the block."""
    if len(inner) == 1:
        only = inner[0]
        _add(runs, replace(only, count=only.count * count, between=only.between or (count > 1 and (leading or only.nonlinear))))
    elif inner:
        for _ in range(count):
            if leading and runs:
                runs[-1].nonlinear = True
            for run in inner:
                _add(runs, replace(run))


def _end(part: Layer, which: int) -> Layer | None:
    while isinstance(part, Stack):
        if not part.parts:
            return None
        part = part.parts[which][0]
    return part


def _add(runs: list[WindowRun], run: WindowRun) -> None:
    if runs and runs[-1].layer == run.layer and runs[-1].gate == run.gate:
        runs[-1].count += run.count
        runs[-1].between |= runs[-1].nonlinear or run.between
        runs[-1].nonlinear = run.nonlinear
    else:
        runs.append(run)


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
        growth = tuple(d * (k - 1) - sum(p) for k, d, p in zip(self.kernel, self.dilation, self.padding, strict=True))
        extent = self.extent
        if extent is not None and self.count > 1:
            extent = tuple(n - (self.count - 1) * g for n, g in zip(extent, growth, strict=True))
        before = tuple(p[0] for p in self.padding)
        return Step(self.layer.label, kernels, self.stride, self.dilation, before, self.count, extent, growth, **options)


def place(net: Stack, input_size: tuple[int, ...] | None) -> list[Place]:
    """The window runs with their maps, in forward order. On a map, strided repeats are spelled out."""
    places: list[Place] = []
    extent = input_size
    for run in window_runs(net):
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


def _located(net: Stack, input_size: Any, unit: Any) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
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


def _box(fieldnd: ReceptiveField, unit: tuple[int, ...], extent: tuple[int, ...] | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if any(abs(pixel) > geometry.LARGEST for corner in fieldnd.box(unit) for pixel in corner):
        raise ValueError(f"unit {unit} is too far out: it sees pixels beyond 2**62, the limit of coordinates")
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


def lower_variance(net: Any, input_size: Any = None, unit: Any = None, layer: str | int | None = None) -> Chain:
    """The chain of the variance image E[g^2] (theory: section "The variance image" of the documentation)."""
    net = geometry.upto(geometry.as_stack(net), layer)
    extent, at = _located(net, input_size, unit)
    places = place(net, extent)
    if extent is not None and not _touches(places, at):
        places = place(net, None)
    where = geometry.receptive_field(net)
    with decimal.localcontext(GAINS):
        steps, gain, closed = _variance_steps(places, net.ndim)
        walk, assumptions = _mean_field(net)
        gain *= walk
    if closed:
        assumptions += ("average pools: closed form for fixed filters in a chain of random convolutions (exact)",)
    if correlates_gates(net):
        assumptions += (CORRELATED_GATES,)
    mean_field = any("mean field" in a or "mean-field" in a for a in assumptions)
    return Chain(
        net,
        tuple(steps),
        gain,
        at,
        extent,
        where,
        _box(where, at, extent),
        method="mean-field" if mean_field else "exact",
        assumptions=("independent zero-mean weights", *assumptions),
    )


def _mean_field(net: Stack) -> tuple[Decimal, tuple[str, ...]]:
    if all(isinstance(part, Conv) and part.variance_gain == 1.0 for part, _ in net.parts):
        return Decimal(1), ()
    from .mean_field import gains

    walk = gains(net)
    return walk.total, walk.assumptions


def _variance_steps(places: Sequence[Place], ndim: int) -> tuple[list[Step], Decimal, bool]:
    steps: list[Step] = []
    gain = Decimal(1)
    closed = reject_lags(places)  # True: the pools go into one closed form
    for item in reversed(places):
        layer, taps = item.layer, int(np.prod(item.kernel))
        if isinstance(layer, Conv):
            kernel = np.ones(item.kernel) if layer.tap_variance is None else np.array(layer.tap_variance)
            total = sum((Decimal(v) for v in kernel.ravel().tolist()), Decimal(0))
            gain *= total**-item.count
            steps.append(item.step(kernel[None, None, None, None]))
        elif isinstance(layer, AvgPool) and closed:
            only = replace(item, kernel=(1,) * ndim, padding=item.padding)
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
    return np.ones((1, 1, 1, 1, *item.kernel))


def _identity(ndim: int) -> Step:
    """A network of multiplying layers only still needs one step: a single tap."""
    one = (1,) * ndim
    return Step("identity", np.ones((1, 1, 1, 1, *one)), one, one, (0,) * ndim, shared=True, growth=(0,) * ndim)


# ------------------------------------------------------------------------------------------------ gradient


def lower_gradient(net: Any, weights: Any, input_size: Any = None, unit: Any = None, layer: str | int | None = None) -> Chain:
    """The chain of the gradient image for given weights."""
    whole = geometry.as_stack(net)
    net = geometry.upto(whole, layer)
    sign_gain = _linear_gain(net)
    extent, at = _located(net, input_size, unit)
    places = place(net, extent)
    if extent is not None and not _touches(places, at):
        places = place(net, None)
    kernels, draws = read_weights(weights, places, sum(isinstance(i, Conv) for i in whole) if len(whole) != len(net) else None)
    where = geometry.receptive_field(net)
    steps: list[Step] = []
    with decimal.localcontext(GAINS):
        gain = sign_gain
        for item in reversed(places):
            if isinstance(item.layer, Conv):
                steps.extend(_conv_steps(item, kernels))
            else:
                gain *= Decimal(int(np.prod(item.kernel))) ** -item.count
                steps.append(item.step(_ones(item), shared=True, scales=divisor_scales(item, power=1)))
    steps = steps or [_identity(net.ndim)]
    channels = next((s.kernels.shape[2] for s in steps if not s.shared), 1)
    return Chain(net, tuple(steps), gain, at, extent, where, _box(where, at, extent), draws, channels, signed=True)


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
                    "use variance() for the expectation at random weights (simulate() and measure() come in a later version)"
                )
            elif not isinstance(part, Conv | AvgPool | Activation | Norm | Dropout):
                raise TypeError(f"gradient() does not know the layer {part.label}")
    return gain


def _conv_steps(item: Place, kernels: list[Array]) -> Iterable[Step]:
    """Backward steps of a run of convolutions; kernels of the same shape stay together."""
    convs = kernels[item.run.index : item.run.index + item.count][::-1]
    groups = item.layer.groups  # type: ignore[attr-defined]
    # the sum over the network's input channels is taken in the first layer's kernel
    first = item.run.index == 0
    whole = item.step(np.empty(0))
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
                convs[done] = this = this.sum(axis=2, keepdims=True)
                yield _piece(whole, done, 1, this[None], 1)
                return
        yield _piece(whole, done, end - done, np.stack(convs[done:end]), groups)
        done = end


def _piece(whole: Step, done: int, count: int, kernels: Array, groups: int) -> Step:
    extent = whole.extent
    if extent is not None:
        extent = tuple(n + done * g for n, g in zip(extent, whole.growth, strict=True))
    return replace(whole, kernels=kernels, count=count, extent=extent, groups=groups)


def read_weights(weights: Any, places: Sequence[Place], n_all: int | None = None) -> tuple[list[Array], int | None]:
    """One float64 array [draws or 1, out, in // groups, *kernel] per convolution, and the number of draws.

    `n_all`: convolutions of the whole network, where only its first layers are asked for; the others' weights are ignored.
    """
    convs = [(item, i) for item in places if isinstance(item.layer, Conv) for i in range(item.count)]
    arrays, stacked = _weight_arrays(weights, len(convs) if n_all is None else n_all, len(places[0].kernel) if places else 0)
    result: list[Array] = []
    draws: int | None = None
    before: tuple[int, ...] | None = None  # the shape of the last one, without draws
    for index, ((item, _), array) in enumerate(zip(convs, arrays, strict=False)):
        name = f"weights[{index}]"
        kernel, ndim, layer = item.kernel, len(item.kernel), item.layer
        assert isinstance(layer, Conv)
        if array.ndim < ndim or array.shape[array.ndim - ndim :] != kernel:
            raise ValueError(f"{name} has shape {array.shape}, but convolution {index} ({layer.label}) has a kernel of shape {kernel}")
        extra = array.ndim - ndim
        if extra > 3:
            raise ValueError(f"{name} has shape {array.shape}; wanted [draws,] [out, in // groups,] *kernel with the kernel {kernel}")
        has_draws = extra in (1, 3)
        this = array.shape[0] if has_draws else None
        if this == 0:
            raise ValueError(f"{name} has no draws: shape {array.shape}")
        if index == 0:
            draws = this
        elif this != draws:
            raise ValueError(
                f"{name} has {this or 'no'} draws, but weights[0] has {draws or 'no'}: all or none have a draws axis, of one length"
            )
        full = array.reshape(this or 1, *((1, 1) if extra < 2 else array.shape[extra - 2 : extra]), *kernel)
        _check_channels(full, layer, index, before)
        before = full.shape[1:]
        flat = full.reshape(len(full), -1).any(axis=1)
        if not flat.all():
            which = "" if draws is None else f" in draw {int(np.flatnonzero(~flat)[0])}"
            raise ValueError(f"{name} (layer {layer.label}) is all zero{which}: nothing reaches the input")
        result.append(full)
    return result, draws


def _check_channels(full: Array, layer: Conv, index: int, before: tuple[int, ...] | None) -> None:
    out, inputs = full.shape[1], full.shape[2] * layer.groups
    if not out or not inputs:
        raise ValueError(f"weights[{index}] has no channels: shape {full.shape[1:]}")
    if out % layer.groups:
        raise ValueError(
            f"weights[{index}] has {out} output channels, not a multiple of the {layer.groups} groups of convolution {index} ({layer.label})"
        )
    if layer.channels is not None and out not in (layer.channels, 1 if full.shape[1:3] == (1, 1) else layer.channels):
        raise ValueError(f"weights[{index}] has {out} output channels, but convolution {index} ({layer.label}) has {layer.channels}")
    if before is not None and inputs != before[0]:
        raise ValueError(
            f"weights[{index}] takes {inputs} input channels (shape {full.shape[1:]}), "
            f"but weights[{index - 1}] gives {before[0]} (shape {before})"
        )


def _weight_arrays(weights: Any, n_convs: int, ndim: int) -> tuple[list[Array], bool]:
    """The weights as one array per convolution; draws axis first."""
    weights = _from_torch(weights, "weights")
    if isinstance(weights, np.ndarray):
        array = check.real_array(weights, "weights").astype(np.float64, copy=False)
        if array.ndim not in (ndim + 1, ndim + 2):
            raise ValueError(
                f"weights has shape {array.shape}; wanted [n_convs, *kernel] or [draws, n_convs, *kernel] with {ndim} kernel axes, or a list"
            )
        axis = array.ndim - ndim - 1
        if array.shape[axis] != n_convs:
            raise ValueError(f"weights has {array.shape[axis]} kernels (shape {array.shape}), but the network has {n_convs} convolutions")
        if axis == 1 and array.shape[0] == 0:
            raise ValueError(f"weights has draws=0: shape {array.shape}")
        return [array[:, i] if axis else array[i] for i in range(n_convs)], True
    if not isinstance(weights, Sequence) or isinstance(weights, str):
        raise TypeError(f"weights must be an array or a list of arrays, one per convolution, got {type(weights).__name__}")
    if len(weights) != n_convs:
        raise ValueError(f"weights has {len(weights)} entries, but the network has {n_convs} convolutions")
    return [_one_array(w, f"weights[{i}]") for i, w in enumerate(weights)], False


def _one_array(value: ArrayLike, name: str) -> Array:
    return check.real_array(_from_torch(value, name), name).astype(np.float64, copy=False)


def _from_torch(value: Any, name: str) -> Any:
    """A torch tensor as an array; anything else as it is."""
    if not hasattr(value, "detach"):
        return value
    try:
        return value.detach().cpu().numpy()
    except TypeError:  # bfloat16 and its like
        raise TypeError(f"{name} must be float32 or float64 (integers are converted), got dtype {value.dtype}") from None


# ------------------------------------------------------------------------------------------------ reach


def _axis_supports(step: Step) -> list[tuple[NDArray[np.bool_], ...]] | None:
    """Per kernel of the run and per axis, the taps that are not zero; None where a kernel's taps are no product of axes."""
    if step.kernels.all():
        return [tuple(np.ones(k, dtype=bool) for k in step.kernel)]
    found = []
    for kernel in step.kernels:
        taps = kernel.reshape(-1, *step.kernel) != 0
        if not (taps == taps[0]).all():
            return None
        axes = tuple(taps[0].any(axis=tuple(b for b in range(len(step.kernel)) if b != a)) for a in range(len(step.kernel)))
        product = np.ones((), dtype=bool)
        for mask in axes:
            product = np.multiply.outer(product, mask)
        if not np.array_equal(product, taps[0]):
            return None
        found.append(axes)
    return found


def _axis_runs(step: Step, axis: int, supports: list[tuple[NDArray[np.bool_], ...]]) -> Iterable[AxisRun]:
    extent = None if step.extent is None else step.extent[axis]
    if len(supports) == 1:
        yield AxisRun(supports[0][axis], step.stride[axis], step.dilation[axis], step.before[axis], extent, step.growth[axis], step.count)
        return
    for i, masks in enumerate(supports):
        here = None if extent is None else extent + i * step.growth[axis]
        yield AxisRun(masks[axis], step.stride[axis], step.dilation[axis], step.before[axis], here, 0, 1)
