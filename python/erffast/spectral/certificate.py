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
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .laws import Family
from .phases import Circle

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Shape = tuple[int, int]

ROUNDOFF = 2.0**-53
# Rectangles looked at in one round before a band is given up as too narrow.
MOST_CELLS = 100_000
# The native product combines the rows of up to `GROUP` layers, reaching up to `GROUP` taps to each side, before it evaluates them
# (spectral_kernels.hpp: most_layers, largest_half).
GROUP = 8
ROWS = 256


@dataclass
class Dropped:
    """Sums of B outside a band.

    Attributes
    ----------
    rows, columns : float
        Over the rows beyond the band, and over the columns beyond it in its rows: upper bounds, unless it is `too_much`.
    too_much : bool
        The band is too narrow; the sums are then of what was looked at.
    reach : list of two int
        Frequencies per axis at which B alone was too much.
    """

    rows: float = 0.0
    columns: float = 0.0
    too_much: bool = False
    reach: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def sum(self) -> float:
        return self.rows + self.columns

    def add(self, values: Array, beside: NDArray[np.bool_]) -> None:
        self.rows += float(values[~beside].sum())
        self.columns += float(values[beside].sum())

    def see(self, cells: Integers, beside: NDArray[np.bool_]) -> None:
        for axis, mine in enumerate((cells[~beside], cells[beside])):
            middles = np.abs(mine[:, 2 * axis] + mine[:, 2 * axis + 1]) // 2
            self.reach[axis] = max(self.reach[axis], int(middles.max(initial=0)))


