"""Does "auto" choose well: chains on both sides of where engines cross, timed beside every engine forced."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import AccuracyError
from ..propagation import Device, gradient
from ..result import ERF
from .answers import Answer, answer_of, difference, largest
from .cases import Case, Part, Size
from .choices import FAMILIES, Family, crossing
from .results import Ceilings
from .truths import Verdict

DEPTHS = (0.4, 2.5)  # of the crossing
DEEPEST = 4000  # layers of a crossing that is looked at
ALLOWED = 1e-11  # of the peak


class Chosen(NamedTuple):
    """One network."""

    family: Family
    n: int
    weights: NDArray[np.float64]

    def run(self, engine: str, threads: int) -> ERF:
        return self.family.run(self.n, engine, threads, self.weights)


class Choices(Case):
    """Networks of the first families, by "auto"."""

    apart = False

    def __init__(self, size: Size, threads: int, device: Device = "cpu") -> None:
        super().__init__(size, threads, device)
        families = [f for f in FAMILIES.values() if f.shallow == "direct" and f.ndim == 2][: size["families"]]  # others cannot be forced
        depths = [(f, crossing(f)) for f in families]
        sizes = [(f, max(2, round(n * share))) for f, n in depths if n <= DEEPEST for share in DEPTHS]
        self.chains = [Chosen(f, n, f.weights(n)) for f, n in sizes]

    def run(self) -> list[ERF]:
        return [chain.run("auto", self.threads) for chain in self.chains]

    def check(self, found: list[ERF]) -> Verdict:
        worst = 0.0
        for chain, erf in zip(self.chains, found, strict=True):
            worst = largest(worst, difference(answer_of(erf).draw(0), self.right(chain)))
        return Verdict(worst, ALLOWED, "layer by layer, in double-double arithmetic where there are negative taps; of draws the first")

    def right(self, chain: Chosen) -> Answer:
        tol = 1e-16 if chain.family.signed else 1e-12  # the first is below what float64 is ever estimated to keep
        net, weights = chain.family.net(chain.n), chain.weights[0]
        return answer_of(gradient(net, weights, engine="direct", window="full", tol=tol, threads=self.threads))

    def parts(self, ceilings: Ceilings, found: list[ERF]) -> Sequence[Part]:
        return [self._beside_the_best(chain) for chain in self.chains]

    def _beside_the_best(self, chain: Chosen) -> Part:
        """The faster of both engines, forced, and what "auto" takes."""

        def forced(engine: str) -> Callable[[], ERF]:
            return lambda: chain.run(engine, self.threads)

        best = min((chain.family.shallow, "spectral"), key=lambda engine: _seconds(forced(engine)))
        name = f"{best}, forced, for {chain.family.name}, n={chain.n}"
        return Part(name, forced(best), in_turn=True, whole=forced("auto"))

    def engine(self, found: list[ERF]) -> str:
        return "auto"

    def claimed(self, found: list[ERF]) -> float:
        return max(erf.error for erf in found)


def _seconds(call: Callable[[], object]) -> float:
    """The lesser of two times; infinite where the tolerance cannot be kept."""
    times = []
    for _ in range(2):
        begin = time.perf_counter()
        try:
            call()
        except AccuracyError:
            return math.inf
        times.append(time.perf_counter() - begin)
    return min(times)
