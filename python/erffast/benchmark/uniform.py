"""Jobs with uniform 3 x 3 layers, whose answers are known in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _devices
from ..analytic import pmf
from ..frontends.text import parse
from ..layers import Conv, Stack
from ..propagation import Device, variance
from ..result import ERF
from .answers import Answer, largest
from .cases import Case, Part, Peer, Size
from .chains import convolved, outer_image
from .loops import scipy_loop, torch_loop
from .results import Ceilings
from .trinomial import identity_error, places_error
from .truths import Verdict, relative_error

Array = NDArray[np.float64]

INTEGERS = 20_000  # layers up to which exact integers take seconds


class _Uniform(Case):
    def __init__(self, size: Size, threads: int, device: Device = "cpu") -> None:
        super().__init__(size, threads, device)
        self.net = Stack([Conv(3)], ndim=2) * size["n"]
        self.side = 2 * size["n"] + 1

    @cached_property
    def profile(self) -> Array:
        """The exact profile: extended binomial coefficients in integers, correctly rounded."""
        return pmf(3, self.size["n"])

    def chain(self) -> tuple[Array, int]:
        """One axis in NumPy, layer by layer; weights 1, the total taken out at the end, for three times fl(1/3) is not 1."""
        profile, _ = convolved(np.ones((self.size["n"], 3)))
        return profile / profile.sum(), 0

    def kernels(self) -> Array:
        return np.full((self.size["n"], 3, 3), 1 / 9)


class UniformImage(_Uniform):
    """The full image; on a GPU it stays there."""

    counted = "one write of the image"

    def run(self) -> ERF:
        erf = variance(self.net, window="full", device=self.device, threads=self.threads)
        formed = erf.image if self.device == "cpu" else erf.device_image  # a product of profiles is formed here
        assert formed is not None
        return erf

    def check(self, found: ERF) -> Verdict:
        right = np.multiply.outer(self.profile, self.profile)
        return Verdict(
            relative_error(np.ldexp(found.image, found.exponent), right),
            1e-12,
            "exact integer coefficients, every pixel relative to itself",
        )

    def floor(self, ceilings: Ceilings, found: ERF) -> float:
        return self.side**2 * 8 / ceilings.write

    def parts(self, ceilings: Ceilings, found: ERF) -> Sequence[Part]:
        if self.device == "cuda":
            native, profile, shift = _devices.native(self.device), np.atleast_2d(self.profile), np.zeros(1, dtype=np.int64)
            return (
                Part(
                    "the image alone, from its profiles",
                    lambda: native.outer_image_f64(profile, profile, shift),
                    self.floor(ceilings, found),
                ),
            )
        return (Part("np.full of the image", lambda: np.full((self.side, self.side), 0.5), in_turn=True),)

    def answer_bytes(self, found: ERF) -> int:
        return self.side**2 * 8

    def peers(self, found: ERF) -> Sequence[Peer]:
        if self.device == "cuda":
            return ()
        return (
            Peer("NumPy: 1-D convolutions, outer product", lambda: outer_image(*self.chain()), fair=True),
            Peer("torch loop float32", lambda: torch_loop(self.kernels(), "float32"), torch=True, slow=True),
        )


class Profiles(NamedTuple):
    """What a user asks of a network too deep for an image."""

    erf: ERF
    rows: Array
    std: Any
    level_size: Any
    mass_size: Any


class UniformProfiles(_Uniform):
    """Marginals and sizes, without an image."""

    counted = "one write of two profiles"

    def run(self) -> Profiles:
        erf = variance(self.net, window="full", threads=self.threads)
        return Profiles(erf, erf.marginal(0), erf.std(), erf.level_size(), erf.mass_size())

    def check(self, found: Profiles) -> Verdict:
        n = self.size["n"]
        if n <= INTEGERS:
            error, against = relative_error(found.rows, self.profile), "exact integer coefficients, every pixel relative to itself"
        else:
            error = largest(identity_error(found.rows, n), places_error(found.rows, n))
            against = "the recurrence of the coefficients at every pixel, and tilted sums of waves in long double"
        std = math.sqrt(n * 8 / 12)
        error = largest(error, *(abs(value / std - 1) for value in found.std))
        return Verdict(error, 1e-11, f"{against}, and the standard deviation in closed form")

    def floor(self, ceilings: Ceilings, found: Profiles) -> float:
        return 2 * self.side * 8 / ceilings.write

    def peers(self, found: Profiles) -> Sequence[Peer]:
        if self.size["n"] > INTEGERS:  # a minute and more
            return ()
        return (Peer("NumPy: 1-D convolutions", self._chain_answer, fair=True),)

    def answer_bytes(self, found: Profiles) -> int:
        return 2 * self.side * 8

    def _chain_answer(self) -> Answer:
        profile, exponent = self.chain()
        return Answer(profile[None, None], np.array([exponent]), (0, 0))

    def answer(self, found: Profiles) -> Answer:
        return Answer(found.rows[None, None], np.array([0]), (0, 0))

    def engine(self, found: Profiles) -> str:
        return found.erf.engine

    def claimed(self, found: Profiles) -> float:
        return found.erf.error


class SmallCall(_Uniform):
    """A network so small that the time is what a call costs; the network is given."""

    def run(self) -> ERF:
        return variance(self.net, threads=self.threads)

    def check(self, found: ERF) -> Verdict:
        rows, columns = (self.profile[o : o + n] for o, n in zip(found.origin, found.shape, strict=True))
        error = relative_error(np.ldexp(found.image, found.exponent), np.multiply.outer(rows, columns))
        return Verdict(error, 1e-14, "exact integer coefficients, every pixel relative to itself")

    def peers(self, found: ERF) -> Sequence[Peer]:
        return (
            Peer("SciPy: convolve2d", lambda: scipy_loop(self.kernels()), fair=True),
            Peer("torch loop float32", lambda: torch_loop(self.kernels(), "float32"), torch=True, slow=True),
        )


class SmallParse(SmallCall):
    """The same from text."""

    def run(self) -> ERF:
        return variance(parse(f"conv3 * {self.size['n']}"), threads=self.threads)
