"""The usual way: layer by layer, in torch and in NumPy. Fast to write; with signed kernels wrong when deep.

Each image is brought back to a peak near 1 after every layer, without which nothing is left of a few dozen float32 layers.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answers import Answer, single

Array = NDArray[np.float64]


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """torch with this many threads, and afterwards with as many as it had."""
    import torch

    had = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(had)


@functools.cache
def warm_torch() -> None:
    """Load torch and what it sets up at first calls, which are no part of any time."""
    from .products import torch_image

    kernels = np.ones((2, 3, 3))
    torch_loop(kernels, "float32")
    torch_autograd(kernels, "float32", 0.0)
    torch_image(kernels)


def torch_loop(kernels: Array, dtype: str) -> Answer:
    """Transposed convolutions of a growing image, torch's own way from a unit to its input gradient."""
    import torch
    from torch.nn import functional

    image, exponent = torch.ones((1, 1, 1, 1), dtype=getattr(torch, dtype)), 0
    with torch.no_grad():
        for kernel in torch.from_numpy(np.ascontiguousarray(kernels)).to(image.dtype):
            image = functional.conv_transpose2d(image, kernel[None, None])
            shift = math.frexp(float(image.abs().max()))[1]
            image *= 2.0**-shift
            exponent += shift
    return single(image[0, 0].numpy(), exponent)


def torch_autograd(kernels: Array, dtype: str, log2_peak: float, device: str = "cpu") -> Answer:
    """The network as torch layers, and `backward()`. The weights are scaled beforehand so that the gradient's peak is near 1."""
    import torch
    from torch.nn import functional

    sides = [len(kernels) * (k - 1) + 1 for k in kernels.shape[1:]]
    scaled, shift = scaled_taps(kernels, dtype, log2_peak, device)
    x = torch.zeros((1, 1, *sides), dtype=scaled.dtype, device=device, requires_grad=True)
    y = x
    for kernel in scaled:
        y = functional.conv2d(y, kernel[None, None])
    y.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    return unscaled_answer(x.grad[0, 0], shift, len(kernels))


def scaled_taps(kernels: Array, dtype: str, log2_peak: float, device: str) -> tuple[Any, float]:
    """Taps as torch's, with the gradient's peak near 1, and the power of two that was taken out of each layer."""
    import torch

    shift = round(log2_peak / len(kernels), 6)
    return torch.from_numpy(np.ascontiguousarray(kernels * 2.0**-shift)).to(device, getattr(torch, dtype)), shift


def unscaled_answer(image: Any, shift: float, layers: int) -> Answer:
    """An image [rows, columns] of torch's, made with `scaled_taps`."""
    power = shift * layers
    return single(image.cpu().numpy().astype(np.float64) * 2.0 ** (power % 1), math.floor(power))


def numpy_loop(kernels: Array, dtype: str) -> Answer:
    """Shifted adds of a growing image."""
    image, exponent = np.ones((1, 1), dtype=dtype), 0
    for kernel in kernels.astype(dtype):
        height, width = image.shape
        grown = np.zeros((height + kernel.shape[0] - 1, width + kernel.shape[1] - 1), dtype=dtype)
        for (a, b), tap in np.ndenumerate(kernel):
            grown[a : a + height, b : b + width] += tap * image
        shift = math.frexp(float(np.abs(grown).max()))[1]
        image = np.ldexp(grown, -shift)
        exponent += shift
    return single(image, exponent)


def scipy_loop(kernels: Array) -> Answer:
    """The lines the README calls equivalent, without a word about exponents: for shallow networks."""
    import scipy.signal

    image = np.ones((1, 1))
    for kernel in kernels:
        image = scipy.signal.convolve2d(image, kernel)
    return single(image)
