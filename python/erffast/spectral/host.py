"""Spectra of a period and their images in the host's memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _backend, _fft
from ..execution import Resources
from .period import Array, Blocks, Images, Native, Places, Shape, Waves, blocks_along

STRIDE = 32  # coordinates from one exponential to the next


class HostImage:
    """As `period.Image`.

    Attributes
    ----------
    native : float64 [height, width]
    """

    def __init__(self, pixels: Array) -> None:
        self.native = pixels
        self.shape: Shape = pixels.shape

    def place(self, dtype: str) -> Any:
        return _backend.PLACE[dtype]

    def column_energies(self) -> Array:
        return np.asarray(np.einsum("yx,yx->x", self.native, self.native))

    def sums(self, axis: int) -> Array:
        return np.asarray(np.abs(self.native).sum(axis=1 - axis))

    def seam(self, axis: int, start: int, width: int) -> float:
        lines = np.take(self.native, np.arange(start - width, start + width), axis=axis, mode="wrap")
        return float(np.abs(lines).max())

    def between(self, frequencies: Places, first: Shape, finer: Shape, threads: int) -> Waves:
        return _between(frequencies, self.native, first, finer, threads)

    def clip(self) -> None:
        np.maximum(self.native, 0.0, out=self.native)


def images(values: Waves, shape: Shape, threads: int) -> Images:
    """The images of half spectra, which are overwritten."""
    made = _fft.inverse(values, shape, threads)
    return Images([HostImage(pixels) for pixels in made.images], made.peaks, made.energies)


class HostSpectra:
    """As `period.Spectra`."""

    def __init__(self, layers: Native, shape: Shape, draws: int, resources: Resources) -> None:
        self._values, self.exponents = _backend.SPECTRUM(layers, shape, None, draws, resources.threads, resources.memory, resources.meter)
        self._shape, self._threads = shape, resources.threads

    def quantiles(self, samples: int) -> tuple[Places, Array]:
        return _backend.QUANTILES(self._values, self._shape, None, samples, self._threads)

    def at(self, places: Places) -> Waves:
        found: Waves = self._values[np.arange(len(places))[:, None], places[:, :, 0], places[:, :, 1]]
        return found

    def blocks(self, draw: int) -> Blocks:
        return _blocks(self._values[draw])

    def inverse(self) -> Images:
        return images(self._values, self._shape, self._threads)


def _blocks(values: Waves) -> Blocks:
    """The blocks of a half spectrum [rows, columns]."""
    rows, columns = values.shape
    down, across = blocks_along(rows, columns)
    height, width = -(-rows // down), -(-columns // across)
    sizes = np.zeros((down * height, across * width))
    np.abs(values, out=sizes[:rows, :columns])
    cut = np.swapaxes(sizes.reshape(down, height, across, width), 1, 2).reshape(down * across, height * width)
    at = cut.argmax(axis=1)
    block = np.arange(down * across)
    places = np.stack([block // across * height + at // width, block % across * width + at % width], axis=1)
    return Blocks(places, cut[block, at], 2 * cut.sum(axis=1))


def _between(frequencies: Places, pixels: Array, first: Shape, finer: Shape, threads: int) -> Waves:
    """Sums over a cyclic image times exp(-i frequency . x), [n]; its coordinates begin at `first`, frequencies are [n, 2].

    Rows as far above the middle as below it share a cosine and, but for its sign, a sine: half the multiply-adds.
    """
    height, width = pixels.shape
    above = np.arange((height + 1) // 2)
    upper, lower = pixels[(first[0] + above) % height], pixels[(first[0] + height - 1 - above) % height]
    if height % 2:
        lower[-1] = 0.0  # the middle row has no other
    down = _waves(frequencies[:, 0], 1 - height, len(above), height, finer[0])
    parts = np.empty((2, len(frequencies), width))
    _backend.combine(down[0], upper + lower, parts[0], threads)
    _backend.combine(down[1], np.subtract(upper, lower, out=upper), parts[1], threads)
    begin = first[1] % width
    across = np.roll(_waves(frequencies[:, 1], 2 * first[1], width, width, finer[1]), begin, axis=2)
    real = np.einsum("nx,nx->n", parts[0], across[0]) - np.einsum("nx,nx->n", parts[1], across[1])
    imaginary = np.einsum("nx,nx->n", parts[0], across[1]) + np.einsum("nx,nx->n", parts[1], across[0])
    return np.asarray((real + 1j * imaginary) * _turn(frequencies[:, 0], np.array([2 * first[0] + height - 1]), height, finer[0])[:, 0])


def _waves(frequencies: Places, twice: int, count: int, n: int, finer: int) -> Array:
    """exp(-i frequency . x) at `count` coordinates x = twice / 2, and 1, 2, .. further on: real and imaginary parts [2, n, count].

    Products of two waves, to every `STRIDE`th coordinate and on from there: exponentials for all took a quarter of `folded`'s time.
    """
    coarse = _turn(frequencies, twice + 2 * STRIDE * np.arange(-(-count // STRIDE)), n, finer)
    waves = coarse[:, :, None] * _turn(frequencies, 2 * np.arange(STRIDE), n, finer)[:, None]
    flat = waves.reshape(len(frequencies), -1)[:, :count]
    return np.stack([flat.real, flat.imag])


def _turn(frequencies: Places, twice: Places, n: int, finer: int) -> Waves:
    """exp(-i frequency . x) at coordinates x = twice / 2 of a cyclic axis of `n` pixels; frequencies in 1 / (n finer)."""
    # whole turns are taken out in integers, which hold the product; of at most half a turn the rounding is least
    halves = (frequencies[:, None] * twice + n * finer) % (2 * n * finer) - n * finer
    return np.asarray(np.exp((-1j * np.pi / (n * finer)) * halves))
