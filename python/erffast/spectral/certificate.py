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

import numpy as np
from numpy.typing import NDArray

from .laws import Family
from .phases import turns

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Shape = tuple[int, int]

ROUNDOFF = 2.0**-53
# Rectangles looked at in one round before a band is given up as too narrow.
MOST_CELLS = 100_000
ROWS = 256


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
        self._lags = [(_autocorrelation(f), f.spacing) for f in families]
        self.covariance = sum((_covariance(r, spacing) for r, spacing in self._lags), np.zeros((2, 2)))
        self._std = np.sqrt(np.diag(self.covariance))
        # the widest single step, per axis
        self._step = [math.sqrt(max(float(f.variances(axis).max()) for f in families)) for axis in (0, 1)]
        # relative: one rounding for each term of R, twice for its masses; absolute, per layer: cosines and the sums over lags
        self._relative = ROUNDOFF * max(len(f.counts) * f.sides[0] + 2 * math.prod(f.sides) + 16 for f in families)
        self._absolute = ROUNDOFF * self.layers * max(4 * sum(f.sides) + 64 for f in families)

    def exponents(self, doubled: Integers, shape: Shape) -> Array:
        """Lower bounds on S at the frequencies pi * doubled / shape; doubled int64 [m, 2]."""
        found = np.zeros(len(doubled))
        for lags, spacing in self._lags:
            y, x = (_waves(doubled[:, a], spacing[a], lags.shape[a], 2 * shape[a]) for a in (0, 1))
            found += lags.sum() - np.einsum("md,md->m", y, x @ lags.T).real
        return self._lowered(found)

    def kept(self, shape: Shape, band: Shape) -> float:
        """Upper bound on the sum of B over a band, each frequency weighted by what a group of layers amplifies rounding (see
        `GROUP`).
        """
        ky, kx = np.arange(-band[0], band[0] + 1), np.arange(band[1] + 1)
        weights = column_weights(shape, band)
        total = 0.0
        for begin in range(0, len(ky), ROWS):
            rows = ky[begin : begin + ROWS]
            found = np.zeros((len(rows), len(kx)))
            for lags, spacing in self._lags:
                y, x = (_waves(2 * k, spacing[a], lags.shape[a], 2 * shape[a]) for a, k in ((0, rows), (1, kx)))
                found += lags.sum() - (y @ lags @ x.T).real
            spread = 2 * np.pi * (np.abs(rows / shape[0])[:, None] * self._step[0] + kx / shape[1] * self._step[1])
            total += float((np.exp(GROUP / 2 * np.minimum(spread**2, 1.0) - self._lowered(found) / 2) * weights).sum())
        return total * (1 + 1e-9)

    def dropped(self, shape: Shape, band: Shape, budget: float) -> tuple[float, float]:
        """Upper bounds on the sum of B outside a band: over the rows beyond it, and over the columns beyond it in its rows.

        Parameters
        ----------
        shape, band : tuple of two int
            Period, whose number of rows is odd and of columns even; last frequency kept per axis.
        budget : float
            Bounds are sharpened until their sum is below this, or it is clear that the band is too narrow.
        """
        cells, beside = _outside(shape, band)
        sums = [0.0, 0.0]
        spare = budget
        while len(cells):
            bounds = self._cell_bounds(cells, shape)
            single = (cells[:, 0] == cells[:, 1]) & (cells[:, 2] == cells[:, 3])
            order = np.argsort(np.where(single, np.inf, bounds))
            open_ = max(len(cells) - int(single.sum()), 0)
            # of those that can still be quartered, the smallest are settled as they are: half of what is left each time
            settled = int(np.searchsorted(np.cumsum(bounds[order[:open_]]), max(spare, 0.0) / 2, side="right"))
            given_up = spare <= 0 or open_ > MOST_CELLS
            done = np.concatenate([order[: open_ if given_up else settled], order[open_:]])
            for column in (False, True):
                sums[column] += float(bounds[done][beside[done] == column].sum())
            spare = budget - sum(sums)
            rest = order[len(order) if given_up else settled : open_]
            cells, beside = _quartered(cells[rest], beside[rest], self._std / shape)
        return sums[0] * (1 + 1e-9), sums[1] * (1 + 1e-9)

    def _cell_bounds(self, cells: Integers, shape: Shape) -> Array:
        """Upper bounds on the sum of B over each rectangle and its mirror image."""
        low, high = cells[:, 0::2], cells[:, 1::2]
        roots = np.sqrt(self.exponents(low + high, shape))
        radius = ((high - low) * (np.pi * self._std / np.array(shape))).sum(axis=1) * (1 + self._relative + 1e-12)
        return np.asarray(2 * np.prod(high - low + 1.0, axis=1) * np.exp(-0.5 * np.maximum(roots - radius, 0.0) ** 2))

    def _lowered(self, found: Array) -> Array:
        return np.maximum(found * (1 - self._relative) - self._absolute, 0.0)


