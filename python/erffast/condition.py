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

import numpy as np
from numpy.typing import NDArray

from .lowering import Step

Array = NDArray[np.float64]
SAFETY = 10.0
LARGEST_TABLE = 2**23  # numbers of one table of logarithms (64 MiB)
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
    draws = _distinct_draws(steps, draws)
    frequencies = _frequencies(len(steps[0].stride), _sample_size(layers, draws))
    jumps = _jumps(steps)
    scalar = all(step.shared or step.kernels.shape[2:4] == (1, 1) for step in steps)
    measure = _scalar_condition if scalar else _matrix_condition
    worst = max(measure(steps, jumps, frequencies, draw) for draw in range(draws))
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


def _distinct_draws(steps: Sequence[Step], draws: int) -> int:
    return draws if any(step.kernels.shape[1] > 1 for step in steps) else 1


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


def _waves(step: Step, jump: tuple[int, ...], frequencies: Array) -> NDArray[np.complex128]:
    """exp(-i w . tap position), [frequencies, taps]."""
    wave: NDArray[np.complex128] = np.ones((len(frequencies), 1), dtype=np.complex128)
    for axis, k in enumerate(step.kernel):
        # positions are integers, so whole turns of a large jump may be taken out first
        spacing = np.fmod(jump[axis] * step.dilation[axis] * (frequencies[:, axis] / (2 * np.pi)), 1.0) * 2 * np.pi
        phase = np.exp(-1j * spacing[:, None] * np.arange(k))
        wave = (wave[:, :, None] * phase[:, None, :]).reshape(len(frequencies), -1)
    return wave


def _scalar_condition(steps: Sequence[Step], jumps: Sequence[tuple[int, ...]], frequencies: Array, draw: int) -> float:
    """Logarithm of the condition of a one-channel chain."""
    columns = []
    for step, jump in zip(steps, jumps, strict=True):
        kernels = step.kernels[:, min(draw, step.kernels.shape[1] - 1)].reshape(len(step.kernels), -1)
        scale = np.abs(kernels).max(axis=1, keepdims=True)
        response = np.abs((kernels / scale) @ _waves(step, jump, frequencies).T)
        logs = np.log(np.maximum(response, 1e-300)) + np.log(scale)
        if len(kernels) == 1 and step.count > 1:
            # a repeat is a straight line in the logarithm: some points on it serve as well as all
            parts = min(step.count, 64)
            logs = np.repeat(logs * (step.count / parts), parts, axis=0)
        columns.append(logs)
    prefix = np.cumsum(np.concatenate(columns), axis=0)
    total = prefix[-1]
    signal = _log_rms(prefix)
    gain = (total - prefix).max(axis=1)
    return float((signal + gain).max() - _log_rms(total[None])[0])


def _log_rms(logs: Array) -> Array:
    """Logarithm of the root mean square over the last axis of exp(logs)."""
    top = logs.max(axis=1, keepdims=True)
    return np.asarray(top[:, 0] + 0.5 * np.log(np.exp(2 * (logs - top)).mean(axis=1)))


def _matrix_condition(steps: Sequence[Step], jumps: Sequence[tuple[int, ...]], frequencies: Array, draw: int) -> float:
    """The same with channels: prefix and suffix are vectors over the channels of a layer."""
    responses = [r for step, jump in zip(steps, jumps, strict=True) for r in _responses(step, jump, frequencies, draw)]
    channels = next((r.shape[1] for r in responses if r.ndim == 3), 1)
    prefix: NDArray[np.complex128] = np.ones((len(frequencies), channels), dtype=np.complex128)
    signals, scale = [], 0.0
    for response in responses:
        prefix, size = _normalised(prefix * response[:, None] if response.ndim == 1 else np.einsum("fo,foc->fc", prefix, response))
        scale += size
        signals.append(scale + math.log(_rms(prefix)))
    product = signals[-1]
    suffix: NDArray[np.complex128] = np.ones((len(frequencies), prefix.shape[1]), dtype=np.complex128)
    worst, scale = signals[-1], 0.0
    for response, signal in zip(reversed(responses[1:]), reversed(signals[:-1]), strict=True):
        suffix, size = _normalised(suffix * response[:, None] if response.ndim == 1 else np.einsum("foc,fc->fo", response, suffix))
        scale += size
        worst = max(worst, signal + scale + math.log(float(np.linalg.norm(suffix, axis=1).max())))
    return worst - product


def _responses(step: Step, jump: tuple[int, ...], frequencies: Array, draw: int) -> list[NDArray[np.complex128]]:
    """One transfer function a step: [frequencies], or [frequencies, out, in] with channels."""
    waves = _waves(step, jump, frequencies)
    found = []
    for kernel in step.kernels[:, min(draw, step.kernels.shape[1] - 1)]:
        out, per_group = kernel.shape[:2]
        flat = np.einsum("oct,ft->foc", kernel.reshape(out, per_group, -1), waves)
        if step.shared:
            found.append(flat[:, 0, 0])
            continue
        full = np.zeros((len(waves), out, per_group * step.groups), dtype=np.complex128)
        share = out // step.groups
        for g in range(step.groups):
            full[:, g * share : (g + 1) * share, g * per_group : (g + 1) * per_group] = flat[:, g * share : (g + 1) * share]
        found.append(full)
    return found * (step.count if len(step.kernels) == 1 else 1)


def _normalised(values: NDArray[np.complex128]) -> tuple[NDArray[np.complex128], float]:
    size = float(np.abs(values).max()) or 1e-300
    return values / size, math.log(size)


def _rms(values: NDArray[np.complex128]) -> float:
    return max(float(np.sqrt((np.abs(values) ** 2).sum(axis=1).mean())), 1e-300)
