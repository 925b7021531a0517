"""What each layer of a stack multiplies E g^2 by on the way back: one forward walk over the run-length encoded parts.

The walk carries, for a unit of a wide layer, the second moment q of its value and the parts of it that are variance over
the data, v, and variance over the channels. It starts from white input of unit variance.

- A convolution multiplies q and v by its `variance_gain`: equal fan in and out is assumed.
- An activation is E phi'^2 at q. A max-pool next to it shares its gate: together they are E phi'(M)^2, M the largest of
  the inputs under the window; whichever comes second gets the quotient.
- Batch and instance norms divide by v and leave q = v = 1; layer and group norms divide by the variance over the channels.
- An average pool has factor 1 here (its taps carry their own squares); for white input v falls by the number of taps.

A million repeats cost no more than about a thousand: a repeat is closed with a power once its gains and increments no
longer change (checked again at its far end), and while they change slowly, as 1/n for tanh at the edge of chaos, the walk
leaps. Pass by pass the state obeys y[n+1] = f(y[n]); the curve through these points has the derivative
log(1 + D) y = D y - D^2 y / 2 + D^3 y / 3 - ..., D the forward difference, and is integrated by Runge-Kutta.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import _validate as check
from ..layers import Activation, AvgPool, Conv, Dropout, Layer, MaxPool, Norm, Scale, Stack
from .moments import SCALE_FREE, gate_spread, max_moments

Array: TypeAlias = NDArray[np.float64]
Item: TypeAlias = Any  # a leaf's log2 gain, or for a block the list of its parts' runs
Runs: TypeAlias = list[tuple[Any, int]]

# 34 digits and no limit to the exponent that a network could reach: half a million ReLUs leave 10^-150515.
_CONTEXT = decimal.Context(prec=34, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[decimal.InvalidOperation, decimal.DivisionByZero])

_CLIP = 330.0  # |log2 q| beyond which activations follow their asymptotes to all digits
_SETTLED = 1e-14  # change of a pass's log2 gains and increments that counts as none
_WALKED = 256  # passes walked one by one before leaps: the fourth difference left out is then (1/256)^3 of the rate
_LEAP_TOLERANCE = 3e-4  # Runge-Kutta order 4 against order 2, in log2; for a drift as 1/n order 4 itself is good to 1e-7
_MOST_TAPS = 10**9

# log2-log2 slopes of E phi^2 at small and large q, and of E phi'^2 at large q (at small q it is constant)
_ASYMPTOTES = {"tanh": (1.0, 0.0, -0.5), "sigmoid": (0.0, 0.0, -0.5), "gelu": (1.0, 1.0, 0.0), "silu": (1.0, 1.0, 0.0)}

EQUAL_FANS = "convolutions: forward gain equal to variance_gain (equal fan in and out), input white and of unit variance"
WHITE_POOLS = "average pools: inputs under the window uncorrelated beyond what the data share"
MAX_POOLS = "max-pools: independent centred normal inputs under the window (mean field)"
NOT_FRESH = "an activation without a convolution just below it: its input taken as a centred normal variable (mean field)"
NOT_MONOTONE = "an activation that is not monotone, below a max-pool: the largest input taken to give the largest output"
DATA_NORMS = "batch and instance norms: divide by the wide-layer variance over the data, epsilon neglected (mean field)"
CHANNEL_NORMS = "layer and group norms: divide by the wide-layer variance over the channels, epsilon neglected (mean field)"


@dataclass(frozen=True)
class GainWalk:
    """Gains of a stack's layers.

    Attributes
    ----------
    runs : list
        Parallel to ``stack.parts``. For a layer with count c: runs ``(gain, times)`` whose times add up to c, gain a
        `decimal.Decimal`. For a block with count c: runs ``(inner, times)``, inner parallel to the block's parts.
        Dimensionless: the factor of E g^2. Where a long repeat was not walked one by one, a run holds the geometric mean.
    assumptions : tuple of str
        What is not exact, in words; empty for convolutions, ReLU, leaky ReLU, dropout and constants.
    """

    runs: list[Runs]
    assumptions: tuple[str, ...]

    @property
    def total(self) -> Decimal:
        """Product of all gains, to 30 digits; its exponent may lie far outside the range of a float."""
        return _product(self.runs)


class _Gate(NamedTuple):
    """The state below an activation and the max-pools next to it: one gate, whose gain is not a product of parts."""

    log_q: float
    log_share: float
    name: str
    taps: int


class _State(NamedTuple):
    """log2 q, log2 (v / q), log2 of the share of q that is variance over the channels; fresh: a random convolution lies
    just below; gate: the open gate, if any."""

    log_q: float = 0.0
    log_share: float = 0.0
    log_centred: float = 0.0
    fresh: bool = False
    gate: _Gate | None = None

    def kind(self) -> tuple[Any, ...]:
        return (self.fresh, *(self.gate[2:] if self.gate else ()))

    def moved(self, step: Array) -> _State:
        """The state some passes on. The rest follows q and v within a pass: it has no motion of its own."""
        log_q, log_share = step[:2].tolist()
        gate = self.gate and self.gate._replace(log_q=self.gate.log_q + log_q, log_share=min(self.gate.log_share + log_share, 0.0))
        return self._replace(log_q=self.log_q + log_q, log_share=min(self.log_share + log_share, 0.0), gate=gate)


class _Need(NamedTuple):
    """What later layers make use of: q, and its parts. What nobody uses is not computed and adds no assumption."""

    moments: bool = False
    data: bool = False
    channels: bool = False

    def __or__(self, other: object) -> _Need:
        assert isinstance(other, _Need)
        return _Need(*(a or b for a, b in zip(self, other, strict=True)))


def gains(stack: Stack) -> GainWalk:
    """Gain of every layer of `stack`, run-length encoded as the stack is; see the module for what is assumed."""
    if not isinstance(stack, Stack):
        raise TypeError(f"stack must be a Stack, got {stack!r}")
    walker = _Walker(stack.ndim)
    runs, _ = walker.parts(stack, _State(), _Need())
    with decimal.localcontext(_CONTEXT):
        public = [_public(part, found) for (part, _), found in zip(stack.parts, runs, strict=True)]
    return GainWalk(public, tuple(walker.assumptions))


def _public(part: Layer, runs: Runs) -> Runs:
    """Runs of log2 gains as runs of decimals."""
    if isinstance(part, Stack):
        return [([_public(p, r) for (p, _), r in zip(part.parts, item, strict=True)], times) for item, times in runs]
    return [(_decimal(part, gain), times) for gain, times in runs]


def _decimal(layer: Layer, log_gain: float) -> Decimal:
    """A gain in decimal digits; from the layer's own constant where it has one, so that a power of it loses nothing."""
    if isinstance(layer, Conv):
        return Decimal(layer.variance_gain)
    if isinstance(layer, Scale):
        return Decimal(layer.value) ** 2
    if isinstance(layer, Dropout):
        return 1 / (1 - Decimal(layer.rate))
    return Decimal(2.0**log_gain) if abs(log_gain) < 1000 else Decimal(2) ** Decimal(log_gain)


