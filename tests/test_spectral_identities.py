"""What holds for every signed stack: identities between networks, the same bits for any number of threads and draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from deep_oracles import signed_kernels
from erffast.layers import Conv, Stack
from spectral_runs import PERIODS, apart, assert_same_bits, normal_weights, spectral
from strategies import generator
from tolerances import tolerance

Array = NDArray[np.float64]


# ------------------------------------------------------------------------------------------------ identities


def test_splitting_and_joining_layers() -> None:
    """A(BC) = (AB)C: pairs of layers composed beforehand, in integers."""
    kernels = signed_kernels(generator(0, "splitting"), 200, (3, 3))
    pairs = np.zeros((100, 5, 5), dtype=np.int64)
    for a, b in np.ndindex(3, 3):
        pairs[:, a : a + 3, b : b + 3] += kernels[::2, a, b, None, None] * kernels[1::2]
    one = spectral(ef.parse("conv3 * 200"), kernels.astype(np.float64))
    two = spectral(ef.parse("conv5 * 100"), pairs.astype(np.float64))
    assert apart(one, two) <= one.error + two.error <= tolerance("deep gradient", engine="spectral")


def test_the_image_of_two_halves_is_the_convolution_of_their_images() -> None:
    kernels = signed_kernels(generator(0, "halves"), 400, (3,)).astype(np.float64)
    halves = [spectral(ef.parse("conv3 * 200", ndim=1), k) for k in (kernels[:200], kernels[200:])]
    whole = spectral(ef.parse("conv3 * 400", ndim=1), kernels)
    # each half is compact and has no large gain left, so that plain sums serve
    joined = np.convolve(halves[0].image, halves[1].image)
    shift = sum(int(np.asarray(h.exponent)) for h in halves) - int(np.asarray(whole.exponent))
    norms = float(np.linalg.norm(halves[0].image) * np.linalg.norm(halves[1].image))
    assert np.abs(np.ldexp(joined, shift) - whole.image).max() <= math.ldexp(norms, shift) * sum(h.error for h in [*halves, whole])


@pytest.mark.parametrize(
    ("n", "ndim", "strides"),
    [(300, 1, {}), (200, 1, {40: 2, 90: 3}), (24, 2, {}), (16, 2, {5: 2})],
    ids=["line", "strided", "plane", "both"],
)
def test_the_gradient_answers_for_the_forward_network(n: int, ndim: int, strides: dict[int, int]) -> None:
    """<g, x> = y for integer inputs x, the network run forward in Python integers."""
    rng = generator(n, "adjoint")
    kernels = signed_kernels(rng, n, (3,) * ndim, scale=2.0)
    net = Stack([Conv(3, stride=strides.get(i, 1)) for i in range(n)], ndim=ndim)
    erf = spectral(net, kernels.astype(np.float64))
    x = rng.integers(-9, 10, erf.shape)
    y = forward(kernels, [strides.get(i, 1) for i in range(n)], x)
    products = (erf.image * x).ravel()
    got, exponent = math.fsum(products), int(np.asarray(erf.exponent))
    expected = (y << 60 >> exponent) / 2.0**60 if exponent >= 0 else float(y << -exponent)
    # as many errors as there are pixels, of which none is larger than the reported one
    assert abs(got - expected) <= erf.error * float(np.abs(x).sum()) * float(np.abs(erf.image).max())
    assert abs(got - expected) <= tolerance("deep gradient", engine="spectral") * float(np.linalg.norm(products))


def forward(kernels: Any, strides: list[int], x: NDArray[np.int64]) -> int:
    """The only output of a network without padding on a map of its field's size."""
    y = x.astype(object)
    for kernel, s in zip(kernels, strides, strict=True):
        shape = tuple((n - k) // s + 1 for n, k in zip(y.shape, kernel.shape, strict=True))
        out = np.zeros(shape, dtype=object)
        for tap, w in np.ndenumerate(kernel):
            out += int(w) * y[tuple(slice(a, a + s * (n - 1) + 1, s) for a, n in zip(tap, shape, strict=True))]
        y = out
    assert y.size == 1
    return int(y.item())


def test_linear_in_each_layer() -> None:
    net = ef.parse("conv3 * 50")
    weights = np.array(normal_weights(net, "linear"))
    other = weights.copy()
    other[17] = generator(1, "linear").standard_normal((3, 3))
    both = weights.copy()
    both[17] = 0.5 * weights[17] - 3 * other[17]
    one, two, sum_of_both = (spectral(net, w) for w in (weights, other, both))
    shift = [np.asarray(e.exponent) - np.asarray(sum_of_both.exponent) for e in (one, two)]
    combined = 0.5 * np.ldexp(one.image, shift[0]) - 3 * np.ldexp(two.image, shift[1])
    np.testing.assert_allclose(combined, sum_of_both.image, rtol=0, atol=tolerance("gradient"))


@pytest.mark.parametrize("period", PERIODS)
def test_symmetries(period: str) -> None:
    """Order, signs, axes and directions."""
    net = ef.parse("conv3 * 60, conv4x3 * 5")
    weights = [
        k.astype(np.float64) for k in (*signed_kernels(generator(0, "s"), 60, (3, 3)), *signed_kernels(generator(1, "s"), 5, (4, 3)))
    ]
    plain = spectral(net, weights, period=period)
    allowed = 2 * plain.error
    assert allowed <= tolerance("gradient", engine="spectral")

    def image(erf: ef.ERF) -> Array:
        assert erf.exponent == plain.exponent
        return np.asarray(erf.image)

    def differs(other: Any) -> float:
        return float(np.abs(other - plain.image).max() / np.abs(plain.image).max())

    mixed = generator(2, "s").permutation(60)
    assert differs(image(spectral(net, [weights[i] for i in mixed] + weights[60:], period=period))) <= allowed
    assert differs(-image(spectral(net, [-weights[0], *weights[1:]], period=period))) <= allowed
    assert differs(image(spectral(net, [w[::-1, ::-1] for w in weights], period=period))[::-1, ::-1]) <= allowed
    across = ef.parse("conv3 * 60, conv3x4 * 5")
    assert differs(image(spectral(across, [w.T for w in weights], period=period)).T) <= allowed
    # taps of alternating sign: the image with alternating signs
    signs = [(-1.0) ** np.add.outer(np.arange(h), np.arange(w)) for h, w in ((3, 3), (4, 3), plain.shape)]
    turned = [w * signs[i >= 60] for i, w in enumerate(weights)]
    assert differs(image(spectral(net, turned, period=period)) * signs[2]) <= allowed


# ------------------------------------------------------------------------------------------------ draws and threads


@pytest.fixture
def own_transforms(monkeypatch: pytest.MonkeyPatch) -> None:
    """The transforms taken where none is asked for: the same bits are promised with those, not with ducc0's."""
    monkeypatch.delenv("ERFFAST_FFT", raising=False)


@pytest.mark.usefixtures("own_transforms")
@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize(
    ("text", "ndim"), [("conv3 * 50", 2), ("conv4 * 12, conv3/2, conv5:d2 * 6, avgpool3/1 * 5, conv3 * 40", 2), ("conv5 * 300", 1)]
)
def test_a_batch_of_draws_is_its_draws_one_by_one(text: str, ndim: int, period: str) -> None:
    net = ef.parse(text, ndim=ndim)
    weights = normal_weights(net, "draws", lead=(5,))
    weights[0] = np.ldexp(weights[0], generator(0, "powers").integers(-900, 900, 5).reshape(5, *(1,) * ndim))
    together = spectral(net, weights, period=period)
    assert together.draws == 5
    errors = []
    for d in range(5):
        alone = spectral(net, [w[d] for w in weights], period=period)
        np.testing.assert_array_equal(together.image[d], alone.image)
        assert together.exponent[d] == alone.exponent  # type: ignore[index]
        errors.append(alone.error)
    assert together.error == max(errors)


@pytest.mark.usefixtures("own_transforms")
@pytest.mark.parametrize(
    ("text", "ndim", "draws"),
    [("conv3 * 150", 2, None), ("conv3 * 40, conv3/2, conv5:d2 * 9", 2, None), ("conv5 * 400", 1, None), ("conv3 * 40", 2, 5)],
)
@pytest.mark.parametrize("period", PERIODS)
def test_same_bits_for_any_number_of_threads(text: str, ndim: int, draws: int | None, period: str) -> None:
    net = ef.parse(text, ndim=ndim)
    weights = normal_weights(net, "threads", lead=() if draws is None else (draws,))
    one = spectral(net, weights, threads=1, period=period)
    for threads in (2, 3):
        assert_same_bits(spectral(net, weights, threads=threads, period=period), one)


@pytest.mark.usefixtures("own_transforms")
def test_repeats_have_the_same_bits_for_any_number_of_threads() -> None:
    weights = np.broadcast_to(generator(0, "repeats").standard_normal((3, 3)), (2000, 3, 3))
    net = ef.parse("conv3 * 2000")
    one = spectral(net, weights, threads=1, window=301)
    for threads in (2, 3):
        assert_same_bits(spectral(net, weights, threads=threads, window=301), one)
