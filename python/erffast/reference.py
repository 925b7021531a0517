"""The definition of every native operation, in NumPy, in the plainest form and any precision.

`dtype` may be ``np.float32``, ``np.float64``, ``np.longdouble`` (refused where it is no wider than double) or ``object``:
with Python's `fractions.Fraction` or integers as entries the results are exact. These functions are slow on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import BackendUnavailable

__all__ = ["backward_step", "outer", "power", "propagate", "spectrum"]

Box = tuple[tuple[int, ...], NDArray[Any]]  # (origin, image)


def _converted(values: ArrayLike, dtype: Any) -> NDArray[Any]:
    if np.dtype(dtype) == np.longdouble and np.finfo(np.longdouble).eps >= np.finfo(np.float64).eps:
        raise BackendUnavailable(
            "extended precision is not available: long double is no wider than double on this platform; use dtype=object with fractions"
        )
    return np.array(values, dtype=dtype)


def backward_step(
    image: ArrayLike,
    kernel: ArrayLike,
    *,
    origin: Sequence[int] | None = None,
    stride: Sequence[int] | int = 1,
    dilation: Sequence[int] | int = 1,
    before: Sequence[int] | int = 0,
    extent: Sequence[int] | None = None,
    dtype: Any = np.float64,
) -> Box:
    """One backward step: ``out[s*i + d*a - p] += kernel[a] * image[i]``, cut to the map.

    Parameters
    ----------
    image : array_like [*shape]
        The gradient with respect to a layer's output; pixel 0 stands at `origin`.
    kernel : array_like [*taps]
    stride, dilation, before : int or one per axis
        Stride s, dilation d and left padding p of the layer.
    extent : sequence of int, optional
        Size of the layer's input map; pixels outside are dropped. None: the unbounded plane.
    dtype : dtype
        Precision of the arithmetic.

    Returns
    -------
    origin, image
        The gradient with respect to the layer's input.
    """
    g, w = _converted(image, dtype), _converted(kernel, dtype)
    at = (0,) * g.ndim if origin is None else tuple(origin)
    s, d, p = (tuple(np.broadcast_to(v, g.ndim).tolist()) for v in (stride, dilation, before))
    start = tuple(si * o - pi for si, o, pi in zip(s, at, p, strict=True))
    if not g.size:  # a map has cut everything off: nothing is spread from it
        return start, g
    shape = tuple(si * (n - 1) + di * (k - 1) + 1 for n, k, si, di in zip(g.shape, w.shape, s, d, strict=True))
    out = np.zeros(shape, dtype=dtype)
    for tap in np.ndindex(w.shape):
        where = tuple(slice(di * a, di * a + si * (n - 1) + 1, si) for a, n, si, di in zip(tap, g.shape, s, d, strict=True))
        out[where] += w[tap] * g
    if extent is None:
        return start, out
    low = tuple(max(0, -o) for o in start)
    high = tuple(max(lo, min(n, e - o)) for lo, n, e, o in zip(low, shape, extent, start, strict=True))
    return tuple(o + lo for o, lo in zip(start, low, strict=True)), out[tuple(slice(lo, hi) for lo, hi in zip(low, high, strict=True))]


def propagate(steps: Sequence[dict[str, Any]], *, unit: Sequence[int], dtype: Any = np.float64) -> Box:
    """A chain of backward steps from one unit; each entry holds the options of `backward_step`, the kernel among them.

    Returns
    -------
    origin, image
        Not rescaled on the way: a deep chain leaves the range of a float.
    """
    origin: tuple[int, ...] = tuple(unit)
    image: NDArray[Any] = _converted(np.ones((1,) * len(origin), dtype=int), dtype)
    for step in steps:
        options = dict(step)
        origin, image = backward_step(image, options.pop("kernel"), origin=origin, dtype=dtype, **options)
    return origin, image


def power(taps: ArrayLike, count: int, *, dtype: Any = np.float64) -> NDArray[Any]:
    """`taps` [k] convolved with itself `count` times: [count*(k-1) + 1]."""
    result = _converted(np.ones(1, dtype=int), dtype)
    for _ in range(count):
        result = backward_step(result, taps, dtype=dtype)[1]
    return result


def outer(profiles: Sequence[ArrayLike], *, dtype: Any = np.float64) -> NDArray[Any]:
    """The outer product of one profile [length] per axis: [*lengths]."""
    image = _converted(np.ones((), dtype=int), dtype)
    for profile in profiles:
        image = np.multiply.outer(image, _converted(profile, dtype))
    return image


def spectrum(
    layers: Sequence[tuple[ArrayLike, Sequence[int], int]], shape: Sequence[int]
) -> tuple[NDArray[np.complex128], NDArray[np.int64]]:
    """The product of transfer functions of layers at all frequencies of a period, as a real transform has them.

    Parameters
    ----------
    layers : sequence of (taps [n, rows, columns], spacing, count)
        Tap (a, b) of each of the n kernels stands at ``(a - (rows - 1) // 2, b - (columns - 1) // 2) * spacing``; each kernel is used
        `count` times.
    shape : two int
        The period, height and width in pixels.

    Returns
    -------
    values : complex128 [height, width // 2 + 1]
        The larger component in [0.5, 1), or 0.
    exponents : int64 [height, width // 2 + 1]
        The product is ``values * 2.0**exponents``.
    """
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1] // 2 + 1)[None]
    values = np.ones((shape[0], shape[1] // 2 + 1), dtype=np.complex128)
    exponents = np.zeros(values.shape, dtype=np.int64)
    for given, spacing, count in layers:
        for taps in np.asarray(given, dtype=np.float64):
            factor = np.zeros_like(values)
            for (a, b), weight in np.ndenumerate(taps):
                y, x = (a - (taps.shape[0] - 1) // 2) * spacing[0], (b - (taps.shape[1] - 1) // 2) * spacing[1]
                # whole turns are taken out in integers
                factor += weight * np.exp(-2j * np.pi * ((rows * y % shape[0]) / shape[0] + (columns * x % shape[1]) / shape[1]))
            for _ in range(count):
                values = values * factor
                shift = np.frexp(np.maximum(np.abs(values.real), np.abs(values.imag)))[1]
                values = np.ldexp(values.real, -shift) + 1j * np.ldexp(values.imag, -shift)
                exponents += shift
    return values, exponents
