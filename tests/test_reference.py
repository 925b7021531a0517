"""The NumPy definitions: against NumPy's own convolution, by identities, and against the native engines."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from erffast import _core, reference
from erffast.layers import Conv, Stack
from erffast.reference import backward_step, outer, power, propagate
from oracles import coefficients, exact_variance
from strategies import Case, batches, cases, generator, output_size, random_case, sees_the_map, windows
from tolerances import tolerance

Array = NDArray[np.float64]
WIDER = np.finfo(np.longdouble).eps < np.finfo(np.float64).eps


def steps_of(net: Stack, kernels: list[Any], input_size: tuple[int, ...] | None) -> list[dict[str, Any]]:
    """The options of `backward_step` for a network of convolutions, from the output to the input."""
    sizes: list[Any] = [input_size]
    for layer in net:
        sizes.append(None if input_size is None else output_size(Stack([layer], ndim=net.ndim), sizes[-1]))
    steps = []
    for layer, kernel, extent in zip(net, kernels, sizes, strict=False):
        axes = windows(layer, net.ndim) or []
        options = {name: [getattr(w, name) for w in axes] for name in ("stride", "dilation", "before")}
        steps.append({"kernel": kernel, "extent": extent, **options})
    return steps[::-1]


# ------------------------------------------------------------------------------------------------ one step


@pytest.mark.parametrize(("n", "k"), [(1, 1), (1, 4), (5, 1), (7, 3), (8, 2)])
def test_a_plain_step_is_the_full_convolution(n: int, k: int) -> None:
    rng = generator(n, "plain step")
    g, w = rng.standard_normal(n), rng.standard_normal(k)
    origin, image = backward_step(g, w)
    assert origin == (0,)
    np.testing.assert_allclose(image, np.convolve(g, w), rtol=0, atol=1e-15 * np.abs(w).sum() * np.abs(g).max())


@pytest.mark.parametrize("dtype", [np.float64, np.longdouble, object], ids=["float64", "longdouble", "exact"])
def test_a_step_is_the_adjoint_of_the_forward_layer(dtype: Any) -> None:
    """<conv x, g> = <x, backward g> for strides, dilations, paddings and maps, in integers: equal, not close."""
    if dtype is np.longdouble and not WIDER:
        pytest.skip("long double is no wider than double here")
    for number in range(60):
        rng = generator(number, "adjoint")
        k, s, d, p, n = (
            int(v) for v in (rng.integers(1, 6), rng.integers(1, 4), rng.integers(1, 4), rng.integers(0, 5), rng.integers(1, 30))
        )
        out = (n + 2 * p - d * (k - 1) - 1) // s + 1
        if n + 2 * p - d * (k - 1) - 1 < 0:
            continue
        x, g, w = (rng.integers(-9, 10, size) for size in (n, out, k))
        padded = np.concatenate([np.zeros(p, int), x, np.zeros(p, int)])
        forward = [int(sum(w[a] * padded[s * i + d * a] for a in range(k))) for i in range(out)]
        origin, image = backward_step(g, w, stride=s, dilation=d, before=p, extent=(n,), dtype=dtype)
        back = np.zeros(n, dtype=dtype)
        back[origin[0] : origin[0] + len(image)] = image
        assert image.dtype == np.dtype(dtype)
        assert int((back * x).sum()) == int(np.dot(forward, g)), number


def test_a_step_is_linear_and_places_its_origin() -> None:
    g = np.zeros((2, 3))
    g[1, 2] = 1
    origin, image = backward_step(g, [[1.0, 2.0], [3.0, 4.0]], origin=(10, -20), stride=(2, 3), dilation=(1, 2), before=(1, 0))
    assert origin == (19, -60)
    assert image.shape == (4, 9)
    expected = np.zeros((4, 9))
    expected[2:4, 6:9:2] = [[1, 2], [3, 4]]
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize(("unit", "origin", "kept"), [(0, 0, [2, 1]), (2, 1, [3, 2, 1]), (4, 3, [3, 2])], ids=["left", "middle", "right"])
def test_a_step_is_cut_to_the_map(unit: int, origin: int, kept: list[int]) -> None:
    at, image = backward_step([1.0], [3.0, 2.0, 1.0], origin=(unit,), before=1, extent=(5,))
    assert at == (origin,)
    np.testing.assert_array_equal(image, kept)


def test_a_step_that_leaves_the_map_leaves_nothing() -> None:
    origin, image = backward_step([1.0], [1.0], origin=(0,), before=3, extent=(5,))
    assert image.size == 0
    _, image = backward_step(image, [1.0, 1.0, 1.0], origin=origin, before=1, extent=(5,))
    assert image.size == 0


# ------------------------------------------------------------------------------------------------ chains


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_powers_are_the_coefficients_in_integers(k: int) -> None:
    row = power([1] * k, 60, dtype=object)
    assert row.tolist() == coefficients(k, [60])[60].tolist()
    assert isinstance(row[0], int)
    np.testing.assert_allclose(power(np.ones(k), 20), coefficients(k, [20])[20].astype(float), rtol=1e-14)


def test_power_zero_is_one_pixel() -> None:
    assert power([Fraction(1, 3)] * 3, 0, dtype=object).tolist() == [1]


def test_fractions_stay_exact() -> None:
    step = {"kernel": [Fraction(1, 3), Fraction(1, 7)], "stride": 2}
    origin, image = propagate([step, step], unit=(3,), dtype=object)
    assert origin == (12,)
    assert image.tolist() == [Fraction(1, 9), Fraction(1, 21), Fraction(1, 21), Fraction(1, 49)]


def test_outer_products_multiply() -> None:
    np.testing.assert_array_equal(outer([[1.0, 2.0], [3.0], [5.0, 7.0]]), [[[15.0, 21.0]], [[30.0, 42.0]]])
    assert outer([[Fraction(1, 3)], [Fraction(3)]], dtype=object).tolist() == [[1]]


def test_extended_precision_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Narrow:
        eps = np.finfo(np.float64).eps

    monkeypatch.setattr(reference.np, "finfo", lambda dtype: Narrow)
    with pytest.raises(ef.BackendUnavailable, match=r"long double is no wider than double on this platform; use dtype=object"):
        power([1.0, 1.0], 3, dtype=np.longdouble)


@pytest.mark.skipif(not WIDER, reason="long double is no wider than double here")
def test_extended_precision_is_kept() -> None:
    exact = power([Fraction(1, 3)] * 3, 50, dtype=object)
    wide = power(np.full(3, 1, dtype=np.longdouble) / 3, 50, dtype=np.longdouble)
    narrow = power(np.full(3, 1 / 3), 50)
    errors = [max(abs(Fraction(*v.as_integer_ratio()) / e - 1) for v, e in zip(row, exact, strict=True)) for row in (wide, narrow)]
    assert errors[0] < 50 * float(np.finfo(np.longdouble).eps)
    assert errors[0] < errors[1] / 100


# ------------------------------------------------------------------------------------------------ against the engines


def _inside(net: Stack, case: Case) -> bool:
    return all(0 <= u < n for u, n in zip(case.unit, output_size(net, case.input_size or ()), strict=True))


@pytest.mark.parametrize("numbers", batches(60, 600, 30))
def test_the_native_gradient_is_the_definition(numbers: range) -> None:
    compared = 0
    for number in numbers:
        case = random_case(number, "reference")
        # its convolutions alone, one channel and one draw
        net = Stack(
            [Conv(x.kernel, stride=x.stride, dilation=x.dilation, padding=x.padding) for x in case.net if isinstance(x, Conv)],
            ndim=case.net.ndim,
        )
        weights = [w[(0,) * (w.ndim - net.ndim)] for w in case.weights]
        if case.input_size is not None and not (_inside(net, case) and sees_the_map(net, case.input_size, case.unit)):
            continue
        origin, image = propagate(steps_of(net, weights, case.input_size), unit=case.unit)
        erf = ef.gradient(net, weights, input_size=case.input_size, unit=case.unit, window="full", tol=1e-9)
        got = np.ldexp(erf.image, erf.exponent)
        inside = tuple(slice(o - e, o - e + n) for o, e, n in zip(origin, erf.origin, image.shape, strict=True))
        peak = np.abs(got).max(initial=0)
        if image.size:
            np.testing.assert_allclose(got[inside], image, rtol=0, atol=tolerance("gradient") * peak, err_msg=f"case {number}: {case}")
            assert np.count_nonzero(got) == np.count_nonzero(got[inside])
        compared += 1
    assert compared > len(numbers) / 2


@pytest.mark.parametrize("input_size", [None, (6, 7, 5)], ids=["plane", "map"])
def test_the_separable_variance_in_three_axes_is_the_definition(input_size: Any) -> None:
    kernels = [np.full((2, 3, 1), 1 / 6), np.full((3, 3, 3), 1 / 27), np.full((3, 1, 2), 1 / 6)]
    net = Stack(
        [Conv((2, 3, 1), padding=((1, 0), (1, 1), (0, 0))), Conv(3, padding=1), Conv((3, 1, 2), dilation=(1, 1, 2), padding=(1, 0, 1))],
        ndim=3,
    )
    unit = (1, 0, 2)
    origin, image = propagate(steps_of(net, kernels, input_size), unit=unit)
    erf = ef.variance(net, input_size=input_size, unit=unit, window="full")
    assert erf.engine == "separable"
    assert (erf.origin, erf.shape) == (origin, image.shape)
    np.testing.assert_allclose(np.asarray(erf), image, rtol=tolerance("variance"), atol=0)


def test_the_exact_oracle_is_the_definition() -> None:
    """The integers the other tests compare with, by the reference with fractions."""
    net = Stack([Conv((3, 2), stride=(2, 1), padding=1), Conv((2, 3), dilation=2, padding=2)])
    kernels = [np.full((3, 2), Fraction(1, 6)), np.full((2, 3), Fraction(1, 6))]
    origin, image = propagate(steps_of(net, kernels, (8, 9)), unit=(1, 0), dtype=object)
    there, numerators, denominator, border = exact_variance(net, (8, 9), (1, 0))
    assert origin == there
    assert (image == numerators * Fraction(1, denominator)).all()
    assert border == 1 - image.sum()


# ------------------------------------------------------------------------------------------------ spectra


def random_layers(rng: np.random.Generator) -> list[tuple[NDArray[np.float64], tuple[int, int], int]]:
    """Layers as the native product takes them, without its draws axis: one of them a repeat."""
    layers = []
    for count in (1, 1, 1, int(rng.integers(64, 100))):
        taps = rng.standard_normal((1 if count > 1 else int(rng.integers(1, 12)), *rng.integers(1, 6, 2)))
        layers.append((taps, (int(rng.integers(1, 4)), int(rng.integers(1, 4))), count))
    return layers


@pytest.mark.parametrize("shape", [(1, 2), (1, 62), (7, 10), (16, 16), (45, 44)], ids=str)
@pytest.mark.parametrize("number", cases(3, 30))
def test_the_native_spectrum_is_the_definition(number: int, shape: tuple[int, int]) -> None:
    layers = random_layers(generator(number, "spectrum"))
    native = [(taps[:, None].copy(), spacing, count) for taps, spacing, count in layers]
    values, exponents = _core.spectrum(native, shape, None, 1, 2, 2**30, None)
    expected, powers = reference.spectrum(layers, shape)
    top = int(powers[expected != 0].max(initial=0))
    scaled = np.ldexp(expected.real, powers - top) + 1j * np.ldexp(expected.imag, powers - top)
    got = values[0] * 2.0 ** float(exponents[0] - top)
    np.testing.assert_allclose(got, scaled, rtol=0, atol=1e-12 * np.abs(scaled).max())


@pytest.mark.parametrize("band", [(0, 0), (3, 2), (10, 12)], ids=str)
def test_a_band_is_part_of_the_spectrum(band: tuple[int, int]) -> None:
    native = [(taps[:, None].copy(), spacing, count) for taps, spacing, count in random_layers(generator(0, "band"))]
    whole, power = _core.spectrum(native, (25, 24), None, 1, 1, 2**30, None)
    part, own = _core.spectrum(native, (25, 24), band, 1, 1, 2**30, None)
    rows = np.r_[0 : band[0] + 1, -band[0] : 0]
    wanted = whole[0][rows][:, : band[1] + 1]
    np.testing.assert_allclose(part[0] * 2.0 ** float(own[0] - power[0]), wanted, rtol=0, atol=1e-13 * np.abs(wanted).max())


def gaussian_product(layers: list[tuple[NDArray[np.float64], tuple[int, int], int]], place: tuple[int, int]) -> tuple[int, int]:
    """The product at a frequency of a 4 x 4 period, whose waves are 1, -i, -1 and i, in integers."""
    re, im = 1, 0
    for taps, spacing, count in layers:
        centre = [(n - 1) // 2 for n in taps.shape[1:]]
        for kernel in taps:
            a = b = 0
            for (y, x), tap in np.ndenumerate(kernel):
                turns = (place[0] * spacing[0] * (y - centre[0]) + place[1] * spacing[1] * (x - centre[1])) % 4
                a += int(tap) * (1, 0, -1, 0)[turns]
                b += int(tap) * (0, -1, 0, 1)[turns]
            for _ in range(count):
                re, im = re * a - im * b, re * b + im * a
    return re, im


@pytest.mark.parametrize("threads", [1, 2])
def test_the_probe_is_exact_where_its_sums_are_integers(threads: int) -> None:
    """Products below 2**100: both parts of a double-double number, at every frequency of a period and beyond."""
    rng = generator(0, "probe")
    layers: list[tuple[NDArray[np.float64], tuple[int, int], int]] = [
        (rng.integers(-3, 4, (n, *sides)).astype(np.float64), spacing, 1)
        for n, sides, spacing in ((9, (3, 3), (1, 1)), (3, (2, 5), (1, 3)), (2, (4, 1), (2, 1)), (1, (1, 7), (1, 1)))
    ]
    native = [(taps[:, None].copy(), spacing, count) for taps, spacing, count in layers]
    places = np.stack(np.divmod(np.arange(80), 8), axis=1)
    high, low, powers, positions = _core.sample(native, (4, 4), places[None], 0, threads)
    assert positions.shape == (1, 0, 2)
    for place, h, e, p in zip(places.tolist(), high[0], low[0], powers[0].tolist(), strict=True):
        wanted = gaussian_product(layers, place)
        assert max(map(abs, wanted)) < 2**100
        found = [int(Fraction(2) ** p * (Fraction(a) + Fraction(b))) for a, b in ((h.real, e.real), (h.imag, e.imag))]
        assert found == list(wanted)


def test_the_probe_finds_where_single_taps_stand() -> None:
    """A chain of single taps is one wave; its derivative is its place, at any frequency, and only where it is asked for."""
    rng = generator(0, "places")
    at, native = np.zeros(2), []
    for sides, spacing, count in (((3, 3), (1, 1), 1), ((4, 5), (3, 2), 1), ((1, 6), (1, 1), 70)):
        taps = np.zeros((6 if count == 1 else 1, 1, *sides))
        for kernel in taps[:, 0]:
            tap = rng.integers(0, sides)
            kernel[tuple(tap)] = -0.75
            at += (tap - (np.array(sides) - 1) // 2) * spacing * count
        native.append((taps, spacing, count))
    places = rng.integers(0, 1000, (1, 150, 2))
    *_, positions = _core.sample(native, (600, 700), places, 100, 2)
    assert positions.shape == (1, 100, 2)
    np.testing.assert_allclose(positions[0], np.broadcast_to(at, (100, 2)), rtol=0, atol=1e-11)


@pytest.mark.parametrize("band", [None, (3, 5)], ids=str)
def test_quantiles_of_the_energy(band: tuple[int, int] | None) -> None:
    rng = generator(0, "quantiles")
    shape, rows, columns = (16, 20), 16 if band is None else 7, 11 if band is None else 6
    values = (rng.standard_normal((3, rows, columns)) + 1j * rng.standard_normal((3, rows, columns))) ** 3
    places, squares = _core.quantiles(values, shape, band, 40, 2)
    np.testing.assert_allclose(squares, (np.abs(values) ** 2).sum(axis=(1, 2)), rtol=1e-13)
    weights = np.full(columns, 2.0)
    weights[[0, -1] if band is None else [0]] = 1
    frequencies = np.arange(16) if band is None else np.array([0, 1, 2, 3, 13, 14, 15])
    for value, found in zip(values, places, strict=True):
        sums = np.cumsum(np.abs(value) ** 2 * weights) / (np.abs(value) ** 2 * weights).sum()
        index = [int(np.flatnonzero(frequencies == r)[0]) * columns + v for r, v in found.tolist()]
        wanted = (np.arange(40) + 0.5) / 40
        assert (sums[index] >= wanted - 1e-12).all()
        assert (np.concatenate([[0], sums])[index] <= wanted + 1e-12).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_images_are_put_where_they_belong(dtype: str) -> None:
    rng = generator(0, "place")
    pixels = rng.standard_normal((2, 9, 14))[:, :, :12]  # rows apart
    target = np.full((2, 70, 41), np.nan, dtype=dtype)
    place = _core.place_f64 if dtype == "float64" else _core.place_f32
    place([(pixels[0], (7, 10), (5, 2), (9, 12), 0.5), (pixels[1], (0, 3), (0, 0), (40, 41), -3.0)], target, 2)
    expected = np.zeros(target.shape)
    expected[0, 5:14, 2:14] = 0.5 * np.roll(pixels[0], (-7, -10), axis=(0, 1))
    expected[1, :40] = -3 * np.tile(np.roll(pixels[1], -3, axis=1), (5, 4))[:40, :41]
    np.testing.assert_array_equal(target, expected.astype(dtype))
    with pytest.raises(ValueError, match="the image must lie in the target"):
        place([(pixels[0], (0, 0), (62, 0), (9, 12), 1.0), (pixels[1], (0, 0), (0, 0), (1, 1), 1.0)], target, 1)
