"""Chains of 1-D convolutions: the fair peer of separable stacks, and sums of images in every direction that stay exact.

Summing an image along rows, columns or diagonals sums its kernels the same way: a 1-D chain, for any kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answers import Answer

DIRECTIONS = ("rows", "columns", "diagonals", "antidiagonals")


def convolved(kernels: Any, dtype: Any = np.float64) -> tuple[NDArray[Any], int]:
    """Kernels [layers, k] convolved one after the other: values with a peak in [0.5, 1), and their power of two."""
    image, exponent = np.ones(1, dtype=dtype), 0
    for kernel in np.asarray(kernels, dtype=dtype):
        image = np.convolve(image, kernel)
        shift = int(np.frexp(np.abs(image).max())[1])
        image = np.ldexp(image, -shift)
        exponent += shift
    return image, exponent


def outer_image(profile: NDArray[Any], exponent: int) -> Answer:
    """The square image whose two profiles are the same."""
    return Answer(np.multiply.outer(profile, profile)[None], np.array([2 * exponent], dtype=np.int64), (0, 0))


def summed(pixels: NDArray[Any], direction: str) -> NDArray[Any]:
    """An image [rows, columns], or kernels [layers, rows, columns], summed along a direction: [..., pixels of the rest]."""
    if direction == "rows":
        return np.asarray(pixels.sum(axis=-1, dtype=np.promote_types(pixels.dtype, np.float64)))
    if direction == "columns":
        return summed(np.swapaxes(pixels, -1, -2), "rows")
    if direction == "antidiagonals":
        return summed(pixels[..., ::-1], "diagonals")
    rows, columns = pixels.shape[-2:]
    # each row one place further right, in one step: pad it by `rows` and read the memory with rows one shorter
    sheared = np.zeros((*pixels.shape[:-2], rows, rows + columns), dtype=np.promote_types(pixels.dtype, np.float64))
    sheared[..., :columns] = pixels
    flat = sheared.reshape(*pixels.shape[:-2], -1)[..., : rows * (rows + columns - 1)]
    return np.asarray(flat.reshape(*pixels.shape[:-2], rows, rows + columns - 1).sum(axis=-2))
