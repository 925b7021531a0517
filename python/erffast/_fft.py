"""Every Fourier transform of the package goes through here: SciPy's, or ducc0's where `ERFFAST_FFT=ducc0` asks for it.

ducc0 takes half the time. But its last bits depend on the number of threads and on how many images are transformed together
(seen with version 0.42), SciPy's do not, and results are promised not to.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BackendUnavailable

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]
NAMES = ("scipy", "ducc0")


def library() -> str:
    """The library in use."""
    name = os.environ.get("ERFFAST_FFT") or "scipy"
    if name not in NAMES:
        raise ValueError(f"ERFFAST_FFT must be {' or '.join(NAMES)}, got {name!r}")
    return name


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
    try:
        from ducc0 import fft
    except ImportError:
        raise BackendUnavailable('ERFFAST_FFT=ducc0, but ducc0 is not installed: pip install "erffast[fft]"') from None
    return fft
