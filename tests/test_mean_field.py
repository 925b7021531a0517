"""Mean field: moments against other ways to integrate and Monte Carlo, walks against a simulated wide network."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from erffast import mean_field
from erffast.layers import ACTIVATIONS, Activation, AvgPool, Conv, Dropout, MaxPool, Norm, Scale, Stack
from erffast.mean_field import activation_covariance, activation_moments, gains, max_gate_gain, max_moments
from erffast.mean_field.moments import data_spread, gate_spread

erf = np.vectorize(math.erf, otypes=[float])

# name -> phi and phi', written down a second time
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "identity": (lambda x: x, lambda x: np.ones_like(x)),
    "relu": (lambda x: x * (x > 0), lambda x: 1.0 * (x > 0)),
    "leaky_relu": (lambda x: x * np.where(x > 0, 1, 0.01), lambda x: np.where(x > 0, 1, 0.01)),
    "tanh": (np.tanh, lambda x: np.cosh(x) ** -2.0),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    "gelu": (lambda x: x * (1 + erf(x / 2**0.5)) / 2, lambda x: (1 + erf(x / 2**0.5)) / 2 + x * np.exp(-x * x / 2) / (2 * math.pi) ** 0.5),
    "silu": (lambda x: x / (1 + np.exp(-x)), lambda x: 1 / (1 + np.exp(-x)) + x * np.exp(-x) / (1 + np.exp(-x)) ** 2),
}
SMOOTH = ("tanh", "sigmoid", "gelu", "silu")


def trapezoid(f: Callable[[Any], Any], q: float) -> float:
    """E f(sqrt(q) z): the trapezoid rule, exact to rounding for smooth f. Half a step off 0, so that a kink counts half on each side."""
    z = (np.arange(-4000, 4000) + 0.5) / 400
    return float(np.sum(f(math.sqrt(q) * z) * np.exp(-z * z / 2)) / math.sqrt(2 * math.pi) / 400)


def relu(depth: int = 1) -> Stack:
    return Stack([Conv(3), Activation("relu")]) * depth


# ---------------------------------------------------------------- one activation


@pytest.mark.parametrize(
    ("name", "second", "gain"),
    [
        ("relu", 0.5, 0.5),
        ("tanh", 0.3943, 0.4644),
        ("sigmoid", 0.2934, 0.04484),
        ("gelu", 0.4252, 0.4559),
        ("silu", 0.3558, 0.3795),
        ("identity", 1.0, 1.0),
    ],
)
def test_moments_have_the_known_values_at_unit_input(name: str, second: float, gain: float) -> None:
    assert activation_moments(name, 1.0) == (pytest.approx(second, abs=5e-5), pytest.approx(gain, abs=5e-5))


def test_leaky_relu_takes_a_slope() -> None:
    assert activation_moments("leaky_relu", 1.0, slope=0.2) == (pytest.approx(0.52), pytest.approx(0.52))


@pytest.mark.parametrize("q", [1e-6, 0.1, 1.0, 3.0, 40.0])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_moments_equal_the_trapezoid_rule(name: str, q: float) -> None:
    function, derivative = FUNCTIONS[name]
    moments = max_moments(name, 1, q)
    # a kink costs the trapezoid rule step^2; smooth integrands are exact to rounding
    tolerance = 1e-5 if name in ("relu", "leaky_relu") else 1e-11
    wanted = [trapezoid(f, q) for f in (function, lambda x: function(x) ** 2, derivative, lambda x: derivative(x) ** 2)]
    assert list(moments) == pytest.approx(wanted, rel=tolerance, abs=1e-15)


@pytest.mark.parametrize("name", SMOOTH)
def test_moments_reach_their_limits_at_huge_and_tiny_inputs(name: str) -> None:
    large = activation_moments(name, 1e60)
    if name in ("tanh", "sigmoid"):
        bend = {"tanh": 4 / 3, "sigmoid": 1 / 6}[name]  # the integral of phi'^2: the normal density is flat there
        wanted = (1.0 if name == "tanh" else 0.5, bend / math.sqrt(2 * math.pi * 1e60))
    else:
        wanted = (0.5e60, 0.5)
    assert large == pytest.approx(wanted, rel=1e-10)
    slope = float(FUNCTIONS[name][1](np.zeros(1))[0])
    assert activation_moments(name, 1e-60)[1] == pytest.approx(slope**2, rel=1e-12)
    assert activation_moments(name, 0.0)[1] == slope**2


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.9, 0.9999])
@pytest.mark.parametrize("q", [0.2, 1.0, 9.0])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_covariance_equals_a_grid_in_two_dimensions(name: str, q: float, rho: float) -> None:
    z = (np.arange(-250, 250) + 0.5) / 28
    weight = np.exp(-z * z / 2) / math.sqrt(2 * math.pi) / 28
    u = math.sqrt(q) * z
    function = FUNCTIONS[name][0]
    partner = function(rho * u[:, None] + math.sqrt(q * (1 - rho**2)) * z)
    wanted = weight @ (function(u)[:, None] * partner) @ weight
    tolerance = 5e-4 if name in ("relu", "leaky_relu") else 1e-7  # the grid's step squared at a kink
    assert activation_covariance(name, q, rho) == pytest.approx(wanted, rel=tolerance)


@pytest.mark.parametrize("share", [1e-12, 1e-6, 1e-3])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nearly_equal_inputs_differ_by_the_gain(name: str, share: float) -> None:
    # E (phi(u) - phi(u'))^2 / 2 = v E phi'^2 to first order; a kink adds sqrt(share)
    tolerance = 3 * math.sqrt(share) if name in ("relu", "leaky_relu") else max(3 * share, 1e-7)
    assert data_spread(name, 1.0, share) == pytest.approx(share * activation_moments(name, 1.0)[1], rel=tolerance)


def test_relu_spread_does_not_jump_between_series_and_closed_form() -> None:
    around = 1 - math.cos(1e-3)
    below, above = data_spread("relu", 1.0, around * (1 - 1e-9)), data_spread("relu", 1.0, around * (1 + 1e-9))
    assert above / below - 1 == pytest.approx(2e-9, abs=2e-10)


# ---------------------------------------------------------------- max-pools


@pytest.mark.parametrize("taps", [1, 2, 4, 9, 27])
def test_relu_at_a_max_pool_is_open_unless_all_inputs_are_negative(taps: int) -> None:
    assert max_gate_gain("relu", taps) == 1 - 2.0**-taps
    assert max_gate_gain("identity", taps) == 1.0
    assert max_gate_gain("leaky_relu", taps, slope=0.5) == 1 - 2.0**-taps + 0.25 * 2.0**-taps


def test_relu_with_a_2x2_pool_has_the_known_gain_per_tap() -> None:
    assert max_gate_gain("relu", 4) / 4 == pytest.approx(0.2344, abs=5e-5)


@pytest.mark.parametrize("taps", [4, 27])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_moments_of_the_largest_equal_a_simulation(name: str, taps: int) -> None:
    function, derivative = FUNCTIONS[name]
    largest = np.random.default_rng(5).normal(scale=1.5, size=(60_000, taps)).max(axis=1)
    y, dy = function(largest), derivative(largest)
    samples = np.stack([y, y * y, dy, dy * dy])
    error = samples.std(axis=1) / math.sqrt(samples.shape[1])
    unseen = 5 / samples.shape[1]  # an event this rare may not have come up at all
    assert np.all(np.abs(samples.mean(axis=1) - np.array(max_moments(name, taps, 2.25))) < 4.5 * error + unseen)


@pytest.mark.parametrize("name", ["identity", "relu", "tanh", "gelu"])
def test_spread_of_the_largest_is_right_within_one_percent(name: str) -> None:
    rng, taps, q = np.random.default_rng(6), 4, 1.3
    for share in (0.1, 0.4, 0.7, 1.0):
        common = rng.normal(scale=math.sqrt(1 - share), size=(200_000, taps))
        u, w = (
            FUNCTIONS[name][0](math.sqrt(q) * (common + rng.normal(scale=math.sqrt(share), size=common.shape)).max(axis=1)) for _ in "uw"
        )
        samples = (u - w) ** 2 / 2
        error = samples.std() / math.sqrt(samples.size)
        # between its ends it is an interpolation: its own error is the 1 %
        assert abs(gate_spread(name, taps, q, share) - samples.mean()) < 4.5 * error + 0.01 * samples.mean()


# ---------------------------------------------------------------- batch norm


@pytest.mark.parametrize(("name", "gain"), [("relu", 1.4669), ("tanh", 1.178), ("gelu", 1.319), ("silu", 1.212), ("identity", 1.0)])
def test_batch_norm_nets_have_the_known_gain_per_layer(name: str, gain: float) -> None:
    assert mean_field.batch_norm_gain(name) == pytest.approx(gain, abs=5e-4)
    block = Stack([Conv(3), Norm("batch"), Activation(name)])
    ratio = gains(block * 21).total / gains(block * 20).total
    assert float(ratio) == pytest.approx(mean_field.batch_norm_gain(name), rel=1e-12)


def test_relu_keeps_the_known_share_of_variance_over_the_data() -> None:
    shares = [mean_field.data_variance_share("relu", layers) for layers in (1, 2, 3)]
    assert shares == pytest.approx([1 - 1 / math.pi, 0.506, 0.395], abs=5e-4)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_norm_after_relu_layers_divides_by_what_is_left_of_the_variance(layers: int) -> None:
    walk = gains(relu(layers) + Conv(3) + Norm("batch"))
    shrunk = 2.0**-layers * mean_field.data_variance_share("relu", layers)
    assert float(walk.runs[-1][0][0]) == pytest.approx(1 / shrunk, rel=1e-12)


# ---------------------------------------------------------------- the walk


def flat(stack: Stack, runs: Any) -> list[Decimal]:
    """Gains layer by layer; also checks that the runs are shaped as the parts are."""
    found: list[Decimal] = []
    assert len(runs) == len(stack.parts)
    for (part, count), part_runs in zip(stack.parts, runs, strict=True):
        assert sum(times for _, times in part_runs) == count
        for item, times in part_runs:
            found += (flat(part, item) if isinstance(part, Stack) else [item]) * times
    return found


def unrolled(stack: Stack, times: int) -> Stack:
    """The repeated stack without any run: every layer is walked by itself."""
    layers = [(layer, Scale(1.0, name=str(i))) for i, layer in enumerate(itertools.chain(*[list(stack)] * times))]
    return Stack(list(itertools.chain(*layers)))


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(Stack([Conv(3, variance_gain=3.0), Activation("relu"), Scale(-0.5), Dropout(0.25)]), id="scale free"),
        pytest.param(Stack([Conv(3), Activation("tanh")]), id="tanh, slow drift"),
        pytest.param(Stack([Conv(3, variance_gain=1.05), Activation("tanh")]), id="tanh, fixed point"),
        pytest.param(Stack([Conv(3), Activation("gelu"), Dropout(0.1), Conv(1), Norm("batch")]), id="gelu and batch norm"),
        pytest.param(Stack([Activation("relu"), Conv(3), Activation("silu"), Norm("layer")]), id="layer norm after silu"),
        pytest.param(Stack([Conv(3), Activation("sigmoid")]) * 3 + AvgPool(2) + Norm("instance"), id="nested, sigmoid"),
    ],
)
def test_repeats_equal_the_walk_of_every_layer(block: Stack) -> None:
    times = 40
    found = flat(block * times, gains(block * times).runs)
    plain = unrolled(block, times)
    wanted = flat(plain, gains(plain).runs)[::2]
    # rounding only: the numbers of a pass agree to 1e-14 before it is taken as repeated
    assert [float(g) for g in found] == pytest.approx([float(g) for g in wanted], rel=1e-11)


def test_leaps_over_a_slow_drift_keep_the_total() -> None:
    block = Stack([Conv(3), Activation("tanh")])
    q, total = 1.0, 0.0
    for _ in range(20_000):
        q, gain = activation_moments("tanh", q)
        total += math.log(gain)
    walk = gains(block * 20_000)
    assert sum(times for _, times in walk.runs[0]) == 20_000
    assert len(walk.runs[0]) < 2000
    assert float(walk.total.ln()) == pytest.approx(total, abs=1e-5)  # leaps agree to 1e-7 each


def test_leaps_over_relu_layers_keep_the_variance_over_the_data() -> None:
    walk = gains(relu(5000) + Conv(3) + Norm("batch"))
    share = mean_field.data_variance_share("relu", 5000)
    assert float(walk.total) == pytest.approx(1 / share, rel=1e-6)


def test_a_million_relu_layers_leave_the_asymptotic_share() -> None:
    # 1 - rho loses (2 sqrt 2 / 3 pi) (1 - rho)^(3/2) per layer, so that it tends to 9 pi^2 / (2 n^2)
    walk = gains(relu(1_000_000) + Conv(3) + Norm("batch"))
    assert float(walk.total) == pytest.approx(2e12 / (9 * math.pi**2), rel=1e-4)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param([Conv(3), Activation("relu")], id="relu"),
        pytest.param([Conv(3), Activation("tanh")], id="tanh"),
        pytest.param([Conv(3), Activation("sigmoid")], id="sigmoid"),
        pytest.param([Conv(3), Activation("gelu"), Norm("layer")], id="layer norm"),
        pytest.param([Conv(3, variance_gain=1.1), Activation("tanh")], id="fixed point"),
        pytest.param([Conv(3, variance_gain=5.0), Activation("silu")], id="growing"),
    ],
)
def test_a_million_layers_are_quick_and_finite(block: list[Any]) -> None:
    stack = Stack(block) * 1_000_000
    start = time.perf_counter()
    walk = gains(stack)
    assert time.perf_counter() - start < 2  # 0.1 s on an idle machine; walking them one by one takes half a minute
    assert walk.total > 0
    assert walk.total.is_finite()
    assert all(sum(times for _, times in runs) == 1_000_000 for runs in walk.runs)


def test_a_drift_through_many_scales_is_not_mistaken_for_a_constant_one() -> None:
    # q starts at 1e-90, where tanh is linear and every pass looks alike, and then grows to a fixed point
    stack = Stack([Scale(1e-45)]) + Stack([Conv(3, variance_gain=1.5), Activation("tanh")]) * 2000
    last = flat(stack, gains(stack).runs)[-1]
    q = 1.0
    for _ in range(300):
        q, _ = activation_moments("tanh", 1.5 * q)
    assert float(last) == pytest.approx(activation_moments("tanh", 1.5 * q)[1], rel=1e-10)


def test_sigmoid_nets_reach_their_fixed_point() -> None:
    assert float(flat(s := Stack([Conv(3), Activation("sigmoid")]) * 100, gains(s).runs)[-1]) == pytest.approx(0.0557, abs=5e-5)


def test_the_total_is_exact_far_outside_the_range_of_floats() -> None:
    assert gains(relu(100_000)).total.scaleb(30_103) == pytest.approx(Decimal(2) ** -100_000 * Decimal(10) ** 30_103, rel=Decimal("1e-28"))


def test_a_second_moment_outside_the_range_of_floats_is_carried() -> None:
    shrunk = Stack([Conv(3, variance_gain=1e-300)]) * 3
    walk = gains(shrunk + Activation("sigmoid") + Conv(3) + Norm("batch"))
    # linear there: v' = v / 16, so norm and sigmoid undo what came before
    assert float(walk.total) == pytest.approx(1.0, rel=1e-12)
    grown = gains(Stack([Conv(3, variance_gain=1e300)]) * 3 + Activation("tanh"))
    assert float(grown.runs[-1][0][0].log10()) == pytest.approx(math.log10(4 / 3 / math.sqrt(2 * math.pi)) - 450, abs=1e-9)


@pytest.mark.parametrize(
    ("layer", "gain"),
    [
        pytest.param(Conv(3, variance_gain=2.5), 2.5, id="convolution"),
        pytest.param(Dropout(0.2), 1.25, id="dropout"),
        pytest.param(Dropout(0.0), 1.0, id="no dropout"),
        pytest.param(Scale(-3.0), 9.0, id="negative scale"),
        pytest.param(AvgPool(3), 1.0, id="average pool"),
        pytest.param(MaxPool(3), 1.0, id="max-pool alone"),
        pytest.param(Activation("identity"), 1.0, id="identity"),
        pytest.param(Activation("leaky_relu"), 0.50005, id="leaky relu"),
        pytest.param(Norm("group"), 1.0, id="norm of unit variance"),
    ],
)
def test_single_layers_have_their_gain(layer: Any, gain: float) -> None:
    assert float(gains(Stack([layer])).total) == pytest.approx(gain, rel=1e-15)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("name", ["relu", "tanh", "gelu"])
def test_activation_and_max_pool_are_one_gate_in_either_order(name: str, ndim: Any) -> None:
    pair = [Activation(name), MaxPool(2)]
    one, other = (gains(Stack([Conv(3), *layers, Conv(3)], ndim=ndim)).total for layers in (pair, pair[::-1]))
    assert float(one) == pytest.approx(max_gate_gain(name, 2**ndim), rel=1e-14)
    assert float(other) == pytest.approx(float(one), rel=1e-14)


def test_activation_and_max_pool_meet_across_repeats() -> None:
    block = Stack([MaxPool(2), Conv(3), Activation("relu")])
    assert float(gains(block * 3).total) == pytest.approx(max_gate_gain("relu", 4) ** 2 * 0.5, rel=1e-14)
    assert float(gains(relu(3) + MaxPool(2)).total) == pytest.approx(0.25 * max_gate_gain("relu", 4), rel=1e-14)


def test_two_pools_in_a_row_are_one_larger_one() -> None:
    assert float(gains(Stack([Conv(3), Activation("relu"), MaxPool(2), MaxPool(2)])).total) == pytest.approx(1 - 2.0**-16, rel=1e-14)


@pytest.mark.parametrize(
    "stack",
    [
        pytest.param(relu(5), id="relu"),
        pytest.param(Stack([Conv(3), Activation("leaky_relu"), Dropout(0.5), Scale(2.0)]) * 3, id="leaky relu, dropout"),
        pytest.param(relu(2) + AvgPool(2), id="average pool"),
        pytest.param(Stack([Conv(3)]), id="linear"),
    ],
)
def test_exact_chains_assume_nothing(stack: Stack) -> None:
    assert gains(stack).assumptions == ()


@pytest.mark.parametrize(
    ("layers", "word"),
    [
        pytest.param([Conv(3), Activation("tanh")], "tanh: wide-layer", id="tanh"),
        pytest.param([Conv(3), Norm("batch")], "batch and instance norms", id="batch norm"),
        pytest.param([Conv(3), Norm("layer")], "layer and group norms", id="layer norm"),
        pytest.param([Conv(3), MaxPool(2)], "max-pools", id="max-pool"),
        pytest.param([Activation("relu")], "without a convolution just below", id="relu on the input"),
        pytest.param([Conv(3), Activation("gelu"), MaxPool(2)], "not monotone", id="gelu below a max-pool"),
        pytest.param([Conv(3), AvgPool(2), Norm("batch")], "average pools", id="average pool before a norm"),
        pytest.param([Conv(3), Norm("batch")], "equal fan in and out", id="fans"),
    ],
)
def test_what_is_assumed_is_said_once(layers: list[Any], word: str) -> None:
    assumptions = gains(Stack(layers) * 3).assumptions
    assert sum(word in text for text in assumptions) == 1
    assert len(set(assumptions)) == len(assumptions)


# ---------------------------------------------------------------- a simulated wide network


def simulated(layers: list[str], width: int, rng: np.random.Generator) -> float:
    """Mean square gradient at the input of a fully connected net (kernel 1), per unit of it at the output."""
    x = rng.normal(size=(width, 300))
    steps: list[Callable[[Any], Any]] = []
    for layer in layers:
        if layer == "conv":
            w = rng.normal(size=(width, width)) / math.sqrt(width)
            x = w @ x
            steps.append(lambda g, w=w: w.T @ g)
        elif layer in ("batch", "layer"):
            axis = 1 if layer == "batch" else 0
            std = x.std(axis=axis, keepdims=True)
            x = (x - x.mean(axis=axis, keepdims=True)) / std
            steps.append(lambda g, std=std: g / std)
        elif layer.startswith("dropout"):
            mask = (rng.random(x.shape) >= 0.3) / 0.7
            x = x * mask
            steps.append(lambda g, mask=mask: g * mask)
        elif layer == "avgpool":  # of two positions: the batch stands for positions
            x = (x + np.roll(x, 1, axis=1)) / 2
            steps.append(lambda g: g)
        else:
            steps.append(lambda g, x=x, d=FUNCTIONS[layer][1]: g * d(x))
            x = FUNCTIONS[layer][0](x)
    g = rng.normal(size=x.shape)
    for step in reversed(steps):
        g = step(g)
    return float((g * g).mean())


LAYERS = {"conv": Conv(1), "batch": Norm("batch"), "layer": Norm("layer"), "dropout": Dropout(0.3), "avgpool": AvgPool(2)}


@pytest.mark.parametrize(
    "net",
    [
        "conv tanh conv tanh conv sigmoid conv",
        "conv relu conv relu conv batch relu conv batch",
        "conv gelu conv batch silu conv gelu conv batch",
        "conv silu layer conv relu layer conv",
        "conv relu dropout conv relu dropout conv batch",
        "conv relu avgpool conv batch tanh",
        "conv relu avgpool layer conv",
        "conv silu batch conv",
    ],
)
def test_gains_equal_those_of_a_simulated_wide_net(net: str) -> None:
    names, rng = net.split(), np.random.default_rng(11)
    width = 600
    draws = np.array([simulated(names, width, rng) for _ in range(10)])
    wanted = float(gains(Stack([LAYERS.get(name) or Activation(name) for name in names], ndim=1)).total)
    finite_width = 3 * len(names) / width  # norms divide by sample variances, whose inverse is biased by a few parts in `width`
    assert abs(draws.mean() / wanted - 1) < 4.5 * draws.std(ddof=1) / wanted / math.sqrt(draws.size) + finite_width


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: activation_moments("mish", 1.0), "name must be one of 'identity'"),
        (lambda: activation_moments("relu", -1.0), "q must not be negative, got -1.0"),
        (lambda: activation_covariance("relu", 1.0, 1.5), "rho must lie between 0 and 1, got 1.5"),
        (lambda: max_gate_gain("relu", 0), "taps must be at least 1, got 0"),
    ],
    ids=["unknown activation", "negative moment", "correlation above one", "no taps"],
)
def test_mistakes_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_only_stacks_are_walked() -> None:
    with pytest.raises(TypeError, match="stack must be a Stack"):
        gains(Conv(3))  # type: ignore[arg-type]
