"""Checks of closed forms: that they hold, and that they can fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import erffast as ef
from closed_forms import chain
from erffast import analytic
from erffast.analytic import cumulants
from erffast.layers import Activation, AvgPool, Conv, Dropout, MaxPool, Norm, Stack

# ---------------------------------------------------------------- checks that hold


NAMES = {
    "mass": "mass in the image and through the border",
    "mean": "mean",
    "std": "std",
    "symmetry": "asymmetry / peak",
    "distance": "distance to the Gaussian",
    "mid-points": "the same at mid-points",
}


SHAPE = {"mass", "mean", "std", "symmetry", "distance", "mid-points"}


def kinds(found: list[analytic.Check]) -> set[str]:
    known = {text: kind for kind, text in NAMES.items()}
    return {known.get(c.name.split(", axis")[0], "growth" if c.name.startswith("std at") else "slope") for c in found}


@pytest.mark.parametrize(
    ("net", "wanted"),
    [
        pytest.param(Stack([Conv(3)]) * 20, SHAPE | {"growth", "slope"}, id="uniform stack"),
        pytest.param(
            Stack([Conv(3), Norm("batch"), Activation("relu"), Dropout(0.5)]) * 12,
            SHAPE | {"growth", "slope"},
            id="with layers of no extent",
        ),
        pytest.param(Stack([Conv(4, dilation=2)], ndim=1) * 9, SHAPE | {"growth", "slope"}, id="even dilated kernels"),
        pytest.param(Stack([Conv((3, 5))]) * 8, SHAPE | {"growth", "slope"}, id="axes that differ"),
        pytest.param(Stack([Conv(3)], ndim=3) * 8, SHAPE | {"growth", "slope"}, id="three axes"),
        pytest.param(
            Stack([Conv(3, tap_variance=[[1, 2, 0], [3, 4, 1], [0, 0, 7.0]])]) * 8,
            SHAPE - {"symmetry"} | {"growth", "slope"},
            id="skewed taps",
        ),
        pytest.param(Stack([Conv(5, tap_variance=[1, 0, 0, 0, 1])], ndim=1) * 10, SHAPE | {"growth", "slope"}, id="end taps"),
        pytest.param(Stack([Conv(3, stride=2)]) * 3 + Stack([Conv(3)]) * 6, SHAPE, id="strides"),
        pytest.param(Stack([Conv(3, stride=2)]) * 4, SHAPE, id="repeated strides"),
        pytest.param(Stack([Conv(3), AvgPool(3, stride=2), Conv(3), AvgPool(3, stride=2), Conv(3)]), SHAPE, id="average pools"),
        pytest.param(Stack([Conv(7, stride=2), Activation("relu"), MaxPool(3, stride=2), Conv(3)]), SHAPE, id="max-pool"),
        pytest.param(Stack([Conv(3, variance_gain=0.3)]) * 3, SHAPE, id="too shallow for growth"),
        pytest.param(Stack([Conv(1)]) * 5, {"mass", "mean", "std", "symmetry"}, id="no extent at all"),
        pytest.param(Stack([Conv((1, 3))]) * 8, SHAPE | {"growth", "slope"}, id="extent along one axis"),
    ],
)
def test_checks_of_a_network_hold(net: Stack, wanted: set[str]) -> None:
    found = analytic.check(net)
    assert [c for c in found if not c.holds] == []
    assert kinds(found) == wanted
    assert all(c.source for c in found)


def test_checks_of_a_deep_network_hold_outside_the_range_of_floats() -> None:
    found = analytic.check(Stack([Conv(3), Activation("relu")]) * 20_000)
    assert [c for c in found if not c.holds] == []


def test_growth_is_measured_at_a_quarter_half_and_all() -> None:
    found = {c.name: c for c in analytic.check(Stack([Conv(3), Conv(3)]) * 10) if c.name.startswith("std at")}
    assert list(found) == ["std at n = 5 layers", "std at n = 10 layers", "std at n = 20 layers"]
    assert [c.expected for c in found.values()] == pytest.approx([analytic.growth(3, n) for n in (5, 10, 20)])


def test_a_single_layer_is_a_network() -> None:
    assert all(c.holds for c in analytic.check(Conv(3)))


@pytest.mark.parametrize(
    "options", [{"window": (31, 31)}, {"unit": (3, -4)}, {"dtype": "float32"}, {"window": "full"}], ids=lambda o: next(iter(o))
)
def test_a_result_is_checked_against_its_network(options: dict[str, Any]) -> None:
    net = Stack([Conv(3)]) * 20
    found = analytic.check(ef.variance(net, **options), net=net)
    assert kinds(found) == SHAPE | {"growth", "slope"}
    assert [c for c in found if not c.holds] == []


def test_axes_that_expect_the_same_share_a_row() -> None:
    names = [c.name for c in analytic.check(Stack([Conv((3, 5))]) * 2)]
    assert names.count("std, axis 0") == names.count("std, axis 1") == 1
    assert names.count("asymmetry / peak") == 1


def test_a_map_whose_border_takes_energy_leaves_only_the_mass() -> None:
    net = Stack([Conv(3, padding=1)]) * 12
    erf = ef.variance(net, input_size=15)
    assert erf.border > 0.01
    (mass,) = analytic.check(erf, net=net)
    assert mass.name == NAMES["mass"]
    assert mass.holds
    assert len(analytic.check(erf)) == 1


def test_pools_that_overhang_the_map_leave_the_mass_out() -> None:
    net = Stack([Conv(3, padding=1), MaxPool(3, stride=2, padding=1)])
    assert "mass" not in kinds(analytic.check(ef.variance(net, input_size=12, unit=0), net=net))


def test_a_result_alone_is_checked_for_mass_symmetry_and_shape() -> None:
    found = analytic.check(ef.variance(Stack([Conv(3)]) * 20))
    assert [c.name for c in found] == ["mass: image, border and window", "asymmetry / peak", "distance to the Gaussian"]
    assert all(c.holds for c in found)


def test_a_signed_result_alone_is_checked_for_mass_only() -> None:
    erf = ef.gradient(Stack([Conv(3)]) * 3, np.random.default_rng(1).normal(size=(3, 3, 3)))
    (mass,) = analytic.check(erf)
    assert mass.holds


# ---------------------------------------------------------------- checks that fail


def fake(shares: Any, *, first: int = 0, centre: float | None = None, **changed: Any) -> Any:
    """A result of one axis with these shares, for a field as wide; everything else can be changed."""
    shares = np.asarray(shares, dtype=np.float64)
    total, x = shares.sum(), first + np.arange(shares.size)
    mean = float(shares @ x / total)
    size = (shares.size,)
    field = SimpleNamespace(size=size, jump=(1,), centre=(first + (shares.size - 1) / 2 if centre is None else centre,))
    values = {
        "origin": (first,),
        "unit": (0,),
        "receptive_field": field,
        "field_box": ((first,), (first + shares.size - 1,)),
        "reduction": "square",
        "method": "exact",
        **dict.fromkeys(["border", "lost", "error"], 0.0),
        "input_size": None,
        "dead": 0,
        "separable": True,
        "dtype": np.dtype("float64"),
        "marginal": lambda axis=-1: shares / total,
        "mean": lambda: (mean,),
        "std": lambda: (math.sqrt(shares @ (x - mean) ** 2 / total),),
        "_peak": lambda: (float(shares.max()), 0),
    }
    return SimpleNamespace(**{**values, **changed})


NET = chain(Conv(3)) * 6


RIGHT = analytic.pmf(3, 6)


def failing(erf: Any, net: Stack | None = NET) -> set[str]:
    return {c.name for c in analytic.check(erf, net=net) if not c.holds}


def test_the_right_image_passes_as_a_fake_too() -> None:
    assert failing(fake(RIGHT)) == set()
    assert failing(fake(RIGHT), None) == set()


@pytest.mark.parametrize(
    ("erf", "name"),
    [
        pytest.param(fake(RIGHT * (1 + 1e-6)), NAMES["mass"], id="gain"),
        pytest.param(
            fake(RIGHT, border=1e-9, input_size=(40,), lost=0.0, _peak=lambda: (float(RIGHT.max()) * 1.01, 0)),
            NAMES["mass"],
            id="border",
        ),
        pytest.param(fake(RIGHT, first=1), NAMES["mean"], id="shifted by a pixel"),
        pytest.param(fake(analytic.pmf(5, 3)), NAMES["std"], id="other kernel"),
        pytest.param(fake(np.convolve(analytic.pmf(3, 5), [0.3, 0.4, 0.3 + 1e-6])), NAMES["symmetry"], id="skewed"),
        pytest.param(fake([1.0] + [0.0] * 11 + [1.0]), NAMES["distance"], id="two ends"),
        pytest.param(fake([1.0] + [0.0] * 11 + [1.0]), NAMES["mid-points"], id="two ends at mid-points"),
    ],
)
def test_a_wrong_image_fails_its_check(erf: Any, name: str) -> None:
    assert name in failing(erf)


@pytest.mark.parametrize(
    ("erf", "name"),
    [
        pytest.param(fake(RIGHT, border=-0.1), "mass: image, border and window", id="negative account"),
        pytest.param(fake(RIGHT, border=0.7, lost=0.6), "mass: image, border and window", id="accounts above one"),
        pytest.param(
            fake(RIGHT, marginal=lambda axis=-1: RIGHT * 0, std=lambda: (math.nan,)), "mass: image, border and window", id="nothing at all"
        ),
        pytest.param(fake(RIGHT, centre=5.0), "asymmetry / peak", id="beside its centre"),
        # half of the mass at one point, half spread out: twice what the cumulants explain
        pytest.param(
            fake([1.0] * 150 + [0.0] * 400 + [30.0] * 5 + [0.0] * 400 + [1.0] * 150), "distance to the Gaussian", id="far from normal"
        ),
    ],
)
def test_a_wrong_image_alone_fails_its_check(erf: Any, name: str) -> None:
    assert name in failing(erf, None)


def test_growth_that_is_not_the_roots_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from erffast import propagation

    monkeypatch.setattr(propagation, "variance", lambda net: fake(analytic.pmf(3, 8 if len(net) == 8 else 1)))
    names = {c.name for c in analytic.check(chain(Conv(3)) * 8) if not c.holds}
    assert names == {"std at n = 2 layers", "std at n = 4 layers", "slope of log(std / field), tends to -1/2"}


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: analytic.coefficients(0, 3), ValueError, "kernel must be at least 1, got 0"),
        (lambda: analytic.coefficients(3, -1), ValueError, "n must be at least 0, got -1"),
        (lambda: analytic.gaussian(0, std=0.0), ValueError, "std must be positive, got 0.0"),
        (lambda: analytic.tap_cumulants([0.0, 0.0]), ValueError, "weights must be one axis of non-negative numbers, not all zero"),
        (lambda: analytic.berry_esseen([1.0], 3), ValueError, "weights must reach more than one tap"),
        (lambda: analytic.berry_esseen_sum([0.0], [0.0]), ValueError, "variances must not all be zero"),
        (lambda: analytic.berry_esseen_sum([1.0], []), ValueError, "equally long, got 1 and 0"),
        (lambda: analytic.std_of_layers([3, 3], strides=[1]), ValueError, "equally long, got 2, 1 and 2"),
        (
            lambda: analytic.residual_variance(3, branch_variance=1.0, branch_gain=-1.0),
            ValueError,
            "branch_gain and identity_gain must not be negative",
        ),
        (lambda: analytic.gaussian_level_size(1.0, level=1.0), ValueError, "level must lie between 0 and 1, got 1.0"),
        (lambda: analytic.wide_tap_variance(3, math.nan), ValueError, "theta must be a number, got nan"),
        (lambda: analytic.end_taps(1), ValueError, "kernel must be at least 2, got 1"),
        (lambda: cumulants(NET, axis=1), ValueError, "axis must lie between -1 and 0, got 1"),
        (lambda: cumulants("conv3"), TypeError, "net must be a Layer or a Stack, got 'conv3'"),  # type: ignore[arg-type]
        (lambda: analytic.check("conv3"), TypeError, "check takes a Layer or an ERF, got 'conv3'"),  # type: ignore[arg-type]
        (lambda: analytic.check(NET, net=NET), TypeError, "the first argument is a network already"),
        (lambda: analytic.check(fake(RIGHT, marginal=lambda axis=-1: RIGHT[None])), ValueError, "got one with a draws axis"),
        (lambda: analytic.check(fake(RIGHT, reduction="signed"), net=NET), ValueError, 'of reduction "square", got "signed"'),
    ],
)
def test_mistakes_are_named(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    "net", [ef.parse("(conv3, scale1e-150) * 1000000"), ef.Stack([Conv(3, variance_gain=1e-300)]) * 100_000], ids=["scales", "gains"]
)
def test_the_mass_is_compared_at_any_exponent(net: Stack) -> None:
    assert all(c.holds for c in analytic.check(net))


def test_a_variance_below_the_range_of_floats_leaves_no_bound() -> None:
    checks = analytic.check(ef.Stack([Conv(4, tap_variance=[1e-300, 0, 0, 1])], ndim=1))
    assert any(c.bound == math.inf for c in checks)


def test_exact_coefficients_ask_for_memory_first() -> None:
    with pytest.raises(MemoryError, match=r"the exact list of 2000001 integers .* variance\(\) gives the profile"):
        analytic.pmf(3, 1_000_000)


def test_nothing_is_checked_of_an_image_that_is_zero_everywhere() -> None:
    net = ef.parse("conv4/2, conv1:p2+1", ndim=1)
    erf = ef.variance(net, input_size=22, unit=1)
    assert erf.dead == 1
    assert analytic.check(erf, net=net) == analytic.check(erf) == []
