"""A model fitted to each image, with its distances and its values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _validate as check
from .._pixels import require_memory
from ..measures import Array, Dense, Product, Weights
from .cores import core
from .distances import NOTHING, Distances, distances
from .forms import log_blocks, row_blocks
from .models import MODELS, Elliptical
from .moments import Parameters, is_flat

if TYPE_CHECKING:
    from ..result import ERF


@dataclass(frozen=True, eq=False)
class Fit:
    """A model fitted to the mass of an ERF, and how far it is from it.

    Every number is a float and every parameter an array; where the image has draws, all are arrays with a leading draws axis. NaN
    where an image is zero or has no width in some direction that the model has; all but "gaussian" and "edgeworth" want a hundredth of a
    pixel.

    A model's value at a pixel is its density at the pixel's centre. Models with a sharp feature narrower than a pixel or two can sum to
    more than 1 over the pixels; the excess counts against them.

    Attributes
    ----------
    model : str
        One of those of `ERF.fit`.
    parameters : dict of str to ndarray
        ``mean`` (the centre, input coordinates) and ``std``, the model's own, [ndim] each, and further

        - "gaussian": ``covariance`` [ndim, ndim]
        - "edgeworth": the cumulants ``kappa3`` and ``kappa4`` [ndim] of the marginals
        - "generalised gaussian", ``exp(-r^b)`` with ``r^2 = (x - mean)^T scatter^-1 (x - mean)``: ``scatter`` [ndim, ndim], and the
          ``shape`` b: 2 is a Gaussian, 1 a Laplace density, more is flatter on top
        - "laplace", ``exp(-r)``: ``scatter``
        - "student-t", ``(1 + r^2 / nu)^(-(nu + ndim) / 2)``: ``scatter``, and the ``degrees`` nu of freedom, inf for the Gaussian; its
          ``std`` is inf up to 2
        - "box gaussian": ``width`` of the box and ``sigma`` of the Gaussian that it is convolved with, [ndim] each
        - "raised cosine", ``(1 + cos(pi (x - mean) / s)) / (2 s)`` along each axis: ``half_width`` s [ndim]
    free_parameters : int
        How many numbers were fitted.
    kl : float
        Kullback-Leibler divergence of the model from the mass, in nats: sum of ``p log(p / q)``, and what q sums to beyond the mass it
        covers (I-divergence). inf where there is mass and no density. An Edgeworth series is no distribution: far out it turns negative,
        over pixels that hold next to nothing, and those are left out.
    total_variation : float
        Half the sum of absolute differences, the model's share outside the window included; negative model values count as 0.
    max_deviation : float
        Largest absolute difference at a pixel, as a share of the largest mass at a pixel.
    log_likelihood : float
        Per unit of mass, in nats: sum of ``p log q``, less the same excess as in `kl`. Where the model is positive
        wherever there is mass, `kl` plus this is the sum of ``p log p``, whatever the model.
    """

    model: str
    parameters: dict[str, NDArray[Any]]
    free_parameters: int
    kl: Any
    total_variation: Any
    max_deviation: Any
    log_likelihood: Any

    def image_on(self, erf: ERF) -> NDArray[np.float64]:
        """The model's share of the mass at every pixel of an ERF, to be set beside ``erf.image / erf.image.sum()``.

        Parameters
        ----------
        erf : ERF
            Of as many axes; its window and position are taken, and nothing else.

        Returns
        -------
        ndarray
            [*shape] of the window, with a leading draws axis where this fit has one: densities at the centres of pixels. Negative
            values of an Edgeworth series count as 0. NaN where the fit is.

        Raises
        ------
        ValueError
            Where the ERF has another number of axes.
        MemoryError
            Before allocating, where the window is too large.
        """
        ndim = self.parameters["mean"].shape[-1]
        if erf.ndim != ndim:
            raise ValueError(f"erf must have {ndim} axes, as what the model was fitted to, got one with {erf.ndim}")
        draws = self.parameters["mean"].shape[:-1]
        require_memory(8 * (1 + math.prod(draws)) * math.prod(erf.shape), "the image of a model", "a smaller window= needs less")
        out = np.empty((*draws, *erf.shape))
        for draw in np.ndindex(draws):
            own = {name: values[draw] for name, values in self.parameters.items()}
            own["mean"] = own["mean"] - np.asarray(erf.origin)
            np.exp(log_values(self.model, own, erf.shape), out=out[draw])
        return out


def log_values(model: str, parameters: Parameters, shape: Sequence[int]) -> Array:
    """The logarithm of a model at every pixel, `parameters` in indices; NaN where it has no width."""
    values = np.full(tuple(shape), np.nan)
    if _defined(parameters):
        form = MODELS[model].form(parameters, shape)
        for rows, log_q in zip(row_blocks(shape), log_blocks(form, shape), strict=True):
            values[rows] = log_q
    return values


def fit(images: Sequence[Weights], models: Sequence[str], origin: Sequence[int]) -> list[list[Fit]]:
    """Each model fitted to each image; the mean is moved by `origin` into input coordinates."""
    return [[fit_one(weights, name, origin) for weights in images] for name in names_of(models)]


def names_of(models: Sequence[str]) -> list[str]:
    """The models asked for, checked."""
    if isinstance(models, str):
        raise TypeError(f"models must be a sequence of names such as ({models!r},), got the text {models!r}")
    return [check.choice(name, "models", MODELS) for name in models]


def stacked(fits: Sequence[Fit]) -> Fit:
    """The fits of one model to several draws as one, with a leading draws axis."""
    numbers = {name: np.array([getattr(f, name) for f in fits]) for name in Distances._fields}
    parameters = {name: np.stack([f.parameters[name] for f in fits]) for name in fits[0].parameters}
    return Fit(fits[0].model, parameters, fits[0].free_parameters, **numbers)


def fit_one(weights: Weights, name: str, origin: Sequence[int]) -> Fit:
    """One model fitted to one image."""
    model = MODELS[name]
    whole, first = weights, (0,) * len(weights.shape)
    if isinstance(model, Elliptical):
        whole, first = core(weights)
        parameters = model.fitted(whole)
    else:
        parameters = model.fitted(weights)
    assert isinstance(whole, Dense | Product)
    found = NOTHING
    if _defined(parameters):
        found = distances(whole, model.form(parameters, whole.shape), distribution=model.distribution)
    parameters["mean"] = parameters["mean"] + np.asarray(first) + np.asarray(origin)
    return Fit(name, parameters, model.free(len(weights.shape)), *found)


def _defined(parameters: Parameters) -> bool:
    """Whether the model has a width in every direction."""
    known = not any(np.isnan(values).any() for values in parameters.values())
    return known and bool((parameters["std"] > 0).all()) and not is_flat(parameters.get("covariance", np.eye(1)))
