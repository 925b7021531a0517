"""Short networks whose answers a GPU must give as the CPU does: run on a GPU (test_gpu.py) and on the emulation (test_cuda_engines.py).

They are few and small, for an emulated thread takes what thousands take on a GPU, and together they reach every kernel: each engine, both
dtypes, borders, strides, dilation, channels, pooling, draws, repeats, and sizes around those of tiles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import erffast as ef

Array = NDArray[np.float64]
RNG = np.random.default_rng(20)


def positive(*shape: int) -> Array:
    return RNG.uniform(0.2, 1.0, shape)


def signed(*shape: int) -> Array:
    return RNG.standard_normal(shape)


class Case(NamedTuple):
    """A call, with the largest error allowed: of each pixel relative to itself, or relative to the peak."""

    call: Callable[..., ef.ERF]
    allowed: float
    per_pixel: bool = True
    smallest: bool = False


def gradient(
    text: str, weights: Any, *, ndim: int = 2, allowed: float = 1e-14, per_pixel: bool = True, smallest: bool = False, **options: Any
) -> Case:
    """A gradient on the device given."""

    def call(device: Any) -> ef.ERF:
        return ef.gradient(ef.parse(text, ndim=ndim), weights, device=device, **options)  # type: ignore[arg-type]

    return Case(call, allowed, per_pixel, smallest)


def variance(text: str, *, ndim: int = 2, allowed: float = 1e-14, smallest: bool = False, **options: Any) -> Case:
    """A variance on the device given."""

    def call(device: Any) -> ef.ERF:
        return ef.variance(ef.parse(text, ndim=ndim), device=device, **options)  # type: ignore[arg-type]

    return Case(call, allowed, True, smallest)


def peak(text: str, weights: Any, **options: Any) -> Case:
    """A gradient whose errors count against the peak."""
    return gradient(text, weights, **{"allowed": 1e-13, "per_pixel": False, "engine": "spectral", **options})


CASES = {
    "direct, two layers": gradient("conv3 * 2", positive(2, 3, 3), engine="direct", window="full", smallest=True),
    "direct, past one group": gradient("conv3 * 40", positive(40, 3, 3), engine="direct", window="full"),
    "direct, automatic window": gradient("conv3 * 40", positive(40, 3, 3), engine="direct"),
    "direct, float32": gradient("conv3 * 12", positive(12, 3, 3), engine="direct", window="full", dtype="float32", allowed=2e-6),
    "direct, signed": gradient("conv3 * 5", signed(5, 3, 3), engine="direct", per_pixel=False),
    "direct, many sides": gradient("conv3, conv5, conv2, conv7, conv1", [positive(k, k) for k in (3, 5, 2, 7, 1)], engine="direct"),
    "direct, dilation": gradient("conv3:d2, conv3:d5, conv3", positive(3, 3, 3), engine="direct", window="full"),
    "direct, stride": gradient("conv3/2, conv3/2:p1, conv3", positive(3, 3, 3), engine="direct", window="full"),
    "direct, map": gradient("conv3:p1 * 8", positive(8, 3, 3), engine="direct", input_size=11, unit=(1, 4), smallest=True),
    "direct, map with strides": gradient("conv3/2:p1, conv5:p2, conv3/2", [positive(k, k) for k in (3, 5, 3)], input_size=(19, 24)),
    "direct, draws": gradient("conv3 * 6", positive(3, 6, 3, 3), engine="direct", window="full"),
    "direct, channels": gradient("conv3 * 2", [signed(4, 2, 3, 3), signed(3, 4, 3, 3)], per_pixel=False),
    "direct, extended": gradient("conv3:p1 * 6", signed(6, 3, 3), tol=1e-16, input_size=9, per_pixel=False),
    "pooling": variance("conv3, maxpool2, conv3, avgpool2", smallest=True),
    "pooling on a map": variance("conv3:p1, maxpool3/2:p1, conv3:p1", input_size=13, unit=(0, 3)),
    "separable, repeats": variance("conv3 * 50", engine="separable"),
    "separable, one axis": gradient("conv3 * 9", positive(9, 3), ndim=1),
    "separable, different": gradient("conv3 * 30", np.einsum("na,nb->nab", positive(30, 3), positive(30, 3)), engine="separable"),
    "spectral, small": peak("conv3 * 4", signed(4, 3, 3), smallest=True),
    "spectral, groups": peak("conv3 * 21", signed(21, 3, 3)),
    "spectral, whole period": peak("conv3 * 12", signed(12, 3, 3), period="full"),
    "spectral, many sides": peak("conv3, conv5, conv2, conv7", [signed(k, k) for k in (3, 5, 2, 7)]),
    "spectral, dilation": peak("conv3 * 3, conv3:d2 * 3", signed(6, 3, 3)),
    "spectral, one axis": peak("conv5 * 12", signed(12, 5), ndim=1),
    "spectral, draws": peak("conv3 * 9", signed(3, 9, 3, 3)),
    "spectral, float32": peak("conv3 * 9", signed(9, 3, 3), dtype="float32", allowed=2e-7),
    "band": peak("conv3 * 60", positive(60, 3, 3), accuracy="peak"),
    "tilted bands": gradient("conv3 * 60", positive(60, 3, 3), engine="spectral", accuracy="pixel", allowed=1e-11),
}


def difference(found: ef.ERF, right: ef.ERF, per_pixel: bool) -> float:
    """Largest difference of a pixel, relative to itself or to the peak of its draw; infinite where the results differ in kind."""
    if found.origin != right.origin or found.image.shape != right.image.shape or found.image.dtype != right.image.dtype:
        return np.inf
    powers = np.asarray(found.exponent) - np.asarray(right.exponent)
    theirs = found.image.astype(np.longdouble) * np.ldexp(np.longdouble(1), powers).reshape(powers.shape + (1,) * len(found.shape))
    apart = np.abs(theirs - right.image)
    if not per_pixel:
        return float(apart.max() / np.abs(right.image).max())
    beyond = np.where(apart > 0, np.inf, 0.0).astype(np.longdouble)  # where the CPU's pixel is zero
    return float(np.divide(apart, np.abs(right.image), out=beyond, where=right.image != 0).max())


def wrong(name: str) -> str:
    """What is wrong with a case on the GPU; empty where nothing is."""
    case = CASES[name]
    right, found = case.call("cpu"), case.call("cuda")
    error = difference(found, right, case.per_pixel)
    accounts = [what for what in ("border", "lost", "error") if not _near(found, right, what)]
    told = [f"{what} {getattr(found, what)} instead of {getattr(right, what)}" for what in accounts]
    if found.device != "cuda":
        told.append(f"ran on {found.device}")
    if not error <= case.allowed:
        told.append(f"differs by {error:.1e}, {case.allowed:.0e} is allowed")
    return "; ".join(told)


def _near(found: ef.ERF, right: ef.ERF, what: str) -> bool:
    """Accounts are sums in another order; measured errors may differ by as much as they are uncertain."""
    a, b = getattr(found, what), getattr(right, what)
    return bool(abs(a - b) <= (0.5 * abs(b) + 1e-14 if what == "error" else 1e-9 * abs(b) + 1e-15))
