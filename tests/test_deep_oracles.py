"""Deep signed stacks against truths that hold at any depth; and those truths against each other, where they are not yet needed."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from deep_oracles import (
    HAS_LONG_DOUBLE,
    NO_LONG_DOUBLE,
    Exact,
    Integers,
    Truth,
    chain,
    error,
    folded,
    lattice_points,
    long_double_image,
    on_lattice,
    on_torus,
    outer,
    power,
    response,
    response_of,
    signed_kernels,
    truth,
    unit_roots,
)
from erffast.layers import Conv, Stack
from erffast.reference import backward_step
from strategies import FULL, generator
from tolerances import tolerance

Array = NDArray[np.float64]
Vectors = tuple[tuple[int, int], tuple[int, int]]

# Two 1-D chains laid out along these vectors, and the taps of each: kernels of full rank, square ones among them.
LATTICES: dict[str, tuple[Vectors, int]] = {
    "5x3 sheared": (((1, 0), (1, 1)), 3),
    "3x3 diagonal": (((1, 1), (1, -1)), 2),
    "5x5 diagonal": (((1, 1), (1, -1)), 3),
}
SEEDS = range(20 if FULL else 3)
DEEPEST_SEEDS = range(20 if FULL else 1)
ERROR_FLOOR = 2e-16  # a true error below one rounding of the peak is luck
CAUTION = 100.0  # how far the reported error may lie above the true one


# ------------------------------------------------------------------------------------------------ deep stacks with their truths


@lru_cache(maxsize=4)
def line(n: int, k: int, seed: int) -> tuple[Integers, Exact]:
    """Signed 1-D kernels [n, k] and their chain."""
    kernels = signed_kernels(generator(seed, f"deep line {n} {k}"), n, (k,))
    return kernels, chain(kernels)


def lattice_stack(name: str, n: int, seed: int) -> tuple[Integers, Truth]:
    """Kernels [n, ky, kx] of full rank and the image of their chain."""
    vectors, k = LATTICES[name]
    (rows, down), (columns, along) = line(n, k, seed), line(n, k, 1000 + seed)
    kernels = np.array([on_lattice(np.multiply.outer(r, c), vectors) for r, c in zip(rows, columns, strict=True)])
    product = outer(truth(down), truth(along))
    return kernels, Truth(on_lattice(product.high, vectors), on_lattice(product.low, vectors), product.exponent)


def stack(kernels: Any) -> Stack:
    """One convolution per kernel, no padding."""
    return Stack([Conv(np.shape(kernels)[1:])], ndim=np.ndim(kernels) - 1) * len(kernels)


def spectral(kernels: Any, **options: Any) -> ef.ERF:
    erf = ef.gradient(stack(kernels), np.asarray(kernels, dtype=np.float64), engine="spectral", **options)
    assert erf.engine == "spectral"
    return erf


def error_of(erf: ef.ERF, expected: Truth) -> float:
    return error(erf.image, int(np.asarray(erf.exponent)), erf.origin, expected)


def assert_right(image: Array, exponent: int, origin: tuple[int, ...], expected: Truth) -> float:
    """The check that this library has to pass, and a loop does not."""
    worst = error(image, exponent, origin, expected)
    assert worst <= tolerance("deep gradient", engine="spectral"), f"{worst:.1e} of the peak"
    return worst


def assert_honest(erf: ef.ERF, true: float) -> None:
    """The reported error is not below the true one, and not so careful that it says nothing."""
    print(f"  true {true:.1e}  reported {erf.error:.1e}  ratio {erf.error / max(true, ERROR_FLOOR):.1f}")
    assert not erf.error_is_bound
    assert erf.accuracy == "peak"
    assert true <= erf.error, f"error {true:.1e}, reported {erf.error:.1e}"
    assert erf.error <= CAUTION * max(true, ERROR_FLOOR), f"error {true:.1e}, reported {erf.error:.1e}"


def right_and_honest(erf: ef.ERF, expected: Truth) -> None:
    assert_honest(erf, assert_right(erf.image, int(np.asarray(erf.exponent)), erf.origin, expected))


# ------------------------------------------------------------------------------------------------ the claim


@pytest.mark.parametrize("period", ["auto", "full"])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("n", "k"), [(300, 3), (300, 5), (1000, 3), (1000, 5)])
def test_one_axis(n: int, k: int, seed: int, period: str) -> None:
    kernels, exact = line(n, k, seed)
    right_and_honest(spectral(kernels, window="full", period=period), truth(exact))


@pytest.mark.parametrize("period", ["auto", "full"])
@pytest.mark.parametrize("lattice", LATTICES)
@pytest.mark.parametrize("seed", SEEDS)
def test_two_axes_at_300_layers(lattice: str, seed: int, period: str) -> None:
    kernels, expected = lattice_stack(lattice, 300, seed)
    right_and_honest(spectral(kernels, window="full", period=period), expected)


@pytest.mark.parametrize("lattice", ["3x3 diagonal", *(["5x5 diagonal", "5x3 sheared"] if FULL else [])])
@pytest.mark.parametrize("seed", DEEPEST_SEEDS)
def test_two_axes_at_1000_layers(lattice: str, seed: int) -> None:
    kernels, expected = lattice_stack(lattice, 1000, seed)
    for period in ("auto", "full"):
        right_and_honest(spectral(kernels, window="full", period=period), expected)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [300, pytest.param(1000, marks=pytest.mark.skipif(not FULL, reason="ERFFAST_TEST_LEVEL=full"))])
def test_outer_products(n: int, seed: int) -> None:
    """Rank-one kernels, which may go axis by axis."""
    (rows, down), (columns, along) = line(n, 3, seed), line(n, 3, 1000 + seed)
    kernels = rows[:, :, None] * columns[:, None, :]
    right_and_honest(spectral(kernels, window="full"), outer(truth(down), truth(along)))


@pytest.mark.parametrize(
    ("n", "k", "periods"), [(300, 3, (31, 17)), (300, 5, (13, 32)), (300, 3, (1, 601)), (300, 3, (601, 1)), (1000, 3, (17, 12))]
)
@pytest.mark.parametrize("seed", DEEPEST_SEEDS)
def test_any_kernels_summed_on_a_torus(n: int, k: int, periods: tuple[int, int], seed: int) -> None:
    """No structure in these kernels at all. A sum of pixels may err by the sum of their errors; here it errs less than one may."""
    kernels = signed_kernels(generator(seed, f"torus {n} {k} {periods}"), n, (k, k))
    erf = spectral(kernels, window="full")
    sums = folded(erf.image, periods)
    assert_right(sums, int(np.asarray(erf.exponent)), (0, 0), against_peak(truth(on_torus(kernels, periods)), erf))


def against_peak(sums: Truth, erf: ef.ERF) -> Truth:
    """Sums of pixels, whose errors count against the largest pixel where that is more."""

    class OfPixels(Truth):
        @property
        def peak(self) -> float:
            top = float(np.abs(erf.image).max())
            return min(Truth.peak.fget(self), math.ldexp(top, int(np.asarray(erf.exponent)) - self.exponent))  # type: ignore[attr-defined]

    return OfPixels(*sums)
