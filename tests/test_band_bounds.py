"""What the band-limited engine certifies with: tails, spectra, roundings and sums, each against what it bounds."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import reduce

import numpy as np
import pytest
from numpy.typing import NDArray

from band_runs import lowered
from deep_oracles import HAS_LONG_DOUBLE, NO_LONG_DOUBLE, unit_roots
from erffast import _backend
from erffast.chain import Chain
from erffast.layers import Conv, Stack
from erffast.lowering import lower_gradient
from erffast.spectral import synthesis
from erffast.spectral.certificate import Certificate, column_weights
from erffast.spectral.chernoff import Tail
from erffast.spectral.laws import families
from erffast.spectral.plan import transfer_roundings
from erffast.spectral.transfer import Transfer, transfer
from strategies import generator

Array = NDArray[np.float64]


# ------------------------------------------------------------------------------------------------ tails


def exact_tail(lines: Array) -> tuple[list[int], list[Fraction]]:
    """Positions and P(X >= position) of a sum of steps with integer masses, exactly."""
    coefficients = reduce(np.convolve, lines.astype(object))
    tails = np.cumsum(coefficients[::-1])[::-1]
    return [i - len(lines) * ((lines.shape[1] - 1) // 2) for i in range(len(tails))], [Fraction(t, tails[0]) for t in tails]


@pytest.mark.parametrize("k", [2, 3, 4, 7])
@pytest.mark.parametrize("name", ["even", "skewed", "one huge tap"])
@pytest.mark.parametrize("axis", [0, 1])
def test_tails_are_never_below_the_exact_mass(k: int, name: str, axis: int) -> None:
    rng = generator(k, name)
    lines = rng.integers(1, 100, (90, k))
    lines[:, 0] += {"even": 0, "skewed": 400, "one huge tap": 10**12}[name]
    other = np.array([1, 2, 1])  # the other axis must not matter
    kernels = [np.multiply.outer(line, other) if axis == 0 else np.multiply.outer(other, line) for line in lines]
    found = families(transfer(lowered(kernels)), 0)
    for sign in (1, -1):
        tail = Tail(found, axis, sign)
        # the gradient has the order of the taps, so a reversed axis is a chain of reversed taps, of even sides seen from one further
        positions, masses = exact_tail(lines[:, ::sign])
        positions = positions if sign == 1 else [p - len(lines) * ((k - 1) % 2) for p in positions]
        assert tail.end == positions[-1]
        for level in (-1.0, -5.0, -28.0, -60.0, -300.0):
            a = tail.reach(level)
            beyond = masses[a - positions[0]] if a <= positions[-1] else Fraction(0)
            assert beyond <= Fraction(math.exp(level))
            if a <= positions[-1]:
                assert tail.beyond(a) <= math.exp(level) * 1.1
        for a, mass in list(zip(positions, masses, strict=True))[:: max(1, len(positions) // 40)]:
            assert mass <= Fraction(tail.beyond(a)) <= 1
        assert tail.beyond(tail.end + 1) == 0


def test_tails_are_close_to_the_exact_mass() -> None:
    """Within a factor of t std sqrt(2 pi) and a few per cent: what Chernoff's bound loses on a Gaussian."""
    lines = generator(0, "tails").integers(1, 100, (400, 3))
    tail = Tail(families(transfer(lowered(np.multiply.outer(line, [1]) for line in lines)), 0), 0, 1)
    positions, masses = exact_tail(lines)
    for level in (1e-5, 1e-12, 1e-20):
        i = next(i for i, m in enumerate(masses) if m <= Fraction(level))
        deviations = math.sqrt(-2 * math.log(level))
        assert tail.beyond(positions[i]) <= 1.3 * deviations * math.sqrt(2 * math.pi) * float(masses[i])


# ------------------------------------------------------------------------------------------------ spectra


