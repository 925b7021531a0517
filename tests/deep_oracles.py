"""Truths for chains of hundreds and thousands of signed layers, by NumPy and Python integers alone.

Layer by layer in floating point there is none: rounding is amplified by exp(0.7 sqrt(layers)). What stays right at any depth:

- *integers*: a chain of 1-D integer kernels is a product of polynomials with integer coefficients (`chain`, `power`);
- *lattices*: the outer product of two such chains, laid out along two lattice vectors instead of the axes (`on_lattice`). The
  image is known exactly at every pixel (`lattice_image`), and for skew vectors no kernel of the chain is an outer product;
- *tori*: of any 2-D integer kernels, the image summed over the residue classes of the pixels' coordinates (`on_torus`), at a
  cost that does not grow with the image;
- *long double*: the product of transfer functions and one inverse transform, for kernels of any numbers (`long_double_image`),
  or the response at a few frequencies of any deep stack (`response`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from strategies import generator

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Exact = NDArray[np.object_]
Long = NDArray[np.longdouble]
LongWaves = NDArray[np.clongdouble]
Vectors = tuple[tuple[int, int], tuple[int, int]]

HAS_LONG_DOUBLE = bool(np.finfo(np.longdouble).eps < np.finfo(np.float64).eps)
NO_LONG_DOUBLE = "long double is no wider than double on this platform"
GROUP = 4  # kernels multiplied in 64-bit integers before Python's take over: 4 of at most 7 taps below 2**12 stay below 2**63


class Truth(NamedTuple):
    """Numbers as unevaluated sums (high + low) * 2**exponent, right to 2**-104 of the largest."""

    high: Array
    low: Array
    exponent: int

    @property
    def peak(self) -> float:
        return float(np.abs(self.high).max())


# ------------------------------------------------------------------------------------------------ integers


def signed_kernels(rng: np.random.Generator, n: int, sides: Iterable[int], *, scale: float = 4.0) -> Integers:
    """[n, *sides]: normal draws rounded to whole numbers, none all zero; small ones keep the exact chains short."""
    shape = tuple(sides)
    kernels = np.rint(scale * rng.standard_normal((n, *shape))).astype(np.int64)
    kernels[~kernels.reshape(n, -1).any(axis=1), ..., 0] = 1
    return kernels


def chain(kernels: Iterable[Any], spacings: Iterable[int] | None = None) -> Exact:
    """Coefficients of the product of ``w_l(z**spacing_l)``: a 1-D chain whose taps stand that far apart, in any order."""
    rows = [np.asarray(k, dtype=np.int64) for k in kernels]
    if spacings is not None:
        rows = [spaced(row, s) for row, s in zip(rows, spacings, strict=True)]
    image = np.array([1], dtype=object)
    for start in range(0, len(rows), GROUP):
        taps = rows[start]
        for row in rows[start + 1 : start + GROUP]:
            taps = np.convolve(taps, row)
        out = np.zeros(len(image) + len(taps) - 1, dtype=object)
        for a, tap in enumerate(taps):
            if tap:
                out[a : a + len(image)] += int(tap) * image
        image = out
    return image


def spaced(row: Integers, spacing: int) -> Integers:
    """Zeros between the taps."""
    out = np.zeros(spacing * (len(row) - 1) + 1, dtype=np.int64)
    out[::spacing] = row
    return out


def power(taps: Sequence[int], n: int) -> Exact:
    """Coefficients q of ``p = w**n`` by ``w p' = n w' p``, a recurrence over pixels; `taps` begin with one that is not zero."""
    out = [taps[0] ** n]
    for m in range(1, n * (len(taps) - 1) + 1):
        terms = (((n + 1) * i - m) * taps[i] * out[m - i] for i in range(1, min(len(taps) - 1, m) + 1))
        out.append(sum(terms) // (m * taps[0]))
    return np.array(out, dtype=object)


def truth(exact: Exact, exponent: int | None = None) -> Truth:
    """Integers to 106 bits, relative to the largest of them or to a power of two given."""
    flat = [int(v) for v in exact.ravel()]
    e = max(abs(v) for v in flat).bit_length() if exponent is None else exponent
    one = 1 << e
    high = [v / one for v in flat]  # division of Python integers rounds correctly
    low = []
    for v, h in zip(flat, high, strict=True):
        p, q = h.as_integer_ratio()
        low.append((v * q - (p << e)) / (q << e))
    return Truth(np.reshape(high, exact.shape), np.reshape(low, exact.shape), e)


def truth_of_long(image: Long, exponent: int) -> Truth:
    """Long doubles as sums of two doubles."""
    shift = int(np.frexp(np.abs(image).max())[1])
    scaled = np.ldexp(image, -shift)
    high = scaled.astype(np.float64)
    return Truth(high, (scaled - high).astype(np.float64), exponent + shift)


# ------------------------------------------------------------------------------------------------ lattices


def on_lattice(values: NDArray[Any], vectors: Vectors) -> NDArray[Any]:
    """``out[a p + b q] = values[a, b]`` for lattice vectors (p, q), zeros elsewhere; moved so that the first row and column are met.

    A product of two 1-D chains laid out so is the image of the chain of kernels laid out so, for convolution is the same on any
    lattice. With p = (1, 0), q = (0, 1) it is the outer product; with others its kernels have full rank.
    """
    places = np.einsum("iab,ix->xab", np.indices(values.shape), np.array(vectors))
    rows, columns = (axis - axis.min() for axis in places)
    out = np.zeros((rows.max() + 1, columns.max() + 1), dtype=values.dtype)
    out[rows, columns] = values
    return out


def lattice_image(rows: Truth, columns: Truth, vectors: Vectors, low: tuple[int, int], shape: tuple[int, int]) -> Truth:
    """The pixels `low` to `low + shape` of the product of two lines laid out by `on_lattice`, to 2**-100 of its peak."""
    a, b, there = _lattice_indices((len(rows.high), len(columns.high)), vectors, low, shape)
    high, rest = _product(rows.high[a], columns.high[b])
    low_part = rest + (rows.high[a] * columns.low[b] + rows.low[a] * columns.high[b])
    return Truth(np.where(there, high, 0.0), np.where(there, low_part, 0.0), rows.exponent + columns.exponent)


def _lattice_indices(sizes: tuple[int, int], vectors: Vectors, low: tuple[int, int], shape: tuple[int, int]) -> tuple[Any, Any, Any]:
    """The (a, b) that stands on each pixel, clipped, and whether one does: Cramer's rule in integers."""
    (py, px), (qy, qx) = vectors
    y = np.arange(low[0], low[0] + shape[0])[:, None] + min(0, py * (sizes[0] - 1)) + min(0, qy * (sizes[1] - 1))
    x = np.arange(low[1], low[1] + shape[1])[None, :] + min(0, px * (sizes[0] - 1)) + min(0, qx * (sizes[1] - 1))
    determinant = py * qx - px * qy
    (a, odd_a), (b, odd_b) = np.divmod(y * qx - x * qy, determinant), np.divmod(x * py - y * px, determinant)
    there = (odd_a == 0) & (odd_b == 0) & (a >= 0) & (a < sizes[0]) & (b >= 0) & (b < sizes[1])
    return np.clip(a, 0, sizes[0] - 1), np.clip(b, 0, sizes[1] - 1), there


