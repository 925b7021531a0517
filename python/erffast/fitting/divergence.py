"""Least divergence of elliptical densities from an image, over their centre, scatter matrix and shape.

The criterion is the `kl` that a `Fit` reports: the sum of p log(p/q), whose least value is the maximum of the likelihood with the mass as
weights, plus what the model sums to beyond 1. That excess is zero for models wider than a pixel or two. Without it a narrow peak on a pixel
that holds a finite mass would be rewarded without end: a density has no upper limit, the mass of a pixel has. And the generalised Gaussian
fitted to a Laplace density with a scale of three pixels has its scatter matrix to one percent, where it was wrong by a quarter. (Its own
price: a cusp on a pixel is a little dearer than one between pixels. The search begins at the mean, where a symmetric image keeps it.)

Derivatives are by hand, in coordinates in which the mass has unit covariance. Those by the centre and the scatter matrix need
the first two moments of p and q weighted by the slope of the radial function only, so one pass over the image gives all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from ..measures import Array, Dense
from . import radial
from .forms import row_blocks, squared_radius
from .search import least

Family: TypeAlias = Callable[[Array, float, int], radial.Radial]

CUSP = 0.05  # logarithm of the shape up to which a generalised Gaussian is as good as cusped
AT_A_TIME = 1 << 14  # pixels: ten temporaries stay in the second level of the cache
REACH = 8.0  # how far the centre (in standard deviations) and the logarithms of widths may go from those of the mass


class Place(NamedTuple):
    """Where an elliptical model lies, and its shape."""

    kl: float
    mean: Array
    scatter: Array
    theta: float
    parameters: Array  # as the divergence takes them


class Divergence:
    """The divergence of a family from the mass of an image, and its gradient, as a function of its free parameters.

    The parameters are the centre, the entries of a triangular matrix (logarithms on its diagonal) that takes the mass's covariance to the
    precision, and theta where the family has a shape to be fitted.
    """

    def __init__(self, weights: Dense, covariance: Array, family: Family) -> None:
        self.shape, self.ndim = weights.shape, len(weights.shape)
        self.mass = weights.weigh(weights.values)
        self.mass /= weights.total
        self.mean = np.array(weights.mean)
        self.root = np.linalg.cholesky(covariance)
        self.family = family
        self.information = 0.0  # of the mass itself: sum of p log(p)
        for rows in row_blocks(self.shape, AT_A_TIME):
            held = self.mass[rows][self.mass[rows] > 0]
            self.information += float((held * np.log(held)).sum())
        self.lower = np.tril_indices(self.ndim)

    def start(self, scale: float = 1.0) -> Array:
        """The mass's own centre, and `scale` times its covariance as scatter matrix."""
        factor = np.eye(self.ndim)[self.lower] * (-0.5 * math.log(scale))
        return np.concatenate([np.zeros(self.ndim), factor])

    def _placed(self, parameters: Array) -> tuple[Array, Array]:
        """Centre, and the matrix whose square is the precision, of the first entries of `parameters`."""
        factor = np.zeros((self.ndim, self.ndim))
        factor[self.lower] = parameters[self.ndim : self.ndim + len(self.lower[0])]
        np.fill_diagonal(factor, np.exp(np.diag(factor)))
        inverse = np.linalg.inv(self.root)
        return self.mean + self.root @ parameters[: self.ndim], factor @ inverse

    def at(self, parameters: Array, theta: float) -> Place:
        mean, factor = self._placed(parameters)
        inverse = np.linalg.inv(factor)
        return Place(self(parameters, theta)[0], mean, inverse @ inverse.T, theta, parameters)

    def towards(self, pixel: Array) -> Array:
        """The parameters of a centre."""
        return np.linalg.solve(self.root, pixel - self.mean)

    def __call__(self, parameters: Array, theta: float) -> tuple[float, Array, float]:
        """Divergence, its gradient by `parameters`, and its derivative by `theta`."""
        mean, factor = self._placed(parameters)
        x = [np.arange(n, dtype=np.float64) - c for n, c in zip(self.shape, mean, strict=True)]
        precision, shift = factor.T @ factor, math.log(np.prod(np.diag(factor)))
        of_mass, of_model, likelihood = _Sums(self.ndim), _Sums(self.ndim), 0.0
        for rows in row_blocks(self.shape, AT_A_TIME):
            found = self.family(squared_radius(x, precision, rows), theta, self.ndim)
            log_q, p = found.log + shift, self.mass[rows]
            likelihood += float((p * log_q).sum())
            of_mass.add(p, found, x, rows)
            of_model.add(np.exp(log_q), found, x, rows)
        beyond = max(0.0, of_model.total - 1)
        change = of_mass.minus(of_model) if beyond else of_mass
        first, second = change.moments()
        by_place = 2 * self.root.T @ (precision @ first)
        by_factor = -2 * factor @ second @ np.linalg.inv(self.root).T
        scaled = np.diag(factor @ self.root)
        by_factor[np.diag_indices(self.ndim)] = np.diag(by_factor) * scaled - change.total
        gradient = np.concatenate([by_place, by_factor[self.lower]])
        return self.information - likelihood + beyond, gradient, -change.by_theta


