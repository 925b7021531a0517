"""What pools need beyond a box of taps: divisors at the border, gates, and lags.

A fixed (deterministic) filter adds in amplitude: two of its outputs carry correlated gradients. The full state of the
variance recurrence is therefore the lag images ``V_l[m] = E g[m] g[m + l]``. Lag 0 alone is exact as long as no filter
meets an image that already has other lags which it would fold into lag 0. Elsewhere the closed form of chains of random
convolutions ``v`` and fixed filters ``a`` serves, ``V = (v_1 * v_2 * ...) * |a_1 * a_2 * ...|**2``, on the unbounded plane.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._validate import Ints
from .layers import Activation, AvgPool, Conv, MaxPool, Stack

if TYPE_CHECKING:
    from .places import Place

Array = NDArray[np.float64]
Lags = list[set[int]]

CORRELATED_GATES = (
    "average pools above an activation: gates of neighbouring pixels independent of any one weight below them (wide layers, mean field)"
)


def _valid_taps(item: Place, axis: int, *, padded: bool) -> NDArray[np.int64]:
    """How many pixels each window along an axis holds; with `padded`, the pixels of the padding count too."""
    assert item.extent is not None
    assert item.output is not None
    before, after = item.padding[axis]
    first = np.arange(item.output[axis]) * item.stride[axis] - before
    n = item.extent[axis]
    last = first + item.dilation[axis] * (item.kernel[axis] - 1) + 1
    if padded:
        return np.minimum(last, n + after) - first
    taps = first[:, None] + item.dilation[axis] * np.arange(item.kernel[axis])
    return np.asarray(((taps >= 0) & (taps < n)).sum(axis=1))


def divisor_scales(item: Place, *, power: int) -> tuple[Array, ...] | None:
    """Per axis, the factor of windows whose divisor is not the whole kernel; torch's rules. None where all are whole.

    A window counts its padding unless `count_include_pad` is off, but never what ceil mode adds beyond it.
    """
    assert isinstance(item.layer, AvgPool)
    if item.extent is None:
        return None
    scales = []
    for axis, k in enumerate(item.kernel):
        counts = _valid_taps(item, axis, padded=item.layer.count_include_pad)
        scales.append((k / np.maximum(counts, 1)) ** power)
    return None if all((s == 1).all() for s in scales) else tuple(scales)


def max_pool_scale(item: Place) -> dict[str, Any]:
    """The factor of windows that overhang the map: one of the valid taps is the maximum, each as likely.

    Per tap gain(m) / m for m valid taps, relative to the whole window; gain 1, or that of the gate shared with an activation.
    """
    if item.extent is None:
        return {}
    counts = [_valid_taps(item, axis, padded=False) for axis in range(len(item.kernel))]
    whole = math.prod(item.kernel)
    if all((c == k).all() for c, k in zip(counts, item.kernel, strict=True)):
        return {}
    if item.run.gate is None:
        return {"scales": tuple(k / np.maximum(c, 1) for c, k in zip(counts, item.kernel, strict=True))}
    from .mean_field import max_gate_gain

    taps = np.ones((), dtype=np.int64)
    for count in counts:
        taps = np.multiply.outer(taps, count)
    per_tap = {int(m): max_gate_gain(item.run.gate, int(m)) / m if m else 0.0 for m in np.unique(taps)}
    reference = max_gate_gain(item.run.gate, whole) / whole
    return {"gate": np.vectorize(per_tap.get, otypes=[np.float64])(taps) / reference}


# ------------------------------------------------------------------------------------------------ lags


def reject_lags(places: Sequence[Place]) -> bool:
    """How average pools are to be taken: False, lag 0 alone is exact; True, by the closed form. Else raise by name."""
    folding = _folding(places)
    if not folding:
        return False
    culprit = next((item for item in folding if isinstance(item.layer, MaxPool)), folding[0])
    pools = [i for i, item in enumerate(places) if isinstance(item.layer, AvgPool)]
    inner = places[pools[0] : pools[-1] + 1]
    blocked = next((p.layer.label for p in inner if isinstance(p.layer, MaxPool)), None)
    if blocked is None and (any(p.run.nonlinear for p in inner[:-1]) or any(p.run.between for p in inner)):
        blocked = "a nonlinearity"
    reason = "the border of the map" if places[0].extent is not None else blocked
    if isinstance(culprit.layer, MaxPool):
        why = "the pixels that a max-pool chooses have no closed form"
    elif reason is not None:
        why = f"with {reason} in between there is no closed form"
    else:
        return True
    raise NotImplementedError(
        f"variance through {culprit.layer.label} is not available in this version: another pool nearer the output has already correlated "
        f"the gradients that it adds up, and {why} (lag images come in a later version)"
    )


def correlates_gates(net: Stack) -> bool:
    """Whether an average pool stands above an activation above a convolution.

    The pool gives the gates of neighbouring pixels correlated gradients. Where a convolution joins these pixels, products of
    two of its weights no longer average out: 1 x 2 taps on the input (1, 0, 1), ReLU and a pool of 2 give its middle pixel
    1/4 + 1/(4 pi), not 1/4. With many input channels a single weight says nothing about a gate, and they do.
    """

    def wide(kernel: Ints) -> bool:
        return kernel > 1 if isinstance(kernel, int) else max(kernel) > 1

    def climb(stack: Stack, stage: int) -> int:
        for part, count in stack.parts:
            for _ in range(min(count, 3)):
                if isinstance(part, Stack):
                    stage = climb(part, stage)
                elif stage == 0:
                    stage += isinstance(part, Conv) and wide(part.kernel)
                elif stage == 1:
                    stage += isinstance(part, Activation) and part.name != "identity"
                elif stage == 2:
                    stage += isinstance(part, AvgPool) and wide(part.kernel)
        return stage

    return climb(net, 0) == 3


def _folding(places: Sequence[Place]) -> list[Place]:
    """The pools, from the output, that would fold other lags into lag 0."""
    found: list[Place] = []
    if not any(isinstance(item.layer, AvgPool) for item in places):
        return found  # nothing gives a lag other than 0
    axes = range(len(places[0].kernel))
    lags: Lags = [{0} for _ in axes]
    # beyond this distance no lag can come back to 0
    left = [sum(p.dilation[a] * (p.kernel[a] - 1) * min(p.count, 10**6) for p in places if not isinstance(p.layer, Conv)) for a in axes]
    for item in reversed(places):
        pool = not isinstance(item.layer, Conv)
        for _ in range(item.count if pool or set(item.stride) != {1} else 1):
            if pool and _folds(lags, item):
                found.append(item)
            # of two windows with correlated gradients a max-pool may choose any two pixels
            mixes = isinstance(item.layer, AvgPool) or (pool and any(lag != {0} for lag in lags))
            lags = [_moved(lags[a], item, a, mixes, left[a]) for a in range(len(lags))]
            if pool:
                left = [n - d * (k - 1) for n, d, k in zip(left, item.dilation, item.kernel, strict=True)]
    return found


def _folds(lags: Lags, item: Place) -> bool:
    """Whether a lag other than 0 meets a difference of two taps: s*l = d*(a - b) in every axis."""
    meets = []
    for axis, k in enumerate(item.kernel):
        differences = {item.dilation[axis] * t for t in range(1 - k, k)}
        meets.append([lag for lag in lags[axis] if item.stride[axis] * lag in differences])
    return any(any(lag) for lag in product(*meets))


def _moved(lags: set[int], item: Place, axis: int, mixes: bool, reach: int) -> set[int]:
    """The lags after a layer: stretched by the stride, and where it mixes spread over its tap differences."""
    s, d, k = item.stride[axis], item.dilation[axis], item.kernel[axis]
    shifts = [d * t for t in range(1 - k, k)] if mixes else [0]
    return {lag for base in lags for shift in shifts if abs(lag := s * base + shift) <= reach}


def pooled_amplitude(places: Sequence[Place], ndim: int) -> list[Array]:
    """Per axis, all average pools of a chain in one amplitude at input resolution; each sums to 1."""
    profiles = [np.ones(1) for _ in range(ndim)]
    jump = [1] * ndim
    for item in places:
        for _ in range(item.count if isinstance(item.layer, AvgPool) or set(item.stride) != {1} else 1):
            for axis in range(ndim):
                if isinstance(item.layer, AvgPool):
                    box = np.zeros((item.kernel[axis] - 1) * jump[axis] + 1)
                    box[:: jump[axis]] = 1 / item.kernel[axis]
                    profiles[axis] = np.convolve(profiles[axis], box)
                jump[axis] *= item.stride[axis]
    return profiles
