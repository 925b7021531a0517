"""Mistakes in weights and files, and layers that depend on the input: errors of the right type, with what was wanted and what came."""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import erffast as ef
from refusals import NOT_REAL, RAMP, TWO, changed, check, mistake, refuses

# ------------------------------------------------------------------------------------------------ weights


@refuses(
    mistake("all zero", lambda: np.zeros((2, 3, 3)), ValueError, "weights[0] (layer conv3) is all zero: nothing reaches the input"),
    mistake("one all zero", lambda: [RAMP[0], 0 * RAMP[0]], ValueError, "weights[1] (layer conv3) is all zero: nothing reaches the input"),
    mistake(
        "one draw all zero",
        lambda: np.stack([np.ones((2, 3, 3)), np.zeros((2, 3, 3))]),
        ValueError,
        "weights[0] (layer conv3) is all zero in draw 1: nothing reaches the input",
    ),
    mistake("NaN", lambda: np.concatenate([RAMP, changed(np.nan)]), ValueError, "weights must be finite, got nan at index (1, 1, 2)"),
    mistake("infinite", lambda: [RAMP[0], changed(-np.inf)[0]], ValueError, "weights[1] must be finite, got -inf at index (1, 2)"),
    mistake(
        "kernel of another shape",
        lambda: [np.ones((3, 3)), np.ones((5, 4))],
        ValueError,
        "weights[1] has shape (5, 4), but convolution 1 (conv3) has a kernel of shape (3, 3)",
    ),
    mistake(
        "array of another kernel",
        lambda: np.ones((2, 5, 5)),
        ValueError,
        "weights[0] has shape (5, 5), but convolution 0 (conv3) has a kernel of shape (3, 3)",
    ),
    mistake(
        "too many kernels",
        lambda: np.ones((3, 3, 3)),
        ValueError,
        "weights has 3 kernels (shape (3, 3, 3)), but the network has 2 convolutions",
    ),
    mistake("too few entries", lambda: [np.ones((3, 3))], ValueError, "weights has 1 entries, but the network has 2 convolutions"),
    mistake(
        "too few axes",
        lambda: np.ones((3, 3)),
        ValueError,
        "weights has shape (3, 3); wanted [n_convs, *kernel] or [draws, n_convs, *kernel] with 2 kernel axes, or a list",
    ),
    mistake(
        "channels disagree",
        lambda: [np.ones((4, 2, 3, 3)), np.ones((2, 3, 3, 3))],
        ValueError,
        "weights[1] takes 3 input channels (shape (2, 3, 3, 3)), but weights[0] gives 4 (shape (4, 2, 3, 3))",
    ),
    mistake("no channels", lambda: [np.ones((0, 2, 3, 3))] * 2, ValueError, "weights[0] has no channels: shape (0, 2, 3, 3)"),
    mistake("no draws", lambda: np.ones((0, 2, 3, 3)), ValueError, "weights has draws=0: shape (0, 2, 3, 3)"),
    mistake("no draws in a list", lambda: [np.ones((0, 3, 3))] * 2, ValueError, "weights[0] has no draws: shape (0, 3, 3)"),
    mistake(
        "draws in one only",
        lambda: [np.ones((2, 3, 3)), np.ones((3, 3))],
        ValueError,
        "weights[1] has no draws, but weights[0] has 2: all or none have a draws axis, of one length",
    ),
    mistake(
        "other number of draws",
        lambda: [np.ones((2, 3, 3)), np.ones((3, 3, 3))],
        ValueError,
        "weights[1] has 3 draws, but weights[0] has 2: all or none have a draws axis, of one length",
    ),
    mistake("float16", lambda: np.ones((2, 3, 3), np.float16), TypeError, f"weights {NOT_REAL} float16"),
    mistake("one float16", lambda: [RAMP[0], RAMP[0].astype(np.float16)], TypeError, f"weights[1] {NOT_REAL} float16"),
    mistake("complex", lambda: np.ones((2, 3, 3), np.complex64), TypeError, f"weights {NOT_REAL} complex64"),
    mistake("objects", lambda: np.ones((2, 3, 3), object), TypeError, f"weights {NOT_REAL} object"),
    mistake("dates", lambda: np.ones((2, 3, 3), "M8[s]"), TypeError, f"weights {NOT_REAL} datetime64[s]"),
    mistake("none", lambda: None, TypeError, "weights must be an array or a list of arrays, one per convolution, got NoneType"),
    mistake("a number", lambda: 3.0, TypeError, "weights must be an array or a list of arrays, one per convolution, got float"),
    mistake("a text", lambda: "ones", TypeError, "weights must be an array or a list of arrays, one per convolution, got str"),
)
def test_weights(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    check(lambda: ef.gradient(TWO, call()), kind, message)


def test_weights_and_declared_channels_disagree() -> None:
    net = ef.Stack([ef.Conv(1, channels=4, name="stem")])
    check(lambda: ef.gradient(net, [np.ones((3, 2, 1, 1))]), ValueError, "weights[0] has 3 output channels, but convolution 0 (stem) has 4")


def test_weights_and_groups_disagree() -> None:
    net = ef.Stack([ef.Conv(1, groups=2)])
    message = "weights[0] has 3 output channels, not a multiple of the 2 groups of convolution 0 (conv1)"
    check(lambda: ef.gradient(net, [np.ones((3, 1, 1, 1))]), ValueError, message)


def reversed_bytes(a: np.ndarray) -> np.ndarray:
    return a.astype(a.dtype.newbyteorder(">"))


def read_only(a: np.ndarray) -> np.ndarray:
    out = a.copy()
    out.flags.writeable = False
    return out


def every_second(a: np.ndarray) -> np.ndarray:
    wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), np.nan)
    wide[..., ::2] = a
    return wide[..., ::2]


