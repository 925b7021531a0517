"""What engines are expected to cost: the shortcut for small chains never changes a choice."""

from __future__ import annotations

import numpy as np
import pytest

import erffast as ef
from erffast.lowering import lower_gradient
from erffast.spectral import cost
from strategies import batches, generator, random_stack


@pytest.mark.parametrize("numbers", batches(40, 400, 20))
def test_a_bound_that_looks_at_no_kernel_is_none_too_low(numbers: range) -> None:
    for number in numbers:
        rng = generator(number, "cost")
        net = random_stack(rng, 2, pools=())
        weights = [rng.random(np.broadcast_to(layer.kernel, 2)) for layer in net if isinstance(layer, ef.Conv)]
        chain = lower_gradient(net, weights)
        most = cost._most_seconds(chain)
        for width in (cost.WIDTH, cost.WHOLE):
            assert cost._layers_seconds(chain, width) <= most * (1 + 1e-12), str(net)


@pytest.mark.parametrize("n", [3, 30, 120])
def test_choices_are_those_of_the_whole_estimate(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    net, kernels = ef.parse(f"conv3 * {n}"), generator(n, "choices").random((n, 3, 3))
    positive, signed = lower_gradient(net, kernels), lower_gradient(net, kernels - 0.5)

    def choices() -> list[bool]:
        return [cost.band_pays(positive), cost.tilts_pay(positive), cost.layers_pay(signed, separable=False)]

    short = choices()
    monkeypatch.setattr(cost, "_most_seconds", lambda chain: 1e30)
    assert choices() == short
