"""What `simulate` returns: the same for any thread, executor and order; means, errors, sizes of numbers; and how it refuses."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import erffast as ef
from erffast.layers import Conv, Stack
from oracles import on_map


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_draws_do_not_depend_on_threads_or_on_each_other(threads: int) -> None:
    net = ef.parse("(conv3, relu, dropout0.2) * 4, maxpool2, conv3")
    whole = ef.simulate(net, draws=70, seed=3, channels=3, keep_draws=True, threads=1)
    some = ef.simulate(net, draws=5, seed=3, channels=3, keep_draws=True, threads=threads)
    assert np.array_equal(some.image, whole.image[:5])
    assert np.array_equal(some.exponent, whole.exponent[:5])  # type: ignore[index]
    mean = ef.simulate(net, draws=70, seed=3, channels=3, threads=threads)
    one = ef.simulate(net, draws=70, seed=3, channels=3, threads=1)
    assert np.array_equal(mean.image, one.image)
    assert np.array_equal(mean.stderr, one.stderr)  # type: ignore[arg-type]
    assert mean.error == one.error


def test_many_rows_are_shared_out_among_threads() -> None:
    """One draw: all threads work at each of its layers."""
    net = ef.parse("(conv3:p1, relu) * 3, conv3:p1/2, conv3:p1")
    one, three = (ef.simulate(net, draws=1, channels=8, input_size=96, keep_draws=True, threads=n) for n in (1, 3))
    assert np.array_equal(one.image, three.image)


def test_an_executor_gives_the_same_bits() -> None:
    net = ef.parse("(conv3, relu) * 5", ndim=1)
    here = ef.simulate(net, draws=200, channels=2, inputs=np.random.default_rng(0).normal(size=(7, 1, 31)))
    with ThreadPoolExecutor(2) as executor:
        there = ef.simulate(net, draws=200, channels=2, inputs=np.random.default_rng(0).normal(size=(7, 1, 31)), executor=executor)
    assert np.array_equal(here.image, there.image)
    assert np.array_equal(here.stderr, there.stderr)  # type: ignore[arg-type]
    assert (here.exponent, here.dead, here.error) == (there.exponent, there.dead, there.error)


class Post(Executor):
    """Works at once, on what comes out of the post; `sizes` of what was sent, in bytes."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        letter = pickle.dumps((function, args, kwargs))
        self.sizes.append(len(letter))
        function, args, kwargs = pickle.loads(letter)
        future: Future[Any] = Future()
        future.set_result(function(*args, **kwargs))
        return future


@pytest.mark.parametrize("keep_draws", [False, True])
@pytest.mark.parametrize("images", [1, 3, 64, 97, 200])
def test_parts_are_sent_their_own_weights_and_images_only(images: int, keep_draws: bool) -> None:
    """Images of 80 x 80 pixels, of which the unit sees 5 x 5; three parts of at most 64 draws."""
    rng = np.random.default_rng(0)
    pictures, draws = rng.normal(size=(images, 1, 80, 80)), 150
    options: dict[str, Any] = {"draws": draws, "inputs": pictures, "keep_draws": keep_draws, "unit": (40, 7)}
    options["weights"] = [rng.normal(size=(draws, 4, 1, 3, 3)), rng.normal(size=(draws, 2, 4, 3, 3))]
    post = Post()
    here, there = ef.simulate(ONE, **options), ef.simulate(ONE, executor=post, **options)
    assert np.array_equal(here.image, there.image)
    assert np.array_equal(here.exponent, there.exponent)  # type: ignore[arg-type]
    assert len(post.sizes) == 3
    assert max(post.sizes) < 64 * 8 * (4 * 9 + 72 + 25) + 3000  # what each needs, and the description of the network