def backwards(a: np.ndarray) -> np.ndarray:
    return a[..., ::-1, ::-1].copy()[..., ::-1, ::-1]


def unaligned(a: np.ndarray) -> np.ndarray:
    buffer = np.zeros(a.nbytes + 1, dtype=np.uint8)
    out = buffer[1:].view(a.dtype).reshape(a.shape)
    out[...] = a
    return out


READINGS = {
    "big-endian": reversed_bytes,
    "big-endian float32": lambda a: a.astype(">f4"),
    "float32": lambda a: a.astype(np.float32),
    "read-only": read_only,
    "Fortran order": np.asfortranarray,
    "every second column": every_second,
    "reversed views": backwards,
    "unaligned": unaligned,
    "int64": lambda a: a.astype(np.int64),
    "int8": lambda a: a.astype(np.int8),
    "big-endian int": lambda a: a.astype(">i4"),
    "uint8": lambda a: a.astype(np.uint8),
    "list of arrays": list,
    "nested lists": lambda a: a.tolist(),
    "tuple": tuple,
}


@pytest.mark.parametrize("engine", ["direct", "auto"])
@pytest.mark.parametrize("reading", READINGS)
def test_weights_of_any_layout_are_read_as_the_numbers_they_are(reading: str, engine: str) -> None:
    plain = np.random.default_rng(5).integers(1, 100, size=(3, 3, 3)).astype(np.float64)
    given = READINGS[reading](plain)
    wanted = ef.gradient(ef.parse("conv3 * 3"), plain, engine=engine)
    erf = ef.gradient(ef.parse("conv3 * 3"), given, engine=engine)
    np.testing.assert_array_equal(erf.image, wanted.image)
    assert erf.exponent == wanted.exponent


@pytest.mark.parametrize("reading", [r for r in READINGS if r not in ("list of arrays", "tuple")])
def test_tap_variances_of_any_layout_are_read_as_the_numbers_they_are(reading: str) -> None:
    plain = np.random.default_rng(6).integers(1, 100, size=(3, 4)).astype(np.float64)
    assert ef.Conv((3, 4), tap_variance=READINGS[reading](plain)).tap_variance == tuple(map(tuple, plain.tolist()))


def test_draws_of_any_layout_are_read_as_the_numbers_they_are() -> None:
    plain = np.random.default_rng(7).standard_normal((4, 2, 3, 3))
    moved = np.moveaxis(np.ascontiguousarray(np.moveaxis(plain, 0, -1)), -1, 0)
    assert not moved.flags.c_contiguous
    np.testing.assert_array_equal(ef.gradient(TWO, moved).image, ef.gradient(TWO, plain).image)


def test_the_callers_weights_stay_as_they_were() -> None:
    weights = np.random.default_rng(8).standard_normal((2, 3, 3))
    before = weights.copy()
    erf = ef.gradient(TWO, weights)
    np.testing.assert_array_equal(weights, before)
    weights[:] = np.nan
    assert np.isfinite(erf.image).all()


def test_torch_weights() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    plain = np.random.default_rng(9).standard_normal((2, 3, 3))
    wanted = ef.gradient(TWO, plain)
    tensor = torch.tensor(plain, requires_grad=True)
    for given in (tensor, list(tensor), tensor.transpose(1, 2).contiguous().transpose(1, 2)):
        np.testing.assert_array_equal(ef.gradient(TWO, given).image, wanted.image)
    channels = [torch.ones(4, 2, 3, 3), torch.ones(1, 4, 3, 3)]
    assert np.asarray(ef.gradient(TWO, channels)).sum() == pytest.approx(9 * 9 * 4 * 2, rel=1e-14)


def test_torch_half_precision_is_refused() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    check(lambda: ef.gradient(TWO, torch.ones(2, 3, 3, dtype=torch.float16)), TypeError, f"weights {NOT_REAL} float16")
    with pytest.raises(TypeError, match=r"^weights must be float32 or float64"):
        ef.gradient(TWO, torch.ones(2, 3, 3, dtype=torch.bfloat16))


