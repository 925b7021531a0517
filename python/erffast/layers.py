"""Layers: frozen descriptions of what a network is. No numerics live here.

A layer compares and hashes by value. Sizes given as one integer hold for every axis; the `Stack` that takes a layer fixes
the number of axes and checks it.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, TypeAlias

from numpy.typing import ArrayLike

from . import _validate as check
from ._residual import Residual as Residual
from ._stack import Layer as Layer
from ._stack import Stack as Stack
from ._stack import _set
from ._validate import Ints, Padding, Pair

ACTIVATIONS = ("identity", "relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu")
NORMS = ("batch", "layer", "group", "instance")


def _sides(value: Ints) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _shortest(value: float) -> str:
    """As few digits as read back as the same number."""
    text = f"{value:g}"
    return text if float(text) == value else repr(value)


Geometry: TypeAlias = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[Pair, ...]]


@lru_cache(maxsize=256)  # a deep network has few different windows
def _spelled_out(kernel: Ints, stride: Ints | None, dilation: Ints, padding: Padding, ndim: int) -> Geometry:
    sides = check.per_axis(kernel, ndim, "kernel")
    strides = check.per_axis(kernel if stride is None else stride, ndim, "stride")
    dilations = check.per_axis(dilation, ndim, "dilation")
    return sides, strides, dilations, check.padding_pairs(padding, sides, strides, dilations)


class _Window(Layer):
    """What convolutions and pools share: a window that slides over the map."""

    usual_stride: ClassVar[int | None] = 1  # what the text form leaves out
    kernel: Ints
    stride: Ints | None
    padding: Padding
    dilation: Ints

    def geometry(self, ndim: int) -> Geometry:
        """kernel, stride, dilation and (before, after) padding, spelled out for `ndim` axes."""
        return _spelled_out(self.kernel, self.stride, self.dilation, self.padding, ndim)

    def check_ndim(self, ndim: int) -> None:
        self.geometry(ndim)

    def _suffixes(self) -> str:
        """Stride, dilation and padding in the text form."""
        text = "" if self.stride is None or self.stride == self.usual_stride else f"/{_sides(self.stride)}"
        text += "" if self.dilation == 1 else f":d{_sides(self.dilation)}"
        if self.padding in ("same", "valid"):
            return text + f":{self.padding}"
        if isinstance(self.padding, tuple) and self.padding and isinstance(self.padding[0], tuple):
            return text + ":p" + "x".join(f"{b}+{a}" for b, a in self.padding)
        return text if self.padding == 0 else text + f":p{_sides(self.padding)}"  # type: ignore[arg-type]


@dataclass(frozen=True, repr=False)
class Conv(_Window):
    """A convolution.

    Parameters
    ----------
    kernel : int or tuple of int
        Side lengths in taps, at least 1.
    stride, dilation : int or tuple of int
        At least 1.
    padding : int, tuple of int, tuple of (before, after), "same" or "valid"
        Zeros added on each side. "same" is torch's rule: stride 1 only, and for even spans the extra pixel on the right.
    channels : int, optional
        Output channels; None stands for a wide layer (theory).
    groups : int
        Groups of channels; depthwise where it equals the input channels.
    tap_variance : array_like of shape [*kernel], optional
        Relative variance of the weight of each tap, not negative; divided by its sum. None: the same for all taps.
    variance_gain : float
        Total gain of the gradient's variance through this layer, positive.
    name : str, optional
        A label for tables and for the ``layer=`` option; not part of the layer's value.
    """

    kernel: Ints
    _: KW_ONLY
    stride: Ints = 1
    dilation: Ints = 1
    padding: Padding = 0
    channels: int | None = None
    groups: int = 1
    tap_variance: ArrayLike | None = None  # kept as a nested tuple
    variance_gain: float = 1.0
    name: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        _set(
            self,
            kernel=check.integers(self.kernel, "kernel", least=1),
            stride=check.integers(self.stride, "stride", least=1),
            dilation=check.integers(self.dilation, "dilation", least=1),
            padding=check.padding(self.padding),
            groups=check.integer(self.groups, "groups", least=1),
            variance_gain=check.real(self.variance_gain, "variance_gain"),
        )
        if self.variance_gain <= 0:
            raise ValueError(f"variance_gain must be positive, got {self.variance_gain}")
        if self.channels is not None:
            _set(self, channels=check.integer(self.channels, "channels", least=1))
            if self.channels % self.groups:
                raise ValueError(f"channels ({self.channels}) must be a multiple of groups ({self.groups})")
        if self.tap_variance is not None:
            _set(self, tap_variance=check.tap_variance(self.tap_variance, self.kernel))

    def __str__(self) -> str:
        return f"conv{_sides(self.kernel)}{self._suffixes()}"


@dataclass(frozen=True, repr=False)
class MaxPool(_Window):
    """Maximum pooling. `stride` None means the kernel; `ceil_mode` rounds the output size up, by torch's rule."""

    kernel: Ints
    _: KW_ONLY
    stride: Ints | None = None
    padding: Ints = 0
    dilation: Ints = 1
    ceil_mode: bool = False
    name: str | None = field(default=None, compare=False)

    usual_stride = None

    def __post_init__(self) -> None:
        _check_pool(self)
        _set(self, dilation=check.integers(self.dilation, "dilation", least=1))

    def __str__(self) -> str:
        return f"maxpool{_sides(self.kernel)}{self._suffixes()}{':ceil' if self.ceil_mode else ''}"


