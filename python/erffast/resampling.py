"""The mean of draws that were kept, and how uncertain any size of it is: draws taken again and again, with replacement (Efron 1979).

A resampled mean is a sum of the images with weights, so that all of them together are one product of matrices. `scipy.stats.bootstrap`
gathers the draws of each resample instead, 200 times all images here, and knows of no power of two for each draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _backend, _core
from . import _validate as check
from .simulation.averages import Drawn, part_of, root, standard_error

if TYPE_CHECKING:
    from .result import ERF

Array = NDArray[np.float64]
MEASURES = ("mean", "std", "level_size", "mass_size", "ratio")
BLOCK_BYTES = 2**26  # resampled means at a time
STREAM = 2**32 - 1  # of random numbers: a layer that no network has


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """A size of the mean of draws, and its standard error.

    Attributes
    ----------
    estimate : float or ndarray [*value]
        The size of the mean of all draws.
    stderr : float or ndarray [*value]
        The standard deviation of `values`, over the resamples that have a size.
    values : ndarray [resamples, *value]
        The sizes of the resampled means. NaN where a resample holds nothing but zeros.
    """

    estimate: Any
    stderr: Any
    values: Array


def mean_of_draws(erf: ERF, *, normalise: bool) -> ERF:
    """See `ERF.mean_of_draws`."""
    images = _draws_of(erf, "mean_of_draws()")
    _backend.require_memory(3 * 8 * images.size, f"the mean of {len(images)} draws of {images[0].size} pixels", "use fewer draws")
    squares = erf.reduction == "rms"
    values = np.square(images, dtype=np.float64) if squares else images.astype(np.float64)
    fates = np.where(images.any(axis=tuple(range(1, images.ndim))), 0, 1).astype(np.uint8)
    exponents = np.asarray(erf.exponent) * (2 if squares else 1)
    part = part_of(Drawn(values, exponents, fates, np.zeros(len(images)), 0.0), normalise=normalise, signed=erf.reduction == "signed")
    image, stderr, exponent = part.mean, standard_error(part), part.exponent
    if squares:
        image, stderr, exponent = root(image, stderr, exponent)
    state = {**_state(erf, normalise), "averaged": part.draws, "stderr": stderr.astype(erf.dtype) if part.draws > 1 else None}
    return type(erf)(image=image.astype(erf.dtype), exponent=exponent, **state)


def bootstrap(erf: ERF, measure: str | Callable[[ERF], Any], *, resamples: int, seed: int, normalise: bool) -> Bootstrap:
    """See `ERF.bootstrap`."""
    images = _draws_of(erf, "bootstrap()")
    resamples = check.integer(resamples, "resamples", least=2)
    seed = check.integer(seed, "seed", least=0)
    if len(images) < 2:
        raise ValueError("bootstrap() needs at least two draws, got 1")
    ask = _measure(measure)
    estimate = ask(mean_of_draws(erf, normalise=normalise))
    _backend.require_memory(8 * resamples * estimate.size, f"the sizes of {resamples} resamples", "use fewer resamples")
    values = np.empty((resamples, *estimate.shape))
    for index, mean in enumerate(_resampled(erf, images, resamples, seed, normalise)):
        found = ask(mean)
        if found.shape != estimate.shape:
            raise ValueError(f"measure must always return as many numbers, got shapes {estimate.shape} and {found.shape}")
        values[index] = found
    sized = values[np.isfinite(values).all(axis=tuple(range(1, values.ndim)))]
    stderr = sized.std(axis=0, ddof=1) if len(sized) > 1 else np.full(estimate.shape, math.nan)
    return Bootstrap(estimate[()], stderr[()], values)


def _draws_of(erf: ERF, asked: str) -> NDArray[Any]:
    """[draws, *shape]"""
    if not erf._pixels.has_draws:
        raise ValueError(f"{asked} needs an ERF that holds its draws, but this one is one image; simulate(keep_draws=True) keeps them")
    return erf.image


def _measure(measure: Any) -> Callable[[ERF], Array]:
    """What is asked of each mean, as an array."""
    if isinstance(measure, str):
        name = check.choice(measure, "measure", MEASURES)
        ask: Callable[[ERF], Any] = lambda erf: getattr(erf, name)()  # noqa: E731
    elif callable(measure):
        ask = measure
    else:
        raise TypeError(f"measure must be a name or a function of an ERF, got {type(measure).__name__}")

    def numbers(erf: ERF) -> Array:
        found = ask(erf)
        try:
            return np.asarray(found, dtype=np.float64)
        except (TypeError, ValueError):
            raise TypeError(f"measure must return a number, a tuple of numbers or an array, got {type(found).__name__}") from None

    return numbers


def _resampled(erf: ERF, images: NDArray[Any], resamples: int, seed: int, normalise: bool) -> Iterator[ERF]:
    """The means of draws taken with replacement, one after the other."""
    draws, pixels = len(images), images[0].size
    columns = math.ceil(pixels / _backend.COLUMNS) * _backend.COLUMNS
    block = max(1, min(resamples, BLOCK_BYTES // (8 * columns)))
    # of one mean: it, and what the measures of an ERF make of it
    needed = 8 * (draws * columns + block * (columns + 2 * draws) + 8 * columns)
    _backend.require_memory(needed, f"{resamples} means of {draws} draws of {pixels} pixels", "use fewer draws or a smaller window")
    squares = erf.reduction == "rms"
    lines = np.zeros((draws, columns))
    lines[:, :pixels] = images.reshape(draws, pixels)
    if squares:
        np.square(lines, out=lines)
    masses = np.sqrt(np.square(lines).sum(axis=1)) if erf.reduction == "signed" else lines.sum(axis=1)
    exponents = np.asarray(erf.exponent) * (2 if squares else 1)
    state = {**_state(erf, normalise), "averaged": draws, "stderr": None}
    means = np.empty((block, columns))
    for first in range(0, resamples, block):
        counts = np.array([_counts(seed, number, draws) for number in range(first, min(first + block, resamples))])
        weights, powers = _shares(counts, masses) if normalise else _scaled(counts, exponents, masses != 0)
        _backend.combine(weights, lines, means[: len(counts)], _backend.thread_count())
        for mean, power in zip(means, powers.tolist(), strict=False):
            image, exponent = mean[:pixels].reshape(images.shape[1:]), power
            if squares:
                image, _, exponent = root(image, np.zeros_like(image), power)
            yield type(erf)(image=image.astype(erf.dtype), exponent=exponent, **state)


def _counts(seed: int, number: int, draws: int) -> NDArray[np.int64]:
    """How often each draw is taken in a resample: a function of its number, as draws are."""
    taken = (_core.uniforms(seed, number, STREAM, "mask", draws) * draws).astype(np.int64)  # uniforms end at 1 - 2**-53
    return np.bincount(taken, minlength=draws)


def _shares(counts: NDArray[np.int64], masses: Array) -> tuple[Array, NDArray[np.int64]]:
    """Weights [resamples, draws] that bring each draw to unit mass and leave dead ones out, and powers of two."""
    alive = masses > 0
    factors = np.divide(1, masses, out=np.zeros_like(masses), where=alive)
    return counts * factors / np.maximum(counts @ alive, 1)[:, None], np.zeros(len(counts), dtype=np.int64)


def _scaled(counts: NDArray[np.int64], exponents: NDArray[np.int64], alive: NDArray[np.bool_]) -> tuple[Array, NDArray[np.int64]]:
    """Weights [resamples, draws] and powers of two [resamples]: each resample has that of its largest draw, for they may be far apart."""
    present = (counts > 0) & alive
    powers = np.where(present.any(axis=1), np.where(present, exponents, np.iinfo(np.int64).min).max(axis=1), 0)
    steps = np.where(present, np.maximum(exponents - powers[:, None], -2000), 0)
    return np.ldexp(counts / counts.shape[1], steps), powers


def _state(erf: ERF, normalise: bool) -> dict[str, Any]:
    """What the mean says beside its pixels. The worst draw bounds what a mean of energies has lost, not what other means have."""
    state = erf._state()
    if normalise:
        state["assumptions"] = (*erf.assumptions, "each draw of unit mass")
    if erf.lost > 0 and erf.reduction not in ("square", "rms"):
        state["lost_is_bound"] = False
    return state
