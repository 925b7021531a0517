"""Recognising separable chains from their kernels: rank 1 to 4 eps, draw by draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .chain import Chain, Step, distinct

Array = NDArray[np.float64]
TOLERANCE = 4 * np.finfo(np.float64).eps  # what rounding a product of two factors can leave
REMEMBERED = 1024  # bytes of kernels whose factors are kept: 11 x 11 taps
FEW = 16  # of many kernels, looked at first: most chains that are not separable show it there


def rank_one(kernels: Array) -> tuple[Array, Array] | None:
    """Factors of matrices ``kernels[..., i, j] = rows[..., i] * columns[..., j]``, or None where one is no product.

    Of kernels without negative taps every tap has to agree to the tolerance, for their images are right pixel by pixel;
    of others, to the tolerance of the largest tap.

    Parameters
    ----------
    kernels : float64 [n, rows, columns]

    Returns
    -------
    rows, columns : float64 [n, rows], [n, columns]
    """
    if len(kernels) > 2 * FEW and _factored(kernels[:FEW], lenient=True) is None:
        return None
    return _factored(kernels)


def _factored(kernels: Array, *, lenient: bool = False) -> tuple[Array, Array] | None:
    """`rank_one`; `lenient`: by the tolerance of the largest tap, whatever the signs."""
    n, _, width = kernels.shape
    each = np.arange(n)
    pivot = np.abs(kernels).reshape(n, -1).argmax(axis=1)
    i, j = pivot // width, pivot % width
    peak = kernels[each, i, j]
    rows = kernels[each, :, j]
    columns = kernels[each, i, :] / peak[:, None]
    product = rows[:, :, None] * columns[:, None, :]
    with np.errstate(over="ignore"):  # too far apart for a number is too far apart
        apart = np.abs(kernels - product)
    if (apart > TOLERANCE * _scale(kernels, lenient=lenient)).any():
        return None
    return rows, columns


def _scale(kernels: Array, *, lenient: bool = False) -> Array:
    """What an error of a tap is measured by: the tap, or where there are negative ones the largest of its kernel."""
    if not lenient and kernels.min() >= 0:
        return kernels
    return np.asarray(np.abs(kernels).max(axis=tuple(range(1, kernels.ndim)), keepdims=True))


def factor_error(steps: Sequence[Step], factors: Sequence[tuple[Array, ...]]) -> float:
    """Relative error of a chain whose kernels are replaced by the products of their factors: the sum over its layers.

    Equal layers err in the same direction, so these errors do add up. Measured as in `rank_one`: a bound for each pixel of
    non-negative chains.
    """
    total = 0.0
    for step, axes in zip(steps, factors, strict=True):
        worst = deviations(step, axes)
        total += worst.item() * step.count if len(worst) == 1 else float(worst.sum())
    return total


def expected_deviation(steps: Sequence[Step], factors: Sequence[tuple[Array, ...]]) -> float:
    """What the deviations of the layers are expected to add up to: different kernels deviate at random, equal ones alike."""
    total = 0.0
    for step, axes in zip(steps, factors, strict=True):
        first, counts = distinct(step.kernels)
        times = counts if len(step.kernels) > 1 else step.count
        total += float(((deviations(step, axes)[first] * times) ** 2).sum())
    return math.sqrt(total)


def deviations(step: Step, axes: tuple[Array, ...]) -> Array:
    """Per kernel of a run, how far the product of its factors is from it at most (of all draws), measured as in `rank_one`."""
    if step.kernels.nbytes <= REMEMBERED:
        return _known_deviations(step.kernels.shape, step.kernels.tobytes(), tuple([factor.tobytes() for factor in axes]))
    return _deviations(step.kernels, axes)


def _deviations(every: Array, axes: tuple[Array, ...]) -> Array:
    kernels = every.reshape(-1, *every.shape[4:])
    product = np.ones(len(kernels), dtype=np.longdouble)
    for factor in axes:
        product = product[..., None] * factor.reshape(len(kernels), *(1,) * (product.ndim - 1), -1)
    scale = _scale(kernels)
    # the products' own rounding, where long double is no wider than double
    apart = np.abs(kernels - product) / np.where(scale > 0, scale, 1) + np.finfo(np.longdouble).eps
    return np.asarray(apart.reshape(*every.shape[:2], -1).max(axis=(1, 2)), dtype=np.float64)


def axis_kernels(step: Step) -> tuple[Array, ...] | None:
    """Per axis, the 1-D kernels [n_kernels, tap_draws, taps] of a step, or None where it is not separable."""
    if step.gate is not None or step.kernels.shape[2:4] != (1, 1):
        return None
    if step.kernels.nbytes <= REMEMBERED:
        return _known_factors(step.kernels.shape, step.kernels.tobytes())
    return _factors(step.kernels)


def _factors(kernels: Array) -> tuple[Array, ...] | None:
    lead, sides = kernels.shape[:2], kernels.shape[4:]
    rest = kernels.reshape(-1, *sides)
    factors = []
    for axis in range(len(sides) - 1):
        split = rank_one(rest.reshape(len(rest), sides[axis], -1))
        if split is None:
            return None
        factors.append(split[0].reshape(*lead, -1))
        rest = split[1].reshape(len(rest), *sides[axis + 1 :])
    factors.append(rest.reshape(*lead, -1))
    return tuple(factors)


# The same few small kernels are met in layer after layer and call after call: their factors are found once.


@lru_cache(maxsize=64)
def _known_factors(shape: tuple[int, ...], taps: bytes) -> tuple[Array, ...] | None:
    found = _factors(np.frombuffer(taps).reshape(shape))
    for factor in found or ():
        factor.flags.writeable = False
    return found


@lru_cache(maxsize=64)
def _known_deviations(shape: tuple[int, ...], taps: bytes, axes: tuple[bytes, ...]) -> Array:
    return _deviations(np.frombuffer(taps).reshape(shape), tuple(np.frombuffer(factor) for factor in axes))


def separate(chain: Chain) -> list[tuple[Array, ...]] | str:
    """The 1-D kernels of every step, or the label of the first step that is not separable."""
    found = []
    for step in chain.steps:
        factors = axis_kernels(step)
        if factors is None:
            return step.label
        found.append(factors)
    return found
