"""What the outcomes of chains without negative taps share: windows of images of two axes, one per draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..chain import Box

Array = NDArray[np.float64]


class Windows:
    """Windows of images, one per draw, with bounds on their errors; part of what `execution.Outcome` offers.

    Attributes
    ----------
    axes : tuple of int
    peaks, exponents : arrays [draws]
        True values are pixel * 2**exponent; the largest pixel of the window.
    border : float64 [draws]
        Share of the mass lost at borders: none.
    bounded : bool
        Errors are bounds.
    """

    bounded = True
    peaks: Array

    def __init__(self, box: Box, exponents: NDArray[np.int64]) -> None:
        self.axes = (0, 1)
        self.exponents = exponents
        self.border = np.zeros(self.draws)
        self._box = box

    @property
    def draws(self) -> int:
        return len(self.exponents)

    def alive(self, draw: int) -> bool:
        return bool(self.peaks[draw] > 0)

    def span(self, draw: int, axis: int) -> tuple[int, int]:
        """First and last pixel along an axis: those of the window, for any draw."""
        return self._box[0][axis], self._box[1][axis]
