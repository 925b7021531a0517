"""Models fitted to the weights of an ERF: the Gaussian, and its Edgeworth correction.

A model's value at a pixel is its density at the pixel's centre, times one pixel: what theory means by "the image is close to a
Gaussian". Models of a product of profiles are products too, and every distance is then had without forming either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import _validate as check
from .measures import BLOCK, Array, Dense, Product, Weights

Distances: TypeAlias = tuple[float, float, float]
Parameters: TypeAlias = dict[str, Array]


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
            distances = _product_distances(weights, parameters)
        elif isinstance(weights, Dense):
            distances = _dense_distances(weights, parameters)
    parameters["mean"] = parameters["mean"] + np.asarray(origin)
    return Fit(name, parameters, *distances)


# ------------------------------------------------------------------------------------------------ parameters


def _gaussian(weights: Weights) -> Parameters:
    """Maximum likelihood: the mean and covariance of the mass."""
    covariance = np.diag(np.square(weights.std))
    if isinstance(weights, Dense) and len(weights.shape) > 1 and weights.peak > 0:
        covariance += _cross_moments(weights)
    return {"mean": np.array(weights.mean), "std": np.array(weights.std), "covariance": covariance}


def _edgeworth(weights: Weights) -> Parameters:
    """Moments and the third and fourth cumulant of each marginal."""
    third, fourth = [], []
    for m, mean, std in zip(weights.marginals, weights.mean, weights.std, strict=True):
        x = np.arange(len(m)) - mean
        third.append(m @ x**3)
        fourth.append(m @ x**4 - 3 * std**4)
    return {"mean": np.array(weights.mean), "std": np.array(weights.std), "kappa3": np.array(third), "kappa4": np.array(fourth)}


MODELS: dict[str, Callable[[Weights], Parameters]] = {"gaussian": _gaussian, "edgeworth": _edgeworth}


def _centred(weights: Weights) -> list[Array]:
    """Per axis, the pixels' distances from the mean."""
    return [np.arange(n, dtype=np.float64) - c for n, c in zip(weights.shape, weights.mean, strict=True)]


def _flat(parameters: dict[str, Array]) -> bool:
    """Whether the mass lies on a line or plane: then a Gaussian has no density."""
    covariance = parameters.get("covariance")
    return covariance is not None and not np.linalg.det(covariance) > 1e-12 * np.prod(np.diag(covariance))


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


def _axis_logs(weights: Weights, parameters: Parameters) -> list[Array]:
    """Per axis, the logarithm of a product model at every pixel."""
    columns = zip(weights.shape, *(parameters[name] for name in ("mean", "std", "kappa3", "kappa4") if name in parameters), strict=True)
    form = edgeworth_log if "kappa3" in parameters else gaussian_log
    logs: list[Array] = [form(np.arange(n, dtype=np.float64), *map(float, values)) for n, *values in columns]
    return logs


# ------------------------------------------------------------------------------------------------ distances


def _dense_distances(weights: Dense, parameters: Parameters) -> Distances:
    """kl, total variation and largest deviation, block by block."""
    covered, model, information, difference, deviation, peak = (0.0,) * 6
    total = weights.total
    for (_, block), log_q in zip(weights.blocks(), _log_blocks(weights, parameters), strict=True):
        p = block / total
        q = np.exp(log_q)
        apart = np.abs(p - q)
        step = _information(p, log_q)
        covered, information = covered + step[0], information + step[1]
        model, difference = model + float(q.sum()), difference + float(apart.sum())
        deviation, peak = max(deviation, float(apart.max())), max(peak, float(p.max()))
    return _divergence(information, covered, model), (difference + max(0.0, 1 - model)) / 2, deviation / peak


def _product_distances(weights: Product, parameters: Parameters) -> Distances:
    """kl, total variation and largest deviation of two products, from their factors."""
    p, log_q = list(weights.marginals), _axis_logs(weights, parameters)
    q = [np.exp(a) for a in log_q]
    steps = [_information(a, b) for a, b in zip(p, log_q, strict=True)]
    covered = math.prod(c for c, _ in steps)
    information = sum(i * math.prod(c for c, _ in steps[:axis] + steps[axis + 1 :]) for axis, (_, i) in enumerate(steps))
    model = math.prod(float(a.sum()) for a in q)
    peak = math.prod(float(a.max()) for a in p)
    return _divergence(information, covered, model), (_sum_apart(p, q) + max(0.0, 1 - model)) / 2, _largest_apart(p, q) / peak


def _information(p: Array, log_q: Array) -> tuple[float, float]:
    """Over the pixels where the model is positive: the mass, and the sum of p log(p/q)."""
    held = (p > 0) & (log_q > -np.inf)
    p, log_q = p[held], np.broadcast_to(log_q, held.shape)[held]
    return float(p.sum()), float(p @ (np.log(p) - log_q))


def _divergence(information: float, covered: float, model: float) -> float:
    """The divergence of a model that need not sum to 1: what it has beyond the mass it covers is added (I-divergence)."""
    return information + max(0.0, model - covered)


