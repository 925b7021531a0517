"""Runs of the spectral engine, and of the direct engine beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import erffast as ef
from erffast.layers import Stack
from strategies import convolutions, generator

Array = NDArray[np.float64]
PERIODS = ["auto", "full"]
DEEPEST_TOLERANCE = 1e-9  # allowed to the direct engine where its careful estimate exceeds the default; the test's own bound stays


def normal_weights(net: Stack, salt: str, *, lead: tuple[int, ...] = ()) -> list[Array]:
    """One array of normal draws per convolution, [*lead, *kernel]."""
    rng = generator(0, salt)
    return [rng.standard_normal((*lead, *sides)) for _, sides in convolutions(net)]


def spectral(net: Stack, weights: Any, **options: Any) -> ef.ERF:
    erf = ef.gradient(net, weights, engine="spectral", **{"window": "full", **options})
    assert erf.engine == "spectral"
    assert erf.accuracy == "peak"
    assert "engine" in erf.reason
    return erf


def direct(net: Stack, weights: Any, **options: Any) -> ef.ERF:
    erf = ef.gradient(net, weights, engine="direct", **{"window": "full", "tol": DEEPEST_TOLERANCE, **options})
    assert erf.engine == "direct"
    return erf


def apart(one: ef.ERF, other: ef.ERF) -> float:
    """max |one - other| / peak of the other, exponents included; their windows must agree."""
    assert (one.origin, one.image.shape) == (other.origin, other.image.shape)
    shift = np.asarray(one.exponent) - np.asarray(other.exponent)
    axes = tuple(range(-one.ndim, 0))
    difference = np.ldexp(one.image, np.reshape(shift, shift.shape + (1,) * one.ndim if shift.ndim else ())) - other.image
    return float((np.abs(difference).max(axis=axes) / np.abs(other.image).max(axis=axes)).max())


def assert_same_bits(one: ef.ERF, other: ef.ERF) -> None:
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.exponent, other.exponent)
    assert (one.origin, one.lost, one.error) == (other.origin, other.lost, other.error)
