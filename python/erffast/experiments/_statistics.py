"""Means of draws that were kept, and what their sizes' standard errors are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..result import ERF

Array = NDArray[np.float64]
RESAMPLES = 200


def mean_of(draws: ERF, weights: Array | None = None, *, normalise: bool = False) -> ERF:
    """The mean of the draws of a result, or with `weights` [draws] a weighted one."""
    images = np.asarray(draws.image, dtype=np.float64)
    flat = images.reshape(len(images), -1)
    factors = _factors(draws, flat, normalise)
    weights = factors if weights is None else factors * weights
    state = {**draws._state(), "exponent": 0, "image": (weights @ flat).reshape(images.shape[1:]), "averaged": draws.draws, "stderr": None}
    return ERF(**state)


def _factors(draws: ERF, flat: Array, normalise: bool) -> Array:
    if normalise:
        masses = flat.sum(axis=1)
        return np.asarray(np.divide(1, masses, out=np.zeros_like(masses), where=masses > 0))
    exponents = np.asarray(draws.exponent)
    return np.asarray(np.ldexp(1.0, np.maximum(exponents - exponents.max(), -2000)))


def resampled(draws: int, *, seed: int = 0) -> Array:
    """How often each draw is taken, [resamples, draws]: draws are taken again with replacement."""
    return np.random.default_rng(seed).multinomial(draws, np.full(draws, 1 / draws), size=RESAMPLES).astype(np.float64)


def bootstrap(draws: ERF, measure: Callable[[ERF], Any], *, normalise: bool = False, seed: int = 0) -> tuple[Any, Any]:
    """`measure` of the mean of the draws, and its standard error."""
    values = np.array([measure(mean_of(draws, weights, normalise=normalise)) for weights in resampled(len(draws.image), seed=seed)])
    return measure(mean_of(draws, normalise=normalise)), values.std(axis=0, ddof=1)


def spread(erf: ERF) -> float:
    """Root mean square over the axes of the standard deviations, in input pixels: the std of an axis where all are alike."""
    return float(np.sqrt(np.mean(np.square(erf.std()))))