@pytest.mark.parametrize("size", [5e-324, 1e-320, 1e-300, 1e-50, 1e50, 1e300], ids=lambda s: f"{s:g}")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("engine", ["direct", "separable"])
def test_weights_of_any_size_are_read_as_the_numbers_they_are(size: float, dtype: str, engine: str) -> None:
    """Neither float32 nor the engines, which flush denormals, hold them as they come: the exponent does."""
    kernel = np.multiply.outer([1.0, 2.0, 1.0], [1.0, 4.0, 1.0])
    plain = ef.gradient(TWO, np.stack([kernel, kernel]), engine=engine)
    erf = ef.gradient(TWO, np.stack([kernel * size, kernel / kernel.max()]), engine=engine, dtype=dtype)
    mantissa, exponent = np.frexp(size)
    shift = math.ldexp(mantissa / kernel.max(), int(exponent) - int(erf.exponent) + int(plain.exponent))
    # one rounding to float32 each for the taps, the sums and the answer; in float64 the bound of the result itself
    np.testing.assert_allclose(erf.image, plain.image * shift, rtol=8 * 2.0**-24 if dtype == "float32" else 8 * 2.0**-53)


# ------------------------------------------------------------------------------------------------ layers that depend on the input


LINEAR = (
    "gradient() is for linear layers: the gradient of {} depends on the input; use variance() for the expectation at random weights, "
    "or simulate() for random networks as they are"
)


@pytest.mark.parametrize(
    ("net", "name"),
    [
        (ef.parse("conv3, relu"), "relu"),
        (ef.parse("conv3, (conv3, gelu) * 3"), "gelu"),
        (ef.parse("conv3, maxpool2"), "maxpool2"),
        (ef.Stack([ef.Conv(3), ef.MaxPool(2, name="first pool"), ef.Activation("relu")]), "first pool"),
    ],
    ids=["relu", "gelu in a block", "max-pool", "named pool"],
)
def test_gradient_names_the_layer_that_depends_on_the_input(net: ef.Stack, name: str) -> None:
    check(lambda: ef.gradient(net, RAMP), ValueError, LINEAR.format(name))


def test_gradient_up_to_the_layer_before_is_fine() -> None:
    assert ef.gradient(ef.parse("conv3, relu"), RAMP, layer=0).shape == (3, 3)


def test_what_has_no_closed_form_names_the_pool() -> None:
    message = r"^variance through avgpool3/1 is not available in this version: .* with a nonlinearity in between there is no closed form"
    for text in (
        "avgpool3/1, relu, avgpool3/1",
        "(relu, avgpool3/1) * 2",
        "(avgpool3/1, dropout0.5) * 2",
        "avgpool3/1, (relu, conv3) * 2, avgpool3/1",
        "avgpool3/1, (relu, conv3, conv5) * 2, avgpool3/1",
    ):
        with pytest.raises(NotImplementedError, match=message):
            ef.variance(ef.parse(text))


def test_a_nonlinearity_outside_the_average_pools_is_no_hindrance() -> None:
    assert ef.variance(ef.parse("relu, avgpool3/1 * 2, relu")).shape == (5, 5)


# ------------------------------------------------------------------------------------------------ files


def rewritten(path: Path, **about: Any) -> None:
    """The file at `path` with other entries in its description."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with np.load(path) as arrays:
        text = json.dumps(json.loads(str(arrays["about"])) | about)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            if name != "about.npy":
                archive.writestr(name, data)
        with archive.open("about.npy", "w") as entry:
            np.lib.format.write_array(entry, np.array(text))


def test_file_of_a_newer_format(tmp_path: Path) -> None:
    path = tmp_path / "erf.npz"
    ef.variance(TWO).save(path)
    rewritten(path, format=1)
    assert ef.ERF.load(path).shape == (5, 5)
    rewritten(path, format=2)
    check(lambda: ef.ERF.load(path), ValueError, f"{path} was written by a newer version (format 2, this version reads up to 1)")


def test_file_that_is_no_result(tmp_path: Path) -> None:
    other = tmp_path / "other.npz"
    np.savez(other, a=np.ones(3))
    text = tmp_path / "text.npz"
    text.write_text("not a zip file")
    for path in (other, text):
        check(lambda path=path: ef.ERF.load(path), ValueError, f"{path} is not a file written by ERF.save")


def test_file_that_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "erf.npz"
    ef.variance(TWO).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=re.escape(str(path))):
        ef.ERF.load(path)


def test_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    erf = ef.variance(TWO)
    with pytest.raises(OSError, match="taken"):
        erf.save(tmp_path / "taken")
    assert [p.name for p in tmp_path.rglob("*")] == ["taken"]


def test_masked_arrays_are_refused() -> None:
    masked = np.ma.masked_array(np.ones((2, 3)), mask=[[1, 0, 0], [0, 0, 0]])
    with pytest.raises(TypeError, match=r"weights must be a plain array, got a masked one: fill it first"):
        ef.gradient(ef.parse("conv3 * 2", ndim=1), masked)
