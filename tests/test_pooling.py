"""Average pools against the whole covariance of the gradient; max-pools against their routing; refusals by name, and only where due."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from erffast.layers import Activation, AvgPool, Conv, Dropout, Layer, MaxPool, Scale, Stack
from oracles import covariance_diagonal
from strategies import batches, field, generator, output_size, random_map, random_stack, sees_the_map, windows, with_tap_variance
from tolerances import tolerance

Array = NDArray[np.float64]


def on_field(net: Stack) -> tuple[tuple[int, ...], Array]:
    """E g^2 on the plane by whole covariances: unpadded, on a map of exactly the field. Unit 0."""
    layers: list[Layer] = []
    for layer in net:
        if isinstance(layer, Conv):
            layer = Conv(layer.kernel, stride=layer.stride, dilation=layer.dilation, tap_variance=layer.tap_variance)
        elif isinstance(layer, AvgPool):
            layer = AvgPool(layer.kernel, stride=layer.stride)
        layers.append(layer)
    size, _, start = field(net)
    return start, covariance_diagonal(Stack(layers, ndim=net.ndim), size, (0,) * net.ndim)


def random_chain(number: int, salt: str, *, widest: tuple[int, int] = (60, 11)) -> Stack:
    """Convolutions, average pools and constants; two pools or more."""
    rng = generator(number, salt)
    while True:
        axes = 1 if rng.random() < 0.7 else 2
        net = random_stack(rng, axes, layers=(2, 6), widest=widest[axes - 1], pool_share=0.45, constants=(Scale(-0.75),), most_taps=4)
        if sum(isinstance(x, AvgPool) for x in net) >= 2:
            return with_tap_variance(rng, net, share=0.3)


def answer(net: Stack, size: tuple[int, ...], unit: tuple[int, ...]) -> tuple[ef.ERF | None, str]:
    """The result, or the refusal."""
    try:
        return ef.variance(net, input_size=size, unit=unit, window="full"), ""
    except NotImplementedError as exc:
        return None, str(exc)


def refusing_layer(refusal: str) -> str:
    return refusal.removeprefix("variance through ").split(" is not available")[0]


@pytest.mark.parametrize("engine", ["direct", "separable"])
@pytest.mark.parametrize("numbers", batches(120, 1500, 30))
def test_chains_on_the_plane_equal_whole_covariances(numbers: range, engine: str) -> None:
    """Lag 0 or the closed form: on the plane no chain of convolutions and average pools is refused."""
    closed = 0
    for number in numbers:
        net = random_chain(number, "pools")
        if engine == "separable":
            net = Stack(
                [Conv(x.kernel, stride=x.stride, dilation=x.dilation, padding=x.padding) if isinstance(x, Conv) else x for x in net],
                ndim=net.ndim,
            )
        origin, expected = on_field(net)
        erf = ef.variance(net, window="full", engine=engine)
        assert (erf.origin, erf.shape) == (origin, expected.shape), (number, net)
        np.testing.assert_allclose(np.asarray(erf), expected, rtol=tolerance("covariance"), atol=0, err_msg=f"case {number}: {net!r}")
        assert erf.method == "exact"
        closed += any("closed form" in a for a in erf.assumptions)
    assert 0 < closed < len(numbers)


@pytest.mark.parametrize("numbers", batches(160, 2000, 40))
def test_chains_on_padded_maps_equal_whole_covariances_or_are_refused(numbers: range) -> None:
    """On a map a chain is refused exactly where lag 0 falls short, and the border leaves no closed form."""
    refused = answered = 0
    for number in numbers:
        net = random_chain(number, "padded pools")
        where = random_map(generator(number, "padded pools map"), net, widest=40 if net.ndim == 1 else 12)
        if where is None:
            continue
        size, unit = where
        message = f"case {number}: {net!r} on {size}, unit {unit}"
        expected = covariance_diagonal(net, size, unit)
        erf, refusal = answer(net, size, unit)
        if erf is None:
            assert refusing_layer(refusal) in {x.label for x in net if isinstance(x, AvgPool)}, message
            assert "the border of the map" in refusal
            lag_zero = covariance_diagonal(net, size, unit, lag_zero_only=True)
            # a border may cut off just the pixels that would have been folded: then refusing is careful, not wrong
            if np.allclose(lag_zero, expected, rtol=1e-12, atol=0):
                assert not np.allclose(*lag_zero_and_exact_far_from_borders(net), rtol=1e-12, atol=0), message
            refused += 1
            continue
        got = np.ldexp(erf.on_map(), erf.exponent)
        np.testing.assert_allclose(got, expected, rtol=tolerance("covariance"), atol=0, err_msg=message)
        answered += 1
    assert refused > 1
    assert answered > len(numbers) / 3


def lag_zero_and_exact_far_from_borders(net: Stack) -> tuple[Array, Array]:
    size, _, _ = field(net)
    plain = Stack(
        [
            Conv(x.kernel, stride=x.stride, dilation=x.dilation, tap_variance=x.tap_variance)
            if isinstance(x, Conv)
            else AvgPool(x.kernel, stride=x.stride)
            if isinstance(x, AvgPool)
            else x
            for x in net
        ],
        ndim=net.ndim,
    )
    at = (0,) * net.ndim
    return covariance_diagonal(plain, size, at, lag_zero_only=True), covariance_diagonal(plain, size, at)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        pytest.param("conv3:p1, avgpool2/2, conv3:p1, avgpool2/2, conv3:p1", None, id="pools that tile: stretched lags pass over the taps"),
        pytest.param("avgpool3/1:p1, conv3:p1", None, id="one pool"),
        pytest.param("conv3:p1, avgpool2/1, conv3:p1, avgpool2/1:ceil, conv3:p1", "avgpool2/1", id="overlapping pools"),
        pytest.param("conv3:p1, avgpool4/1, conv3:p1, avgpool2/2, conv3:p1", "avgpool4/1", id="a wide pool below a tiling one"),
        pytest.param("conv3:p1, avgpool2/1, conv3/3:p1, avgpool2/2, conv3:p1", None, id="a stride carries the lags beyond the taps"),
        pytest.param("avgpool3:ceil, avgpool2, avgpool2, conv3:p1", None, id="only tiling pools"),
    ],
)
def test_which_chains_on_a_map_are_refused(text: str, refused: str | None) -> None:
    net = ef.parse(text, ndim=1)
    size = next(n for n in range(4, 60) if output_size(net, (n,))[0] >= 2)
    if refused is None:
        erf = ef.variance(net, input_size=size, unit=0, window="full")
        np.testing.assert_allclose(np.ldexp(erf.on_map(), erf.exponent), covariance_diagonal(net, (size,), (0,)), rtol=1e-12)
    else:
        with pytest.raises(NotImplementedError, match=f"variance through {refused} is not available"):
            ef.variance(net, input_size=size, unit=0)


@pytest.mark.parametrize("between", ["relu", "dropout0.5", "maxpool2"])
def test_no_closed_form_across_a_nonlinearity(between: str) -> None:
    net = ef.parse(f"conv3, avgpool3/1, conv3, {between}, conv3, avgpool3/1, conv3", ndim=1)
    with pytest.raises(
        NotImplementedError, match=r"variance through avgpool3/1 is not available.*with (a nonlinearity|maxpool2) in between"
    ):
        ef.variance(net)


def test_a_max_pool_that_would_fold_lags_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="variance through maxpool3/1 is not available"):
        ef.variance(ef.parse("conv3, maxpool3/1, conv3, avgpool2/1, conv3", ndim=1))


def test_lags_do_not_survive_a_max_pool_unchanged() -> None:
    """Two windows with correlated gradients may choose pixels closer to one another than their own distance: here 1, 2 or 3 apart."""
    with pytest.raises(NotImplementedError, match="variance through avgpool2/1 is not available"):
        ef.variance(ef.parse("avgpool2/1, conv3, maxpool2, conv3, avgpool2", ndim=1))


def test_nonlinearities_outside_the_pools_leave_the_closed_form() -> None:
    """Above the last pool and below the first no two pools are kept apart."""
    plain = ef.variance(ef.parse("conv3, avgpool2/1, conv3, avgpool2/1, conv3", ndim=1), window="full")
    erf = ef.variance(ef.parse("conv3, avgpool2/1, conv3, avgpool2/1, relu, conv3", ndim=1), window="full")
    np.testing.assert_allclose(np.asarray(erf), np.asarray(plain) / 2, rtol=1e-14)


def test_the_closed_form_is_the_one_of_the_theory() -> None:
    """V = (v_1 * v_2) * |a_1 * a_2|^2 with strides and dilations through the jump."""
    net = Stack([Conv(3), AvgPool(2), Conv(2, dilation=3), AvgPool(3, stride=1)], ndim=1)
    convs = np.convolve([1 / 3] * 3, [0.5, *[0] * 5, 0.5])
    pools = np.convolve([0.5, 0.5], [1 / 3, 0, 1 / 3, 0, 1 / 3])
    erf = ef.variance(net, window="full")
    np.testing.assert_allclose(np.asarray(erf), np.convolve(convs, pools**2), rtol=1e-14)


@pytest.mark.parametrize("include", [True, False], ids=["padding counts", "padding does not count"])
def test_divisors_at_the_border(include: bool) -> None:
    """One pool, squared taps: corners of 3x3 windows hold 9 or 4 pixels."""
    erf = ef.variance(Stack([AvgPool(3, stride=1, padding=1, count_include_pad=include)]), input_size=5, unit=(0, 4), window="full")
    np.testing.assert_allclose(np.asarray(erf), np.full((2, 2), 1 / 81 if include else 1 / 16), rtol=1e-15)


def test_windows_that_overhang_in_ceil_mode_divide_by_what_they_hold() -> None:
    net = Stack([AvgPool(3, ceil_mode=True)], ndim=1)
    erf = ef.variance(net, input_size=7, unit=2, window="full")
    assert erf.origin == (6,)
    np.testing.assert_allclose(np.asarray(erf), [1.0])


# ------------------------------------------------------------------------------------------------ max-pools


def max_pool_recurrence(net: Stack, size: tuple[int, ...], unit: tuple[int, ...], gain: Any) -> Array:
    """Lag 0 of convolutions and max-pools in a plain loop: a window of m pixels hands gain(m) / m to each of them."""
    layers, sizes = [x for x in net if windows(x, net.ndim)], [size]
    for layer in layers:
        sizes.append(output_size(Stack([layer], ndim=net.ndim), sizes[-1]))
    v = np.zeros(sizes[-1])
    v[unit] = 1
    for layer, here in zip(reversed(layers), reversed(sizes[:-1]), strict=True):
        axes = windows(layer, net.ndim) or []
        below = np.zeros(here)
        for at in np.argwhere(v):
            taps = [[t for t in w.taps(i) if 0 <= t < n] for w, i, n in zip(axes, at, here, strict=True)]
            count = math.prod(map(len, taps))
            whole = math.prod(w.kernel for w in axes)
            if count:
                below[np.ix_(*taps)] += v[tuple(at)] * (gain(count) / count if isinstance(layer, MaxPool) else 1 / whole)
        v = below
    return v


GATES = {
    "none": lambda m: 1.0,
    "relu": lambda m: 1 - 2.0**-m,
    "leaky_relu": lambda m: 1 - 2.0**-m * (1 - 0.01**2),
    "identity": lambda m: 1.0,
}


@pytest.mark.parametrize("order", ["activation first", "pool first"])
@pytest.mark.parametrize("name", list(GATES))
@pytest.mark.parametrize("numbers", batches(30, 400, 30))
def test_max_pools_route_to_each_valid_tap_alike(numbers: range, name: str, order: str) -> None:
    """Per tap 1 / (valid taps); beside an activation one gate, (1 - 2^-m) / m for ReLU with m valid taps, borders included."""
    bordered = 0
    for number in numbers:
        rng = generator(number, "max-pools")
        net = random_stack(
            rng, int(rng.integers(1, 3)), layers=(1, 4), widest=14, pools=(MaxPool,), pool_share=0.6, constants=(), most_taps=4
        )
        where = random_map(rng, net, widest=16)
        if where is None or not any(isinstance(x, MaxPool) for x in net):
            continue
        layers: list[Layer] = []
        for layer in net:
            if name == "none" or not isinstance(layer, MaxPool):
                layers.append(layer)
            else:
                # a convolution apart, so that no activation has two max-pools beside it
                gate = [Activation(name), layer] if order == "activation first" else [layer, Activation(name)]
                layers += [Conv(1), *gate, Conv(1)]
        whole = Stack(layers, ndim=net.ndim)
        size, unit = where
        if not sees_the_map(net, size, unit):
            continue
        expected = max_pool_recurrence(whole, size, unit, GATES[name])
        erf = ef.variance(whole, input_size=size, unit=unit, window="full")
        np.testing.assert_allclose(
            np.ldexp(erf.on_map(), erf.exponent), expected, rtol=1e-12, atol=0, err_msg=f"case {number}: {whole!r} on {where}"
        )
        bordered += erf.border > 0 or any(x.padding != 0 for x in net if isinstance(x, MaxPool))
        assert erf.method == "mean-field"
    assert bordered > 2


@pytest.mark.parametrize(("k", "per_tap"), [(2, 0.234375), (3, (1 - 2**-9) / 9)])
@pytest.mark.parametrize("text", ["relu, maxpool{k}", "maxpool{k}, relu"])
def test_relu_and_max_pool_are_one_gate(text: str, k: int, per_tap: float) -> None:
    erf = ef.variance(ef.parse("conv1, " + text.format(k=k)), window="full")
    np.testing.assert_allclose(np.asarray(erf), np.full((k, k), per_tap), rtol=1e-14)


# ------------------------------------------------------------------------------------------------ what is exact


def test_a_single_pool_between_convolutions_is_exact_and_says_so() -> None:
    erf = ef.variance(Stack([Conv(3), AvgPool(2), Conv(3), Dropout(0.5)]))
    assert erf.method == "exact"
    assert not any("mean field" in a for a in erf.assumptions)