def _product(parts: list[Runs]) -> Decimal:
    with decimal.localcontext(_CONTEXT):
        total = Decimal(1)
        for runs in parts:
            for item, times in runs:
                total *= (_product(item) if isinstance(item, list) else item) ** times
        return total


class _Walker:
    """Carries the state through layers, blocks and repeats, and collects the assumptions met."""

    def __init__(self, ndim: int) -> None:
        self.ndim = ndim
        self.assumptions: dict[str, None] = {}
        self._needs: dict[int, _Need] = {}
        self._needs_above: dict[tuple[int, _Need], list[_Need]] = {}

    # ------------------------------------------------------------ parts and repeats

    def parts(self, stack: Stack, state: _State, after: _Need) -> tuple[list[Runs], _State]:
        found = []
        for (part, count), need in zip(stack.parts, self.needs_above(stack, after), strict=True):
            runs, state = self.repeat(part, count, state, need)
            found.append(runs)
        return found, state

    def needs_above(self, stack: Stack, after: _Need) -> list[_Need]:
        """For each part what the layers above it make use of."""
        key = id(stack), after
        if key not in self._needs_above:
            needs = [after]
            for part, _ in reversed(stack.parts[1:]):
                needs.append(needs[-1] | self.need(part))
            self._needs_above[key] = needs[::-1]
        return self._needs_above[key]

    def repeat(self, part: Layer, count: int, state: _State, after: _Need) -> tuple[Runs, _State]:
        need = after | self.need(part) if count > 1 else after

        def once(state: _State) -> tuple[Item, _State]:
            if isinstance(part, Stack):
                return self.parts(part, state, need)
            return self.layer(part, state, need)

        if count == 1:
            item, above = once(state)
            return [(item, 1)], above
        return _Repeat(part, count, once).walk(state)

    def need(self, part: Layer) -> _Need:
        if id(part) not in self._needs:
            if isinstance(part, Stack):
                need = _Need()
                for inner, _ in part.parts:
                    need = need | self.need(inner)
            else:
                kind = part.kind if isinstance(part, Norm) else ""
                smooth = isinstance(part, Activation) and part.name not in SCALE_FREE
                # an average pool splits q by what the data share
                data = kind in ("batch", "instance") or isinstance(part, AvgPool)
                need = _Need(bool(kind) or smooth, data, kind in ("layer", "group"))
            self._needs[id(part)] = need
        return self._needs[id(part)]

    def assume(self, text: str) -> None:
        self.assumptions[text] = None

    # ------------------------------------------------------------ single layers

    def layer(self, layer: Layer, state: _State, need: _Need) -> tuple[float, _State]:
        """log2 gain of a layer and the state above it."""
        if isinstance(layer, Activation | MaxPool):
            return self.gate(layer, state, need)
        if isinstance(layer, Conv):
            if need.moments:
                self.assume(EQUAL_FANS)
            gain = math.log2(layer.variance_gain)
            return gain, _State(state.log_q + gain, state.log_share, fresh=True)
        state = state._replace(gate=None)
        if isinstance(layer, Scale):
            gain = 2 * math.log2(abs(layer.value))
            return gain, state._replace(log_q=state.log_q + gain)
        if isinstance(layer, Dropout):
            return self.dropout(layer, state)
        if isinstance(layer, AvgPool):
            return self.average(layer, state, need)
        if isinstance(layer, Norm):
            return self.norm(layer, state)
        raise NotImplementedError(f"no gain is known for {layer.label} ({type(layer).__name__})")

    def dropout(self, layer: Dropout, state: _State) -> tuple[float, _State]:
        if not layer.rate:
            return 0.0, state
        keep = 1 - layer.rate
        # masks differ from input to input and from channel to channel: what they share stays, the second moment grows
        log_share, log_centred = (math.log2(1 - (1 - 2**log) * keep) for log in (state.log_share, state.log_centred))
        return -math.log2(keep), state._replace(log_q=state.log_q - math.log2(keep), log_share=log_share, log_centred=log_centred)

    def average(self, layer: AvgPool, state: _State, need: _Need) -> tuple[float, _State]:
        if need.moments:
            self.assume(WHITE_POOLS)
        taps = self.taps(layer)
        share, centred = 2**state.log_share, 2**state.log_centred
        left = 1 - share + share / taps
        log_left = math.log2(left)
        log_share = state.log_share - math.log2(taps) - log_left
        log_centred = max(math.log2(centred - share + share / taps) - log_left if centred > share else log_share, log_share)
        return 0.0, state._replace(log_q=state.log_q + log_left, log_share=log_share, log_centred=log_centred)

    def norm(self, layer: Norm, state: _State) -> tuple[float, _State]:
        if layer.kind in ("batch", "instance"):
            self.assume(DATA_NORMS)
            return -state.log_q - state.log_share, _State(fresh=state.fresh)
        self.assume(CHANNEL_NORMS)
        log_share = min(state.log_share - state.log_centred, 0.0)
        return -state.log_q - state.log_centred, _State(log_share=log_share, fresh=state.fresh)

    def taps(self, layer: MaxPool | AvgPool) -> int:
        return math.prod(check.per_axis(layer.kernel, self.ndim, "kernel"))

    def gate(self, layer: Activation | MaxPool, state: _State, need: _Need) -> tuple[float, _State]:
        """Extend the open gate by an activation or a max-pool; the gain is the quotient of the gate's gains."""
        if isinstance(layer, Activation) and layer.name == "identity":
            return 0.0, state
        old = state.gate
        if old and isinstance(layer, Activation) and old.name != "identity":
            old, state = None, state._replace(fresh=False)  # a second activation: not the same gate
        gate = old or _Gate(state.log_q, state.log_share, "identity", 1)
        if isinstance(layer, Activation):
            gate = gate._replace(name=layer.name)
        else:
            gate = gate._replace(taps=min(gate.taps * self.taps(layer), _MOST_TAPS))
        self.note_gate(gate, layer, state)
        gain = _log_gate_gain(gate) - (_log_gate_gain(old) if old else 0.0)
        return gain, _above(gate, state, need)

    def note_gate(self, gate: _Gate, layer: Activation | MaxPool, state: _State) -> None:
        if isinstance(layer, MaxPool):
            self.assume(MAX_POOLS)
            if gate.name in ("gelu", "silu"):
                self.assume(NOT_MONOTONE)
        elif not state.fresh:
            self.assume(NOT_FRESH)
        if isinstance(layer, Activation) and layer.name not in SCALE_FREE:
            self.assume(f"{layer.name}: wide-layer mean field at the second moment of its input")


