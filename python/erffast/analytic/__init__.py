"""Closed forms for sequences of layers, each with its source, and checks of a network or a result against them.

- `sequences`: exact coefficients of uniform stacks, their Gaussian and Edgeworth approximations.
- `moments`: mean, std and cumulants of any chain; growth, ratio to the theoretical field, residual blocks.
- `distances`: how far from a Gaussian a chain can be, and is.
- `profiles`: wider tap variances, the profile of a chain and its comb.
- `checks`: `check`, which measures a network or a result and compares.

Lengths are in input pixels. Everything is per axis: in more axes a uniform image is the product of its axes.
"""

from __future__ import annotations

from .checks import Check, check
from .distances import berry_esseen, berry_esseen_sum, edgeworth_distance, gaussian_distances, lattice_step, third_absolute_moment
from .moments import (
    Cumulants,
    cumulants,
    field_size,
    gaussian_level_size,
    growth,
    ratio,
    residual_variance,
    std_of_layers,
    tap_cumulants,
    uniform_cumulants,
)
from .profiles import comb, end_tap_gain, end_taps, profile, trapezoid, wide_tap_variance
from .sequences import binomial_asymptotic, coefficients, edgeworth, gaussian, pmf, transfer

__all__ = [
    "Check",
    "Cumulants",
    "berry_esseen",
    "berry_esseen_sum",
    "binomial_asymptotic",
    "check",
    "coefficients",
    "comb",
    "cumulants",
    "edgeworth",
    "edgeworth_distance",
    "end_tap_gain",
    "end_taps",
    "field_size",
    "gaussian",
    "gaussian_distances",
    "gaussian_level_size",
    "growth",
    "lattice_step",
    "pmf",
    "profile",
    "ratio",
    "residual_variance",
    "std_of_layers",
    "tap_cumulants",
    "third_absolute_moment",
    "transfer",
    "trapezoid",
    "uniform_cumulants",
    "wide_tap_variance",
]
