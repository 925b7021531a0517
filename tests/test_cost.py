"""The choice by cost: engines cross once, where the table says, and "auto" takes what is expected to be faster."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import erffast as ef
from erffast import spreads
from erffast.benchmark.choices import FAMILIES, crossing
from erffast.lowering import lower_gradient
from erffast.spectral import cost
from strategies import batches, generator, random_stack

TABLE = json.loads(cost.COSTS.read_text(encoding="utf-8"))


def test_the_table_says_when_and_where_it_was_measured() -> None:
    assert set(TABLE) == {"seconds", "measured", "machine", "crossings"}
    assert set(TABLE["crossings"]) == set(FAMILIES)
    assert all(value >= 0 for engine in TABLE["seconds"].values() for value in engine.values())


@pytest.mark.parametrize("name", FAMILIES)
def test_engines_cross_where_the_table_says(name: str) -> None:
    """A change of the model, or of the constants by hand, shows here: benchmarks/costs.py writes both."""
    assert crossing(FAMILIES[name]) == TABLE["crossings"][name]


@pytest.mark.parametrize("name", FAMILIES)
def test_engines_cross_once(name: str) -> None:
    family, n = FAMILIES[name], TABLE["crossings"][name]
    depths = np.unique(np.geomspace(1, min(6 * n, 40_000), 25).astype(int))
    away = [int(depth) for depth in depths if not 0.8 * n < depth < 1.25 * n]  # periods grow in steps
    assert [family.layered(depth) for depth in away] == [depth < n for depth in away]


FORCED = [name for name, family in FAMILIES.items() if TABLE["crossings"][name] < 3000]


@pytest.mark.parametrize("name", FORCED)
@pytest.mark.parametrize("share", [0.4, 1.6], ids=["shallow", "deep"])
def test_auto_takes_what_is_expected_to_be_faster(name: str, share: float) -> None:
    family = FAMILIES[name]
    n = max(1, round(share * TABLE["crossings"][name]))
    options: dict[str, Any] = {"tol": 0.1, "window": 5} if family.signed else family.options
    erf = ef.gradient(family.net(n), family.weights(n), **options)
    separable = family.shallow == "separable"
    assert erf.separable == separable
    assert erf.engine == ("spectral" if share > 1 else family.shallow)


def test_dearer_work_moves_the_crossing(monkeypatch: pytest.MonkeyPatch) -> None:
    family = FAMILIES["signed 3x3"]
    depths = []
    for factor in (0.25, 1.0, 4.0):
        table = json.loads(json.dumps(TABLE))
        table["seconds"]["layers"]["multiply-add"] *= factor
        monkeypatch.setattr(cost, "_table", lambda table=table: table)
        depths.append(crossing(family))
    assert depths[0] > depths[1] == TABLE["crossings"]["signed 3x3"] > depths[2]


@pytest.mark.parametrize("numbers", batches(40, 400, 20))
def test_a_bound_that_looks_at_no_kernel_is_none_too_low(numbers: range) -> None:
    for number in numbers:
        rng = generator(number, "cost")
        net = random_stack(rng, 2, pools=())
        weights = [rng.random(np.broadcast_to(layer.kernel, 2)) for layer in net if isinstance(layer, ef.Conv)]
        chain = lower_gradient(net, weights)
        for width in (cost.WIDTH, cost.WHOLE):
            assert cost.seconds("layers", cost.layers_work(chain, width, 3)) <= cost._most_seconds(chain, 3) * (1 + 1e-12), str(net)


@pytest.mark.parametrize("n", [3, 30, 120])
def test_choices_are_those_of_the_whole_estimate(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    net, kernels = ef.parse(f"conv3 * {n}"), generator(n, "choices").random((n, 3, 3))
    positive, signed = lower_gradient(net, kernels), lower_gradient(net, kernels - 0.5)

    def choices() -> list[bool]:
        return [cost.band_pays(positive), cost.tilts_pay(positive), cost.layers_pay(signed, separable=False)]

    short = choices()
    monkeypatch.setattr(cost, "_most_seconds", lambda chain, draws: 1e30)
    assert choices() == short


def test_work_is_counted() -> None:
    chain = FAMILIES["signed 3x3"].chain(3)  # images of 3, 5 and 7 pixels a side
    assert cost.layers_work(chain, cost.WHOLE, 1) == {"start": 1, "layer": 3, "multiply-add": 9 * (9 + 25 + 49)}
    assert cost.lines_work(chain) == {"start": 2, "layer": 6, "multiply-add": 2 * 3 * (3 + 5 + 7)}
    assert cost.product_work(chain)["frequency and layer"] == 3 * cost.product_work(chain)["frequency"]
    several = FAMILIES["signed 3x3, 10 draws"].chain(3)
    assert cost.layers_work(several, cost.WHOLE, 10) == {"start": 1, "layer": 30, "multiply-add": 90 * (9 + 25 + 49)}
    assert cost.product_work(several)["draw"] == 10
    assert cost.band_work(chain)["tap"] == 27
    assert cost.tiles_work(chain) == {"start": 1, "tile": cost.TILES, "tile and tap": 27 * cost.TILES}


@pytest.mark.parametrize("scale", [1.0, 1e308, 1e-300], ids=["usual", "huge", "tiny"])
@pytest.mark.parametrize("shape", [(5,), (7, 4), (2, 3, 5)], ids=str)
def test_spreads_are_the_variances_of_the_positions(shape: tuple[int, ...], scale: float) -> None:
    rng = generator(len(shape), "spreads")
    kernels = rng.uniform(-1, 1, (6, *shape)) * scale
    chain = lower_gradient(ef.Stack([ef.Conv(shape, dilation=3)] * 6, ndim=len(shape)), kernels)  # type: ignore[arg-type]
    (found,) = spreads.of_steps(chain)
    for kernel, spread in zip(kernels[::-1], found.T, strict=True):
        shares = np.abs(kernel / scale) / np.abs(kernel / scale).sum()
        for axis, at in enumerate(3 * np.indices(shape)):
            variance = (shares * (at - (shares * at).sum()) ** 2).sum()
            assert spread[axis] == pytest.approx(variance, rel=1e-12)
