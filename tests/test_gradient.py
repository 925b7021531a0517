"""`gradient` is automatic differentiation, element for element: values, position and shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from erffast.layers import AvgPool, Conv, Scale, Stack
from oracles import case_gradients
from strategies import Case, batches, field, generator, random_case
from tolerances import tolerance

Array = NDArray[np.float64]
DEEPEST_TOLERANCE = 1e-9  # for random signed stacks whose estimate exceeds the default; the test's own bound stays


def solve(case: Case, **options: Any) -> ef.ERF:
    """The case at full window; where the estimate, ten times the error expected, exceeds 1e-12, that is allowed by name."""
    arguments = {"input_size": case.input_size, "unit": case.unit, "window": "full", **options}
    try:
        return ef.gradient(case.net, case.weights, **arguments)
    except ef.AccuracyError:
        return ef.gradient(case.net, case.weights, **arguments, tol=DEEPEST_TOLERANCE)


def values(erf: ef.ERF, image: NDArray[Any]) -> Array:
    """True values [draws, *shape] of pixels that go with the exponents of a result."""
    exponent = np.asarray(erf.exponent).reshape(-1, *(1,) * erf.ndim)
    stacked = image.reshape(erf.draws, *image.shape[image.ndim - erf.ndim :]).astype(np.float64)
    return np.ldexp(stacked, exponent)


def check(case: Case, erf: ef.ERF, bound: float) -> None:
    """Every element of the map, or of the field on the plane, against automatic differentiation."""
    origin, expected = case_gradients(case)
    peak = np.abs(expected).reshape(len(expected), -1).max(axis=1).reshape(-1, *(1,) * erf.ndim)
    assert (erf.image.ndim > erf.ndim) == (case.draws is not None)
    if case.input_size is None:
        assert (erf.origin, erf.shape) == (origin, expected.shape[1:])
        got = values(erf, erf.image)
    else:
        size, jump, start = field(case.net)
        low = tuple(max(0, s + j * u) for s, j, u in zip(start, jump, case.unit, strict=True))
        high = tuple(min(n, s + j * u + k) for s, j, u, n, k in zip(start, jump, case.unit, case.input_size, size, strict=True))
        assert (erf.origin, erf.shape) == (low, tuple(b - a for a, b in zip(low, high, strict=True)))
        got = values(erf, erf.on_map())
    assert got.shape == expected.shape
    assert erf.dead == int((peak == 0).sum())
    worst = float((np.abs(got - expected) / np.where(peak == 0, 1.0, peak)).max())
    assert worst <= bound, f"{worst:.1e} of the peak"
    for d in range(erf.draws):  # the documented scale
        top = float(np.abs(erf.image.reshape(erf.draws, -1)[d]).max())
        assert top == 0 or 0.5 <= top < 1


def named(number: int, case: Case, run: Any) -> None:
    """Runs one case; a failure says which."""
    try:
        run()
    except Exception as exc:
        raise AssertionError(f"case {number}: {exc}\n{case}") from exc


pytestmark = pytest.mark.usefixtures("torch_is_there")


@pytest.fixture(scope="module")
def torch_is_there() -> None:
    """The oracle of this module."""
    pytest.importorskip("torch", reason="torch is the oracle: automatic differentiation")


@pytest.mark.parametrize("numbers", batches(300, 3000, 25))
def test_random_stacks(numbers: range) -> None:
    for number in numbers:
        case = random_case(number)
        named(number, case, lambda case=case: check(case, solve(case), tolerance("gradient")))


@pytest.mark.parametrize("numbers", batches(50, 500, 25))
def test_random_stacks_in_float32(numbers: range) -> None:
    for number in numbers:
        case = random_case(number, "float32")
        bound = tolerance("gradient", "float32", "direct")

        def run(case: Case = case, bound: float = bound) -> None:
            erf = solve(case, dtype="float32", tol=bound)
            assert erf.image.dtype == np.float32
            check(case, erf, bound)

        named(number, case, run)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("engine", ["direct", "separable"])
@pytest.mark.parametrize("numbers", batches(40, 400, 20))
def test_rank_one_kernels_by_either_engine(numbers: range, engine: str, dtype: str) -> None:
    bound = tolerance("gradient", dtype, engine)
    for number in numbers:
        case = random_case(number, "rank one", separable=True, ndim=2)

        def run(case: Case = case) -> None:
            options = {"tol": bound} if dtype == "float32" else {}
            erf = solve(case, engine=engine, dtype=dtype, **options)
            assert erf.engine == engine
            assert erf.separable == (engine == "separable")
            check(case, erf, bound)

        named(number, case, run)


def test_the_random_stacks_hold_what_they_should() -> None:
    """The generator reaches the cases it is there for."""
    drawn = [random_case(number) for number in range(300)]
    layers = [layer for case in drawn for layer in case.net]
    convs, pools = [x for x in layers if isinstance(x, Conv)], [x for x in layers if isinstance(x, AvgPool)]
    asymmetric = [c for c in convs if isinstance(c.padding, tuple) and any(isinstance(p, tuple) and p[0] != p[1] for p in c.padding)]
    touching = 0
    for case in drawn:
        if case.input_size is not None:
            size, jump, start = field(case.net)
            places = zip(start, jump, case.unit, size, case.input_size, strict=True)
            touching += any(s + j * u < 0 or s + j * u + k > n for s, j, u, k, n in places)
    found = {
        "planes": sum(case.input_size is None for case in drawn),
        "borders": touching,
        "1-D": sum(case.net.ndim == 1 for case in drawn),
        "draws": sum(case.draws is not None for case in drawn),
        "channels": sum(any(w.ndim >= case.net.ndim + 2 + (case.draws is not None) for w in case.weights) for case in drawn),
        "groups": sum(c.groups > 1 for c in convs),
        "even kernels": sum(k % 2 == 0 for c in convs for k in np.atleast_1d(c.kernel)),
        "strides": sum(np.max(c.stride) > 1 for c in convs),
        "dilations": sum(np.max(c.dilation) > 1 for c in convs),
        "asymmetric padding": len(asymmetric),
        "same padding": sum(c.padding == "same" for c in convs),
        "pools without padding in the divisor": sum(not p.count_include_pad and p.padding != 0 for p in pools),
        "pools in ceil mode": sum(p.ceil_mode for p in pools),
        "constants": sum(isinstance(x, Scale) for x in layers),
        "8 layers": sum(len(case.net) >= 7 for case in drawn),
    }
    rare = {name: count for name, count in found.items() if count < 12}
    assert not rare, rare


# ------------------------------------------------------------------------------------------------ conventions, without randomness


def test_the_gradient_is_no_mirror_image() -> None:
    case = Case(Stack([Conv(4, padding=((1, 0),), stride=2)], ndim=1), [np.array([1.0, 2.0, 3.0, 5.0])], (9,), (1,), None)
    erf = solve(case)
    # y[1] = sum_a w[a] x[2 - 1 + a]
    np.testing.assert_array_equal(values(erf, erf.on_map())[0], [0, 1, 2, 3, 5, 0, 0, 0, 0])
    check(case, erf, 0.0)


def test_channels_are_summed_at_both_ends() -> None:
    w = np.arange(1.0, 7.0).reshape(2, 3, 1)
    case = Case(Stack([Conv(1)], ndim=1), [w], (1,), (0,), None)
    assert float(np.asarray(solve(case))[0]) == w.sum()
    check(case, solve(case), 0.0)


def test_a_batch_of_draws_is_its_draws_one_by_one() -> None:
    rng = generator(0, "batch")
    net = Stack([Conv(3, padding=1), Conv((2, 5), dilation=2), AvgPool(2)])
    shapes = [(4, 3, 2, 3, 3), (4, 1, 3, 2, 5)]
    weights = [rng.standard_normal(s) * 10.0 ** rng.integers(-30, 30, (s[0], 1, 1, 1, 1)) for s in shapes]
    together = ef.gradient(net, weights, input_size=16, window="full")
    for d in range(4):
        alone = ef.gradient(net, [w[d] for w in weights], input_size=16, window="full")
        np.testing.assert_array_equal(together.image[d], alone.image)
        assert together.exponent[d] == alone.exponent  # type: ignore[index]


def test_one_array_for_all_convolutions_is_the_list_of_its_kernels() -> None:
    weights = generator(0, "array").standard_normal((5, 3, 3))
    net = Stack([Conv(3, padding=1)]) * 5
    one, many = (ef.gradient(net, w, input_size=9, unit=(0, 8)) for w in (weights, list(weights)))
    np.testing.assert_array_equal(one.image, many.image)
    assert one.exponent == many.exponent


def test_scales_multiply_values_and_never_pixels() -> None:
    net = Stack([Conv(3)], ndim=1)
    weights = [np.array([1.0, -2.0, 4.0])]
    plain = ef.gradient(net, weights)
    deep = ef.gradient(net + Stack([Scale(-1024.0)], ndim=1) * 1001, weights)
    np.testing.assert_array_equal(deep.image, -plain.image)
    assert deep.exponent == plain.exponent + 10_010  # type: ignore[operator]


@pytest.mark.parametrize("layer", [0, 1, "middle", -2])
def test_layer_cuts_the_network_and_its_weights(layer: str | int) -> None:
    net = Stack([Conv(3, padding=1), Conv(5, padding=2, name="middle"), Conv(3)])
    weights = [generator(0, "layer").standard_normal((k, k)) for k in (3, 5, 3)]
    index = {"middle": 1, -2: 1}.get(layer, layer)
    case = Case(net.upto(index), weights[: index + 1], (11, 12), (0, 3), None)  # type: ignore[operator]
    erf = ef.gradient(net, weights, layer=layer, input_size=case.input_size, unit=case.unit, window="full")
    check(case, erf, tolerance("gradient"))
