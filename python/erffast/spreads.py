"""How far the mass of a chain without trimming spreads: variances of the taps' positions add up, layer by layer."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from . import _backend
from .chain import Chain, Step

Array = NDArray[np.float64]
FAR = 900  # powers of two that a number may be from 1, and its square times thousands still be one


def sides(chain: Chain, axis: int, width: float) -> Array:
    """Pixels that the image is wide after each layer: its support, or where that is less `width` standard deviations."""
    size, variance, found = 1.0, 0.0, []
    for step, spreads in zip(chain.steps, of_steps(chain), strict=True):
        spread = spreads[axis]
        stride, grown = step.stride[axis], step.dilation[axis] * (step.kernel[axis] - 1)
        if stride == 1:
            variances, sizes = variance + np.cumsum(spread), size + grown * np.arange(1.0, step.count + 1)
        else:
            variances, sizes = np.empty(step.count), np.empty(step.count)
            for i in range(step.count):
                variance, size = stride**2 * variance + float(spread[i]), stride * (size - 1) + grown + 1
                variances[i], sizes[i] = variance, size
        variance, size = float(variances[-1]), float(sizes[-1])
        found.append(np.minimum(sizes, width * np.sqrt(variances) + 1))
    return np.concatenate(found)


def least_side(chain: Chain, axis: int, trim: float) -> float:
    """Pixels along an axis that a chain without negative taps reaches from its mean, whatever share `trim` of its mass is left out.

    Of what is left out no pixel is further away than the field is wide: the rest keeps its part of the variance.
    """
    variance = (sides(chain, axis, 1.0)[-1] - 1) ** 2  # of a support that is never less than a standard deviation wide
    return math.sqrt(max(variance - trim * float(chain.field.size[axis]) ** 2, 0.0))


def of_steps(chain: Chain) -> list[Array]:
    """`variances` of every step; kept with the chain, for each axis asks, and each engine."""
    kept = vars(chain)
    if "spreads" not in kept:
        kept["spreads"] = [variances(step, least < 0) for step, least in zip(chain.steps, chain.least_taps, strict=True)]
    found: list[Array] = kept["spreads"]
    return found


def variances(step: Step, signed: bool) -> Array:
    """Variance of the taps' positions along each axis, weighted by their sizes, [axes, layers]; of several draws the first's.

    One product with the taps' positions and their squares: sums over the few taps of thousands of kernels took NumPy 6 ms.
    """
    taps = np.abs(step.kernels[:, 0, 0, 0]) if signed else step.kernels[:, 0, 0, 0]
    exponent = int(np.frexp(taps.max())[1])
    if abs(exponent) > FAR:  # sums of the largest numbers would overflow
        taps = np.ldexp(taps, -exponent)
    at = np.indices(step.kernel, dtype=float).reshape(len(step.kernel), -1)
    sums = np.empty((len(taps), 1 + 2 * len(at)))
    _backend.combine(taps.reshape(len(taps), -1), np.concatenate([np.ones((1, at.shape[1])), at, at**2]).T, sums, 1)
    means = sums.T[1:] / np.maximum(sums.T[0], np.finfo(float).tiny)
    first, second = means[: len(at)], means[len(at) :]
    spread = np.maximum(second - first**2, 0) * np.array(step.dilation, dtype=float)[:, None] ** 2
    return np.broadcast_to(spread, (len(at), step.count))
