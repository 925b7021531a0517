"""Elliptical models, fitted by least divergence: the generalised Gaussian, the Laplace density, Student's t."""

from __future__ import annotations

import math

import numpy as np

from ..measures import Array, Dense
from . import radial
from .divergence import Divergence, Place, placed
from .moments import NARROWEST, Parameters, covariance_of, is_flat

SHAPES = math.log(0.1), math.log(50.0)  # of the generalised Gaussian: from a needle to a plateau
DEGREES = math.log(0.05), math.log(1e4)  # of Student's t: at the upper end it is a Gaussian to 1e-8 nats


def generalised_gaussian(weights: Dense) -> Parameters:
    """The Gaussian and the Laplace density are two of its shapes: the search begins at both, and is content with them."""
    covariance = covariance_of(weights)
    if _is_thin(covariance):
        return _nothing(weights, "shape")
    divergence = Divergence(weights, covariance, radial.generalised_gaussian)
    known = divergence.at(divergence.start(2.0), math.log(2.0)), _laplace(divergence)
    best = _best(*known, *(placed(divergence, place.parameters, place.theta, SHAPES) for place in known))
    b = math.exp(best.theta)
    return _parameters(best, radial.generalised_gaussian_spread(b, divergence.ndim)) | {"shape": np.array(b)}


def laplace(weights: Dense) -> Parameters:
    """``exp(-r)``, the generalised Gaussian of shape 1."""
    covariance = covariance_of(weights)
    if _is_thin(covariance):
        return _nothing(weights)
    place = _laplace(Divergence(weights, covariance, radial.generalised_gaussian))
    return _parameters(place, radial.generalised_gaussian_spread(1.0, len(weights.shape)))


def _laplace(divergence: Divergence) -> Place:
    spread = radial.generalised_gaussian_spread(1.0, divergence.ndim)
    return placed(divergence, divergence.start(1 / spread), 0.0)


def student_t(weights: Dense) -> Parameters:
    """Its limit of infinitely many degrees of freedom, the Gaussian, where no finite number is better."""
    covariance = covariance_of(weights)
    if _is_thin(covariance):
        return _nothing(weights, "degrees")
    divergence = Divergence(weights, covariance, radial.student_t)
    limit = Divergence(weights, covariance, radial.gaussian)
    # 8 degrees of freedom are a start from which both ends have been reached
    best = _best(limit.at(limit.start(), math.inf), placed(divergence, divergence.start(0.75), math.log(8.0), DEGREES))
    nu = math.exp(best.theta)
    return _parameters(best, radial.student_t_spread(nu)) | {"degrees": np.array(nu)}


def _best(*places: Place) -> Place:
    """The least divergence; the first where two are equal."""
    return min(places, key=lambda place: place.kl)


def _parameters(place: Place, spread: float) -> Parameters:
    return {"mean": place.mean, "std": np.sqrt(np.diag(place.scatter) * spread), "scatter": place.scatter}


def _is_thin(covariance: Array) -> bool:
    return is_flat(covariance) or bool(np.diag(covariance).min() < NARROWEST**2)


def _nothing(weights: Dense, *names: str) -> Parameters:
    """For a mass without width in some direction."""
    ndim = len(weights.shape)
    known = {"mean": np.array(weights.mean), "std": np.array(weights.std), "scatter": np.full((ndim, ndim), math.nan)}
    return known | {name: np.array(math.nan) for name in names}
