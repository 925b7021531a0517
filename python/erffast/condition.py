"""How much of a signed chain survives rounding, estimated before it is run.

Layer by layer, the rounding of one layer is multiplied by the largest later gain over all frequencies, while the signal
sits at other frequencies: the relative error grows roughly as exp(0.7 sqrt(layers)). Per draw,

    max over l of  rms(prefix_l) * max(suffix_l) / rms(product)

on a sample of frequencies, prefix_l and suffix_l the products of the transfer functions before and after step l; times the
unit roundoff it was within a factor of 6 of the true error in nine of nine cases. A safety factor of 10 is added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .chain import Step

Array = NDArray[np.float64]
Waves = NDArray[np.complex128]
SAFETY = 10.0
TINY = 1e-300  # in place of a response of zero
LARGEST_TABLE = 2**23  # numbers of one table of logarithms (64 MiB)
KEPT_TAPS = 49  # of a kernel whose table is kept
# Per axis irrational to one another and to every stride: an even sample that no jump maps onto itself.
GENERATORS = np.array([0.7548776662466927, 0.5698402909980532, 0.8191725133961645])


def estimate_error(steps: Sequence[Step], draws: int, roundoff: float) -> float:
    """Estimated error / peak of a signed chain run layer by layer; the worst draw.

    Parameters
    ----------
    steps : sequence of Step
        From the output to the input.
    draws : int
    roundoff : float
        Unit roundoff of the arithmetic: 2**-53 or 2**-24.
    """
    layers = sum(step.count for step in steps)
    draws = draws if any(step.kernels.shape[1] > 1 for step in steps) else 1
    count = _sample_size(layers, draws)
    waves = [_waves(step.kernel, step.dilation, jump, count) for step, jump in zip(steps, _jumps(steps), strict=True)]
    scalar = all(step.shared or step.kernels.shape[2:4] == (1, 1) for step in steps)
    measure = _scalar_condition if scalar else _matrix_condition
    widest = max(step.kernels.shape[2] * step.kernels.shape[3] * step.groups for step in steps)
    chunk = max(1, LARGEST_TABLE // (layers * count * widest))
    worst = max(float(measure(steps, waves, slice(d, min(d + chunk, draws))).max()) for d in range(0, draws, chunk))
    return SAFETY * roundoff * math.exp(min(worst, 700.0))


def _sample_size(layers: int, draws: int) -> int:
    """1024 frequencies; down to 256 where many draws share the time, and to 64 where one draw's table would not fit."""
    shared = max(LARGEST_TABLE // (layers * draws), 256)
    return min(shared, max(LARGEST_TABLE // layers, 64), 1024)


def axis_steps(steps: Sequence[Step], factors: Sequence[tuple[Array, ...]]) -> list[list[Step]]:
    """The 1-D chains of a separable chain, one per axis."""
    chains = []
    for axis in range(len(steps[0].stride)):
        chains.append(
            [
                replace(s, kernels=f[axis][:, :, None, None], stride=s.stride[axis : axis + 1], dilation=s.dilation[axis : axis + 1])
                for s, f in zip(steps, factors, strict=True)
            ]
        )
    return chains


def _frequencies(ndim: int, count: int) -> Array:
    """An even sample of [0, 2 pi)^ndim, [count, ndim]: a Kronecker sequence."""
    return np.asarray(2 * np.pi * ((np.arange(1, count + 1)[:, None] * GENERATORS[:ndim] + 0.5) % 1.0))


def _jumps(steps: Sequence[Step]) -> list[tuple[int, ...]]:
    """Input pixels between neighbours of each step's input map."""
    jump = (1,) * len(steps[0].stride)
    found = []
    for step in reversed(steps):
        found.append(jump)
        jump = tuple(j * s**step.count for j, s in zip(jump, step.stride, strict=True))
    return found[::-1]


def _waves(kernel: tuple[int, ...], dilation: tuple[int, ...], jump: tuple[int, ...], count: int) -> Waves:
    """exp(-i w . tap position) at `count` frequencies, [frequencies, taps]."""
    table = _small_table if math.prod(kernel) <= KEPT_TAPS else _table
    return table(kernel, dilation, jump, count)


def _table(kernel: tuple[int, ...], dilation: tuple[int, ...], jump: tuple[int, ...], count: int) -> Waves:
    frequencies = _frequencies(len(kernel), count)
    wave: Waves = np.ones((count, 1), dtype=np.complex128)
    for axis, k in enumerate(kernel):
        # positions are integers, so whole turns of a large jump may be taken out first
        spacing = np.fmod(jump[axis] * dilation[axis] * (frequencies[:, axis] / (2 * np.pi)), 1.0) * 2 * np.pi
        phase = np.exp(-1j * spacing[:, None] * np.arange(k))
        wave = (wave[:, :, None] * phase[:, None, :]).reshape(count, -1)
    wave.flags.writeable = False
    return wave


_small_table = lru_cache(maxsize=16)(_table)  # the same few kinds of layers are met again and again; 0.8 MB for 7 x 7 taps


def _of_draws(step: Step, draws: slice) -> Array:
    """Kernels [n_kernels, draws or 1, out, in, *kernel]."""
    return step.kernels if step.kernels.shape[1] == 1 else step.kernels[:, draws]


def _scalar_condition(steps: Sequence[Step], waves: Sequence[Waves], draws: slice) -> Array:
    """Logarithm of the condition of a one-channel chain, [draws]."""
    rows = []
    for step, wave in zip(steps, waves, strict=True):
        kernels = _of_draws(step, draws)
        flat = kernels.reshape(*kernels.shape[:2], -1)
        scale = np.abs(flat).max(axis=2, keepdims=True)
        taps = flat / scale
        power = (taps @ wave.real.T) ** 2 + (taps @ wave.imag.T) ** 2
        logs = 0.5 * np.log(np.maximum(power, TINY)) + np.log(scale)
        if len(logs) == 1 and step.count > 1:
            # a repeat is a straight line in the logarithm: some points on it serve as well as all
            parts = min(step.count, 64)
            logs = np.repeat(logs * (step.count / parts), parts, axis=0)
        rows.append(np.broadcast_to(logs, (len(logs), draws.stop - draws.start, logs.shape[2])))
    prefix = np.cumsum(np.concatenate(rows), axis=0)
    signal = _log_rms(prefix)
    gain = (prefix[-1] - prefix).max(axis=2)
    return np.asarray((signal + gain).max(axis=0) - signal[-1])


def _log_rms(logs: Array) -> Array:
    """Logarithm of the root mean square over the last axis of exp(logs)."""
    top = logs.max(axis=-1, keepdims=True)
    return np.asarray(top[..., 0] + 0.5 * np.log(np.exp(2 * (logs - top)).mean(axis=-1)))


def _matrix_condition(steps: Sequence[Step], waves: Sequence[Waves], draws: slice) -> Array:
    """The same with channels: prefix and suffix are vectors over the channels of a layer."""
    responses = [r for step, wave in zip(steps, waves, strict=True) for r in _responses(step, wave, draws)]
    channels = next((r.shape[2] for r in responses if r.ndim == 4), 1)
    lead = (draws.stop - draws.start, len(waves[0]))
    prefix: Waves = np.ones((*lead, channels), dtype=np.complex128)
    signals, scale = [], np.zeros(lead[0])
    for response in responses:
        prefix, scale = _normalised(
            prefix * response[..., None] if response.ndim == 2 else np.einsum("dfo,dfoc->dfc", prefix, response), scale
        )
        signals.append(scale + np.log(np.maximum(np.sqrt((np.abs(prefix) ** 2).sum(axis=2).mean(axis=1)), TINY)))
    suffix: Waves = np.ones((*lead, prefix.shape[2]), dtype=np.complex128)
    worst, scale = signals[-1], np.zeros(lead[0])
    for response, signal in zip(reversed(responses[1:]), reversed(signals[:-1]), strict=True):
        suffix, scale = _normalised(
            suffix * response[..., None] if response.ndim == 2 else np.einsum("dfoc,dfc->dfo", response, suffix), scale
        )
        worst = np.maximum(worst, signal + scale + np.log(np.linalg.norm(suffix, axis=2).max(axis=1)))
    return np.asarray(worst - signals[-1])


def _responses(step: Step, wave: Waves, draws: slice) -> list[Waves]:
    """One transfer function a step: [draws, frequencies], or [draws, frequencies, out, in] with channels."""
    found: list[Waves] = []
    lead = (draws.stop - draws.start, len(wave))
    for kernel in _of_draws(step, draws):
        out, per_group = kernel.shape[1:3]
        flat = np.broadcast_to(np.einsum("doct,ft->dfoc", kernel.reshape(*kernel.shape[:3], -1), wave), (*lead, out, per_group))
        if step.shared:
            found.append(flat[:, :, 0, 0])
            continue
        full = np.zeros((*lead, out, per_group * step.groups), dtype=np.complex128)
        share = out // step.groups
        for g in range(step.groups):
            rows = slice(g * share, (g + 1) * share)
            full[:, :, rows, g * per_group : (g + 1) * per_group] = flat[:, :, rows]
        found.append(full)
    return found * (step.count if len(step.kernels) == 1 else 1)


def _normalised(values: Waves, scale: Array) -> tuple[Waves, Array]:
    """Values brought to a largest entry of 1 per draw, and the logarithm of what was taken out, added up."""
    size = np.maximum(np.abs(values).max(axis=(1, 2)), TINY)
    return values / size[:, None, None], scale + np.log(size)