def all_frequencies(shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows from -last to last, and columns from 0 on, of a period with an odd number of rows."""
    last = shape[0] // 2
    return np.arange(-last, last + 1), np.arange(shape[1] // 2 + 1)


def certified(certificate: Certificate, shape: tuple[int, int]) -> Array:
    ky, kx = all_frequencies(shape)
    grid = np.stack(np.meshgrid(ky, kx, indexing="ij"), axis=-1).reshape(-1, 2)
    return np.exp(-certificate.exponents(2 * grid, shape) / 2).reshape(len(ky), len(kx))


def mixed_kernels(seed: int) -> Chain:
    """Sides, spacings and peakedness of all kinds."""
    rng = generator(seed, "certificate")
    sides = [(3, 3), (2, 5), (4, 1), (1, 2)]
    kernels = [rng.random(sides[i % 4]) ** rng.choice([1, 6]) for i in range(12)]
    layers = [Conv(k.shape, dilation=1 + i % 3) for i, k in enumerate(kernels)]
    return lower_gradient(Stack(layers, ndim=2), kernels)


def long_product(parts: Transfer, shape: tuple[int, int], *, rows: NDArray[np.int64]) -> NDArray[np.clongdouble]:
    """The spectrum of one draw, its mass divided out, at some rows and all columns of a period, by its definition in long double."""
    columns = np.arange(shape[1] // 2 + 1)
    product = np.ones((len(rows), len(columns)), dtype=np.clongdouble)
    for layer in parts.layers:
        down, along = (s * (np.arange(n) - (n - 1) // 2) for n, s in zip(layer.taps.shape[2:], layer.spacing, strict=True))
        y = unit_roots(shape[0])[np.multiply.outer(rows, down) % shape[0]]
        x = unit_roots(shape[1])[np.multiply.outer(along, columns) % shape[1]]
        for taps in layer.taps[:, 0].astype(np.longdouble):
            product *= (y @ taps @ x / taps.sum()) ** layer.count
    return product


@pytest.mark.skipif(not HAS_LONG_DOUBLE, reason=NO_LONG_DOUBLE)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(31, 42), (301, 402)], ids=["coarse", "fine"])
def test_the_certificate_is_never_below_the_spectrum(seed: int, shape: tuple[int, int]) -> None:
    """On a fine grid it comes as close to the spectrum as 1e-5."""
    parts = transfer(mixed_kernels(seed))
    size = np.abs(long_product(parts, shape, rows=all_frequencies(shape)[0]))
    bound = certified(Certificate(families(parts, 0)), shape)
    assert (size <= bound * (1 + 1e-15)).all()
    assert bound.max() <= 1
    low = size > 0.5
    assert (bound[low] <= 1.2 * size[low]).all(), "close where the spectrum is not small"


@pytest.mark.skipif(not HAS_LONG_DOUBLE, reason=NO_LONG_DOUBLE)
@pytest.mark.parametrize("sides", [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (7, 7), (9, 3), (3, 9)], ids=str)
@pytest.mark.parametrize("n", [1, 2, 4, 8])
def test_roundings_of_the_native_product_are_counted(sides: tuple[int, int], n: int) -> None:
    """However many layers are combined, at any frequency; and not a hundred times too many."""
    shape, band = (61, 86), (30, 43)
    worst, allowed = 2.0**-53, 0.0  # one rounding is as good as none
    for case in range(6):
        parts = transfer(lowered(generator(case, "roundings").random((n, *sides)) ** (1 if case % 2 else 6)))
        values, exponents = _backend.SPECTRUM(parts.native(), shape, band, 1, 1, _backend.memory_limit(), None)
        mass = np.prod([taps.astype(np.longdouble).sum() for layer in parts.layers for taps in layer.taps])
        exact = mass * long_product(parts, shape, rows=np.r_[0:31, -30:0])
        worst = max(worst, float(np.abs(values[0] * np.longdouble(2) ** int(exponents[0]) - exact).max() / mass))
        allowed = sum(transfer_roundings(f) for f in families(parts, 0)) * 2.0**-53
    assert worst <= allowed
    assert allowed <= 110 * worst


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("band", [(0, 0), (3, 4), (7, 2), (20, 0), (20, 30), (2, 30)], ids=str)
def test_what_a_band_leaves_out_is_bounded_without_looking_at_all_of_it(seed: int, band: tuple[int, int]) -> None:
    certificate = Certificate(families(transfer(mixed_kernels(seed)), 0))
    shape = (41, 60)
    bound = certified(certificate, shape)
    ky, kx = all_frequencies(shape)
    beyond = np.abs(ky) > band[0]
    rows, beside = float((2 * bound[beyond]).sum()), float((2 * bound[~beyond][:, kx > band[1]]).sum())
    for budget in (3 * (rows + beside), 10.0, 1e-6):
        found = certificate.dropped(shape, band, budget)
        if not found.too_much:
            assert rows <= found.rows * (1 + 1e-12)
            assert beside <= found.columns * (1 + 1e-12)
            assert found.sum <= budget
        else:
            assert rows + beside > budget / 3
            assert found.reach[0] <= shape[0] // 2
            assert found.reach[1] <= shape[1] // 2
    assert not certificate.dropped(shape, band, 3 * (rows + beside)).too_much


def test_what_is_kept_counts_every_frequency() -> None:
    """Where steps are of no length, nothing is amplified and all moduli are 1: the sum is the number of frequencies."""
    certificate = Certificate(families(transfer(lowered([[[0, 0, 1]]] * 3)), 0))
    assert certificate.kept((15, 20), (7, 10)) == pytest.approx(15 * 20, rel=1e-8)
    assert certificate.kept((15, 20), (3, 4)) == pytest.approx(7 * 9, rel=1e-8)


# ------------------------------------------------------------------------------------------------ synthesis


def band_values(shape: tuple[int, int], band: tuple[int, int]) -> tuple[Array, NDArray[np.complex128]]:
    """A random image of the period with the frequencies of a band alone, and those frequencies."""
    spectrum = np.fft.rfft2(generator(0, "synthesis").random(shape))
    rows = np.r_[0 : band[0] + 1, -band[0] : 0]
    whole = np.zeros_like(spectrum)
    whole[rows, : band[1] + 1] = values = spectrum[rows, : band[1] + 1]
    return np.fft.irfft2(whole, s=shape), values


# One pixel; fewer than a vector's tile; an odd and an even number of them; more than the period.
WINDOWS = {"one": (1, 1), "narrow": (3, 7), "tall": (20, 2), "tile": (13, 32), "beyond a tile": (25, 33), "wide": (150, 200)}


@pytest.mark.parametrize("size", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("band", [(0, 0), (5, 9), (22, 32)], ids=["one frequency", "few", "all"])
def test_synthesis_is_the_inverse_transform_of_the_period(band: tuple[int, int], size: tuple[int, int]) -> None:
    shape, low = (45, 64), (-7, 50)
    image, values = band_values(shape, band)
    y, x = (first + np.arange(n) for first, n in zip(low, size, strict=True))
    expected = image[y[:, None] % 45, x % 64]
    box = low, (low[0] + size[0] - 1, low[1] + size[1] - 1)
    picture = synthesis.Picture(values, shape, band, box, threads=2)
    out = np.full((size[0] + 2, size[1]), 7.0)
    largest, smallest = picture.write(low, 3.0, out[1:-1])
    # the transform it is compared with has some roundings of its own
    allowed = (synthesis.rounding(band) + 16 * 2.0**-53) * picture.size
    assert np.abs(out[1:-1] / 3 - np.maximum(expected, 0)).max() <= allowed
    assert (out[[0, -1]] == 7).all(), "nothing is written beside the window"
    assert largest == out[1:-1].max()
    assert abs(smallest / 3 - expected.min()) <= allowed
    assert picture.size == pytest.approx((np.abs(values) * column_weights(shape, band)).sum() / (45 * 64))
    for axis in (0, 1):
        np.testing.assert_allclose(picture.marginals[axis], expected.sum(axis=1 - axis), rtol=0, atol=200 * allowed)


@pytest.mark.parametrize("band", [(1, 1), (3, 2), (22, 32)], ids=str)
def test_a_sample_of_the_window_comes_close_to_its_peak(band: tuple[int, int]) -> None:
    """No sampled pixel is larger than the largest one; and it is the largest where waves are as short as pixels."""
    shape, box = (45, 64), ((3, -5), (50, 41))
    image, values = band_values(shape, band)
    inside = image[np.arange(3, 51)[:, None] % 45, np.arange(-5, 42) % 64]
    picture = synthesis.Picture(values, shape, band, box, threads=1)
    largest, smallest = picture.sample
    slack = 1e-12 * picture.size
    assert inside.max() - 0.1 * picture.size <= largest <= inside.max() + slack
    assert inside.min() - slack <= smallest
    if band == (22, 32):
        assert largest >= inside.max() - slack


@pytest.mark.parametrize("n", [1, 7, 8, 9, 1023, 1100])
@pytest.mark.parametrize("sides", [(1, 1), (1, 4), (3, 3), (5, 5), (2, 7), (7, 7), (6, 2)], ids=str)
def test_steps_are_the_autocorrelation_and_the_sums_of_the_taps(sides: tuple[int, int], n: int) -> None:
    """Of any number of kernels, of which eight are taken together, and of one draw among others."""
    taps = generator(n, "steps").random((n, 2, *sides))
    lags, down, along = _backend.STEPS(taps, 1, 2)
    masses = taps[:, 1] / taps[:, 1].sum(axis=(1, 2), keepdims=True)
    padded = np.abs(np.fft.rfft2(masses, s=lags.shape)) ** 2
    expected = np.fft.fftshift(np.fft.irfft2(padded.sum(axis=0), s=lags.shape))
    np.testing.assert_allclose(lags, expected, rtol=0, atol=1e-14 * n)
    assert lags.sum() == pytest.approx(n, rel=1e-13)
    np.testing.assert_allclose(down, masses.sum(axis=2).T, rtol=1e-14)
    np.testing.assert_allclose(along, masses.sum(axis=1).T, rtol=1e-14)
    factors = generator(n, "tilt").random((3, sides[1])) ** 9
    np.testing.assert_allclose(_backend.CUMULANTS(along, factors, 1e-290), np.log(factors @ along).sum(axis=1), rtol=1e-13)
    assert [_backend.STEPS(taps, 1, threads)[0].tobytes() for threads in (1, 3)] == [lags.tobytes()] * 2