# ---------------------------------------------------------------- gates in logarithms


def _clipped(gate: _Gate) -> tuple[float, float]:
    """q inside the range where quadrature works, and what the clip took off log2 q."""
    log_q = min(max(gate.log_q, -_CLIP), _CLIP)
    return 2.0**log_q, gate.log_q - log_q


def _log_gate_gain(gate: _Gate) -> float:
    q, over = _clipped(gate)
    slope = _ASYMPTOTES[gate.name][2] * max(over, 0.0) if gate.name in _ASYMPTOTES else 0.0
    return math.log2(max_moments(gate.name, gate.taps, q).gain) + slope


def _above(gate: _Gate, state: _State, need: _Need) -> _State:
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
    return _State(log_q, log_share, log_centred, state.fresh, gate)


def _log_spread(gate: _Gate, q: float, log_share: float) -> float:
    """log2 of the variance above a gate over what differs in its inputs, q inside the clip."""
    if log_share < -900:  # nearly equal inputs: linear, and no underflow
        return math.log2(q) + log_share + math.log2(max_moments(gate.name, gate.taps, q).gain)
    return math.log2(gate_spread(gate.name, gate.taps, q, 2.0**log_share))


# ---------------------------------------------------------------- repeats


def _means(item: Item) -> list[float]:
    """Mean log2 gain of every leaf of a pass."""
    if not isinstance(item, list):
        return [item]
    flat: list[float] = []
    for runs in item:
        if len(runs) == 1:
            flat += _means(runs[0][0])
            continue
        total = sum(times for _, times in runs)
        columns = zip(*(_means(inner) for inner, _ in runs), strict=True)
        flat += [sum(g * t for g, (_, t) in zip(column, runs, strict=True)) / total for column in columns]
    return flat


