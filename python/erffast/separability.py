"""Recognising separable chains from their kernels: rank 1 to 4 eps, draw by draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .chain import Chain, Step

Array = NDArray[np.float64]
TOLERANCE = 4 * np.finfo(np.float64).eps  # of the largest tap: what rounding a product of two factors can leave


def rank_one(kernels: Array) -> tuple[Array, Array] | None:
    """Factors of matrices ``kernels[..., i, j] = rows[..., i] * columns[..., j]``, or None where one is no product.

    Parameters
    ----------
    kernels : float64 [n, rows, columns]

    Returns
    -------
    rows, columns : float64 [n, rows], [n, columns]
    """
    n, _, width = kernels.shape
    each = np.arange(n)
    pivot = np.abs(kernels).reshape(n, -1).argmax(axis=1)
    i, j = pivot // width, pivot % width
    peak = kernels[each, i, j]
    rows = kernels[each, :, j]
    columns = kernels[each, i, :] / peak[:, None]
    product = rows[:, :, None] * columns[:, None, :]
    if (np.abs(kernels - product).max(axis=(1, 2)) > TOLERANCE * np.abs(peak)).any():
        return None
    return rows, columns


def axis_kernels(step: Step) -> tuple[Array, ...] | None:
    """Per axis, the 1-D kernels [n_kernels, tap_draws, taps] of a step, or None where it is not separable."""
    if step.gate is not None or step.kernels.shape[2:4] != (1, 1):
        return None
    lead, sides = step.kernels.shape[:2], step.kernel
    rest = step.kernels.reshape(-1, *sides)
    factors = []
    for axis in range(len(sides) - 1):
        split = rank_one(rest.reshape(len(rest), sides[axis], -1))
        if split is None:
            return None
        factors.append(split[0].reshape(*lead, -1))
        rest = split[1].reshape(len(rest), *sides[axis + 1 :])
    factors.append(rest.reshape(*lead, -1))
    return tuple(factors)


def separate(chain: Chain) -> list[tuple[Array, ...]] | str:
    """The 1-D kernels of every step, or the label of the first step that is not separable."""
    found = []
    for step in chain.steps:
        factors = axis_kernels(step)
        if factors is None:
            return step.label
        found.append(factors)
    return found
