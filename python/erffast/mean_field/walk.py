"""What each layer of a stack multiplies E g^2 by on the way back: one forward walk over the run-length encoded parts.

The walk carries, for a unit of a wide layer, the second moment q of its value and the parts of it that are variance over
the data, v, and variance over the channels. It starts from white input of unit variance.

- A convolution multiplies q and v by its `variance_gain`: equal fan in and out is assumed.
- An activation is E phi'^2 at q. A max-pool next to it shares its gate: together they are E phi'(M)^2, M the largest of
  the inputs under the window; whichever comes second gets the quotient.
- Batch and instance norms divide by v and leave q = v = 1; layer and group norms divide by the variance over the channels.
- An average pool has factor 1 here (its taps carry their own squares); for white input v falls by the number of taps.
"""

from __future__ import annotations

import decimal
import math
from dataclasses import dataclass
from decimal import Decimal

from .. import _validate as check
from .._graphs import chain_of
from ..layers import Activation, AvgPool, Conv, Dropout, Layer, MaxPool, Norm, Scale, Stack
from .moments import SCALE_FREE
from .repeats import Item, Repeat, Runs
from .state import Gate, Need, State, above_gate, log_gate_gain

# 34 digits and no limit to the exponent that a network could reach: half a million ReLUs leave 10^-150515.
_CONTEXT = decimal.Context(prec=34, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[decimal.InvalidOperation, decimal.DivisionByZero])

_MOST_TAPS = 10**9

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


def gains(stack: Stack) -> GainWalk:
    """Gain of every layer of `stack`, run-length encoded as the stack is; see the module for what is assumed."""
    if not isinstance(stack, Stack):
        raise TypeError(f"stack must be a Stack, got {stack!r}")
    chain_of(stack, "mean_field.gains()")
    walker = _Walker(stack.ndim)
    runs, _ = walker.parts(stack, State(), Need())
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
        self._needs: dict[int, Need] = {}
        self._needs_above: dict[tuple[int, Need], list[Need]] = {}

    # ------------------------------------------------------------ parts and repeats

    def parts(self, stack: Stack, state: State, after: Need) -> tuple[list[Runs], State]:
        found = []
        for (part, count), need in zip(stack.parts, self.needs_above(stack, after), strict=True):
            runs, state = self.repeat(part, count, state, need)
            found.append(runs)
        return found, state

    def needs_above(self, stack: Stack, after: Need) -> list[Need]:
        """For each part what the layers above it make use of."""
        key = id(stack), after
        if key not in self._needs_above:
            needs = [after]
            for part, _ in reversed(stack.parts[1:]):
                needs.append(needs[-1] | self.need(part))
            self._needs_above[key] = needs[::-1]
        return self._needs_above[key]

    def repeat(self, part: Layer, count: int, state: State, after: Need) -> tuple[Runs, State]:
        need = after | self.need(part) if count > 1 else after

        def once(state: State) -> tuple[Item, State]:
            if isinstance(part, Stack):
                return self.parts(part, state, need)
            return self.layer(part, state, need)

        if count == 1:
            item, above = once(state)
            return [(item, 1)], above
        return Repeat(part, count, once).walk(state)

    def need(self, part: Layer) -> Need:
        if id(part) not in self._needs:
            if isinstance(part, Stack):
                need = Need()
                for inner, _ in part.parts:
                    need = need | self.need(inner)
            else:
                kind = part.kind if isinstance(part, Norm) else ""
                smooth = isinstance(part, Activation) and part.name not in SCALE_FREE
                # an average pool splits q by what the data share
                data = kind in ("batch", "instance") or isinstance(part, AvgPool)
                need = Need(bool(kind) or smooth, data, kind in ("layer", "group"))
            self._needs[id(part)] = need
        return self._needs[id(part)]

    def assume(self, text: str) -> None:
        self.assumptions[text] = None

    # ------------------------------------------------------------ single layers

    def layer(self, layer: Layer, state: State, need: Need) -> tuple[float, State]:
        """log2 gain of a layer and the state above it."""
        if isinstance(layer, Activation | MaxPool):
            return self.gate(layer, state, need)
        if isinstance(layer, Conv):
            if need.moments:
                self.assume(EQUAL_FANS)
            gain = math.log2(layer.variance_gain)
            return gain, State(state.log_q + gain, state.log_share, fresh=True)
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

    def dropout(self, layer: Dropout, state: State) -> tuple[float, State]:
        if not layer.rate:
            return 0.0, state
        keep = 1 - layer.rate
        # masks differ from input to input and from channel to channel: what they share stays, the second moment grows
        log_share, log_centred = (math.log2(1 - (1 - 2**log) * keep) for log in (state.log_share, state.log_centred))
        return -math.log2(keep), state._replace(log_q=state.log_q - math.log2(keep), log_share=log_share, log_centred=log_centred)

    def average(self, layer: AvgPool, state: State, need: Need) -> tuple[float, State]:
        if need.moments:
            self.assume(WHITE_POOLS)
        taps = self.taps(layer)
        share, centred = 2**state.log_share, 2**state.log_centred
        left = 1 - share + share / taps
        log_left = math.log2(left)
        log_share = state.log_share - math.log2(taps) - log_left
        log_centred = max(math.log2(centred - share + share / taps) - log_left if centred > share else log_share, log_share)
        return 0.0, state._replace(log_q=state.log_q + log_left, log_share=log_share, log_centred=log_centred)

    def norm(self, layer: Norm, state: State) -> tuple[float, State]:
        if layer.kind in ("batch", "instance"):
            self.assume(DATA_NORMS)
            return -state.log_q - state.log_share, State(fresh=state.fresh)
        self.assume(CHANNEL_NORMS)
        log_share = min(state.log_share - state.log_centred, 0.0)
        return -state.log_q - state.log_centred, State(log_share=log_share, fresh=state.fresh)

    def taps(self, layer: MaxPool | AvgPool) -> int:
        return math.prod(check.per_axis(layer.kernel, self.ndim, "kernel"))

    def gate(self, layer: Activation | MaxPool, state: State, need: Need) -> tuple[float, State]:
        """Extend the open gate by an activation or a max-pool; the gain is the quotient of the gate's gains."""
        if isinstance(layer, Activation) and layer.name == "identity":
            return 0.0, state
        old = state.gate
        if old and isinstance(layer, Activation) and old.name != "identity":
            old, state = None, state._replace(fresh=False)  # a second activation: not the same gate
        gate = old or Gate(state.log_q, state.log_share, "identity", 1)
        if isinstance(layer, Activation):
            gate = gate._replace(name=layer.name)
        else:
            gate = gate._replace(taps=min(gate.taps * self.taps(layer), _MOST_TAPS))
        self.note_gate(gate, layer, state)
        gain = log_gate_gain(gate) - (log_gate_gain(old) if old else 0.0)
        return gain, above_gate(gate, state, need)

    def note_gate(self, gate: Gate, layer: Activation | MaxPool, state: State) -> None:
        if isinstance(layer, MaxPool):
            self.assume(MAX_POOLS)
            if gate.name in ("gelu", "silu"):
                self.assume(NOT_MONOTONE)
        elif not state.fresh:
            self.assume(NOT_FRESH)
        if isinstance(layer, Activation) and layer.name not in SCALE_FREE:
            self.assume(f"{layer.name}: wide-layer mean field at the second moment of its input")
