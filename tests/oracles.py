"""Independent ways to the same answers: automatic differentiation, exact integers, whole covariance matrices, brute force."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erffast.layers import AvgPool, Conv, Dropout, Layer, MaxPool, Norm, Scale, Stack
from strategies import Case, Window, field, output_size, windows

Array = NDArray[np.float64]
Exact = NDArray[np.object_]


# ------------------------------------------------------------------------------------------------ automatic differentiation


def unpadded(net: Stack) -> Stack:
    """The network without padding and ceil mode: on a map of exactly its field it has one unit, and no border."""
    layers: list[Layer] = []
    for layer in net:
        if isinstance(layer, Conv):
            layer = Conv(layer.kernel, stride=layer.stride, dilation=layer.dilation, groups=layer.groups, tap_variance=layer.tap_variance)
        elif isinstance(layer, AvgPool):
            layer = AvgPool(layer.kernel, stride=layer.stride)
        layers.append(layer)
    return Stack(layers, ndim=net.ndim)


def torch_forward(net: Stack, x: Any, weights: Iterable[Any]) -> Any:
    """The network in torch, evaluation mode; x [1, channels, *map]."""
    import torch
    from torch.nn import functional

    ndim, kernels = net.ndim, iter(weights)
    convolve = {1: functional.conv1d, 2: functional.conv2d}[ndim]
    average = {1: functional.avg_pool1d, 2: functional.avg_pool2d}[ndim]
    for layer in net:
        axes = windows(layer, ndim)
        if isinstance(layer, Conv):
            assert axes is not None
            w = next(kernels)
            w = w if w.ndim == ndim + 2 else w[None, None]
            # torch pads from the last axis backwards
            x = functional.pad(x, [n for a in reversed(axes) for n in (a.before, a.after)])
            groups = x.shape[1] // w.shape[1]
            x = convolve(x, w, stride=[a.stride for a in axes], dilation=[a.dilation for a in axes], groups=groups)
        elif isinstance(layer, AvgPool):
            assert axes is not None
            sides, strides, pads = zip(*((a.kernel, a.stride, a.before) for a in axes), strict=True)
            x = average(x, sides, strides, pads, layer.ceil_mode, layer.count_include_pad)
        elif isinstance(layer, Scale):
            x = x * layer.value
        elif isinstance(layer, Norm):
            channels = x.shape[1]
            x = functional.batch_norm(x, torch.zeros(channels, dtype=x.dtype), torch.ones(channels, dtype=x.dtype), eps=0.0)
        elif isinstance(layer, Dropout):
            x = functional.dropout(x, layer.rate, training=False)
        else:
            raise TypeError(f"no torch form of {layer!r}")
    return x


def torch_gradient(net: Stack, weights: list[Array], input_size: tuple[int, ...], unit: tuple[int, ...]) -> Array:
    """d (sum over channels of the unit) / d input, summed over input channels: [*map]."""
    import torch

    torch.set_num_threads(1)  # on maps this small, waking threads costs more than the work
    first = weights[0]
    groups = next(c.groups for c in net if isinstance(c, Conv))
    channels = first.shape[1] * groups if first.ndim == net.ndim + 2 else 1
    x = torch.zeros((1, channels, *input_size), dtype=torch.float64, requires_grad=True)
    y = torch_forward(net, x, [torch.from_numpy(np.ascontiguousarray(w)) for w in weights])
    y[(0, slice(None), *unit)].sum().backward()
    return np.asarray(x.grad[0].sum(0).numpy())


def case_gradients(case: Case) -> tuple[tuple[int, ...], Array]:
    """Origin and gradients [draws, *shape] of a case: on the whole map, or on the plane the whole field."""
    per_draw = [[w if case.draws is None else w[d] for w in case.weights] for d in range(case.draws or 1)]
    if case.input_size is not None:
        return (0,) * case.net.ndim, np.stack([torch_gradient(case.net, w, case.input_size, case.unit) for w in per_draw])
    size, jump, start = field(case.net)
    origin = tuple(s + j * u for s, j, u in zip(start, jump, case.unit, strict=True))
    return origin, np.stack([torch_gradient(unpadded(case.net), w, size, (0,) * case.net.ndim) for w in per_draw])


# ------------------------------------------------------------------------------------------------ exact rationals


def exact_variance(net: Stack, input_size: tuple[int, ...] | None, unit: tuple[int, ...]) -> tuple[tuple[int, ...], Exact, int, Fraction]:
    """The variance recurrence of convolutions in Python integers, pixel by pixel from its definition.

    Returns
    -------
    origin, numerators, denominator, border
        E g^2 = numerators / denominator; border is the share of the mass that left the maps.
    """
    sizes = [input_size]
    layers = list(net)
    for layer in layers:
        sizes.append(None if input_size is None else output_size(Stack([layer], ndim=net.ndim), sizes[-1] or ()))
    origin, image, total = tuple(unit), np.array(1, dtype=object).reshape((1,) * net.ndim), 1
    for layer, extent in zip(reversed(layers), reversed(sizes[:-1]), strict=True):
        assert isinstance(layer, Conv)
        axes = windows(layer, net.ndim) or []
        sides = tuple(w.kernel for w in axes)
        taps = np.ones(sides, dtype=object) if layer.tap_variance is None else integers(layer.tap_variance)
        total *= int(taps.sum())
        shape = tuple(w.stride * (n - 1) + w.dilation * (w.kernel - 1) + 1 for w, n in zip(axes, image.shape, strict=True))
        out = np.zeros(shape, dtype=object)
        for tap in np.ndindex(sides):
            if taps[tap]:
                where = tuple(
                    slice(w.dilation * a, w.dilation * a + w.stride * (n - 1) + 1, w.stride)
                    for w, a, n in zip(axes, tap, image.shape, strict=True)
                )
                out[where] += taps[tap] * image
        origin = tuple(w.stride * o - w.before for w, o in zip(axes, origin, strict=True))
        if extent is not None:
            low = tuple(min(max(0, -o), n) for o, n in zip(origin, shape, strict=True))
            high = tuple(max(lo, min(n, e - o)) for lo, n, e, o in zip(low, shape, extent, origin, strict=True))
            out = out[tuple(map(slice, low, high))]
            origin = tuple(o + lo for o, lo in zip(origin, low, strict=True))
        image = out
        if not image.size:  # the unit sees padding only
            break
    return origin, image, total, 1 - Fraction(int(image.sum()), total)


def integers(values: Any) -> Exact:
    """Whole floats as Python integers."""
    array = np.array(values, dtype=np.float64)
    assert (array == np.floor(array)).all()
    return np.frompyfunc(int, 1, 1)(array)


def coefficients(k: int, depths: Iterable[int]) -> dict[int, Exact]:
    """Coefficients of (1 + z + ... + z^(k-1))^n in Python integers, for each depth n, by the definition."""
    wanted, found = set(depths), {}
    row = np.array([1], dtype=object)
    for n in range(1, max(wanted) + 1):
        longer = np.zeros(len(row) + k - 1, dtype=object)
        for a in range(k):
            longer[a : a + len(row)] += row
        row = longer
        if n in wanted:
            found[n] = row
    return found


def rounded(numerators: Exact, denominator: int, exponent: int) -> Array:
    """numerators / denominator / 2**exponent, each correctly rounded to float64 (division of Python integers is)."""
    up, down = (1 << -exponent, 1) if exponent < 0 else (1, 1 << exponent)
    divide = np.frompyfunc(lambda n: (n * up) / (denominator * down), 1, 1)
    return np.asarray(divide(numerators), dtype=np.float64)


# ------------------------------------------------------------------------------------------------ whole covariance matrices


def tap_matrix(axes: list[Window], sizes: tuple[int, ...], outputs: tuple[int, ...], tap: tuple[int, ...]) -> Array:
    """[outputs, inputs]: 1 where this tap of an output stands on this input."""
    whole = np.ones((1, 1))
    for w, n, m, a in zip(axes, sizes, outputs, tap, strict=True):
        one = np.zeros((m, n))
        for i in range(m):
            at = w.taps(i)[a]
            if 0 <= at < n:
                one[i, at] = 1
        whole = np.kron(whole, one)
    return whole


def average_matrix(layer: AvgPool, axes: list[Window], sizes: tuple[int, ...], outputs: tuple[int, ...]) -> Array:
    """[outputs, inputs] of an average pool; the divisor counts padding or not, but never the overhang of ceil mode."""
    whole = sum((tap_matrix(axes, sizes, outputs, tap) for tap in np.ndindex(*(w.kernel for w in axes))), np.zeros(()))
    divisors = np.ones(1)
    for w, n, m in zip(axes, sizes, outputs, strict=True):
        low, high = (-w.before, n + w.after) if layer.count_include_pad else (0, n)
        divisors = np.kron(divisors, [max(1, sum(low <= t < high for t in w.taps(i))) for i in range(m)])
    return np.asarray(whole / divisors[:, None])


def covariance_diagonal(net: Stack, input_size: tuple[int, ...], unit: tuple[int, ...], *, lag_zero_only: bool = False) -> Array:
    """E g^2 of random convolutions and fixed average pools: the covariance of the gradient over all pairs of pixels.

    With `lag_zero_only` everything beside the diagonal is forgotten after each layer: right only where no pool adds up
    correlated gradients.
    """
    layers, sizes = list(net), [input_size]
    for layer in layers:
        sizes.append(output_size(Stack([layer], ndim=net.ndim), sizes[-1]))
    r = np.zeros((int(np.prod(sizes[-1])),) * 2)
    at = int(np.ravel_multi_index(unit, sizes[-1]))
    r[at, at] = 1
    for layer, here, above in zip(reversed(layers), reversed(sizes[:-1]), reversed(sizes[1:]), strict=True):
        axes = windows(layer, net.ndim)
        if isinstance(layer, Conv):
            assert axes is not None
            sides = tuple(w.kernel for w in axes)
            taps = np.ones(sides) if layer.tap_variance is None else np.array(layer.tap_variance)
            taps = taps / taps.sum()
            shifted = np.zeros((int(np.prod(here)),) * 2)
            for tap in np.ndindex(sides):
                t = tap_matrix(axes, here, above, tap)
                shifted += taps[tap] * (t.T @ r @ t)
            r = shifted
        elif isinstance(layer, AvgPool):
            assert axes is not None
            a = average_matrix(layer, axes, here, above)
            r = a.T @ r @ a
        elif isinstance(layer, Scale):
            r = layer.value**2 * r
        else:
            raise TypeError(f"no covariance of {layer!r}")
        if lag_zero_only:
            r = np.diag(np.diag(r))
    return np.diag(r).reshape(input_size).copy()


# ------------------------------------------------------------------------------------------------ brute force reach


def poisoned(layers: Iterable[Layer], axis: int, ndim: int, n: int) -> NDArray[np.bool_]:
    """[inputs, outputs] along one axis: which outputs turn NaN when one input is NaN, by running the network forward."""
    x = np.where(np.eye(n, dtype=bool), np.nan, 1.0)
    for layer in layers:
        axes = windows(layer, ndim)
        if axes is None:
            continue
        w, m = axes[axis], x.shape[1]
        taps = np.stack([w.taps(i) for i in range(w.output(m))])
        inside = (taps >= 0) & (taps < m)
        seen = np.where(inside, x[:, np.clip(taps, 0, m - 1)], -1.0 if isinstance(layer, MaxPool) else 0.0)
        x = seen.max(axis=-1) if isinstance(layer, MaxPool) else seen.sum(axis=-1)
    return np.isnan(x)


# ------------------------------------------------------------------------------------------------ places


def on_map(erf: Any, draw: int, size: tuple[int, ...]) -> Array:
    """A draw of a result in true values on the map of this size, zeros where it has no pixels."""
    out = np.zeros(size)
    image = np.ldexp(np.asarray(erf.image[draw], dtype=np.float64), int(np.asarray(erf.exponent)[draw]))
    out[tuple(slice(o, o + n) for o, n in zip(erf.origin, image.shape, strict=True))] = image
    return out