def _product(x: Array, y: Array) -> tuple[Array, Array]:
    """x * y as rounded value and remainder (Dekker 1971)."""
    high = x * y
    (xh, xl), (yh, yl) = _halves(x), _halves(y)
    return high, xl * yl - (((high - xh * yh) - xl * yh) - xh * yl)


def _halves(x: Array) -> tuple[Array, Array]:
    """x as a sum of two numbers of 26 bits."""
    scaled = 134217729.0 * x
    high = scaled - (scaled - x)
    return high, x - high


# ------------------------------------------------------------------------------------------------ tori


def on_torus(kernels: Iterable[Any], periods: tuple[int, int], spacings: Iterable[tuple[int, int]] | None = None) -> Exact:
    """The image summed over all pixels of equal coordinates modulo `periods`, [*periods], of any 2-D integer kernels."""
    rows = [np.asarray(k, dtype=np.int64) for k in kernels]
    apart = [(1, 1)] * len(rows) if spacings is None else list(spacings)
    image = np.zeros(periods, dtype=object)
    image[0, 0] = 1
    for kernel, (sy, sx) in zip(rows, apart, strict=True):
        out = np.zeros(periods, dtype=object)
        for (a, b), tap in np.ndenumerate(kernel):
            if tap:
                out += int(tap) * np.roll(image, (a * sy, b * sx), axis=(0, 1))
        image = out
    return image


