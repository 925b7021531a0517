"""A bound on the spectrum of a non-negative chain at every frequency, from one small polynomial.

With taps w[a] of total 1 and their autocorrelation R(d) = sum_a w[a] w[a + d], also of total 1,

    |w_hat(f)|**2 = sum_d R(d) cos(f . d) = 1 - s(f),    s(f) = sum_d R(d) (1 - cos(f . d)),

and as 1 - s <= exp(-s), the product of all layers is bounded by their summed autocorrelation alone:

    |P(f)| = prod_p |w_hat_p(f)| <= B(f) = exp(-S(f) / 2),    S = sum_p s_p.

Near frequency 0, where P is not small, B is within some percent of it.

**Regions.** What a dropped region of frequencies holds is bounded without visiting each frequency. Write
``S(f) = sum_d 2 R(d) sin(f . d / 2)**2``: its root is the length of the vector of all ``sqrt(2 R(d)) sin(f . d / 2)``. Sines being
Lipschitz, that vector moves from f to g by at most ``sqrt(1/2 sum_d R(d) ((f - g) . d)**2)``, the standard deviation of the image
along f - g, so

    |sqrt(S(f)) - sqrt(S(g))| <= |f_y - g_y| std_y + |f_x - g_x| std_x.

One value of S in the middle of a rectangle thus bounds B on all of it; rectangles are quartered where that is not good enough.
Some thousand values bound the dropped part of millions of frequencies.

**Rounding.** R is a sum of non-negative terms, so what it loses is a share of S; what the cosines lose is a share of the number of
layers. Both are taken off S before it is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _backend
from .laws import Family

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Shape = tuple[int, int]

ROUNDOFF = 2.0**-53
# Rectangles looked at in one round before a band is given up as too narrow.
MOST_CELLS = 100_000
# The native sums take pieces of that many kernels, 64 pieces at most, eight kernels side by side (laws.cpp).
PIECE = 512


class Dropped(NamedTuple):
    """Sums of B outside a band.

    Attributes
    ----------
    rows, columns : float
        Over the rows beyond the band, and over the columns beyond it in its rows: upper bounds, unless it is `too_much`.
    too_much : bool
        The band is too narrow; the sums are then of what was looked at.
    reach : tuple of two int
        Frequencies per axis at which B alone was too much.
    """

    rows: float
    columns: float
    too_much: bool
    reach: Shape

    @property
    def sum(self) -> float:
        return self.rows + self.columns


class Certificate:
    """The bound B, for the layers of one draw.

    Parameters
    ----------
    families : sequence of Family

    Attributes
    ----------
    layers : int
    covariance : float64 [2, 2]
        Of the image, in square pixels.
    """

    def __init__(self, families: Sequence[Family]) -> None:
        self.layers = sum(f.layers for f in families)
        self._lags = [(f.lags, f.spacing) for f in families]
        self.covariance = sum((_covariance(r, spacing) for r, spacing in self._lags), np.zeros((2, 2)))
        self._std = np.sqrt(np.diag(self.covariance))
        # the widest single step, per axis
        self._step = [math.sqrt(max(float(f.variances[axis].max()) for f in families)) for axis in (0, 1)]
        # relative: the longest sum for one term of R, and twice its masses; absolute, per layer: cosines and the sums over lags
        self._relative = ROUNDOFF * max(_longest_sum(f) + 2 * math.prod(f.sides) + 24 for f in families)
        self._absolute = ROUNDOFF * self.layers * max(4 * sum(f.sides) + 64 for f in families)

    def exponents(self, doubled: Integers, shape: Shape) -> Array:
        """Lower bounds on S at the frequencies pi * doubled / n of the n pixels of each axis; doubled int64 [m, 2]."""
        whole = 2 * shape[0], 2 * shape[1]
        return _backend.EXPONENTS(self._lags, self._relative, self._absolute, whole, doubled)

    def kept(self, shape: Shape, band: Shape) -> float:
        """Upper bound on the sum over a band of what multiplies the rounding of one layer: the modulus of all others.

        That is at most 1, and at most ``B exp(s_p / 2)``; s_p <= (|f_y| std_y + |f_x| std_x)**2, std of the widest step, as
        1 - cos x <= x**2 / 2. A frequency and its negative have the same bound.
        """
        # the last column of an even period is its own negative
        ky, kx = np.arange(band[0] + 1), np.arange(1 - band[1] if 2 * band[1] == shape[1] else -band[1], band[1] + 1)
        places = np.empty((len(ky), len(kx), 2), dtype=np.int64)
        places[..., 0], places[..., 1] = 2 * ky[:, None], 2 * kx
        found = self.exponents(places.reshape(-1, 2), shape).reshape(len(ky), len(kx))
        spread = 2 * np.pi * ((ky / shape[0])[:, None] * self._step[0] + np.abs(kx) / shape[1] * self._step[1])
        moduli = np.exp(-0.5 * np.maximum(found - np.minimum(spread**2, 1.0), 0.0))
        both = 2 * float(moduli.sum()) - float(moduli[0].sum())
        return both * (1 + 1e-9)

    def dropped(self, shape: Shape, band: Shape, budget: float) -> Dropped:
        """What a band leaves out, sharpened until it is below `budget`, or until it is clear that the band is too narrow.

        Parameters
        ----------
        shape, band : tuple of two int
            Period, whose number of rows is odd and of columns even; last frequency kept per axis.
        budget : float
        """
        std = float(self._std[0]), float(self._std[1])
        return Dropped(*_backend.DROPPED(self._lags, self._relative, self._absolute, std, shape, band, budget, MOST_CELLS))


def column_weights(shape: Shape, band: Shape) -> Array:
    """How often each column of a half plane of frequencies counts, [columns]: with its mirror image, where that is another one."""
    weights = np.full(band[1] + 1, 2.0)
    weights[0] = 1.0
    if 2 * band[1] == shape[1]:
        weights[-1] = 1.0
    return weights


def _longest_sum(family: Family) -> float:
    """Terms added one to the other for one lag: of the kernels of a piece in one place of eight, of the places, and of the pieces."""
    n = len(family.counts)
    return (max(2 * PIECE, n / 64) / 8 + 1) * math.prod(family.sides) + 64 + 16


def _covariance(lags: Array, spacing: tuple[int, int]) -> Array:
    """Half the second moments of an autocorrelation: the covariance of what it was taken of, [2, 2]."""
    y, x = ((np.arange(n) - n // 2) * float(s) for n, s in zip(lags.shape, spacing, strict=True))
    mixed = float(y @ lags @ x)
    return 0.5 * np.array([[float(y**2 @ lags.sum(axis=1)), mixed], [mixed, float(lags.sum(axis=0) @ x**2)]])
