"""What test_cuda_spectral.py runs in a process of its own, where `erffast._cuda` is the emulated module: GPU against CPU.

Each case is a function; it raises where the two differ by more than they may. `python -c "...; cuda_spectral_cases.run(names)"`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import erffast as ef
from deep_oracles import chain, error, lattice_image, signed_kernels, truth
from erffast import _core
from erffast.layers import Conv, Stack
from erffast.spectral import host
from erffast.spectral.period import blocks_along
from spectral_runs import apart, normal_weights, spectral
from strategies import generator
from tolerances import tolerance

Array = NDArray[np.float64]
Layers = list[tuple[Array, tuple[int, int], int]]
Case = Callable[[], None]
CASES: dict[str, Case] = {}
MEMORY = 2**30


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def run(names: list[str]) -> None:
    for name in names:
        CASES[name]()
        print(name)


def device() -> Any:
    return sys.modules["erffast._cuda"]


def taps(rng: np.random.Generator, n: int, draws: int, height: int, width: int, *, positive: bool = False) -> Array:
    """Kernels with their largest tap in [0.5, 1)."""
    drawn = rng.random((n, draws, height, width)) + 0.1 if positive else rng.standard_normal((n, draws, height, width))
    return np.asarray(drawn * 0.9 / np.abs(drawn).max(axis=(2, 3), keepdims=True))


def kinds(rng: np.random.Generator, *, positive: bool = False) -> dict[str, tuple[Layers, int]]:
    """Layers of every kind, and draws."""

    def some(n: int, draws: int, height: int, width: int, spacing: tuple[int, int] = (1, 1), count: int = 1) -> Any:
        return taps(rng, n, draws, height, width, positive=positive), spacing, count

    return {
        "alike": ([some(13, 1, 3, 3)], 1),
        "draws": ([some(9, 3, 3, 3)], 3),
        "sides": ([some(3, 1, 3, 3), some(2, 2, 5, 4), some(3, 1, 1, 1), some(1, 1, 7, 17), some(5, 1, 1, 3)], 2),
        "spacings": ([some(5, 1, 3, 3, (2, 3)), some(3, 1, 3, 3), some(3, 2, 2, 3, (4, 4))], 2),
        "apart only": ([some(5, 1, 3, 3, (2, 3))], 1),
        "powers": ([some(1, 1, 3, 3, (1, 1), 100), some(3, 1, 3, 3)], 1),
        "powers only": ([some(1, 2, 3, 3, (2, 1), 1000), some(1, 1, 3, 2, (1, 1), 77)], 2),
    }


def assert_same_spectrum(layers: Layers, shape: tuple[int, int], draws: int) -> Any:
    """The spectrum on the device, which has the CPU's bits."""
    expected, exponents = _core.spectrum(layers, shape, None, draws, 1, MEMORY, None)
    found = device().spectra(layers, shape, draws, MEMORY, None)
    np.testing.assert_array_equal(found.exponents, exponents)
    np.testing.assert_array_equal(found.values(), expected)
    return expected, found


# ------------------------------------------------------------------------------------------------ spectra of a period


@case
def products_have_the_bits_of_the_cpu() -> None:
    for name, (layers, draws) in kinds(generator(0, "spectra")).items():
        for shape in [(30, 36), (21, 20)]:
            _, found = assert_same_spectrum(layers, shape, draws)
            assert found.exponents.shape == (draws,), name


@case
def long_lines() -> None:
    """One row of frequencies, over several blocks; coefficients that fill shared memory several times."""
    rng = generator(0, "lines")
    assert_same_spectrum([(taps(rng, 1100, 1, 1, 3), (1, 1), 1)], (1, 1400), 1)
    assert_same_spectrum([(taps(rng, 3, 2, 1, 5), (1, 2), 1), (taps(rng, 1, 1, 1, 3), (1, 1), 200)], (1, 700), 2)


@case
def a_kernel_wider_than_shared_memory() -> None:
    rng = generator(0, "wide")
    assert_same_spectrum([(taps(rng, 2, 1, 2, 1200), (1, 1), 1), (taps(rng, 6, 1, 3, 3), (1, 1), 1)], (3, 1224), 1)


