"""Single draws against the limit, and wider profiles: what is claimed holds, and the theory in it is right on its own."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, stats

import erffast as ef
from erffast import analytic
from erffast.experiments import Findings, Run, _profiles, _single, _statistics, initialisation, single_draws
from erffast.layers import Conv
from erffast.plotting import _style

Array = NDArray[np.float64]

# ------------------------------------------------------------------------------------------------ the experiments


@pytest.fixture(scope="module", params=[single_draws, initialisation], ids=["single_draws", "initialisation"])
def experiment(request: pytest.FixtureRequest, quick_run: Run) -> tuple[Any, Findings]:
    return request.param, request.param.find(quick_run)


def test_all_claims_hold(experiment: tuple[Any, Findings]) -> None:
    _, found = experiment
    assert [claim.name for claim in found.claims if not claim.holds] == []
    assert len({claim.name for claim in found.claims}) == len(found.claims) > 15
    assert all(claim.because for claim in found.claims if claim.theory is not None)


def test_words_and_tables_have_numbers(experiment: tuple[Any, Findings]) -> None:
    _, found = experiment
    assert "nan" not in found.words
    for table in found.tables:
        assert {len(row) for row in table.rows} == {len(table.header)}
        assert not any("nan" in cell for row in table.rows for cell in row)


def test_figures_are_drawn(experiment: tuple[Any, Findings], tmp_path: Any) -> None:
    module, found = experiment
    figures = module.draw(found)
    assert len(figures) in (2, 3)
    for name, figure in figures.items():
        assert all(ax.has_data() for ax in figure.axes)
        _style.write(figure, tmp_path / f"{name}.png")


# ------------------------------------------------------------------------------------------------ single draws


def test_a_batch_is_what_plain_convolutions_give() -> None:
    run = Run(seed=5)
    batch = _single.signed_batch(run, 10, 1, 4)
    weights = _single.weights_of(run, "signed", 10, 1, 4)
    for draw, kernels in enumerate(weights):
        g = np.ones(1)
        for kernel in kernels:
            g = np.convolve(g, kernel)
        x, mass = np.arange(21) - 10, g**2 / (g @ g)
        mean = mass @ x
        std = math.sqrt(mass @ (x - mean) ** 2)
        assert batch.centre[draw] == pytest.approx(abs(mean), rel=1e-9)
        assert batch.std[draw] == pytest.approx(std, rel=1e-9)
        assert batch.norm[draw] == pytest.approx(math.log10(g @ g) / 2 - 10 * math.log10(3) / 2, abs=1e-9)
        normal = stats.norm(mean, std)
        apart = (np.abs(mass - normal.pdf(x)).sum() + max(0.0, 1 - normal.pdf(x).sum())) / 2
        assert batch.apart[draw] == pytest.approx(apart, rel=1e-9)


def test_a_wave_puts_1_over_pi_of_the_mass_elsewhere_and_six_pixels_remove_it() -> None:
    x = np.arange(2001) - 1000.0
    g = np.array([np.exp(-((x - 30) ** 2) / (4 * 80**2)) * np.cos(wave * x + 0.7) for wave in _single.WAVES])
    erf = ef.ERF.from_gradients(g, axes="NW", reduction="signed")
    assert erf.fit()[0].total_variation == pytest.approx(1 / math.pi, abs=0.01)
    assert _single.smoothed(erf).fit()[0].total_variation == pytest.approx(0, abs=3e-3)  # the envelope changes within 6 pixels
    assert _single._share_near(g) == pytest.approx(1, abs=1e-6)


def test_only_circular_frequencies_have_the_largest_mean_logarithm() -> None:
    # of E w(f)^2 the absolute value is |1 + exp(-2if) + exp(-4if)|, zero at the two waves only
    f = np.linspace(0, np.pi, 3001)
    values = np.abs(1 + np.exp(-2j * f) + np.exp(-4j * f))
    lowest = f[1:-1][(values[1:-1] < values[:-2]) & (values[1:-1] < values[2:])]
    assert lowest == pytest.approx(_single.WAVES, abs=1e-3)
    z = stats.norm.rvs(size=(2, 100_000), random_state=1)
    logs = np.log(z[0] ** 2 / 2 + z[1] ** 2 / 2)
    assert logs.mean() == pytest.approx(-np.euler_gamma, abs=4 * logs.std() / math.sqrt(logs.size))
    assert logs.std() == pytest.approx(math.pi / math.sqrt(6), rel=0.02)


def test_means_of_several_channels_are_those_of_plain_loops() -> None:
    n, channels, draws = 40, 4, 600
    erf = ef.simulate(ef.parse(f"conv3 * {n}", ndim=1), draws=draws, channels=channels, keep_draws=True)
    measured, error = _statistics.bootstrap(erf, lambda mean: mean.std()[0], normalise=True)
    rng = np.random.default_rng(3)
    g = np.zeros((draws, channels, 2 * n + 1))
    g[:, 0, n] = 1
    for layer in range(n):
        weights = rng.standard_normal((draws, 3, 1 if layer == n - 1 else channels, channels)) / math.sqrt(3 * channels)
        taps = weights @ g[:, None]
        g = np.roll(taps[:, 0], -1, axis=2) + taps[:, 1] + np.roll(taps[:, 2], 1, axis=2)
    shares = g[:, 0] ** 2 / (g[:, 0] ** 2).sum(axis=1, keepdims=True)
    squares = shares @ (np.arange(2 * n + 1) - n) ** 2
    other, other_error = math.sqrt(squares.mean()), squares.std() / math.sqrt(draws) / (2 * math.sqrt(squares.mean()))
    assert measured == pytest.approx(other, abs=4 * math.hypot(error, other_error))
    assert measured > analytic.growth(3, n) + 2 * error  # a narrow network's typical draws are wider in the mean


def test_cumulants_are_those_of_the_exact_distribution() -> None:
    kernels = np.random.default_rng(2).integers(1, 9, size=(1, 5, 3))
    total = [Fraction(1)]
    for kernel in kernels[0].tolist():
        grown = [Fraction(0)] * (len(total) + 2)
        for (i, p), (a, w) in itertools.product(enumerate(total), enumerate(kernel)):
            grown[i + a] += p * Fraction(w, sum(kernel))
        total = grown
    mean = sum(p * x for x, p in enumerate(total))
    second, third, fourth = (sum(p * (x - mean) ** power for x, p in enumerate(total)) for power in (2, 3, 4))
    found = [float(values[0]) for values in _single.cumulants_of(kernels.astype(float))]
    assert found == pytest.approx([float(second), float(third), float(fourth - 3 * second**2)], rel=1e-12)


def test_edgeworth_variation() -> None:
    # skewness alone: |He3| times the normal density is the slope of He2 times it, which goes up and down between these values
    phi = stats.norm.pdf
    assert _single.edgeworth_variation(0.01, 0.0) == pytest.approx(0.01 / 12 * (8 * phi(math.sqrt(3)) + 2 * phi(0)), rel=1e-2)
    binomial = stats.binom(20_000, 0.2)
    x = np.arange(20_001)
    apart = np.abs(binomial.pmf(x) - stats.norm(binomial.mean(), binomial.std()).pdf(x)).sum() / 2
    skewness, excess = binomial.stats(moments="sk")
    assert _single.edgeworth_variation(float(skewness), float(excess)) == pytest.approx(apart, rel=1e-2)


def test_wandering() -> None:
    assert _single.wandering(2) == pytest.approx(3 - 4 * math.log(2), rel=1e-9)  # smaller over larger is uniform on (0, 1)
    w = np.random.default_rng(4).random((400_000, 3))
    squares = ((w[:, 2] - w[:, 0]) / w.sum(axis=1)) ** 2
    assert _single.wandering(3) == pytest.approx(squares.mean(), abs=4 * squares.std() / math.sqrt(len(w)))


@pytest.mark.parametrize("channels", [1, 4])
def test_speckle(channels: int) -> None:
    deviation = integrate.quad(lambda x: abs(x / channels - 1) * stats.chi2.pdf(x, channels), 0, np.inf, points=None, limit=200)[0]
    assert _single.speckle(np.full(4000, 1 / 4000), channels, draws=300) == pytest.approx(deviation / 2, rel=3e-3)


def test_slope_and_its_error() -> None:
    x = [10, 100, 1000]
    assert _single.slope(x, [3 * value**-0.7 for value in x], [0.0] * 3) == pytest.approx((-0.7, 0.0))
    rng = np.random.default_rng(6)
    slopes = [_single.slope(x, list(1 + 0.01 * rng.standard_normal(3)), [0.01] * 3) for _ in range(2000)]
    assert np.std([value for value, _ in slopes]) == pytest.approx(slopes[0][1], rel=0.1)


def test_distance_to_the_limit() -> None:
    shares = np.zeros((2, 21))
    shares[0], shares[1, 10] = analytic.pmf(3, 10), 1
    erf = ef.ERF.from_gradients(shares, axes="NW", reduction="abs")
    assert _single.to_limit(erf, 10) == pytest.approx([0, 1 - 8953 / 3**10], abs=1e-12)
    both = np.abs(shares.mean(axis=0) - analytic.pmf(3, 10)).sum() / 2
    assert _single.means_to_limit(erf, 10) == [(1, pytest.approx((1 - 8953 / 3**10) / 2))]
    assert both == pytest.approx((1 - 8953 / 3**10) / 2)


# ------------------------------------------------------------------------------------------------ profiles


@pytest.mark.parametrize(("kernel", "theta", "printed"), [(3, 1, 1.126), (3, 1.5, 1.162), (3, 2, 1.185), (5, 2, 1.279), (7, 2, 1.294)])
def test_gain_as_printed(kernel: int, theta: float, printed: float) -> None:
    assert _profiles.gain(kernel, theta) == pytest.approx(printed, abs=5e-4)


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_gain_at_its_ends(kernel: int) -> None:
    assert _profiles.gain(kernel, 0.0) == pytest.approx(1)
    assert _profiles.gain(kernel, math.inf) == pytest.approx(analytic.end_tap_gain(kernel))
    assert _profiles.gain(kernel, 60.0) == pytest.approx(analytic.end_tap_gain(kernel))


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_repaired_stack(kernel: int) -> None:
    profile = analytic.trapezoid(kernel)
    for _ in range(6):
        profile = np.convolve(profile, analytic.end_taps(kernel))
    x = np.arange(len(profile)) - (len(profile) - 1) / 2
    assert _profiles.repaired_gain(kernel, 7) == pytest.approx(math.sqrt(profile @ x**2) / analytic.growth(kernel, 7))


@pytest.mark.parametrize(("kernel", "theta"), [(3, 2.0), (5, 3.0), (7, 3.0)])
def test_ripple_in_theory_and_as_measured(kernel: int, theta: float) -> None:
    profile, taps = np.ones(1), analytic.wide_tap_variance(kernel, theta)
    for _ in range(6):
        profile = np.convolve(profile, taps)
    masses = [profile[r :: kernel - 1].sum() for r in range(kernel - 1)]
    expected = (max(masses) - min(masses)) / (max(masses) + min(masses))
    assert _profiles.ripple_of(kernel, theta, 6) == pytest.approx(expected, rel=1e-9)
    erf = ef.ERF.from_gradients(profile, axes="W", reduction="abs")
    assert _profiles.ripple(erf, kernel - 1) == pytest.approx(expected, rel=1e-9)


def test_alternation_is_the_ripple_with_its_sign() -> None:
    erf = ef.ERF.from_gradients(np.array([1.0, 2.0, 9.0, 2.0, 1.0]), axes="W", reduction="abs")
    assert initialisation._alternation(erf) == pytest.approx((11 - 4) / 15)
    shifted = ef.ERF.from_gradients(np.array([2.0, 9.0, 2.0]), axes="W", reduction="abs")
    assert initialisation._alternation(shifted) == pytest.approx((9 - 4) / 13)


def test_variance_of_taps() -> None:
    corners = Conv(3, tap_variance=[[1, 0, 1], [0, 0, 0], [1, 0, 1]])
    assert _profiles.tap_variances([Conv(3), Conv(3, dilation=2), corners]) == pytest.approx(np.array([[2 / 3] * 2, [8 / 3] * 2, [1] * 2]))


def test_nine_taps_each_others_in_every_layer() -> None:
    for name, layers in initialisation.nine_taps(0).items():
        taps = [np.ones(9) if layer.tap_variance is None else np.array(layer.tap_variance) for layer in layers]
        assert all(np.count_nonzero(some) == 9 for some in taps), name
        if name.startswith("random"):
            assert len({some.tobytes() for some in taps}) == len(taps)
    assert initialisation.nine_taps(0) == initialisation.nine_taps(0) != initialisation.nine_taps(1)


def test_places_drawn_without_replacement_have_the_variance_claimed() -> None:
    # all ways to take 3 of 2 x 3 places: 2/3 N/(N - 1) of the window's variance, as 8/9 N/(N - 1) for nine
    where = np.array(list(itertools.product(range(2), range(3))))
    some = [where[list(chosen)].var(axis=0) for chosen in itertools.combinations(range(6), 3)]
    assert np.mean(some, axis=0) == pytest.approx(where.var(axis=0) * 2 / 3 * 6 / 5)


def test_pixels_reached_are_counted_one_by_one() -> None:
    diagonal = ef.variance(ef.Stack([Conv(3, tap_variance=np.eye(3))]) * 2, window="full")
    assert _profiles.reached(diagonal) == 5 / 25
