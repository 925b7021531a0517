"""Draws in parts. A part's draws, and the order in which parts are added up, depend on the network alone: not on threads, not on who
computes them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import _backend, _core
from .._progress import Meter
from ..layers import Activation, Conv, Dropout, MaxPool, Stack, _Window
from .averages import Drawn, Part, part_of
from .inputs import Inputs, normal_numbers
from .program import Made, Program, native_operations, native_values, program_of
from .schemes import weights_of

MOST_DRAWS, MOST_BYTES, MOST_WORK = 64, 2**26, 2 * 10**10  # of a part: draws, bytes, multiply-adds: about a second
LARGE_PAGE = 2**21
AHEAD = 64  # parts with an executor at a time
REMEDY = "use fewer threads, a smaller map or dtype='float32'"
T = TypeVar("T")
SIMULATE: dict[str, Any] = {"float32": _core.simulate_f32, "float64": _core.simulate_f64}


@dataclass(frozen=True)
class Job:
    """Everything that draws depend on. Other processes are sent what their draws need, `of` it."""

    net: Stack
    unit: tuple[int, ...]
    input_size: tuple[int, ...] | None
    channels: int  # of the input
    width: int  # of convolutions that do not say
    scheme: str
    # [draws or 1, out, in // groups, *kernel] each, from draw number `first` on, and a power of two
    weights: tuple[tuple[NDArray[np.float64], int], ...] | None
    inputs: Inputs
    seed: int
    reduction: str
    normalise: bool
    dtype: str
    threads: int
    first: int = 0

    def of(self, draws: range, program: Program) -> Job:
        """The job of some draws alone: their weights, and what they see of the images."""
        weights = self.weights and tuple([(w if len(w) == 1 else w[draws.start : draws.stop], exponent) for w, exponent in self.weights])
        return replace(self, weights=weights, inputs=self.inputs.of(draws, program.rects[0]), first=draws.start)

    def program(self) -> Program:
        return program_of(self.net, self.unit, self.input_size, self.channels, self._width)

    def _width(self, layer: Conv, index: int, channels: int) -> int:
        if self.weights is None:
            return layer.channels or self.width * layer.groups // math.gcd(self.width, layer.groups)
        given = self.weights[index][0].shape
        if given[2] * layer.groups != channels:
            raise ValueError(
                f"weights[{index}] takes {given[2] * layer.groups} input channels (shape {given[1:]}), but convolution {index} "
                f"({layer.label}) gets {channels}"
            )
        return int(given[1])

    def part_size(self, program: Program) -> int:
        """Draws of a part: so many that neither its images and weights nor the time it takes grow large."""
        bytes_of_one = 8 * (program.pixels(0) // program.channels + self.drawn_weights(program))
        return max(1, min(MOST_DRAWS, MOST_BYTES // bytes_of_one, MOST_WORK // (program.work + 1)))

    def drawn_weights(self, program: Program) -> int:
        """Numbers of the weights of one draw that are made here and not in the engine."""
        made = self.weights is None and self.scheme in ("orthogonal", "delta-orthogonal")
        return sum(program.weights_of(one) for one in program.convolutions) if made else 0


def draw(job: Job, draws: range, program: Program | None = None, counted: Meter | None = None) -> Drawn:
    """The gradients of some draws."""
    program = job.program() if program is None else program
    weights = [_weights(job, program, made, index, draws) for index, made in enumerate(program.convolutions)]
    inputs = job.inputs.for_engine(draws, program.channels, program.rects[0])
    threads = _backend.thread_count(job.threads)
    limit = require_memory(program, job, len(draws), threads)
    operations = native_operations(program, weights)
    place = draws.start, len(draws), threads, limit, counted
    try:
        images, exponents, fates, borders, rounding = SIMULATE[job.dtype](
            native_values(program), operations, inputs, job.inputs.exponent, job.reduction, job.seed, *place
        )
    except MemoryError as exc:
        needed = _backend.readable_bytes(exc.args[0]) if exc.args and isinstance(exc.args[0], int) else "more"
        available = _backend.readable_bytes(_backend.memory_limit())
        raise MemoryError(f"one map of a draw needs {needed}, and {available} are available for all; {REMEDY}") from None
    if counted is not None:
        counted.add(len(operations) * len(draws))
    return Drawn(images if program.ndim == 2 else images[:, 0], exponents, fates, borders, rounding)


def _weights(job: Job, program: Program, made: Made, index: int, draws: range) -> tuple[Any, int]:
    """Of the convolution of this index."""
    layer = made.layer
    assert isinstance(layer, Conv)
    if job.weights is not None:
        given, exponent = job.weights[index]
        return given if len(given) == 1 else given[draws.start - job.first : draws.stop - job.first], exponent
    channels = program.channels_of(made.reads[0])
    shape = (made.channels, channels // layer.groups, *layer.geometry(program.ndim)[0])
    return normal_numbers(weights_of(job.scheme, layer, shape, made.number, job.seed, draws))


def averaged(job: Job, draws: range, program: Program | None = None, counted: Meter | None = None) -> Part:
    """The draws of a part, added up."""
    return part_of(draw(job, draws, program, counted), normalise=job.normalise, signed=job.reduction == "signed")


def ranges(draws: int, each: int) -> Iterator[range]:
    return (range(first, min(first + each, draws)) for first in range(0, draws, each))


def each_part(
    function: Callable[..., T], job: Job, draws: int, program: Program, executor: Executor | None, counted: Meter | None
) -> Iterator[T]:
    """What `draw` or `averaged` makes of each part, in order."""
    work = ranges(draws, job.part_size(program))
    if counted is not None:
        counted.expect(len(program.operations) * draws)
    if executor is None:
        for some in work:
            yield function(job, some, program, counted)
        return
    for some, found in _elsewhere(executor, function, job, program, work):
        yield found
        if counted is not None:
            counted.add(len(program.operations) * len(some))


def _elsewhere(
    executor: Executor, function: Callable[..., T], job: Job, program: Program, work: Iterator[range]
) -> Iterator[tuple[range, T]]:
    """Parts and what an executor makes of them, in order; at most `AHEAD` are with it at a time."""
    waiting: deque[tuple[range, Future[T]]] = deque()
    try:
        while True:
            for some in islice(work, AHEAD - len(waiting)):
                waiting.append((some, executor.submit(function, job.of(some, program), some)))
            if not waiting:
                return
            some, future = waiting.popleft()
            yield some, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


def require_memory(program: Program, job: Job, draws: int, threads: int) -> int:
    """MemoryError where the draws of a part do not fit; else the bytes allowed to the engine.

    Of every draw under way: what each operation keeps for the way back (of a ReLU a bit a pixel), the weights, and a few times the
    largest map. Of the part: images, inputs and weights that are made here.
    """
    size = np.dtype(job.dtype).itemsize
    alone = threads if draws >= threads else 1
    line = 64 // size if program.side_by_side else 1  # channels are filled up to whole lines
    kept, largest = 0.0, 0.0
    for index, made in enumerate(program.operations):
        pixels = program.stored(index + 1, line)
        kept += _kept_bytes(program, made, pixels, size)
        largest = max(largest, pixels, program.stored(index, line), program.reached(index, line))
    # three maps or gradients at a time, with strides one more, whose columns are sorted, and those that wait for a sum. A plane that
    # grows takes half as much again, which is not written to but for the rest of a large page.
    at_once = 3 + int(not program.side_by_side and _has_strides(program))
    planes = size * (at_once * largest + _most_held(program, line))
    engine = kept + planes + min(planes / 2, at_once * LARGE_PAGE)
    pixels = program.pixels(0)
    # the images, the mean and squares of the parts before, and of this one
    images = 8 * (draws + 4) * pixels // program.channels
    inputs = 0 if job.inputs.images is None else 8 * pixels * (draws if len(job.inputs.images) > 1 else 1)
    needed = alone * engine + images + inputs + 16 * draws * job.drawn_weights(program)
    together = min(draws, alone)
    return _backend.require_memory(int(needed), f"simulating {together} draw{'s' if together > 1 else ''} at a time", REMEDY)


def _has_strides(program: Program) -> bool:
    return any(isinstance(made.layer, _Window) and max(made.layer.geometry(program.ndim)[1]) > 1 for made in program.operations)


def _kept_bytes(program: Program, made: Made, pixels: float, size: int) -> float:
    """What an operation keeps for the way back."""
    if isinstance(made.layer, Conv):
        return size * program.weights_of(made)
    if isinstance(made.layer, MaxPool):
        return 2 * pixels
    if isinstance(made.layer, Dropout) or (isinstance(made.layer, Activation) and made.layer.name in ("relu", "leaky_relu")):
        return pixels / 8
    return size * pixels if isinstance(made.layer, Activation) else 0.0


def _most_held(program: Program, line: int) -> float:
    """Numbers of maps that wait for a sum, at the most."""
    last = {read: index for index, made in enumerate(program.operations) for read in made.reads}
    waiting, most = 0.0, 0.0
    kept: set[int] = set()
    for index, made in enumerate(program.operations):
        for read in set(made.reads):
            if last[read] > index and read not in kept:
                kept.add(read)
                waiting += program.stored(read, line)
            elif last[read] == index and read in kept:
                waiting -= program.stored(read, line)
        most = max(most, waiting)
    return most
