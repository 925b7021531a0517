"""Jobs with random signed 3 x 3 layers: what drowns in rounding when it is done layer by layer."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .. import _backend, _devices
from ..layers import Conv, Stack
from ..lowering import lower_gradient
from ..propagation import Device, gradient
from ..result import ERF
from ..spectral.transfer import transfer
from .answers import Answer, answer_of, difference, largest, stacked
from .cases import Case, Part, Peer, Size
from .ceilings import fft_seconds
from .gpu import layer_peers, product_peers
from .loops import torch_autograd, torch_loop
from .products import even_length, numpy_image, torch_image
from .results import Ceilings
from .truths import Verdict, sampled_error

Array = NDArray[np.float64]

ALLOWED = 1e-12  # of the peak
CHECKED_DRAWS = 5  # of a batch, pixel by pixel
FIRST_SEED = 3
DEVIATIONS = 25  # standard deviations of the image in a compact period


def product_work(frequencies: int, layers: int, kernel: int) -> float:
    """Multiply-adds of a product of real kernels' transfer functions, the least known.

    Four layers' rows are combined, and cosines and sines serve the four frequencies (+-u, +-v) together: (4 (k - 1) / 2) for the
    sums, 4 to bring them together and 4 for the complex product, per four layers. For 3 x 3 that is 3 per frequency and layer.
    """
    return frequencies * layers * (2 * (kernel - 1) + 8) / 4


class Signed(Case):
    """The whole image of one draw, on the full period."""

    counted = "3 multiply-adds (k=3) per frequency and layer of the full period, and one inverse FFT"
    period: Literal["auto", "full"] = "full"

    def __init__(self, size: Size, threads: int, device: Device = "cpu") -> None:
        super().__init__(size, threads, device)
        self.n, self.k, self.draws = size["n"], size.get("k", 3), size.get("draws", 1)
        self.net = Stack([Conv(self.k)], ndim=2) * self.n
        self.kernels = self.made(FIRST_SEED)

    def made(self, seed: int) -> Array:
        """Kernels [draws, n, k, k] of a seed."""
        return np.random.default_rng(seed).standard_normal((self.draws, self.n, self.k, self.k)) / self.k

    def run(self) -> ERF:
        return self.solved(self.kernels)

    def solved(self, kernels: Array) -> ERF:
        weights = kernels if "draws" in self.size else kernels[0]
        erf = gradient(self.net, weights, engine="spectral", period=self.period, device=self.device, threads=self.threads)
        assert erf.image is not None  # that of a GPU comes to the host here
        return erf

    def check(self, found: ERF) -> Verdict:
        answer = answer_of(found)
        worst = 0.0
        for draw in range(0, self.draws, math.ceil(self.draws / CHECKED_DRAWS)):
            one, kernels = answer.draw(draw), self.kernels[draw]
            sampled = root_mean_square(one, kernels)
            worst = largest(worst, difference(one, right_image(kernels.tobytes(), kernels.shape, self.threads)), sampled)
        against = "double-double arithmetic, layer by layer; long double products at 400 frequencies (Parseval)"
        for seed in range(FIRST_SEED + 1, FIRST_SEED + self.size.get("seeds", 1)):
            kernels = self.made(seed)
            worst = largest(worst, root_mean_square(answer_of(self.solved(kernels)), kernels[0]))
        return Verdict(worst, ALLOWED, against + (f"; {self.size['seeds']} seeds" if "seeds" in self.size else ""))

    def floor(self, ceilings: Ceilings, found: ERF) -> float:
        side = self.floor_period(found)
        work = product_work(side * (side // 2 + 1), self.n, self.k)
        return self.draws * (work / ceilings.float64 + fft_seconds(ceilings, side, side))

    def floor_period(self, found: ERF) -> int:
        return even_length(self.n * (self.k - 1) + 1)

    def parts(self, ceilings: Ceilings, found: ERF) -> Sequence[Part]:
        side, layers = self.floor_period(found), transfer(lower_gradient(self.net, self.kernels)).native()
        native = _devices.native(self.device)
        limit = _devices.free_memory(native) or _backend.memory_limit()

        def product() -> object:
            return native.spectrum(layers, (side, side), None, self.draws, self.threads, limit, None)

        floor = self.draws * product_work(side * (side // 2 + 1), self.n, self.k) / ceilings.float64
        return (Part("the product alone", product, floor),)

    def peers(self, found: ERF) -> Sequence[Peer]:
        kernels, peak = self.kernels[0], float(np.max(found.log10_peak())) / math.log10(2)
        if self.device == "cuda":
            return (*product_peers(self.kernels), *(layer_peers(kernels, "float32", peak) if self.draws == 1 else ()))
        return (
            Peer("NumPy product and irfft2", lambda: stacked([numpy_image(k, threads=self.threads) for k in self.kernels]), fair=True),
            Peer("torch complex128 product and irfft2", lambda: stacked([torch_image(k) for k in self.kernels]), fair=True, torch=True),
            Peer("torch loop float32", lambda: stacked([torch_loop(k, "float32") for k in self.kernels]), torch=True, slow=True),
            *(
                ()
                if self.draws > 1
                else (Peer("torch autograd float32", lambda: torch_autograd(kernels, "float32", peak), torch=True, slow=True),)
            ),
        )


class SignedCompact(Signed):
    """The same on the smallest period that holds the image."""

    counted = "3 multiply-adds (k=3) per frequency and layer of a period of 25 standard deviations, and one inverse FFT"
    period: Literal["auto", "full"] = "auto"

    def floor_period(self, found: ERF) -> int:
        width = max(found.std())  # of the square of the image
        return min(even_length(math.ceil(DEVIATIONS * width)), even_length(self.n * (self.k - 1) + 1))

    def peers(self, found: ERF) -> Sequence[Peer]:
        if self.device == "cuda":
            return ()
        told = even_length(math.ceil(1.2 * self.floor_period(found)))
        return (
            Peer(
                "NumPy product and irfft2, told the period",
                lambda: numpy_image(self.kernels[0], period=told, threads=self.threads),
                fair=True,
            ),
        )


@functools.lru_cache(maxsize=CHECKED_DRAWS)
def right_image(kernels: bytes, shape: tuple[int, int, int], threads: int) -> Answer:
    """The image in double-double arithmetic, layer by layer: amplified rounding stays far below float64. Kept, for two jobs share it."""
    weights = np.frombuffer(kernels).reshape(shape)
    # a tolerance that float64 is never estimated to keep
    return answer_of(gradient(Stack([Conv(shape[1])], ndim=2) * shape[0], weights, engine="direct", tol=1e-16, threads=threads))


def root_mean_square(one: Answer, kernels: Array) -> float:
    """Of the error over the pixels of one draw, relative to its peak."""
    return sampled_error(one, kernels) / math.sqrt(one.pixels.size)
