"""How far a sum of independent steps can be from a Gaussian, and how far it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _validate as check
from .moments import Cumulants, tap_cumulants

Array: TypeAlias = NDArray[np.float64]

EQUAL_TERMS = 0.4748  # Shevtsova, "On the absolute constants in the Berry-Esseen-type inequalities", 2011
UNEQUAL_TERMS = 0.56  # Shevtsova, "An improvement of convergence rate estimates in the Lyapunov theorem", 2010


def third_absolute_moment(weights: ArrayLike) -> float:
    """``E |X - E X|^3`` of taps 0, 1, 2, ... with these relative weights, [k]."""
    mean = tap_cumulants(weights).mean
    w = np.asarray(weights, dtype=np.float64)
    return float(w / w.sum() @ np.abs(np.arange(w.size) - mean) ** 3)


def berry_esseen(weights: ArrayLike, n: int) -> float:
    """Largest possible ``sup |F - Phi|`` of the sum of n equal steps: ``.4748 rho / (sigma^3 sqrt n)``.

    weights: relative weights of the taps, [k]; ``[1] * k`` for uniform ones. Berry (1941), Esseen (1942), with Shevtsova's constant.
    """
    n = check.integer(n, "n", least=1)
    variance = tap_cumulants(weights).variance
    if not variance:
        raise ValueError("weights must reach more than one tap: a sum of constants has no normal limit")
    return float(EQUAL_TERMS * third_absolute_moment(weights) / (variance**1.5 * math.sqrt(n)))


def berry_esseen_sum(variances: Sequence[float], third_moments: Sequence[float]) -> float:
    """The bound for unequal independent steps: ``.56 sum rho_l / (sum sigma_l^2)^1.5``; moments in input pixels.

    variances: sigma_l^2; third_moments: rho_l = E |X_l - E X_l|^3. Esseen (1945), with Shevtsova's constant.
    """
    if len(variances) != len(third_moments):
        raise ValueError(f"variances and third_moments must be equally long, got {len(variances)} and {len(third_moments)}")
    total = sum(variances)
    if not total > 0:
        raise ValueError("variances must not all be zero: a sum of constants has no normal limit")
    return float(UNEQUAL_TERMS * sum(third_moments) / total**1.5)


def lattice_step(shares: ArrayLike) -> float:
    """Half of the largest share: no continuous distribution comes nearer to one with such a step.

    Uniform 3-tap stacks attain it from two layers on; others come near it as 1 / n.
    """
    return float(np.max(shares)) / 2


def gaussian_distances(shares: ArrayLike, *, first: float, mean: float, std: float, span: int = 1) -> tuple[float, float]:
    """``sup |F - Phi|`` of a distribution on pixels: at all points, and at the mid-points between lattice points only.

    Parameters
    ----------
    shares : array_like [length]
        Share of every pixel; sums to 1.
    first : float
        Coordinate of the first pixel.
    mean, std : float
        Of the Gaussian, in input pixels.
    span : int
        Pixels between neighbouring points of the lattice, of which the first pixel with a share is one.

    Returns
    -------
    (float, float)
        The first is at least `lattice_step`; the second falls as 1 / n for symmetric steps.
    """
    p = np.asarray(shares, dtype=np.float64)
    x = first + np.arange(p.size)
    after = np.cumsum(p)
    normal = _normal_distribution((x - mean) / std)
    everywhere = max(np.abs(after - normal).max(), np.abs(after - p - normal).max())
    start = int(np.argmax(p > 0))
    points = slice(start, None, span)
    middle = _normal_distribution((x[points] + span / 2 - mean) / std)
    return float(everywhere), float(np.abs(after[points] - middle).max())


def edgeworth_distance(cumulants: Cumulants, *, span: float = 1.0) -> float:
    """``sup |F - Phi|`` at mid-points to first order: what skewness, kurtosis and the lattice leave.

    Edgeworth's expansion summed up to a mid-point: ``F - Phi = N(t) [-g1/6 (t^2 - 1) - g2/24 (t^3 - 3 t) + h^2 t / (24 std^2)]``,
    the last term from the midpoint rule. Uniform 3-tap layers: .0207 / n.
    """
    t = np.linspace(-6, 6, 2401)
    lattice = span**2 / (24 * cumulants.variance)
    terms = -cumulants.skewness / 6 * (t**2 - 1) - cumulants.excess_kurtosis / 24 * (t**3 - 3 * t) + lattice * t
    return float(np.abs(np.exp(-t * t / 2) / math.sqrt(2 * math.pi) * terms).max())


def _normal_distribution(t: NDArray[np.floating]) -> Array:
    root = math.sqrt(0.5)
    return np.array([0.5 * math.erfc(-value * root) for value in t.tolist()])