def folded(image: Array, periods: tuple[int, int]) -> Array:
    """The same sums of an image in floating point, each correctly rounded."""
    return np.array([[math.fsum(image[y :: periods[0], x :: periods[1]].ravel()) for x in range(periods[1])] for y in range(periods[0])])


# ------------------------------------------------------------------------------------------------ long double


def unit_roots(n: int) -> LongWaves:
    """``exp(-2 pi i j / n)`` for j in [0, n), to half a unit or so: angles are reduced to an eighth of a turn in integers."""
    quarter, rest = np.divmod(4 * np.arange(n), n)
    mirrored = 2 * rest > n
    angle = np.where(mirrored, n - rest, rest).astype(np.longdouble) / n * (_pi() / 2)
    c, s = np.cos(angle), np.sin(angle)
    c, s = np.where(mirrored, s, c), np.where(mirrored, c, s)
    turned = np.choose(quarter, [c, -s, -c, s]), np.choose(quarter, [s, c, -s, -c])
    return np.asarray(turned[0] - 1j * turned[1], dtype=np.clongdouble)


def _pi() -> np.longdouble:
    return np.longdouble("3.14159265358979323846264338327950288419716939937510582")


def long_double_image(kernels: Iterable[Array], period: tuple[int, int]) -> tuple[Long, int]:
    """Image [*period] and exponent of a 2-D chain without strides: the product of transfer functions, inverted by one transform.

    Pixel (0, 0) is the first of the field; a period below the field's size wraps the image around.
    """
    import scipy.fft

    ny, nx = period
    down, along = unit_roots(ny)[:, None], unit_roots(nx)[: nx // 2 + 1]
    values = np.ones((ny, nx // 2 + 1), dtype=np.clongdouble)
    exponent = 0
    for number, kernel in enumerate(kernels):
        rows = [_horner(row, along) for row in np.asarray(kernel, dtype=np.longdouble)]
        values *= _horner(rows, down)
        if number % 16 == 15:  # long before the exponents of long double run out: 2**16384
            shift = int(np.frexp(np.abs(values).max())[1])
            values *= np.ldexp(np.longdouble(1), -shift)
            exponent += shift
    return scipy.fft.irfft2(values, s=period), exponent


def _horner(coefficients: Sequence[Any], z: LongWaves) -> Any:
    """sum of coefficients[a] z**a."""
    value = coefficients[-1] + 0 * z
    for c in coefficients[-2::-1]:
        value *= z
        value += c
    return value


def response(kernels: Array, frequencies: Long) -> tuple[LongWaves, int]:
    """``sum of image[x] exp(-i frequency . x)`` of a chain [n, *kernel] without strides, at frequencies [count, ndim].

    Returns values and the power of two that they are to be multiplied by.
    """
    wave = np.ones((1, len(frequencies)), dtype=np.clongdouble)
    for axis, k in enumerate(kernels.shape[1:]):
        along = np.exp(-1j * np.multiply.outer(np.arange(k).astype(np.longdouble), frequencies[:, axis]))
        wave = (wave[:, None] * along[None]).reshape(-1, len(frequencies))
    values = np.ones(len(frequencies), dtype=np.clongdouble)
    exponent = 0
    for first in range(0, len(kernels), 16):
        taps = kernels[first : first + 16].reshape(-1, len(wave)).astype(np.longdouble)
        values = values * (taps @ wave).prod(axis=0)
        shift = int(np.frexp(np.abs(values).max())[1])
        values *= np.ldexp(np.longdouble(1), -shift)
        exponent += shift
    return values, exponent


def response_of(image: Array, origin: Sequence[int], frequencies: Long) -> LongWaves:
    """The same of an image in floating point, summed in long double."""
    waves = [
        np.exp(-1j * np.multiply.outer(frequencies[:, axis], np.arange(o, o + n).astype(np.longdouble)))
        for axis, (o, n) in enumerate(zip(origin, image.shape, strict=True))
    ]
    partial = waves[-1] @ image.T.astype(np.longdouble)  # [count, rows] or [count]
    return np.asarray(partial if image.ndim == 1 else (waves[0] * partial).sum(axis=1))


# ------------------------------------------------------------------------------------------------ stacks with their truths

AXES: Vectors = ((1, 0), (0, 1))
DIAGONALS: Vectors = ((1, 1), (1, -1))
# Two 1-D chains of 3 taps laid out along these vectors, and whether a layer belongs to both of them, or to one and the other in
# turn. None of these kernels is an outer product of its rows and columns.
LATTICES: dict[str, tuple[Vectors, bool]] = {
    "3x3 diagonal": (DIAGONALS, False),
    "5x3 sheared": (((1, 0), (1, 1)), True),
    "5x5 diagonal": (DIAGONALS, True),
}


@lru_cache(maxsize=4)
def line(n: int, k: int, seed: int) -> tuple[Integers, Exact]:
    """Signed 1-D kernels [n, k] and their chain."""
    kernels = signed_kernels(generator(seed, f"deep line {n} {k}"), n, (k,))
    return kernels, chain(kernels)


def lattice_stack(vectors: Vectors, n: int, seed: int, *, both: bool = True) -> tuple[Integers, Truth]:
    """Kernels [n, ky, kx] laid out along the vectors, and the image of their chain."""
    (rows, down), (columns, along) = (line(n if both else n // 2, 3, s) for s in (seed, 1000 + seed))
    one = np.ones(1, dtype=np.int64)
    pairs = [pair for r, c in zip(rows, columns, strict=True) for pair in ([(r, c)] if both else [(r, one), (one, c)])]
    kernels = np.array([on_lattice(np.multiply.outer(*pair), vectors) for pair in pairs])
    shape = kernels.shape[1:]
    full = (n * (shape[0] - 1) + 1, n * (shape[1] - 1) + 1)
    return kernels, lattice_image(truth(down), truth(along), vectors, (0, 0), full)


def named_stack(name: str, n: int, seed: int) -> tuple[Integers, Truth]:
    vectors, both = LATTICES[name]
    return lattice_stack(vectors, n, seed, both=both)


@lru_cache(maxsize=2)
def on_a_torus(n: int, k: int, periods: tuple[int, int], seed: int) -> tuple[Integers, Exact]:
    """Kernels without any structure [n, k, k], and their image summed over the classes of pixels modulo the periods."""
    kernels = signed_kernels(generator(seed, f"torus {n} {k}"), n, (k, k))
    return kernels, on_torus(kernels, periods)


# ------------------------------------------------------------------------------------------------ comparison


def difference(image: NDArray[Any], exponent: int, expected: Truth) -> float:
    """max |image * 2**exponent - expected|, in units of 2**expected.exponent.

    Exact where it matters: doubles close to one another subtract without rounding.
    """
    assert image.shape == expected.high.shape
    got = np.ldexp(image.astype(np.float64), exponent - expected.exponent)
    return float(np.abs((got - expected.high) - expected.low).max())


def error(image: NDArray[Any], exponent: int, expected: Truth) -> float:
    """max |image * 2**exponent - expected| / peak of the expected pixels."""
    return difference(image, exponent, expected) / expected.peak
