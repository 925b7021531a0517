"""The direct engine in double-double arithmetic: exact integers at any depth, where float64 has lost its digits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from erffast import condition, execution
from erffast._progress import Meter
from erffast.chain import Chain
from erffast.execution import EXTENDED_ROUNDOFF, Resources
from erffast.layers import AvgPool, Conv, Stack
from erffast.lowering import lower_gradient, lower_variance
from instruction_sets import SETS
from integers import exact_gradient
from oracles import Exact, rounded
from strategies import batches, cases, generator, random_case
from tolerances import tolerance

Array = NDArray[np.float64]
ROUNDED = 2.0**-52  # of the peak: one unit in the last place of a value in [0.5, 1)
MEMORY = 2**28


class Answer(NamedTuple):
    pixels: Array  # [draws, *box], the largest in [0.5, 1)
    exponents: NDArray[np.int64]
    outcome: execution.Outcome | None = None


def run(chain: Chain, dtype: str = "extended", *, threads: int = 1, memory: int = MEMORY, meter: Meter | None = None) -> Answer:
    resources = Resources(threads, memory, meter, "use fewer layers")
    (outcome,) = execution.run_direct(chain, dtype=dtype, trim=0.0, resources=resources)
    shifts = np.frexp(outcome.peaks)[1].astype(np.int64)
    return Answer(outcome.write(chain.box, np.ldexp(1.0, -shifts)), outcome.exponents + shifts, outcome)


# ------------------------------------------------------------------------------------------------ against integers


class Problem(NamedTuple):
    net: Stack
    weights: list[Array]
    input_size: tuple[int, ...] | None = None
    draws: int | None = None
    unit: tuple[int, ...] | None = None

    @property
    def chain(self) -> Chain:
        return lower_gradient(self.net, self.weights, self.input_size, self.unit)

    def errors(self, *answers: Answer) -> list[float]:
        """max |pixel - exact| / peak of each answer, of its worst draw."""
        chain, worst = self.chain, [0.0] * len(answers)
        for draw in range(self.draws or 1):
            weights = self.weights if self.draws is None else [w[draw] for w in self.weights]
            origin, image, scale, _ = exact_gradient(self.net, weights, self.input_size, chain.unit)
            for index, answer in enumerate(answers):
                worst[index] = max(worst[index], error(chain, answer, draw, origin, image, scale))
        return worst


def error(chain: Chain, answer: Answer, draw: int, origin: tuple[int, ...], image: Exact, scale: Fraction) -> float:
    """max |pixel - exact| / peak, of the chain without its constant gain; each exact value is rounded once."""
    factor = scale / Fraction(chain.gain)
    wanted = np.zeros(answer.pixels.shape[1:])
    where = tuple(slice(o - lo, o - lo + n) for o, lo, n in zip(origin, chain.box[0], image.shape, strict=True))
    wanted[where] = rounded(image * factor.numerator, factor.denominator, int(answer.exponents[draw]))
    return float(np.abs(answer.pixels[draw] - wanted).max() / (np.abs(wanted).max() or 1.0))


# ------------------------------------------------------------------------------------------------ deep chains of integers

LOW, HIGH = np.array([1, 2, 1]), np.array([1, -2, 1])


def smooth_then_rough(n: int, rough: int, ndim: int, *shape: int, salt: str) -> list[Array]:
    """`n` kernels of integers, the first `rough` of which take second differences of what the others have smoothed.

    On a map, n layers (1 2 1) leave the half sine that vanishes beyond the border, times rounding errors of all frequencies;
    each second difference keeps (pi / pixels)**2 of the one and up to 4 of the others. `shape`: leading axes, where small
    random integers differ.
    """
    rng = generator(n, salt)
    kernels = []
    for layer in range(n):
        kernel = np.ones((), dtype=np.int64)
        for _ in range(ndim):
            kernel = np.multiply.outer(kernel, HIGH if layer < rough else LOW)
        factors = rng.integers(1, 4, shape) * rng.choice([-1, 1])
        kernels.append(np.multiply.outer(factors, kernel).astype(np.float64))
    return kernels


def plain(n: int, rough: int, size: tuple[int, ...], **options: Any) -> Problem:
    """n layers of 3 taps on a map of one size."""
    padding = options.get("dilation", 1)
    weights = smooth_then_rough(n, rough, len(size), salt="plain")
    return Problem(Stack([Conv(3, padding=padding, **options)], ndim=len(size)) * n, weights, size)


def strided() -> Problem:
    layers = [Conv(3, padding=1)] * 292
    for position in (150, 220, 280):
        layers[position] = Conv(3, padding=1, stride=2)
    weights = smooth_then_rough(292, 5, 1, salt="strided")
    return Problem(Stack(layers, ndim=1), weights, (61,))


def channels(groups: int, ndim: int) -> Problem:
    n, size = (300, (37,)) if ndim == 1 else (80, (9, 8))
    middle = smooth_then_rough(n, 4 if ndim == 2 else 5, ndim, 4, 4 // groups, salt="channels")
    middle[0] = middle[0][:, : 2 // min(groups, 2)]
    net = [Conv(3, padding=1, groups=min(groups, 2)), *[Conv(3, padding=1, groups=groups)] * (n - 1)]
    return Problem(Stack(net, ndim=ndim), middle, size)


def pooled() -> Problem:
    """Pools whose windows at the border divide by what they hold: factors k / m that are no floats."""
    block = [Conv(3, padding=1)] * 50 + [AvgPool(7, stride=1, padding=3, count_include_pad=False)]
    weights = smooth_then_rough(300, 6, 1, salt="pooled")
    return Problem(Stack(block * 6, ndim=1), weights, (40,))


def drawn() -> Problem:
    weights = [np.stack([w, -w[::-1], 3 * w, w]) for w in smooth_then_rough(300, 5, 1, salt="draws")]
    weights[40] = np.array([[1, 2, 1], [-3, 1, 2], [1, 5, 1], [2, 2, 3]], dtype=np.float64)
    return Problem(Stack([Conv(3, padding=1)], ndim=1) * 300, weights, (50,), 4)


DEEP: dict[str, Callable[[], Problem]] = {
    "1-D map, 300 layers": lambda: plain(300, 5, (60,)),
    "1-D map, 1000 layers": lambda: plain(1000, 5, (41,)),
    "2-D map, 300 layers": lambda: plain(300, 4, (9, 8)),
    "2-D map, 1000 layers": lambda: plain(1000, 5, (6, 5)),
    "1-D plane": lambda: plain(300, 6, (5000,)),
    "dilations": lambda: plain(300, 5, (75,), dilation=2),
    "strides": strided,
    "channels": lambda: channels(1, 1),
    "channels in groups": lambda: channels(2, 1),
    "channels on a 2-D map": lambda: channels(1, 2),
    "pools with divisors": pooled,
    "draws": drawn,
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_chains_keep_every_digit_where_float64_has_lost_them(name: str) -> None:
    problem = DEEP[name]()
    extended, plainly = problem.errors(run(problem.chain), run(problem.chain, "float64"))
    assert plainly > 1e-9
    assert extended <= ROUNDED


@pytest.mark.parametrize("name", DEEP)
def test_gradient_finds_a_way_that_keeps_the_tolerance(name: str) -> None:
    """Whatever engine it takes, and says why; the error it states is not below the true one."""
    problem = DEEP[name]()
    if name == "2-D map, 1000 layers":  # the estimate knows no borders, and on 6 x 5 pixels they leave little to amplify
        with pytest.raises(ef.AccuracyError, match="through 1000 layers"):
            ef.gradient(problem.net, problem.weights, input_size=problem.input_size)
        return
    erf = ef.gradient(problem.net, problem.weights, input_size=problem.input_size, unit=problem.unit, window="full")
    chain = replace(problem.chain, gain=Decimal(1))
    pixels = erf.image if problem.draws is not None else erf.image[None]
    answer = Answer(pixels, np.atleast_1d(erf.exponent))
    worst = 0.0
    for draw in range(problem.draws or 1):
        weights = problem.weights if problem.draws is None else [w[draw] for w in problem.weights]
        origin, image, scale, _ = exact_gradient(problem.net, weights, problem.input_size, chain.unit)
        worst = max(worst, error(chain, answer, draw, origin, image, scale))
    assert worst <= erf.error <= 1e-12, f"{erf.engine}: {erf.reason}"


@pytest.mark.parametrize("numbers", batches(60, 600, 30))
def test_random_networks_are_right_to_the_last_place(numbers: range) -> None:
    """All strides, dilations, paddings, pools, channels and groups, with weights of all digits.

    The first layer's are cut to 20 binary places: they are summed over the input channels before any engine sees them.
    """
    for number in numbers:
        case = random_case(number, "extended")
        weights = [np.ldexp(np.rint(np.ldexp(case.weights[0], 20)), -20), *case.weights[1:]]
        problem = Problem(case.net, weights, case.input_size, case.draws, case.unit)
        assert problem.errors(run(problem.chain)) <= [ROUNDED], f"case {number}: {case}"


@pytest.mark.parametrize("number", cases(6, 60))
def test_the_border_account_is_that_of_the_squares(number: int) -> None:
    rng = generator(number, "border")
    net = Stack([Conv((3, 2), padding=((1, 1), (1, 0)))]) * 20
    weights = [rng.integers(-9, 10, (3, 2)).astype(np.float64) + np.eye(3, 2) for _ in range(20)]
    chain = lower_gradient(net, weights, (9, 12), (int(rng.integers(9)), int(rng.integers(12))))
    *_, kept = exact_gradient(net, weights, (9, 12), chain.unit)
    border = run(chain).outcome.border
    assert border == pytest.approx([1 - kept.prod()], rel=0, abs=tolerance("account"))
    assert border[0] > 0.01


def test_powers_of_two_in_the_weights_leave_through_the_exponent() -> None:
    problem = plain(300, 5, (60,))
    rng = generator(0, "powers")
    shifts = rng.integers(-900, 900, 300)
    moved = run(problem._replace(weights=[np.ldexp(w, s) for w, s in zip(problem.weights, shifts, strict=True)]).chain)
    still = run(problem.chain)
    np.testing.assert_array_equal(moved.pixels, still.pixels)
    np.testing.assert_array_equal(moved.exponents, still.exponents + shifts.sum())


# ------------------------------------------------------------------------------------------------ the arithmetic


def cancelled(draws: int) -> tuple[list[Array], Array]:
    """Layers that leave g1 * fl(g0) - g0 * fl(g1) in their middle pixel, where g = (x, y) * z * u: low parts and nothing else."""
    rng = generator(draws, "cancelled")

    def numbers(taps: int) -> Array:
        return np.asarray(
            np.ldexp(rng.uniform(1, 2, (draws, taps)) * rng.choice([-1, 1], (draws, taps)), rng.integers(-30, 30, (draws, 1)))
        )

    pair, z, u = numbers(2), numbers(1), numbers(1)
    g = np.array([[float(Fraction(v) * Fraction(a) * Fraction(b)) for v in p] for p, [a], [b] in zip(pair, z, u, strict=True)])
    return [g * [1, -1], u, z, pair], g


def test_what_cancels_shows_the_low_parts_to_their_roundoff() -> None:
    """Products and sums of double-doubles against rationals, where float64 has no digit left."""
    weights, g = cancelled(300)
    chain = lower_gradient(Stack([Conv(2), Conv(1), Conv(1), Conv(2)], ndim=1), weights)
    errors: dict[str, list[float]] = {"extended": [], "float64": []}
    for dtype, found in errors.items():
        answer = run(chain, dtype)
        for draw in range(300):
            _, image, scale, _ = exact_gradient(chain.net, [w[draw] for w in weights], None, (0,))
            exact, size = image[1] * scale, abs(Fraction(g[draw, 0]) * Fraction(g[draw, 1]))
            assert abs(exact) < size / 2**50
            pixel = Fraction(answer.pixels[draw, 1]) * Fraction(2) ** int(answer.exponents[draw])
            found.append(float((abs(pixel - exact) - abs(exact) / 2**53) / size))
    assert max(errors["extended"]) <= 3 * EXTENDED_ROUNDOFF  # z is exact, u rounds once, the last layer twice
    assert np.median(errors["float64"]) > 1e13 * EXTENDED_ROUNDOFF


@pytest.mark.parametrize("ndim", [1, 2])
@pytest.mark.parametrize("k", [3, 5, 6, 7, 11])
def test_divisors_at_the_border_keep_their_low_parts(k: int, ndim: int) -> None:
    """Factors k / m are no floats. Two taps below the pool leave a * fl(b) - b * fl(a) of two of its pixels."""
    kernel, size, unit = generator(k, "divisors").standard_normal((2,) * ndim), (2 * k,) * ndim, (1,) * ndim
    above = Stack([AvgPool(k, stride=1, padding=k // 2, count_include_pad=False), Conv(2)], ndim=ndim)
    _, image, scale, _ = exact_gradient(above, [kernel], size, unit)
    pixels = (image * scale).astype(np.float64)
    products = np.abs(pixels[..., 1:] * pixels[..., :-1]) * (pixels[..., 1:] != pixels[..., :-1])
    first = np.unravel_index(int(products.argmax()), products.shape)
    second = (*first[:-1], first[-1] + 1)
    weights = [np.array([pixels[first], -pixels[second]]).reshape((1,) * (ndim - 1) + (2,)), kernel]
    net, size = Stack([Conv(weights[0].shape), *above], ndim=ndim), (*size[:-1], size[-1] + 1)
    chain = lower_gradient(net, weights, size, unit)
    origin, image, scale, _ = exact_gradient(net, weights, size, unit)
    answer = run(chain)
    assert origin == chain.box[0]
    exact, terms = image[second] * scale, Fraction(products.max())
    pixel = Fraction(float(answer.pixels[0][second])) * Fraction(2) ** int(answer.exponents[0]) * Fraction(chain.gain)
    assert 0 < abs(exact) < terms / 2**50
    assert abs(pixel - exact) <= abs(exact) / 2**53 + terms * Fraction(3 * EXTENDED_ROUNDOFF)


@pytest.mark.parametrize("n", [80, 100])
def test_the_estimate_with_this_roundoff_is_never_below_the_error(n: int) -> None:
    """Where even these digits are lost, the loss is what the condition of the chain tells."""
    for number in cases(4, 40):
        rng = generator(number, f"extended condition {n}")
        weights = [(HIGH if i < n // 2 else LOW) * 40.0 + rng.integers(-3, 4, 3) for i in range(n)]
        problem = Problem(Stack([Conv(3)], ndim=1) * n, weights)
        (found,) = problem.errors(run(problem.chain))
        estimate = condition.estimate_error(problem.chain.steps, 1, EXTENDED_ROUNDOFF)
        assert found > 1e-12
        assert found <= estimate <= 1e4 * found, f"case {number}: error {found:.1e}, estimate {estimate:.1e}"


@pytest.mark.parametrize("trim", [0.0, 1e-20])
def test_positive_chains_agree_pixel_by_pixel(trim: float) -> None:
    chain = lower_variance(Stack([Conv(3), Conv((3, 2), dilation=2)]) * 30)
    resources = Resources(1, MEMORY, None, "use fewer layers")
    images = []
    for dtype in ("float64", "extended"):
        (outcome,) = execution.run_direct(chain, dtype=dtype, trim=trim, resources=resources)
        images.append(np.ldexp(outcome.write(chain.box, 1 / outcome.peaks), outcome.exponents[0] + np.log2(outcome.peaks[0]).astype(int)))
        assert outcome.trimmed[0] <= trim
    assert ROUNDED / 2 <= outcome.rounding[0] < 1.01 * ROUNDED / 2
    shown = images[0] > 1e-6 * images[0].max()
    np.testing.assert_allclose(images[1][shown], images[0][shown], rtol=tolerance("deep variance"), atol=0)


def test_sides_that_are_exactly_zero_are_left_out() -> None:
    kernel = np.array([[0, 0, 0, 0], [0, 3, -1, 0], [0, 1, 7, 0], [0, 0, 0, 0]], dtype=np.float64)
    outcome = run(lower_gradient(Stack([Conv(4)]) * 30, [kernel] * 30)).outcome
    assert [outcome.span(0, axis) for axis in (0, 1)] == [(30, 60), (30, 60)]


def test_one_dead_draw_is_one_draw() -> None:
    """On one pixel, a kernel whose middle is zero leaves nothing."""
    weights = [np.array([[1.0, 5, 1]] * 3), np.array([[1.0, -2, 1], [1, 0, 1], [0, 3, 1]])]
    answer = run(lower_gradient(Stack([Conv(3, padding=1)] * 2, ndim=1), weights, 1))
    assert [answer.outcome.alive(d) for d in range(3)] == [True, False, True]
    np.testing.assert_array_equal(np.ldexp(answer.pixels[:, 0], np.where(answer.pixels[:, 0] == 0, 0, answer.exponents)), [-10, 0, 15])


# ------------------------------------------------------------------------------------------------ the same bits


def work() -> dict[str, Chain]:
    """Chains whose last layers are worth several times what wakes the other threads."""
    rng = generator(0, "work")
    kernels = rng.standard_normal((20, 7, 7))
    mixing = [rng.standard_normal((6, 6, 3, 3)) for _ in range(12)]
    strides = [Conv(5, dilation=3)] * 4 + [Conv(5, stride=2)] * 2 + [Conv(5, dilation=2)] * 2
    return {
        "plane": lower_gradient(Stack([Conv(7)]) * 20, kernels),
        "map": lower_gradient(Stack([Conv(7, padding=3)]) * 20, kernels, 60, (3, 59)),
        "channels": lower_gradient(Stack([Conv(3, padding=1)]) * 12, mixing, 40),
        "strides and dilations": lower_gradient(Stack(strides), rng.standard_normal((8, 5, 5))),
        "draws": lower_gradient(Stack([Conv(5)]) * 8, rng.standard_normal((7, 8, 5, 5))),
    }


WORK = work()


@pytest.mark.parametrize("name", WORK)
def test_same_bits_for_any_number_of_threads(name: str) -> None:
    one = run(WORK[name])
    for threads in (2, 3):
        other = run(WORK[name], threads=threads)
        np.testing.assert_array_equal(other.pixels, one.pixels)
        np.testing.assert_array_equal(other.exponents, one.exponents)
        np.testing.assert_array_equal(other.outcome.border, one.outcome.border)


ON_ONE_SET = """
import sys, numpy as np, erffast as ef
sys.path.insert(0, sys.argv[2])
from test_extended import Stack, AvgPool, Conv, DEEP, WORK, generator, lower_gradient, run
found = {name: run(problem().chain) for name, problem in DEEP.items()} | {name: run(chain) for name, chain in WORK.items()}
rng = generator(0, "widths")
for n in (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 255, 256, 257):  # images of every width around the vectors' and the pieces'
    net = Stack([Conv((n, 3)), AvgPool(2, stride=1), Conv((3, n), stride=(1, 2))])
    found[f"{n} wide"] = run(lower_gradient(net, [rng.standard_normal((n, 3)), rng.standard_normal((3, n))]))
