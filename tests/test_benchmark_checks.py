"""The benchmark: its checks must be seen to fail, its peers to agree. No test asserts a time."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import erffast as ef
from benchmark_runs import MADE, SMALL, made
from erffast import _core
from erffast.analytic import pmf
from erffast.benchmark import (
    answers,
    ceilings,
    chains,
    loops,
    products,
    trinomial,
    truths,
    uniform,
)
from erffast.benchmark.answers import answer_of, difference, single
from erffast.benchmark.chosen import Choices
from erffast.benchmark.signed import Signed, product_work
from erffast.benchmark.uniform import UniformProfiles


def signed_kernels(n: int, k: int = 3) -> Any:
    return np.random.default_rng(n).standard_normal((n, k, k)) / k


# ------------------------------------------------------------------------------------------------ ceilings


@pytest.mark.usefixtures("small_arrays")
def test_ceilings_are_plausible() -> None:
    found = ceilings.Probe(1).measure(seconds=0.02)
    assert 1e8 < found.float64 < 1e13
    assert 1e8 < found.float32 < 1e13
    assert 1e8 < found.copy < 1e13
    assert 1e8 < found.write < 1e13
    assert 0 < found.fft["scipy"] < 100
    assert ("ducc0" in found.fft) == (importlib.util.find_spec("ducc0") is not None)


def test_probes_do_what_they_time() -> None:
    source, target = np.arange(1001.0), np.zeros(1001)
    assert _core.copy_rate(target[1:], source[1:], 2, 0.0) > 0  # an odd start: streaming stores need pairs
    np.testing.assert_array_equal(target[1:], source[1:])
    assert target[0] == 0
    assert _core.write_rate(target, 2, 0.0) > 0
    np.testing.assert_array_equal(target, np.ones(1001))


def test_probes_refuse_what_they_cannot_fill() -> None:
    with pytest.raises(ValueError, match="same length"):
        _core.copy_rate(np.zeros(3), np.zeros(4), 1, 0.0)
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        _core.write_rate(frozen, 1, 0.0)


def test_the_time_of_another_transform_grows_a_little_faster_than_its_pixels() -> None:
    assert ceilings.fft_seconds(MADE, 2016, 2016) == pytest.approx(0.02)
    assert 0.9 < 4 * ceilings.fft_seconds(MADE, 1008, 1008) / 0.02 < 1


def test_the_product_is_counted_as_documented() -> None:
    assert product_work(1000, 100, 3) == 3 * 1000 * 100


# ------------------------------------------------------------------------------------------------ checks


def changed(found: Any, **fields: Any) -> Any:
    """What a check reads of a result, with something else in its place."""
    names = ("image", "exponent", "origin", "error", "shape")
    return SimpleNamespace(**{name: getattr(found, name) for name in names} | fields)


def with_one_pixel(image: Any, factor: float) -> Any:
    """The largest pixel of the last draw changed."""
    image = image.copy()
    last = image if image.ndim == 2 else image[-1]
    where = np.unravel_index(np.abs(last).argmax(), last.shape)
    last[where] *= factor
    return image


@pytest.mark.parametrize("name", SMALL)
def test_checks_pass_the_engines(name: str) -> None:
    case, found = made(name)
    verdict = case.check(found)
    assert verdict.wrong == ""
    assert verdict.against
    assert case.answer(found).pixels.ndim == 3
    floor = case.floor(MADE, found)
    assert floor is None or floor > 0


MISTAKES = ("pixel", "exponent", "place", "nan", "transposed")


SYMMETRIC = ("J1", "small", "parse")  # a symmetric image is its own transpose


@pytest.mark.parametrize(("name", "mistake"), [(n, m) for n in SMALL for m in MISTAKES if m != "transposed" or n not in SYMMETRIC])
def test_checks_fail_wrong_answers(name: str, mistake: str) -> None:
    case, found = made(name)
    single_precision = found.image.dtype == np.float32
    wrong = {
        "pixel": {"image": with_one_pixel(found.image, 1 + (1e-3 if single_precision else 1e-8))},
        "exponent": {"exponent": found.exponent + 1},
        "place": {"origin": (found.origin[0], found.origin[1] + 1), "image": np.roll(found.image, 1, axis=-1)},
        "nan": {"image": with_one_pixel(found.image, math.nan)},
        "transposed": {"image": np.swapaxes(found.image, -1, -2)},
    }[mistake]
    assert case.check(changed(found, **wrong)).wrong


def test_the_check_of_profiles_fails_wrong_ones() -> None:
    case = UniformProfiles({"n": 50}, 1)
    found = case.run()
    assert not case.check(found).wrong
    tail = found.rows.copy()
    tail[0] *= 1 + 1e-9  # 3**-50: far below anything a difference would show
    assert case.check(found._replace(rows=tail)).wrong
    assert case.check(found._replace(rows=found.rows[1:])).wrong
    assert case.check(found._replace(std=(found.std[0] * (1 + 1e-9), found.std[1]))).wrong


def test_profiles_too_deep_for_integers_are_checked_twice() -> None:
    """At a depth that integers reach too: both checks agree with them, and each finds what the other lets pass."""
    n = 3000
    right = pmf(3, n)
    assert trinomial.identity_error(right, n) < 1e-14
    assert trinomial.places_error(right, n) < 1e-14
    bent = right * (1 + 1e-9 * np.linspace(-1, 1, 2 * n + 1))
    assert trinomial.identity_error(bent, n) < 1e-11 < trinomial.places_error(bent, n)
    for place in (2, n - 7, n, n + 7, 2 * n - 2):
        wrong = right.copy()
        wrong[place] *= 1 + 1e-9
        assert right[place] < 1e-290 or trinomial.identity_error(wrong, n) > 1e-10
    for other in (right[1:], np.append(right, 0.0)):
        assert trinomial.identity_error(other, n) == trinomial.places_error(other, n) == math.inf


@pytest.mark.parametrize(("n", "place"), [(1, 1), (2, 1), (5, 5), (40, 3), (40, 79), (1000, 800)])
def test_single_coefficients_equal_integers(n: int, place: int) -> None:
    assert trinomial.trinomial_at(n, place) == pytest.approx(pmf(3, n)[place], rel=1e-14)


def test_the_check_of_deep_profiles_fails_wrong_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uniform, "INTEGERS", 10)
    case = UniformProfiles({"n": 50}, 1)
    found = case.run()
    assert not case.check(found).wrong
    assert case.peers(found) == ()
    assert case.check(found._replace(rows=found.rows * (1 + 1e-9))).wrong
    assert case.check(found._replace(rows=found.rows[1:])).wrong


def test_every_seed_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Signed({"n": 30, "seeds": 3}, 1)
    found = case.run()
    verdict = case.check(found)
    assert not verdict.wrong
    assert verdict.against.endswith("3 seeds")
    last = case.made(5)
    solve = case.solved
    monkeypatch.setattr(case, "solved", lambda k: solve(k * (1 + 1e-9) if np.array_equal(k, last) else k))
    assert case.check(found).wrong


def test_choices_are_checked_one_by_one() -> None:
    case = Choices({"families": 1}, 1)
    found = case.run()
    assert len(found) == 2
    assert found[1].engine == "spectral"
    assert not case.check(found).wrong
    for place, erf in enumerate(found):
        wrong: list[Any] = list(found)
        wrong[place] = changed(erf, image=with_one_pixel(erf.image, 1 + 1e-9))
        assert case.check(wrong).wrong
    for chain, part in zip(case.chains, case.parts(MADE, found), strict=True):
        assert part.name.endswith(f"forced, for signed 3x3, n={chain.n}")
        assert part.in_turn
        assert part.whole is not None
        assert difference(answer_of(part.whole()), answer_of(part.call())) < 1e-11


def test_a_verdict_of_nan_is_wrong() -> None:
    assert truths.Verdict(math.nan, 1.0, "x").wrong
    assert not truths.Verdict(1.0, 1.0, "x").wrong


def test_sampled_frequencies_estimate_the_norm_of_the_error() -> None:
    kernels = signed_kernels(60)
    right = products.numpy_image(kernels)
    noise = 1e-6 * np.random.default_rng(0).standard_normal(right.pixels.shape) * np.abs(right.pixels).max()
    noisy = dataclasses.replace(right, pixels=right.pixels + noise)
    wanted = np.linalg.norm(noise) / np.abs(noisy.pixels).max()
    found = [truths.sampled_error(noisy, kernels, seed=seed) for seed in range(4)]
    np.testing.assert_allclose(found, wanted, rtol=0.2)


def test_sampled_frequencies_find_the_peaks_of_the_spectrum() -> None:
    kernels = signed_kernels(200)
    right = products.numpy_image(kernels)
    spectrum = np.fft.rfft2(right.pixels[0])
    strong = np.abs(spectrum) > 0.5 * np.abs(spectrum).max()
    assert strong.mean() < 2e-3  # an even sample would hardly ever meet them
    spectrum[strong] *= 1 + 1e-6
    wrong = single(np.fft.irfft2(spectrum, s=right.pixels[0].shape), int(right.exponents[0]))
    assert truths.sampled_error(wrong, kernels) > 100 * truths.sampled_error(right, kernels)


def test_sums_see_a_single_corner() -> None:
    kernels = np.random.default_rng(2).uniform(0.5, 1.0, (30, 3, 3))
    right = loops.numpy_loop(kernels, "float64")
    assert truths.sums_error(right, kernels) < 1e-14
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        pixels = right.pixels.copy()
        assert pixels[0][corner] < 1e-20 * pixels.max()
        pixels[0][corner] *= 1 + 1e-9
        assert truths.sums_error(dataclasses.replace(right, pixels=pixels), kernels) > 1e-10
    assert truths.sums_error(dataclasses.replace(right, pixels=right.pixels[:, 1:]), kernels) == math.inf


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (3, 5), (5, 3)])
def test_sums_along_every_direction(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(1).standard_normal(shape)
    rows, columns = shape
    np.testing.assert_allclose(chains.summed(image, "rows"), image.sum(1))
    np.testing.assert_allclose(chains.summed(image, "columns"), image.sum(0))
    # pixel (y, x) goes to place y + x
    wanted = [sum(image[y, s - y] for y in range(rows) if 0 <= s - y < columns) for s in range(rows + columns - 1)]
    np.testing.assert_allclose(chains.summed(image, "diagonals"), wanted)
    wanted = [np.trace(image, offset=columns - 1 - s) for s in range(rows + columns - 1)]
    np.testing.assert_allclose(chains.summed(image, "antidiagonals"), wanted, atol=1e-15)


# ------------------------------------------------------------------------------------------------ answers


def test_differences_are_between_true_values_at_the_same_place() -> None:
    right = single(np.array([[0.0, 1.0], [2.0, 4.0]]), 3, (5, 6))
    assert difference(single(2 * right.pixels[0], 2, (5, 6)), right) == 0
    assert difference(single(right.pixels[0], 4, (5, 6)), right) == 1
    framed = np.pad(right.pixels[0], 2, constant_values=7.0)
    assert difference(single(framed, 3, (3, 4)), right) == 0  # pixels beyond are not looked at
    assert difference(single(right.pixels[0][:, :1], 3, (5, 6)), right) == 1  # missing ones are zero
    assert difference(single(right.pixels[0], 3, (99, 6)), right) == 1
    assert difference(single(right.pixels[0] * math.nan, 3, (5, 6)), right) == math.inf
    assert difference(single(right.pixels[0], -5000, (5, 6)), right) == 1


def test_every_draw_counts() -> None:
    right = answers.Answer(np.ones((3, 2, 2)), np.array([0, 5, -2]), (0, 0))
    wrong = answers.Answer(right.pixels.copy(), right.exponents, (0, 0))
    wrong.pixels[2, 0, 0] = 1.25
    assert difference(right, right) == 0
    assert difference(wrong, right) == 0.25
    assert difference(wrong.draw(1), right.draw(1)) == 0


# ------------------------------------------------------------------------------------------------ peers


def test_numpy_peers_agree_with_the_engines() -> None:
    kernels = signed_kernels(30, 5)
    right = answer_of(ef.gradient(ef.parse("conv5 * 30"), kernels, window="full"))
    assert difference(products.numpy_image(kernels), right) < 1e-13
    assert difference(loops.numpy_loop(kernels, "float64"), right) < 1e-11
    assert difference(loops.scipy_loop(kernels[:4]), answer_of(ef.gradient(ef.parse("conv5 * 4"), kernels[:4]))) < 1e-14


def test_a_smaller_period_holds_a_deep_image() -> None:
    kernels = signed_kernels(200)
    small = products.numpy_image(kernels, period=300)
    assert small.pixels.shape == (1, 300, 300)
    assert difference(small, products.numpy_image(kernels)) < 1e-11


@pytest.mark.parametrize("shape", [(4, 2, 3), (40, 1, 3), (3, 4, 1)])
def test_the_numpy_product_takes_any_kernel(shape: tuple[int, int, int]) -> None:
    kernels = np.random.default_rng(5).standard_normal(shape)
    right = loops.numpy_loop(kernels, "float64")
    assert difference(products.numpy_image(kernels), right) < 1e-13
    assert difference(products.numpy_image(kernels, period=products.even_length(max(right.pixels.shape) + 2)), right) < 1e-13


def test_torch_peers_agree_in_float64_and_fail_in_float32() -> None:
    pytest.importorskip("torch")
    kernels = signed_kernels(100)
    right = products.numpy_image(kernels)
    peak = math.log2(np.abs(right.pixels).max()) + int(right.exponents[0])
    with loops.torch_threads(1):
        assert difference(products.torch_image(kernels), right) < 1e-12
        assert difference(loops.torch_loop(kernels, "float64"), right) < 1e-10
        assert difference(loops.torch_autograd(kernels, "float64", peak), right) < 1e-10
        # what the table shows beside their times: a hundred signed layers leave float32 four digits or fewer
        assert difference(loops.torch_loop(kernels, "float32"), right) > 1e-5
        assert difference(loops.torch_autograd(kernels, "float32", peak), right) > 1e-5


def test_torch_keeps_its_number_of_threads() -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    with loops.torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_the_band_makes_the_window() -> None:
    kernels = np.random.default_rng(6).uniform(0.2, 3.0, (40, 3, 3))
    right = answer_of(ef.gradient(ef.parse("conv3 * 40"), kernels, engine="direct"))
    first = right.origin
    last = [o + n - 1 for o, n in zip(first, right.pixels.shape[1:], strict=True)]
    band = products.Band(128, 63, 63, ((first[0], last[0]), (first[1], last[1])))
    assert difference(products.band_image(kernels, band), right) < 1e-13
    assert difference(products.band_image(kernels, band, precise=True), right) < 1e-13