ELSEWHERE = """
import sys, numpy as np, erffast as ef
if __name__ == "__main__":
    net, options = ef.parse("(conv3, relu) * 5"), {"draws": 200, "channels": 2}
    here = ef.simulate(net, **options)
    if sys.argv[1] == "dask":
        from distributed import Client, LocalCluster
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
            there = ef.simulate(net, executor=client.get_executor(), **options)
    else:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(sys.argv[1])) as executor:
            there = ef.simulate(net, executor=executor, **options)
    assert np.array_equal(here.image, there.image) and np.array_equal(here.stderr, there.stderr)
    assert (here.exponent, here.dead, here.error, here.draws) == (there.exponent, there.dead, there.error, there.draws)
"""


@pytest.mark.parametrize("kind", ["spawn", "forkserver", "dask"])
def test_other_processes_give_the_same_bits(kind: str, tmp_path: Path) -> None:
    if kind == "dask":
        pytest.importorskip("distributed", reason="Dask's workers are not installed (pip install distributed)")
    program = tmp_path / "elsewhere.py"
    program.write_text(ELSEWHERE)
    done = subprocess.run([sys.executable, str(program), kind], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------------------------------------ what is returned


def test_mean_and_standard_error_are_those_of_the_draws() -> None:
    net = ef.parse("(conv3, relu) * 4", ndim=1)
    draws = 150
    kept = ef.simulate(net, draws=draws, channels=2, keep_draws=True)
    each = np.array([on_map(kept, draw, (9,)) for draw in range(draws)])
    mean = ef.simulate(net, draws=draws, channels=2)
    assert (mean.draws, kept.draws) == (draws, draws)
    assert np.asarray(mean) == pytest.approx(each.mean(axis=0), rel=1e-13)
    stderr = np.ldexp(np.asarray(mean.stderr), int(mean.exponent))
    assert stderr == pytest.approx(each.std(axis=0) / math.sqrt(draws), rel=1e-12)
    # what it tends to: the mean of draws taken again and again with replacement
    rng = np.random.default_rng(0)
    again = np.array([each[rng.integers(0, draws, draws)].mean(axis=0) for _ in range(4000)])
    assert again.std(axis=0) == pytest.approx(stderr, rel=0.1)
    typical = ef.simulate(net, draws=draws, channels=2, normalise=True)
    masses = each.sum(axis=1)
    assert np.asarray(typical) == pytest.approx((each[masses > 0] / masses[masses > 0, None]).mean(axis=0), rel=1e-12)
    assert typical.dead == kept.dead == (masses == 0).sum()
    assert typical.draws == draws - typical.dead


def test_float32_equals_float64_within_what_it_reports() -> None:
    net = ef.parse("(conv3, relu) * 8")
    single, double = (ef.simulate(net, draws=6, channels=4, keep_draws=True, dtype=d) for d in ("float32", "float64"))
    assert single.image.dtype == np.float32
    for draw in range(6):
        a, b = on_map(single, draw, (17, 17)), on_map(double, draw, (17, 17))
        assert np.abs(a - b).max() <= 30 * single.error * b.max()
    assert 1e-8 < single.error < 1e-4
    assert double.error < 1e-13


def test_deep_linear_networks_report_that_float32_gives_noise() -> None:
    """One channel, signed kernels: rounding grows from layer to layer."""
    net = ef.parse("conv3 * 300")
    assert ef.simulate(net, draws=1, dtype="float32", threads=2).error > 1e-3
    assert ef.simulate(net, draws=1, threads=2).error < 1e-6


def test_two_thousand_layers_stay_in_range() -> None:
    net = ef.parse("(conv2, leaky_relu) * 1000", ndim=1)
    for scheme in ("ones", "he"):
        erf = ef.simulate(net, draws=2, scheme=scheme, threads=1, dtype="float32")
        assert np.isfinite(np.asarray(erf.image)).all()
        assert np.isfinite(erf.log10_peak())


def test_images_windows_and_layers() -> None:
    images = np.random.default_rng(2).uniform(size=(2, 24, 24))
    net = ef.parse("(conv3:p1, relu) * 5, conv3:p1/2")
    erf = ef.simulate(net, draws=4, inputs=images[:, None], channels=2)
    assert erf.input_size == (24, 24)
    assert erf.unit == (6, 6)
    cropped = ef.simulate(net, draws=4, inputs=images[:, None], channels=2, window=5)
    assert cropped.image.shape == (5, 5)
    assert 0 < cropped.lost < 1
    inner = ef.simulate(net, draws=4, inputs=images[:, None], channels=2, layer=4)
    assert inner.receptive_field.size == (7, 7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("power", [-1074, -1030, -140, 140, 1020])
def test_numbers_of_any_size(power: int, dtype: Any) -> None:
    """Weights, inputs and factors far beyond the range of the dtype, subnormal ones too: ReLU networks only scale."""
    net = ef.parse("conv3, relu, conv3")
    weights = [np.ones((3, 3)), np.arange(9.0).reshape(3, 3)]
    options: dict[str, Any] = {"draws": 1, "reduction": "signed", "dtype": dtype}
    plain = ef.simulate(net, weights=weights, inputs=np.ones((5, 5)), **options)
    for changed in (
        ef.simulate(net, weights=weights, inputs=np.ldexp(np.ones((5, 5)), power), **options),
        ef.simulate(net, weights=[np.ldexp(weights[0], power), weights[1]], inputs=np.ones((5, 5)), **options),
        ef.simulate(
            Stack([*list(net)[:1], ef.Scale(math.ldexp(1.0, power)), *list(net)[1:]]), weights=weights, inputs=np.ones((5, 5)), **options
        ),
    ):
        assert np.array_equal(changed.image, plain.image)
    drawn, grown = (
        ef.simulate(Stack([Conv(3, variance_gain=g), ef.Activation("relu"), Conv(3)]), draws=5, dtype=dtype)
        for g in (1.0, 2.0 ** (2 * (power // 4)))
    )
    assert np.array_equal(drawn.image, grown.image)
    assert drawn.dead == grown.dead < 5


def test_weights_are_for_the_whole_network_whichever_layer_is_asked() -> None:
    weights = np.random.default_rng(0).normal(size=(2, 3, 3))
    first = ef.simulate(ef.parse("conv3, relu, conv3"), weights=weights, layer=0, draws=1, reduction="signed")
    assert np.asarray(first) == pytest.approx(weights[0], rel=1e-15)


def test_large_windows() -> None:
    """More taps than a max-pool may have."""
    erf = ef.simulate(Stack([Conv(70_000)], ndim=1), draws=1)
    assert erf.image.shape == (70_000,)
    with pytest.raises(ValueError, match=r"layer 0 \(maxpool70000\): simulate\(\) takes max-pools of fewer than 65535 pixels"):
        ef.simulate(Stack([ef.MaxPool(70_000)], ndim=1), draws=1)


def test_kept_draws_come_from_an_executor_too() -> None:
    net = ef.parse("(conv3, relu) * 3")
    with ThreadPoolExecutor(2) as executor:
        there = ef.simulate(net, draws=130, keep_draws=True, executor=executor)
    assert np.array_equal(there.image, ef.simulate(net, draws=130, keep_draws=True).image)


def test_one_draw_has_no_standard_error() -> None:
    assert ef.simulate(ef.parse("conv3"), draws=1).stderr is None


def test_dead_draws_are_counted() -> None:
    """Behind a narrow ReLU network many units have no gradient; a last ReLU, which would add half, is left out."""
    net = ef.parse("(conv3, relu) * 5")
    erf = ef.simulate(net, draws=400)
    assert 0.05 < erf.dead / 400 < 0.2  # theory: 12 to 14 % in 2-D at five layers
    assert f"{erf.dead} dead draws" in repr(erf)
    trailing = ef.simulate(ef.parse("(conv3, relu) * 4, conv3"), draws=400)
    assert np.array_equal(trailing.image, erf.image)


def test_progress_rises_to_the_total() -> None:
    seen: list[tuple[int, int]] = []
    ef.simulate(ef.parse("(conv3, relu) * 10"), draws=130, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (130 * 19, 130 * 19)


# ------------------------------------------------------------------------------------------------ how it refuses


ONE = ef.parse("conv3, relu, conv3")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"draws": 0}, ValueError, "draws must be at least 1, got 0"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"seed": 2**64}, ValueError, "seed must be within 2**62"),
        ({"channels": 0}, ValueError, "channels must be at least 1, got 0"),
        ({"scheme": "kaiming"}, ValueError, "scheme must be one of 'he', 'glorot'"),
        ({"scheme": 1.5}, ValueError, "or 'wide' and a number as in 'wide1.5', got 1.5"),
        ({"scheme": "wide"}, ValueError, "scheme 'wide': 'wide' takes a finite number behind it, as in 'wide1.5'"),
        ({"scheme": "wideabc"}, ValueError, "scheme 'wideabc': 'wide' takes a finite number"),
        ({"scheme": "wide1e999"}, ValueError, "scheme 'wide1e999': 'wide' takes a finite number"),
        ({"inputs": "noise"}, ValueError, "inputs must be one of 'normal', 'uniform', 'constant'"),
        ({"inputs": np.zeros(3)}, ValueError, "inputs has shape (3,); wanted [*map]"),
        ({"inputs": np.full((9, 9), np.nan)}, ValueError, "inputs must be finite"),
        ({"inputs": np.zeros((9, 9)), "input_size": 8}, ValueError, "input_size 8 is not the size of the inputs, (9, 9)"),
        ({"reduction": "mean"}, ValueError, "reduction must be one of"),
        ({"device": "cuda"}, ef.BackendUnavailable, "simulate() has no GPU code"),
        ({"window": 99}, ValueError, "larger than the receptive field (5, 5)"),
        ({"keep_draws": True, "normalise": True}, ValueError, "normalise=True is for their mean"),
        ({"weights": [np.ones((3, 3))]}, ValueError, "weights has 1 entries, but the network has 2 convolutions"),
        ({"weights": [np.ones((4, 1, 3, 3)), np.ones((1, 3, 3, 3))]}, ValueError, "weights[1] takes 3 input channels"),
        ({"weights": [np.ones((2, 1, 1, 3, 3)), np.ones((2, 1, 1, 3, 3))], "draws": 3}, ValueError, "weights has 2 draws, but draws is 3"),
        ({"input_size": 4}, ValueError, "the output is empty"),
        ({"unit": (9, 9), "input_size": 9}, ValueError, "unit (9, 9) lies outside the output map"),
        ({"threads": -1}, ValueError, "threads must be at least 0, got -1"),
        ({"executor": 3}, TypeError, "executor must be a concurrent.futures.Executor, got int"),
        ({"inputs": None}, TypeError, "inputs must be one of 'normal', 'uniform', 'constant' or images, got None"),
        ({"weights": np.ones((2, 3, 3)), "channels": 2}, ValueError, "channels is for drawn weights"),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else "",
)
def test_wrong_arguments_are_named(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=None) as raised:
        ef.simulate(ONE, **options)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("net", "error", "message"),
    [
        (
            ef.parse("conv3, batchnorm, conv3"),
            ValueError,
            "layer 1 (batchnorm): the statistics of a norm are taken over the map; give input_size",
        ),
        (ef.parse("conv3, layernorm, conv3"), NotImplementedError, "layer 1 (layernorm): of all norms simulate() takes batch norm only"),
        (ef.parse("conv3", ndim=3), NotImplementedError, "one and two dimensions"),
        (ef.parse("relu, relu"), ValueError, "needs a convolution or a pool"),
        (
            Stack([Conv(3, channels=3), Conv(3, channels=4, groups=2)]),
            ValueError,
            "layer 1 (conv3) has 2 groups, but its input has 3 channels",
        ),
        (Stack([]), ValueError, "the network is empty"),
    ],
    ids=["norm without a map", "layer norm", "3-D", "no window", "groups", "empty"],
)
def test_networks_that_cannot_be_simulated_are_named(net: Stack, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        ef.simulate(net)
    assert message in str(raised.value)


def test_memory_is_asked_for_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", "10M")
    with pytest.raises(MemoryError, match=r"simulating 1 draw at a time needs .*, and 10 MiB are available"):
        ef.simulate(ef.parse("(conv3, relu) * 100"), draws=1, channels=64)
