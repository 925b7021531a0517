"""Jobs with different non-negative kernels in every layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..layers import Conv, Stack
from ..propagation import Device, Engine, gradient
from ..result import ERF
from .answers import Answer, answer_of, difference
from .cases import Case, Peer, Size
from .chains import convolved
from .gpu import layer_peers
from .loops import numpy_loop, torch_loop
from .products import Band, band_image, even_length
from .results import Ceilings
from .signed import product_work
from .truths import Verdict, relative_error, sums_error

Array = NDArray[np.float64]


def _kernels(size: Size) -> Array:
    """Kernels [n, k, k] of total 1 whose taps differ by up to a factor 5; not outer products."""
    taps = np.random.default_rng(4).uniform(0.2, 1.0, (size["n"], size["k"], size["k"]))
    return np.asarray(taps / taps.sum(axis=(1, 2), keepdims=True))


class Direct(Case):
    """The whole image, every pixel relative to itself."""

    counted = "one multiply-add per tap and pixel of the growing image"
    dtype = "float64"
    allowed = 1e-12  # or the result's own bound, whichever is less

    def __init__(self, size: Size, threads: int, device: Device = "cpu") -> None:
        super().__init__(size, threads, device)
        self.n, self.k = size["n"], size["k"]
        self.net = Stack([Conv(self.k)], ndim=2) * self.n
        self.kernels = _kernels(size)

    def run(self) -> ERF:
        erf = gradient(
            self.net,
            self.kernels,
            window="full",
            accuracy="pixel",
            engine="direct",
            device=self.device,
            dtype=self.dtype,  # type: ignore[arg-type]
            threads=self.threads,
        )
        assert erf.image is not None  # that of a GPU comes to the host here
        return erf

    def check(self, found: ERF) -> Verdict:
        against = "sums along rows, columns and diagonals as 1-D chains in long double, each relative to itself"
        return Verdict(sums_error(answer_of(found), self.kernels), min(found.error, self.allowed), against)

    def floor(self, ceilings: Ceilings, found: ERF) -> float:
        pixels = sum((layer * (self.k - 1) + 1) ** 2 for layer in range(1, self.n + 1))
        return self.k**2 * pixels / (ceilings.float64 if self.dtype == "float64" else ceilings.float32)

    def peers(self, found: ERF) -> Sequence[Peer]:
        if self.device == "cuda":
            return layer_peers(self.kernels, self.dtype, float(found.log10_peak()) / math.log10(2))
        return (
            Peer(f"NumPy shifted adds {self.dtype}", lambda: numpy_loop(self.kernels, self.dtype), fair=True, slow=True),
            Peer(f"torch loop {self.dtype}", lambda: torch_loop(self.kernels, self.dtype), torch=True, slow=True),
        )


class DirectSingle(Direct):
    dtype = "float32"
    allowed = 1e-5


class Deep(Case):
    """Thousands of layers, absolute accuracy."""

    counted = "the product on the frequencies that count, two real products per pixel and column of them, and one write"

    def __init__(self, size: Size, threads: int, device: Device = "cpu") -> None:
        super().__init__(size, threads, device)
        self.n, self.k = size["n"], size["k"]
        self.net = Stack([Conv(self.k)], ndim=2) * self.n
        self.kernels = _kernels(size)

    def run(self) -> ERF:
        engine: Engine = "auto" if self.device == "cpu" else "spectral"
        erf = gradient(self.net, self.kernels, accuracy="peak", engine=engine, device=self.device, threads=self.threads)
        assert erf.image is not None  # that of a GPU comes to the host here
        return erf

    def band(self, found: ERF) -> Band:
        """Period and frequencies by the normal approximation: 10 standard deviations about the window, densities of exp(-40)."""
        low, high = found.origin, [o + n - 1 for o, n in zip(found.origin, found.shape, strict=True)]
        std = max(math.sqrt(self.n * (self.k**2 - 1) / 12), 1.0)
        period = even_length(max(b - a for a, b in zip(low, high, strict=True)) + math.ceil(10 * std))
        most = min(math.ceil(math.sqrt(80) / std * period / (2 * math.pi)), period // 2 - 1)
        return Band(period, most, most, ((low[0], high[0]), (low[1], high[1])))

    def check(self, found: ERF) -> Verdict:
        right = band_image(self.kernels, self.band(found), precise=True)
        return Verdict(difference(answer_of(found), right), found.error, "the product in long double on all frequencies that count")

    def floor(self, ceilings: Ceilings, found: ERF) -> float:
        given, (height, width) = self.band(found), found.shape
        product = product_work((2 * given.rows + 1) * (given.columns + 1), self.n, self.k)
        return (product + height * width * (given.columns + 1)) / ceilings.float64 + height * width * 8 / ceilings.write

    def peers(self, found: ERF) -> Sequence[Peer]:
        given = self.band(found)
        return (Peer("NumPy product, told the band", lambda: band_image(self.kernels, given), fair=True),)


class Tails(Case):
    """Thousands of layers, every pixel of the window relative to itself.

    The kernels are outer products of whole numbers, so that the truth is two chains; the engine asked for does not look.
    """

    counted = "the product on the frequencies that count, for every tile, and one write"

    def __init__(self, size: Size, threads: int, device: Device = "cpu") -> None:
        super().__init__(size, threads, device)
        self.n, self.k = size["n"], size["k"]
        self.net = Stack([Conv(self.k)], ndim=2) * self.n
        self.lines = np.random.default_rng(4).integers(10, 51, (2, self.n, self.k)).astype(np.float64)
        self.kernels = np.einsum("na,nb->nab", *self.lines)

    def run(self) -> ERF:
        return gradient(self.net, self.kernels, engine="spectral", accuracy="pixel", device=self.device, threads=self.threads)

    def check(self, found: ERF) -> Verdict:
        against = "the outer product of two 1-D chains in long double, each pixel relative to itself"
        (rows, e), (columns, f) = (convolved(line, np.longdouble) for line in self.lines)
        low, (height, width) = found.origin, found.shape
        right = np.multiply.outer(rows[low[0] : low[0] + height], columns[low[1] : low[1] + width])
        pixels = np.ldexp(found.image.astype(np.longdouble), int(found.exponent) - e - f)
        return Verdict(relative_error(pixels, right), found.error, against)

    def floor(self, ceilings: Ceilings, found: ERF) -> float:
        std = math.sqrt(self.n * (self.k**2 - 1) / 12)
        tiles = math.prod(math.ceil(side / (2.8 * std)) for side in found.shape)
        # what a tile keeps of the spectrum: 9 standard deviations to each side, on a period of some 11 of the image's
        most = math.ceil(9 * 11 / (2 * math.pi))
        return tiles * product_work((2 * most + 1) * (most + 1), self.n, self.k) / ceilings.float64 + found.image.nbytes / ceilings.write

    def peers(self, found: ERF) -> Sequence[Peer]:
        def layers() -> Answer:
            return answer_of(gradient(self.net, self.kernels, engine="direct", threads=self.threads))

        return (Peer("erffast, layer by layer", layers, slow=True),)
