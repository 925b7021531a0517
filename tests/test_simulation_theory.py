"""`simulate` against closed forms: the theorem of ReLU chains, mean field, derivatives, schemes of weights."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from erffast import _core, analytic
from erffast.layers import Conv, Stack


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("conv3 * 6", {}),
        ("(conv3, relu) * 6", {}),
        ("(conv3, leaky_relu) * 4, conv2", {"channels": 3}),
        ("(conv3:p1, relu) * 4", {"channels": 2, "input_size": 12, "unit": 0}),
        ("conv3/2, relu, conv3:d2, relu, conv2", {"scheme": "lecun"}),
        ("(conv3, dropout0.3) * 3", {"scheme": "glorot"}),
    ],
    ids=["linear", "relu", "leaky, three channels", "corner of a map", "stride and dilation", "dropout"],
)
def test_mean_square_is_the_variance_image(text: str, options: dict[str, Any]) -> None:
    """E g^2 of chains of convolutions and ReLU equals the closed form exactly, for any width (theory: the theorem)."""
    net = ef.parse(text, ndim=1)
    draws = 40_000
    simulated = ef.simulate(net, draws=draws, seed=11, **options)
    place = {name: value for name, value in options.items() if name in ("input_size", "unit")}
    exact = ef.variance(
        ef.parse(text.replace(", relu", "").replace(", leaky_relu", "").replace(", dropout0.3", ""), ndim=1), window="full", **place
    )
    assert simulated.origin == exact.origin
    mean, stderr = np.asarray(simulated), np.ldexp(np.asarray(simulated.stderr), int(simulated.exponent))
    shape = np.asarray(exact)
    # the gain is left free: one number, by least squares in standard errors
    gain = (mean * shape / stderr**2).sum() / (shape**2 / stderr**2).sum()
    deviations = (mean - gain * shape) / stderr
    assert np.abs(deviations).max() < 5
    assert abs(gain - expected_gain(text, options)) < 5 * gain_error(shape, stderr, mean)
    if "input_size" in options:
        assert simulated.border > 0.1
    else:
        assert simulated.border == 0
        assert exact.border == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("theta", [1.5, -2.0])
def test_the_profile_family_by_name(theta: float) -> None:
    """E g^2 of a ReLU chain is the closed form of layers with these tap variances; a layer's own come first."""
    own = [Conv(4, tap_variance=(1.0, 3.0, 1.0, 1.0))]
    net = ef.parse("(conv3, relu) * 3, conv5, relu", ndim=1) + Stack(own, ndim=1)
    simulated = ef.simulate(net, draws=20_000, seed=5, scheme=f"wide{theta}", channels=8)
    mean, stderr = np.asarray(simulated), np.ldexp(np.asarray(simulated.stderr), int(simulated.exponent))

    def furthest(theta: float) -> float:
        """In standard errors, from the closed form."""
        said = [Conv(k, tap_variance=analytic.wide_tap_variance(k, theta)) for k in (3, 3, 3, 5)]
        # channels out of a layer over those into it, times 2, of the last one channel out; four gates of 1/2
        gain = 2 * 8 * 2**3 * 2 / 8 / 2**4
        exact = gain * np.asarray(ef.variance(Stack([*said, *own], ndim=1), window="full"))
        return float(np.abs((mean - exact) / stderr).max())

    assert furthest(theta) < 5
    assert furthest(0.0) > 20


@pytest.mark.parametrize("text", ["(conv3, relu) * 3", "conv4, relu, conv3x7/2, relu, conv1"])
def test_theta_zero_is_he_to_the_bit(text: str) -> None:
    net = ef.parse(text)
    he, wide = (ef.simulate(net, draws=3, scheme=scheme, keep_draws=True) for scheme in ("he", "wide0"))
    assert np.array_equal(he.image, wide.image)
    assert np.array_equal(he.exponent, wide.exponent)


