"""What an engine runs: a chain of backward steps, and everything the result needs to know about it."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import geometry
from .geometry import AxisRun, ReceptiveField
from .layers import Stack

Array = NDArray[np.float64]
Box = tuple[tuple[int, ...], tuple[int, ...]]  # first and last pixel
Support = tuple[NDArray[np.bool_] | None, ...]  # per axis, marks of the taps that are not zero; None: none is zero

# Gains multiply over up to millions of layers: 50 digits lose nothing, and the exponent has no limit a network could reach.
GAINS = decimal.Context(prec=50, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[decimal.InvalidOperation, decimal.DivisionByZero])


@dataclass(frozen=True)
class Step:
    """A run of `count` equal backward steps.

    Attributes
    ----------
    kernels : float64 [n_kernels, tap_draws, channels_out, channels_in, *kernel]
        In backward order; n_kernels is 1 (the same each time) or `count`, tap_draws 1 or the number of draws,
        channels_in counts the inputs of one group.
    shared : bool
        The one-channel kernel holds for every channel (pooling).
    extent, growth : tuple of int
        Input map of the first backward step and its change with each further one; extent None on the plane.
    scales : tuple of float64 arrays, optional
        Factor of each output position per axis; its outer product multiplies the incoming image. count is 1 then.
    gate : float64 array [*output map], optional
        The same where it is no outer product.
    """

    label: str
    kernels: Array
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    count: int = 1
    extent: tuple[int, ...] | None = None
    growth: tuple[int, ...] = ()
    shared: bool = False
    groups: int = 1
    scales: tuple[Array, ...] | None = None
    gate: Array | None = None

    @property
    def kernel(self) -> tuple[int, ...]:
        return self.kernels.shape[4:]

    @cached_property
    def least_tap(self) -> float:
        return float(self.kernels.min())


@dataclass(frozen=True)
class Chain:
    """Everything an engine and the result need to know."""

    net: Stack
    steps: tuple[Step, ...]  # from the output to the input
    gain: Decimal
    unit: tuple[int, ...]
    input_size: tuple[int, ...] | None
    field: ReceptiveField
    box: tuple[tuple[int, ...], tuple[int, ...]]  # first and last pixel of the receptive field, cut by the map
    draws: int | None = None  # None: no draws axis
    channels: int = 1  # of the output map
    signed: bool = False  # the answer is a gradient, not a variance
    method: str = "exact"
    assumptions: tuple[str, ...] = ()

    @property
    def ndim(self) -> int:
        return self.net.ndim

    @cached_property
    def least_taps(self) -> list[float]:
        """The smallest tap of each step."""
        return [step.least_tap for step in self.steps]

    @cached_property
    def non_negative(self) -> bool:
        return min(self.least_taps) >= 0

    @cached_property
    def bounded(self) -> bool:
        """Whether the border of a map cuts anything off."""
        return any(step.extent is not None for step in self.steps)

    @property
    def layers(self) -> int:
        return sum([step.count for step in self.steps])

    @property
    def reach(self) -> tuple[NDArray[np.bool_], ...] | None:
        """Per axis, which pixels of the box are reached; None where the set is no product of axes."""
        later = self.reach_later
        return None if later is None else later()

    @cached_property
    def reach_later(self) -> Callable[[], tuple[NDArray[np.bool_], ...]] | None:
        """`reach`, to be worked out when it is asked for; what it keeps of the kernels is where their taps are zero."""
        windows = []
        for step, least in zip(self.steps, self.least_taps, strict=True):
            supports: list[Support] | None = [(None,) * self.ndim] if least > 0 else _axis_supports(step)
            if supports is None:
                return None
            windows.append(_Window(supports, step.kernel, step.stride, step.dilation, step.before, step.extent, step.growth, step.count))
        return partial(_reach_of_axes, windows, self.unit, self.box)


def distinct(kernels: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first of each different kernel [n_kernels, ...], and how often it occurs."""
    flat = np.ascontiguousarray(kernels).reshape(len(kernels), -1)
    whole = flat.view(np.dtype((np.void, flat.shape[1] * flat.itemsize))).ravel()
    _, first, counts = np.unique(whole, return_index=True, return_counts=True)
    return first, counts


# ------------------------------------------------------------------------------------------------ reach


class _Window(NamedTuple):
    """A step without its taps: marks per kernel and axis of those that are not zero."""

    supports: list[Support]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    extent: tuple[int, ...] | None
    growth: tuple[int, ...]
    times: int


def _reach_of_axes(windows: list[_Window], unit: tuple[int, ...], box: Box) -> tuple[NDArray[np.bool_], ...]:
    masks = []
    for axis, (low, high) in enumerate(zip(*box, strict=True)):
        runs = [run for window in windows for run in _axis_runs(window, axis)]
        origin, reached = geometry.reach_of_axis(runs, unit[axis])
        mask = np.zeros(high - low + 1, dtype=bool)
        mask[origin - low : origin - low + len(reached)] = reached
        masks.append(mask)
    return tuple(masks)


def _axis_supports(step: Step) -> list[Support] | None:
    """Per kernel of the run and per axis, the taps that are not zero; None where a kernel's taps are no product of axes."""
    if step.kernels.all():
        return [(None,) * len(step.kernel)]
    found: list[Support] = []
    for kernel in step.kernels:
        taps = kernel.reshape(-1, *step.kernel) != 0
        if not (taps == taps[0]).all():
            return None
        axes = tuple(taps[0].any(axis=tuple(b for b in range(len(step.kernel)) if b != a)) for a in range(len(step.kernel)))
        product = np.ones((), dtype=bool)
        for mask in axes:
            product = np.multiply.outer(product, mask)
        if not np.array_equal(product, taps[0]):
            return None
        found.append(axes)
    return found


def _axis_runs(window: _Window, axis: int) -> list[AxisRun]:
    """A run along one axis; where its kernels are zero at different taps, one run for each."""
    supports, kernel, stride, dilation, before, extents, growth, times = window
    extent = None if extents is None else extents[axis]
    whole = AxisRun(kernel[axis], supports[0][axis], stride[axis], dilation[axis], before[axis], extent, growth[axis], times)
    if len(supports) == 1:
        return [whole]
    return [
        whole._replace(taps=masks[axis], extent=None if extent is None else extent + i * whole.growth, growth=0, times=1)
        for i, masks in enumerate(supports)
    ]
