"""Sizes that several experiments measure, and their standard errors over draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..result import ERF


def mean_of(draws: ERF, *, normalise: bool = False) -> ERF:
    """The mean of the draws that a result holds; `normalise`: each brought to unit mass."""
    return draws.mean_of_draws(normalise=normalise)


def first_of(draws: ERF) -> ERF:
    """The first draw, by itself."""
    return ERF(**{**draws._state(), "image": draws.image[0], "exponent": int(np.asarray(draws.exponent)[0]), "averaged": 1, "stderr": None})


def folded(draws: ERF) -> ERF:
    """The draws of a network of square symmetric kernels, each the mean of its eight mirror images.

    Their mean has these symmetries in the limit of many draws; with few, single pixels then carry less noise, which lifts the peak that
    levels refer to.
    """
    images = np.asarray(draws.image, dtype=np.float64)
    images = (images + images[:, ::-1]) / 2
    images = (images + images[:, :, ::-1]) / 2
    images = (images + images.swapaxes(1, 2)) / 2
    return ERF(**{**draws._state(), "exponent": draws.exponent, "image": images, "stderr": None})


def bootstrap(draws: ERF, measure: Callable[[ERF], Any], *, normalise: bool = False) -> tuple[Any, Any]:
    """`measure` of the mean of the draws, and its standard error."""
    found = draws.bootstrap(measure, normalise=normalise)
    return found.estimate, found.stderr


def masses(draws: ERF) -> NDArray[np.float64]:
    """The sum of g^2 of each draw, true values, [draws]."""
    return np.asarray(np.ldexp(draws.image.reshape(len(draws.image), -1).sum(axis=1), np.asarray(draws.exponent)))


def total(draws: ERF) -> tuple[float, float]:
    """The mean over the draws of a result of the sum of g^2, true values, and its standard error."""
    found = masses(draws)
    return float(found.mean()), float(found.std(ddof=1) / np.sqrt(len(found)))


def ratio(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Of independent numbers with standard errors, to first order."""
    value = one[0] / other[0]
    return value, float(abs(value) * np.hypot(one[1] / one[0], other[1] / other[0]))


def spread(erf: ERF) -> float:
    """Root mean square over the axes of the standard deviations, in input pixels: the std of an axis where all are alike."""
    return float(np.sqrt(np.mean(np.square(erf.std()))))
