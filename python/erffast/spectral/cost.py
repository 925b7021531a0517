"""What engines are expected to cost: coarse, for choosing between them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..chain import Chain, Step
from .signed import first_periods
from .transfer import transfer

Array = NDArray[np.float64]

# Measured on two cores at some 3 GHz; only their ratios matter, and a factor of 2 is lost in none of them.
MULTIPLY_ADDS = 7e9  # of the direct engine, per second
PRODUCT_START = 1e-3  # seconds of the spectral engine whatever the network: probe and transform of a small one
FREQUENCY_LAYER = 1.2e-10  # per frequency, layer and three taps of its rows
FREQUENCY = 2e-8  # per frequency: scaling and transform
FREQUENCY_SPACING = 1.5e-8  # per frequency and spacing other than one pixel
BAND_START = 0.01  # seconds: bounds and transforms of any band
BAND_LAYER = 2e-6  # and per layer
BAND_PIXEL = 4e-9  # and per pixel of the window
TILES = 36  # of a window as wide as `WIDTH`
TILE_START = 0.006  # seconds: bounds, band and pixels of a tile
TILE_TAP = 5e-8  # and per tap of all layers
WHOLE = 1e30  # standard deviations: the whole support
WIDTH = 15.0  # standard deviations that a trimmed image, or a window, is wide


def band_pays(chain: Chain) -> bool:
    """Whether the band-limited engine is expected to take less time than the direct engine.

    Parameters
    ----------
    chain : Chain
        Two axes, without negative taps. The cost of all draws grows alike.
    """
    if _most_seconds(chain) <= BAND_START:
        return False
    window = float(_sides(chain, 0, WIDTH)[-1] * _sides(chain, 1, WIDTH)[-1])
    return BAND_START + BAND_LAYER * chain.layers + BAND_PIXEL * window < _layers_seconds(chain, WIDTH)


def tilts_pay(chain: Chain) -> bool:
    """Whether tiles of tilted chains are expected to take less time than the direct engine, for a window.

    Parameters
    ----------
    chain : Chain
        Two axes, without negative taps. The cost of all draws grows alike.
    """
    tiles = TILES * (TILE_START + TILE_TAP * _taps(chain))
    return tiles < _most_seconds(chain) and tiles < _layers_seconds(chain, WIDTH)


def layers_pay(chain: Chain, *, separable: bool) -> bool:
    """Whether a signed chain is expected to take less time layer by layer than as a product of transfer functions.

    Parameters
    ----------
    separable : bool
        Each axis is run by itself.
    """
    draws = float(chain.draws or 1)
    if separable:
        sides = [_sides(chain, axis, WHOLE) for axis in range(chain.ndim)]
        taps = [np.concatenate([np.full(s.count, float(s.kernel[a])) for s in chain.steps]) for a in range(chain.ndim)]
        layers = sum(float((side * k).sum()) for side, k in zip(sides, taps, strict=True)) / MULTIPLY_ADDS
        frequencies = sum(float(side[-1]) for side in sides) / 2
        return layers * draws < PRODUCT_START * chain.ndim + frequencies * draws * (FREQUENCY_LAYER * chain.layers + FREQUENCY)
    if _most_seconds(chain) * draws < PRODUCT_START:
        return True
    found = transfer(chain)
    frequencies = sum(height * (width // 2 + 1) for height, width in first_periods(found))
    rows = float(sum(len(layer.taps) * max(1, layer.taps.shape[3] // 2) for layer in found.layers))
    spacings = len({layer.spacing for layer in found.layers} - {(1, 1)})
    each = FREQUENCY_LAYER * rows + FREQUENCY + FREQUENCY_SPACING * spacings
    return _layers_seconds(chain, WHOLE) * draws < PRODUCT_START + frequencies * each


def _taps(chain: Chain) -> int:
    """Of all layers."""
    return sum([step.count * math.prod(step.kernel) for step in chain.steps])


def _most_seconds(chain: Chain) -> float:
    """A bound of `_layers_seconds` that takes no look at the kernels: every layer as wide as the last. It settles all small chains."""
    return math.prod(chain.field.size) * _taps(chain) / MULTIPLY_ADDS


def _layers_seconds(chain: Chain, width: float) -> float:
    area = np.ones(chain.layers)
    for axis in range(chain.ndim):
        area *= _sides(chain, axis, width)
    taps = np.concatenate([np.full(step.count, np.prod(step.kernel), dtype=float) for step in chain.steps])
    return float((area * taps).sum()) / MULTIPLY_ADDS


def _sides(chain: Chain, axis: int, width: float) -> Array:
    """Pixels that the image is wide after each layer: its support, or where that is less `width` standard deviations."""
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
        found.append(np.minimum(sizes, width * np.sqrt(variances) + 1))
    return np.concatenate(found)


def _variances(step: Step, axis: int) -> Array:
    """Variance of the taps' positions along an axis, weighted by their sizes, per layer of a run; of several draws the first's."""
    kernels = np.abs(step.kernels[:, 0, 0, 0])
    mass = kernels.sum(axis=tuple(a + 1 for a in range(kernels.ndim - 1) if a != axis))
    at = step.dilation[axis] * np.arange(mass.shape[1], dtype=float)
    total = np.maximum(mass.sum(axis=1), np.finfo(float).tiny)
    mean = mass @ at / total
    return np.broadcast_to(np.maximum(mass @ at**2 / total - mean**2, 0), step.count)