@case
def products_in_several_launches() -> None:
    """More work than one launch takes: parts of the rows, and parts of the layers."""
    assert_same_spectrum([(taps(generator(0, "launches"), 40_000, 1, 3, 3), (1, 1), 1)], (80, 8), 1)


@case
def progress_between_launches() -> None:
    """A callback is asked between the launches of a product; what it raises ends the call there."""
    layers: Layers = [(taps(generator(0, "launches"), 40_000, 1, 3, 3), (1, 1), 1)]
    seen: list[tuple[int, int]] = []
    device().spectra(layers, (80, 8), 1, MEMORY, lambda done, total: seen.append((done, total)))
    assert len(seen) >= 2
    assert seen == sorted(set(seen))
    assert all(0 < done <= total == 40_000 for done, total in seen)
    calls = []

    def interrupt(done: int, total: int) -> None:
        calls.append(done)
        raise KeyboardInterrupt

    try:
        device().spectra(layers, (80, 8), 1, MEMORY, interrupt)
    except KeyboardInterrupt:
        assert len(calls) == 1
        assert 0 < calls[0] < 40_000
    else:
        raise AssertionError("the call went on")


@case
def progress_of_a_whole_call() -> None:
    seen: list[tuple[int, int]] = []
    net = ef.parse("conv3 * 30")
    on_device(net, normal_weights(net, "progress"), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] >= 30


@case
def zeros() -> None:
    """Sums and differences vanish on whole lines of frequencies; a spectrum of zeros has the exponent 0."""
    plus = np.array([[0.5, 0.5]])[None, None]
    minus = plus * [1.0, -1.0]
    layers: Layers = [(np.repeat(plus, 5, axis=0), (1, 1), 1), (minus, (1, 1), 1), (np.swapaxes(plus, 2, 3).copy(), (1, 1), 1)]
    assert_same_spectrum(layers, (12, 16), 1)
    _, found = assert_same_spectrum([(plus, (1, 2), 1), (minus, (1, 1), 1)], (1, 4), 1)
    assert found.values().any()
    _, empty = assert_same_spectrum([(plus, (1, 1), 1), (minus, (1, 1), 1)], (1, 2), 1)
    assert not empty.values().any()
    assert empty.exponents[0] == 0
    places, squares = empty.quantiles(5)
    assert not places.any()
    assert squares[0] == 0


@case
def what_is_looked_at_of_a_spectrum() -> None:
    rng = generator(0, "looks")
    for shape, draws in [((30, 36), 3), ((1, 700), 2), ((17, 4), 1)]:
        layers: Layers = [(taps(rng, 6, draws, min(3, shape[0]), 3), (1, 1), 1)]
        expected, found = assert_same_spectrum(layers, shape, draws)
        places, squares = found.quantiles(64)
        wanted, sums = _core.quantiles(expected, shape, None, 64, 1)
        np.testing.assert_allclose(squares, sums, rtol=1e-14)
        assert (places == wanted).mean() > 0.95  # sums that come out a rounding apart may meet a quantile on its edge
        at = rng.integers(0, expected.shape[1:], (draws, 50, 2))
        np.testing.assert_array_equal(found.at(at), expected[np.arange(draws)[:, None], at[:, :, 0], at[:, :, 1]])
        for draw in range(draws):
            whole = host._blocks(expected[draw])
            places, largest, sums = found.blocks(draw, *blocks_along(*expected[draw].shape))
            np.testing.assert_allclose(sums, whole.sums, rtol=1e-14)
            np.testing.assert_allclose(largest, whole.largest, rtol=1e-14)
            # beyond the last row or column there is no place; where values are equal there are several
            full = largest > 0
            np.testing.assert_allclose(np.abs(expected[draw][places[full, 0], places[full, 1]]), largest[full], rtol=1e-14)


# ------------------------------------------------------------------------------------------------ images on a period


