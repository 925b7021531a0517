"""Densities of the radius: what elliptical models look like along a line from their centre.

Each takes squared Mahalanobis radii u, one parameter theta (the logarithm of the shape, which may take any value) and the number of
axes d. It returns the logarithm of the density of a unit scatter matrix, its derivative by u, and that by theta.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..measures import Array

TINY = 1e-300  # a squared radius of zero: the slope of a cusp is infinite there, its product with the distance zero
HUGE = 300.0  # logarithm beyond which a power is not followed: the density is zero long before


class Radial(NamedTuple):
    log: Array
    slope: Array  # by the squared radius
    by_theta: Array


def generalised_gaussian(u: Array, theta: float, ndim: int) -> Radial:
    """``exp(-u^(b/2))`` with ``b = exp(theta)``, over its integral ``pi^(d/2) Gamma(d/b + 1) / Gamma(d/2 + 1)``."""
    from scipy.special import digamma, gammaln

    b = math.exp(theta)
    u = np.maximum(u, TINY)
    logs = b / 2 * np.log(u)
    power = np.exp(np.minimum(logs, HUGE))
    constant = gammaln(ndim / 2 + 1) - ndim / 2 * math.log(math.pi) - gammaln(ndim / b + 1)
    return Radial(constant - power, -b / 2 * power / u, ndim / b * digamma(ndim / b + 1) - power * logs)


def generalised_gaussian_spread(b: float, ndim: int) -> float:
    """Covariance over scatter matrix: ``Gamma((d + 2) / b) / (d Gamma(d / b))``."""
    return math.exp(math.lgamma((ndim + 2) / b) - math.lgamma(ndim / b)) / ndim


def student_t(u: Array, theta: float, ndim: int) -> Radial:
    """``(1 + u / nu)^(-(nu + d) / 2)`` with ``nu = exp(theta)`` degrees of freedom, over its integral."""
    from scipy.special import digamma, gammaln

    nu = math.exp(theta)
    half = (nu + ndim) / 2
    constant = gammaln(half) - gammaln(nu / 2) - ndim / 2 * math.log(nu * math.pi)
    logs = np.log1p(u / nu)
    change = nu / 2 * (digamma(half) - digamma(nu / 2)) - ndim / 2
    return Radial(constant - half * logs, -half / (nu + u), change - nu / 2 * logs + half * u / (nu + u))


def student_t_spread(nu: float) -> float:
    """Covariance over scatter matrix: ``nu / (nu - 2)``; infinite up to two degrees of freedom."""
    return 1.0 if nu == math.inf else nu / (nu - 2) if nu > 2 else math.inf


def gaussian(u: Array, theta: float, ndim: int) -> Radial:
    """``exp(-u/2)``, which has no shape to be fitted."""
    return Radial(u / -2 - ndim / 2 * math.log(2 * math.pi), np.full_like(u, -0.5), np.zeros_like(u))