def expected_gain(text: str, options: dict[str, Any]) -> float:
    """The product of C_out * Var(w) * taps over the layers, and of the gates' gains."""
    width = options.get("channels", 1)
    layers = list(ef.parse(text, ndim=1))
    convs = [layer for layer in layers if isinstance(layer, Conv)]
    gates = layers[: -1 if not isinstance(layers[-1], Conv) else None]
    gain = 1.0
    for index, conv in enumerate(convs):
        taps = conv.kernel if isinstance(conv.kernel, int) else conv.kernel[0]
        fan_in, fan_out = (1 if index == 0 else width) * taps, width * taps
        variance = {"he": 2 / fan_in, "lecun": 1 / fan_in, "glorot": 2 / (fan_in + fan_out)}[options.get("scheme", "he")]
        # the last layer passes the gradient of one of its channels on; sums over the input's channels are counted by the first
        passed = 1 if index == len(convs) - 1 else width
        gain *= passed * variance * taps
    for layer in gates:
        name = str(layer)
        gain *= {"relu": 0.5, "leaky_relu": (1 + 0.01**2) / 2, "dropout0.3": 1 / 0.7}.get(name, 1.0)
    return gain


def gain_error(shape: NDArray[np.float64], stderr: NDArray[np.float64], mean: NDArray[np.float64]) -> float:
    """At most that of a sum of pixels whose errors are alike in sign, as those of one draw are."""
    weight = shape / stderr**2
    return float((weight * stderr).sum() / (weight * shape).sum())


def test_gains_of_batch_norm_are_those_of_wide_networks() -> None:
    """E phi'^2 / Var phi = pi / (pi - 1) for each ReLU that a norm follows: mean field, which is right to about depth / width."""
    net = ef.parse("conv3:p1, (batchnorm, relu, conv3:p1) * 4")
    erf = ef.simulate(net, draws=60, channels=64, scheme="lecun", input_size=48, keep_draws=True)
    masses = np.ldexp(erf.image.sum(axis=(1, 2)), erf.exponent)
    wanted = 0.5 * (math.pi / (math.pi - 1)) ** 3  # the first norm finds a variance of 1
    assert abs(masses.mean() - wanted) < wanted * 4 / 64 + 4 * masses.std() / math.sqrt(60)
    assert masses.std() / math.sqrt(60) < 0.1 * wanted
    assert "batch norms calibrated on the map of each draw" in erf.assumptions
    assert erf.image.shape[1:] == erf.receptive_field.size  # though the whole map is computed


def test_ones_give_the_closed_form_itself() -> None:
    simulated = ef.simulate(ef.parse("conv3 * 12"), draws=3, scheme="ones", reduction="signed")
    exact = ef.gradient(ef.parse("conv3 * 12"), np.ones((12, 3, 3)), window="full")
    assert np.asarray(simulated) == pytest.approx(np.asarray(exact), rel=1e-13)
    assert not np.asarray(simulated.stderr).any()


CONV = Conv(3, padding=1)


def test_borders_of_skip_connections_by_hand() -> None:
    """Ones on a line, unit 0: a branch brings energy e of which borders left the share k; without them it were e / k."""
    options: dict[str, Any] = {"draws": 2, "scheme": "ones", "input_size": 9, "unit": 0}
    one = ef.simulate(Stack([ef.Residual([CONV])], ndim=1), **options)
    assert one.border == pytest.approx(1 - (2 + 1) / (3 + 1), rel=1e-14)  # two taps of three, and the unit itself
    # [1, 1] are left of [1, 1, 1], and [2, 2, 1] of [1, 2, 2, 1]; beside the unit that is [3, 2, 1], and [5, 6, 3, 1] of [3, 5, 6, 3, 1]
    two = ef.simulate(Stack([CONV, ef.Residual([CONV, CONV])], ndim=1), **options)
    assert two.border == pytest.approx(1 - (9 + 1) / (9 / (2 / 3 * 9 / 10) + 1) * 71 / 80, rel=1e-14)
    assert ef.simulate(Stack([CONV, ef.Residual([CONV, CONV])], ndim=1), **(options | {"unit": 4})).border == 0
    faint = Stack([CONV, ef.Residual([CONV, CONV], ef.Scale(2.0**-600)), CONV], ndim=1)
    assert ef.simulate(faint, **options).border == pytest.approx(ef.simulate(Stack([CONV] * 4, ndim=1), **options).border, rel=1e-14)


