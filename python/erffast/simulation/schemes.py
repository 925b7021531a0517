"""What weights are drawn from, by name."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..analytic import wide_tap_variance
from ..layers import Conv

Array = NDArray[np.float64]

SCHEMES = ("he", "glorot", "lecun", "orthogonal", "delta-orthogonal", "ones")
NORMAL = ("he", "glorot", "lecun")
_WIDE = re.compile(r"wide([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)")


def read_scheme(scheme: Any) -> str:
    """The name of a scheme, checked: one of `SCHEMES`, or "wide" and a number."""
    if isinstance(scheme, str) and scheme.startswith("wide"):
        found = _WIDE.fullmatch(scheme)
        if found is None or not math.isfinite(float(found[1])):
            raise ValueError(f"scheme {scheme!r}: 'wide' takes a finite number behind it, as in 'wide1.5' or 'wide-2'")
        return scheme
    if scheme not in SCHEMES:
        raise ValueError(f"scheme must be one of {', '.join(map(repr, SCHEMES))}, or 'wide' and a number as in 'wide1.5', got {scheme!r}")
    return str(scheme)


def _theta(scheme: str) -> float | None:
    """Of the profile family; None for the other schemes."""
    found = _WIDE.fullmatch(scheme)
    return None if found is None else float(found[1])


def weights_of(scheme: str, layer: Conv, shape: tuple[int, ...], number: int, seed: int, draws: range) -> Array:
    """The weights of one convolution.

    Parameters
    ----------
    scheme : str
        As `read_scheme` takes it.
    shape : tuple of int
        [out, in // groups, *kernel].
    number : int
        Of the layer, for its random numbers.
    draws : range

    Returns
    -------
    ndarray
        [*kernel], the standard deviations of independent normal weights, for "he", "glorot", "lecun" and "wide..."; else the
        weights, [draws or 1, out, in // groups, *kernel].

    Notes
    -----
    The variance of a weight is 2 / fan_in ("he", He et al. 2015), 2 / (fan_in + fan_out) ("glorot", Glorot and Bengio 2010) or
    1 / fan_in ("lecun", LeCun et al. 1998), fan_in and fan_out the products of taps and of channels [1] and [0] of `shape`. A layer's
    `tap_variance` shares it out among the taps, its `variance_gain` multiplies it. "wide" and a number theta: that of "he", shared out by
    `analytic.wide_tap_variance` where the layer does not say; "wide0" is "he". "orthogonal": the matrix [out, fan_in], and
    "delta-orthogonal" (Xiao et al. 2018): that of the centre taps, all others zero, has orthonormal rows or columns, uniformly
    distributed.
    """
    theta = _theta(scheme)
    gain = np.sqrt(np.multiply(_relative(layer, shape[2:], theta), layer.variance_gain))
    if theta is not None:
        scheme = "he"
    if scheme in NORMAL:
        return np.asarray(math.sqrt(_variance(scheme, shape)) * gain)
    if scheme == "ones":
        return np.broadcast_to(gain, (1, *shape))
    return np.stack([_orthogonal(scheme, shape, number, seed, draw) * gain for draw in draws])


def _variance(scheme: str, shape: tuple[int, ...]) -> float:
    """Of one weight."""
    fan_out, fan_in = (channels * math.prod(shape[2:]) for channels in shape[:2])
    return {"he": 2 / fan_in, "glorot": 2 / (fan_in + fan_out), "lecun": 1 / fan_in}[scheme]


def _relative(layer: Conv, kernel: tuple[int, ...], theta: float | None) -> Array:
    """The variances of the taps, of mean 1."""
    if layer.tap_variance is not None:
        given = np.broadcast_to(np.asarray(layer.tap_variance, dtype=np.float64), kernel)
    elif theta is None:
        return np.ones(kernel)
    else:
        wide = wide_tap_variance(kernel, theta)
        given = wide / wide.max()  # equal taps are exactly 1: theta 0 changes no bit
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
