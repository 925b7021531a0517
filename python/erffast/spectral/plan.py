"""What is known of an image before it is computed: where its mass lies, and which frequencies it has."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..chain import Box
from .certificate import Certificate, Shape
from .chernoff import Tail
from .laws import SIDES, Family

Array = NDArray[np.float64]

ROUNDOFF = 2.0**-53
WIDER = 1.25


class Plan:
    """Window, period and band for the image of one draw. Pixels count from `Transfer.origin`, its mass is 1.

    Parameters
    ----------
    families : sequence of Family

    Attributes
    ----------
    certificate : Certificate
    roundings : float
        Bound on the rounding errors of all transfer functions, in units of 2**-53.
    mean : float64 [2]
        Mean position of the mass, in pixels.
    log_peak : float
        Logarithm of the largest pixel of the window: a guess, until it is known. What is planned with it is verified afterwards.
    """

    def __init__(self, families: Sequence[Family]) -> None:
        self.certificate = Certificate(families)
        self.roundings = sum(transfer_roundings(f) for f in families)
        self.log_peak = 0.0
        self._tails = {(axis, sign): Tail(families, axis, sign) for axis, sign in SIDES}
        self.mean = np.array([sum(float(f.means[axis] @ f.counts) for f in families) for axis in (0, 1)])

    def window(self, tol: float) -> Box:
        """The smallest box that is certified to leave out at most `tol` of the mass, the same share at each side."""
        level = math.log(tol / 4) - 1e-9
        edges = {side: tail.reach(level) - 1 for side, tail in self._tails.items()}
        return (-edges[0, -1], -edges[1, -1]), (edges[0, 1], edges[1, 1])

    def outside(self, box: Box) -> float:
        """Bound on the mass outside a box."""
        return sum(self._tails[a, 1].beyond(box[1][a] + 1) + self._tails[a, -1].beyond(1 - box[0][a]) for a in (0, 1))

    def guess_peak(self, box: Box) -> None:
        """Guess the largest pixel of a box: that of a Gaussian, widened so that a single pixel has the peak 1."""
        covariance = self.certificate.covariance + np.eye(2) / (2 * np.pi)
        away = np.clip(self.mean, *box) - self.mean
        decline = -0.5 * float(away @ np.linalg.solve(covariance, away))
        # below the rounding of the largest pixel no window can be certified, and none is planned for
        self.log_peak = max(decline, math.log(self.roundings * ROUNDOFF))
        self.log_peak -= 0.5 * math.log(float(np.linalg.det(covariance))) + math.log(2 * np.pi)

    def period(self, box: Box, tol: float) -> Shape:
        """The smallest period whose aliases are expected below `tol` of the peak of the box.

        Rows are odd and columns even in number, so that no frequency kept is its own mirror image but in column 0 and the last.
        """
        level = math.log(tol / 4) + self.log_peak
        sizes = []
        for axis in (0, 1):
            right = self._tails[axis, 1].reach(level) - box[0][axis]
            left = self._tails[axis, -1].reach(level) + box[1][axis]
            sizes.append(max(right, left, 1))
        return sizes[0] | 1, sizes[1] + sizes[1] % 2

    def aliases(self, box: Box, shape: Shape) -> float:
        """Bound on what a period adds to any pixel of a box."""
        return sum(self._tails[a, 1].beyond(box[0][a] + shape[a]) + self._tails[a, -1].beyond(shape[a] - box[1][a]) for a in (0, 1))

    def band(self, shape: Shape, tol: float) -> tuple[Shape, float]:
        """A band that leaves out at most `tol` of the peak, and a bound on what it leaves out of any pixel."""
        pixels = float(shape[0]) * shape[1]
        budget = tol * math.exp(self.log_peak) * pixels
        full = (shape[0] - 1) // 2, shape[1] // 2
        band = list(_gaussian_band(self.certificate.covariance, shape, budget))
        while True:
            rows, columns = min(band[0], full[0]), min(band[1], full[1])
            dropped = self.certificate.dropped(shape, (rows, columns), budget)
            if not dropped.too_much:
                return (rows, columns), dropped.sum / pixels
            # an axis that leaves out little beside the other one is wide enough
            for axis, (mine, other) in enumerate(((dropped.rows, dropped.columns), (dropped.columns, dropped.rows))):
                if mine > other / 8:
                    band[axis] = max(math.ceil(WIDER * band[axis]) + 1, dropped.reach[axis])


def transfer_roundings(family: Family) -> float:
    """Bound on the rounding errors of all transfer functions of a family together, in units of 2**-53 and of their mass.

    Counted along the native product (`band.inl`), for layers of m rows of k taps, real and imaginary parts taken together as
    vectors, with one more for products that are not fused with their sums:

    - a layer's row at one vertical frequency, sums of m products with waves that are rounded once: m + 2;
    - its evaluation along the row, sums and differences of the taps at +-j as four sums of up to k / 2 + 1 terms, and the sums of two
      of these: sqrt(2) (k / 2 + 5);
    - the product over the layers: 2 sqrt(2).

    Per layer at most m + k + 12. No partial sum exceeds the mass, so that is an absolute error. A kernel used many times is raised
    to its power in double-double arithmetic, which leaves some 2**-103 of that per use.
    """
    once = family.counts == 1
    exactly = float(family.counts[~once].sum()) * (math.prod(family.sides) + 64) * 2.0**-48 + 8.0 * float((~once).sum())
    return float(once.sum()) * (family.sides[0] + family.sides[1] + 12) + exactly


def _gaussian_band(covariance: Array, shape: Shape, budget: float) -> Shape:
    """The band in which a Gaussian spectrum has all but `budget` of its sum."""
    wide = covariance + np.eye(2) * 1e-6
    determinant = float(np.linalg.det(wide))
    whole = min(float(shape[0]) * shape[1], float(shape[0]) * shape[1] / (2 * np.pi * math.sqrt(determinant)))
    cut = 2 * math.log(max(whole / max(budget, 1e-300), 1.0)) + 2
    # the least exponent at a frequency of one axis, over those of the other, has the conditional variance
    conditional = determinant / np.diag(wide)[::-1]
    rows, columns = (math.ceil(math.sqrt(cut / v) * n / (2 * np.pi)) for v, n in zip(conditional, shape, strict=True))
    return rows + 1, columns + 1
