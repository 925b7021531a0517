"""Means of draws that were kept, and standard errors of sizes by drawing again: by definition, and against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from erffast import _core, resampling
from samples import pictured

NET = ef.parse("(conv3, relu) * 4", ndim=1)
REDUCTIONS = ["square", "abs", "signed", "rms", "positive"]


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_mean_of_kept_draws_is_what_simulate_returns(reduction: Any, normalise: bool, dtype: Any) -> None:
    options: dict[str, Any] = {"channels": 2, "reduction": reduction, "dtype": dtype}
    for draws in (40, 200):  # of one part, and of several
        kept = ef.simulate(NET, draws=draws, keep_draws=True, **options)
        mean, wanted = kept.mean_of_draws(normalise=normalise), ef.simulate(NET, draws=draws, normalise=normalise, **options)
        assert kept.dead > 0
        rounding = 30 * float(np.finfo(dtype).eps)
        true = np.asarray(wanted, dtype=np.float64)  # signed sums cancel: to the peak
        near = rounding * float(np.abs(true).max()) if reduction == "signed" else 0
        assert np.asarray(mean) == pytest.approx(true, rel=rounding, abs=near)
        assert np.ldexp(mean.stderr, mean.exponent) == pytest.approx(np.ldexp(wanted.stderr, wanted.exponent), rel=rounding)
        for name in ("draws", "dead", "origin", "reduction", "border", "assumptions", "dtype", "lost"):
            assert getattr(mean, name) == getattr(wanted, name), name


def far_apart() -> Any:
    """Three draws of three pixels: thousands of powers of two apart, and one that is dead."""
    images = np.array([[0.5, 0.25, 0.0], [0.0, 0.0, 0.0], [0.75, 0.5, 0.5]])
    return pictured(images, draws=True, exponent=np.array([-5000, 0, -9000]))


def test_draws_any_powers_of_two_apart() -> None:
    erf = far_apart()
    mean = erf.mean_of_draws()
    assert (mean.image.tolist(), mean.exponent, mean.draws) == ([2 / 3, 1 / 3, 0], -5002, 3)  # a third of 2**-5000 [1/2, 1/4, 0]
    unit = erf.mean_of_draws(normalise=True)
    assert np.asarray(unit) == pytest.approx([(2 / 3 + 3 / 7) / 2, (1 / 3 + 2 / 7) / 2, 1 / 7], rel=1e-15)
    assert unit.draws == 2
    found = erf.bootstrap(lambda e: [e.log10_peak(), float(e.image[2] > 0)], resamples=200)
    assert np.isneginf(found.values[:, 0]).any()  # dead draws alone
    sized = found.values[np.isfinite(found.values[:, 0])]
    small = sized[:, 1] == 1  # without the largest draw
    assert small.any()
    assert not small.all()
    assert (sized[small, 0] < -8990 * math.log10(2)).all()
    assert (sized[~small, 0] > -5010 * math.log10(2)).all()
    assert found.stderr == pytest.approx(sized.std(axis=0, ddof=1))


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_resampled_means_are_means_of_gathered_draws(reduction: Any, normalise: bool) -> None:
    """By definition: images taken with replacement, their mean formed by NumPy."""
    draws = 30
    kept = ef.simulate(NET, draws=draws, channels=2, reduction=reduction, keep_draws=True, seed=2)
    found = kept.bootstrap(np.asarray, resamples=20, seed=7, normalise=normalise)
    each = np.asarray(kept) ** (2 if reduction == "rms" else 1)
    if normalise:
        masses = np.sqrt(np.square(each).sum(axis=1)) if reduction == "signed" else each.sum(axis=1)
        each = each[masses > 0] / masses[masses > 0, None]
        places = np.cumsum(masses > 0) - 1
    for resample, value in enumerate(found.values):
        taken = np.floor(_core.uniforms(7, resample, 2**32 - 1, "mask", draws) * draws).astype(int)
        if normalise:
            taken = places[taken[masses[taken] > 0]]
        mean = each[taken].mean(axis=0)
        assert value == pytest.approx(np.sqrt(mean) if reduction == "rms" else mean, rel=1e-12, abs=1e-14 * np.abs(mean).max())


def test_linear_measures_have_the_standard_error_of_a_mean() -> None:
    """sqrt(sum of squared deviations) / n, for every pixel, within 1 / sqrt(2 * resamples) each."""
    resamples = 2000
    kept = ef.simulate(NET, draws=80, channels=3, keep_draws=True)
    found = kept.bootstrap(np.asarray, resamples=resamples)
    mean = kept.mean_of_draws()
    assert found.estimate == pytest.approx(np.asarray(mean), rel=1e-15)
    assert found.stderr == pytest.approx(np.ldexp(mean.stderr, mean.exponent), rel=5 / math.sqrt(2 * resamples))


POSITIONS = 20  # trials: draws are single pixels at binomially distributed places
STD = math.sqrt(POSITIONS) / 2
FOURTH = STD**4 * (3 - 2 / POSITIONS)  # central moment of a binomial distribution with p = 1/2


def single_pixels(seed: int, draws: int) -> Any:
    places = np.random.default_rng(seed).binomial(POSITIONS, 0.5, draws)
    return pictured(np.eye(POSITIONS + 1)[places], draws=True)


def test_standard_errors_of_the_width_are_the_closed_form_and_cover_it() -> None:
    """The standard deviation of n independent places has the standard error sqrt((mu4 - sigma^4) / (4 sigma^2 n)) (delta method)."""
    sets, draws = 200, 80
    found = [single_pixels(seed, draws).bootstrap("std", resamples=100, seed=seed) for seed in range(sets)]
    closed = math.sqrt((FOURTH - STD**4) / (4 * STD**2 * draws))
    stderrs, estimates = np.array([f.stderr[0] for f in found]), np.array([f.estimate[0] for f in found])
    assert abs(stderrs.mean() / closed - 1) < 2 / draws + 4 * stderrs.std() / closed / math.sqrt(sets)
    assert abs(estimates.std() / stderrs.mean() - 1) < 4 / math.sqrt(2 * sets)
    covered = float((np.abs(estimates - STD) < 1.96 * stderrs).mean())
    assert abs(covered - 0.95) < 0.02 + 4 * math.sqrt(
        0.95 * 0.05 / sets
    )  # the second: 200 sets; the first: a skew distribution of 80 draws


def test_positions_have_the_standard_error_of_a_mean() -> None:
    draws, resamples = 100, 4000
    erf = single_pixels(0, draws)
    places = erf.image.argmax(axis=1)
    found = erf.bootstrap("mean", resamples=resamples)
    assert found.estimate == pytest.approx(places.mean() - 3)  # where the image begins
    assert found.stderr == pytest.approx(places.std() / math.sqrt(draws), rel=4 / math.sqrt(2 * resamples))


def test_the_same_seed_gives_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = ef.simulate(NET, draws=30, channels=2, keep_draws=True)
    first = kept.bootstrap("level_size", resamples=40, seed=3)
    assert isinstance(first.estimate, float)
    assert isinstance(first.stderr, float)
    assert np.array_equal(kept.bootstrap("level_size", resamples=20, seed=3).values, first.values[:20])
    assert not np.array_equal(kept.bootstrap("level_size", resamples=40, seed=4).values, first.values)
    monkeypatch.setenv("ERFFAST_NUM_THREADS", "3")
    monkeypatch.setattr(resampling, "BLOCK_BYTES", 500)
    pieces = kept.bootstrap(np.asarray, resamples=40, seed=3)
    monkeypatch.undo()
    assert np.array_equal(pieces.values, kept.bootstrap(np.asarray, resamples=40, seed=3).values)


MEASURES: list[tuple[Any, Callable[[ef.ERF], Any]]] = [
    (name, lambda erf, name=name: getattr(erf, name)()) for name in ("mean", "std", "level_size", "mass_size", "ratio")
]


@pytest.mark.parametrize(("name", "function"), MEASURES, ids=[name for name, _ in MEASURES])
def test_measures_by_name(name: str, function: Callable[[ef.ERF], Any]) -> None:
    kept = ef.simulate(ef.parse("(conv3, relu) * 3"), draws=20, channels=4, keep_draws=True)
    by_name, by_function = (kept.bootstrap(measure, resamples=10) for measure in (name, function))
    assert np.array_equal(by_name.values, by_function.values)
    assert np.array_equal(by_name.estimate, function(kept.mean_of_draws()))
    assert by_name.stderr == pytest.approx(by_name.values.std(axis=0, ddof=1))


def test_numbers_of_fits() -> None:
    kept = ef.simulate(ef.parse("(conv3, relu) * 6"), draws=40, channels=8, keep_draws=True)
    found = kept.bootstrap(lambda erf: (fit := erf.fit()[0]) and [*fit.parameters["std"], fit.kl], resamples=50)
    fit = kept.mean_of_draws().fit()[0]
    assert found.estimate == pytest.approx([*fit.parameters["std"], fit.kl])
    assert found.values[:, :2] == pytest.approx(kept.bootstrap("std", resamples=50).values)  # a Gaussian fit has the image's moments
    assert found.stderr[2] == pytest.approx(found.values[:, 2].std(ddof=1))


def test_means_are_right_where_draws_are_dead_and_others_small() -> None:
    """Thousands of powers of two below 1, where dead draws have the exponent 0."""
    plain, small = (
        ef.simulate(ef.Stack([ef.Conv(3, variance_gain=gain), ef.Activation("relu")] * 6 + [ef.Conv(3)], ndim=1), draws=150)
        for gain in (1.0, 2.0**-1000)
    )
    assert small.dead == plain.dead > 0
    assert np.array_equal(small.image, plain.image)
    assert np.array_equal(small.stderr, plain.stderr)  # type: ignore[arg-type]
    assert small.exponent == int(plain.exponent) - 6000


def test_gradients_given_in_draws() -> None:
    """Products of profiles, and gradients of another framework."""
    weights = np.random.default_rng(0).normal(size=(12, 2, 3, 3))
    erf = ef.gradient(ef.parse("conv3 * 2"), weights, window="full")
    assert np.asarray(erf.mean_of_draws()) == pytest.approx(np.asarray(erf).mean(axis=0), abs=1e-14)
    boxes = ef.gradient(ef.parse("conv3 * 2"), np.broadcast_to(np.arange(1.0, 4)[:, None, None, None], (3, 2, 3, 3)), window="full")
    assert np.asarray(boxes.mean_of_draws()) == pytest.approx(np.asarray(boxes).mean(axis=0), rel=1e-14)
    given: NDArray[np.float64] = np.random.default_rng(1).normal(size=(9, 2, 5, 5))
    mean = ef.ERF.from_gradients(given).mean_of_draws()
    assert np.asarray(mean) == pytest.approx(np.square(given).sum(axis=1).mean(axis=0), rel=1e-14)


# ------------------------------------------------------------------------------------------------ how it refuses


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"measure": "halo"}, ValueError, "measure must be one of 'mean', 'std', 'level_size', 'mass_size', 'ratio', got 'halo'"),
        ({"measure": 3}, TypeError, "measure must be a name or a function of an ERF, got int"),
        ({"measure": lambda erf: erf.fit()}, TypeError, "measure must return a number, a tuple of numbers or an array, got list"),
        ({"measure": "std", "resamples": 1}, ValueError, "resamples must be at least 2, got 1"),
        ({"measure": "std", "seed": -1}, ValueError, "seed must be at least 0, got -1"),
    ],
    ids=["name", "no function", "no numbers", "resamples", "seed"],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        single_pixels(0, 5).bootstrap(**arguments)
    assert message in str(raised.value)


def test_what_has_no_draws_is_refused() -> None:
    one = ef.variance(ef.parse("conv3"))
    for call in (one.mean_of_draws, lambda: one.bootstrap("std")):
        with pytest.raises(ValueError, match=r"needs an ERF that holds its draws.*simulate\(keep_draws=True\) keeps them"):
            call()
    with pytest.raises(ValueError, match="at least two draws, got 1"):
        single_pixels(0, 1).bootstrap("std")
    sizes = iter(range(1, 9))
    with pytest.raises(ValueError, match=r"as many numbers, got shapes \(1,\) and \(2,\)"):
        single_pixels(0, 4).bootstrap(lambda erf: np.ones(next(sizes)))


def test_memory_is_asked_for_first(monkeypatch: pytest.MonkeyPatch) -> None:
    erf = pictured(np.ones((40, 300, 300)), draws=True)
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", "10M")
    with pytest.raises(MemoryError, match="the mean of 40 draws of 90000 pixels needs"):
        erf.mean_of_draws()
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", "90M")  # enough for the mean of all
    with pytest.raises(MemoryError, match="1000 means of 40 draws of 90000 pixels needs"):
        erf.bootstrap("std", resamples=1000)
