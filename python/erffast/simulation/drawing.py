"""Draws in parts. A part's draws, and the order in which parts are added up, depend on the network alone: not on threads, not on who
computes them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _backend, _core
from .._progress import Meter
from ..layers import Conv, Stack
from .averages import Part, part_of
from .inputs import Inputs
from .program import Made, Program, native_operations, native_values, program_of
from .schemes import weights_of

MOST_DRAWS, MOST_BYTES = 64, 2**26  # of a part
SIMULATE: dict[str, Any] = {"float32": _core.simulate_f32, "float64": _core.simulate_f64}


@dataclass(frozen=True)
class Job:
    """Everything that draws depend on. It is sent to other processes."""

    net: Stack
    unit: tuple[int, ...]
    input_size: tuple[int, ...] | None
    channels: int  # of the input
    width: int  # of convolutions that do not say
    scheme: str
    weights: tuple[NDArray[np.float64], ...] | None  # [draws or 1, out, in // groups, *kernel] each
    inputs: Inputs
    seed: int
    reduction: str
    normalise: bool
    dtype: str
    threads: int

    def program(self) -> Program:
        return program_of(self.net, self.unit, self.input_size, self.channels, self._width)

    def _width(self, layer: Conv, index: int, channels: int) -> int:
        if self.weights is None:
            return layer.channels or self.width * layer.groups // math.gcd(self.width, layer.groups)
        given = self.weights[index].shape
        if given[2] * layer.groups != channels:
            raise ValueError(
                f"weights[{index}] takes {given[2] * layer.groups} input channels (shape {given[1:]}), but convolution {index} "
                f"({layer.label}) gets {channels}"
            )
        return int(given[1])

    def part_size(self, program: Program) -> int:
        """Draws of a part."""
        low, high = program.rects[0]
        pixels = math.prod(b - a + 1 for a, b in zip(low, high, strict=True))
        return max(1, min(MOST_DRAWS, MOST_BYTES // (8 * pixels)))


class Drawn(NamedTuple):
    """Draws as they came: images [draws, *shape], true values times ``2**exponents``."""

    images: NDArray[np.float64]
    exponents: NDArray[np.int64]
    fates: NDArray[np.uint8]  # 0 alive, 1 zero everywhere, 2 not finite
    borders: NDArray[np.float64]
    rounding: float


def draw(job: Job, draws: range, program: Program | None = None, counted: Meter | None = None) -> Drawn:
    """The gradients of some draws."""
    program = job.program() if program is None else program
    weights = [_weights(job, program, made, index, draws) for index, made in enumerate(program.convolutions)]
    inputs = job.inputs.for_engine(draws, program.channels, program.rects[0])
    threads = _backend.thread_count(job.threads)
    limit = require_memory(program, job, len(draws), threads)
    operations = native_operations(program, weights)
    images, exponents, fates, borders, rounding = SIMULATE[job.dtype](
        native_values(program), operations, inputs, job.reduction, job.seed, draws.start, len(draws), threads, limit, counted
    )
    if counted is not None:
        counted.add(len(operations) * len(draws))
    return Drawn(images if program.ndim == 2 else images[:, 0], exponents, fates, borders, rounding)


def _weights(job: Job, program: Program, made: Made, index: int, draws: range) -> Any:
    """Of the convolution of this index."""
    layer = made.layer
    assert isinstance(layer, Conv)
    if job.weights is not None:
        given = job.weights[index]
        return given if len(given) == 1 else given[draws.start : draws.stop]
    channels = program.channels_of(made.reads[0])
    shape = (made.channels, channels // layer.groups, *layer.geometry(program.ndim)[0])
    return weights_of(job.scheme, layer, shape, made.number, job.seed, draws)


def averaged(job: Job, draws: range) -> tuple[Part, float]:
    """The draws of a part, added up, and the mean share that borders took."""
    return summed(job, draw(job, draws))


def summed(job: Job, drawn: Drawn) -> tuple[Part, float]:
    alive = drawn.fates == 0
    part = part_of(drawn.images, drawn.exponents, drawn.fates, drawn.rounding, normalise=job.normalise, signed=job.reduction == "signed")
    return part, float(drawn.borders[alive].sum())


def ranges(draws: int, each: int) -> list[range]:
    return [range(first, min(first + each, draws)) for first in range(0, draws, each)]


def parts(job: Job, draws: int, program: Program, executor: Executor | None, counted: Meter | None) -> Iterator[tuple[Part, float]]:
    """All parts, in order."""
    work = ranges(draws, job.part_size(program))
    if executor is None:
        for some in work:
            yield summed(job, draw(job, some, program, counted))
        return
    futures = [executor.submit(averaged, job, some) for some in work]
    try:
        for some, future in zip(work, futures, strict=True):
            yield future.result()
            if counted is not None:
                counted.add(len(program.operations) * len(some))
    finally:
        for future in futures:
            future.cancel()


def require_memory(program: Program, job: Job, draws: int, threads: int) -> int:
    """MemoryError where the draws of a part do not fit; else the bytes allowed to the engine.

    Of every draw under way: the gates of all activations, a bit a pixel where they have two values, the weights, and the largest maps
    a few times over.
    """
    size = np.dtype(job.dtype).itemsize
    alone = threads if draws >= threads else 1
    kept = 0.0
    sizes = [program.pixels(value) for value in range(len(program.rects))]
    for pixels, made in zip(sizes[1:], program.operations, strict=True):
        name = type(made.layer).__name__
        two = getattr(made.layer, "name", "") in ("relu", "leaky_relu") or name == "Dropout"
        if name in ("Activation", "Dropout"):
            kept += pixels / 8 if two else pixels * size
        elif name == "MaxPool":
            kept += 2 * pixels
        elif name == "Conv":
            channels = program.channels_of(made.reads[0]) // made.layer.groups  # type: ignore[union-attr]
            kept += size * made.channels * channels * math.prod(made.layer.geometry(program.ndim)[0])  # type: ignore[union-attr]
    held = _most_held(program)
    image = 8 * draws * sizes[0] / program.channels
    needed = int(alone * (kept + size * (3 * max(sizes) + held)) + 3 * image)
    together = min(draws, alone)
    what = f"simulating {together} draw{'s' if together > 1 else ''} at a time"
    return _backend.require_memory(needed, what, "use fewer threads, a smaller map or dtype='float32'")


def _most_held(program: Program) -> int:
    """Pixels of maps that wait for a sum, at the most."""
    last = {read: index for index, made in enumerate(program.operations) for read in made.reads}
    waiting, most, leaves = 0, 0, {}
    for index, made in enumerate(program.operations):
        for read in set(made.reads):
            if last[read] > index:
                if read not in leaves:
                    leaves[read] = last[read]
                    waiting += program.pixels(read)
            elif read in leaves:
                waiting -= program.pixels(read)
        most = max(most, waiting)
    return most
