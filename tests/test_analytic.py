"""Closed forms: against the known table, exact fractions and plain convolution; checks that hold, and that can fail."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from closed_forms import chain
from erffast import analytic
from erffast.analytic import Cumulants, cumulants
from erffast.layers import Activation, AvgPool, Conv, MaxPool, Stack

# n, field, std, centre coefficient, its share, Gaussian peak, Edgeworth peak of n uniform 3-tap layers
TABLE = [
    (5, 11, 1.8257, 51, 0.2098765, 0.2185097, 0.2103156),
    (10, 21, 2.5820, 8953, 0.1516198, 0.1545097, 0.1516126),
    (20, 41, 3.6515, 377379369, 0.1082313, 0.1092548, 0.1082306),
    (40, 81, 5.1640, 934837217271732457, 0.0768928, 0.0772548, 0.0768927),
]


def convolved(kernel: list[int], n: int) -> list[int]:
    """The n-fold product of a polynomial by Python integers, term by term."""
    total = [1]
    for _ in range(n):
        grown = [0] * (len(total) + len(kernel) - 1)
        for i, a in enumerate(total):
            for j, b in enumerate(kernel):
                grown[i + j] += a * b
        total = grown
    return total


def spread(taps: list[float], spacing: int) -> np.ndarray:
    wide = np.zeros((len(taps) - 1) * spacing + 1)
    wide[::spacing] = np.array(taps) / sum(taps)
    return wide


# ---------------------------------------------------------------- sequences


@pytest.mark.parametrize(("n", "field", "std", "centre", "share", "normal", "corrected"), TABLE, ids=[f"{row[0]} layers" for row in TABLE])
def test_uniform_stacks_have_the_known_sizes(
    n: int, field: int, std: float, centre: int, share: float, normal: float, corrected: float
) -> None:
    moments = analytic.uniform_cumulants(3).repeated(n)
    assert analytic.field_size(3, n) == field
    assert analytic.growth(3, n) == pytest.approx(std, abs=5e-5)
    assert moments.std == pytest.approx(analytic.growth(3, n), rel=1e-15)
    assert analytic.coefficients(3, n)[n] == centre
    assert analytic.pmf(3, n)[n] == pytest.approx(share, abs=5e-8)
    assert analytic.gaussian(0, std=moments.std) == pytest.approx(normal, abs=5e-8)
    assert analytic.edgeworth(0, std=moments.std, excess_kurtosis=moments.excess_kurtosis) == pytest.approx(corrected, abs=5e-8)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 16])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 7, 8])
def test_coefficients_equal_the_product_term_by_term(kernel: int, n: int) -> None:
    assert analytic.coefficients(kernel, n) == convolved([1] * kernel, n)


def test_two_tap_coefficients_are_binomial() -> None:
    assert analytic.coefficients(2, 1000) == [math.comb(1000, t) for t in range(1001)]


@pytest.mark.parametrize("kernel", [3, 4, 7])
def test_a_thousand_layers_have_the_exact_total_and_moments(kernel: int) -> None:
    found = analytic.coefficients(kernel, 1000)
    total = kernel**1000
    assert len(found) == 1000 * (kernel - 1) + 1
    assert sum(found) == total
    assert found == found[::-1]
    mean = Fraction(sum(t * a for t, a in enumerate(found)), total)
    assert mean == Fraction(1000 * (kernel - 1), 2)
    assert Fraction(sum(t * t * a for t, a in enumerate(found)), total) - mean**2 == Fraction(1000 * (kernel**2 - 1), 12)


def test_shares_are_correctly_rounded() -> None:
    assert analytic.pmf(5, 30).tolist() == [float(Fraction(a, 5**30)) for a in convolved([1] * 5, 30)]


def test_the_binomial_asymptotic_closes_in_as_one_over_n() -> None:
    errors = [abs(float(analytic.binomial_asymptotic(n, n // 2)) / (math.comb(n, n // 2) / 2**n) - 1) for n in (100, 1000)]
    assert errors[0] == pytest.approx(1 / 400, rel=0.01)  # Stirling: 1 / (4 n) at the centre
    assert errors[1] == pytest.approx(1 / 4000, rel=0.01)
    assert analytic.binomial_asymptotic(100, [40, 60]).tolist() == pytest.approx([math.comb(100, 40) / 2**100] * 2, rel=0.01)


@pytest.mark.parametrize(("kernel", "n"), [(2, 9), (3, 20), (4, 7), (7, 5)])
def test_the_spectrum_is_that_of_the_shares(kernel: int, n: int) -> None:
    shares = analytic.pmf(kernel, n)
    centred = np.arange(shares.size) - (shares.size - 1) / 2
    frequency = np.array([-3.0, 0.0, 0.4, 2.2, 2 * math.pi])
    wanted = np.exp(-1j * frequency[:, None] * centred) @ shares
    assert analytic.transfer(kernel, n, frequency) == pytest.approx(wanted.real, abs=1e-14)
    assert np.abs(wanted.imag).max() < 1e-14


def test_edgeworth_comes_nearer_than_the_gaussian_in_the_tails_of_a_skewed_chain() -> None:
    taps = [1.0, 2.0, 6.0]
    n, moments = 60, analytic.tap_cumulants([1.0, 2.0, 6.0]).repeated(60)
    exact = np.ones(1)
    for _ in range(n):
        exact = np.convolve(exact, np.array(taps) / 9)
    x = np.arange(exact.size)
    corrected = analytic.edgeworth(
        x, mean=moments.mean, std=moments.std, skewness=moments.skewness, excess_kurtosis=moments.excess_kurtosis
    )
    plain = analytic.gaussian(x, mean=moments.mean, std=moments.std)
    assert np.abs(corrected - exact).max() < np.abs(plain - exact).max() / 20


def test_a_lattice_of_wider_span_gets_larger_shares() -> None:
    # 60 layers of two taps two pixels apart
    shares = np.array([math.comb(60, t) for t in range(61)]) / 2**60
    assert analytic.gaussian(2 * np.arange(61), mean=60, std=math.sqrt(60), span=2) == pytest.approx(shares, abs=5e-4)


# ---------------------------------------------------------------- moments


@pytest.mark.parametrize("kernel", [1, 2, 3, 8])
def test_uniform_cumulants_equal_exact_sums(kernel: int) -> None:
    mean = Fraction(kernel - 1, 2)
    second, fourth = (sum((Fraction(a) - mean) ** p for a in range(kernel)) / kernel for p in (2, 4))
    found = analytic.uniform_cumulants(kernel)
    assert found == Cumulants(float(mean), float(second), 0.0, float(fourth - 3 * second**2))
    summed = analytic.tap_cumulants([2.0] * kernel)
    assert (summed.mean, summed.variance, summed.fourth) == pytest.approx((found.mean, found.variance, found.fourth), abs=1e-12)


def moments_of(shares: np.ndarray, first: float) -> tuple[float, ...]:
    x = first + np.arange(shares.size)
    mean = shares @ x
    second, third, fourth = (shares @ (x - mean) ** p for p in (2, 3, 4))
    return mean, second, third, fourth - 3 * second**2


@pytest.mark.parametrize(
    ("net", "shares", "first"),
    [
        pytest.param(chain(Conv(3)) * 4, spread([1, 4, 10, 16, 19, 16, 10, 4, 1], 1), 0, id="uniform"),
        pytest.param(
            chain(Conv(3, stride=2), Conv(5, dilation=3)), np.convolve(spread([1] * 3, 1), spread([1] * 5, 6)), 0, id="stride and dilation"
        ),
        pytest.param(
            chain(Conv(3, padding=1), Conv(4, stride=3, padding=((2, 1),)), Conv(2)),
            np.convolve(np.convolve(spread([1] * 3, 1), spread([1] * 4, 1)), spread([1] * 2, 3)),
            -3,
            id="paddings",
        ),
        pytest.param(
            chain(Conv(3, tap_variance=[1, 2, 5]), MaxPool(2)), np.convolve(spread([1, 2, 5], 1), spread([1] * 2, 1)), 0, id="skewed taps"
        ),
        pytest.param(
            chain(AvgPool(2), Conv(2), AvgPool(2)), np.convolve(spread([1] * 2, 2), spread([1] * 4, 1)), 0, id="tiling average pools"
        ),
        # two overlapping boxes add in amplitude: (1, 2, 1)^2
        pytest.param(chain(AvgPool(2, stride=1), AvgPool(2, stride=1)), spread([1, 4, 1], 1), 0, id="overlapping average pools"),
    ],
)
def test_cumulants_and_profile_equal_plain_convolution(net: Stack, shares: np.ndarray, first: int) -> None:
    assert analytic.profile(net) == pytest.approx(shares, rel=1e-13)
    found = cumulants(net, axis=0)
    assert isinstance(found, Cumulants)
    assert (found.mean, found.variance, found.third, found.fourth) == pytest.approx(moments_of(shares, first), rel=1e-12, abs=1e-11)


def test_cumulants_know_axes_and_units() -> None:
    net = Stack([Conv((3, 5), stride=(1, 2), padding=(1, 0)), Activation("relu")]) * 2
    rows, columns = cumulants(net, unit=(7, -1))  # type: ignore[misc]
    assert (rows.mean, rows.variance) == (7.0, pytest.approx(2 * 2 / 3))
    assert (columns.mean, columns.variance) == (-4 + 2 + 4, pytest.approx(2 * (1 + 4)))
    assert cumulants(net, axis=-1, unit=(7, -1)) == columns


def test_tap_variances_in_two_dimensions_are_summed_over_the_other_axis() -> None:
    net = Stack([Conv(2, tap_variance=[[1.0, 2.0], [0.0, 5.0]])])
    assert analytic.profile(net, axis=0).tolist() == [0.375, 0.625]
    assert analytic.profile(net, axis=1).tolist() == [0.125, 0.875]


def test_deep_stacks_need_no_walk_through_their_layers() -> None:
    net = (Stack([Conv(3, padding=1), Activation("relu")]) * 10 + Conv(5)) * 1_000_000
    assert cumulants(net, axis=0).variance == pytest.approx(1e6 * (10 * 2 / 3 + 2), rel=1e-14)  # type: ignore[union-attr]


def test_a_jump_beyond_62_bits_is_refused() -> None:
    with pytest.raises(OverflowError, match=r"exceeds 2\*\*62"):
        cumulants(Stack([Conv(3, stride=2), Activation("relu")]) * 100)


def test_plain_numbers_give_the_std_of_layers() -> None:
    assert analytic.std_of_layers([3, 7, 3], strides=[1, 2, 1], dilations=[1, 1, 4]) == pytest.approx(math.sqrt(2 / 3 + 4 + 64 * 2 / 3))
    assert analytic.std_of_layers([3] * 20) == pytest.approx(analytic.growth(3, 20), rel=1e-15)


def test_the_dilation_example_is_wide_and_flat() -> None:
    net = chain(Conv(3)) * 12 + chain(Conv(3, dilation=2), Conv(3, dilation=4), Conv(3, dilation=8))
    found, shares = cumulants(net, axis=0), analytic.profile(net)
    assert isinstance(found, Cumulants)
    assert shares.size == 53
    assert found.std == 8.0
    assert found.excess_kurtosis == pytest.approx(-0.71, abs=5e-3)
    normal = analytic.gaussian(np.arange(53), mean=26, std=8.0)
    assert np.abs(shares - normal).max() / normal.max() == pytest.approx(0.18, abs=5e-3)
    assert cumulants(chain(Conv(3)) * 15, axis=0).std == pytest.approx(3.162, abs=5e-4)  # type: ignore[union-attr]


def test_the_ratio_to_the_field_falls_as_one_over_root_n() -> None:
    assert analytic.ratio(3, 5) == pytest.approx(1.8257 / 11, abs=1e-5)
    for kernel in (2, 3, 7):
        assert analytic.ratio(kernel, 10**8) == pytest.approx(math.sqrt((kernel + 1) / (12 * (kernel - 1) * 10**8)), rel=1e-7)


@pytest.mark.parametrize(
    ("blocks", "alpha", "convs", "variance"),
    [(16, 1.0, 1, 5.3333), (16, 1.0, 2, 10.6667), (17, 0.5, 2, 7.5556)],
    ids=["one convolution", "two convolutions", "half a gain"],
)
def test_residual_chains_have_the_known_variance(blocks: int, alpha: float, convs: int, variance: float) -> None:
    assert analytic.residual_variance(blocks, branch_variance=convs * 2 / 3, branch_gain=alpha) == pytest.approx(variance, abs=5e-5)


def test_residual_variance_equals_the_mixture_it_stands_for() -> None:
    # blocks of identity (gain 2) and a branch (gain .5): two taps of 3, its centre one pixel off, on every third pixel
    branch = np.convolve(spread([1, 1, 1], 3), spread([1, 1, 1], 3))
    block = np.zeros(branch.size + 3)
    block[3:] = 0.5 * branch / 2.5
    block[branch.size // 2] += 2 / 2.5
    shares = np.ones(1)
    for _ in range(6):
        shares = np.convolve(shares, block)
    wanted = analytic.residual_variance(6, branch_variance=4 / 3, branch_gain=0.5, identity_gain=2.0, jump=3, distance=1.0)
    assert moments_of(shares, 0)[1] == pytest.approx(wanted, rel=1e-12)


def test_the_level_contour_of_a_gaussian() -> None:
    assert analytic.gaussian_level_size(1.0) == pytest.approx(4.406, abs=5e-4)
    assert analytic.gaussian_level_size(1.0, ndim=1) / 2 == pytest.approx(2.486, abs=5e-4)
    x = np.arange(-400, 401) / 50.0
    square = x[:, None] ** 2 + x**2
    assert math.sqrt((np.exp(-square / 2) > 0.1).sum()) / 50 == pytest.approx(analytic.gaussian_level_size(1.0, level=0.1), rel=1e-3)


# ---------------------------------------------------------------- wider profiles, combs


@pytest.mark.parametrize(("kernel", "theta", "gain"), [(3, 1, 1.126), (3, 1.5, 1.162), (3, 2, 1.185), (5, 2, 1.279), (7, 2, 1.294)])
def test_wide_profiles_gain_the_known_std(kernel: int, theta: float, gain: float) -> None:
    found = analytic.tap_cumulants(analytic.wide_tap_variance(kernel, theta))
    assert found.std / analytic.uniform_cumulants(kernel).std == pytest.approx(gain, abs=5e-4)


def test_wide_profiles_have_their_limits_and_are_separable() -> None:
    assert analytic.wide_tap_variance(5, 0.0) == pytest.approx([0.2] * 5)
    assert analytic.wide_tap_variance(5, -math.inf).tolist() == [0, 0, 1, 0, 0]
    assert analytic.wide_tap_variance(4, -math.inf).tolist() == [0, 0.5, 0.5, 0]
    assert analytic.wide_tap_variance(5, math.inf).tolist() == analytic.end_taps(5).tolist() == [0.5, 0, 0, 0, 0.5]
    assert analytic.wide_tap_variance(5, 1e5) == pytest.approx(analytic.end_taps(5))
    pair = analytic.wide_tap_variance((3, 7), 1.0)
    assert pair == pytest.approx(np.outer(analytic.wide_tap_variance(3, 1.0), analytic.wide_tap_variance(7, 1.0)))
    assert analytic.wide_tap_variance(3, 1.0, ndim=3).shape == (3, 3, 3)
    Conv(3, tap_variance=analytic.wide_tap_variance(3, 1.0, ndim=2))  # is taken as it comes


@pytest.mark.parametrize(("kernel", "gain"), [(3, 1.225), (5, 1.414), (7, 1.5)])
def test_end_taps_have_the_largest_std(kernel: int, gain: float) -> None:
    assert analytic.end_tap_gain(kernel) == pytest.approx(gain, abs=5e-4)
    found = analytic.tap_cumulants(analytic.end_taps(kernel))
    assert found.std / analytic.uniform_cumulants(kernel).std == pytest.approx(analytic.end_tap_gain(kernel), rel=1e-12)


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_one_trapezoid_layer_fills_the_gaps_of_end_taps(kernel: int) -> None:
    ends = Conv(kernel, tap_variance=analytic.end_taps(kernel))
    repair = Conv(kernel, tap_variance=analytic.trapezoid(kernel))
    gapped, filled = analytic.profile(chain(ends) * 20), analytic.profile(chain(ends) * 19 + chain(repair))
    assert (gapped > 0).mean() < 1 / (kernel - 1) + 0.05
    assert (filled > 0).all()
    assert (np.diff(filled[: filled.size // 2 + 1]) >= -1e-17).all()  # no ripple: it rises all the way to the centre
    if kernel == 3:
        moments = cumulants(chain(ends) * 19 + chain(repair), axis=0)
        assert isinstance(moments, Cumulants)
        assert moments.std / analytic.growth(3, 20) == pytest.approx(1.209, abs=5e-4)


STEM = chain(Conv(7, stride=2), Conv(3, stride=2))


@pytest.mark.parametrize(
    ("net", "level", "tolerance"),
    [
        pytest.param(chain(Conv(3, stride=2)) * 3 + chain(Conv(3)) * 12, 0.205, 5e-4, id="three strides first"),
        pytest.param((chain(Conv(3)) * 4 + Conv(3, stride=2)) * 3, 0.998, 1e-3, id="four layers before each stride"),
        pytest.param(STEM + chain(Conv(3)) * 20, 0.836, 1e-3, id="stem"),
        pytest.param(chain(MaxPool(2)) * 3 + chain(Conv(3)) * 12, 1.0, 1e-12, id="tiling pools"),
        pytest.param(chain(Conv(3)) * 7, 1.0, 0.0, id="no stride"),
    ],
)
def test_combs_have_the_known_depth(net: Stack, level: float, tolerance: float) -> None:
    assert analytic.comb(net) == pytest.approx(level, abs=tolerance)


def test_the_stem_alone_leaves_five_sixths() -> None:
    # by hand: 21 paths to 11 pixels; those at the centre's residue modulo 4 number 5, the most frequent residue 6
    assert analytic.comb(STEM + chain(Conv(3)) * 3000) == pytest.approx(5 / 6, abs=1e-4)


def test_profiles_too_long_for_plain_convolution_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 200000 pixels along axis -1, got 200003"):
        analytic.profile(chain(Conv(3)) * 100_001)


# ---------------------------------------------------------------- distances


@pytest.mark.parametrize("n", [5, 10, 20, 40])
@pytest.mark.parametrize("kernel", [3, 5])
def test_uniform_stacks_keep_to_half_a_lattice_step(kernel: int, n: int) -> None:
    shares, std = analytic.pmf(kernel, n), analytic.growth(kernel, n)
    everywhere, midpoints = analytic.gaussian_distances(shares, first=-n * (kernel - 1) / 2, mean=0.0, std=std)
    assert everywhere == pytest.approx(analytic.lattice_step(shares), rel=1e-12 if kernel == 3 else 0.04)
    assert everywhere >= analytic.lattice_step(shares) * (1 - 1e-12)
    assert everywhere < analytic.berry_esseen([1] * kernel, n)
    moments = analytic.uniform_cumulants(kernel).repeated(n)
    assert midpoints == pytest.approx(analytic.edgeworth_distance(moments), rel=0.05)  # terms in 1 / n^2, and t between points
    if kernel == 3:
        assert n * midpoints == pytest.approx(0.0212, abs=3e-4)


def test_distances_equal_a_fine_search() -> None:
    shares = np.array([0.1, 0.0, 0.5, 0.0, 0.15, 0.0, 0.25])
    x = np.arange(-8_000, 16_000) / 1000 + 0.0005  # never on a pixel
    below = np.array([shares[np.arange(7) <= v].sum() for v in x])
    normal = np.array([0.5 * math.erfc(-(v - 3.0) / 2.0 / math.sqrt(2)) for v in x])
    everywhere, midpoints = analytic.gaussian_distances(shares, first=0, mean=3.0, std=2.0, span=2)
    assert everywhere == pytest.approx(np.abs(below - normal).max(), abs=2e-4)
    wanted = max(abs(shares[: p + 1].sum() - 0.5 * math.erfc(-(p + 1 - 3) / 2 / math.sqrt(2))) for p in (0, 2, 4, 6))
    assert midpoints == pytest.approx(wanted, rel=1e-13)


def test_the_bound_for_unequal_steps_is_looser_on_equal_ones() -> None:
    variances, thirds = [2 / 3] * 9, [2 / 3] * 9
    equal, unequal = analytic.berry_esseen([1, 1, 1], 9), analytic.berry_esseen_sum(variances, thirds)
    assert analytic.third_absolute_moment([1, 1, 1]) == pytest.approx(2 / 3)
    assert unequal / equal == pytest.approx(0.56 / 0.4748)


@pytest.mark.parametrize("seed", range(3))
def test_skewed_unequal_chains_keep_to_the_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = [(rng.random(rng.integers(2, 6)), int(rng.integers(1, 4))) for _ in range(12)]
    shares = np.ones(1)
    for taps, spacing in steps:
        shares = np.convolve(shares, spread(taps.tolist(), spacing))
    mean, variance, third, fourth = moments_of(shares, 0)
    bound = analytic.berry_esseen_sum(
        [analytic.tap_cumulants(t).scaled(s).variance for t, s in steps], [s**3 * analytic.third_absolute_moment(t) for t, s in steps]
    )
    everywhere, midpoints = analytic.gaussian_distances(shares, first=0, mean=mean, std=math.sqrt(variance))
    assert midpoints < everywhere < bound
    assert midpoints == pytest.approx(analytic.edgeworth_distance(Cumulants(mean, variance, third, fourth)), rel=0.3, abs=1e-3)
