"""Layers: frozen descriptions of what a network is. No numerics live here.

A layer compares and hashes by value. Sizes given as one integer hold for every axis; the `Stack` that takes a layer fixes
the number of axes and checks it. A `Stack` keeps repeats run-length encoded: ``Stack([Conv(3)]) * 100_000`` holds one `Conv`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, field, fields
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Literal, NoReturn, Self, TypeAlias

from numpy.typing import ArrayLike

from . import _validate as check
from ._validate import Ints, Padding, Pair

ACTIVATIONS = ("identity", "relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu")
NORMS = ("batch", "layer", "group", "instance")


@dataclass(frozen=True)
class Layer:
    """Base of all layers. `name` labels the layer in tables and in the ``layer=`` option; it is not part of its value."""

    def __mul__(self, times: int) -> Stack:
        return Stack([self]) * times

    __rmul__ = __mul__

    def __add__(self, other: Layer) -> Stack:
        return Stack([self, other])

    @cached_property
    def label(self) -> str:
        """The given name, or the text form."""
        return getattr(self, "name", None) or str(self)

    def __repr__(self) -> str:
        shown = []
        for position, f in enumerate(fields(self)):
            value = getattr(self, f.name)
            if position == 0:
                shown.append(repr(value))
            elif value != f.default:
                shown.append(f"{f.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def check_ndim(self, ndim: int) -> None:
        """Raise if the layer does not fit a network of `ndim` axes."""


def _set(layer: Layer, **values: Any) -> None:
    """Assign during the construction of a frozen dataclass."""
    vars(layer).update(values)


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


class Stack(Layer):
    """A sequence of layers, from the input to the output.

    Parameters
    ----------
    layers : iterable of Layer
        Layers in forward order; a `Stack` among them is spliced in.
    ndim : {1, 2, 3}
        Number of spatial axes.

    Examples
    --------
    >>> import erffast as ef
    >>> net = ef.Stack([ef.Conv(3), ef.Activation("relu")]) * 10 + ef.Stack([ef.Conv(5)])
    >>> len(net)
    21
    """

    ndim: int
    _parts: tuple[tuple[Layer, int], ...]
    _length: int

    def __init__(self, layers: Iterable[Layer] = (), *, ndim: Literal[1, 2, 3] = 2) -> None:
        if ndim not in (1, 2, 3):
            raise ValueError(f"ndim must be 1, 2 or 3, got {ndim!r}")
        if isinstance(layers, Layer):
            layers = [layers]
        parts: list[tuple[Layer, int]] = []
        for index, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"layers[{index}] must be a Layer, got {layer!r}")
            if isinstance(layer, Stack):
                if layer._length and layer.ndim != ndim:
                    raise ValueError(f"layers[{index}] has {layer.ndim} axes, but the stack has {ndim}")
                for part, count in layer._parts:
                    _append(parts, part, count)
            else:
                try:
                    layer.check_ndim(ndim)
                except ValueError as exc:
                    raise ValueError(f"layers[{index}] ({layer.label}): {exc}") from None
                _append(parts, layer, 1)
        self._fill(tuple(parts), ndim)

    def _fill(self, parts: tuple[tuple[Layer, int], ...], ndim: int) -> None:
        length = sum(count * (len(part) if isinstance(part, Stack) else 1) for part, count in parts)
        _set(self, _parts=parts, ndim=ndim, _length=length)

    @classmethod
    def _from_parts(cls, parts: Iterable[tuple[Layer, int]], ndim: int) -> Self:
        stack = cls.__new__(cls)
        stack._fill(tuple(parts), ndim)
        return stack

    @property
    def parts(self) -> tuple[tuple[Layer, int], ...]:
        """The run-length encoding: (layer or block, times), in order."""
        return self._parts

    def upto(self, index: int) -> Self:
        """The first ``index + 1`` layers, still run-length encoded."""
        left, parts = index + 1, []
        for part, count in self._parts:
            size = len(part) if isinstance(part, Stack) else 1
            whole = min(count, left // size)
            if whole:
                parts.append((part, whole))
            left -= whole * size
            if whole < count:
                if left:
                    assert isinstance(part, Stack)
                    parts.extend(part.upto(left - 1)._parts)
                break
        return self._from_parts(parts, self.ndim)

    def __mul__(self, times: int) -> Self:
        times = check.integer(times, "times", least=1)
        if times == 1 or not self._parts:
            return self
        if len(self._parts) == 1:
            part, count = self._parts[0]
            return self._from_parts([(part, count * times)], self.ndim)
        return self._from_parts([(self, times)], self.ndim)

    __rmul__ = __mul__

    def __add__(self, other: Layer) -> Self:
        if not isinstance(other, Layer):
            return NotImplemented
        return type(self)([self, other], ndim=self.ndim)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Layer]:
        for part, count in self._parts:
            for _ in range(count):
                if isinstance(part, Stack):
                    yield from part
                else:
                    yield part

    def __len__(self) -> int:
        return self._length

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Stack):
            return NotImplemented
        if self.ndim != other.ndim or self._length != other._length:
            return False
        return self._parts == other._parts or self._fingerprint() == other._fingerprint()

    def __hash__(self) -> int:
        return hash((self.ndim, self._fingerprint()))

    def _fingerprint(self) -> int:
        """The layers' hashes as digits of one number, modulo a prime of 127 bits: the same however the repeats are nested,
        and found without unrolling them. Two different stacks share it with a chance of about 2**-61."""
        total = 0
        for part, count in self._parts:
            digit, size = (part._fingerprint(), len(part)) if isinstance(part, Stack) else (hash(part), 1)
            base = pow(_FINGERPRINT_BASE, size, _FINGERPRINT_PRIME)
            repeated, factor = _repeated(digit, base, count)
            total = (total * factor + repeated) % _FINGERPRINT_PRIME
        return total

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Stack is frozen: cannot set {name}")

    def __reduce__(self) -> Any:
        return _rebuild, (self._parts, self.ndim)

    def __str__(self) -> str:
        def item(part: Layer, count: int) -> str:
            text = f"({part})" if isinstance(part, Stack) else str(part)
            return text if count == 1 else f"{text} * {count}"

        return ", ".join(item(part, count) for part, count in self._parts)

    def __repr__(self) -> str:
        return f"Stack({str(self)!r}, ndim={self.ndim})"


_FINGERPRINT_PRIME = 2**127 - 1
_FINGERPRINT_BASE = 0x9E3779B97F4A7C15F39CC0605CEDC835 >> 1


def _repeated(digit: int, base: int, count: int) -> tuple[int, int]:
    """digit * (1 + base + ... + base**(count - 1)) and base**count, by squaring."""
    total, factor = 0, 1
    for bit in bin(count)[2:]:
        total, factor = (total * factor + total) % _FINGERPRINT_PRIME, factor * factor % _FINGERPRINT_PRIME
        if bit == "1":
            total, factor = (total * base + digit) % _FINGERPRINT_PRIME, factor * base % _FINGERPRINT_PRIME
    return total, factor


def _rebuild(parts: tuple[tuple[Layer, int], ...], ndim: int) -> Stack:
    return Stack._from_parts(parts, ndim)


def _append(parts: list[tuple[Layer, int]], part: Layer, count: int) -> None:
    """Append to a run-length encoding, merging with an equal last part."""
    if parts:
        last, before = parts[-1]
        if last is part or (type(last) is type(part) and last == part and last.label == part.label):
            parts[-1] = (last, before + count)
            return
    parts.append((part, count))


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


class Residual(_Later):
    """A residual block: comes with graphs."""

    reason = "skip connections come with graphs, in a later version; a chain of layers is a Stack"


class Branches(_Later):
    """Parallel branches: come with graphs."""

    reason = "branches come with graphs, in a later version; a chain of layers is a Stack"