# Native products combine the rows of up to this many layers before they are evaluated, so that their rounding is relative to the
# largest value such a group could have, 1, and not to the value it has at the frequency, at least exp(-s / 2) of the group's s.
GROUP = 8


def column_weights(shape: Shape, band: Shape) -> Array:
    """How often each column of a half plane of frequencies counts, [columns]: with its mirror image, where that is another one."""
    weights = np.full(band[1] + 1, 2.0)
    weights[0] = 1.0
    if 2 * band[1] == shape[1]:
        weights[-1] = 1.0
    return weights


def _autocorrelation(family: Family) -> Array:
    """Autocorrelations of the kernels, added up with their counts: [2 rows - 1, 2 columns - 1], lag 0 in the middle."""
    rows, columns = family.sides
    taps = np.ascontiguousarray(family.masses.transpose(1, 0, 2))
    weighted = taps if (family.counts == 1).all() else taps * family.counts[:, None]
    found = np.zeros((2 * rows - 1, 2 * columns - 1))
    for lag in range(rows):
        # all pairs of columns of rows that lie `lag` apart, over all kernels, in one matrix product
        pairs = weighted[: rows - lag].reshape(-1, columns).T @ taps[lag:].reshape(-1, columns)
        for column in range(columns):
            found[rows - 1 + lag, columns - 1 - column : 2 * columns - 1 - column] += pairs[column]
    found[: rows - 1] = found[: rows - 1 : -1, ::-1]
    return found


def _covariance(lags: Array, spacing: tuple[int, int]) -> Array:
    """Half the second moments of an autocorrelation: the covariance of what it was taken of, [2, 2]."""
    y, x = ((np.arange(n) - n // 2) * float(s) for n, s in zip(lags.shape, spacing, strict=True))
    mixed = float(y @ lags @ x)
    return 0.5 * np.array([[float(y**2 @ lags.sum(axis=1)), mixed], [mixed, float(lags.sum(axis=0) @ x**2)]])


def _waves(parts: Integers, spacing: int, lags: int, whole: int) -> NDArray[np.complex128]:
    """exp(2 pi i parts * lag * spacing / whole) for the lags -(lags // 2) .. lags // 2, [len(parts), lags]."""
    reach = lags // 2
    c, s = turns((parts * (spacing % whole) % whole)[:, None] * np.arange(reach + 1), whole)
    found = np.empty((len(parts), lags), dtype=np.complex128)
    found[:, reach:].real, found[:, reach:].imag = c, s
    found[:, :reach] = found[:, :reach:-1].conj()
    return found


def _outside(shape: Shape, band: Shape) -> tuple[Integers, NDArray[np.bool_]]:
    """The half plane of frequencies outside a band as rectangles (first row, last row, first column, last column), and which of
    them lie beside the rows kept.
    """
    last, end = (shape[0] - 1) // 2, shape[1] // 2
    ky, kx = band
    rectangles = [(ky + 1, last, 0, end), (-last, -ky - 1, 0, end), (-ky, ky, kx + 1, end)]
    held = [(r, i == 2) for i, r in enumerate(rectangles) if r[0] <= r[1] and r[2] <= r[3]]
    return np.array([r for r, _ in held], dtype=np.int64).reshape(-1, 4), np.array([b for _, b in held], dtype=bool)


def _quartered(cells: Integers, beside: NDArray[np.bool_], scale: Array) -> tuple[Integers, NDArray[np.bool_]]:
    """Rectangles cut in half along each axis that adds to their radius; one side alone where the other is much shorter."""
    for axis in (0, 1):
        low, high = cells[:, 2 * axis], cells[:, 2 * axis + 1]
        length, other = (high - low) * scale[axis], (cells[:, 3 - 2 * axis] - cells[:, 2 - 2 * axis]) * scale[1 - axis]
        cut = (high > low) & (length >= other / 4)
        first, second = cells.copy(), cells[cut].copy()
        middle = (low + high) // 2
        first[cut, 2 * axis + 1] = middle[cut]
        second[:, 2 * axis] = middle[cut] + 1
        cells, beside = np.concatenate([first, second]), np.concatenate([beside, beside[cut]])
    return cells, beside
