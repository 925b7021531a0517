"""Models that are a product of one density per axis, each fitted to a marginal: the box convolved with a Gaussian, the raised cosine.

A product's divergence from an image is the sum of those of its factors from the marginals, and what no product can tell, so fitting
axis by axis is the fit to the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..measures import Array, Weights
from .moments import NARROWEST, Parameters, gaussian_log
from .search import least

NARROW, WIDE = 0.03, 40.0  # box widths searched, in standard deviations of the mass: below, no digit tells it from a Gaussian
SHARP = 1e-3  # the narrowest edge, in the same unit
RAISED_COSINE_VARIANCE = 1 / 3 - 2 / math.pi**2  # of half-width 1


def box_gaussian(weights: Weights) -> Parameters:
    """Least divergence of each axis; a width of zero, the Gaussian, where no box is better."""
    fitted = _each_axis(weights, _fit_box)
    return _named(weights, fitted, ("width", "sigma"), lambda width, sigma: math.sqrt(sigma**2 + width**2 / 12))


def raised_cosine(weights: Weights) -> Parameters:
    """Least total variation of each axis."""
    fitted = _each_axis(weights, _fit_raised_cosine)
    return _named(weights, fitted, ("half_width",), lambda half: half * math.sqrt(RAISED_COSINE_VARIANCE))


def box_gaussian_log(x: Array, mean: float, width: float, sigma: float) -> Array:
    """Logarithm of the difference of two error functions over the width; of the normal density where that is zero."""
    return gaussian_log(x, mean, sigma) if width == 0 else _box(x, mean, width, sigma)[0]


def raised_cosine_log(x: Array, mean: float, half_width: float) -> Array:
    """Logarithm of ``(1 + cos(pi x / s)) / (2 s)``, which is ``cos(pi x / 2s)^2 / s``; -inf beyond the half-width s."""
    z = (x - mean) / half_width
    logs = np.full(x.shape, -np.inf)
    inside = np.abs(z) < 1
    logs[inside] = 2 * np.log(np.cos(np.pi / 2 * z[inside])) - math.log(half_width)
    return logs


# ------------------------------------------------------------------------------------------------ fits


def _each_axis(weights: Weights, fit: Callable[[Array, float, float], Sequence[float]]) -> list[Sequence[float]]:
    """Mean and widths per axis; no widths where the mass has none."""
    axes = zip(weights.marginals, weights.mean, weights.std, strict=True)
    return [fit(marginal, mean, std) if std >= NARROWEST else (mean,) for marginal, mean, std in axes]


def _named(weights: Weights, fitted: list[Sequence[float]], names: Sequence[str], std: Callable[..., float]) -> Parameters:
    widths = [found[1:] or (math.nan,) * len(names) for found in fitted]
    out = {"mean": np.array([found[0] for found in fitted]), "std": np.array([std(*values) for values in widths])}
    return out | {name: np.array(values) for name, values in zip(names, zip(*widths, strict=True), strict=True)}


def _fit_box(marginal: Array, mean: float, std: float) -> tuple[float, float, float]:
    x = np.arange(len(marginal), dtype=np.float64) - mean
    held = marginal > 0
    entropy = -float((marginal[held] * np.log(marginal[held])).sum())

    def divergence(log_q: Array) -> tuple[float, float]:
        """That of the fits, and what the model sums to beyond 1."""
        beyond = max(0.0, float(np.exp(log_q).sum()) - 1)
        return beyond - entropy - float((marginal * log_q).sum()), beyond

    def objective(values: Array) -> tuple[float, Array]:
        width, sigma = std * math.exp(values[1]), std * math.exp(values[2])
        log_q, slopes = _box(x, values[0] * std, width, sigma)
        value, beyond = divergence(log_q)
        mass = marginal - np.exp(log_q) if beyond else marginal
        scales = std, width, sigma
        return value, np.array([-float((mass * slope).sum()) * scale for slope, scale in zip(slopes, scales, strict=True)])

    kurtosis = float((marginal * x**4).sum()) / std**4 - 3
    # of cumulants: the variance of a box is w^2 / 12, its fourth cumulant -w^4 / 120
    width = min(3.3, (-120 * kurtosis) ** 0.25) if kurtosis < 0 else 0.5
    start = [0.0, math.log(width), math.log(1 - width**2 / 12) / 2]
    limits = [(-8.0, 8.0), (math.log(NARROW), math.log(WIDE)), (math.log(SHARP), math.log(WIDE))]
    found, values = least(objective, np.array(start), limits)
    if found < divergence(gaussian_log(x, 0.0, std))[0]:
        return mean + std * float(values[0]), std * math.exp(values[1]), std * math.exp(values[2])
    return mean, 0.0, std


def _box(x: Array, mean: float, width: float, sigma: float) -> tuple[Array, tuple[Array, Array, Array]]:
    """Logarithm of the box convolved with a Gaussian, and its derivatives by mean, width and sigma.

    Both edges are taken to the side where the distribution function is small, so that the tails have all their digits.
    """
    from scipy.special import log_ndtr

    away = np.abs(x - mean)
    near, far = (width / 2 - away) / sigma, (-width / 2 - away) / sigma
    upper = log_ndtr(near)
    share = upper + np.log(-np.expm1(log_ndtr(far) - upper))
    at_near, at_far = (np.exp(np.square(z) / -2 - math.log(math.sqrt(2 * math.pi)) - share) for z in (near, far))
    by_mean = np.sign(x - mean) * (at_near - at_far) / sigma
    by_width = (at_near + at_far) / (2 * sigma) - 1 / width
    by_sigma = (far * at_far - near * at_near) / sigma
    return share - math.log(width), (by_mean, by_width, by_sigma)


def _fit_raised_cosine(marginal: Array, mean: float, std: float) -> tuple[float, float]:
    """By total variation: its divergence is infinite as soon as any mass lies beyond it, which says nothing about the rest."""
    from scipy.optimize import minimize

    x = np.arange(len(marginal), dtype=np.float64) - mean

    def variation(values: Array) -> float:
        q = np.exp(raised_cosine_log(x, values[0] * std, math.exp(values[1]) * std))
        return float(np.abs(marginal - q).sum() + max(0.0, 1 - q.sum())) / 2

    found = np.array([0.0, -math.log(RAISED_COSINE_VARIANCE) / 2])
    for reach in (0.1, 1e-3):  # once more from where the first simplex collapsed
        corners = found + reach * np.array([[0, 0], [1, 0], [0, 1]])
        options = {"xatol": 1e-11, "fatol": 1e-14, "initial_simplex": corners, "maxiter": 500}
        found = minimize(variation, found, method="Nelder-Mead", options=options).x
    return mean + std * float(found[0]), std * math.exp(found[1])
