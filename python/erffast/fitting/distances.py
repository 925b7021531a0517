"""How far a fitted model is from the mass; of two products from their factors, without forming either."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..measures import BLOCK, Array, Dense, Product, Weights
from .moments import Parameters, centred, edgeworth_log, gaussian_log

Distances: TypeAlias = tuple[float, float, float]


def _axis_logs(weights: Weights, parameters: Parameters) -> list[Array]:
    """Per axis, the logarithm of a product model at every pixel."""
    columns = zip(weights.shape, *(parameters[name] for name in ("mean", "std", "kappa3", "kappa4") if name in parameters), strict=True)
    form = edgeworth_log if "kappa3" in parameters else gaussian_log
    logs: list[Array] = [form(np.arange(n, dtype=np.float64), *map(float, values)) for n, *values in columns]
    return logs


def dense_distances(weights: Dense, parameters: Parameters) -> Distances:
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


def product_distances(weights: Product, parameters: Parameters) -> Distances:
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
    x = centred(weights)
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
