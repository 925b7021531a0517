"""What the band-limited engine certifies with: tails, spectra, roundings and sums, each against what it bounds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deep_oracles import HAS_LONG_DOUBLE, NO_LONG_DOUBLE, unit_roots
from erffast import _backend
from erffast.chain import Chain
from erffast.layers import Conv, Stack
from erffast.lowering import lower_gradient
from erffast.spectral import phases, synthesis
from erffast.spectral.certificate import Certificate, column_weights
from erffast.spectral.chernoff import Tail
from erffast.spectral.laws import families
from erffast.spectral.plan import transfer_roundings
from erffast.spectral.transfer import Transfer, transfer
from strategies import generator

Array = NDArray[np.float64]


def lowered(kernels: Iterable[Any]) -> Chain:
    """The chain of the gradient of convolutions with these kernels, from the input to the output."""
    weights = [np.asarray(k, dtype=np.float64) for k in kernels]
    return lower_gradient(Stack([Conv(w.shape) for w in weights], ndim=2), weights)


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
    return np.exp(-certificate.exponents(2 * grid, [phases.Circle(2 * n) for n in shape]) / 2).reshape(len(ky), len(kx))


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


@pytest.mark.skipif(not HAS_LONG_DOUBLE, reason=NO_LONG_DOUBLE)
@pytest.mark.parametrize("whole", [1, 2, 3, 4, 7, 8, 12, 1000, 4353])
def test_turns_are_exact_to_their_bound(whole: int) -> None:
    parts = np.arange(-3 * whole, 3 * whole)
    c, s = phases.turns(parts, whole)
    exact = unit_roots(whole)[-parts % whole]
    assert np.abs(c - exact.real).max() <= phases.ERROR * 2.0**-53
    assert np.abs(s - exact.imag).max() <= phases.ERROR * 2.0**-53
    assert {float(v) for v in phases.turns(np.arange(4), 4)[0]} == {1.0, 0.0, -1.0}


@pytest.mark.parametrize("band", [(0, 0), (5, 9), (22, 32)], ids=["one frequency", "few", "all"])
def test_synthesis_is_the_inverse_transform_of_the_period(band: tuple[int, int]) -> None:
    shape, low = (45, 64), (-7, 50)
    image = generator(0, "synthesis").random(shape)
    spectrum = np.fft.rfft2(image)
    rows = np.r_[0 : band[0] + 1, -band[0] : 0]
    values = spectrum[rows, : band[1] + 1]
    whole = np.zeros_like(spectrum)
    whole[rows, : band[1] + 1] = values
    expected = np.fft.irfft2(whole, s=shape)[np.arange(low[0], low[0] + 150)[:, None] % 45, np.arange(low[1], low[1] + 200) % 64]
    out = np.empty((150, 200))
    picture = synthesis.synthesise(values, shape, band, low, out, threads=2)
    # the transform it is compared with has some roundings of its own
    allowed = (synthesis.rounding(band) + 16 * 2.0**-53) * picture.size
    assert np.abs(out - np.maximum(expected, 0)).max() <= allowed
    assert picture.peak == out.max()
    assert abs(picture.least - expected.min()) <= allowed
    assert picture.size == pytest.approx((np.abs(values) * column_weights(shape, band)).sum() / (45 * 64))
    for axis in (0, 1):
        np.testing.assert_allclose(picture.marginals[axis], expected.sum(axis=1 - axis), atol=200 * allowed)
