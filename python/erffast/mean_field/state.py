"""What a walk through a stack carries, in logarithms: no depth takes it outside the range of floats."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .moments import gate_spread, max_moments

Array: TypeAlias = NDArray[np.float64]

_CLIP = 330.0  # |log2 q| beyond which activations follow their asymptotes to all digits
# log2-log2 slopes of E phi^2 at small and large q, and of E phi'^2 at large q (at small q it is constant)
_ASYMPTOTES = {"tanh": (1.0, 0.0, -0.5), "sigmoid": (0.0, 0.0, -0.5), "gelu": (1.0, 1.0, 0.0), "silu": (1.0, 1.0, 0.0)}


class Gate(NamedTuple):
    """The state below an activation and the max-pools next to it: one gate, whose gain is not a product of parts."""

    log_q: float
    log_share: float
    name: str
    taps: int


class State(NamedTuple):
    """log2 q, log2 (v / q), log2 of the share of q that is variance over the channels; fresh: a random convolution lies
    just below; gate: the open gate, if any."""

    log_q: float = 0.0
    log_share: float = 0.0
    log_centred: float = 0.0
    fresh: bool = False
    gate: Gate | None = None

    def kind(self) -> tuple[Any, ...]:
        return (self.fresh, *(self.gate[2:] if self.gate else ()))

    def moved(self, step: Array) -> State:
        """The state some passes on. The rest follows q and v within a pass: it has no motion of its own."""
        log_q, log_share = step[:2].tolist()
        gate = self.gate and self.gate._replace(log_q=self.gate.log_q + log_q, log_share=min(self.gate.log_share + log_share, 0.0))
        return self._replace(log_q=self.log_q + log_q, log_share=min(self.log_share + log_share, 0.0), gate=gate)


class Need(NamedTuple):
    """What later layers make use of: q, and its parts. What nobody uses is not computed and adds no assumption."""

    moments: bool = False
    data: bool = False
    channels: bool = False

    def __or__(self, other: object) -> Need:
        assert isinstance(other, Need)
        return Need(*(a or b for a, b in zip(self, other, strict=True)))


def _clipped(gate: Gate) -> tuple[float, float]:
    """q inside the range where quadrature works, and what the clip took off log2 q."""
    log_q = min(max(gate.log_q, -_CLIP), _CLIP)
    return 2.0**log_q, gate.log_q - log_q


def log_gate_gain(gate: Gate) -> float:
    """log2 of E phi'(M)^2 of a gate."""
    q, over = _clipped(gate)
    slope = _ASYMPTOTES[gate.name][2] * max(over, 0.0) if gate.name in _ASYMPTOTES else 0.0
    return math.log2(max_moments(gate.name, gate.taps, q).gain) + slope


def above_gate(gate: Gate, state: State, need: Need) -> State:
    """The state above a gate. Where nothing above depends on it, only the gate itself is kept."""
    if not need.moments:
        return state._replace(gate=gate)
    q, over = _clipped(gate)
    small, large, _ = _ASYMPTOTES.get(gate.name, (1.0, 1.0, 0.0))
    moments = max_moments(gate.name, gate.taps, q)
    log_second = math.log2(moments.second)
    log_q = log_second + over * (small if over < 0 else large)
    # a sigmoid's second moment stays at 1/4 where q vanishes, its variances do not
    below = min(over, 0.0) * (1 - small) - log_second
    log_share = min(_log_spread(gate, q, gate.log_share) + below, 0.0) if need.data else 0.0
    log_centred = min(_log_spread(gate, q, 0.0) + below, 0.0) if need.channels else 0.0
    return State(log_q, log_share, log_centred, state.fresh, gate)


def _log_spread(gate: Gate, q: float, log_share: float) -> float:
    """log2 of the variance above a gate over what differs in its inputs, q inside the clip."""
    if log_share < -900:  # nearly equal inputs: linear, and no underflow
        return math.log2(q) + log_share + math.log2(max_moments(gate.name, gate.taps, q).gain)
    return math.log2(gate_spread(gate.name, gate.taps, q, 2.0**log_share))