def test_borders_of_wide_skip_connections_are_those_of_their_paths() -> None:
    """Wide branches do not interfere: each path as often as any other, with gains of 1."""
    net = Stack([CONV, ef.Residual([CONV, CONV]), ef.Residual([CONV]), CONV], ndim=1)
    paths = [Stack([CONV] * n, ndim=1) for n in (2, 3, 4, 5)]
    exact = float(np.mean([ef.variance(path, input_size=9, unit=0).border for path in paths]))
    options: dict[str, Any] = {"draws": 1, "channels": 64, "scheme": "lecun", "input_size": 9, "unit": 0}
    borders = np.array([ef.simulate(net, seed=seed, **options).border for seed in range(60)])
    stderr = borders.std(ddof=1) / math.sqrt(60)
    assert abs(borders.mean() - exact) < 4 * stderr + exact / 64  # the mean of a ratio is off by about 1 / channels
    assert stderr < 0.03 * exact


def test_delta_orthogonal_weights_keep_the_field_at_one_pixel() -> None:
    erf = ef.simulate(ef.parse("conv3 * 30"), draws=4, channels=6, scheme="delta-orthogonal")
    image = np.asarray(erf)
    assert image[30, 30] > 0
    assert np.count_nonzero(image) == 1


@pytest.mark.parametrize("scheme", ["orthogonal", "delta-orthogonal"])
def test_orthogonal_weights_have_orthonormal_rows_or_columns(scheme: str) -> None:
    from erffast.simulation.schemes import weights_of

    for out, inputs in ((8, 3), (3, 8)):
        for weights in weights_of(scheme, Conv(3), (out, inputs, 3), 1, 2, range(3)):
            matrix = weights.reshape(out, -1) if scheme == "orthogonal" else weights[:, :, 1]
            small = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
            assert small == pytest.approx(np.eye(len(small)), abs=1e-14)


DERIVATIVES = {
    "relu": lambda x: mpmath.mpf(x > 0),
    "leaky_relu": lambda x: mpmath.mpf(1) if x > 0 else mpmath.mpf(0.01),
    "tanh": lambda x: mpmath.sech(x) ** 2,
    "sigmoid": lambda x: 1 / (mpmath.exp(x / 2) + mpmath.exp(-x / 2)) ** 2,
    "gelu": lambda x: mpmath.ncdf(x) + x * mpmath.npdf(x),
    "silu": lambda x: 1 / (1 + mpmath.exp(-x)) * (1 + x / (1 + mpmath.exp(x))),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_of_activations(name: str) -> None:
    """From tail to tail, where an exponential would overflow too. torch loses the tails of some."""
    net = Stack([Conv(1), ef.Activation(name), Conv(1)], ndim=1)
    for value in (-800.0, -40.0, -30.0, -5.0, -1.0, -1e-3, 1e-3, 1.0, 5.0, 30.0, 800.0):
        with mpmath.workdps(60):
            true = float(DERIVATIVES[name](mpmath.mpf(value)))
        erf = ef.simulate(net, draws=1, weights=[np.ones(1), np.ones(1)], inputs=np.array([value]), reduction="signed")
        # below the smallest normal number all is zero; the derivative of tanh and SiLU is a difference in its tail
        assert float(np.asarray(erf)[0]) == pytest.approx(
            true, rel=1e-12 if name != "tanh" else 1e-10, abs=1e-15 if name == "tanh" else 1e-300
        )


def test_random_numbers_are_those_that_are_published_for_a_draw() -> None:
    """Weights of layer 0 are the normals of its stream, in the order [out, in, *kernel]."""
    net = Stack([Conv(3, channels=2), Conv(1)], ndim=1)
    erf = ef.simulate(net, draws=1, seed=9, reduction="signed")
    first = _core.normals(9, 0, 0, "weight", 6).reshape(2, 3) * math.sqrt(2 / 3)
    second = _core.normals(9, 0, 1, "weight", 2) * math.sqrt(2 / 2)
    assert np.asarray(erf) == pytest.approx(second @ first, rel=1e-14)
