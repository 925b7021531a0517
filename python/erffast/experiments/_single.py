"""Single draws of linear networks: drawn, measured, and what theory says of them. `single_draws` tells the story."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, ndimage, special

from .. import analytic
from ..frontends.text import parse
from ..layers import Stack
from ..propagation import gradient
from ..result import ERF
from ._run import Run

TOL = 1e-11  # of gradient(); ten thousand layers round to some 1e-12
WAVES = np.pi / 3, 2 * np.pi / 3  # radians per pixel; their squares, and what they make together, repeat every 6 pixels
NEAR = 0.1  # radians per pixel

Array: TypeAlias = NDArray[np.float64]
Axes: TypeAlias = Literal[1, 2]


@dataclass(frozen=True)
class Batch:
    """What is measured of some draws of a network of `layers` 3-tap layers; lengths in input pixels, one entry per draw."""

    layers: int
    ndim: int
    std: Array  # [draws], root mean square over the axes
    centre: Array  # [draws], root mean square over the axes of the distance from the field's centre
    apart: Array  # [draws], total variation to the Gaussian of the draw's own mean and covariance
    smooth: Array  # [draws], the same of g^2 averaged over 6 pixels along each axis
    near: Array  # [draws], share of the energy at frequencies within NEAR of WAVES; 1-D only
    half: Array  # [draws], side of as many pixels as hold half of the mass
    norm: Array  # [draws], log10 of |g| over the root of its mean square
    error: float  # of the gradients, relative to the peak, as gradient() reports it

    @property
    def limit(self) -> float:
        """Std of the mean over draws in theory."""
        return analytic.growth(3, self.layers)


def weights_of(run: Run, kind: str, n: int, ndim: Axes, draws: int) -> Array:
    """[draws, layers, 3, ...]: standard normal, or uniform on (0, 1)."""
    rng = np.random.default_rng([run.seed, n, ndim, ("signed", "positive").index(kind)])
    shape = (draws, n, *(3,) * ndim)
    return rng.standard_normal(shape) if kind == "signed" else rng.random(shape)


def stack(n: int, ndim: Axes) -> Stack:
    return parse(f"conv3 * {n}", ndim=ndim)


def draws_of(weights: Array) -> ERF:
    """Their gradients; in 2-D of deep networks in a window of 12 std of the limit, beyond which next to nothing lies."""
    n: int = weights.shape[1]
    ndim: Axes = 1 if weights.ndim == 3 else 2
    across = min(2 * n + 1, 2 * math.ceil(6 * analytic.growth(3, n)) + 1)
    return gradient(stack(n, ndim), weights, window=across if ndim == 2 else "full", tol=TOL)


def as_mass(erf: ERF) -> ERF:
    """Draws of gradients without negative values, measured by the gradient itself instead of by its square."""
    axes = "N" + "HW"[-erf.ndim :]
    return ERF.from_gradients(erf.image, axes=axes, reduction="abs", origin=erf.origin, receptive_field=erf.receptive_field)


def signed_batch(run: Run, n: int, ndim: Axes, draws: int) -> Batch:
    erf = draws_of(weights_of(run, "signed", n, ndim, draws))
    squares = np.square(erf.image).sum(axis=tuple(range(1, ndim + 1)))
    norm = np.log10(squares) / 2 + np.asarray(erf.exponent) * math.log10(2) - n * ndim * math.log10(3) / 2
    near = _share_near(erf.image) if ndim == 1 else np.full(draws, math.nan)
    return _batch(erf, n, erf.error, norm=norm, near=near, smooth=smoothed(erf).fit()[0].total_variation)


def _share_near(images: Array) -> Array:
    spectrum = np.square(np.abs(np.fft.rfft(images, axis=1)))
    frequency = 2 * np.pi * np.fft.rfftfreq(images.shape[1])
    near = np.any([np.abs(frequency - wave) < NEAR for wave in WAVES], axis=0)
    return np.asarray(spectrum[:, near].sum(axis=1) / spectrum.sum(axis=1))


def smoothed(erf: ERF) -> ERF:
    """Draws of signed gradients, g^2 averaged over 6 pixels along each axis."""
    mass = np.square(erf.image)
    for axis in range(1, mass.ndim):
        mass = ndimage.convolve1d(mass, np.full(6, 1 / 6), axis=axis, mode="constant")
    axes = "N" + "HW"[-erf.ndim :]
    return ERF.from_gradients(np.sqrt(mass), axes=axes, reduction="square", origin=erf.origin, receptive_field=erf.receptive_field)


def positive_batch(run: Run, n: int, ndim: Axes, draws: int) -> Batch:
    weights = weights_of(run, "positive", n, ndim, draws)
    erf = gradient(stack(n, ndim), weights, tol=TOL)  # in the window that holds all but 1e-11 of the mass
    return _batch(as_mass(erf), n, erf.error)


def one_kernel(run: Run, n: int) -> tuple[int, float, float, float]:
    """One positive kernel in every layer: layers, std, total variation to its Gaussian, error."""
    erf = gradient(stack(n, 1), np.broadcast_to(kernel_of(run), (1, n, 3)), tol=1e-9)
    mass = as_mass(erf)
    return n, float(np.array(mass.std())[0, 0]), float(mass.fit()[0].total_variation[0]), erf.error


def kernel_of(run: Run) -> Array:
    return np.random.default_rng([run.seed, 1]).random(3)


def _batch(erf: ERF, n: int, error: float, **others: Array) -> Batch:
    stds, means = np.array(erf.std()), np.array(erf.mean())  # [axes, draws]
    away = np.sqrt(np.mean(np.square(means - n), axis=0))  # the centre of the field of unit 0 is n
    std = np.sqrt(np.mean(np.square(stds), axis=0))
    none = np.full(len(std), math.nan)
    others = {"smooth": none, "near": none, "norm": none, **others}
    return Batch(
        n, erf.ndim, std=std, centre=away, apart=erf.fit()[0].total_variation, half=np.asarray(erf.mass_size(0.5)), error=error, **others
    )


def shares_of(erf: ERF) -> Array:
    """Each draw's mass, of sum 1, flat."""
    flat = np.asarray(erf.image).reshape(len(erf.image), -1)
    return np.asarray(flat / flat.sum(axis=1, keepdims=True))


