"""How far a fitted model is from the mass; of two products from their factors, without forming either."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..measures import BLOCK, Array, Dense, Product
from .forms import Factors, Form, log_blocks


class Distances(NamedTuple):
    kl: float
    total_variation: float
    max_deviation: float
    log_likelihood: float


NOTHING = Distances(*(math.nan,) * 4)


class Information(NamedTuple):
    """Sums over the pixels where the model is positive."""

    covered: float  # mass
    divergence: float  # of p log(p/q)
    likelihood: float  # of p log(q)


def distances(weights: Dense | Product, form: Form, *, distribution: bool) -> Distances:
    """A model from the mass.

    Where a distribution has no density but there is mass, its divergence is infinite; what is none is compared where it is positive.
    """
    if isinstance(weights, Product) and isinstance(form, Factors):
        return _product_distances(weights, form, distribution)
    assert isinstance(weights, Dense)
    return _dense_distances(weights, form, distribution)


def _dense_distances(weights: Dense, form: Form, distribution: bool) -> Distances:
    """Block by block."""
    sums = [Information(0.0, 0.0, 0.0)]
    model, difference, deviation, peak = (0.0,) * 4
    total = weights.total
    for (_, block), log_q in zip(weights.blocks(), log_blocks(form, weights.shape), strict=True):
        p = block / total
        q = np.exp(log_q)
        apart = np.abs(p - q)
        sums.append(information(p, log_q, distribution))
        model, difference = model + float(q.sum()), difference + float(apart.sum())
        deviation, peak = max(deviation, float(apart.max())), max(peak, float(p.max()))
    whole = Information(*map(sum, zip(*sums, strict=True)))
    return _distances(whole, model, difference, deviation / peak)


def _product_distances(weights: Product, form: Factors, distribution: bool) -> Distances:
    """Two products, from their factors."""
    p, log_q = list(weights.marginals), form.logs
    q = [np.exp(a) for a in log_q]
    steps = [information(a, b, distribution) for a, b in zip(p, log_q, strict=True)]
    covered = math.prod(step.covered for step in steps)
    others = [math.prod(s.covered for s in steps[:axis] + steps[axis + 1 :]) for axis in range(len(steps))]
    sums = [sum(step[number] * other for step, other in zip(steps, others, strict=True)) for number in (1, 2)]
    model = math.prod(float(a.sum()) for a in q)
    peak = math.prod(float(a.max()) for a in p)
    return _distances(Information(covered, *sums), model, _sum_apart(p, q), _largest_apart(p, q) / peak)


def information(p: Array, log_q: Array, distribution: bool) -> Information:
    """Of one part of the image, or one factor."""
    log_q = np.broadcast_to(log_q, p.shape)
    held = (p > 0) & (log_q > -np.inf)
    p_held, log_q = p[held], log_q[held]
    covered, likelihood = float(p_held.sum()), float(p_held @ log_q)
    if distribution and np.count_nonzero(p) > len(p_held):
        return Information(covered, math.inf, -math.inf)
    return Information(covered, float(p_held @ (np.log(p_held) - log_q)), likelihood)


def _distances(sums: Information, model: float, difference: float, deviation: float) -> Distances:
    """What a model that need not sum to 1 has beyond the mass it covers counts against it (I-divergence)."""
    beyond = max(0.0, model - sums.covered)
    return Distances(sums.divergence + beyond, (difference + max(0.0, 1 - model)) / 2, deviation, sums.likelihood - beyond)


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
