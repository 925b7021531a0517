"""Random networks and weights, drawn by case number: a failure names the number that makes it again.

``ERFFAST_TEST_LEVEL=full`` asks for more cases; the first cases are the same at every level.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erffast.layers import AvgPool, Conv, Dropout, Layer, MaxPool, Norm, Scale, Stack

Array = NDArray[np.float64]
FULL = os.environ.get("ERFFAST_TEST_LEVEL", "fast") == "full"


def cases(fast: int, full: int) -> range:
    """Case numbers: `fast` of them, or `full` at the full level."""
    return range(full if FULL else fast)


def batches(fast: int, full: int, size: int) -> list[Any]:
    """The case numbers in batches with a readable id: one test per case would cost more than the case."""
    import pytest

    numbers = cases(fast, full)
    return [pytest.param(numbers[i : i + size], id=f"cases {i} to {min(i + size, len(numbers)) - 1}") for i in range(0, len(numbers), size)]


def generator(case: int, salt: str) -> np.random.Generator:
    """Independent draws for every case and purpose."""
    return np.random.default_rng([case, *salt.encode()])


@dataclass(frozen=True)
class Window:
    """One axis of a window layer, and the forward rules written down from their definition."""

    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    ceil: bool

    def output(self, n: int) -> int:
        """Number of windows on a map of n pixels. 0 or less: none."""
        room = n + self.before + self.after - self.dilation * (self.kernel - 1) - 1
        if not self.ceil:
            return room // self.stride + 1 if room >= 0 else 0
        # rounded up, so that a map smaller than the window may have one all the same
        size = max(-(-room // self.stride) + 1, 0)
        return size - 1 if (size - 1) * self.stride >= n + self.before else size

    def taps(self, i: int) -> NDArray[np.int64]:
        """Input pixels of window i, padding and overhang included."""
        return i * self.stride - self.before + self.dilation * np.arange(self.kernel)


def windows(layer: Layer, ndim: int) -> list[Window] | None:
    """The axes of a window layer; None for a layer that multiplies only."""
    if not isinstance(layer, Conv | AvgPool | MaxPool):
        return None

    def axes(value: Any) -> tuple[Any, ...]:
        return value if isinstance(value, tuple) else (value,) * ndim

    kernel = axes(layer.kernel)
    stride = kernel if layer.stride is None else axes(layer.stride)
    dilation = axes(getattr(layer, "dilation", 1))
    ceil = getattr(layer, "ceil_mode", False)
    found = []
    for axis in range(ndim):
        span = dilation[axis] * (kernel[axis] - 1)
        if layer.padding == "same":
            pad = (span // 2, span - span // 2)
        elif layer.padding == "valid":
            pad = (0, 0)
        else:
            pad = axes(layer.padding)[axis]
            pad = pad if isinstance(pad, tuple) else (pad, pad)
        found.append(Window(kernel[axis], stride[axis], dilation[axis], *pad, ceil))
    return found


def output_size(net: Stack, input_size: Iterable[int]) -> tuple[int, ...]:
    """Map size after a network; a 0 in it where nothing is left."""
    size = tuple(input_size)
    for layer in net:
        axes = windows(layer, net.ndim)
        if axes is not None:
            size = tuple(w.output(n) if n > 0 else 0 for w, n in zip(axes, size, strict=True))
    return size


def field(net: Stack) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """size, jump and start of the receptive field of unit 0, layer by layer from the output."""
    low, high, jump = [0] * net.ndim, [0] * net.ndim, [1] * net.ndim
    for layer in reversed(list(net)):
        for axis, w in enumerate(windows(layer, net.ndim) or ()):
            low[axis] = w.stride * low[axis] - w.before
            high[axis] = w.stride * high[axis] - w.before + w.dilation * (w.kernel - 1)
            jump[axis] *= w.stride
    return tuple(b - a + 1 for a, b in zip(low, high, strict=True)), tuple(jump), tuple(low)


def sees_the_map(net: Stack, input_size: tuple[int, ...], unit: tuple[int, ...]) -> bool:
    """Whether the field of a unit meets the input map at all."""
    size, jump, start = field(net)
    return all(s + j * u < n and s + j * u + k > 0 for s, j, u, n, k in zip(start, jump, unit, input_size, size, strict=True))


# ------------------------------------------------------------------------------------------------ layers


def _per_axis(rng: np.random.Generator, ndim: int, draw: Callable[[], int]) -> Any:
    """One number for all axes, or one per axis."""
    return draw() if ndim == 1 or rng.random() < 0.5 else tuple(draw() for _ in range(ndim))


def random_conv(rng: np.random.Generator, ndim: int, *, most_taps: int = 7) -> Conv:
    """Kernels 1 to `most_taps`, even ones too; strides and dilations 1 to 3; paddings 0 to 4, asymmetric and "same" too."""
    kernel = _per_axis(rng, ndim, lambda: int(rng.integers(1, most_taps + 1)))
    dilation = _per_axis(rng, ndim, lambda: int(rng.choice([1, 1, 2, 3])))
    form = rng.choice(["none", "symmetric", "per axis", "pairs", "same", "valid"])
    if form == "same":
        return Conv(kernel, dilation=dilation, padding="same")
    stride = _per_axis(rng, ndim, lambda: int(rng.choice([1, 1, 1, 2, 3])))
    pad = lambda: int(rng.integers(0, 5))  # noqa: E731
    padding: Any = {
        "none": 0,
        "symmetric": pad(),
        "per axis": tuple(pad() for _ in range(ndim)),
        "pairs": tuple((pad(), pad()) for _ in range(ndim)),
        "valid": "valid",
    }[str(form)]
    return Conv(kernel, stride=stride, dilation=dilation, padding=padding)


def random_pool(rng: np.random.Generator, ndim: int, kind: type[AvgPool] | type[MaxPool] = AvgPool) -> AvgPool | MaxPool:
    """Pools with padding, ceil mode, and divisors of either kind."""
    kernel = _per_axis(rng, ndim, lambda: int(rng.integers(2, 5)))
    sides = kernel if isinstance(kernel, tuple) else (kernel,) * ndim
    stride = None if rng.random() < 0.4 else _per_axis(rng, ndim, lambda: int(rng.integers(1, 4)))
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in sides) if rng.random() < 0.5 else 0
    ceil_mode = bool(rng.random() < 0.4)
    if kind is AvgPool:
        return AvgPool(kernel, stride=stride, padding=padding, ceil_mode=ceil_mode, count_include_pad=bool(rng.random() < 0.5))
    return MaxPool(kernel, stride=stride, padding=padding, ceil_mode=ceil_mode, dilation=int(rng.choice([1, 1, 2])))


def random_stack(
    rng: np.random.Generator,
    ndim: int,
    *,
    layers: tuple[int, int] = (1, 8),
    widest: int = 60,
    pools: tuple[type[AvgPool] | type[MaxPool], ...] = (AvgPool,),
    pool_share: float = 0.2,
    constants: tuple[Layer, ...] = (Norm("batch"), Dropout(0.5), Scale(-1.75), Scale(0.3)),
    most_taps: int = 7,
) -> Stack:
    """A stack of `layers` layers, one convolution at least, whose field stays within `widest` pixels a side."""
    net: list[Layer] = []
    for _ in range(int(rng.integers(layers[0], layers[1] + 1))):
        draw = rng.random()
        if pools and draw < pool_share:
            layer: Layer = random_pool(rng, ndim, pools[int(rng.integers(len(pools)))])
        elif constants and draw < pool_share + 0.12:
            layer = constants[int(rng.integers(len(constants)))]
        else:
            layer = random_conv(rng, ndim, most_taps=most_taps)
        if max(field(Stack([*net, layer], ndim=ndim))[0]) <= widest:
            net.append(layer)
    if not any(isinstance(layer, Conv) for layer in net):
        net.append(Conv(int(rng.integers(1, 4))))
    return Stack(net, ndim=ndim)


def random_map(rng: np.random.Generator, net: Stack, *, widest: int = 72) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """A map and a unit of its output, in a corner half of the time; None where no map of at most `widest` pixels will do."""
    size = []
    for axis in range(net.ndim):
        fits = [n for n in range(1, widest + 1) if output_size(net, [n if a == axis else 10**4 for a in range(net.ndim)])[axis] > 0]
        if not fits:
            return None
        # small maps make borders
        size.append(fits[min(int(rng.integers(len(fits))), int(rng.integers(len(fits))))])
    output = output_size(net, size)
    for _ in range(20):
        corner = rng.random() < 0.5
        unit = tuple(int(rng.choice([0, n - 1]) if corner else rng.integers(n)) for n in output)
        if sees_the_map(net, tuple(size), unit):
            return tuple(size), unit
    return None


# ------------------------------------------------------------------------------------------------ weights


@dataclass(frozen=True)
class Case:
    """A network with weights and a unit; `input_size` None is the unbounded plane."""

    net: Stack
    weights: list[Array]
    input_size: tuple[int, ...] | None
    unit: tuple[int, ...]
    draws: int | None

    def __str__(self) -> str:
        shapes = [w.shape for w in self.weights]
        return f"{self.net!r} input_size={self.input_size} unit={self.unit} draws={self.draws} weights={shapes}"


def convolutions(net: Stack) -> list[tuple[Conv, tuple[int, ...]]]:
    """The convolutions and their kernel sizes."""
    return [(c, tuple(w.kernel for w in windows(c, net.ndim) or ())) for c in net if isinstance(c, Conv)]


def with_groups(rng: np.random.Generator, net: Stack) -> tuple[Stack, list[tuple[int, ...]]]:
    """The network with channels and groups drawn, and the shape [out, in // groups] of each convolution's weights."""
    channels = int(rng.integers(1, 5))
    layers: list[Layer] = []
    shapes: list[tuple[int, ...]] = []
    for layer in net:
        if isinstance(layer, Conv):
            groups = int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
            out = groups * int(rng.integers(1, 3))
            layer = Conv(
                layer.kernel,
                stride=layer.stride,
                dilation=layer.dilation,
                padding=layer.padding,
                groups=groups,
                channels=out if rng.random() < 0.5 else None,
            )
            shapes.append((out, channels // groups))
            channels = out
        layers.append(layer)
    return Stack(layers, ndim=net.ndim), shapes


def random_case(case: int, salt: str = "gradient", *, separable: bool = False, ndim: int | None = None) -> Case:
    """A network, its weights, and a unit on the plane or on a map."""
    rng = generator(case, salt)
    while True:
        axes = int(rng.integers(1, 3)) if ndim is None else ndim
        net = random_stack(rng, axes, widest=60 if axes == 2 else 400)
        bounded = rng.random() < 0.7
        where = random_map(rng, net, widest=72 if axes == 2 else 450) if bounded else None
        if bounded == (where is not None):
            break
    shapes: list[tuple[int, ...]] = [()] * len(convolutions(net))
    if not separable and rng.random() < 0.5:
        net, shapes = with_groups(rng, net)
    draws = int(rng.integers(1, 4)) if rng.random() < 0.4 else None
    lead = () if draws is None else (draws,)
    make = random_products if separable else (lambda r, lead, sides: r.standard_normal((*lead, *sides)))
    weights = [make(rng, (*lead, *shape), sides) for shape, (_, sides) in zip(shapes, convolutions(net), strict=True)]
    input_size, unit = where or (None, tuple(int(rng.integers(-5, 6)) for _ in range(axes)))
    return Case(net, weights, input_size, unit, draws)


def random_products(rng: np.random.Generator, lead: tuple[int, ...], sides: tuple[int, ...]) -> Array:
    """Kernels [*lead, *sides] that are outer products of one vector per axis, up to rounding."""
    out = np.ones(lead)
    for k in sides:
        out = out[..., None] * rng.standard_normal((*lead, *(1,) * (out.ndim - len(lead)), k))
    return out


# ------------------------------------------------------------------------------------------------ tap variances


def random_tap_variance(rng: np.random.Generator, sides: tuple[int, ...]) -> NDArray[np.int64]:
    """Non-negative integers, some zero, some far larger than others; one positive at least."""
    taps = rng.integers(0, 1000, sides) << rng.integers(0, 30, sides)
    taps[rng.random(sides) < 0.15] = 0
    if not taps.any():
        taps.flat[int(rng.integers(taps.size))] = 1
    return taps


def with_tap_variance(rng: np.random.Generator, net: Stack, *, share: float = 0.6) -> Stack:
    """The network with random tap variances on a share of its convolutions."""
    layers: list[Layer] = []
    for layer in net:
        if isinstance(layer, Conv) and rng.random() < share:
            sides = tuple(w.kernel for w in windows(layer, net.ndim) or ())
            layer = Conv(
                sides, stride=layer.stride, dilation=layer.dilation, padding=layer.padding, tap_variance=random_tap_variance(rng, sides)
            )
        layers.append(layer)
    return Stack(layers, ndim=net.ndim)
