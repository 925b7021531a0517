"""Models that have the moments of the mass: the Gaussian, and its Edgeworth correction."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np

from ..measures import Array, Dense, Weights

Parameters: TypeAlias = dict[str, Array]

NARROWEST = 0.01  # standard deviation in pixels below which nothing but moments is fitted: 1e-4 of the mass lies beside one pixel


def gaussian_log(x: Array, mean: float, std: float) -> Array:
    """Logarithm of the normal density at `x`."""
    return np.square((x - mean) / std) / -2 - math.log(std * math.sqrt(2 * math.pi))


def edgeworth_log(x: Array, mean: float, std: float, kappa3: float, kappa4: float) -> Array:
    """Logarithm of the Edgeworth density at `x`, -inf where the series is not positive.

    ``N(x) [1 + g1/6 He3 + g2/24 He4 + g1^2/72 He6]`` with ``g1 = kappa3 / std^3`` and ``g2 = kappa4 / std^4``.
    """
    z = (x - mean) / std
    g1, g2 = kappa3 / std**3, kappa4 / std**4
    # coefficients of the Hermite polynomials He0, He3, He4, He6
    series = np.polynomial.hermite_e.hermeval(z, [1, 0, 0, g1 / 6, g2 / 24, 0, g1**2 / 72])
    with np.errstate(divide="ignore"):
        logarithm: Array = gaussian_log(x, mean, std) + np.log(np.maximum(series, 0))
    return logarithm


def gaussian(weights: Weights) -> Parameters:
    """Maximum likelihood: the mean and covariance of the mass."""
    return {"mean": np.array(weights.mean), "std": np.array(weights.std), "covariance": covariance_of(weights)}


def edgeworth(weights: Weights) -> Parameters:
    """Moments and the third and fourth cumulant of each marginal."""
    third, fourth = [], []
    for m, mean, std in zip(weights.marginals, weights.mean, weights.std, strict=True):
        x = np.arange(len(m)) - mean
        third.append(m @ x**3)
        fourth.append(m @ x**4 - 3 * std**4)
    return {"mean": np.array(weights.mean), "std": np.array(weights.std), "kappa3": np.array(third), "kappa4": np.array(fourth)}


def covariance_of(weights: Weights) -> Array:
    """Of the mass, [ndim, ndim]; the axes of a product are independent."""
    covariance = np.diag(np.square(weights.std))
    if isinstance(weights, Dense) and len(weights.shape) > 1 and weights.peak > 0:
        covariance += _cross_moments(weights)
    return covariance


def is_flat(covariance: Array) -> bool:
    """Whether the mass lies on a line or plane, or is zero: then no elliptical model has a density."""
    variances = np.diag(covariance)
    return not (variances > 0).all() or not np.linalg.det(covariance) > 1e-12 * np.prod(variances)


def _cross_moments(weights: Dense) -> Array:
    """The covariances between axes; zero on the diagonal."""
    x = _centred(weights)
    moments = np.zeros((len(x), len(x)))
    letters = "abc"[: len(x)]
    for start, block in weights.blocks():
        parts = [x[0][start : start + len(block)], *x[1:]]
        for i in range(len(x)):
            for j in range(i):
                moments[i, j] += np.einsum(f"{letters},{letters[i]},{letters[j]}->", block, parts[i], parts[j])
    moments /= weights.total
    return moments + moments.T


def _centred(weights: Weights) -> list[Array]:
    """Per axis, the pixels' distances from the mean."""
    return [np.arange(n, dtype=np.float64) - c for n, c in zip(weights.shape, weights.mean, strict=True)]