class Certificate:
    """The bound B, for the layers of one draw.

    Parameters
    ----------
    families : sequence of Family

    Attributes
    ----------
    layers : int
    group : int
        How many layers are evaluated together, at most.
    covariance : float64 [2, 2]
        Of the image, in square pixels.
    """

    def __init__(self, families: Sequence[Family]) -> None:
        self.layers = sum(f.layers for f in families)
        self.group = max(_group(f, self.layers) for f in families)
        self._lags = [(_autocorrelation(f), f.spacing) for f in families]
        self.covariance = sum((_covariance(r, spacing) for r, spacing in self._lags), np.zeros((2, 2)))
        self._std = np.sqrt(np.diag(self.covariance))
        # the widest single step, per axis
        self._step = [math.sqrt(max(float(f.variances[axis].max()) for f in families)) for axis in (0, 1)]
        # relative: one rounding for each term of R, twice for its masses; absolute, per layer: cosines and the sums over lags
        self._relative = ROUNDOFF * max(len(f.counts) * f.sides[0] + 2 * math.prod(f.sides) + 16 for f in families)
        self._absolute = ROUNDOFF * self.layers * max(4 * sum(f.sides) + 64 for f in families)

    def exponents(self, doubled: Integers, circles: Sequence[Circle]) -> Array:
        """Lower bounds on S at the frequencies 2 pi * doubled / whole of the circle of each axis; doubled int64 [m, 2]."""
        found = np.zeros(len(doubled))
        for lags, spacing in self._lags:
            y, x = (_waves(circles[a], doubled[:, a], spacing[a], lags.shape[a]) for a in (0, 1))
            found += lags.sum() - np.einsum("md,md->m", y, x @ lags.T).real
        return self._lowered(found)

    def kept(self, shape: Shape, band: Shape) -> float:
        """Upper bound on the sum over a band of what multiplies the rounding of one group of layers: the modulus of all others.

        That is at most 1, and at most ``B exp(s_g / 2)``; s_g <= `group` (|f_y| std_y + |f_x| std_x)**2, std of the widest step,
        as 1 - cos x <= x**2 / 2.
        """
        ky, kx = np.arange(-band[0], band[0] + 1), np.arange(band[1] + 1)
        weights = column_weights(shape, band)
        circles = [Circle(n) for n in shape]
        total = 0.0
        for begin in range(0, len(ky), ROWS):
            rows = ky[begin : begin + ROWS]
            found = np.zeros((len(rows), len(kx)))
            for lags, spacing in self._lags:
                y, x = (_waves(circles[a], k, spacing[a], lags.shape[a]) for a, k in ((0, rows), (1, kx)))
                found += lags.sum() - (y @ lags @ x.T).real
            spread = 2 * np.pi * (np.abs(rows / shape[0])[:, None] * self._step[0] + kx / shape[1] * self._step[1])
            own = self.group * np.minimum(spread**2, 1.0)
            total += float((np.exp(-0.5 * np.maximum(self._lowered(found) - own, 0.0)) * weights).sum())
        return total * (1 + 1e-9)

    def dropped(self, shape: Shape, band: Shape, budget: float) -> Dropped:
        """What a band leaves out, sharpened until it is below `budget`, or until it is clear that the band is too narrow.

        Parameters
        ----------
        shape, band : tuple of two int
            Period, whose number of rows is odd and of columns even; last frequency kept per axis.
        budget : float
        """
        cells, beside = _outside(shape, band)
        circles = [Circle(2 * n) for n in shape]  # the middle of a rectangle may lie between two frequencies
        found = Dropped()
        while len(cells):
            bounds, middles = self._cell_bounds(cells, circles)
            single = (cells[:, 0] == cells[:, 1]) & (cells[:, 2] == cells[:, 3])
            found.add(bounds[single], beside[single])
            cells, beside, bounds, middles = (a[~single] for a in (cells, beside, bounds, middles))
            if found.sum + middles.sum() > budget or len(cells) > MOST_CELLS:
                found.add(middles, beside)
                found.see(cells[middles > budget], beside[middles > budget])
                found.too_much = True
                return found
            # the smallest are settled as they are, for a small share of what is left of the budget, so that half of it is left in the
            # end; the others are looked at more closely
            order = np.argsort(bounds)
            settled = np.searchsorted(np.cumsum(bounds[order]), (budget - found.sum) / 16, side="right")
            found.add(bounds[order[:settled]], beside[order[:settled]])
            rest = order[settled:]
            cells, beside = _quartered(cells[rest], beside[rest], self._std / shape)
        found.too_much = found.sum > budget
        return found

    def _cell_bounds(self, cells: Integers, circles: Sequence[Circle]) -> tuple[Array, Array]:
        """Upper bounds on the sum of B over each rectangle and its mirror image, and B in its middle, twice."""
        low, high = cells[:, 0::2], cells[:, 1::2]
        exponents = self.exponents(low + high, circles)
        radius = ((high - low) * (2 * np.pi * self._std / [c.whole for c in circles])).sum(axis=1) * (1 + self._relative + 1e-12)
        largest = np.exp(-0.5 * np.maximum(np.sqrt(exponents) - radius, 0.0) ** 2) * (1 + 1e-9)
        return 2 * np.prod(high - low + 1.0, axis=1) * largest, 2 * np.exp(-exponents / 2)

    def _lowered(self, found: Array) -> Array:
        return np.maximum(found * (1 - self._relative) - self._absolute, 0.0)


def column_weights(shape: Shape, band: Shape) -> Array:
    """How often each column of a half plane of frequencies counts, [columns]: with its mirror image, where that is another one."""
    weights = np.full(band[1] + 1, 2.0)
    weights[0] = 1.0
    if 2 * band[1] == shape[1]:
        weights[-1] = 1.0
    return weights


def _group(family: Family, layers: int) -> int:
    half = family.sides[1] // 2
    return min(GROUP, max(GROUP // half, 1) if half else GROUP, layers)


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


def _waves(circle: Circle, parts: Integers, spacing: int, lags: int) -> NDArray[np.complex128]:
    """exp(2 pi i parts * lag * spacing / whole) for the lags -(lags // 2) .. lags // 2, [len(parts), lags]."""
    return circle.products(parts, (np.arange(lags, dtype=np.int64) - lags // 2) * (spacing % circle.whole))


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
