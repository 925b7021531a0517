"""`simulate` against torch's automatic differentiation on the same networks, and against theorems."""

from __future__ import annotations

import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from erffast import _core, geometry
from erffast.layers import Conv, Stack

torch = pytest.importorskip("torch")
from simulated_networks import ACTIVATIONS, Torch, random_network, residual_network  # noqa: E402


def on_map(erf: ef.ERF, draw: int, size: tuple[int, ...]) -> NDArray[np.float64]:
    out = np.zeros(size)
    image = np.ldexp(np.asarray(erf.image[draw], dtype=np.float64), int(np.asarray(erf.exponent)[draw]))
    out[tuple(slice(o, o + n) for o, n in zip(erf.origin, image.shape, strict=True))] = image
    return out


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


# ------------------------------------------------------------------------------------------------ theorems


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
    assert exact.border == pytest.approx(0, abs=1e-12) if "input_size" not in options else True


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


# ------------------------------------------------------------------------------------------------ what is returned


def test_reductions_over_channels() -> None:
    net = ef.parse("conv3, tanh, conv3")
    images = np.random.default_rng(1).normal(size=(3, 9, 9))
    options: dict[str, Any] = {"draws": 4, "channels": 2, "inputs": images, "keep_draws": True}
    gradients = [Torch_of_images(net, images, draw) for draw in range(4)]
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


def Torch_of_images(net: Stack, images: NDArray[np.float64], draw: int) -> NDArray[np.float64]:
    """Gradient of the middle unit, [channels, *map], for images [channels, *map] and hidden channels of two."""
    wide = Stack([Conv(c.kernel, channels=2) if isinstance(c, Conv) else c for c in net])
    return Torch(wide, images.shape[1:], (2, 2), 0, draw, inputs=images.copy()).gradient((2, 2))


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


def test_ten_thousand_layers_stay_in_range() -> None:
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


def test_progress_and_interruption() -> None:
    seen: list[tuple[int, int]] = []
    ef.simulate(ef.parse("(conv3, relu) * 10"), draws=130, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (130 * 19, 130 * 19)


DERIVATIVES = {
    "relu": lambda x: mpmath.mpf(x > 0),
    "leaky_relu": lambda x: mpmath.mpf(1) if x > 0 else mpmath.mpf(0.01),
    "tanh": lambda x: mpmath.sech(x) ** 2,
    "sigmoid": lambda x: 1 / (mpmath.exp(x / 2) + mpmath.exp(-x / 2)) ** 2,
    "gelu": lambda x: mpmath.ncdf(x) + x * mpmath.npdf(x),
    "silu": lambda x: 1 / (1 + mpmath.exp(-x)) * (1 + x / (1 + mpmath.exp(x))),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
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


ONE = ef.parse("conv3, relu, conv3")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"draws": 0}, ValueError, "draws must be at least 1, got 0"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"seed": 2**64}, ValueError, "seed must be within 2**62"),
        ({"channels": 0}, ValueError, "channels must be at least 1, got 0"),
        ({"scheme": "kaiming"}, ValueError, "scheme must be one of 'he', 'glorot'"),
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


def test_random_numbers_are_those_that_are_published_for_a_draw() -> None:
    """Weights of layer 0 are the normals of its stream, in the order [out, in, *kernel]."""
    net = Stack([Conv(3, channels=2), Conv(1)], ndim=1)
    erf = ef.simulate(net, draws=1, seed=9, reduction="signed")
    first = _core.normals(9, 0, 0, "weight", 6).reshape(2, 3) * math.sqrt(2 / 3)
    second = _core.normals(9, 0, 1, "weight", 2) * math.sqrt(2 / 2)
    assert np.asarray(erf) == pytest.approx(second @ first, rel=1e-14)
