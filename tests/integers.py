"""The gradient of a network in Python integers, layer by layer by the definition of one step: right at any depth."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erffast.layers import AvgPool, Conv, Scale, Stack
from erffast.reference import backward_step
from oracles import Exact
from strategies import output_size, windows

Array = NDArray[np.float64]


def whole_numbers(kernel: Array) -> tuple[Exact, int]:
    """Integers and the power of two that they are to be multiplied by: exactly the taps, none of them larger than it must be."""
    denominator = max(Fraction(v).denominator for v in kernel.ravel().tolist())  # powers of two
    taps = np.frompyfunc(lambda v: int(Fraction(v) * denominator), 1, 1)(kernel)
    common = math.gcd(*taps.ravel().tolist())
    shift = (common & -common).bit_length() - 1 if common else 0
    return taps >> shift, shift - denominator.bit_length() + 1


def exact_gradient(
    net: Stack, weights: list[Array], input_size: tuple[int, ...] | None, unit: tuple[int, ...]
) -> tuple[tuple[int, ...], Exact, Fraction, Array]:
    """The gradient in Python integers, layer by layer by the definition of one step.

    Returns
    -------
    origin, image, scale, kept
        The gradient is image * scale; per layer the share of the squares that stayed on its map.
    """
    layers, sizes = list(net), [input_size]
    for layer in layers:
        sizes.append(None if input_size is None else output_size(Stack([layer], ndim=net.ndim), sizes[-1] or ()))
    kernels = list(weights)
    channels = next((w.shape[0] for w in reversed(weights) if w.ndim == net.ndim + 2), 1)
    images = [np.full((1,) * net.ndim, 1, dtype=object)] * channels
    origin, scale, kept = tuple(unit), Fraction(1), []
    for layer, extent, above in zip(reversed(layers), reversed(sizes[:-1]), reversed(sizes[1:]), strict=True):
        axes = windows(layer, net.ndim)
        if isinstance(layer, Scale):
            scale *= Fraction(layer.value)
        if axes is None:
            continue
        if isinstance(layer, Conv):
            taps, power = whole_numbers(kernels.pop())
            scale *= Fraction(2) ** power
            taps, groups = taps if taps.ndim == net.ndim + 2 else taps[None, None], layer.groups
        else:
            assert isinstance(layer, AvgPool)
            images, common = divided(layer, images, origin, extent, above)
            scale /= common
            taps, groups = np.full((len(images), 1, *(w.kernel for w in axes)), 1, dtype=object), len(images)
        options = {name: [getattr(w, name) for w in axes] for name in ("stride", "dilation", "before")}

        def into(o: int, tap: Any, origin: Any = origin, options: Any = options, images: Any = images) -> Any:
            return backward_step(images[o], tap, origin=origin, dtype=object, **options)

        outs, ins = len(taps) // groups, taps.shape[1]
        found = [[into(g * outs + o, taps[g * outs + o, c]) for o in range(outs)] for g in range(groups) for c in range(ins)]
        origin, images = found[0][0][0], [sum((image for _, image in of[1:]), of[0][1]) for of in found]
        before = sum(int((image**2).sum()) for image in images)
        origin, images = cut(origin, images, extent)
        kept.append(sum(int((image**2).sum()) for image in images) / (before or 1))
    return origin, sum(images[1:], images[0]), scale, np.array(kept)


def divided(layer: AvgPool, images: list[Exact], origin: Any, extent: Any, above: Any) -> tuple[list[Exact], int]:
    """Images times a common multiple of the windows' divisors, over each one's own; and that multiple."""
    axes = windows(layer, len(origin)) or []
    divisors = np.full((), 1, dtype=object)
    for w, low, side, n, m in zip(axes, origin, images[0].shape, extent or [None] * 9, above or [None] * 9, strict=False):
        counts = []
        for i in range(low, low + side):
            taps = w.taps(i)
            first, last = (-w.before, n + w.after) if n is not None and layer.count_include_pad else (0, n)
            assert m is None or 0 <= i < m
            counts.append(w.kernel if n is None else max(1, int(((taps >= first) & (taps < last)).sum())))
        divisors = np.multiply.outer(divisors, np.array(counts, dtype=object))
    common = math.lcm(*divisors.ravel().tolist())
    return [image * (common // divisors) for image in images], common


def cut(origin: tuple[int, ...], images: list[Exact], extent: tuple[int, ...] | None) -> tuple[tuple[int, ...], list[Exact]]:
    if extent is None:
        return origin, images
    low = tuple(max(0, -o) for o in origin)
    high = tuple(max(lo, min(n, e - o)) for lo, n, e, o in zip(low, images[0].shape, extent, origin, strict=True))
    return tuple(o + lo for o, lo in zip(origin, low, strict=True)), [image[tuple(map(slice, low, high))] for image in images]
