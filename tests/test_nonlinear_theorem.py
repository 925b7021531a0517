"""Chains of random convolutions and (leaky) ReLU have the variance image of the linear chain, for any width: by Monte Carlo.

Each pixel of the mean of g^2 over many draws of the weights is compared with `variance`, in units of its standard error. The
nets are as narrow as they come and the input is fixed: nothing of a wide limit is left to hide behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from erffast.layers import Activation, AvgPool, Conv, Dropout, Layer, Scale, Stack
from erffast.mean_field.moments import LEAKY_SLOPE
from strategies import FULL, Window, generator, windows

Array = NDArray[np.float64]
Law = Callable[[np.random.Generator, tuple[int, ...]], Array]

# Symmetric laws of unit variance.
LAWS: dict[str, Law] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "uniform": lambda rng, shape: rng.uniform(-math.sqrt(3), math.sqrt(3), shape),
    "two values": lambda rng, shape: rng.choice([-1.0, 1.0], shape),
}
DRAWS = 2_000_000 if FULL else 200_000
BATCH = 20_000


class Net:
    """A 1-D network run for a batch of weights at once, every operation written from its definition."""

    def __init__(self, net: Stack, channels: list[int], law: Law, slope: float) -> None:
        self.net, self.channels, self.law, self.slope = net, channels, law, slope

    def squares(self, rng: np.random.Generator, x: Array, unit: int, draws: int) -> Array:
        """(1 / channels) sum over channels of g^2 for each draw: [draws, pixels]. The output has one channel."""
        back: list[Any] = []
        h = np.broadcast_to(x, (draws, *x.shape))  # [draws, channels, pixels]
        widths = iter(self.channels[1:])
        for layer in self.net:
            if isinstance(layer, Conv):
                out = next(widths)
                (window,) = windows(layer, 1) or []
                taps = np.ones(window.kernel) if layer.tap_variance is None else np.array(layer.tap_variance)
                deviation = np.sqrt(taps / taps.sum() / out)  # C_out Var w[a] = v[a]
                w = self.law(rng, (draws, out, h.shape[1], window.kernel)) * deviation
                back.append((w, window, h.shape[2]))
                h = self.convolved(h, w, window)
            elif isinstance(layer, Activation):
                slope = 0.0 if layer.name == "relu" else self.slope
                gate = np.where(h > 0, 1.0, slope)
                back.append(gate)
                h = h * gate
            elif isinstance(layer, Dropout):
                mask = (rng.random(h.shape) >= layer.rate) / (1 - layer.rate)
                back.append(mask)
                h = h * mask
            elif isinstance(layer, Scale):
                back.append(layer.value)
                h = h * layer.value
        g = np.zeros_like(h)
        g[:, :, unit] = 1
        for step in reversed(back):
            g = self.pulled_back(g, *step) if isinstance(step, tuple) else g * step
        return np.asarray((g**2).mean(axis=1))

    @staticmethod
    def convolved(h: Array, w: Array, window: Window) -> Array:
        out = np.zeros((len(h), w.shape[1], window.output(h.shape[2])))
        for i in range(out.shape[2]):
            for a, t in enumerate(window.taps(i)):
                if 0 <= t < h.shape[2]:
                    out[:, :, i] += np.einsum("doc,dc->do", w[..., a], h[:, :, t])
        return out

    @staticmethod
    def pulled_back(g: Array, w: Array, window: Window, n: int) -> Array:
        out = np.zeros((len(g), w.shape[2], n))
        for i in range(g.shape[2]):
            for a, t in enumerate(window.taps(i)):
                if 0 <= t < n:
                    out[:, :, t] += np.einsum("doc,do->dc", w[..., a], g[:, :, i])
        return out


def check(net: Stack, channels: list[int], law: str, *, pixels: int = 7, unit: int, salt: str) -> None:
    """Every pixel within 4.5 standard errors; the errors themselves small enough to tell a gain of 1/2 from one of .47."""
    rng = generator(0, salt)
    x = rng.standard_normal((channels[0], pixels))
    model = Net(net, channels, LAWS[law], LEAKY_SLOPE)
    total, square = np.zeros(pixels), np.zeros(pixels)
    for _ in range(DRAWS // BATCH):
        g2 = model.squares(rng, x, unit, BATCH)
        total += g2.sum(axis=0)
        square += (g2**2).sum(axis=0)
    mean = total / DRAWS
    error = np.sqrt((square / DRAWS - mean**2) / DRAWS)
    erf = ef.variance(net, input_size=pixels, unit=unit, window="full")
    expected = np.ldexp(erf.on_map(), erf.exponent)
    assert erf.method == "exact"
    seen = expected > 0
    assert seen.any()
    np.testing.assert_array_equal(mean[~seen], 0)
    z = (mean[seen] - expected[seen]) / error[seen]
    assert np.abs(z).max() < 4.5, f"z = {np.round(z, 2)}; mean {mean}, expected {expected}"
    precision = error[seen] / expected[seen]
    assert np.median(precision) < 0.02, f"relative standard errors {np.round(precision, 4)}"


def relu_net(name: str, *, last: bool = True) -> Stack:
    layers: list[Layer] = [Conv(3, padding=1), Activation(name), Conv(3, padding=1), Activation(name), Conv(3, padding=1)]
    return Stack([*layers, *([Activation(name)] if last else [])], ndim=1)


@pytest.mark.parametrize("law", list(LAWS))
@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_narrow_nets_have_the_variance_of_the_linear_chain(name: str, law: str) -> None:
    """Two channels, padded borders, the unit beside the border and taken after its own activation."""
    check(relu_net(name), [2, 2, 2, 1], law, unit=2, salt=f"{name} {law}")


def test_a_single_channel_is_enough() -> None:
    """Most draws are dead and a few make up the mean; the theorem does not mind."""
    check(
        Stack([Conv(2), Activation("relu"), Conv(3), Activation("relu"), Conv(2)], ndim=1),
        [1, 1, 1, 1],
        "normal",
        unit=1,
        salt="one channel",
    )


def test_strides_dilations_and_unequal_taps() -> None:
    layers = [
        Conv(3, padding=1, tap_variance=[1.0, 4.0, 2.0]),
        Activation("relu"),
        Conv(2, dilation=2, padding=((1, 0),)),
        Activation("relu"),
        Conv(3, stride=2, padding=1, tap_variance=[3.0, 1.0, 0.0]),
    ]
    check(Stack(layers, ndim=1), [2, 3, 2, 1], "uniform", unit=1, salt="strides")


def test_dropout_and_constants_between() -> None:
    layers = [Conv(3, padding=1), Dropout(0.25), Activation("relu"), Scale(-1.5), Conv(3, padding=1), Activation("leaky_relu"), Conv(1)]
    check(Stack(layers, ndim=1), [2, 2, 2, 1], "normal", unit=3, salt="dropout")


def test_leaky_gain_is_the_formula() -> None:
    linear = ef.variance(Stack([Conv(3)] * 4, ndim=1), window="full")
    leaky = ef.variance(Stack([Conv(3), Activation("leaky_relu")] * 4, ndim=1), window="full")
    np.testing.assert_allclose(np.asarray(leaky), np.asarray(linear) * ((1 + LEAKY_SLOPE**2) / 2) ** 4, rtol=1e-14)


def test_the_test_would_notice_a_wrong_image() -> None:
    """The same net against the variance of taps drawn with other variances: many standard errors away."""
    rng = generator(0, "noticed")
    x = rng.standard_normal((2, 7))
    g2 = Net(relu_net("relu"), [2, 2, 2, 1], LAWS["normal"], LEAKY_SLOPE).squares(rng, x, 2, BATCH)
    mean, error = g2.mean(axis=0), g2.std(axis=0) / math.sqrt(BATCH)
    layers = [Conv(3, padding=1, tap_variance=[2.0, 1.0, 2.0]), Activation("relu")] * 3
    erf = ef.variance(Stack(layers, ndim=1), input_size=7, unit=2, window="full")
    wrong = np.ldexp(erf.on_map(), erf.exponent)
    assert (np.abs(mean - wrong)[:4] / error[:4]).max() > 5


# ------------------------------------------------------------------------------------------------ where it ends


def test_a_pool_above_an_activation_is_exact_only_for_wide_layers() -> None:
    """One channel, taps of 2, ReLU, a pool of 2, on the input (1, 0, 1): both gates are signs of single weights.

    The middle pixel gets g = w (u1 [u0 > 0] + u0 [u1 > 0]) / 2, so E g^2 = (1/2 + 1/2 + 2 (E u [u > 0])^2) / 4 with
    E u [u > 0] = 1 / sqrt(2 pi) and Var u = 1: 1/4 + 1 / (4 pi). The variance image has 1/4, and says what it assumes.
    """
    rng = generator(0, "pool above")
    u0, u1, w = rng.standard_normal((3, 400_000))
    g2 = (w * (u1 * (u0 > 0) + u0 * (u1 > 0)) / 2) ** 2
    assert abs(g2.mean() - (0.25 + 0.25 / math.pi)) < 4 * g2.std() / math.sqrt(len(g2))
    net = Stack([Conv(2, variance_gain=2.0), Activation("relu"), AvgPool(2), Conv(1)], ndim=1)
    erf = ef.variance(net, input_size=3, unit=0, window="full")
    assert np.asarray(erf)[1] == pytest.approx(0.25)
    assert erf.method == "mean-field"
    assert any("average pools above an activation" in a for a in erf.assumptions)


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("avgpool2, conv3, relu, conv3", True),
        ("conv3, avgpool2, relu, conv3", True),
        ("conv1, relu, avgpool2, conv3", True),
        ("conv3, dropout0.5, avgpool2, conv3", True),
        ("conv3, relu, avgpool2, conv3", False),
        ("conv3, relu, conv3, avgpool2, conv3", False),
        ("(conv3, relu, avgpool2, conv1) * 2", False),
        ("conv3, tanh", False),
        ("conv3, relu, maxpool2", False),
    ],
)
def test_what_is_called_exact(text: str, exact: bool) -> None:
    assert (ef.variance(ef.parse(text, ndim=1)).method == "exact") == exact
