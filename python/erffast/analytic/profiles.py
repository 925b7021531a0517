"""Shapes: wider tap variances that stay Gaussian late, and the profile of a chain with the comb that strides leave."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import _validate as check
from ..layers import Layer
from .chain import as_stack, axis_of, steps

Array: TypeAlias = NDArray[np.float64]

_LONGEST = 200_000  # pixels of an explicit profile: direct convolution is quadratic


def wide_tap_variance(kernel: int | tuple[int, ...], theta: float, *, ndim: int | None = None) -> Array:
    """Relative tap variances ``exp(theta (2 a / (k - 1) - 1)^2)`` per axis, for `Conv(tap_variance=...)`; they sum to 1.

    Of all profiles with the same std the one of largest entropy; separable, and radial in square kernels.

    Parameters
    ----------
    kernel : int or tuple of int
        Taps per axis.
    theta : float
        0: uniform. Positive: wider, towards the corners at +inf. Negative: narrower, towards the centre at -inf.
        With k = 3: 1 gives std x1.126 and no visible comb from 10 layers on; 1.5 x1.162 from 20; 2 x1.185 from 20 to 40.
    ndim : int, optional
        Number of axes, if kernel is an int; else 1.

    Returns
    -------
    float64 array [*kernel]
    """
    sides = check.integers(kernel, "kernel", least=1)
    sides = check.per_axis(sides, ndim or (len(sides) if isinstance(sides, tuple) else 1), "kernel")
    if math.isnan(theta):
        raise ValueError("theta must be a number, got nan")
    taps = np.ones(())
    for k in sides:
        taps = np.multiply.outer(taps, _wide(k, theta))
    return np.asarray(taps)


def _wide(kernel: int, theta: float) -> Array:
    if kernel == 1:
        return np.ones(1)
    square = (2 * np.arange(kernel) - (kernel - 1)) ** 2 / (kernel - 1) ** 2  # exactly symmetric
    extreme = square.max() if theta > 0 else square.min()
    # the largest weight is 1: no overflow
    weights = (square == extreme).astype(np.float64) if math.isinf(theta) else np.exp(theta * (square - extreme))
    return np.asarray(weights / weights.sum())


def end_taps(kernel: int) -> Array:
    """All variance on the two end taps, [kernel]: the largest std at a given total, `end_tap_gain` times that of uniform taps.

    n such layers alone reach only every (k - 1)-th pixel per axis; one `trapezoid` among them fills the gaps.
    """
    return _wide(check.integer(kernel, "kernel", least=2), math.inf)


def trapezoid(kernel: int) -> Array:
    """``[1, 2, ..., 2, 1] / (2 (k - 1))``, [kernel]: the profile that repairs a stack of `end_taps` layers.

    It is uniform over k - 1 pixels convolved with (1, 1) / 2, so that after it no residue modulo k - 1 is favoured: full
    coverage and no ripple, at a std of 1.209 instead of 1.225 times the uniform one for k = 3, n = 20.
    """
    kernel = check.integer(kernel, "kernel", least=2)
    return np.convolve(np.full(kernel - 1, 1 / (kernel - 1)), [0.5, 0.5])


def end_tap_gain(kernel: int) -> float:
    """Std of `end_taps` over that of uniform taps: ``sqrt(3 (k - 1) / (k + 1))``; 1.225, 1.414, 1.5 for k = 3, 5, 7."""
    kernel = check.integer(kernel, "kernel", least=2)
    return math.sqrt(3 * (kernel - 1) / (kernel + 1))


def profile(net: Layer, *, axis: int = -1) -> Array:
    """The variance image of a chain on the unbounded plane summed over the other axes, by plain convolution; sums to 1.

    A second way to small results, independent of the engines: float64 [length] over the whole theoretical field. Raises
    ValueError beyond 200,000 pixels.
    """
    stack = as_stack(net)
    found = steps(stack, axis_of(stack, axis))
    length = 1 + sum(step.times * step.spacing * (len(step.weights) - 1) for step in found)
    if length > _LONGEST:
        raise ValueError(f"net must reach at most {_LONGEST} pixels along axis {axis}, got {length}; variance() takes more")
    total = np.ones(1)
    for step in found:
        taps = np.zeros(step.spacing * (len(step.weights) - 1) + 1)
        taps[:: step.spacing] = step.weights
        total = np.convolve(total, _power(taps, step.times))
    return total


def _power(taps: Array, times: int) -> Array:
    """`times` equal kernels convolved, by squaring."""
    total = np.ones(1)
    while times:
        if times & 1:
            total = np.convolve(total, taps)
        times >>= 1
        if times:
            taps = np.convolve(taps, taps)
    return total


def comb(net: Layer, *, axis: int = -1) -> float:
    """Centre over maximum of a chain's `profile`; in more axes the factors multiply. 1: no comb.

    Strided odd kernels leave one: .205 for three 3-tap stride-2 layers first among 15, .998 with four others before each,
    1 for 2-tap pools. So levels are better taken relative to the peak than to the centre. Without a centre pixel, the mean of two.
    """
    shares = profile(net, axis=axis)
    middle = shares[(shares.size - 1) // 2 : shares.size // 2 + 1]
    return float(middle.mean() / shares.max())