@case
def what_is_asked_of_images() -> None:
    rng = generator(0, "images")
    for shape in [(90, 70), (1, 300), (64, 6)]:
        pixels = rng.standard_normal((2, *shape))
        images, peaks, energies = device().images(pixels, MEMORY)
        assert images.shape == shape
        np.testing.assert_array_equal(peaks, np.abs(pixels).max(axis=(1, 2)))
        np.testing.assert_allclose(energies, (pixels**2).sum(axis=2), rtol=1e-13)
        for draw in range(2):
            image = host.HostImage(pixels[draw])
            np.testing.assert_allclose(images.column_energies(draw), image.column_energies(), rtol=1e-13)
            for axis in (0, 1):
                np.testing.assert_allclose(images.sums(draw, axis), image.sums(axis), rtol=1e-13)
                for start in (-500, -1, 0, 3):
                    first, size = [0, 0], list(shape)
                    first[axis], size[axis] = start - 2, 4
                    assert images.largest(draw, tuple(first), tuple(size)) == image.seam(axis, start, 2)
            frequencies = rng.integers(0, 1009 * min(shape), (11, 2))
            finer, origin = (1009 if shape[0] > 1 else 1, 1009), (-7 if shape[0] > 1 else 0, 13)
            found, expected = images.waves(draw, frequencies, finer, origin), image.between(frequencies, origin, finer, 1)
            assert np.abs(found - expected).max() <= 1e-13 * np.abs(pixels).sum()
        images.clip(1)
        np.testing.assert_allclose(images.sums(1, 0), np.maximum(pixels[1], 0).sum(axis=1), rtol=1e-13)
        np.testing.assert_allclose(images.sums(0, 0), np.abs(pixels[0]).sum(axis=1), rtol=1e-13)


@case
def crops_are_the_cpus() -> None:
    rng = generator(0, "crops")
    pixels = np.ldexp(rng.standard_normal((2, 30, 41)), rng.integers(-300, 0, (2, 30, 41)))
    images, _, _ = device().images(pixels, MEMORY)
    for dtype, name, factor in [("float64", "place_f64", 1.7), ("float32", "place_f32", -0.3), ("float64", "place_f64", 1e-300)]:
        for first, corner, sides in [
            ((5, 7), (0, 0), (30, 41)),
            ((29, 40), (3, 2), (4, 5)),
            ((100, 3), (1, 0), (60, 50)),
            ((0, 0), (0, 0), (0, 3)),
        ]:
            target, expected = np.full((2, 61, 50), 9.0, dtype=dtype), np.full((2, 61, 50), 8.0, dtype=dtype)
            tops = getattr(device(), name)([((images, i), first, corner, sides, factor) for i in (1, 0)], target, 1)
            wanted = getattr(_core, name)([(pixels[i], first, corner, sides, factor) for i in (1, 0)], expected, 1)
            np.testing.assert_array_equal(target, expected)
            np.testing.assert_array_equal(tops, wanted)
            there = getattr(device(), name.replace("place", "new_image"))(3, 61, 50)
            tops = device().place_on_device([((images, i), first, corner, sides, factor) for i in (1, 0)], there, 1)
            assert there.dtype == dtype
            np.testing.assert_array_equal(there.to_host(), [np.zeros((61, 50)), *expected])
            np.testing.assert_array_equal(tops, wanted)


# ------------------------------------------------------------------------------------------------ bands


@case
def bands_have_the_bits_of_the_cpu() -> None:
    rng = generator(0, "bands")
    for layers, draws in kinds(rng, positive=True).values():
        for shape, band in [((41, 60), (12, 9)), ((21, 160), (10, 70)), ((31, 32), (0, 0))]:
            values, exponents = _core.spectrum(layers, shape, band, draws, 1, MEMORY, None)
            found, powers = device().spectrum(layers, shape, band, draws, 1, MEMORY, None)
            np.testing.assert_array_equal(powers, exponents)
            np.testing.assert_array_equal(found, values)