np.savez(sys.argv[1], **{name: a.pixels for name, a in found.items()}, exponents=np.concatenate([a.exponents for a in found.values()]))
print(ef.build_info()["instruction_set"])
"""


def test_same_bits_on_every_instruction_set(tmp_path: Any) -> None:
    """x86-64-v2 among them: what is fused is written as such, and nothing else is."""
    answers = {}
    for name in SETS:
        path = tmp_path / f"{name}.npz"
        env = {k: v for k, v in os.environ.items() if not k.startswith("ERFFAST_")} | {"ERFFAST_CPU_ISA": name}
        command = [sys.executable, "-c", ON_ONE_SET, str(path), os.path.dirname(__file__)]
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        if f"ERFFAST_CPU_ISA={name} is not supported by this machine" in done.stderr:
            continue
        assert done.stdout.split() == [name], done.stderr
        answers[name] = dict(np.load(path))
    if len(answers) < 2:
        pytest.skip(f"this machine has {list(answers)} only")
    for name, images in answers.items():
        for key, image in images.items():
            np.testing.assert_array_equal(image, answers[SETS[0]][key], err_msg=f"{name}: {key}")


# ------------------------------------------------------------------------------------------------ memory, Ctrl-C, progress


def test_memory_is_asked_for_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two working images of two numbers a pixel, and the answer: 5 x 8 bytes where float64 takes 3 x 8."""
    chain = lower_gradient(Stack([Conv(3)]) * 50, generator(0, "memory").standard_normal((50, 3, 3)))
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", "300K")
    run(chain, "float64")
    with pytest.raises(
        MemoryError, match=r"^a receptive field of 101 x 101 pixels needs 398 KiB, and 300 KiB are available; use fewer layers$"
    ):
        run(chain)


