"""Every Fourier transform of the package goes through here: ducc0's where it is installed, else SciPy's; `ERFFAST_FFT` names one.

ducc0 takes a fifth to a half of the time. Its last bits depend on which lines are transformed together, and so on the number of its
threads and on how many images there are (seen with version 0.42). So it is called with blocks of lines that depend on nothing but
the shape of one image, columns and then rows, each by one thread; what shares out the blocks are threads of our own, which end
before the answer is returned. An image's bits depend on nothing but its spectrum then. SciPy's do not in any case, and blocks of
lines make it slower. Results of the two differ in their last bits.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _backend
from ._threads import share
from .errors import BackendUnavailable

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]
Block = tuple[int, slice]  # lines of an image
NAMES = ("scipy", "ducc0")
PRIMES = (2, 3, 5, 7)  # of which lengths are made: both libraries have a pass for each
# A block is as many lines, and more where lines are short: 128 Ki numbers stay in the second-level cache.
LINES, BLOCK = 64, 2**17
ALONE = 2**18  # numbers that one thread transforms before a second one has started


@dataclass(frozen=True)
class Inverse:
    """Real images, and what was seen of them on the way.

    Attributes
    ----------
    images : float64 [images, rows, columns]
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
    name = os.environ.get("ERFFAST_FFT") or ("ducc0" if _installed() else "scipy")
    if name not in NAMES:
        raise ValueError(f"ERFFAST_FFT must be {' or '.join(NAMES)}, got {name!r}")
    return name


def inverse(values: Complex, shape: tuple[int, int], threads: int) -> Inverse:
    """The images of half spectra [images, shape[0], shape[1] // 2 + 1], which are overwritten; shape[1] is even.

    Divided by the number of pixels: the inverse of `scipy.fft.rfft2`. Relative error (root mean square) about
    1e-16 * sqrt(log2(pixels)).
    """
    peaks, energies = np.empty((len(values), shape[0])), np.empty((len(values), shape[0]))

    def look(images: Real, block: Block) -> None:
        _backend.WEIGH(images[block], peaks[block], energies[block])

    sharing = threads if values.size > ALONE else 1
    if library() == "ducc0":
        images = np.empty((len(values), *shape))
        _with_ducc0(values, images, look, sharing)
    else:
        import scipy.fft

        images = np.asarray(scipy.fft.irfft2(values, s=shape, workers=threads, overwrite_x=True))
        share(lambda block: look(images, block), _blocks(len(values), shape[0], shape[1]), sharing)
    return Inverse(images, peaks.max(axis=1), energies)


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


# ------------------------------------------------------------------------------------------------ blocks of lines


def _with_ducc0(values: Complex, images: Real, look: Callable[[Real, Block], None], threads: int) -> None:
    """Transform in place, then along the rows; each block of rows is looked at while the caches hold it."""
    fft = _ducc0()
    count, height, columns = values.shape
    width = images.shape[2]

    def down(block: Block) -> None:
        part = values[block[0], :, block[1]]
        fft.c2c(part, axes=(0,), forward=False, inorm=2, out=part, nthreads=1)

    def along(block: Block) -> None:
        fft.c2r(values[block], axes=(1,), lastsize=width, forward=False, inorm=2, out=images[block], nthreads=1)
        look(images, block)

    if height > 1:
        share(down, _blocks(count, columns, height), threads)
    share(along, _blocks(count, height, width), threads)


def _blocks(images: int, lines: int, length: int) -> list[Block]:
    """(image, lines): never fewer lines because of other images or threads."""
    step = max(LINES, BLOCK // length)
    return [(i, slice(first, min(first + step, lines))) for i in range(images) for first in range(0, lines, step)]


@functools.cache
def _installed() -> bool:
    return importlib.util.find_spec("ducc0") is not None


def _ducc0() -> Any:
    try:
        from ducc0 import fft
    except ImportError:
        raise BackendUnavailable('ERFFAST_FFT=ducc0, but ducc0 is not installed: pip install "erffast[fft]"') from None
    return fft
