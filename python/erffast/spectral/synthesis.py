"""Pixels of a window from a band of frequencies, by sums: first the columns of the band, then the rows of the window.

    image[y, x] = 1 / (N_y N_x) sum over k_x of weight Re( exp(2 pi i k_x x / N_x) sum over k_y of P[k_y, k_x] exp(2 pi i k_y y / N_y) )

Both sums are matrix products, the second a real one with cosines and sines as columns, done natively. A band of a deep image has
some dozens of frequencies, far fewer than the steps and the idle pixels of a transform of the whole period.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import _backend
from . import phases
from .certificate import Shape, column_weights
from .phases import Circle

Array = NDArray[np.float64]
Waves = NDArray[np.complex128]

ROUNDOFF = 2.0**-53


@dataclass(frozen=True)
class Picture:
    """The window of one draw.

    Attributes
    ----------
    peak, least : float
        Largest and smallest pixel, the smallest before those below 0 were set to 0.
    marginals : tuple of two float64 arrays
        Sums over the window along the other axis, from the same frequencies.
    size : float
        Sum of the moduli of all frequencies, over the number of pixels of the period: no pixel is larger.
    """

    peak: float
    least: float
    marginals: tuple[Array, Array]
    size: float


def synthesise(values: Waves, shape: Shape, band: Shape, low: tuple[int, ...], out: Array, threads: int) -> Picture:
    """Write a window of the image, its pixels below 0 set to 0.

    Parameters
    ----------
    values : complex128 [2 K_y + 1, K_x + 1]
        Rows 0 .. K_y, -K_y .. -1; columns 0 .. K_x.
    shape, band : tuple of two int
        Period (N_y, N_x) and (K_y, K_x).
    low : tuple of two int
        First pixel, from where the phases are 0.
    out : float64 [height, width]
    """
    ky = np.r_[0 : band[0] + 1, -band[0] : 0].astype(np.int64)
    kx = np.arange(band[1] + 1, dtype=np.int64)
    height, width = out.shape
    y, x = (first + np.arange(n, dtype=np.int64) for first, n in zip(low, (height, width), strict=True))
    weights = column_weights(shape, band) / (float(shape[0]) * shape[1])
    columns = (Circle(shape[0]).products(y, ky) @ values) * weights
    along = Circle(shape[1]).products(kx, x)
    rows = np.concatenate([along.real, -along.imag])
    flat = np.concatenate([columns.real, columns.imag], axis=1)
    peak, least = _backend.combine(flat, rows, out, threads, lowest=0.0)
    marginals = flat @ rows.sum(axis=1), flat.sum(axis=0) @ rows
    return Picture(peak, least, marginals, float((np.abs(values) * weights).sum()))


def rounding(band: Shape) -> float:
    """Bound on the error of any pixel that `synthesise` adds, in units of `Picture.size`.

    Each product has two cosines or sines, rounded by up to `phases.ERROR` each; a complex product is two real ones, whose errors
    add up to at most sqrt(2) times as much; the sums have 2 (2 K_y + 1) and 2 (K_x + 1) terms; weights are rounded once.
    """
    terms = 2 * (2 * band[0] + 1) + 2 * (band[1] + 1)
    return 1.5 * ROUNDOFF * (terms + 4 * phases.ERROR + 8) * (1 + 1e-9)
