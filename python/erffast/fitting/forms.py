"""What a model is once its parameters are known: a product of factors, or a function of the radius of ellipses.

Positions are indices of pixels. A model's value at a pixel is its density at the pixel's centre, times one pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..measures import BLOCK, Array


@dataclass(frozen=True)
class Factors:
    """A product of one density per axis: its logarithm at every pixel of the axis, each [length]."""

    logs: tuple[Array, ...]


@dataclass(frozen=True)
class Ellipse:
    """A density that is constant on ellipses around `mean` [ndim].

    `radial` gives its logarithm from ``(x - mean)^T precision (x - mean)``, for a unit `precision` [ndim, ndim].
    """

    mean: Array
    precision: Array
    radial: Callable[[Array], Array]


Form: TypeAlias = Factors | Ellipse


def log_blocks(form: Form, shape: Sequence[int]) -> Iterator[Array]:
    """The logarithm of the model on blocks of whole rows, the rows of `Dense.blocks`; it may lack axes it does not depend on."""
    if isinstance(form, Factors):
        for rows in row_blocks(shape):
            log_q: Any = 0.0
            for axis, logs in enumerate(form.logs):
                log_q = log_q + along(logs, axis, len(shape), rows)
            yield log_q
        return
    x = [np.arange(n, dtype=np.float64) - c for n, c in zip(shape, form.mean, strict=True)]
    shift = 0.5 * float(np.linalg.slogdet(form.precision)[1])
    for rows in row_blocks(shape):
        yield form.radial(squared_radius(x, form.precision, rows)) + shift


def row_blocks(shape: Sequence[int], pixels: int = BLOCK) -> Iterator[slice]:
    """Blocks of whole rows, of so many pixels each."""
    step = max(1, pixels * shape[0] // max(int(np.prod(shape)), 1))
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))


def squared_radius(x: Sequence[Array], precision: Array, rows: slice) -> Array:
    """``x^T precision x`` at the pixels of some rows; `x` are the distances from the mean along each axis."""
    ndim = len(x)
    out: Any = 0.0
    for i in range(ndim):
        out = out + along(precision[i, i] * np.square(x[i]), i, ndim, rows)
        for j in range(i):
            if precision[i, j]:
                out = out + along(2 * precision[i, j] * x[i], i, ndim, rows) * along(x[j], j, ndim, rows)
    return np.asarray(out)


def along(values: Array, axis: int, ndim: int, rows: slice) -> Array:
    """An array over one axis laid along it; of the first axis only `rows`."""
    return (values[rows] if axis == 0 else values).reshape([-1 if a == axis else 1 for a in range(ndim)])


def inverse(matrix: Array) -> Array:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)
