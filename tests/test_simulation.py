"""`simulate` against torch's automatic differentiation, on the same networks with the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from erffast import geometry
from erffast.layers import Conv, Stack
from oracles import on_map

pytest.importorskip("torch")
from simulated_networks import Torch, random_network, residual_network


def compare(net: Stack, size: tuple[int, ...], unit: tuple[int, ...], seed: int, draws: int, **options: Any) -> tuple[float, int]:
    """The largest difference to torch, relative to the peak, and the number of draws that were not zero."""
    try:
        erf = ef.simulate(net, draws=draws, seed=seed, input_size=size, unit=unit, keep_draws=True, reduction="signed", **options)
    except ValueError as exc:
        if "sees padding only" not in str(exc):
            raise
        assert not any(Torch(net, size, unit, seed, draw).gradient(unit).any() for draw in range(draws))
        return 0.0, 0
    worst, alive = 0.0, 0
    for draw in range(draws):
        wanted = Torch(net, size, unit, seed, draw).gradient(unit).sum(axis=0)
        found, peak = on_map(erf, draw, size), np.abs(wanted).max()
        if peak == 0:
            assert not found.any()
            continue
        worst, alive = max(worst, np.abs(found - wanted).max() / peak), alive + 1
    assert erf.dead == draws - alive
    return worst, alive


@pytest.mark.parametrize("wide", [False, True], ids=["few channels", "many channels"])
@pytest.mark.parametrize("batch", range(6))
def test_random_networks_equal_automatic_differentiation(batch: int, wide: bool) -> None:
    """Convolutions with strides, dilations, uneven padding and groups, pools, dropout and all activations; 1-D and 2-D."""
    compared = 0
    for case in range(40 * batch, 40 * (batch + 1)):
        rng = np.random.default_rng(case)
        ndim = int(rng.integers(1, 3))
        net = random_network(rng, ndim, padded=bool(rng.integers(0, 2)), wide=wide)
        size = tuple(int(s) for s in rng.integers(20, 36, ndim))
        try:
            output = geometry.output_size(net, size)
        except ValueError:  # used up
            continue
        unit = tuple(int(rng.integers(0, n)) for n in output)
        worst, alive = compare(net, size, unit, case, 2)
        assert worst < 1e-10, (str(net), size, unit)
        compared += alive
    assert compared > 20


@pytest.mark.parametrize("wide", [False, True], ids=["few channels", "many channels"])
@pytest.mark.parametrize("case", range(12))
def test_skip_connections_equal_automatic_differentiation(case: int, wide: bool) -> None:
    rng = np.random.default_rng(case)
    net, size = residual_network(rng, wide=wide), tuple(int(s) for s in rng.integers(14, 22, 2))
    unit = tuple(int(rng.integers(0, n)) for n in geometry.output_size(net, size))
    worst, alive = compare(net, size, unit, case, 2)
    assert worst < 1e-10
    assert alive or not wide


@pytest.mark.parametrize("channels", [7, 8, 64])
def test_windows_far_in_the_padding(channels: int) -> None:
    """Whole windows see nothing but zeros, many pixels beyond the map."""
    convs = [
        Conv(3, padding=1, channels=channels),
        Conv(3, stride=5, padding=50, channels=channels),
        Conv(21, padding=10, channels=channels),
    ]
    relu = ef.Activation("relu")
    net = Stack([convs[0], relu, convs[1], relu, convs[2], relu, Conv(1, channels=channels)])
    worst, alive = compare(net, (9, 9), (10, 10), 3, 3, threads=1)
    assert worst < 1e-12
    assert alive
    far = Stack([Conv(3, padding=1, channels=channels), relu, Conv(3, dilation=300, padding=300, channels=channels), relu, Conv(1)])
    assert compare(far, (40, 40), (20, 20), 3, 1)[0] < 1e-12


def test_reductions_over_channels() -> None:
    net = ef.parse("conv3, tanh, conv3")
    images = np.random.default_rng(1).normal(size=(3, 9, 9))
    options: dict[str, Any] = {"draws": 4, "channels": 2, "inputs": images, "keep_draws": True}
    gradients = [torch_of_images(net, images, draw) for draw in range(4)]
    for reduction, reduce in {
        "signed": lambda g: g.sum(axis=0),
        "abs": lambda g: np.abs(g).sum(axis=0),
        "square": lambda g: np.square(g).sum(axis=0),
        "rms": lambda g: np.sqrt(np.square(g).sum(axis=0)),
        "positive": lambda g: np.maximum(g, 0).sum(axis=0),
    }.items():
        erf = ef.simulate(net, reduction=reduction, **options)  # type: ignore[arg-type]
        for draw, gradient in enumerate(gradients):
            assert on_map(erf, draw, (9, 9)) == pytest.approx(reduce(gradient), abs=1e-13 * np.abs(gradient).max())
    mean = ef.simulate(net, reduction="rms", draws=4, channels=2, inputs=images)
    wanted = np.sqrt(np.mean([np.square(g).sum(axis=0) for g in gradients], axis=0))
    assert np.asarray(mean) == pytest.approx(wanted[2:7, 2:7], rel=1e-12)


def torch_of_images(net: Stack, images: NDArray[np.float64], draw: int) -> NDArray[np.float64]:
    """Gradient of the middle unit, [channels, *map], for images [channels, *map] and hidden channels of two."""
    wide = Stack([Conv(c.kernel, channels=2) if isinstance(c, Conv) else c for c in net])
    return Torch(wide, images.shape[1:], (2, 2), 0, draw, inputs=images.copy()).gradient((2, 2))
