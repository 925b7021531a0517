from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

# (taps [n_kernels, tap_draws, channels_out or 1, channels_in, rows, columns], stride, dilation, before, extent, growth, count,
#  shared, groups, scale [rows, columns] or [high and low parts, rows, columns])
_Pair = tuple[int, int]
_Run = tuple[NDArray[Any], _Pair, _Pair, _Pair, _Pair | None, _Pair, int, bool, int, NDArray[np.float64] | None]
_Progress = Callable[[int, int], object] | None

class _Images:
    def rects(self) -> NDArray[np.int64]: ...
    def exponents(self) -> NDArray[np.int64]: ...
    def peaks(self) -> NDArray[np.float64]: ...
    def borders(self) -> NDArray[np.float64]: ...
    def trimmed(self) -> NDArray[np.float64]: ...
    def rounding(self) -> NDArray[np.float64]: ...
    def energies(self) -> NDArray[np.float64]: ...
    def mass(self, draw: int, axis: int) -> NDArray[np.float64]: ...
    def least(self, draw: int, y0: int, y1: int, x0: int, x1: int) -> float: ...
    def write(self, out: NDArray[Any], y0: int, x0: int, factors: NDArray[np.float64]) -> None: ...

class ImagesF32(_Images): ...
class ImagesF64(_Images): ...

def propagate_f32(
    runs: list[_Run],
    unit: _Pair,
    channels: int,
    draws: int,
    non_negative: bool,
    trim: float,
    threads: int,
    memory_limit: int,
    progress: _Progress,
) -> ImagesF32: ...
def propagate_f64(
    runs: list[_Run],
    unit: _Pair,
    channels: int,
    draws: int,
    non_negative: bool,
    trim: float,
    threads: int,
    memory_limit: int,
    progress: _Progress,
) -> ImagesF64: ...
def propagate_x64(
    runs: list[_Run],
    unit: _Pair,
    channels: int,
    draws: int,
    non_negative: bool,
    trim: float,
    threads: int,
    memory_limit: int,
    progress: _Progress,
) -> ImagesF64: ...
def outer_f32(rows: NDArray[np.float64], columns: NDArray[np.float64], shift: int, out: NDArray[np.float32], threads: int) -> None: ...
def outer_f64(rows: NDArray[np.float64], columns: NDArray[np.float64], shift: int, out: NDArray[np.float64], threads: int) -> None: ...
def multiply_add_rate_f32(threads: int, seconds: float) -> float: ...
def multiply_add_rate_f64(threads: int, seconds: float) -> float: ...
def copy_rate(target: NDArray[np.float64], source: NDArray[np.float64], threads: int, seconds: float) -> float: ...
def write_rate(target: NDArray[np.float64], threads: int, seconds: float) -> float: ...

# (taps [n_kernels, 1 or draws, rows, columns], spacing, count)
_Layers = list[tuple[NDArray[np.float64], _Pair, int]]

def spectrum(
    layers: _Layers, shape: _Pair, band: _Pair | None, draws: int, threads: int, memory_limit: int, progress: _Progress
) -> tuple[NDArray[np.complex128], NDArray[np.int64]]: ...
def probe(
    layers: _Layers,
    shape: _Pair,
    band: _Pair | None,
    values: NDArray[np.complex128],
    exponents: NDArray[np.int64],
    samples: int,
    threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]: ...
def synthesise(weights: NDArray[np.float64], waves: NDArray[np.float64], out: NDArray[np.float64], threads: int) -> tuple[float, float]: ...
def build_info() -> dict[str, Any]: ...
