"""Stacks of n equal uniform layers of k taps: exact coefficients and what approximates them."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _validate as check
from .._backend import require_memory

Array: TypeAlias = NDArray[np.float64]


def coefficients(kernel: int, n: int) -> list[int]:
    """Coefficients of ``(1 + z + ... + z^(kernel-1))^n``, exact.

    The gradient of n layers of `kernel` taps of weight 1, and the variance image of n uniform random layers but for a factor
    kernel^n (Luo et al., NIPS 2016, "the simplest case").

    Returns
    -------
    list of int, length ``n * (kernel - 1) + 1``
        The extended binomial coefficients (Neuschel, "A note on extended binomial coefficients", J. Integer Sequences 17,
        2014), from end to end.

    Raises
    ------
    MemoryError
        Before computing: the integers grow as n^2 in all.

    Notes
    -----
    With P = 1 + z + ... and Q = P^n, ``P Q' = n P' Q`` gives ``j a[j] = sum_i (i (n + 1) - j) a[j - i]``, i = 1 .. kernel - 1:
    a few products of a long by a short integer per coefficient. n = 1000 takes milliseconds.
    """
    kernel, n = check.integer(kernel, "kernel", least=1), check.integer(n, "n", least=0)
    length = n * (kernel - 1) + 1
    require_memory(
        int(length * (n * math.log2(kernel) / 16 + 36)),  # the second half shares the integers of the first
        f"the exact list of {length} integers of up to {n * math.log2(kernel):.0f} bits",
        "variance() gives the profile in floating point at any depth",
    )
    half = [1]
    for j in range(1, (length + 1) // 2):
        half.append(sum((i * (n + 1) - j) * half[j - i] for i in range(1, min(kernel, j + 1))) // j)
    return half + half[: length // 2][::-1]


def pmf(kernel: int, n: int) -> Array:
    """`coefficients` over kernel^n: the share of each pixel, float64, each correctly rounded; sums to 1."""
    total = kernel**n
    return np.array([value / total for value in coefficients(kernel, n)])


def binomial_asymptotic(n: int, t: ArrayLike) -> Array:
    """``C(n, t) / 2^n ~ exp(-d^2 / (2 n)) / sqrt(n pi / 2)``, d = n - 2 t: two-tap layers (de Moivre and Laplace)."""
    n = check.integer(n, "n", least=1)
    distance = n - 2 * np.asarray(t, dtype=np.float64)
    return np.asarray(np.exp(-(distance**2) / (2 * n)) / math.sqrt(n * math.pi / 2))


def transfer(kernel: int, n: int, frequency: ArrayLike) -> Array:
    """Fourier transform ``O(w) = V(w)^n`` of `pmf` about its centre; frequency in radians per pixel.

    ``V(w) = sin(kernel w / 2) / (kernel sin(w / 2))`` (Luo et al., NIPS 2016, divided by its value at 0). Real, by symmetry.
    """
    kernel, n = check.integer(kernel, "kernel", least=1), check.integer(n, "n", least=0)
    w = np.asarray(frequency, dtype=np.float64)
    centred = np.arange(kernel) - (kernel - 1) / 2
    # the sum of cosines instead of the quotient of sines: no 0/0 at multiples of 2 pi
    return np.asarray(np.cos(w[..., None] * centred).mean(axis=-1) ** n)


def gaussian(x: ArrayLike, *, mean: float = 0.0, std: float, span: float = 1.0) -> Array:
    """Shares ``h N(x)`` that a Gaussian gives the points of a lattice of span h, in input pixels (local limit theorem)."""
    std, span = _positive(std, "std"), _positive(span, "span")
    t = (np.asarray(x, dtype=np.float64) - mean) / std
    return np.asarray(span / std * np.exp(-t * t / 2) / math.sqrt(2 * math.pi))


def edgeworth(x: ArrayLike, *, mean: float = 0.0, std: float, skewness: float = 0.0, excess_kurtosis: float, span: float = 1.0) -> Array:
    """Edgeworth's correction of `gaussian` on a lattice, with ``g1`` the skewness and ``g2`` the excess kurtosis of the sum.

    ``h N(x) [1 + g1/6 He3 + g2/24 He4 + g1^2/72 He6]``, He the Hermite polynomials of ``t = (x - mean) / std``
    (Petrov, "Sums of Independent Random Variables", chapter VII). A uniform stack has g1 = 0 and
    ``g2 = -(6/5) (k^2 + 1) / (k^2 - 1) / n``; any chain ``kappa3 / std^3`` and ``kappa4 / std^4``, see `cumulants`.
    """
    t = (np.asarray(x, dtype=np.float64) - mean) / _positive(std, "std")
    he3, he4, he6 = t**3 - 3 * t, t**4 - 6 * t**2 + 3, t**6 - 15 * t**4 + 45 * t**2 - 15
    correction = 1 + skewness / 6 * he3 + excess_kurtosis / 24 * he4 + skewness**2 / 72 * he6
    return gaussian(x, mean=mean, std=std, span=span) * correction


def _positive(value: float, name: str) -> float:
    value = check.real(value, name)
    if value <= 0:
        raise ValueError(f"{name} must be positive, got {value}")
    return value
