"""Families of networks in which one engine pays when shallow and another when deep, and where the cost model says they cross."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..chain import Chain
from ..layers import Conv, Stack
from ..lowering import lower_gradient
from ..propagation import gradient
from ..result import ERF
from ..spectral import cost

DEEPEST = 100_000  # layers, beyond which no crossing is looked for


@dataclass(frozen=True)
class Family:
    """Networks of `n` layers with one size of kernel.

    Attributes
    ----------
    name : str
    kernel : int
    signed : bool
    shallow : "direct" or "separable"
        The engine that runs layer by layer; the other one is the spectral engine.
    draws, ndim : int
    options : dict
        Of `gradient`.
    """

    name: str
    kernel: int
    signed: bool
    shallow: str = "direct"
    draws: int = 1
    ndim: Literal[1, 2] = 2
    options: dict[str, Any] = field(default_factory=dict)

    def net(self, n: int) -> Stack:
        return Stack([Conv(self.kernel)], ndim=self.ndim) * n

    def weights(self, n: int) -> NDArray[np.float64]:
        """Kernels [draws, n, ...]; outer products for the separable engine."""
        rng = np.random.default_rng([n, self.kernel])
        sides = (self.kernel,) * self.ndim
        if self.shallow == "separable":
            lines = rng.standard_normal((2, self.draws, n, self.kernel))
            return np.asarray(lines[0][..., :, None] * lines[1][..., None, :])
        shape = (self.draws, n, *sides)
        return rng.standard_normal(shape) if self.signed else rng.uniform(0.2, 1.0, shape)

    def chain(self, n: int) -> Chain:
        return lower_gradient(self.net(n), self.weights(n))

    def run(self, n: int, engine: str, threads: int = 0, weights: NDArray[np.float64] | None = None, *, careless: bool = False) -> ERF:
        """By an engine; `careless`: in float64, whatever the rounding, where only the time is looked at."""
        given = self.weights(n) if weights is None else weights
        options = {"window": "full", **({"tol": 0.5} if careless else {})} if self.signed else self.options
        return gradient(self.net(n), given, engine=engine, threads=threads, **options)  # type: ignore[arg-type]

    def layered(self, n: int) -> bool:
        """Whether the cost model expects layer by layer to take less time."""
        chain = self.chain(n)
        if self.signed:
            return cost.layers_pay(chain, separable=self.shallow == "separable")
        return not (cost.band_pays(chain) if self.options["accuracy"] == "peak" else cost.tilts_pay(chain))


FAMILIES = {
    family.name: family
    for family in (
        Family("signed 3x3", 3, signed=True),
        Family("signed 5x5", 5, signed=True),
        Family("signed 7x7", 7, signed=True),
        Family("signed 3x3, 10 draws", 3, signed=True, draws=10),
        Family("signed, one axis", 5, signed=True, ndim=1),
        Family("signed outer products", 3, signed=True, shallow="separable"),
        Family("non-negative 3x3, against the peak", 3, signed=False, options={"accuracy": "peak"}),
        Family("non-negative 7x7, against the peak", 7, signed=False, options={"accuracy": "peak"}),
        Family("non-negative 3x3, every pixel", 3, signed=False, options={"accuracy": "pixel"}),
    )
}


def crossing(family: Family) -> int:
    """The least depth at which the spectral engine is expected to take less time, if it does from there on."""
    low, high = 0, 1
    while high < DEEPEST and family.layered(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if family.layered(middle) else (low, middle)
    return high