def test_the_memory_limit_holds_in_the_engine_too() -> None:
    chain = lower_gradient(Stack([Conv(3)]) * 50, generator(0, "memory").standard_normal((50, 3, 3)))
    run(chain, "float64", memory=2**18)
    with pytest.raises(MemoryError, match=r"^the two working images need .* KiB, and 256 KiB are available; use fewer layers$"):
        run(chain, memory=2**18)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux reports it")
def test_an_answer_takes_at_most_five_images(run_python: Any) -> None:
    code = f"""
import resource, sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from test_extended import Conv, Stack, generator, lower_gradient, run
def peak():
    return 1024 * int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
weights = generator(0, "images").standard_normal((4, 3, 3))
run(lower_gradient(Stack([Conv(3)]) * 4, weights))
before = peak()
answer = run(lower_gradient(Stack([Conv(3), *[Conv(3, stride=30)] * 3]), weights), memory=2**31)
print((peak() - before) / answer.pixels.nbytes)
"""
    assert float(run_python(code).stdout) < 5


LONG = {
    "one long image": "Stack([Conv(7)]) * 1000, rng.standard_normal((1000, 7, 7))",
    "many draws": "Stack([Conv(7)]) * 200, rng.standard_normal((8, 200, 7, 7))",
    "one row with many taps": "Stack([Conv(200000)] * 2, ndim=1), rng.standard_normal((2, 200000))",
}


