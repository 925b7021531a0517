"""Jobs with ReLU and random weights: networks run forward and backward, draw by draw."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..layers import Activation, Conv, Stack
from ..propagation import Device
from ..result import ERF
from ..simulation import simulate
from .answers import Answer, answer_of, difference, largest, single
from .cases import Case, Peer, Size
from .results import Ceilings
from .truths import Verdict

Array = NDArray[Any]

CHECKED_DRAWS = 3
SEED = 5
NORMAL_WORK = 40  # multiply-adds that a normal number takes the time of: 10 rounds of integers, a logarithm, a root, a sine


class Simulated(Case):
    """The mean of g^2 over draws of 3 x 3 ReLU networks, of what one unit sees."""

    counted = "multiply-adds forward to the last ReLU and backward, and 40 for each random number"
    dtype: ClassVar[Literal["float64", "float32"]] = "float64"
    allowed: ClassVar[float] = 1e-10

    def __init__(self, size: Size, threads: int, device: Device = "cpu") -> None:
        super().__init__(size, threads, device)
        self.n, self.draws, self.channels = size["n"], size["draws"], size["channels"]
        self.net = Stack([Conv(3), Activation("relu")], ndim=2) * self.n

    def run(self) -> ERF:
        return self.solved(keep_draws=False, draws=self.draws)

    def solved(self, *, keep_draws: bool, draws: int, dtype: Literal["float64", "float32"] | None = None) -> ERF:
        options: dict[str, Any] = {"draws": draws, "keep_draws": keep_draws, "dtype": dtype or self.dtype}
        return simulate(self.net, seed=SEED, channels=self.channels, threads=self.threads, **options)

    def error(self, dtype: Literal["float64", "float32"]) -> float:
        """Of a few draws in an arithmetic."""
        few = min(CHECKED_DRAWS, self.draws)
        kept = answer_of(self.solved(keep_draws=True, draws=few, dtype=dtype))
        return largest(*(gap(kept.draw(draw), numpy_draw(self.n, self.channels, draw)) for draw in range(few)))

    def check(self, found: ERF) -> Verdict:
        return Verdict(self.error(self.dtype), self.allowed, "NumPy, forward and backward in float64, three draws")

    def floor(self, ceilings: Ceilings, found: ERF) -> float:
        # the gradient of one channel passes the last layer, and the input has one: both ends are counted by their own channels
        side = [2 * layer + 1 for layer in range(self.n + 1)]  # of the map `layer` layers below the unit
        wide = self.channels
        pairs = [wide * (1 if layer in (0, self.n - 1) else wide) for layer in range(self.n)]
        backward = sum(pair * 9 * side[layer] ** 2 for layer, pair in enumerate(pairs))
        forward = sum(pair * 9 * side[layer] ** 2 for layer, pair in enumerate(pairs) if layer)
        normals = sum(9 * pair for pair in pairs) + side[self.n] ** 2
        rate = ceilings.float64 if self.dtype == "float64" else ceilings.float32
        return self.draws * ((backward + forward) / rate + NORMAL_WORK * normals / ceilings.float64)

    def peers(self, found: ERF) -> Sequence[Peer]:
        @functools.cache
        def tensors() -> Any:
            """Made at the first call, which is not timed."""
            return torch_numbers(self.n, self.channels, self.draws, self.dtype)

        def in_torch(together: bool) -> Answer:
            weights, inputs = tensors()
            return torch_mean(weights, inputs, self.channels, together=together)

        return (
            Peer("torch autograd, all draws in one call, given the numbers", lambda: in_torch(True), torch=True),
            Peer("torch autograd, draw by draw, given the numbers", lambda: in_torch(False), fair=True, torch=True),
        )


class Wide(Simulated):
    """Many channels in float32: products of matrices.

    Of a hundred million gates some have an input within float32's rounding of zero, and open where they should not: that moves the
    gradient by a few percent, in any program. So the same draws are checked in float64 too, and closely.
    """

    dtype = "float32"
    allowed = 0.1

    def check(self, found: ERF) -> Verdict:
        against = (
            "NumPy, forward and backward in float64 (gates within float32's rounding of zero open otherwise; float64 is right to 1e-10)"
        )
        return Verdict(self.error("float32") if self.error("float64") <= Simulated.allowed else math.inf, self.allowed, against)


def numbers_of(n: int, channels: int, draw: int) -> tuple[list[Array], Array]:
    """What `simulate` draws: weights [out, in, 3, 3] per layer, and the input [1, side, side]."""
    weights = []
    for layer in range(n):
        shape = (channels, 1 if layer == 0 else channels, 3, 3)
        # the layers are numbered with the ReLUs between them
        normal = _core.normals(SEED, draw, 2 * layer, "weight", int(np.prod(shape))).reshape(shape)
        weights.append(normal * np.sqrt(2 / (shape[1] * 9)))
    side = 2 * n + 1
    return weights, _core.normals(SEED, draw, 0, "input", side * side).reshape(1, side, side)


@functools.lru_cache(maxsize=CHECKED_DRAWS)
def numpy_draw(n: int, channels: int, draw: int) -> Answer:
    """One draw by the definition: shifted maps times matrices of weights."""
    weights, values = numbers_of(n, channels, draw)
    gates = []
    for kernel in weights[:-1]:
        height, width = (side - 2 for side in values.shape[1:])
        shifted = [values[:, a : a + height, b : b + width] for a in range(3) for b in range(3)]
        values = np.add.reduce([np.tensordot(kernel[:, :, t // 3, t % 3], x, axes=1) for t, x in enumerate(shifted)])
        gates.append(values > 0)
        values = np.maximum(values, 0)
    gradient = np.zeros((channels, 1, 1))
    gradient[0] = 1
    for layer in range(n - 1, -1, -1):
        height, width = gradient.shape[1:]
        below = np.zeros((weights[layer].shape[1], height + 2, width + 2))
        for a in range(3):
            for b in range(3):
                below[:, a : a + height, b : b + width] += np.tensordot(weights[layer][:, :, a, b].T, gradient, axes=1)
        gradient = below * gates[layer - 1] if layer else below
    return single(np.square(gradient).sum(axis=0))


def gap(found: Answer, right: Answer) -> float:
    """The difference of one draw, of which one in four has no gradient."""
    if right.pixels.any():
        return difference(found, right)
    return math.inf if found.pixels.any() else 0.0


def torch_numbers(n: int, channels: int, draws: int, dtype: str) -> tuple[Any, Any]:
    """Weights and inputs of all draws as torch's: per layer [draws, out, in, 3, 3], and [draws, 1, side, side]."""
    import torch

    drawn = [numbers_of(n, channels, draw) for draw in range(draws)]
    kind = getattr(torch, dtype)
    weights = [torch.from_numpy(np.stack([one[0][layer] for one in drawn])).to(kind) for layer in range(n)]
    return weights, torch.from_numpy(np.stack([one[1] for one in drawn])).to(kind)


def torch_mean(weights: Any, inputs: Any, channels: int, *, together: bool) -> Answer:
    """The mean of g^2 by automatic differentiation. `together`: draws as groups of channels of one network."""
    from torch.nn import functional

    draws, side = len(inputs), inputs.shape[-1]
    total = np.zeros((side, side))
    for batch in [slice(0, draws)] if together else [slice(draw, draw + 1) for draw in range(draws)]:
        x = inputs[batch, 0][None].clone().requires_grad_(True)
        y = x
        for layer, kernel in enumerate(weights):
            y = functional.conv2d(y, kernel[batch].flatten(0, 1), groups=x.shape[1])
            y = functional.relu(y) if layer < len(weights) - 1 else y
        y[0, ::channels].sum().backward()
        assert x.grad is not None
        total += np.square(x.grad[0].numpy().astype(np.float64)).sum(axis=0)
    return single(total / draws)
