from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

# (taps [n_kernels, tap_draws, channels_out or 1, channels_in, rows, columns] or [..., columns], stride, dilation, before, extent,
#  growth, count, shared, groups, scale [rows, columns] or [high and low parts, rows, columns])
_Pair = tuple[int, int]
_Axes = tuple[int, ...]  # one or two values
_Run = tuple[NDArray[Any], _Axes, _Axes, _Axes, _Axes | None, _Axes, int, bool, int, NDArray[np.float64] | None]
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
    def margins(self, draw: int, axis: int, share: float) -> tuple[int, int]: ...
    def least(self, draw: int, y0: int, y1: int, x0: int, x1: int) -> float: ...
    def write(self, out: NDArray[Any], y0: int, x0: int, factors: NDArray[np.float64]) -> NDArray[np.float64]: ...

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
def outer_f32(
    rows: NDArray[np.float64], columns: NDArray[np.float64], shift: int, power: int, out: NDArray[np.float32], threads: int
) -> None: ...
def outer_f64(
    rows: NDArray[np.float64], columns: NDArray[np.float64], shift: int, power: int, out: NDArray[np.float64], threads: int
) -> None: ...
def multiply_add_rate_f32(threads: int, seconds: float) -> float: ...
def multiply_add_rate_f64(threads: int, seconds: float) -> float: ...
def copy_rate(target: NDArray[np.float64], source: NDArray[np.float64], threads: int, seconds: float) -> float: ...
def write_rate(target: NDArray[np.float64], threads: int, seconds: float) -> float: ...

# (taps [n_kernels, 1 or draws, rows, columns], spacing, count)
_Layers = list[tuple[NDArray[np.float64], _Pair, int]]

def spectrum(
    layers: _Layers, shape: _Pair, band: _Pair | None, draws: int, threads: int, memory_limit: int, progress: _Progress
) -> tuple[NDArray[np.complex128], NDArray[np.int64]]: ...
def quantiles(
    values: NDArray[np.complex128], shape: _Pair, band: _Pair | None, samples: int, threads: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]: ...

# (pixels [height, width], rows and columns of the period first taken, row and column of the target, rows and columns, factor)
_Placed = tuple[NDArray[np.float64], _Pair, _Pair, _Pair, float]

def place_f32(images: list[_Placed], target: NDArray[np.float32], threads: int) -> NDArray[np.float64]: ...
def place_f64(images: list[_Placed], target: NDArray[np.float64], threads: int) -> NDArray[np.float64]: ...
def sample(
    layers: _Layers, shape: _Pair, places: NDArray[np.int64], moving: int, threads: int
) -> tuple[NDArray[np.complex128], NDArray[np.complex128], NDArray[np.int64], NDArray[np.complex128]]: ...
def weigh(image: NDArray[np.float64], peaks: NDArray[np.float64], energies: NDArray[np.float64]) -> None: ...
def combine(weights: NDArray[np.float64], lines: NDArray[np.float64], out: NDArray[np.float64], threads: int) -> None: ...
def steps(taps: NDArray[np.float64], draw: int, threads: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]: ...
def cumulants(masses: NDArray[np.float64], factors: NDArray[np.float64], least: float) -> NDArray[np.float64]: ...

# (lags [odd, odd], spacing)
_Families = list[tuple[NDArray[np.float64], _Pair]]

def exponents(families: _Families, relative: float, absolute: float, whole: _Pair, places: NDArray[np.int64]) -> NDArray[np.float64]: ...
def dropped(
    families: _Families,
    relative: float,
    absolute: float,
    std: tuple[float, float],
    shape: _Pair,
    band: _Pair,
    budget: float,
    most_cells: int,
) -> tuple[float, float, bool, _Pair]: ...

class Synthesis:
    def pixels(self, low: _Pair, step: _Pair, factor: float, out: NDArray[np.float64], threads: int) -> tuple[float, float]: ...
    def sums(self, low: _Pair, size: _Pair, axis: int) -> NDArray[np.float64]: ...

def synthesis(values: NDArray[np.complex128], weights: NDArray[np.float64], shape: _Pair, band: _Pair) -> Synthesis: ...

# Random networks. values: (channels, (row, column, height, width)), the first the input and one for each operation. Operations:
# ("convolution", value, window, groups, layer, standard deviations [kernel] or weights [draws or 1, out, in // groups, *kernel], their
# power of two),
# ("filter", value, window, taps [kernel], factors of its output [height, width] or None), ("maximum", value, window),
# ("norm", value),
# ("activation", value, name), ("dropout", value, rate, layer), ("scale", value, factor, its power of two), ("sum", value, value).
# window: kernel, stride, dilation, padding before. inputs: "normal", "uniform" or [draws or 1, channels, height, width].
def simulate_f32(
    values: list[Any],
    operations: list[Any],
    inputs: str | NDArray[np.float64],
    input_exponent: int,
    reduction: str,
    seed: int,
    first: int,
    draws: int,
    threads: int,
    memory_limit: int,
    progress: object,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.uint8], NDArray[np.float64], float]: ...
def simulate_f64(
    values: list[Any],
    operations: list[Any],
    inputs: str | NDArray[np.float64],
    input_exponent: int,
    reduction: str,
    seed: int,
    first: int,
    draws: int,
    threads: int,
    memory_limit: int,
    progress: object,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.uint8], NDArray[np.float64], float]: ...

# elements [2 pair, 2 pair + n)
def normals(seed: int, draw: int, layer: int, purpose: str, n: int, pair: int = 0, one_by_one: bool = False) -> NDArray[np.float64]: ...
def uniforms(seed: int, draw: int, layer: int, purpose: str, n: int, pair: int = 0, one_by_one: bool = False) -> NDArray[np.float64]: ...
def philox(counter: tuple[int, int, int, int], key: int) -> list[int]: ...
def build_info() -> dict[str, Any]: ...
