"""Spectra of a period and their images, where they are computed: in the host's memory (`host`) or on a GPU (`device`).

Whoever looks for periods and weighs errors asks for a few numbers and places only; arrays stay where they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..execution import Resources

Array = NDArray[np.float64]
Waves = NDArray[np.complex128]
Places = NDArray[np.int64]
Shape = tuple[int, int]
Native = list[tuple[Array, tuple[int, int], int]]

BLOCKS = 256  # of frequencies, 16 along each axis; of a spectrum with one row, along it


@dataclass(frozen=True)
class Blocks:
    """The blocks of one draw's spectrum.

    Attributes
    ----------
    places : int64 [n, 2]
        Where each is largest.
    largest, sums : float64 [n]
        The modulus there, and the sum of all of the block, of the frequencies it stands for by symmetry too.
    """

    places: Places
    largest: Array
    sums: Array


class Image(Protocol):
    """One draw's image on a period.

    Attributes
    ----------
    shape : tuple of two int
    native : object
        What `place` takes for its pixels.
    """

    shape: Shape
    native: Any

    def place(self, dtype: str) -> Any:
        """The native function that puts such images where they belong."""

    def column_energies(self) -> Array:
        """Sums of squares of the columns."""

    def sums(self, axis: int) -> Array:
        """Sums of absolute values along the other axis."""

    def seam(self, axis: int, start: int, width: int) -> float:
        """The largest absolute value within `width` pixels of row or column `start`, cyclically."""

    def between(self, frequencies: Places, first: Shape, finer: Shape, threads: int) -> Waves:
        """Sums over the image times exp(-i frequency . x), [n].

        Coordinates x begin at `first`; frequencies [n, 2] count in parts of ``finer * shape`` of a turn.
        """

    def clip(self) -> None:
        """Set pixels below 0 to 0."""


@dataclass(frozen=True)
class Images:
    """The images of several draws, and what was seen of them on the way.

    Attributes
    ----------
    images : list of Image
    peaks : float64 [draws]
        Largest absolute values.
    energies : float64 [draws, rows]
        Sums of squares.
    """

    images: list[Image]
    peaks: Array
    energies: Array


class Spectra(Protocol):
    """Half spectra [draws, rows, columns] of one period.

    Attributes
    ----------
    exponents : int64 [draws]
        True values are values times ``2**exponents``.
    """

    exponents: NDArray[np.int64]

    def quantiles(self, samples: int) -> tuple[Places, Array]:
        """Places of the energy, [draws, samples, 2], and the sums of squares, [draws]."""

    def at(self, places: Places) -> Waves:
        """Values at places [draws, n, 2]."""

    def blocks(self, draw: int) -> Blocks:
        """The blocks of one draw."""

    def inverse(self) -> Images:
        """The images, divided by the number of pixels; the spectra may be used up."""


def spectra(layers: Native, shape: Shape, draws: int, resources: Resources) -> Spectra:
    """The product of all transfer functions on a period, on the device asked for."""
    from . import device, host

    kind: Any = host.HostSpectra if resources.native is _core else device.DeviceSpectra
    made: Spectra = kind(layers, shape, draws, resources)
    return made


def on_device(resources: Resources) -> bool:
    """Whether images are made on a GPU."""
    if resources.native is _core:
        return False
    from . import device

    return not device.on_host(resources.native)


def remark(resources: Resources) -> str:
    """Where the inverse transform is made, if not on the device of all else; or empty."""
    return "" if resources.native is _core or on_device(resources) else "inverse transform on the host"


def blocks_along(rows: int, columns: int) -> Shape:
    """How many blocks a half spectrum has along each axis."""
    down = min(rows, round(BLOCKS**0.5))
    return down, min(columns, BLOCKS // down)
