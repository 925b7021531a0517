"""What all layers share, and sequences of them: `Layer` and `Stack`.

A `Stack` keeps repeats run-length encoded: ``Stack([Conv(3)]) * 100_000`` holds one `Conv`. Users find both in `erffast.layers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal, NoReturn, Self

from . import _validate as check


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

    def with_axes(self, ndim: int) -> Layer:
        """The layer in a network of `ndim` axes: itself, but for layers made of layers; raises as `check_ndim` does."""
        self.check_ndim(ndim)
        return self


def _set(layer: Layer, **values: Any) -> None:
    """Assign during the construction of a frozen dataclass."""
    vars(layer).update(values)


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
                    layer = layer.with_axes(ndim)
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

    def check_ndim(self, ndim: int) -> None:
        for part, _ in self._parts if ndim != self.ndim else ():
            try:
                part.check_ndim(ndim)
            except ValueError as exc:
                raise ValueError(f"{part.label}: {exc}") from None

    def with_axes(self, ndim: int) -> Self:
        if ndim == self.ndim:
            return self
        self.check_ndim(ndim)
        return self._from_parts([(part.with_axes(ndim), count) for part, count in self._parts], ndim)

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
        return self.ndim == other.ndim and self.same_layers(other)

    def same_layers(self, other: Stack) -> bool:
        """Whether the layers are equal, whatever the number of axes."""
        return self._length == other._length and (self._parts == other._parts or self.fingerprint() == other.fingerprint())

    def __hash__(self) -> int:
        return hash((self.ndim, self.fingerprint()))

    def fingerprint(self) -> int:
        """The layers' hashes as digits of one number, modulo a prime of 127 bits: the same however the repeats are nested,
        and found without unrolling them. Two different stacks share it with a chance of about 2**-61."""
        total = 0
        for part, count in self._parts:
            digit, size = (part.fingerprint(), len(part)) if isinstance(part, Stack) else (hash(part), 1)
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
