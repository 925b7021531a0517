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
from tolerances import tolerance

Array = NDArray[np.float64]
RNG = np.random.default_rng(20)


def positive(*shape: int) -> Array:
    return RNG.uniform(0.2, 1.0, shape)


def signed(*shape: int) -> Array:
    return RNG.standard_normal(shape)


class Case(NamedTuple):
    """A call with a device; `transformed`: its image comes from a Fourier transform, which a GPU has from another library."""

    call: Callable[[str], ef.ERF]
    transformed: bool
    smallest: bool


def gradient(text: str, weights: Any, *, ndim: int = 2, transformed: bool = False, smallest: bool = False, **options: Any) -> Case:
    """A gradient on the device given."""

    def call(device: Any) -> ef.ERF:
        return ef.gradient(ef.parse(text, ndim=ndim), weights, device=device, **options)  # type: ignore[arg-type]

    return Case(call, transformed, smallest)


def variance(text: str, *, smallest: bool = False, **options: Any) -> Case:
    """A variance on the device given."""
    return Case(lambda device: ef.variance(ef.parse(text), device=device, **options), False, smallest)  # type: ignore[arg-type]


def periodic(text: str, weights: Any, **options: Any) -> Case:
    """The image of signed kernels on a period."""
    return gradient(text, weights, engine="spectral", transformed=True, **options)


CASES = {
    "direct, two layers": gradient("conv3 * 2", positive(2, 3, 3), engine="direct", window="full", smallest=True),
    "direct, past one group": gradient("conv3 * 40", positive(40, 3, 3), engine="direct", window="full"),
    "direct, automatic window": gradient("conv3 * 40", positive(40, 3, 3), engine="direct"),
    "direct, float32": gradient("conv3 * 12", positive(12, 3, 3), engine="direct", window="full", dtype="float32"),
    "direct, signed": gradient("conv3 * 5", signed(5, 3, 3), engine="direct"),
    "direct, many sides": gradient("conv3, conv5, conv2, conv7, conv1", [positive(k, k) for k in (3, 5, 2, 7, 1)], engine="direct"),
    "direct, dilation": gradient("conv3:d2, conv3:d5, conv3", positive(3, 3, 3), engine="direct", window="full"),
    "direct, stride": gradient("conv3/2, conv3/2:p1, conv3", positive(3, 3, 3), engine="direct", window="full"),
    "direct, map": gradient("conv3:p1 * 8", positive(8, 3, 3), engine="direct", input_size=11, unit=(1, 4), smallest=True),
    "direct, map with strides": gradient("conv3/2:p1, conv5:p2, conv3/2", [positive(k, k) for k in (3, 5, 3)], input_size=(19, 24)),
    "direct, draws": gradient("conv3 * 6", positive(3, 6, 3, 3), engine="direct", window="full"),
    "direct, channels": gradient("conv3 * 2", [signed(4, 2, 3, 3), signed(3, 4, 3, 3)]),
    "direct, extended": gradient("conv3:p1 * 6", signed(6, 3, 3), tol=1e-16, input_size=9),
    "pooling": variance("conv3, maxpool2, conv3, avgpool2", smallest=True),
    "pooling on a map": variance("conv3:p1, maxpool3/2:p1, conv3:p1", input_size=13, unit=(0, 3)),
    "separable, repeats": variance("conv3 * 50", engine="separable"),
    "one axis": gradient("conv3 * 9", positive(9, 3), ndim=1),
    "separable, different": gradient("conv3 * 30", np.einsum("na,nb->nab", positive(30, 3), positive(30, 3)), engine="separable"),
    "spectral, small": periodic("conv3 * 4", signed(4, 3, 3), smallest=True),
    "spectral, groups": periodic("conv3 * 21", signed(21, 3, 3)),
    "spectral, whole period": periodic("conv3 * 12", signed(12, 3, 3), period="full"),
    "spectral, many sides": periodic("conv3, conv5, conv2, conv7", [signed(k, k) for k in (3, 5, 2, 7)]),
    "spectral, dilation": periodic("conv3 * 3, conv3:d2 * 3", signed(6, 3, 3)),
    "spectral, one axis": periodic("conv5 * 12", signed(12, 5), ndim=1),
    "spectral, draws": periodic("conv3 * 9", signed(3, 9, 3, 3)),
    "spectral, float32": periodic("conv3 * 9", signed(9, 3, 3), dtype="float32"),
    "band": gradient("conv3 * 60", positive(60, 3, 3), engine="spectral", accuracy="peak"),
    "tilted bands": gradient("conv3 * 60", positive(60, 3, 3), engine="spectral", accuracy="pixel"),
}


def wrong(name: str) -> str:
    """What is wrong with a case on the GPU; empty where nothing is."""
    case = CASES[name]
    right, found = case.call("cpu"), case.call("cuda")
    told = [] if found.device == "cuda" else [f"ran on {found.device}"]
    for what in ("origin", "shape", "dtype", "draws"):
        if getattr(found, what) != getattr(right, what):
            return f"{what} {getattr(found, what)} instead of {getattr(right, what)}"
    # Kernels add the CPU's terms in the CPU's order, with its fused multiply-adds: the same bits. What cuFFT adds is in another order.
    bound = tolerance("gradient", found.dtype.name, "spectral") if case.transformed and found.engine == "spectral" else 0.0
    error = difference(found, right)
    if not error <= bound:
        told.append(f"differs by {error:.1e} of the peak, {bound:.0e} is allowed")
    for what in ("border", "lost", "error"):
        if not abs(getattr(found, what) - getattr(right, what)) <= tolerance("account", "float64", found.engine):
            told.append(f"{what} {getattr(found, what)} instead of {getattr(right, what)}")
    return "; ".join(told)


def difference(found: ef.ERF, right: ef.ERF) -> float:
    """Largest difference of a pixel relative to the peak of its draw; 0 only where every bit is the same, infinite where one is NaN."""
    ours, theirs = (np.reshape(erf.image, (erf.draws, -1)).astype(np.longdouble) for erf in (right, found))
    powers = np.atleast_1d(found.exponent) - np.atleast_1d(right.exponent)
    apart = np.abs(theirs * np.ldexp(np.longdouble(1), powers)[:, None] - ours).max(axis=1) / np.abs(ours).max(axis=1)
    return float(np.where(np.isnan(apart), np.inf, apart).max())
