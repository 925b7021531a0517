"""Transfer functions of a chain: what multiplies at each frequency, and where the image stands.

A step whose input map has the spacing J (input pixels between neighbours) multiplies the spectrum of the image by
``sum_a w[a] exp(-i frequency . J (d a - p))``. The taps are handed to the native product centred; what that moves the image by
is an integer, kept in `Transfer.origin`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..chain import Chain, Step, distinct

Array = NDArray[np.float64]

# From here on a kernel used again and again is taken to a power in double-double arithmetic: its rounding would add up, equal
# each time (64 layers: 1e-14), and squaring takes less time.
LEAST_REPEATS = 64


@dataclass(frozen=True)
class Layers:
    """Kernels whose taps are equally far apart.

    Attributes
    ----------
    taps : float64 [n_kernels, 1 or draws, rows, columns]
        Largest tap of each kernel in [0.5, 1). Tap (a, b) stands at ``(a - (rows - 1) // 2, b - (columns - 1) // 2)`` times the
        spacing.
    spacing : tuple of two int
        Input pixels between neighbouring taps, per axis.
    count : int
        How often each kernel is used; above 1 there is one kernel.
    """

    taps: Array
    spacing: tuple[int, int]
    count: int

    @property
    def reach(self) -> tuple[tuple[int, int], ...]:
        """Per axis, how far all of these layers together reach before and after the centre, in input pixels."""
        times = self.count * len(self.taps)
        return tuple(((k - 1) // 2 * s * times, k // 2 * s * times) for k, s in zip(self.taps.shape[2:], self.spacing, strict=True))


@dataclass(frozen=True)
class Transfer:
    """A chain as a product of transfer functions; always two axes, of which 1-D chains use the second.

    Attributes
    ----------
    layers : tuple of Layers
    origin : tuple of two int
        Input coordinate where the centred taps of all layers meet: phase 0 of the product.
    low, high : tuple of two int
        First and last input pixel that can be reached.
    exponents : int64 [draws]
        Powers of two taken out of the taps.
    """

    layers: tuple[Layers, ...]
    origin: tuple[int, int]
    low: tuple[int, int]
    high: tuple[int, int]
    exponents: NDArray[np.int64]

    @property
    def size(self) -> tuple[int, int]:
        """Pixels of the whole support, per axis."""
        return self.high[0] - self.low[0] + 1, self.high[1] - self.low[1] + 1

    @property
    def draws(self) -> int:
        return len(self.exponents)

    @cached_property
    def common_spacing(self) -> tuple[int, int]:
        """Per axis, a step that all spacings divide, if it is not much larger than the largest: spectra then repeat.

        A multiple of 4 along the second axis, as the native product likes it.
        """
        steps = []
        for axis in (0, 1):
            spacings = {layer.spacing[axis] for layer in self.layers if layer.taps.shape[2 + axis] > 1}
            common = math.lcm(*spacings) if spacings else 1
            steps.append(common if common <= 4 * max(spacings, default=1) else 1)
        return steps[0], math.lcm(4, steps[1])

    @cached_property
    def expected_spread(self) -> Array:
        """Standard deviation of the energy per draw and axis, [draws, 2], if the layers were uncorrelated: variances add."""
        variances = np.zeros((self.draws, 2))
        for layer in self.layers:
            energy = layer.taps**2
            for axis in (0, 1):
                profile = energy.sum(axis=3 - axis)
                at = np.arange(profile.shape[2]) * float(layer.spacing[axis])
                moments = profile @ np.stack([np.ones_like(at), at, at**2], axis=1)
                mean = moments[..., 1] / moments[..., 0]
                variances[:, axis] += layer.count * (moments[..., 2] / moments[..., 0] - mean**2).clip(min=0).sum(axis=0)
        return np.asarray(np.sqrt(variances))

    def native(self) -> list[tuple[Array, tuple[int, int], int]]:
        """The layers as the native functions take them."""
        return [(layer.taps, layer.spacing, layer.count) for layer in self.layers]


def obstacle(chain: Chain, *, separable: bool = False) -> str:
    """Why a chain has no product of transfer functions; empty where it has. `separable`: each axis is run by itself."""
    if chain.bounded or any(s.scales is not None or s.gate is not None for s in chain.steps):
        return "the border of the map cuts layer by layer, which a spectrum cannot do"
    if chain.channels != 1 or any(s.kernels.shape[2:4] != (1, 1) for s in chain.steps):
        return "its layers have several channels"
    if chain.ndim == 3 and not separable:
        return "it has three axes"
    return ""


def transfer(chain: Chain, *, axis: int | None = None, factors: Sequence[tuple[Array, ...]] | None = None) -> Transfer:
    """The transfer functions of a chain, or along one axis of a separable one, whose kernels are then given as `factors`.

    Those of a whole chain are made once and stay with it: the choice of an engine asks for them, and the engine.
    """
    if axis is not None:
        return _made(chain, axis, factors)
    kept = vars(chain)
    if "transfer" not in kept:
        kept["transfer"] = _made(chain, None, None)
    found: Transfer = kept["transfer"]
    return found


def _made(chain: Chain, axis: int | None, factors: Sequence[tuple[Array, ...]] | None) -> Transfer:
    axes = range(chain.ndim) if axis is None else (axis,)
    jump = [1] * chain.ndim
    layers: list[Layers] = []
    origin, low, high = [0] * chain.ndim, [0] * chain.ndim, [0] * chain.ndim
    exponents = np.zeros(chain.draws or 1, dtype=np.int64)
    for index, step in reversed(list(enumerate(chain.steps))):
        kernels = step.kernels[:, :, 0, 0] if factors is None else factors[index][axis or 0]
        taps, shifts = scaled(kernels.reshape(*kernels.shape[:2], *((1,) * (2 - len(axes))), *kernels.shape[2:]))
        exponents += shifts.sum(axis=0) * (step.count // len(shifts))
        for piece, count, strides in _pieces(taps, step):
            spacing = tuple(jump[a] * step.dilation[a] for a in axes)
            layer = Layers(piece, (1, *spacing) if len(axes) == 1 else spacing, count)  # type: ignore[arg-type]
            layers.append(layer)
            for a, (before, after) in zip(axes, layer.reach[-len(axes) :], strict=True):
                times = count * len(piece)
                centre = jump[a] * (step.dilation[a] * ((step.kernel[a] - 1) // 2) - step.before[a]) * times
                origin[a] += centre
                low[a] += centre - before
                high[a] += centre + after
            jump = [j * s for j, s in zip(jump, strides, strict=True)]
    start = [j * u for j, u in zip(jump, chain.unit, strict=True)]

    def placed(values: list[int]) -> tuple[int, int]:
        both = [values[a] + start[a] for a in axes]
        return (0, both[0]) if len(both) == 1 else (both[0], both[1])

    return Transfer(tuple(_joined(layers)), placed(origin), placed(low), placed(high), exponents)


def _joined(layers: Sequence[Layers]) -> Iterable[Layers]:
    """Kernels of one kind that follow one another in one array, where layers were written out one by one."""

    for _, group in itertools.groupby(layers, lambda layer: (layer.taps.shape[1:], layer.spacing, layer.count)):
        members = list(group)
        if members[0].count > 1 or len(members) == 1:
            yield from members
        else:
            yield Layers(np.concatenate([m.taps for m in members]), members[0].spacing, 1)


def _pieces(taps: Array, step: Step) -> Iterable[tuple[Array, int, tuple[int, ...]]]:
    """A run as (kernels, count, stride): repeats apart; with a stride, layer by layer from the input."""
    if set(step.stride) != {1}:
        for i in reversed(range(step.count)):
            which = i if len(taps) > 1 else 0
            yield taps[which : which + 1], 1, step.stride
        return
    if len(taps) == 1:
        yield from _repeated(taps, step.count, step.stride)
        return
    if _all_rare(taps):
        yield taps, 1, step.stride
        return
    first, counts = distinct(taps)
    often = counts >= LEAST_REPEATS
    for i, count in zip(first[often].tolist(), counts[often].tolist(), strict=True):
        yield taps[i : i + 1], count, step.stride
    if not often.any():
        yield taps, 1, step.stride
    elif not often.all():
        rest = np.repeat(first[~often], counts[~often])
        yield np.ascontiguousarray(taps[np.sort(rest)]), 1, step.stride


def _all_rare(taps: Array) -> bool:
    """Whether no kernel is used `LEAST_REPEATS` times, as far as the first tap of each tells: a look at all of them takes longer."""
    return int(np.unique(taps.reshape(len(taps), -1)[:, 0], return_counts=True)[1].max()) < LEAST_REPEATS


def _repeated(taps: Array, count: int, stride: tuple[int, ...]) -> Iterable[tuple[Array, int, tuple[int, ...]]]:
    if count >= LEAST_REPEATS:
        yield taps, count, stride
    else:
        yield np.repeat(taps, count, axis=0), 1, stride


def scaled(kernels: Array) -> tuple[Array, NDArray[np.int64]]:
    """Kernels [n, draws, rows, columns] with their largest tap in [0.5, 1), and the powers of two taken out, [n, draws]."""
    shifts = np.frexp(_largest(kernels))[1].astype(np.int64)
    if np.abs(shifts).max() > 1000:  # the power itself would not be a normal number
        return np.ascontiguousarray(np.ldexp(kernels, -shifts[:, :, None, None])), shifts
    return np.ascontiguousarray(kernels * np.ldexp(1.0, -shifts)[:, :, None, None]), shifts


def _largest(kernels: Array) -> Array:
    """The largest absolute tap of each kernel, [n, draws]; of one flat array, for maxima of short rows take three times as long."""
    flat = kernels.ravel()
    firsts = np.arange(0, flat.size, math.prod(kernels.shape[2:]))
    largest = np.maximum.reduceat(flat, firsts)
    if flat.min() < 0:
        largest = np.maximum(largest, -np.minimum.reduceat(flat, firsts))
    return largest.reshape(kernels.shape[:2])
