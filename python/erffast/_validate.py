"""The one place where arguments from users are checked and put in order.

Every message names the argument, what was wanted and what came.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints: TypeAlias = int | tuple[int, ...]
Pair: TypeAlias = tuple[int, int]
Padding: TypeAlias = int | tuple[int, ...] | tuple[Pair, ...] | Literal["same", "valid"]
LARGEST = 2**62  # coordinates are 64-bit in the engines; one bit is kept for sums
Nested: TypeAlias = tuple[Any, ...]  # a nested tuple of floats: an array that compares and hashes by value


def is_integer(value: object) -> bool:
    """True for Python and NumPy integers, not for bool."""
    return type(value) is int or (isinstance(value, numbers.Integral) and not isinstance(value, bool | np.bool_))


def integer(value: Any, name: str, *, least: int | None = None) -> int:
    """One integer, at least `least` and at most 2**62."""
    if not is_integer(value):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if least is not None and value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    count = int(value)
    if abs(count) > LARGEST:
        raise ValueError(f"{name} must be within 2**62, got {value}")
    return count


def integers(value: Any, name: str, *, least: int | None = None) -> Ints:
    """An integer, or a tuple with one integer per axis; kept in the form it came in."""
    if is_integer(value):
        return integer(value, name, least=least)
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | np.ndarray):
        raise TypeError(f"{name} must be an integer or a tuple of integers, got {value!r}")
    items = tuple(value)
    if not 1 <= len(items) <= 3:
        raise ValueError(f"{name} must have one entry per axis (1 to 3), got {value!r}")
    for item in items:
        if not is_integer(item):
            raise TypeError(f"{name} must be an integer or a tuple of integers, got {value!r}")
        if least is not None and item < least:
            raise ValueError(f"{name} must be at least {least} in every axis, got {items}")
        if abs(int(item)) > LARGEST:
            raise ValueError(f"{name} must be within 2**62 in every axis, got {items}")
    return tuple(int(item) for item in items)


def padding(value: Any, name: str = "padding") -> Padding:
    """An int, one int per axis, one (before, after) pair per axis, "same" or "valid"."""
    if isinstance(value, str):
        if value not in ("same", "valid"):
            raise ValueError(f'{name} must be an integer, integers per axis, (before, after) pairs, "same" or "valid", got {value!r}')
        return value  # type: ignore[return-value]
    if isinstance(value, Sequence) and value and all(isinstance(item, Sequence) and not isinstance(item, str) for item in value):
        if any(len(item) != 2 for item in value):
            raise ValueError(f"{name} must be one (before, after) pair per axis, got {value!r}")
        return tuple((integer(b, name, least=0), integer(a, name, least=0)) for b, a in value)
    return integers(value, name, least=0)


def per_axis(value: Ints, ndim: int, name: str) -> tuple[int, ...]:
    """`value` spelled out for `ndim` axes."""
    if isinstance(value, tuple):
        if len(value) != ndim:
            raise ValueError(f"{name} has {len(value)} entries {value}, but the network has {ndim} axes")
        return value
    return (value,) * ndim


def padding_pairs(value: Padding, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[Pair, ...]:
    """`padding` as one (before, after) pair per axis. "same" is torch's rule: the odd pixel goes to the right."""
    ndim = len(kernel)
    if value == "valid":
        return ((0, 0),) * ndim
    if value == "same":
        if any(s != 1 for s in stride):
            raise ValueError(f'padding="same" needs stride 1, got stride {stride}')
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((t // 2, t - t // 2) for t in totals)
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        if len(value) != ndim:
            raise ValueError(f"padding has {len(value)} pairs {value}, but the network has {ndim} axes")
        return value
    return tuple((p, p) for p in per_axis(value, ndim, "padding"))  # type: ignore[arg-type]


def real(value: Any, name: str) -> float:
    """One finite real number."""
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, numbers.Real)):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")
    return float(value)


def window(value: Any) -> Any:
    """ "auto", "full", or a size in pixels."""
    if not isinstance(value, str):
        return integers(value, "window", least=1)
    if value not in ("auto", "full"):
        raise ValueError(f"window must be 'auto', 'full' or a size in pixels, got {value!r}")
    return value


def choice(value: Any, name: str, options: Collection[str]) -> str:
    """One of a few words."""
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}")
    return str(value)


def real_array(value: ArrayLike, name: str) -> NDArray[Any]:
    """A finite float32 or float64 array in native byte order, C-contiguous; copied only where that is needed.

    Integers, booleans and big-endian floats are converted to native float64 / float; float16, complex, strings and
    objects are refused: their values would be changed or are not real numbers.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must be a plain array, got a masked one: fill it first, for example with .filled(0)")
    try:
        array = np.asarray(value)
    except ValueError as exc:  # ragged nested lists
        raise ValueError(f"{name} must be a regular array of numbers: {exc}") from None
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind in "iub":
        array = array.astype(np.float64)
    elif kind == "f" and size in (4, 8):
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
    else:
        raise TypeError(f"{name} must be float32 or float64 (integers are converted), got dtype {array.dtype}")
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite, got {array[where]} at index {where}")
    return np.ascontiguousarray(array)


def tap_variance(value: ArrayLike, kernel: Ints) -> Nested:
    """Non-negative relative variances, one per tap, as a nested tuple."""
    array = real_array(value, "tap_variance").astype(np.float64)
    if not 1 <= array.ndim <= 3:
        raise ValueError(f"tap_variance must have one axis per axis of the network (1 to 3), got shape {array.shape}")
    wanted = kernel if isinstance(kernel, tuple) else (kernel,) * array.ndim
    if array.shape != wanted:
        raise ValueError(f"tap_variance has shape {array.shape}, but the kernel is {wanted}")
    if (array < 0).any():
        where = tuple(int(i) for i in np.argwhere(array < 0)[0])
        raise ValueError(f"tap_variance must not be negative, got {array[where]} at index {where}")
    if not array.any():
        raise ValueError("tap_variance is zero in every tap; at least one must be positive")
    taps: Nested = nested(array.tolist())
    return taps


def nested(value: Any) -> Any:
    """Nested lists as nested tuples."""
    return tuple(nested(item) for item in value) if isinstance(value, list) else value
