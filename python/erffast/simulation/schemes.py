"""What weights are drawn from, by name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..layers import Conv

Array = NDArray[np.float64]

SCHEMES = ("he", "glorot", "lecun", "orthogonal", "delta-orthogonal", "ones")
NORMAL = ("he", "glorot", "lecun")


def weights_of(scheme: str, layer: Conv, shape: tuple[int, ...], number: int, seed: int, draws: range) -> Array:
    """The weights of one convolution.

    Parameters
    ----------
    scheme : str
        One of `SCHEMES`.
    shape : tuple of int
        [out, in // groups, *kernel].
    number : int
        Of the layer, for its random numbers.
    draws : range

    Returns
    -------
    ndarray
        [*kernel], the standard deviations of independent normal weights, for "he", "glorot" and "lecun"; else the weights,
        [draws or 1, out, in // groups, *kernel].

    Notes
    -----
    The variance of a weight is 2 / fan_in ("he", He et al. 2015), 2 / (fan_in + fan_out) ("glorot", Glorot and Bengio 2010) or
    1 / fan_in ("lecun", LeCun et al. 1998), fan_in and fan_out the products of taps and of channels [1] and [0] of `shape`. A layer's
    `tap_variance` shares it out among the taps, its `variance_gain` multiplies it. "orthogonal": the matrix [out, fan_in], and
    "delta-orthogonal" (Xiao et al. 2018): that of the centre taps, all others zero, has orthonormal rows or columns, uniformly
    distributed.
    """
    gain = np.sqrt(np.multiply(_relative(layer, shape[2:]), layer.variance_gain))
    if scheme in NORMAL:
        return np.asarray(math.sqrt(_variance(scheme, shape)) * gain)
    if scheme == "ones":
        return np.broadcast_to(gain, (1, *shape))
    return np.stack([_orthogonal(scheme, shape, number, seed, draw) * gain for draw in draws])


def _variance(scheme: str, shape: tuple[int, ...]) -> float:
    """Of one weight."""
    fan_out, fan_in = (channels * math.prod(shape[2:]) for channels in shape[:2])
    return {"he": 2 / fan_in, "glorot": 2 / (fan_in + fan_out), "lecun": 1 / fan_in}[scheme]


def _relative(layer: Conv, kernel: tuple[int, ...]) -> Array:
    """The variances of the taps, of mean 1."""
    if layer.tap_variance is None:
        return np.ones(kernel)
    given = np.broadcast_to(np.asarray(layer.tap_variance, dtype=np.float64), kernel)
    return np.asarray(given * (given.size / given.sum()))


def _orthogonal(scheme: str, shape: tuple[int, ...], number: int, seed: int, draw: int) -> Array:
    out, columns = shape[0], shape[1] * (math.prod(shape[2:]) if scheme == "orthogonal" else 1)
    normal = _core.normals(seed, draw, number, "weight", out * columns).reshape(out, columns)
    q, r = np.linalg.qr(normal if out >= columns else normal.T)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # else it were not uniformly distributed
    matrix = q if out >= columns else q.T
    if scheme == "orthogonal":
        return np.asarray(matrix.reshape(shape))
    weights = np.zeros(shape)
    centre: Any = (..., *[(k - 1) // 2 for k in shape[2:]])
    weights[centre] = matrix
    return weights