class _Sums:
    """Sums over pixels weighted by a mass: of 1, of the derivative by theta, and the moments weighted by the slope."""

    def __init__(self, ndim: int) -> None:
        self.total, self.by_theta = 0.0, 0.0
        self.first, self.second = np.zeros(ndim), np.zeros((ndim, ndim))

    def add(self, mass: Array, found: radial.Radial, x: Sequence[Array], rows: slice) -> None:
        self.total += float(mass.sum())
        self.by_theta += float((mass * found.by_theta).sum())
        sloped, ndim = mass * found.slope, len(x)
        parts = [x[0][rows], *x[1:]]
        for i, part in enumerate(parts):
            line = sloped.sum(axis=tuple(a for a in range(ndim) if a != i))
            self.first[i] += (line * part).sum()
            self.second[i, i] += (line * np.square(part)).sum()
            for j in range(i):
                plane = sloped.sum(axis=tuple(a for a in range(ndim) if a not in (i, j)))  # [j, i]
                self.second[i, j] += ((plane * part).sum(axis=1) * parts[j]).sum()

    def minus(self, other: _Sums) -> _Sums:
        out = _Sums(len(self.first))
        out.total, out.by_theta = self.total - other.total, self.by_theta - other.by_theta
        out.first, out.second = self.first - other.first, self.second - other.second
        return out

    def moments(self) -> tuple[Array, Array]:
        return self.first, self.second + np.tril(self.second, -1).T


def placed(divergence: Divergence, start: Array, theta: float, limits: tuple[float, float] | None = None) -> Place:
    """The place and shape of least divergence found from a start; without limits the shape is held."""
    size, ndim = len(start), divergence.ndim

    def objective(values: Array) -> tuple[float, Array]:
        value, gradient, by_theta = divergence(values[:size], float(values[size]))
        return value, np.append(gradient, by_theta)

    def search(begin: Array, shape: float, centre: list[tuple[float, float]]) -> tuple[float, Array]:
        every = [*centre, *[(-REACH, REACH)] * (size - ndim), limits or (theta, theta)]
        return least(objective, np.append(begin, shape), every)

    value, found = search(start, theta, [(-REACH, REACH)] * ndim)
    if limits and found[size] > CUSP:
        return divergence.at(found[:size], float(found[size]))
    # A cusp has a kink wherever its centre meets a pixel, and there the least value may be, as at a median.
    pixel = divergence.towards(np.round(divergence.at(found[:size], float(found[size])).mean))
    other, pinned = search(np.append(pixel, found[ndim:size]), float(found[size]), [(v, v) for v in pixel])
    best = pinned if other < value else found
    return divergence.at(best[:size], float(best[size]))
