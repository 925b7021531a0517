"""Means over draws, and how uncertain they are.

Draws come in parts. The mean and the sum of squared deviations of two parts give those of both (Chan, Golub and LeVeque 1979), and
parts are added up in their order, so that the same draws give the same bits however they were shared out. Draws differ by orders of
magnitude: every sum has a power of two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NOTHING = -(2**40)  # the exponent of parts without a draw that is alive: below that of any other


class Drawn(NamedTuple):
    """Draws as they came: images [draws, *shape], true values times ``2**exponents``."""

    images: Array
    exponents: NDArray[np.int64]
    fates: NDArray[np.uint8]  # 0 alive, 1 zero everywhere, 2 not finite
    borders: Array  # shares that left through padding
    rounding: float


class Part(NamedTuple):
    """The draws of a part, added up: true values are ``mean * 2**exponent`` and ``squares * 4**exponent``."""

    draws: int  # that count
    mean: Array  # [*shape]
    squares: Array  # [*shape] sums of squared deviations from the mean
    exponent: int
    dead: int
    nonfinite: int
    borders: float  # the sum over draws that are alive
    rounding: float  # estimated error of a gradient, relative to its peak


def part_of(drawn: Drawn, *, normalise: bool, signed: bool) -> Part:
    """The mean of the images of one part; `normalise`: of each brought to unit mass, dead draws left out.

    The images are overwritten: temporaries of their size would cost more than the sums.
    """
    images, exponents, fates, borders, rounding = drawn
    facts = int((fates == 1).sum()), int((fates == 2).sum()), float(borders[fates == 0].sum()), rounding
    used = fates == 0 if normalise else fates != 2
    if not used.any():
        zeros = np.zeros(images.shape[1:])
        return Part(0, zeros, zeros, NOTHING, *facts)
    alive = fates == 0
    if not used.all():
        for to, place in enumerate(np.flatnonzero(used)):
            images[to] = images[place]
        images, exponents, alive = images[: used.sum()], exponents[used], alive[used]
    factors, exponent = _unit_masses(images, signed) if normalise else _at_one_scale(exponents, alive)
    count = len(images)
    images *= np.expand_dims(factors, tuple(range(1, images.ndim)))
    mean = images.sum(axis=0) / count
    images -= mean
    np.square(images, out=images)
    return Part(count, mean, images.sum(axis=0), exponent, *facts)


def _at_one_scale(exponents: NDArray[np.int64], alive: NDArray[np.bool_]) -> tuple[Array, int]:
    """What each draw is multiplied by, and the power of two left over: that of the largest draw, dead ones having none."""
    exponent = int(exponents[alive].max()) if alive.any() else NOTHING
    return np.ldexp(1.0, np.where(alive, np.maximum(exponents - exponent, -2000), 0)), exponent


def _unit_masses(images: Array, signed: bool) -> tuple[Array, int]:
    """What each draw is multiplied by, and the power of two left over."""
    masses = [math.sqrt(np.vdot(image, image)) if signed else image.sum() for image in images]
    return 1 / np.array(masses), 0


def together(parts: Iterable[Part]) -> Part:
    """All parts in one, in their order."""
    total: Part | None = None
    for part in parts:
        total = part if total is None else _both(total, part)
    assert total is not None
    return total


def _both(one: Part, other: Part) -> Part:
    facts = one.dead + other.dead, one.nonfinite + other.nonfinite, one.borders + other.borders, max(one.rounding, other.rounding)
    if not one.draws or not other.draws:
        return Part(*(one if one.draws else other)[:4], *facts)
    exponent = max(one.exponent, other.exponent)
    a, b = (math.ldexp(1.0, max(part.exponent - exponent, -1000)) for part in (one, other))
    draws = one.draws + other.draws
    step = other.mean * b - one.mean * a
    mean = one.mean * a + step * (other.draws / draws)
    squares = one.squares * (a * a) + other.squares * (b * b) + np.square(step) * (one.draws * other.draws / draws)
    return Part(draws, mean, squares, exponent, *facts)


def standard_error(part: Part) -> Array:
    """Of the mean, at its scale: what a bootstrap over draws tends to with many resamples, ``sqrt(sum of squares) / draws``."""
    return np.asarray(np.sqrt(part.squares) / max(part.draws, 1))


def root(image: Array, stderr: Array, exponent: int) -> tuple[Array, Array, int]:
    """Of a mean of squares, and its standard error to first order."""
    odd = exponent % 2
    roots = np.sqrt(image * 2.0**odd)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(roots > 0, stderr * 2.0**odd / (2 * roots), 0.0)
    return roots, error, (exponent - odd) // 2
