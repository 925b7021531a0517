"""The one form in which answers are compared, whoever gives them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..result import ERF


@dataclass(frozen=True)
class Answer:
    """Images on the input plane: the value of a pixel is ``pixels * 2.0**exponents``, per draw.

    Attributes
    ----------
    pixels : float array [draws, rows, columns]
    exponents : int64 array [draws]
    origin : tuple of two int
        Input coordinate of the first pixel.
    """

    pixels: NDArray[Any]
    exponents: NDArray[np.int64]
    origin: tuple[int, int]

    @property
    def draws(self) -> int:
        return len(self.pixels)

    def draw(self, index: int) -> Answer:
        """One draw, as an answer of its own."""
        return Answer(self.pixels[index : index + 1], self.exponents[index : index + 1], self.origin)


def answer_of(erf: ERF) -> Answer:
    """The image of a result in two dimensions."""
    pixels = erf.image if erf.image.ndim == 3 else erf.image[None]
    return Answer(pixels, np.atleast_1d(np.asarray(erf.exponent, dtype=np.int64)), (erf.origin[0], erf.origin[1]))


def single(pixels: NDArray[Any], exponent: int = 0, origin: tuple[int, int] = (0, 0)) -> Answer:
    """An answer of one draw from an image [rows, columns]."""
    return Answer(pixels[None], np.array([exponent], dtype=np.int64), origin)


def stacked(answers: Sequence[Answer]) -> Answer:
    """Draws of one shape and place."""
    exponents = np.concatenate([a.exponents for a in answers])
    return Answer(np.concatenate([a.pixels for a in answers]), exponents, answers[0].origin)


def difference(found: Answer, right: Answer) -> float:
    """Largest difference of a pixel of `right`, relative to the peak of its draw; the largest over the draws.

    Pixels that `found` does not hold count as zero, pixels beyond those of `right` are not looked at. NaN counts as infinite.
    """
    worst = 0.0
    for theirs, ours, shift in zip(found.pixels, right.pixels, found.exponents - right.exponents, strict=True):
        aligned = _placed(theirs, found.origin, ours.shape, right.origin)
        with np.errstate(over="ignore", invalid="ignore"):
            aligned = aligned * np.ldexp(1.0, int(np.clip(shift, -2000, 1000)))
            gap = np.abs(aligned - ours).max() / np.abs(ours).max()
        worst = largest(worst, gap)
    return worst


def largest(*errors: float) -> float:
    """The largest error; NaN, which compares with nothing, counts as infinite."""
    return math.inf if any(math.isnan(error) for error in errors) else float(max(errors))


def _placed(pixels: NDArray[Any], origin: tuple[int, int], shape: tuple[int, ...], corner: tuple[int, int]) -> NDArray[np.float64]:
    """The window of `shape` at `corner` of an image at `origin`, zeros where the image has no pixel."""
    out = np.zeros(shape)
    low = [max(o, c) for o, c in zip(origin, corner, strict=True)]
    high = [min(o + n, c + m) for o, n, c, m in zip(origin, pixels.shape, corner, shape, strict=True)]
    if all(a < b for a, b in zip(low, high, strict=True)):
        target = tuple(slice(a - c, b - c) for a, b, c in zip(low, high, corner, strict=True))
        source = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, origin, strict=True))
        out[target] = pixels[source]
    return out
