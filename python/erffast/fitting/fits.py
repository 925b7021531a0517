"""A model fitted to each image, with its distances."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _validate as check
from ..measures import Dense, Product, Weights
from .distances import Distances, dense_distances, product_distances
from .moments import Parameters, edgeworth, gaussian

MODELS: dict[str, Callable[[Weights], Parameters]] = {"gaussian": gaussian, "edgeworth": edgeworth}


@dataclass(frozen=True, eq=False)
class Fit:
    """A model fitted to the mass of an ERF, and how far it is from it.

    Every number is a float (parameters: arrays with one entry per axis); where the image has draws, an array with a leading
    draws axis. NaN where an image is zero or has no width in some axis.

    Attributes
    ----------
    model : str
        "gaussian" or "edgeworth".
    parameters : dict of str to ndarray
        ``mean`` [ndim] (input coordinates), ``std`` [ndim]; for "gaussian" also ``covariance`` [ndim, ndim], for "edgeworth"
        also the cumulants ``kappa3`` and ``kappa4`` [ndim] of the marginals.
    kl : float
        Kullback-Leibler divergence of the model from the mass, in nats, over the pixels where the model is positive. An
        Edgeworth series is no distribution: far out it turns negative, over pixels that hold next to nothing.
    total_variation : float
        Half the sum of absolute differences, the model's share outside the window included; negative model values count as 0.
    max_deviation : float
        Largest absolute difference at a pixel, as a share of the largest mass at a pixel.
    """

    model: str
    parameters: dict[str, NDArray[Any]]
    kl: Any
    total_variation: Any
    max_deviation: Any


def fit(images: Sequence[Weights], models: Sequence[str], origin: Sequence[int]) -> list[list[Fit]]:
    """Each model fitted to each image; the mean is moved by `origin` into input coordinates."""
    if isinstance(models, str):
        raise TypeError(f"models must be a sequence of names such as ({models!r},), got the text {models!r}")
    names = [check.choice(name, "models", MODELS) for name in models]
    return [[_fit_one(weights, name, origin) for weights in images] for name in names]


def stacked(fits: Sequence[Fit]) -> Fit:
    """The fits of one model to several draws as one, with a leading draws axis."""
    numbers = {name: np.array([getattr(f, name) for f in fits]) for name in ("kl", "total_variation", "max_deviation")}
    parameters = {name: np.stack([f.parameters[name] for f in fits]) for name in fits[0].parameters}
    return Fit(fits[0].model, parameters, **numbers)


def _fit_one(weights: Weights, name: str, origin: Sequence[int]) -> Fit:
    parameters = MODELS[name](weights)
    distances: Distances = (math.nan,) * 3
    if all(s > 0 for s in weights.std) and not _flat(parameters):
        if isinstance(weights, Product):
            distances = product_distances(weights, parameters)
        elif isinstance(weights, Dense):
            distances = dense_distances(weights, parameters)
    parameters["mean"] = parameters["mean"] + np.asarray(origin)
    return Fit(name, parameters, *distances)


def _flat(parameters: Parameters) -> bool:
    """Whether the mass lies on a line or plane: then a Gaussian has no density."""
    covariance = parameters.get("covariance")
    return covariance is not None and not np.linalg.det(covariance) > 1e-12 * np.prod(np.diag(covariance))