@case
def bands_of_many_layers() -> None:
    """Pieces of the layers, coefficients that fill shared memory several times, and a kernel that it does not hold."""
    rng = generator(0, "many")
    layers: Layers = [(taps(rng, 500, 1, 7, 7, positive=True), (1, 1), 1), (taps(rng, 200, 1, 3, 3, positive=True), (1, 1), 1)]
    layers.append((taps(rng, 20, 1, 5, 9, positive=True), (2, 1), 1))
    wide: Layers = [(taps(rng, 2, 1, 2, 1200, positive=True), (1, 1), 1), (taps(rng, 6, 1, 3, 3, positive=True), (1, 1), 1)]
    for some, shape, band in [(layers, (301, 302), (12, 13)), (wide, (11, 2600), (3, 20))]:
        values, exponents = _core.spectrum(some, shape, band, 1, 1, MEMORY, None)
        found, powers = device().spectrum(some, shape, band, 1, 1, MEMORY, None)
        np.testing.assert_array_equal(powers, exponents)
        np.testing.assert_array_equal(found, values)


@case
def bands_in_several_launches() -> None:
    layers: Layers = [(taps(generator(0, "band launches"), 30_000, 1, 3, 3, positive=True), (1, 1), 1)]
    values, exponents = _core.spectrum(layers, (801, 802), (8, 9), 1, 1, MEMORY, None)
    found, powers = device().spectrum(layers, (801, 802), (8, 9), 1, 1, MEMORY, None)
    np.testing.assert_array_equal(powers, exponents)
    np.testing.assert_array_equal(found, values)


@case
def pixels_have_the_bits_of_the_cpu() -> None:
    rng = generator(0, "pixels")
    for shape, band in [((41, 60), (12, 9)), ((21, 160), (10, 70)), ((31, 32), (0, 0))]:
        values = rng.standard_normal((2 * band[0] + 1, band[1] + 1)) + 1j * rng.standard_normal((2 * band[0] + 1, band[1] + 1))
        weights = np.full(band[1] + 1, 2.0)
        here, there = (module.synthesis(values, weights, shape, band) for module in (_core, device()))
        for size, step in [((37, 41), (1, 1)), ((1, 1), (1, 1)), ((8, 300), (3, 2)), ((50, 2), (1, 1)), ((9, 32), (2, 1))]:
            expected, found = np.empty(size), np.empty(size)
            extremes = here.pixels((-5, -7), step, 1.5, expected, 1)
            assert there.pixels((-5, -7), step, 1.5, found, 1) == extremes
            np.testing.assert_array_equal(found, expected)
            if step == (1, 1):
                kept = device().new_image_f64(2, *size)
                assert there.put((-5, -7), 1.5, size[0] == 37, kept, 1) == extremes
                np.testing.assert_array_equal(kept.to_host(), [np.zeros(size), -expected if size[0] == 37 else expected])
        for axis in (0, 1):
            np.testing.assert_array_equal(there.sums((-5, -7), (30, 20), axis), here.sums((-5, -7), (30, 20), axis))


# ------------------------------------------------------------------------------------------------ whole calls

NETWORKS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "shallow": ("conv3 * 5", 2, {}),
    "compact": ("conv3 * 40", 2, {}),
    "full": ("conv3 * 20", 2, {"period": "full"}),
    "float32": ("conv3 * 20", 2, {"dtype": "float32"}),
    "window": ("conv3 * 20", 2, {"window": 15}),
    "one axis": ("conv3 * 300", 1, {}),
    "dilation and strides": ("conv3:d2 * 10, conv5 * 3, conv3/2 * 2", 2, {}),
    "sides": ("conv4x3 * 6, conv2x5 * 5, conv1 * 2", 2, {"unit": (2, -5)}),
}


ON_HOST = "spectral, inverse transform on the host"


def on_device(net: Stack, weights: Any, **options: Any) -> ef.ERF:
    erf = ef.gradient(net, weights, engine="spectral", device="cuda", **{"window": "full", **options})
    assert (erf.device, erf.accuracy) == ("cuda", "peak")
    return erf


