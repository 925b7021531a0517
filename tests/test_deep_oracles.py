"""The truths of deep stacks against one another and against their definitions, where they are shallow enough for those."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deep_oracles import (
    HAS_LONG_DOUBLE,
    LATTICES,
    NO_LONG_DOUBLE,
    Exact,
    chain,
    folded,
    lattice_image,
    line,
    long_double_image,
    named_stack,
    on_torus,
    power,
    response,
    response_of,
    signed_kernels,
    truth,
    truth_of_long,
    unit_roots,
)
from erffast.reference import backward_step
from strategies import generator

needs_long_double = pytest.mark.skipif(not HAS_LONG_DOUBLE, reason=NO_LONG_DOUBLE)


def image_by_definition(kernels: Any) -> Exact:
    """Pixel by pixel in Python integers."""
    image = np.ones((1,) * (np.ndim(kernels) - 1), dtype=object)
    for kernel in kernels:
        taps = np.frompyfunc(int, 1, 1)(kernel)
        image = backward_step(image, taps, dtype=object)[1]
    return image


@pytest.mark.parametrize("k", [1, 2, 3, 7])
def test_chains_are_the_definition(k: int) -> None:
    kernels = signed_kernels(generator(k, "chains"), 37, (k,))
    assert (chain(kernels) == image_by_definition(kernels)).all()
    spacings = [1, 2, 3, 8] * 3
    strided = np.array([1], dtype=object)
    for kernel, spacing in zip(kernels, spacings, strict=False):
        strided = backward_step(strided, np.frompyfunc(int, 1, 1)(kernel), dilation=spacing, dtype=object)[1]
    assert (chain(kernels[:12], spacings) == strided).all()


@pytest.mark.parametrize("taps", [(-1, 6, -1), (2, 5, -1), (1, -1), (3, 0, 0, 1, -2), (4,)], ids=str)
def test_powers_are_chains(taps: tuple[int, ...]) -> None:
    assert (power(taps, 23) == chain([taps] * 23)).all()


def test_truths_hold_a_hundred_bits() -> None:
    exact = chain(signed_kernels(generator(0, "truth"), 400, (3,)))
    given = truth(exact)
    scale = max(abs(v) for v in exact)
    for v, high, low in zip(exact, given.high, given.low, strict=True):
        whole = sum(p * 2**given.exponent * 2**1200 // q for p, q in (high.as_integer_ratio(), low.as_integer_ratio()))
        assert abs(whole - v * 2**1200) <= scale * 2**1200 >> 104


@pytest.mark.parametrize("name", LATTICES)
def test_images_on_lattices_are_the_definition(name: str) -> None:
    kernels, expected = named_stack(name, 9 if LATTICES[name][1] else 10, 0)
    assert max(np.linalg.matrix_rank(kernel) for kernel in kernels) > 1
    exact = image_by_definition(kernels)
    assert exact.shape == expected.high.shape
    assert (
        np.frompyfunc(lambda h, lo: int(h * 2.0**expected.exponent) + int(lo * 2.0**expected.exponent), 2, 1)(*expected[:2]) == exact
    ).all()
    deep, whole = named_stack(name, 40, 1)
    vectors, both = LATTICES[name]
    part = lattice_image(*(truth(line(40 if both else 20, 3, s)[1]) for s in (1, 1001)), vectors, (7, 11), (40, 40))
    assert (part.high == whole.high[7:47, 11:51]).all()
    # products in double-double: against integers, where they have more than 53 bits
    worst = np.frompyfunc(lambda v, h, lo: abs(v * 2**1200 - sum(apart(x, whole.exponent) for x in (h, lo))), 3, 1)
    exact = image_by_definition(deep)
    assert worst(exact, *whole[:2]).max() <= max(abs(v) for v in exact.ravel()) * 2**1200 >> 98


def apart(value: float, exponent: int) -> int:
    """value * 2**(exponent + 1200) as an integer."""
    p, q = float(value).as_integer_ratio()
    return p * 2 ** (exponent + 1200) // q


@pytest.mark.parametrize("periods", [(1, 1), (3, 5), (8, 2), (1, 40), (40, 40)])
def test_tori_are_folded_images(periods: tuple[int, int]) -> None:
    kernels = signed_kernels(generator(0, "torus"), 12, (3, 4))
    image = image_by_definition(kernels)
    sums = np.array([[image[y :: periods[0], x :: periods[1]].sum() for x in range(periods[1])] for y in range(periods[0])])
    assert (on_torus(kernels, periods) == sums).all()
    assert (folded(image.astype(np.float64), periods) == sums).all()  # small enough to be exact
    apart_by_two = on_torus(kernels, (80, 80), [(2, 1)] * 12)
    assert (apart_by_two[: 2 * image.shape[0] - 1 : 2, : image.shape[1]] == image).all()


@needs_long_double
@pytest.mark.parametrize("n", [1, 2, 7, 8, 12, 601, 1000])
def test_roots_of_unity(n: int) -> None:
    z = unit_roots(n)
    assert z[0] == 1
    assert np.abs(z * np.conj(z) - 1).max() <= 2 * np.finfo(np.longdouble).eps
    j = np.arange(n)
    assert np.abs(z * z[(7 * j) % n] - z[(8 * j) % n]).max() <= 4 * np.finfo(np.longdouble).eps
    assert abs(z[n // 3] - np.exp(-2j * np.pi * (n // 3) / n)) < 1e-15


@needs_long_double
@pytest.mark.parametrize("name", LATTICES)
def test_long_double_products_are_right_at_depth(name: str) -> None:
    kernels, expected = named_stack(name, 100, 0)
    image, exponent = long_double_image(kernels.astype(np.float64), expected.high.shape)  # type: ignore[arg-type]
    got = truth_of_long(image, exponent)
    worst = np.abs(got.high - np.ldexp(expected.high, s := expected.exponent - got.exponent) + (got.low - np.ldexp(expected.low, s)))
    assert worst.max() <= 1e-16 * expected.peak


@needs_long_double
@pytest.mark.parametrize("ndim", [1, 2])
def test_responses_are_fourier_sums(ndim: int) -> None:
    kernels = signed_kernels(generator(ndim, "responses"), 10, (3,) * ndim)
    frequencies = np.asarray(generator(0, "frequencies").uniform(-np.pi, np.pi, (20, ndim)), dtype=np.longdouble)
    mantissas, exponent = response(kernels.astype(np.float64), frequencies)
    expected = mantissas * np.ldexp(np.longdouble(1), exponent)
    got = response_of(image_by_definition(kernels).astype(np.float64), (0,) * ndim, frequencies)
    assert np.abs(got - expected).max() <= 1e-15 * np.abs(expected).max()
    moved = response_of(image_by_definition(kernels).astype(np.float64), (3,) * ndim, frequencies)
    assert np.abs(moved * np.exp(3j * frequencies.sum(axis=1)) - got).max() <= 1e-15 * np.abs(expected).max()
