"""Pixels of a window from a band of frequencies, by sums: first the columns of the band, then the rows of the window.

    image[y, x] = 1 / (N_y N_x) sum over k_x of weight Re( exp(2 pi i k_x x / N_x) sum over k_y of P[k_y, k_x] exp(2 pi i k_y y / N_y) )

A band of a deep image has some dozens of frequencies, far fewer than the steps and the idle pixels of a transform of the whole
period. The sums are native (`synthesis.cpp`): with sums and differences of the frequencies +-k_y, and of the pixels at the same
distance from the middle of the window, half of the multiplications go.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..chain import Box
from .certificate import Shape, column_weights

Array = NDArray[np.float64]
Waves = NDArray[np.complex128]

ROUNDOFF = 2.0**-53
# Pixels apart, as a share of the shortest wave, at which an image is looked at for its peak: a wave falls by 8 % from its crest to
# the nearest of them at most, and an image, whose waves are mostly far longer, hardly at all.
SPARSE = 1 / 8


class Picture:
    """The window of one draw, computed when its pixels are asked for.

    Parameters
    ----------
    values : complex128 [2 K_y + 1, K_x + 1]
        Rows 0 .. K_y, -K_y .. -1; columns 0 .. K_x.
    shape, band : tuple of two int
        Period (N_y, N_x) and (K_y, K_x).
    box : Box
        First and last pixel of the window, from where the phases are 0.
    threads : int
    native : module
        Of the device that makes the pixels.

    Attributes
    ----------
    size : float
        Sum of the moduli of all frequencies, over the number of pixels of the period: no pixel is larger.
    """

    def __init__(self, values: Waves, shape: Shape, band: Shape, box: Box, threads: int, native: Any = _core) -> None:
        weights = column_weights(shape, band) / (float(shape[0]) * shape[1])
        self.size = float((np.abs(values) * weights).sum())
        self._native = native.synthesis(values, weights, shape, band)
        self._box = box
        self._steps = [max(int(n * SPARSE / max(k, 1)), 1) for n, k in zip(shape, band, strict=True)]
        self._threads = threads

    @cached_property
    def sample(self) -> tuple[float, float]:
        """The largest and smallest of some pixels, evenly spread over the window; of all pixels where waves are short."""
        places = [_spread(low, high, step) for low, high, step in zip(*self._box, self._steps, strict=True)]
        low, steps, counts = zip(*places, strict=True)
        largest, smallest = self._native.pixels(low, steps, 1.0, np.empty(counts), self._threads)
        return largest, smallest

    @cached_property
    def marginals(self) -> tuple[Array, Array]:
        """Sums over the window along the other axis, from the same frequencies."""
        (top, left), (bottom, right) = self._box
        low, size = (top, left), (bottom - top + 1, right - left + 1)
        return self._native.sums(low, size, 0), self._native.sums(low, size, 1)

    def write(self, low: tuple[int, int], factor: float, out: Array) -> tuple[float, float]:
        """Write pixels from `low` on, times a factor; the largest and the smallest, but for its sign.

        Those below 0 become 0, or -0 for a negative factor.
        """
        largest, smallest = self._native.pixels(low, (1, 1), abs(factor), out, self._threads)
        if factor < 0:
            np.negative(out, out=out)
        return largest, smallest

    def put(self, low: tuple[int, int], factor: float, out: Any, draw: int) -> tuple[float, float]:
        """As `write`, into a draw of an image on the device (`_cuda.DeviceImage`)."""
        largest, smallest = self._native.put(low, abs(factor), factor < 0, out, draw)
        return largest, smallest


def _spread(low: int, high: int, step: int) -> tuple[int, int, int]:
    """First, distance and number of pixels from low to high that lie `step` apart, as much left over before as after them."""
    step = min(step, high - low + 1)
    count = (high - low) // step + 1
    return low + (high - low - (count - 1) * step) // 2, step, count


def rounding(band: Shape) -> float:
    """Bound on the error of any pixel that its synthesis adds, in units of `Picture.size`.

    In units of 2**-53: cosines and sines are rounded once, from double-double arithmetic; a complex product is off by up to
    2 sqrt(2), with one more for a wave. A frequency is multiplied by its weight and the factor of the pixels (4) and moved to the
    middle of the window by two waves (8). Sums and differences of the frequencies +-k_y are rounded once. The real and imaginary
    parts of a column are sums of 2 K_y + 1 terms, products and sums rounded apart where they are not fused: with the waves
    2 K_y + 4, times sqrt(2), as each pair of frequencies makes two terms. A pixel is two sums of K_x + 1 terms: with the waves and
    the last sum K_x + 4.
    """
    return ROUNDOFF * (12 + 1.5 * (2 * band[0] + 4) + band[1] + 4) * (1 + 1e-9)
