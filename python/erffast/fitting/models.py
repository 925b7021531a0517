"""The models by name: how each is fitted, and what it is once fitted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..measures import Array, Dense, Weights
from . import radial
from .elliptical import generalised_gaussian, laplace, student_t
from .forms import Ellipse, Factors, Form, inverse
from .moments import Parameters, edgeworth, edgeworth_log, gaussian, gaussian_log
from .separable import box_gaussian, box_gaussian_log, raised_cosine, raised_cosine_log


@dataclass(frozen=True)
class Separable:
    """A product of one density per axis; fitted from marginals and, in a Gaussian, the covariance."""

    fitted: Callable[[Weights], Parameters]
    log: Callable[..., Array]  # of positions and the named parameters of the axis
    names: tuple[str, ...]
    per_axis: int  # free parameters
    distribution: bool = True  # positive, with a finite integral

    def form(self, parameters: Parameters, shape: Sequence[int]) -> Form:
        covariance = parameters.get("covariance")
        if covariance is not None and np.count_nonzero(covariance) > len(shape):
            return Ellipse(parameters["mean"], inverse(covariance), lambda u: radial.gaussian(u, 0.0, len(shape)).log)
        columns = zip(shape, *(parameters[name] for name in self.names), strict=True)
        return Factors(tuple(self.log(np.arange(n, dtype=np.float64), *map(float, values)) for n, *values in columns))

    def free(self, ndim: int) -> int:
        return self.per_axis * ndim


class Gaussian(Separable):
    """A product where the axes are not correlated."""

    def free(self, ndim: int) -> int:
        return ndim + ndim * (ndim + 1) // 2


@dataclass(frozen=True)
class Elliptical:
    """A density of the Mahalanobis radius; fitted to an image."""

    fitted: Callable[[Dense], Parameters]
    family: Callable[[Array, float, int], radial.Radial]
    shape: str = ""  # the parameter whose logarithm the family takes
    distribution: bool = True

    def form(self, parameters: Parameters, shape: Sequence[int]) -> Form:
        theta = math.log(parameters[self.shape]) if self.shape else 0.0
        family = self.family if theta < math.inf else radial.gaussian  # Student's t of infinitely many degrees of freedom
        return Ellipse(parameters["mean"], inverse(parameters["scatter"]), lambda u: family(u, theta, len(shape)).log)

    def free(self, ndim: int) -> int:
        return ndim + ndim * (ndim + 1) // 2 + bool(self.shape)


MODELS: dict[str, Separable | Elliptical] = {
    "gaussian": Gaussian(gaussian, gaussian_log, ("mean", "std"), 2),
    "edgeworth": Separable(edgeworth, edgeworth_log, ("mean", "std", "kappa3", "kappa4"), 4, distribution=False),
    "generalised gaussian": Elliptical(generalised_gaussian, radial.generalised_gaussian, "shape"),
    "student-t": Elliptical(student_t, radial.student_t, "degrees"),
    "box gaussian": Separable(box_gaussian, box_gaussian_log, ("mean", "width", "sigma"), 3),
    "laplace": Elliptical(laplace, radial.generalised_gaussian),
    "raised cosine": Separable(raised_cosine, raised_cosine_log, ("mean", "half_width"), 2),
}
