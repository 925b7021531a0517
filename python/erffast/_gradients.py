"""Gradients of any framework, reduced over channels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._validate import real_array

SPATIAL = "DHWT"


def reduced(gradients: ArrayLike, axes: str, reduction: str) -> tuple[NDArray[np.float64], Any, int]:
    """Gradients with axes among N, C, D, H, W, T as [*shape] or [draws, *shape] in float64.

    Returned with the power of two of its scale and the number (0 or 1) of draws axes.

    Every draw is scaled before it is squared, so that no square overflows or underflows.
    """
    array = _ordered(_finite(gradients, axes), axes)
    draws = int("N" in axes)
    if not draws:
        array = array[None]
    image = np.empty((len(array), *array.shape[2:]))
    exponents = np.empty(len(array), dtype=np.int64)
    for d, draw in enumerate(array):
        exponents[d] = np.frexp(np.abs(draw).max())[1]
        image[d] = _over_channels(np.ldexp(draw.astype(np.float64), -exponents[d]), reduction)
    if reduction == "square":
        exponents *= 2
    return (image, exponents, 1) if draws else (image[0], int(exponents[0]), 0)


def _finite(gradients: ArrayLike, axes: str) -> NDArray[Any]:
    """The gradients as an array with `axes`, its letters and values checked."""
    if not isinstance(axes, str):
        raise TypeError(f"axes must be text such as 'NCHW', got {axes!r}")
    if set(axes) - set("NC" + SPATIAL) or len(set(axes)) != len(axes) or not 1 <= len(set(axes) & set(SPATIAL)) <= 3:
        raise ValueError(f"axes must be different letters: N (draws), C (channels) and one to three of D H W T, got {axes!r}")
    array = np.asarray(gradients)
    if array.ndim != len(axes):
        raise ValueError(f"gradients must have one axis per letter of axes {axes!r}, got shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"gradients must not be empty, got shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        where = f"draw {index[axes.index('N')]}, " if "N" in axes else ""
        raise ValueError(f"gradients must be finite, got {array[index]} in {where}index {index} of {axes!r}")
    return real_array(array, "gradients")


def _ordered(array: NDArray[Any], axes: str) -> NDArray[Any]:
    """[N if there, C, then the spatial axes in the order D H W T]; C of length 1 where there is none."""
    array = array if "C" in axes else array[None]
    letters = axes if "C" in axes else "C" + axes
    return array.transpose([letters.index(letter) for letter in "NC" + SPATIAL if letter in letters])


def _over_channels(gradients: NDArray[np.float64], reduction: str) -> NDArray[np.float64]:
    """[C, *shape] -> [*shape]."""
    out: NDArray[np.float64]
    if reduction == "signed":
        out = gradients.sum(axis=0)
    elif reduction == "abs":
        out = np.abs(gradients).sum(axis=0)
    elif reduction == "positive":
        out = np.maximum(gradients, 0).sum(axis=0)
    else:
        out = np.square(gradients).sum(axis=0)
    return np.asarray(np.sqrt(out)) if reduction == "rms" else out