def compare(net: Stack, weights: Any, engine: str, **options: Any) -> None:
    here, there = spectral(net, weights, **options), on_device(net, weights, **options)
    assert there.engine == engine
    assert (there.origin, there.shape) == (here.origin, here.shape)
    assert abs(there.lost - here.lost) <= tolerance("account")
    np.testing.assert_array_equal(there.exponent, here.exponent)
    assert there.image.dtype == here.image.dtype
    bound = 0.0 if engine == ON_HOST else tolerance("gradient", there.image.dtype.name, "spectral")  # the transform is another one
    assert apart(there, here) <= bound
    assert there.error <= 2 * here.error


def compare_all(engine: str) -> None:
    for name, (text, ndim, options) in NETWORKS.items():
        net = ef.parse(text, ndim=ndim)
        compare(net, normal_weights(net, name), engine, **options)
    net = ef.parse("conv3 * 25")
    compare(net, normal_weights(net, "draws", lead=(3,)), engine)


@case
def signed_chains() -> None:
    compare_all(ON_HOST)


@case
def signed_chains_with_the_transform_on_the_device() -> None:
    compare_all("spectral")


@case
def equal_layers() -> None:
    kernel = generator(0, "equal").standard_normal((3, 3))
    compare(ef.parse("conv3 * 100"), np.array([kernel] * 100), ON_HOST)


@case
def separable_axes() -> None:
    """Each axis by itself, as deep stacks of outer products are run."""
    rng = generator(0, "axes")
    rows, columns = (signed_kernels(rng, 150, (3,)) for _ in range(2))
    weights = (rows[:, :, None] * columns[:, None, :]).astype(np.float64)
    net = Stack([Conv(3)]) * 150
    here, there = (ef.gradient(net, weights, window="full", device=name) for name in ("cpu", "cuda"))
    assert there.separable
    assert there.engine.startswith("spectral")
    assert apart(there, here) == 0


@case
def exact_images() -> None:
    """Integers: the image is known exactly."""
    rng = generator(0, "exact")
    lines = [signed_kernels(rng, 20, (3,)) for _ in range(2)]
    rows, columns = (truth(chain(line)) for line in lines)
    shape = (41, 41)
    kernels = (lines[0][:, :, None] * lines[1][:, None, :]).astype(np.float64)
    for period in ("auto", "full"):
        erf = on_device(ef.parse("conv3 * 20"), kernels, period=period)
        assert erf.shape == shape
        true = error(erf.image, int(np.asarray(erf.exponent)), lattice_image(rows, columns, ((1, 0), (0, 1)), (0, 0), shape))  # type: ignore[arg-type]
        assert true <= min(erf.error, tolerance("gradient"))
    line = on_device(ef.parse("conv3 * 20", ndim=1), lines[0].astype(np.float64))
    assert error(line.image, int(np.asarray(line.exponent)), rows) <= min(line.error, tolerance("gradient"))


@case
def chains_without_negative_taps() -> None:
    """Relative to the peak and to each pixel, and those that signed chains' engine runs."""
    net = ef.parse("conv3 * 60")
    weights = generator(0, "positive").random((60, 3, 3))
    for accuracy in ("peak", "pixel"):
        here, there = (ef.gradient(net, weights, engine="spectral", accuracy=accuracy, device=name) for name in ("cpu", "cuda"))
        np.testing.assert_array_equal(there.image, here.image)
        assert (there.exponent, there.error, there.lost, there.origin) == (here.exponent, here.error, here.lost, here.origin)
        assert (there.engine, there.device) == ("spectral", "cuda")
    draws = ef.parse("conv5 * 40")
    kernels = [generator(0, "positive draws").random((2, 40, 5, 5))]
    here, there = (ef.gradient(draws, kernels[0], engine="spectral", accuracy="peak", device=name) for name in ("cpu", "cuda"))
    np.testing.assert_array_equal(there.image, here.image)
    line = ef.parse("conv3 * 30", ndim=1)
    here, there = (ef.variance(line, engine="spectral", accuracy="peak", window="full", device=name) for name in ("cpu", "cuda"))
    np.testing.assert_array_equal(there.image, here.image)
    assert (there.image >= 0).all()