def to_limit(erf: ERF, n: int) -> Array:
    """Total variation of each draw of a 1-D network to the exact mean over networks, [draws]."""
    return np.asarray(np.abs(shares_of(erf) - analytic.pmf(3, n)).sum(axis=1) / 2)


def means_to_limit(erf: ERF, n: int) -> list[tuple[int, float]]:
    """Total variation to the limit of means of more and more draws: (draws, mean over disjoint groups)."""
    shares = shares_of(erf)
    found = []
    for count in (1, 3, 10, 30, 100, 300, 1000, 2000):
        groups = len(shares) // count
        if groups:
            means = shares[: groups * count].reshape(groups, count, -1).mean(axis=1)
            found.append((count, float(np.abs(means - analytic.pmf(3, n)).sum(axis=1).mean() / 2)))
    return found


# ------------------------------------------------------------------------------------------------ theory


def cumulants_of(kernels: Array) -> tuple[Array, Array, Array]:
    """Second to fourth cumulant of the sum of steps, one a layer, kernels [draws, layers, 3]: each [draws], in powers of pixels."""
    shares = kernels / kernels.sum(axis=2, keepdims=True)
    at = np.arange(3) - (shares @ np.arange(3.0))[..., None]
    second, third, fourth = ((shares * at**power).sum(axis=2) for power in (2, 3, 4))
    return second.sum(axis=1), third.sum(axis=1), (fourth - 3 * second**2).sum(axis=1)


def edgeworth_variation(skewness: float, excess: float) -> float:
    """Total variation between Edgeworth's series to its first order in 1 / n and the Gaussian."""
    x = np.linspace(-10, 10, 4001)
    series = np.polynomial.hermite_e.hermeval(x, [0, 0, 0, skewness / 6, excess / 24, 0, skewness**2 / 72])
    return float(np.abs(series * np.exp(-x * x / 2)).sum() * (x[1] - x[0]) / math.sqrt(8 * math.pi))


def wandering(kernel: int) -> float:
    """Variance of the mean of one positive kernel, [kernel] weights uniform on (0, 1) in 1-D, three of them: (w2 - w0) / sum.

    With A = E[w_i^2 / sum^2] and B = E[w_i w_j / sum^2] it is 2 A - 2 B, and k A + k (k - 1) B = 1. As 1 / s^2 is the integral of
    t exp(-s t), A is that of t m2(t) m0(t)^(k - 1), with m0 = E exp(-t w) and m2 = E w^2 exp(-t w).
    """

    def integrand(t: float) -> float:
        return float(t * (2 * special.gammainc(3, t) / t**3) * (special.gammainc(1, t) / t) ** (kernel - 1))

    a = integrate.quad(integrand, 0, 1)[0] + integrate.quad(integrand, 1, np.inf)[0]
    b = (1 - kernel * a) / (kernel * (kernel - 1))
    return float(2 * a - 2 * b)


def speckle(limit: Array, channels: int, *, draws: int = 20_000, seed: int = 0) -> float:
    """Mean total variation to `limit` of independent normal gradients with its variances, over that many input channels."""
    mass = limit * np.random.default_rng(seed).chisquare(channels, size=(draws, len(limit)))
    return float(np.abs(mass / mass.sum(axis=1, keepdims=True) - limit).sum(axis=1).mean() / 2)


# ------------------------------------------------------------------------------------------------ statistics


def rms_error(values: Array) -> tuple[float, float]:
    """Root mean square of independent values, and its standard error to first order."""
    squares = np.square(values)
    root = math.sqrt(squares.mean())
    return root, float(squares.std(ddof=1) / math.sqrt(len(values)) / (2 * root))


def mean_error(values: Array) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def slope(x: Sequence[float], means: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """Of the straight line through logarithms by least squares, and its standard error from those of the means."""
    at = np.log(x) - np.mean(np.log(x))
    weights = at / (at @ at)
    relative = np.array(errors) / np.array(means)
    return float(weights @ np.log(means)), float(np.sqrt(np.square(weights) @ np.square(relative)))


def median_error(values: Array) -> tuple[float, float]:
    """And its standard error, by bootstrap."""
    again = np.random.default_rng(0).choice(values, (200, len(values)))
    return float(np.median(values)), float(np.median(again, axis=1).std(ddof=1))
