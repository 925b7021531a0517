"""Mixtures over paths of residual blocks: the walk against closed forms, the recursion against sums over all subsets of branches."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from erffast import analytic
from erffast.mean_field import branch_mixture, post_activation_mixture, pre_activation_gains, reflected_walk

SIGMA = 4 / 3  # std^2 of a branch of two convolutions of 3 taps
KAPPA = 1 - 1 / math.pi


def variance(shares: np.ndarray) -> float:
    """std^2 of the mixture."""
    return float(shares @ np.arange(shares.size)) * SIGMA


def test_equal_gains_make_a_binomial_distribution() -> None:
    shares = branch_mixture([0.5] * 17)
    q = 1 / 3
    assert shares == pytest.approx([math.comb(17, k) * q**k * (1 - q) ** (17 - k) for k in range(18)], rel=1e-13)
    assert variance(shares) == pytest.approx(analytic.residual_variance(17, branch_variance=SIGMA, branch_gain=0.5), rel=1e-13)
    assert branch_mixture([]).tolist() == [1.0]


def test_reflected_walk_has_the_moments_of_spitzers_identity() -> None:
    for n, law in enumerate(reflected_walk(20), 1):
        pairs = sum(1 / math.sqrt(i * j) for i in range(1, n) for j in range(1, n - i + 1))
        assert law.atom == pytest.approx(math.comb(2 * n, n) / 4**n, rel=1e-12)
        assert float(law.mean(law.nodes)) == pytest.approx(sum(1 / math.sqrt(2 * math.pi * j) for j in range(1, n + 1)), rel=1e-12)
        assert float(law.mean(law.nodes**2)) == pytest.approx(n / 2 + pairs / (2 * math.pi), rel=1e-12)


def test_pre_activation_gains_fall_as_one_over_the_block() -> None:
    gains = pre_activation_gains(16)
    assert gains[0] == pytest.approx(1 / (2 * KAPPA), rel=1e-14)
    assert pre_activation_gains(10**4)[-1] * 10**4 == pytest.approx(1 / KAPPA**2, rel=1e-3)
    assert pre_activation_gains(3, variance=4.0, last=4.0) == pytest.approx(pre_activation_gains(3), rel=1e-14)  # a scale that cancels
    assert variance(branch_mixture(gains)) == pytest.approx(4.303, abs=5e-4)
    assert variance(branch_mixture(pre_activation_gains(256))) == pytest.approx(11.6, abs=0.05)


@pytest.mark.parametrize(("blocks", "known"), [(8, 5.233), (16, 7.605)])
def test_post_activation_mixture_has_the_known_sizes(blocks: int, known: float) -> None:
    """Two numbers that were found by another program, to four digits."""
    assert variance(post_activation_mixture(blocks)) == pytest.approx(known, abs=1e-3)


@pytest.mark.parametrize("below", [False, True], ids=["no gate below", "gate below"])
@pytest.mark.parametrize("above", [False, True], ids=["no gate above", "gate above"])
def test_post_activation_mixture_is_the_sum_over_subsets_of_branches(below: bool, above: bool) -> None:
    """Between two branches a path stays in its channel: the chance that all gates there are open together, by drawing walks."""
    blocks, draws = 4, 400_000
    rng = np.random.default_rng(5)
    sums = [rng.standard_normal(draws)]
    for _ in range(blocks):
        sums.append(np.maximum(sums[-1], 0) + rng.standard_normal(draws))
    gates = [u > 0 for u in sums]
    gates[0] = gates[0] if below else np.ones(draws, dtype=bool)
    gates[-1] = gates[-1] if above else np.ones(draws, dtype=bool)
    gain = [1 / (KAPPA * np.maximum(u, 0).var()) for u in sums[:-1]]
    wanted = np.zeros(blocks + 1)
    for taken in itertools.product((False, True), repeat=blocks):
        cuts = [0, *[block + 1 for block in range(blocks) if taken[block]], blocks + 1]
        together = [np.logical_and.reduce(gates[a:b]).mean() for a, b in itertools.pairwise(cuts)]
        wanted[sum(taken)] += math.prod(together) * math.prod(itertools.compress(gain, taken))
    wanted /= wanted.sum()
    # chances and variances are known to 1e-3 and better, of which each path multiplies up to nine
    assert post_activation_mixture(blocks, below=below, above=above) == pytest.approx(wanted, abs=4e-3)


def test_no_block_is_one_path() -> None:
    assert post_activation_mixture(0).tolist() == [1.0]


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="gains must not be negative"):
        branch_mixture([1.0, -0.5])
    with pytest.raises(ValueError, match="blocks"):
        post_activation_mixture(-1)
    with pytest.raises(ValueError, match="steps"):
        reflected_walk(0)
