"""What theory says of wider profiles and sparse taps, and how their combs are measured. `initialisation` tells the story."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..layers import Conv, Layer
from ..result import ERF

Array: TypeAlias = NDArray[np.float64]


def gain(kernel: int, theta: float) -> float:
    """Std of the profile of the family over that of uniform taps, by its definition."""
    at = [2 * a / (kernel - 1) - 1 for a in range(kernel)]
    weights = [math.exp(theta * (x * x - 1)) for x in at] if theta < math.inf else [float(x * x == 1) for x in at]
    wide = sum(w * x * x for w, x in zip(weights, at, strict=True)) / sum(weights)
    return math.sqrt(wide / (sum(x * x for x in at) / kernel))


def repaired_gain(kernel: int, n: int) -> float:
    """Std of n - 1 layers of end taps and a trapezoid, over that of n uniform ones."""
    ends, filling = (kernel - 1) ** 2 / 4, ((kernel - 1) ** 2 - 1) / 12 + 1 / 4
    return math.sqrt(((n - 1) * ends + filling) / (n * (kernel**2 - 1) / 12))


def ripple_of(kernel: int, theta: float, n: int) -> float:
    """What `ripple` is in theory: the masses of the residues are Fourier sums of the taps to the power n."""
    at = np.arange(kernel)
    weights = np.exp(theta * ((2 * at / (kernel - 1) - 1) ** 2 - 1))
    weights /= weights.sum()
    period = kernel - 1
    waves = np.array([(weights @ np.exp(2j * np.pi * f * at / period)) ** n for f in range(period)])
    masses = np.array([(waves @ np.exp(-2j * np.pi * r * np.arange(period) / period)).real for r in range(period)])
    return float((masses.max() - masses.min()) / (masses.max() + masses.min()))


def ripple(erf: ERF, period: int) -> float:
    """Comb along the last axis: of the mass on the pixels of each residue modulo `period`, (largest - smallest) / (largest + smallest)."""
    shares = erf.marginal()
    masses = np.array([shares[r::period].sum() for r in range(period)])
    return float((masses.max() - masses.min()) / (masses.max() + masses.min()))


def tap_variances(layers: Sequence[Layer]) -> Array:
    """Variance of each layer's taps in input pixels, [layers, axes], from their places alone."""
    found = []
    for layer in layers:
        assert isinstance(layer, Conv)
        taps = np.ones((3, 3)) if layer.tap_variance is None else np.array(layer.tap_variance)
        where = np.argwhere(taps) * layer.geometry(2)[2]
        found.append(where.var(axis=0))
    return np.array(found)


def reached(erf: ERF) -> float:
    """Share of the pixels of the theoretical field that have any mass."""
    return float(np.count_nonzero(erf.image) / erf.image.size)
