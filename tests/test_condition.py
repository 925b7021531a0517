"""Deep chains of signed kernels: the estimate of the error is never below the error, and beyond `tol` nothing is returned."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from erffast.layers import AvgPool, Conv, Stack
from erffast.reference import backward_step
from oracles import rounded
from strategies import FULL, cases, generator

Array = NDArray[np.float64]
LARGEST_TOLERANCE = 0.999


def integer_kernels(rng: np.random.Generator, n: int, sides: tuple[int, ...], *, ones: bool = False) -> list[NDArray[np.int64]]:
    """Kernels of small integers, exact in float64; each with taps of both signs."""
    kernels: list[NDArray[np.int64]] = []
    while len(kernels) < n:
        k = rng.choice([-1, 1], sides) if ones else np.rint(40 * rng.standard_normal(sides)).astype(np.int64)
        if k.min() < 0 < k.max():
            kernels.append(k)
    return kernels


def opposed_kernels(rng: np.random.Generator, n: int) -> list[NDArray[np.int64]]:
    """Rough high-pass layers below as many rough low-pass layers: what one half leaves, the other removes."""
    low, high = np.array([40, 80, 40]), np.array([40, -80, 40])
    return [(high if i < n // 2 else low) + rng.integers(-3, 4, 3) for i in range(n)]


def exact_chain(kernels: list[Any], strides: list[int]) -> NDArray[np.object_]:
    """The gradient of a 1-D chain in Python integers; unit 0, no padding."""
    image = np.array([1], dtype=object)
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        image = backward_step(image, [int(v) for v in kernel], stride=stride, dtype=object)[1]
    return image


def true_error(erf: ef.ERF, exact: NDArray[np.object_]) -> float:
    """max |image - exact| / peak, the difference taken in integers."""
    scale = 2**1100
    shift = int(np.asarray(erf.exponent)) + 1100
    up, down = (1 << shift, 1) if shift >= 0 else (1, 1 << -shift)

    def apart(value: float, want: int) -> int:
        p, q = float(value).as_integer_ratio()
        return abs(p * up // (q * down) - want * scale)

    worst = max(apart(v, w) for v, w in zip(erf.image.ravel(), exact.ravel(), strict=True))
    return worst / (max(abs(w) for w in exact.ravel()) * scale)


def solve(net: Stack, kernels: list[Any], **options: Any) -> ef.ERF | None:
    """Layer by layer, with all error allowed, so that float64 serves; None where even that is estimated to be exceeded."""
    options = {"engine": "direct", "window": "full", "tol": LARGEST_TOLERANCE} | options
    try:
        return ef.gradient(net, [k.astype(float) for k in kernels], **options)
    except ef.AccuracyError as exc:
        estimate = stated(exc)
    assert estimate > LARGEST_TOLERANCE
    return None


def stated(exc: ef.AccuracyError) -> float:
    """The estimate in the message."""
    found = re.search(r"is estimated at ([0-9.e+-]+) of the peak", str(exc))
    assert found is not None, str(exc)
    return float(found[1])


DEPTHS = [20, 40, 80, 150, 300]


@pytest.mark.parametrize("kind", ["normal", "plus or minus one", "the same each time", "strided", "opposed"])
@pytest.mark.parametrize("n", DEPTHS)
def test_the_estimate_is_never_below_the_error_in_one_axis(n: int, kind: str) -> None:
    answered = 0
    for number in cases(6, 60):
        rng = generator(number, f"condition {n} {kind}")
        k = int(rng.integers(2, 6))
        kernels = integer_kernels(rng, n, (k,), ones=kind == "plus or minus one")
        if kind == "the same each time":
            kernels = kernels[:1] * n
        elif kind == "opposed":
            k, kernels = 3, opposed_kernels(rng, n)
        strides = [2 if kind == "strided" and i in (n // 3, n // 2) else 1 for i in range(n)]
        net = Stack([Conv(k, stride=s) for s in strides], ndim=1)
        erf = solve(net, kernels)
        if erf is None:
            continue
        answered += 1
        error = true_error(erf, exact_chain(kernels, strides))
        assert error <= erf.error, f"case {number}: error {error:.1e}, estimate {erf.error:.1e}"
        assert not erf.error_is_bound
        # not so careful that it says nothing: the safety factor is 10. The others' first layers are exact: integers below 2**53.
        # Double-double numbers round to 2**-106 or so, their sums in the worst case to 2**-103.
        if kind in ("normal", "strided", "opposed") and "double-double" not in erf.reason:
            assert erf.error <= 1e3 * error, f"case {number}: error {error:.1e}, estimate {erf.error:.1e}"
    assert answered > 0 or kind == "opposed"


@pytest.mark.parametrize("engine", ["direct", "separable"])
@pytest.mark.parametrize("n", [20, 40, 80, *([160] if FULL else [])])
def test_the_estimate_is_never_below_the_error_in_two_axes(n: int, engine: str) -> None:
    """Outer products of 1-D chains in integers; the direct engine does not know of it."""
    answered = 0
    for number in cases(3, 20):
        rng = generator(number, f"condition in two axes {n}")
        lines = [integer_kernels(rng, n, (3,)) for _ in range(2)]
        kernels = [np.multiply.outer(a, b) for a, b in zip(*lines, strict=True)]
        erf = solve(Stack([Conv(3)]) * n, kernels, engine=engine)
        if erf is None:
            continue
        answered += 1
        rows, columns = (exact_chain(line, [1] * n) for line in lines)
        if n <= 40:
            error = true_error(erf, np.multiply.outer(rows, columns))
        else:  # products of correctly rounded factors: 3e-16 of the peak, far below what is looked for
            exponents = [max(abs(v) for v in line).bit_length() for line in (rows, columns)]
            expected = np.multiply.outer(*(rounded(line, 1, e) for line, e in zip((rows, columns), exponents, strict=True)))
            got = np.ldexp(erf.image, int(np.asarray(erf.exponent)) - sum(exponents))
            error = float(np.abs(got - expected).max() / np.abs(expected).max())
        assert error <= erf.error, f"case {number}: error {error:.1e}, estimate {erf.error:.1e}"
    assert answered > 0


@pytest.mark.parametrize("n", [10, 20, 40])
def test_the_estimate_is_never_below_the_error_with_channels(n: int) -> None:
    answered = 0
    for number in cases(4, 40):
        rng = generator(number, f"condition with channels {n}")
        kernels = integer_kernels(rng, n, (2, 2, 3))
        erf = solve(Stack([Conv(3)], ndim=1) * n, kernels)
        if erf is None:
            continue
        answered += 1
        images = np.ones((2, 1), dtype=object)  # [channels, pixels]
        for kernel in reversed(kernels):
            images = np.stack(
                [sum(backward_step(images[o], [int(v) for v in kernel[o, c]], dtype=object)[1] for o in range(2)) for c in range(2)]
            )
        error = true_error(erf, images.sum(axis=0))
        assert error <= erf.error, f"case {number}: error {error:.1e}, estimate {erf.error:.1e}"
    assert answered > 0


def test_the_estimate_is_that_of_the_worst_draw() -> None:
    rng = generator(0, "draws")
    kernels = np.array([integer_kernels(rng, 40, (3,)) for _ in range(5)], dtype=float)
    net = Stack([Conv(3)], ndim=1) * 40
    alone = [ef.gradient(net, k, tol=LARGEST_TOLERANCE, engine="direct").error for k in kernels]
    assert ef.gradient(net, kernels, tol=LARGEST_TOLERANCE, engine="direct").error == pytest.approx(max(alone), rel=1e-9)
    assert max(alone) > 1.5 * min(alone)


# ------------------------------------------------------------------------------------------------ refusals


def opposed(n: int) -> tuple[Stack, Array]:
    """n layers whose halves leave little of one another: the estimate grows as 2**n."""
    return Stack([Conv(3)], ndim=1) * n, np.array(opposed_kernels(generator(0, "opposed"), n), dtype=float)


def on_a_map(n: int) -> tuple[Stack, Array]:
    """The same with padding: on a map whose border it touches no spectrum can serve."""
    return Stack([Conv(3, padding=1)], ndim=1) * n, opposed(n)[1]


def deep(n: int, *, salt: str = "deep") -> tuple[Stack, Array]:
    return Stack([Conv(3)], ndim=1) * n, generator(0, salt).standard_normal((n, 3))


def test_more_digits_are_taken_before_anything_is_refused() -> None:
    """One engine after another: float64, double-double, nothing; on the plane the spectrum serves at any depth."""
    net, weights = on_a_map(12)
    assert "double-double" not in ef.gradient(net, weights, input_size=32).reason
    net, weights = on_a_map(50)
    assert "double-double" in ef.gradient(net, weights, input_size=32).reason
    net, weights = on_a_map(400)
    refusal = r"through 400 layers with signed kernels, is estimated at .* of the peak in double-double arithmetic, above tol=1.0e-12"
    with pytest.raises(ef.AccuracyError, match=refusal):
        ef.gradient(net, weights, input_size=32)
    net, weights = opposed(400)
    assert ef.gradient(net, weights).engine == "spectral"


def test_the_tolerance_decides() -> None:
    net, weights = on_a_map(60)
    with pytest.raises(ef.AccuracyError) as caught:
        ef.gradient(net, weights, input_size=32, tol=1e-15)
    estimate = stated(caught.value)
    assert 1e-15 < estimate < 0.1
    erf = ef.gradient(net, weights, input_size=32, tol=1.1 * estimate)
    assert erf.error == pytest.approx(estimate, rel=0.06)
    with pytest.raises(ef.AccuracyError):
        ef.gradient(net, weights, input_size=32, tol=0.9 * estimate)


def test_an_estimate_beyond_any_float_is_still_told() -> None:
    net, weights = on_a_map(4000)
    with pytest.raises(ef.AccuracyError, match="through 4000 layers"):
        ef.gradient(net, weights, input_size=32, tol=LARGEST_TOLERANCE)


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["positive", "one negative scale"])
def test_positive_chains_of_any_depth_are_never_refused(sign: float) -> None:
    net, weights = deep(500)
    net = Stack([net, ef.Scale(sign)], ndim=1)
    erf = ef.gradient(net, np.abs(weights), window="full")
    assert erf.error_is_bound
    assert erf.error < 1e-12
    assert float(np.sign(erf.image.sum())) == sign


def test_one_negative_tap_makes_a_chain_signed() -> None:
    weights = np.ones((5, 3))
    net = Stack([Conv(3)], ndim=1) * 5
    assert ef.gradient(net, weights).accuracy == "pixel"
    weights[2, 1] = -1e-3
    erf = ef.gradient(net, weights)
    assert (erf.accuracy, erf.error_is_bound) == ("peak", False)
    with pytest.raises(ValueError, match='accuracy="pixel" needs kernels without negative taps'):
        ef.gradient(net, weights, accuracy="pixel")


def test_pools_take_part_in_the_estimate() -> None:
    rng = generator(0, "pools")
    kernels = integer_kernels(rng, 12, (3,))
    net = Stack([Conv(3), AvgPool(2, stride=1)], ndim=1) * 12
    erf = ef.gradient(net, [k.astype(float) for k in kernels], window="full", tol=LARGEST_TOLERANCE, engine="direct")
    taps: list[Any] = [k for kernel in kernels for k in (kernel, [1, 1])]
    exact = exact_chain(taps, [1] * 24)
    assert true_error(erf_times(erf, 12), exact) <= erf.error


def erf_times(erf: ef.ERF, power: int) -> Any:
    """The result times 2**power."""

    class Moved:
        image, exponent = erf.image, int(np.asarray(erf.exponent)) + power

    return Moved


@pytest.mark.parametrize("n", [30, 300])
def test_float32_is_computed_in_float64_where_it_has_to_be(n: int) -> None:
    net, weights = deep(n, salt="float32")
    fine = ef.gradient(net, weights, tol=1e-3)
    coarse = ef.gradient(net, weights, tol=1e-5, dtype="float32")
    assert coarse.image.dtype == np.float32
    shift = int(np.asarray(coarse.exponent)) - int(np.asarray(fine.exponent))
    np.testing.assert_allclose(np.ldexp(coarse.image.astype(np.float64), shift), fine.image, rtol=0, atol=1.1e-5)
