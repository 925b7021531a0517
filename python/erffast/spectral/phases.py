"""Sines and cosines of fractions of a turn, as exact as float64 has them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Waves = NDArray[np.complex128]
Integers = NDArray[np.int64]

# Absolute error of one sine or cosine in units of 2**-53: the angle, at most pi/4, is rounded three times (2.4), and what the
# functions of the C library round themselves (below 1 unit in the last place, 1.5 with a margin).
ERROR = 4.0


def turns(parts: Integers, whole: int) -> tuple[Array, Array]:
    """cos and sin of 2 pi parts / whole.

    Whole quarter turns are taken out in integers, so that only angles of at most an eighth of a turn are ever rounded.

    Parameters
    ----------
    parts : int64 array
        Of any size and sign.
    whole : int
        Parts in a full turn, below 2**60.

    Returns
    -------
    cos, sin : float64 arrays, of the shape of `parts`
    """
    fourfold = 4 * (parts % whole)
    quarter = (2 * fourfold + whole) // (2 * whole)
    angle = (np.pi / 2) * ((fourfold - quarter * whole) / whole)
    c, s = np.cos(angle), np.sin(angle)
    odd = (quarter & 1).astype(bool)
    c, s = np.where(odd, s, c), np.where(odd, c, s)
    # cos is negative in the second and third quarter, sin in the third and fourth
    return np.where((quarter + 1) & 2, -c, c), np.where(quarter & 2, -s, s)


class Circle:
    """exp(2 pi i k / whole) for any k, from a table: a period has far fewer turns than an image has products of them."""

    def __init__(self, whole: int) -> None:
        self.whole = whole
        self._table = np.empty(whole, dtype=np.complex128)
        self._table.real, self._table.imag = turns(np.arange(whole, dtype=np.int64), whole)

    def products(self, parts: Integers, factors: Integers) -> Waves:
        """exp(2 pi i parts * factors / whole), [len(parts), len(factors)]."""
        return np.asarray(self._table[((parts % self.whole)[:, None] * (factors % self.whole)) % self.whole])
