"""Spectra of a period and their images on a GPU: arrays stay there, the answer's with them, and small answers come back.

Where cuFFT is not to be had the spectrum comes back, and the inverse transform is the host's; `on_host` says so.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _backend
from ..execution import Resources
from . import host
from .period import Array, Blocks, Images, Native, Places, Shape, Waves, blocks_along

BATCH_BYTES = 2**28  # of draws that are transformed together: enough to keep a GPU busy
WAVES = 256  # frequencies that an image is added up with at a time, at most: `period.BLOCKS`
PLACE = {"float32": "place_f32", "float64": "place_f64"}


class DeviceImage:
    """As `period.Image`.

    Attributes
    ----------
    native : tuple
        The images of some draws, and which of them it is.
    """

    def __init__(self, module: Any, images: Any, draw: int) -> None:
        self._module, self._images, self._draw = module, images, draw
        self.native = (images, draw)
        self.shape: Shape = images.shape

    def place(self, dtype: str) -> Any:
        return getattr(self._module, PLACE[dtype])

    def column_energies(self) -> Array:
        return np.asarray(self._images.column_energies(self._draw))

    def sums(self, axis: int) -> Array:
        return np.asarray(self._images.sums(self._draw, axis))

    def seam(self, axis: int, start: int, width: int) -> float:
        first, size = [0, 0], list(self.shape)
        first[axis], size[axis] = start - width, 2 * width
        return float(self._images.largest(self._draw, tuple(first), tuple(size)))

    def between(self, frequencies: Places, first: Shape, finer: Shape, threads: int) -> Waves:
        return np.asarray(self._images.waves(self._draw, frequencies, finer, first))

    def clip(self) -> None:
        self._images.clip(self._draw)


class DeviceSpectra:
    """As `period.Spectra`."""

    def __init__(self, layers: Native, shape: Shape, draws: int, resources: Resources) -> None:
        self._module, self._shape, self._resources = resources.native, shape, resources
        try:
            self._native = resources.native.spectra(layers, shape, draws, resources.memory, resources.meter)
        except MemoryError as exc:
            raise _shortage(exc, resources) from None
        self.exponents: NDArray[np.int64] = self._native.exponents

    def quantiles(self, samples: int) -> tuple[Places, Array]:
        places, squares = self._native.quantiles(samples)
        return places, squares

    def at(self, places: Places) -> Waves:
        return np.asarray(self._native.at(places))

    def blocks(self, draw: int) -> Blocks:
        return Blocks(*self._native.blocks(draw, *blocks_along(self._shape[0], self._shape[1] // 2 + 1)))

    def inverse(self) -> Images:
        if on_host(self._module):
            return host.images(self._native.values(), self._shape, self._resources.threads)
        try:
            images, peaks, energies = self._native.inverse()
        except MemoryError as exc:
            raise _shortage(exc, self._resources) from None
        return Images([DeviceImage(self._module, images, draw) for draw in range(len(peaks))], peaks, energies)


def _shortage(exc: MemoryError, resources: Resources) -> MemoryError:
    """What the module says in bytes, for people."""
    needed = exc.args[0] if exc.args and isinstance(exc.args[0], int) else 0
    return _backend.shortage(needed, resources.memory, "a spectrum with its image", resources.remedy, where=" on the GPU")


def bytes_for(shape: Shape) -> int:
    """What the questions about one draw take, beside its spectrum and its image: tables, and waves of some frequencies."""
    return 2**20 + WAVES * 16 * (shape[0] + 2 * shape[1])


@functools.cache
def on_host(module: Any) -> str:
    """Why the inverse transform is the host's; empty where it is the GPU's."""
    reason: str = module.load_transforms(_candidates(module.transform_library()))
    return reason


def _candidates(name: str) -> list[str]:
    """Where NVIDIA's packages put a library: of CUDA 13 in a folder of its major version, before that in one of cuFFT."""
    found = importlib.util.find_spec("nvidia")
    folders = (found.submodule_search_locations or ()) if found else ()
    return [str(path) for folder in folders for path in sorted(Path(folder).glob(f"c*/lib/{name}"))]
