"""Whether a band of frequencies is cheaper than going layer by layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..chain import Chain, Step

Array = NDArray[np.float64]

# Measured on two cores at some 3 GHz; only their ratios matter, and a factor of 2 is lost in none of them.
MULTIPLY_ADDS = 7e9  # of the direct engine, per second
BAND_START = 0.01  # seconds: bounds and transforms of any band
BAND_LAYER = 2e-6  # and per layer
BAND_PIXEL = 4e-9  # and per pixel of the window
WIDTH = 15.0  # standard deviations that a trimmed image, or a window, is wide


def band_pays(chain: Chain) -> bool:
    """Whether the band-limited engine is expected to take less time than the direct engine.

    Parameters
    ----------
    chain : Chain
        Two axes, without negative taps. The cost of all draws grows alike.
    """
    sides = [_sides(chain, axis) for axis in (0, 1)]
    taps = np.concatenate([np.full(step.count, np.prod(step.kernel), dtype=float) for step in chain.steps])
    layers = float((sides[0] * sides[1] * taps).sum()) / MULTIPLY_ADDS
    band = BAND_START + BAND_LAYER * chain.layers + BAND_PIXEL * float(sides[0][-1] * sides[1][-1])
    return band < layers


def _sides(chain: Chain, axis: int) -> Array:
    """Pixels that the image is wide after each layer: its support, or where that is less a multiple of its standard deviation."""
    size, variance, found = 1.0, 0.0, []
    for step in chain.steps:
        spread = _variances(step, axis)
        stride, grown = step.stride[axis], step.dilation[axis] * (step.kernel[axis] - 1)
        if stride == 1:
            variances, sizes = variance + np.cumsum(spread), size + grown * np.arange(1.0, step.count + 1)
        else:
            variances, sizes = np.empty(step.count), np.empty(step.count)
            for i in range(step.count):
                variance, size = stride**2 * variance + float(spread[i]), stride * (size - 1) + grown + 1
                variances[i], sizes[i] = variance, size
        variance, size = float(variances[-1]), float(sizes[-1])
        found.append(np.minimum(sizes, WIDTH * np.sqrt(variances) + 1))
    return np.concatenate(found)


def _variances(step: Step, axis: int) -> Array:
    """Variance of the taps' positions along an axis, per layer of a run; of several draws the first's."""
    mass = step.kernels[:, 0, 0, 0].sum(axis=2 - axis)
    at = step.dilation[axis] * np.arange(mass.shape[1], dtype=float)
    total = np.maximum(mass.sum(axis=1), np.finfo(float).tiny)
    mean = mass @ at / total
    return np.broadcast_to(np.maximum(mass @ at**2 / total - mean**2, 0), step.count)
