"""Every Fourier transform of the package goes through here: SciPy's, or ducc0's where it is installed (twice as fast).

Transforms of real images over the last two axes; `ERFFAST_FFT=scipy` or ``ducc0`` forces one.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]
NAMES = ("scipy", "ducc0")


@functools.cache
def _library(forced: str) -> str:
    if forced not in ("", *NAMES):
        raise ValueError(f"ERFFAST_FFT must be {' or '.join(NAMES)}, got {forced!r}")
    return forced or ("ducc0" if importlib.util.find_spec("ducc0") is not None else "scipy")


def library() -> str:
    """The library in use."""
    return _library(os.environ.get("ERFFAST_FFT", ""))


def irfft2(values: Complex, shape: tuple[int, int], threads: int) -> Real:
    """The real images [..., *shape] of half spectra [..., shape[0], shape[1] // 2 + 1], which are overwritten.

    Divided by the number of pixels: the inverse of `rfft2`. Relative error (root mean square) about 1e-16 * sqrt(log2(pixels)).
    """
    if library() == "ducc0":
        return np.asarray(_ducc0().c2r(values, axes=(-2, -1), lastsize=shape[1], forward=False, inorm=2, nthreads=threads))
    import scipy.fft

    return np.asarray(scipy.fft.irfft2(values, s=shape, workers=threads, overwrite_x=True))


def rfft2(images: Real, threads: int) -> Complex:
    """Half spectra [..., rows, columns // 2 + 1] of real images [..., rows, columns]."""
    if library() == "ducc0":
        return np.asarray(_ducc0().r2c(images, axes=(-2, -1), nthreads=threads))
    import scipy.fft

    return np.asarray(scipy.fft.rfft2(images, workers=threads))


def good_size(n: int, multiple: int = 1) -> int:
    """The smallest length of at least `n` pixels that is a multiple of `multiple` and transforms fast."""
    import scipy.fft

    return multiple * int(scipy.fft.next_fast_len(-(-n // multiple), real=True))


def _ducc0() -> Any:
    from ducc0 import fft

    return fft