@dataclass(frozen=True, repr=False)
class AvgPool(_Window):
    """Average pooling.

    `stride` None means the kernel; `ceil_mode` rounds the output size up, by torch's rule. `count_include_pad` False
    divides a window at the border by the pixels it really holds.
    """

    kernel: Ints
    _: KW_ONLY
    stride: Ints | None = None
    padding: Ints = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    name: str | None = field(default=None, compare=False)

    dilation = 1
    usual_stride = None

    def __post_init__(self) -> None:
        _check_pool(self)

    def __str__(self) -> str:
        valid = "" if self.count_include_pad else ":nopad"
        return f"avgpool{_sides(self.kernel)}{self._suffixes()}{':ceil' if self.ceil_mode else ''}{valid}"


def _check_pool(pool: MaxPool | AvgPool) -> None:
    kernel = check.integers(pool.kernel, "kernel", least=1)
    stride = None if pool.stride is None else check.integers(pool.stride, "stride", least=1)
    padding = check.integers(pool.padding, "padding", least=0)
    _set(pool, kernel=kernel, stride=stride, padding=padding, ceil_mode=bool(pool.ceil_mode))
    ndim = max(len(v) if isinstance(v, tuple) else 1 for v in (kernel, padding))
    pairs = zip(check.per_axis(kernel, ndim, "kernel"), check.per_axis(padding, ndim, "padding"), strict=True)
    if any(2 * p > k for k, p in pairs):
        raise ValueError(f"padding must be at most half of the pooling kernel {kernel}, got {padding}")


@dataclass(frozen=True, repr=False)
class Activation(Layer):
    """A nonlinearity by name: identity, relu, leaky_relu (slope 0.01), tanh, sigmoid, gelu (exact) or silu."""

    name: str

    def __post_init__(self) -> None:
        check.choice(self.name, "activation", ACTIVATIONS)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """Inverted dropout: each value is zero with probability `rate`, else divided by 1 - rate. 0 <= rate < 1."""

    rate: float
    _: KW_ONLY
    name: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        _set(self, rate=check.real(self.rate, "rate"))
        if not 0 <= self.rate < 1:
            raise ValueError(f"rate must be at least 0 and below 1, got {self.rate}")

    def __str__(self) -> str:
        return f"dropout{_shortest(self.rate)}"


@dataclass(frozen=True, repr=False)
class Norm(Layer):
    """A normalisation: batch, layer, group or instance."""

    kind: str = "batch"
    _: KW_ONLY
    name: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        check.choice(self.kind, "kind", NORMS)

    def __str__(self) -> str:
        return f"{self.kind}norm"


@dataclass(frozen=True, repr=False)
class Scale(Layer):
    """Multiplication by one constant: layer scale, a gamma, stochastic depth at test time. Not zero."""

    value: float
    _: KW_ONLY
    name: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        _set(self, value=check.real(self.value, "value"))
        if self.value == 0:
            raise ValueError("value must not be 0: nothing would reach the input")

    def __str__(self) -> str:
        return f"scale{_shortest(self.value)}"


class _Later(Layer):
    """A layer whose name is reserved and which this version cannot compute yet."""

    reason = ""

    def __init__(self, *args: Any, **options: Any) -> None:
        raise NotImplementedError(f"{type(self).__name__} is not available in this version: {self.reason}")


class ConvTranspose(_Later):
    """Transposed convolution: comes with upsampling."""

    reason = "transposed convolutions come with upsampling, in a later version"


class Upsample(_Later):
    """Nearest or linear upsampling: comes later."""

    reason = "upsampling comes in a later version"


class GlobalPool(_Later):
    """Global pooling: comes with upsampling."""

    reason = "global pooling comes in a later version; for the ERF of one unit before it, leave it out"


class Branches(_Later):
    """Parallel branches: come with graphs."""

    reason = "branches come with graphs, in a later version; a chain of layers is a Stack"