def _log_blocks(weights: Dense, parameters: Parameters) -> Iterator[Array]:
    """The logarithm of the model on each of the weights' blocks."""
    ndim = len(weights.shape)
    x = _centred(weights)
    couplings: Array = np.zeros((ndim, ndim))
    if "covariance" in parameters:
        couplings = np.asarray(np.linalg.inv(parameters["covariance"]), dtype=np.float64)
        axes: list[Any] = [-0.5 * couplings[i, i] * np.square(x[i]) for i in range(ndim)]
        axes[0] -= 0.5 * float(np.linalg.slogdet(2 * math.pi * parameters["covariance"])[1])
    else:
        axes = _axis_logs(weights, parameters)
    for start, block in weights.blocks():
        rows = slice(start, start + len(block))
        log_q: Any = np.zeros((1,) * ndim)
        for i in range(ndim):
            log_q = log_q + _along(axes[i], i, ndim, rows)
            for j in range(i):
                if couplings[i, j]:
                    log_q = log_q - couplings[i, j] * _along(x[i], i, ndim, rows) * _along(x[j], j, ndim, rows)
        yield log_q


def _along(values: Array, axis: int, ndim: int, rows: slice) -> Array:
    """An array over one axis laid along it; of the first axis only `rows`."""
    return (values[rows] if axis == 0 else values).reshape([-1 if a == axis else 1 for a in range(ndim)])


def _sum_apart(p: Sequence[Array], q: Sequence[Array]) -> float:
    """Sum of |product of p - product of q| over all pixels.

    In one row the sign of ``p_y p_x - q_y q_x`` depends on whether ``p_x / q_x`` is above ``q_y / p_y``: with the columns sorted
    by that ratio, a row costs one search in cumulated sums.
    """
    (p_rows, q_rows), (p_columns, q_columns) = _two_factors(p, q)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where(q_columns > 0, p_columns / q_columns, np.inf)
        turning = np.where(p_rows > 0, q_rows / p_rows, np.inf)
    order = np.argsort(ratio)
    below = np.searchsorted(ratio[order], turning, side="right")
    p_sums, q_sums = (np.concatenate([[0.0], np.cumsum(c[order])]) for c in (p_columns, q_columns))
    return float(np.abs(p_rows * (p_sums[-1] - 2 * p_sums[below]) - q_rows * (q_sums[-1] - 2 * q_sums[below])).sum())


def _two_factors(p: Sequence[Array], q: Sequence[Array]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Two products as products of two factors each: one axis gets a factor of ones, three axes are folded."""
    order = sorted(range(len(p)), key=lambda axis: len(p[axis]))
    rows = np.ones(1), np.ones(1)
    for a, b in ((p[axis], q[axis]) for axis in order[:-1]):
        held = (a > 1e-20 * a.max()) | (b > 1e-20 * b.max())  # the rest changes no sum in double precision
        rows = _multiplied(rows, (a[held], b[held]))
    return rows, (p[order[-1]], q[order[-1]])


def _largest_apart(p: Sequence[Array], q: Sequence[Array]) -> float:
    """Largest |product of p - product of q| at a pixel.

    With the other axes fixed, the difference is linear in one axis' pair (p, q); so its largest size is reached at a corner of
    the convex hull of that axis' pairs, and only corners are multiplied out. The lines through the peak give a lower bound
    first: entries that stay below it whatever they are multiplied with are left out before.
    """
    tops = [(float(a.max()), float(b.max())) for a, b in zip(p, q, strict=True)]
    best = _largest_on_lines(p, q)
    rows = np.ones(1), np.ones(1)
    for axis, (a, b) in enumerate(zip(p, q, strict=True)):
        rest = _product_of(tops[:axis] + tops[axis + 1 :])
        reaching = np.maximum(a * rest[0], b * rest[1]) >= best * (1 - 1e-12)  # another order may round below the best
        corners = _hull(a[reaching], b[reaching])
        if axis < len(p) - 1:
            rows = _multiplied(rows, corners)
    step = max(1, BLOCK // len(corners[0]))
    for start in range(0, len(rows[0]), step):
        products = _multiplied((rows[0][start : start + step], rows[1][start : start + step]), corners)
        best = max(best, float(np.abs(products[0] - products[1]).max()))
    return best


def _hull(p: Array, q: Array) -> tuple[Array, Array]:
    """The corners of the convex hull of the points (p, q), by Andrew's monotone chain."""
    order = np.lexsort((q, p))
    points = list(zip(p[order].tolist(), q[order].tolist(), strict=True))
    corners: list[tuple[float, float]] = []
    for half in (points, points[::-1]):
        chain: list[tuple[float, float]] = []
        for x, y in half:
            while len(chain) > 1:
                (x0, y0), (x1, y1) = chain[-2:]
                if (x1 - x0) * (y - y0) > (y1 - y0) * (x - x0):
                    break
                chain.pop()
            chain.append((x, y))
        corners += chain
    return np.array([x for x, _ in corners]), np.array([y for _, y in corners])


def _largest_on_lines(p: Sequence[Array], q: Sequence[Array]) -> float:
    """Largest |product of p - product of q| on the lines along the axes through the peak of p."""
    peak = [(float(a.max()), float(b[a.argmax()])) for a, b in zip(p, q, strict=True)]
    best = 0.0
    for axis, (a, b) in enumerate(zip(p, q, strict=True)):
        rest = _product_of(peak[:axis] + peak[axis + 1 :])
        best = max(best, float(np.abs(a * rest[0] - b * rest[1]).max()))
    return best


def _product_of(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return math.prod(a for a, _ in pairs), math.prod(b for _, b in pairs)


def _multiplied(rows: tuple[Array, Array], columns: tuple[Array, Array]) -> tuple[Array, Array]:
    """All products of rows and columns, flat, for both models."""
    return np.outer(rows[0], columns[0]).ravel(), np.outer(rows[1], columns[1]).ravel()