def _rebuilt(part: Layer, gains: list[float]) -> Item:
    """A pass with one run per part from its leaves' gains; takes them off the list."""
    if not isinstance(part, Stack):
        return gains.pop(0)
    return [[(_rebuilt(inner, gains), count)] for inner, count in part.parts]


class _Repeat:
    """One part, repeated: passes one by one, closed by a power once settled, by leaps while it drifts slowly."""

    def __init__(self, part: Layer, count: int, once: Callable[[_State], tuple[Item, _State]]) -> None:
        self.part, self.count, self.once = part, count, once
        self.runs: Runs = []
        self.done = 0
        self.next_leap, self.stride = _WALKED, 0.05  # the stride is a share of the passes done

    def walk(self, state: _State) -> tuple[Runs, _State]:
        last: Array | None = None
        while self.done < self.count:
            item, above = self.once(state)
            rate = self.rate(item, state, above)
            steady = state.kind() == above.kind()
            self.add(item, 1)
            state = above
            if not steady:
                last = None
                continue
            if last is not None and _same(rate, last):
                state = self.close(item, state, rate)
            elif last is not None and self.done >= self.next_leap:
                state = self.leap(state, float(np.abs(rate - last).max()))
            last = rate
        return self.runs, state

    def add(self, item: Item, times: int) -> None:
        if self.runs and self.runs[-1][0] == item:
            self.runs[-1] = (item, self.runs[-1][1] + times)
        else:
            self.runs.append((item, times))
        self.done += times

    def rate(self, item: Item, state: _State, above: _State) -> Array:
        """What one pass adds to log2 q, to log2 (v / q) and to the log2 gain of each leaf."""
        motion = [above.log_q - state.log_q, above.log_share - state.log_share]
        return np.array([m if abs(m) > _SETTLED else 0.0 for m in motion] + _means(item))  # rounding would add up over a million passes

    def rate_at(self, state: _State) -> Array:
        item, above = self.once(state)
        return self.rate(item, state, above)

    def close(self, item: Item, state: _State, rate: Array) -> _State:
        """Repeat a settled pass as often as its far end still agrees: a drift through many scales may not last."""
        times = self.count - self.done
        while times > 1:
            far = state.moved((times - 1) * rate)
            if _same(self.rate_at(far), rate):
                break
            times //= 2
        if times:
            self.add(item, times)
        return state.moved(times * rate)

    def flow(self, state: _State) -> Array:
        """Derivative by n of the curve through the passes: log(1 + D) to third order, from three passes."""
        rates = []
        for _ in range(3):
            item, above = self.once(state)
            rates.append(self.rate(item, state, above))
            state = above
        a, b, c = rates
        return np.asarray(a - (b - a) / 2 + (c - 2 * b + a) / 3)

    def leap(self, state: _State, change: float) -> _State:
        """One Runge-Kutta step over `stride` times the passes done; shorter until orders 4 and 2 agree.

        change: the largest difference of two passes' rates. For a drift as c / n it is c / n^2; where it has become smaller,
        the walk nears a fixed point, and a leap must not throw it back.
        """
        tolerance = _LEAP_TOLERANCE * min(1.0, change * self.done**2)
        while True:
            times = min(round(self.done * self.stride), self.count - self.done - 1)  # a pass is left to walk: it sets the rest right
            if times < 24:  # hardly worth twelve passes: walk on for a while
                self.next_leap, self.stride = self.done + self.done // 8, 0.05
                return state
            k1 = self.flow(state)
            k2 = self.flow(state.moved(times / 2 * k1))
            k3 = self.flow(state.moved(times / 2 * k2))
            k4 = self.flow(state.moved(times * k3))
            step = times / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            agreement = 0.8 * (tolerance / max(float(np.abs(step - times * k2).max()), 1e-300)) ** (1 / 3)
            if agreement >= 0.8:
                break
            self.stride = times / self.done * max(0.2, agreement)
        self.add(_rebuilt(self.part, (step[2:] / times).tolist()), times)
        self.stride = min(0.25, self.stride * min(2.0, agreement))
        return state.moved(step)


def _same(a: Array, b: Array) -> bool:
    return bool((np.abs(a - b) <= _SETTLED * np.maximum(1, np.abs(a))).all())
