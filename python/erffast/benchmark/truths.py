"""Is an answer right? Checks that share nothing with the engines.

**Parseval.** The squares of the pixel errors add up to the mean over all frequencies of ``|D|^2``, D the difference between the
spectrum of the image and the product of the transfer functions. So a sample of frequencies estimates the 2-norm of the error
image, which is at least its largest pixel. The spectrum of a deep stack is a few narrow peaks that an even sample would never
meet: half of the frequencies are drawn with the density of the energy, found on a coarse grid by a product of its own, and every
frequency counts by the reciprocal of its density, which keeps the estimate unbiased. At the frequencies drawn the product is
taken in long double. An image that lacks pixels is found out as well.

**Sums.** The sums of an image along rows, columns and diagonals are 1-D chains. With non-negative kernels those keep their
relative precision to the last corner, and so must the image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answers import Answer, largest
from .chains import DIRECTIONS, convolved, summed
from .products import numpy_product

Array = NDArray[np.float64]
LONG = np.longdouble
SAMPLES, CHUNK = 400, 8  # frequencies; layers between two rescalings
LEAST_NORMAL = 1e-290  # values below are not compared: float64 images end at 1e-308 of their peak


@dataclass(frozen=True)
class Verdict:
    """The error found, the error allowed, and what the answer was compared with."""

    error: float
    allowed: float
    against: str

    @property
    def wrong(self) -> str:
        """What is wrong; empty where nothing is. NaN is wrong."""
        return "" if self.error <= self.allowed else f"error {self.error:.1e}, allowed {self.allowed:.1e}, against {self.against}"


# ------------------------------------------------------------------------------------------------ Parseval


def sampled_error(answer: Answer, kernels: Array, *, seed: int = 0) -> float:
    """Estimated 2-norm of the error of a one-draw image, relative to its peak; kernels [layers, k, k], image on the plane, unit 0."""
    frequencies, density = _sample(kernels, np.random.default_rng(seed))
    pixels = answer.pixels[0].astype(np.float64, copy=False)
    right, powers = _product_at(kernels, frequencies)
    right = np.asarray(right * np.ldexp(LONG(1), np.clip(powers - int(answer.exponents[0]), -16000, 16000)), dtype=np.complex128)
    gaps = np.abs(_spectrum_at(pixels, answer.origin, frequencies) - right)
    return float(np.sqrt(np.mean(gaps**2 / (4 * math.pi**2 * density))) / np.abs(pixels).max())


def _sample(kernels: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Frequencies [samples, 2] in radians per pixel, half of them even, half by energy, and the density of that mixture."""
    length = _grid_length(kernels)
    cell = 2 * math.pi / length
    share = _energy_shares(kernels, length)
    picked = np.stack(np.unravel_index(rng.choice(share.size, SAMPLES // 2, p=share.ravel()), share.shape), axis=1)
    indices = np.concatenate([picked, rng.integers(0, length, (SAMPLES - len(picked), 2))])
    frequencies = (indices + rng.uniform(-0.5, 0.5, indices.shape)) * cell
    density = 0.5 / (4 * math.pi**2) + 0.5 * share[indices[:, 0], indices[:, 1]] / cell**2
    return frequencies, density


def _grid_length(kernels: Array) -> int:
    """Cells per axis: fine enough for the width of the spectrum's peaks, about 25 standard deviations of the image."""
    n, k = len(kernels), int(max(kernels.shape[1:]))
    return 2 * math.ceil(min(25 * math.sqrt(n * (k * k - 1) / 12), n * (k - 1) + 32, 800) / 2)


def _energy_shares(kernels: Array, length: int) -> Array:
    """|product|^2 on the whole grid of frequencies, as shares of the total."""
    values, exponents = numpy_product(kernels, length, length)
    half = np.square(np.abs(values) * np.ldexp(1.0, np.maximum(exponents - exponents.max(), -500)))
    mirrored = half[-np.arange(length) % length][:, length // 2 - 1 : 0 : -1]
    whole = np.concatenate([half, mirrored], axis=1)
    return np.asarray(whole / whole.sum())


def _waves(frequencies: Array, first: int, count: int) -> NDArray[Any]:
    """``exp(-i f x)`` in long double, [frequencies, positions]: angles of thousands of radians would lose digits in double."""
    return np.asarray(np.exp(-1j * np.multiply.outer(frequencies.astype(LONG), np.arange(first, first + count))))


def _product_at(kernels: Array, frequencies: Array) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The product of the transfer functions in long double: values and powers of two, [frequencies]."""
    left, right = (_waves(frequencies[:, axis], 0, kernels.shape[axis + 1]) for axis in range(2))
    values, exponents = np.ones(len(frequencies), dtype=np.clongdouble), np.zeros(len(frequencies), dtype=np.int64)
    for first in range(0, len(kernels), CHUNK):
        for kernel in kernels[first : first + CHUNK].astype(LONG):
            values *= ((left @ kernel) * right).sum(axis=1)
        shift = np.frexp(np.maximum(np.abs(values.real), np.abs(values.imag)))[1]
        values *= np.ldexp(LONG(1), -shift)
        exponents += shift
    return values, exponents


def _spectrum_at(pixels: Array, origin: tuple[int, int], frequencies: Array) -> NDArray[np.complex128]:
    """The Fourier transform of an image at single frequencies."""
    down, across = (_waves(frequencies[:, axis], origin[axis], pixels.shape[axis]).astype(np.complex128) for axis in range(2))
    rows = (pixels @ np.ascontiguousarray(across.real.T)) + 1j * (pixels @ np.ascontiguousarray(across.imag.T))
    return np.asarray(np.einsum("fy,yf->f", down, rows))


# ------------------------------------------------------------------------------------------------ sums


def sums_error(answer: Answer, kernels: Array) -> float:
    """Largest relative error of the sums of a whole image along its rows, columns and both diagonals; non-negative kernels.

    Sums below 1e-290 of the largest are left out: there the image itself ends.
    """
    worst = 0.0
    for direction in DIRECTIONS:
        right, power = convolved(summed(kernels, direction), LONG)
        found = np.ldexp(summed(answer.pixels[0], direction).astype(LONG), int(answer.exponents[0]) - power)
        if found.shape != right.shape:
            return math.inf
        shown = right > LEAST_NORMAL if answer.pixels.dtype == np.float64 else right > 1e-25
        worst = largest(worst, float(np.abs(found / np.where(shown, right, 1) - 1)[shown].max()))
    return worst


# ------------------------------------------------------------------------------------------------ closed forms


def relative_error(found: NDArray[Any], right: NDArray[Any]) -> float:
    """Largest relative error where `right` is a normal number; infinite where shapes differ, or something stands where 0 belongs."""
    if found.shape != right.shape:
        return math.inf
    shown = right > LEAST_NORMAL
    if np.any(found[~shown] > 2 * LEAST_NORMAL):
        return math.inf
    return largest(float(np.abs(found[shown] / right[shown] - 1).max()))
