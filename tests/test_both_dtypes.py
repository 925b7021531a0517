"""Every way to an answer gives it in both dtypes: float32 from float64 by one rounding, or by float32 arithmetic within its bound."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import erffast as ef
from strategies import generator


class Way(NamedTuple):
    """A network, its weights (None: `variance`), options, and the engine."""

    text: str
    weights: Any
    options: dict[str, Any]
    engine: str


def taps(*shape: int, signed: bool) -> Any:
    rng = generator(0, f"both dtypes {shape} {signed}")
    return rng.standard_normal(shape) if signed else rng.uniform(0.2, 1.0, shape)


IN_DOUBLE = {
    "separable": Way("conv3 * 300", None, {"window": "full"}, "separable"),
    "signed, whole period": Way("conv3 * 90", taps(90, 3, 3, signed=True), {"period": "full"}, "spectral"),
    "signed, smallest period": Way("conv3 * 200", taps(200, 3, 3, signed=True), {}, "spectral"),
    "signed, draws": Way("conv3 * 80", taps(3, 80, 3, 3, signed=True), {}, "spectral"),
    "repeats": Way("conv3 * 200", np.broadcast_to(taps(3, 3, signed=True), (200, 3, 3)), {}, "spectral"),
    "band": Way("conv5 * 300", taps(300, 5, 5, signed=False), {"accuracy": "peak"}, "spectral"),
    "tilted bands": Way("conv3 * 300", taps(300, 3, 3, signed=False), {"accuracy": "pixel", "window": 41}, "spectral"),
    "double-double": Way("conv3:p1 * 60", taps(60, 3, 3, signed=True), {"input_size": 30, "tol": 1e-14}, "direct"),
}

IN_SINGLE = {
    "every pixel": Way("conv3 * 200", taps(200, 3, 3, signed=False), {"window": "full"}, "direct"),
    "every pixel, 5 x 5": Way("conv5 * 60", taps(60, 5, 5, signed=False), {"window": "full"}, "direct"),
    "padded": Way("conv3:p1 * 100", taps(100, 3, 3, signed=False), {"input_size": 40, "window": "full"}, "direct"),
    "repeats in one axis": Way("conv1x3 * 200", np.broadcast_to(taps(1, 3, signed=False), (200, 1, 3)), {"window": "full"}, "direct"),
    "strides": Way("conv3/2 * 6, conv3:d2 * 6", taps(12, 3, 3, signed=False), {"window": "full"}, "direct"),
}


def solved(way: Way, dtype: str) -> ef.ERF:
    net, options = ef.parse(way.text), way.options | {"engine": way.engine, "dtype": dtype}
    erf = ef.variance(net, **options) if way.weights is None else ef.gradient(net, way.weights, **options)
    assert erf.image.dtype == dtype
    return erf


@pytest.mark.parametrize("name", IN_DOUBLE)
def test_one_rounding_from_double(name: str) -> None:
    fine, coarse = (solved(IN_DOUBLE[name], dtype) for dtype in ("float64", "float32"))
    assert (coarse.origin, coarse.shape) == (fine.origin, fine.shape)
    np.testing.assert_array_equal(coarse.exponent, fine.exponent)
    rounded = fine.image.astype(np.float32)
    rounded[np.abs(rounded) < np.finfo(np.float32).tiny] = 0  # denormals are flushed
    gap = np.abs(coarse.image.astype(float) - rounded)
    assert np.all(gap <= 2.0**-24 * np.abs(fine.image))  # nothing, or a tie of two roundings
    assert np.mean(gap > 0) < 1e-6
    assert coarse.error >= fine.error


@pytest.mark.parametrize("name", IN_SINGLE)
def test_single_arithmetic_keeps_its_bound_in_each_pixel(name: str) -> None:
    fine, coarse = (solved(IN_SINGLE[name], dtype) for dtype in ("float64", "float32"))
    assert coarse.error_is_bound
    assert 1e-8 < coarse.error < 1e-3
    values = np.ldexp(coarse.image.astype(float), int(coarse.exponent - fine.exponent))
    shown = fine.image > 2 * np.finfo(np.float32).tiny
    gap = np.abs(values - fine.image)
    assert np.all(gap[shown] <= (coarse.error + fine.error) * fine.image[shown])
    assert gap.max() > 0, "float32 arithmetic was not used"
