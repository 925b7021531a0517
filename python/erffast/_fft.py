"""Every Fourier transform of the package goes through here: its own, or SciPy's or ducc0's where `ERFFAST_FFT` asks for them.

Its own transforms several lines at a time, one to each lane of a vector, in place (`cpp/src/kernels/fourier.inl`): of images that fit
the caches in a quarter of the time that ducc0 takes, and an eighth of SciPy's. An image's bits depend on nothing but its spectrum. So it is
with SciPy; those of ducc0 depend on the number of threads and on how many images are transformed together (seen with version
0.42). Results by different libraries differ in their last bits. Single lines, as 1-D chains have them, are left to SciPy.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _backend
from .errors import BackendUnavailable

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]
NAMES = ("native", "scipy", "ducc0")
PRIMES = (2, 3, 5, 7)  # of which lengths are made: a pass by each is written out


@dataclass(frozen=True)
class Inverse:
    """Real images, and what was seen of them on the way.

    Attributes
    ----------
    images : float64 [images, rows, columns]
        In the memory of the spectra where the transform is the package's own: rows are then not side by side.
    peaks : float64 [images]
        Largest absolute values.
    energies : float64 [images, rows]
        Sums of squares.
    """

    images: Real
    peaks: Real
    energies: Real


def library() -> str:
    """The library in use."""
    name = os.environ.get("ERFFAST_FFT") or "native"
    if name not in NAMES:
        raise ValueError(f"ERFFAST_FFT must be {', '.join(NAMES[:-1])} or {NAMES[-1]}, got {name!r}")
    return name


def inverse(values: Complex, shape: tuple[int, int], threads: int) -> Inverse:
    """The images of half spectra [images, shape[0], shape[1] // 2 + 1], which are overwritten; shape[1] is even.

    Divided by the number of pixels: the inverse of `scipy.fft.rfft2`. Relative error (root mean square) about
    1e-16 * sqrt(log2(pixels)).
    """
    name = library()
    if name == "native" and shape[0] > 1:
        peaks, energies = _backend.INVERSE_TRANSFORM(values, shape[1], threads)
        return Inverse(values.view(np.float64)[..., : shape[1]], peaks, energies)
    if name == "ducc0":
        images = np.asarray(_ducc0().c2r(values, axes=(-2, -1), lastsize=shape[1], forward=False, inorm=2, nthreads=threads))
    else:
        import scipy.fft

        images = np.asarray(scipy.fft.irfft2(values, s=shape, workers=threads, overwrite_x=True))
    peaks = np.maximum(images.max(axis=(1, 2)), -images.min(axis=(1, 2)))
    return Inverse(images, peaks, np.einsum("iyx,iyx->iy", images, images))


def good_size(n: int, multiple: int = 1) -> int:
    """The smallest length of at least `n` pixels that is `multiple` times a product of 2, 3, 5 and 7: it transforms fast."""
    size = -(-n // multiple)
    while not _smooth(size):
        size += 1
    return multiple * size


def _smooth(n: int) -> bool:
    for prime in PRIMES:
        while n % prime == 0:
            n //= prime
    return n == 1


def _ducc0() -> Any:
    try:
        from ducc0 import fft
    except ImportError:
        raise BackendUnavailable('ERFFAST_FFT=ducc0, but ducc0 is not installed: pip install "erffast[fft]"') from None
    return fft
