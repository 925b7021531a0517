"""The fair peers: products of transfer functions and one inverse FFT, as a good NumPy or torch user would write them.

Transfer functions are evaluated by rows and columns, ``E_y w E_x``, into one buffer and multiplied in place; every 16 layers
the product is brought back to 1 and the powers of two are booked per frequency, so that no depth over- or underflows. In NumPy
threads share out blocks of rows that stay in the caches (2016 x 2016: twice as fast as the whole plane), so small that BLAS starts
no threads of its own (32 rows beside busy neighbours: ten times as slow). torch shares out its operations itself.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answers import Answer, single

Array = NDArray[np.float64]
RESCALE_EVERY = 16
NUMPY_ROWS, TORCH_ROWS = 16, 256


def even_length(least: int) -> int:
    """The smallest fast even FFT length from `least` on."""
    import scipy.fft

    length = int(scipy.fft.next_fast_len(least, real=True))
    while length % 2:
        length = int(scipy.fft.next_fast_len(length + 1, real=True))
    return length


def phases(taps: int, length: int, frequencies: NDArray[np.int64], centre: int) -> NDArray[np.complex128]:
    """``exp(-2 pi i (a - centre) f / length)``, [frequencies, taps]; the angle is reduced in integers."""
    turns = np.multiply.outer(frequencies, np.arange(taps) - centre) % length
    return np.asarray(np.exp(-2j * np.pi / length * turns))


def numpy_product(
    kernels: Array, rows: int, columns: int, *, centred: bool = False, threads: int = 1
) -> tuple[NDArray[np.complex128], NDArray[np.int64]]:
    """The product of the transfer functions of `kernels` [layers, k, k] on half a plane of frequencies.

    Returns values [rows, columns // 2 + 1] and their powers of two. Taps count from the first, or from the middle one where
    `centred`.
    """
    height, width = kernels.shape[1:]
    middle = ((height - 1) // 2, (width - 1) // 2) if centred else (0, 0)
    left = phases(height, rows, np.arange(rows), middle[0])
    right = np.ascontiguousarray(phases(width, columns, np.arange(columns // 2 + 1), middle[1]).T)
    values = np.ones((rows, columns // 2 + 1), dtype=np.complex128)
    exponents = np.zeros(values.shape, dtype=np.int64)

    def multiply(first: int) -> None:
        block, powers, phase = (part[first : first + NUMPY_ROWS] for part in (values, exponents, left))
        out = np.empty_like(block)
        for layer, kernel in enumerate(kernels, start=1):
            np.matmul(phase @ kernel, right, out=out)
            block *= out
            if layer % RESCALE_EVERY == 0:
                shift = np.frexp(np.maximum(np.abs(block.real), np.abs(block.imag)))[1]
                block *= np.ldexp(1.0, -shift)
                powers += shift

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(multiply, range(0, rows, NUMPY_ROWS)))
    return values, exponents


def numpy_image(kernels: Array, *, period: int | None = None, threads: int = 1) -> Answer:
    """The gradient image: product and inverse FFT on the whole support, or on a smaller `period` that is known to hold it."""
    import scipy.fft

    sides = [len(kernels) * (k - 1) + 1 for k in kernels.shape[1:]]
    lengths = [even_length(side) if period is None else min(period, even_length(side)) for side in sides]
    values, exponents = numpy_product(kernels, lengths[0], lengths[1], centred=period is not None, threads=threads)
    top = int(exponents.max())
    values *= np.ldexp(1.0, np.maximum(exponents - top, -1100))
    image = scipy.fft.irfft2(values, s=lengths, workers=threads)
    if period is None:
        return single(image[: sides[0], : sides[1]], top)
    return _unwrapped(image, kernels, top)


def torch_image(kernels: Array, device: str = "cpu") -> Answer:
    """`numpy_image` on the whole support, in torch complex128."""
    import torch

    sides = [len(kernels) * (k - 1) + 1 for k in kernels.shape[1:]]
    rows, columns = map(even_length, sides)
    left = torch.from_numpy(phases(kernels.shape[1], rows, np.arange(rows), 0)).to(device)
    right = torch.from_numpy(phases(kernels.shape[2], columns, np.arange(columns // 2 + 1), 0)).T.contiguous().to(device)
    taps = torch.from_numpy(np.ascontiguousarray(kernels)).to(device, torch.complex128)
    values = torch.ones((rows, columns // 2 + 1), dtype=torch.complex128, device=device)
    exponents = torch.zeros(values.shape, dtype=torch.int32, device=device)
    one = torch.ones((), dtype=torch.float64, device=device)
    together = TORCH_ROWS if device == "cpu" else rows  # a GPU has no cache that a block would stay in
    for first in range(0, rows, together):
        block, powers, phase = (part[first : first + together] for part in (values, exponents, left))
        out = torch.empty_like(block)
        for layer, kernel in enumerate(taps, start=1):
            torch.matmul(phase @ kernel, right, out=out)
            block *= out
            if layer % RESCALE_EVERY == 0:
                shift = torch.frexp(torch.maximum(block.real.abs(), block.imag.abs())).exponent
                block *= torch.ldexp(one.expand(shift.shape), -shift)
                powers += shift
    top = int(exponents.max())
    values *= torch.ldexp(one.expand(exponents.shape), torch.clamp(exponents - top, min=-1000))
    image = torch.fft.irfft2(values, s=(rows, columns))
    return single(np.asarray(image[: sides[0], : sides[1]].cpu().numpy()), top)


@dataclass(frozen=True)
class Band:
    """Which frequencies, |row| <= rows and 0 <= column <= columns, of which period make which pixels, first .. last per axis."""

    period: int
    rows: int
    columns: int
    window: tuple[tuple[int, int], tuple[int, int]]


def band_image(kernels: Array, given: Band, *, precise: bool = False) -> Answer:
    """A window of a non-negative stack from the few frequencies that count when it is deep.

    Which ones do is given: to find a safe band and period is left to whoever asks. `precise`: the product in long double.
    """
    real = np.longdouble if precise else np.float64
    total = kernels.astype(real).sum(axis=(1, 2), keepdims=True)
    period, ((y0, y1), (x0, x1)) = given.period, given.window
    frequencies = np.arange(-given.rows, given.rows + 1), np.arange(given.columns + 1)
    left, right = (_waves(0, 1 - k, f, period, real).T for k, f in zip(kernels.shape[1:], frequencies, strict=True))
    product = np.ones((left.shape[0], right.shape[0]), dtype=left.dtype)
    for kernel in kernels / total:
        product *= (left @ kernel) @ right.T
    product = product.astype(np.complex128)
    down, across = (_waves(first, last, f, period, np.float64) for first, last, f in zip((y0, x0), (y1, x1), frequencies, strict=True))
    product[:, 1:] *= 2  # and their conjugates
    columns = down @ product
    image = (columns.real @ across.real.T - columns.imag @ across.imag.T) / period**2
    log2 = np.log2(total.astype(np.longdouble)).sum()  # of tens of thousands: in double its fraction would be right to 1e-12 only
    return single(image * float(2 ** (log2 % 1)), int(log2 // 1), (y0, x0))


def _waves(first: int, last: int, frequencies: NDArray[np.int64], period: int, real: Any) -> NDArray[Any]:
    """``exp(2 pi i x f / period)`` at x = first .. last, or downwards where last is the smaller: [pixels, frequencies]."""
    step = 1 if last >= first else -1
    turns = np.multiply.outer(np.arange(first, last + step, step), frequencies) % period
    angle = turns.astype(real) * (2 * np.arctan2(real(0), real(-1)) / period)
    return np.asarray(np.exp(1j * angle))


def _unwrapped(image: Array, kernels: Array, exponent: int) -> Answer:
    """An image of centred taps, cyclic, rolled so that the support lies in its middle."""
    before = [len(kernels) * ((k - 1) // 2) for k in kernels.shape[1:]]
    after = [len(kernels) * (k // 2) for k in kernels.shape[1:]]
    first = [(a - b - n + 1) // 2 for a, b, n in zip(after, before, image.shape, strict=True)]
    origin = (before[0] + first[0], before[1] + first[1])
    return single(np.roll(image, (-first[0], -first[1]), axis=(0, 1)), exponent, origin)