@pytest.mark.parametrize("case", LONG)
def test_ctrl_c_is_answered_at_once(case: str, run_python: Any) -> None:
    """Promised within 0.2 s, allowed 1 s for a busy machine; each of these runs takes more than 10 s if it is let."""
    code = f"""
import os, signal, sys, threading, time
sys.path.insert(0, {os.path.dirname(__file__)!r})
from test_extended import Conv, Stack, generator, lower_gradient, run
rng = generator(0, "long")
chain = lower_gradient({LONG[case]})
def interrupt():
    global sent
    time.sleep(1.0)
    sent = time.perf_counter()
    os.kill(os.getpid(), signal.SIGINT)
helper = threading.Thread(target=interrupt)
helper.start()
try:
    run(chain, threads=2, memory=2**31)
    print("was done before it was interrupted")
except KeyboardInterrupt:
    print(time.perf_counter() - sent)
"""
    assert float(run_python(code).stdout) < 1


@pytest.mark.parametrize("name", ["plane", "draws"])
def test_progress_climbs_to_its_total_and_may_end_the_run(name: str) -> None:
    chain, seen = WORK[name], [(0, 0)]
    run(chain, threads=2, meter=Meter(lambda done, of: seen.append((done, of))))
    total = chain.layers * (chain.draws or 1)
    assert seen == sorted(seen)
    assert seen[-1] == (total, total)

    def report(done: int, of: int) -> None:
        raise LookupError("enough")

    long = lower_gradient(Stack([Conv(7)]) * 60, generator(0, "report").standard_normal((60, 7, 7)))
    with pytest.raises(LookupError, match=r"^enough$"):
        run(long, threads=2, meter=Meter(report))
