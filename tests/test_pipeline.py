"""The direct engine's pipeline: groups of layers led through the cache, whatever stands between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from erffast import _core, reference
from strategies import batches, generator
from tolerances import tolerance

Array = NDArray[Any]
PROPAGATE = {"float32": _core.propagate_f32, "float64": _core.propagate_f64}
# What the reference rounds itself, beside the engine's: long double where there is one.
WIDE = np.longdouble if np.finfo(np.longdouble).eps < np.finfo(np.float64).eps else np.float64


class Run:
    """`count` equal steps of a chain, in the order of the engine: from the output to the input."""

    def __init__(
        self, kernels: Array, count: int, stride: Any = (1, 1), dilation: Any = (1, 1), before: Any = (0, 0), extent: Any = None
    ) -> None:
        self.kernels, self.count = kernels, count  # [1 or count, rows, columns]
        self.options = {"stride": stride, "dilation": dilation, "before": before, "extent": extent}

    def native(self, dtype: str) -> tuple[Any, ...]:
        taps = np.ascontiguousarray(self.kernels[:, None, None, None], dtype=dtype)
        return (taps, *self.options.values(), (0, 0), self.count, False, 1, None)

    def steps(self, dtype: str) -> list[dict[str, Any]]:
        kernels = self.kernels.astype(dtype)
        return [{"kernel": kernels[i if len(kernels) > 1 else 0], **self.options} for i in range(self.count)]


def computed(runs: list[Run], dtype: str, *, threads: int = 1, non_negative: bool = True, trim: float = 0.0) -> tuple[Any, Array]:
    """The images of a chain, and its pixels divided by the peak."""
    images = PROPAGATE[dtype]([r.native(dtype) for r in runs], (0, 0), 1, 1, non_negative, trim, threads, 2**30, None)
    _, _, height, width = images.rects()[0]
    out = np.empty((1, height, width), dtype)
    images.write(out, *images.rects()[0, :2], 1 / images.peaks())
    return images, out[0]


def expected(runs: list[Run], dtype: str, number: Any = WIDE) -> tuple[tuple[int, ...], Array]:
    return reference.propagate([s for r in runs for s in r.steps(dtype)], unit=(0, 0), dtype=number)


# ------------------------------------------------------------------------------------------------ random chains


def random_runs(rng: np.random.Generator, signed: bool) -> list[Run]:
    """Kernels of 1 to 9 rows and columns, alone and repeated, among them steps that the pipeline cannot take."""
    runs = []
    for _ in range(int(rng.integers(2, 7))):
        count = int(rng.choice([1, 1, 2, 5, 11])) if not signed else int(rng.integers(1, 3))
        sides = tuple(rng.integers(1, 10, 2)) if rng.random() < 0.6 else (int(rng.integers(1, 8)),) * 2
        stride, dilation = (1, 1), (1, 1)
        kind = rng.random()
        if kind < 0.1:
            stride, count = tuple(rng.integers(1, 3, 2).tolist()), 1
        elif kind < 0.3:
            dilation, count = tuple(rng.integers(1, 5, 2).tolist()), min(count, 2)
        kernels = rng.random((count if rng.random() < 0.7 else 1, *sides))
        if signed:
            kernels = rng.standard_normal(kernels.shape)
        kernels[rng.random(kernels.shape) < rng.choice([0, 0, 0.3])] = 0
        kernels[:, -1, 0] = 1  # something is left
        runs.append(Run(kernels, count, stride, dilation, tuple(rng.integers(-3, 4, 2).tolist())))
    return runs


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("numbers", batches(40, 400, 10))
def test_random_chains_keep_their_own_bound_in_every_pixel(numbers: range, dtype: str) -> None:
    for number in numbers:
        runs = random_runs(generator(number, "pipeline"), signed=False)
        images, pixels = computed(runs, dtype)
        origin, right = expected(runs, dtype)
        top, left, height, width = images.rects()[0]
        assert (top, left) >= origin  # empty rows and columns at the sides are taken away
        whole = np.zeros(right.shape, pixels.dtype)
        whole[top - origin[0] :, left - origin[1] :][:height, :width] = pixels
        scale = np.ldexp(WIDE(images.peaks()[0]), int(images.exponents()[0]))
        bound = float(images.rounding()[0]) + 4 * np.finfo(dtype).eps  # the division by the peak
        tiny = right < 2 * np.finfo(dtype).tiny * scale  # not representable beside the peak
        assert (np.abs(whole * scale - right)[~tiny] <= bound * right[~tiny]).all(), f"case {number}"
        assert (whole[tiny] <= 4 * np.finfo(dtype).tiny).all()


@pytest.mark.parametrize("numbers", batches(40, 400, 20))
def test_shallow_signed_chains(numbers: range) -> None:
    for number in numbers:
        runs = random_runs(generator(number, "signed pipeline"), signed=True)
        images, pixels = computed(runs, "float64", non_negative=False)
        origin, right = expected(runs, "float64")
        top, left, height, width = images.rects()[0]
        whole = np.zeros(right.shape)
        whole[top - origin[0] :, left - origin[1] :][:height, :width] = pixels
        scale = np.ldexp(WIDE(images.peaks()[0]), int(images.exponents()[0]))
        assert np.abs(whole * scale - right).max() <= tolerance("gradient") * np.abs(right).max(), f"case {number}"


DEEP = {
    "3x3": [(60, 3, 3)],
    "2x2, 7x7, 1x5": [(20, 2, 2), (9, 7, 7), (6, 1, 5)],
    "higher than a tile's kernel": [(4, 9, 9), (20, 4, 4), (2, 15, 2)],
    "wide": [(5, 3, 200), (12, 5, 5)],
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("chain", DEEP)
def test_the_same_bits_for_any_bands(chain: str, dtype: str) -> None:
    rng = np.random.default_rng(3)
    runs = [Run(rng.random(shape), shape[0]) for shape in DEEP[chain]]
    one, pixels = computed(runs, dtype)
    for threads in range(2, 6):
        images, others = computed(runs, dtype, threads=threads)
        np.testing.assert_array_equal(others, pixels)
        assert (images.peaks(), images.exponents(), images.rects().tolist()) == (one.peaks(), one.exponents(), one.rects().tolist())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_groups_and_single_layers_give_the_same_bits(dtype: str) -> None:
    """A border that the image never meets takes every layer out of the pipeline, and changes no sum."""
    rng = np.random.default_rng(5)
    for sides in [(3, 3), (7, 5), (2, 6), (4, 1)]:
        kernels = rng.random((40, *sides))
        free = [Run(kernels, 40, before=(-1, -1))]
        bordered = [Run(kernels, 40, before=(-1, -1), extent=(1000, 1000))]
        for (one, a), (other, b) in [(computed(free, dtype, threads=t), computed(bordered, dtype, threads=t)) for t in (1, 3)]:
            np.testing.assert_array_equal(a, b)
            assert one.rects().tolist() == other.rects().tolist()


# ------------------------------------------------------------------------------------------------ exponents


def test_cancellation_within_a_group_loses_nothing() -> None:
    """(1 + .. + z^63)(1 - z) = 1 - z^64: each pair brings the peak down to 1/128 of what gains allow, ten pairs below 2**-64.

    All values are integers that float32 holds, so the result is exact as long as nothing is flushed.
    """
    box, difference = np.ones((1, 2, 64)), np.array([[[1.0, -1.0], [-1.0, 1.0]]])
    runs = [Run(k, 1) for _ in range(10) for k in (box, difference)]
    _, right = expected(runs, "float64", number=object)
    for dtype in ("float32", "float64"):
        images, _ = computed(runs, dtype, non_negative=False)
        _, _, height, width = images.rects()[0]
        out = np.empty((1, height, width), dtype)
        images.write(out, 0, 0, np.ldexp(1.0, images.exponents()))
        assert (height, width) == right.shape
        np.testing.assert_array_equal(out[0].astype(np.float64), right.astype(np.float64))
        assert np.abs(right).max() == 252**2


def test_deep_float32_tails_are_right_as_far_as_float32_reaches() -> None:
    kernels = np.random.default_rng(8).uniform(0.2, 1, (250, 3, 3)).astype(np.float32).astype(np.float64)
    net = ef.parse("conv3 * 250")
    single, double = (ef.gradient(net, kernels, engine="direct", window="full", dtype=dtype) for dtype in ("float32", "float64"))
    right = np.ldexp(double.image, double.exponent - single.exponent)
    seen = right > np.finfo(np.float32).tiny
    assert 0.1 < seen.mean() < 0.9  # the float32 image ends inside the support
    np.testing.assert_allclose(single.image[seen], right[seen], rtol=single.error + double.error, atol=0)
    assert (single.image[~seen] <= 2 * np.finfo(np.float32).tiny).all()


def test_an_image_that_fades_away_is_nothing() -> None:
    images = PROPAGATE["float32"]([Run(np.zeros((1, 3, 3)), 30).native("float32")], (0, 0), 1, 1, True, 0.0, 1, 2**24, None)
    assert images.peaks() == 0
    assert images.rects()[0, 2:].tolist() == [0, 0]


# ------------------------------------------------------------------------------------------------ trimming


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_groups_trim_stays_within_the_account(dtype: str) -> None:
    rng = np.random.default_rng(9)
    runs = [Run(rng.random((70, 3, 3)), 70), Run(rng.random((9, 6, 6)), 9), Run(rng.random((1, 2, 2)), 50)]
    whole, right = computed(runs, dtype)
    for trim in (1e-4, 1e-9):
        images, pixels = computed(runs, dtype, trim=trim)
        top, left, height, width = images.rects()[0]
        assert height < right.shape[0]
        assert width < right.shape[1]
        account = float(images.trimmed()[0])
        assert 0 < account <= trim
        begin = top - whole.rects()[0, 0], left - whole.rects()[0, 1]
        kept = right[begin[0] : begin[0] + height, begin[1] : begin[1] + width].astype(np.float64)
        scale = np.ldexp(images.peaks()[0] / whole.peaks()[0], int(images.exponents()[0] - whole.exponents()[0]))
        mass = right.sum(dtype=np.float64)
        missing = mass - scale * pixels.sum(dtype=np.float64)
        rounding = float(whole.rounding()[0] + images.rounding()[0])
        assert -rounding * mass <= missing <= (account + rounding) * mass
        assert (np.abs(kept - scale * pixels) <= account * mass + 2 * rounding * kept).all()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_trimming_does_not_depend_on_threads(threads: int) -> None:
    kernels = np.random.default_rng(10).random((120, 3, 3))
    one = ef.gradient(ef.parse("conv3 * 120"), kernels, engine="direct", threads=1)
    other = ef.gradient(ef.parse("conv3 * 120"), kernels, engine="direct", threads=threads)
    np.testing.assert_array_equal(one.image, other.image)
    assert (one.origin, one.exponent, one.error, one.lost) == (other.origin, other.exponent, other.error, other.lost)
    full = ef.gradient(ef.parse("conv3 * 120"), kernels, engine="direct", window="full")
    y, x = (o - f for o, f in zip(one.origin, full.origin, strict=True))
    cut = full.image[y : y + one.shape[0], x : x + one.shape[1]]
    np.testing.assert_allclose(np.ldexp(cut, full.exponent - one.exponent), one.image, rtol=1e-12, atol=0)


def test_ends_that_are_zero_are_taken_away_between_groups() -> None:
    """Kernels that only shift grow the field and not the image."""
    shift = np.zeros((1, 5, 5))
    shift[0, 4, 1] = 2.0
    images, pixels = computed([Run(shift, 100), Run(np.ones((1, 2, 3)), 1)], "float64")
    np.testing.assert_array_equal(pixels, np.ones((2, 3)))
    assert images.rects()[0].tolist() == [400, 100, 2, 3]
    assert images.peaks()[0] * 2.0 ** (int(images.exponents()[0]) - 100) == 1.0
