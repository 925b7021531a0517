"""Random networks for `simulate`, and the same networks in torch, with the weights, inputs and masks that `simulate` draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from erffast import _core
from erffast.layers import Activation, AvgPool, Conv, Dropout, Layer, MaxPool, Norm, Residual, Scale, Stack
from erffast.simulation.program import program_of

Array = NDArray[np.float64]
ACTIVATIONS = ("relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu")


def random_network(rng: np.random.Generator, ndim: int, *, padded: bool, wide: bool = False) -> Stack:
    """Layers of any kind; without padding where there is no map. `wide`: with many channels and no groups, which are stored otherwise."""
    layers: list[Layer] = []
    channels = 1
    for _ in range(int(rng.integers(2, 5))):
        kernel = tuple(int(k) for k in rng.integers(1, 5, ndim))
        stride = tuple(int(s) for s in rng.choice([1, 1, 1, 2, 3], ndim))
        dilation = tuple(int(d) for d in rng.choice([1, 1, 2, 3], ndim))
        padding = tuple((int(a), int(b)) for a, b in rng.integers(0, 3, (ndim, 2))) if padded else 0
        out = int(rng.integers(8, 20)) if wide else int(rng.integers(1, 7))
        groups = 1 if wide else int(rng.choice([g for g in range(1, 7) if channels % g == 0]))
        layers.append(Conv(kernel, stride=stride, dilation=dilation, padding=padding, channels=out * groups, groups=groups))
        channels = out * groups
        for _ in range(int(rng.integers(0, 3))):
            layers.append(between(rng, ndim, padded=padded))
    return Stack(layers, ndim=ndim)  # type: ignore[arg-type]


def residual_network(rng: np.random.Generator, *, wide: bool) -> Stack:
    """Blocks with skip connections, one of them with a stride and one within another; some with batch norm."""
    first, second = (int(c) for c in rng.integers(9, 18, 2)) if wide else (int(c) for c in rng.integers(1, 5, 2))

    def block(channels: int, stride: int = 1, inner: Layer | None = None) -> Residual:
        kernel, act = int(rng.choice([1, 3, 5])), Activation(str(rng.choice(ACTIVATIONS)))
        norm = [Norm("batch")] if rng.integers(0, 2) else []
        body = [Conv(3, padding=1, stride=stride, channels=channels), *norm, act, *([inner] if inner else [])]
        shortcut = None if stride == 1 else Conv(kernel, stride=stride, padding=kernel // 2, channels=channels)
        return Residual([*body, Conv(kernel, padding=kernel // 2, channels=channels)], shortcut)

    layers = [Conv(3, padding=1, channels=first), block(first), Activation("relu"), block(second, 2), block(second, inner=block(second))]
    return Stack([*layers, Dropout(0.2), MaxPool(2), Conv(2, channels=2)])


def between(rng: np.random.Generator, ndim: int, *, padded: bool) -> Layer:
    """A layer that keeps the channels."""
    kind = int(rng.integers(0, 6))
    if kind == 0:
        return Dropout(0.3)
    if kind == 1:
        return Scale(float(rng.choice([0.5, -3.0])))
    if kind in (2, 3):
        kernel = tuple(int(k) for k in rng.integers(1, 4, ndim))
        stride = tuple(int(s) for s in rng.integers(1, 3, ndim))
        padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel) if padded else 0
        if kind == 2:
            return MaxPool(kernel, stride=stride, padding=padding, dilation=int(rng.integers(1, 3)))
        ceil = bool(rng.integers(0, 2)) and padded
        return AvgPool(kernel, stride=stride, padding=padding, ceil_mode=ceil, count_include_pad=bool(rng.integers(0, 2)))
    return Activation(str(rng.choice(ACTIVATIONS)))


class Torch:
    """One draw of a network on the map that it sees, in torch, float64."""

    def __init__(
        self, net: Stack, size: tuple[int, ...], unit: tuple[int, ...], seed: int, draw: int, *, inputs: Array | None = None
    ) -> None:
        channels = inputs.shape[0] if inputs is not None else 1
        self.program = program_of(net, unit, size, channels, lambda layer, index, given: layer.channels or layer.groups)
        self.seed, self.draw, self.ndim = seed, draw, net.ndim
        low, high = self.program.rects[0]
        self.box = tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))
        shape = (channels, *[b - a + 1 for a, b in zip(low, high, strict=True)])
        # pixels that the unit cannot see are drawn too, to show that it does not
        full = np.random.default_rng(seed).normal(size=(channels, *size)) if inputs is None else inputs
        if inputs is None:
            full[(slice(None), *self.box)] = _core.normals(seed, draw, 0, "input", int(np.prod(shape))).reshape(shape)
        self.input = torch.tensor(full[None], requires_grad=True)

    def gradient(self, unit: tuple[int, ...]) -> Array:
        """[channels, *map]"""
        values = [self.input]
        for index, made in enumerate(self.program.operations):
            read = [values[v] for v in made.reads]
            values.append(read[0] + read[1] if made.layer is None else self._apply(made, index, read[0]))
        values[-1][(0, 0, *unit)].backward()
        assert self.input.grad is not None
        return np.asarray(self.input.grad[0])

    def _apply(self, made: Any, index: int, x: torch.Tensor) -> torch.Tensor:
        layer, ndim = made.layer, self.ndim
        if isinstance(layer, Conv):
            kernel, stride, dilation, padding = layer.geometry(ndim)
            fan_in = x.shape[1] // layer.groups * int(np.prod(kernel))
            shape = (made.channels, x.shape[1] // layer.groups, *kernel)
            normal = _core.normals(self.seed, self.draw, made.number, "weight", int(np.prod(shape)))
            weights = torch.tensor((normal * np.sqrt(2 / fan_in)).reshape(shape))
            padded = functional.pad(x, [p for pair in reversed(padding) for p in pair])
            return getattr(functional, f"conv{ndim}d")(padded, weights, stride=stride, dilation=dilation, groups=layer.groups)
        if isinstance(layer, MaxPool):
            kernel, stride, dilation, _ = layer.geometry(ndim)
            return getattr(functional, f"max_pool{ndim}d")(x, kernel, stride, layer.padding, dilation, ceil_mode=layer.ceil_mode)
        if isinstance(layer, AvgPool):
            kernel, stride, _, _ = layer.geometry(ndim)
            pool = getattr(functional, f"avg_pool{ndim}d")
            return pool(x, kernel, stride, layer.padding, ceil_mode=layer.ceil_mode, count_include_pad=layer.count_include_pad)
        if isinstance(layer, Norm):
            axes = tuple(range(2, x.ndim))
            mean, variance = (v.detach() for v in (x.mean(axes, keepdim=True), x.var(axes, keepdim=True, correction=0)))
            return (x - mean) / torch.sqrt(variance + 1e-5)
        if isinstance(layer, Activation):
            return getattr(functional, layer.name)(x)
        if isinstance(layer, Scale):
            return x * layer.value
        assert isinstance(layer, Dropout)
        low, high = self.program.rects[index + 1]
        shape = (made.channels, *[b - a + 1 for a, b in zip(low, high, strict=True)])
        mask = torch.zeros_like(x)
        kept = _core.uniforms(self.seed, self.draw, made.number, "mask", int(np.prod(shape))).reshape(shape) >= layer.rate
        mask[(0, slice(None), *[slice(a, b + 1) for a, b in zip(low, high, strict=True)])] = torch.tensor(kept / (1 - layer.rate))
        return x * mask
