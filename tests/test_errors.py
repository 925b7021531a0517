"""Every mistake has an error of the right type, whose message names the argument, what was wanted and what came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import erffast as ef
from refusals import NOT_REAL, RAMP, TWO, changed, check, mistake, refuses

ONE = ef.parse("conv3")


SIGNED = np.array([[[1.0, -2.0, 1.0], [0.0, 3.0, 0.0], [-1.0, 0.0, 2.0]]])


# ------------------------------------------------------------------------------------------------ stacks and layers


@refuses(
    mistake("empty variance", lambda: ef.variance(ef.Stack()), ValueError, "the network is empty: it needs at least one layer"),
    mistake("empty gradient", lambda: ef.gradient(ef.Stack(), []), ValueError, "the network is empty: it needs at least one layer"),
    mistake("empty field", lambda: ef.receptive_field(ef.Stack()), ValueError, "the network is empty: it needs at least one layer"),
    mistake("empty after repeat", lambda: ef.variance(ef.Stack() * 7), ValueError, "the network is empty: it needs at least one layer"),
    mistake("no repeats", lambda: ONE * 0, ValueError, "times must be at least 1, got 0"),
    mistake("no repeats of a layer", lambda: ef.Conv(3) * 0, ValueError, "times must be at least 1, got 0"),
    mistake("negative repeats", lambda: ONE * -1, ValueError, "times must be at least 1, got -1"),
    mistake("half a repeat", lambda: ONE * 1.5, TypeError, "times must be an integer, got 1.5"),
    mistake("not a layer", lambda: ef.Stack(["conv3"]), TypeError, "layers[0] must be a Layer, got 'conv3'"),
    mistake("ndim", lambda: ef.Stack([], ndim=4), ValueError, "ndim must be 1, 2 or 3, got 4"),
    mistake("stacks of other axes", lambda: ef.Stack([ef.parse("conv3", ndim=1)]), ValueError, "layers[0] has 1 axes, but the stack has 2"),
    mistake(
        "kernel of other axes",
        lambda: ef.Stack([ef.Conv((3, 3, 3))]),
        ValueError,
        "layers[0] (conv3x3x3): kernel has 3 entries (3, 3, 3), but the network has 2 axes",
    ),
    mistake(
        "jump beyond coordinates",
        lambda: ef.variance(ef.parse("conv3/2 * 70")),
        OverflowError,
        "70 repeats of stride 2 give a jump of 2**70 pixels; coordinates are limited to 2**62",
    ),
    mistake(
        "field beyond coordinates",
        lambda: ef.variance(ef.Stack([ef.Conv(3, dilation=2**62)])),
        OverflowError,
        "the receptive field exceeds 2**62 pixels; coordinates are limited to that",
    ),
)
def test_stacks(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    check(call, kind, message)


PADDINGS = 'padding must be an integer, integers per axis, (before, after) pairs, "same" or "valid", got '


@refuses(
    mistake("kernel zero in an axis", lambda: ef.Conv((3, 0)), ValueError, "kernel must be at least 1 in every axis, got (3, 0)"),
    mistake("kernel zero", lambda: ef.Conv(0), ValueError, "kernel must be at least 1, got 0"),
    mistake("kernel a float", lambda: ef.Conv(3.0), TypeError, "kernel must be an integer or a tuple of integers, got 3.0"),
    mistake("kernel a bool", lambda: ef.Conv(True), TypeError, "kernel must be an integer or a tuple of integers, got True"),
    mistake("kernel a text", lambda: ef.Conv("3"), TypeError, "kernel must be an integer or a tuple of integers, got '3'"),
    mistake("kernel of no axes", lambda: ef.Conv(()), ValueError, "kernel must have one entry per axis (1 to 3), got ()"),
    mistake("kernel beyond coordinates", lambda: ef.Conv(2**70), ValueError, f"kernel must be within 2**62, got {2**70}"),
    mistake("stride", lambda: ef.Conv(3, stride=0), ValueError, "stride must be at least 1, got 0"),
    mistake("dilation", lambda: ef.Conv(3, dilation=(1, 0)), ValueError, "dilation must be at least 1 in every axis, got (1, 0)"),
    mistake("padding negative", lambda: ef.Conv(3, padding=-1), ValueError, "padding must be at least 0, got -1"),
    mistake("padding by name", lambda: ef.Conv(3, padding="full"), ValueError, PADDINGS + "'full'"),
    mistake(
        "padding triples",
        lambda: ef.Conv(3, padding=((1, 2, 3),)),
        ValueError,
        "padding must be one (before, after) pair per axis, got ((1, 2, 3),)",
    ),
    mistake(
        "padding same with a stride",
        lambda: ef.Stack([ef.Conv(3, padding="same", stride=2)]),
        ValueError,
        'layers[0] (conv3/2:same): padding="same" needs stride 1, got stride (2, 2)',
    ),
    mistake(
        "padding of other axes",
        lambda: ef.Stack([ef.Conv(3, padding=((1, 1),))]),
        ValueError,
        "layers[0] (conv3:p1+1): padding has 1 pairs ((1, 1),), but the network has 2 axes",
    ),
    mistake("channels", lambda: ef.Conv(3, channels=0), ValueError, "channels must be at least 1, got 0"),
    mistake("channels and groups", lambda: ef.Conv(3, channels=3, groups=2), ValueError, "channels (3) must be a multiple of groups (2)"),
    mistake("gain zero", lambda: ef.Conv(3, variance_gain=0), ValueError, "variance_gain must be positive, got 0.0"),
    mistake("gain infinite", lambda: ef.Conv(3, variance_gain=np.inf), ValueError, "variance_gain must be finite, got inf"),
    mistake("pool padding", lambda: ef.MaxPool(2, padding=2), ValueError, "padding must be at most half of the pooling kernel 2, got 2"),
    mistake(
        "activation",
        lambda: ef.Activation("swish"),
        ValueError,
        "activation must be one of 'identity', 'relu', 'leaky_relu', 'tanh', 'sigmoid', 'gelu', 'silu', got 'swish'",
    ),
    mistake("dropout of all", lambda: ef.Dropout(1.0), ValueError, "rate must be at least 0 and below 1, got 1.0"),
    mistake("norm", lambda: ef.Norm("l2"), ValueError, "kind must be one of 'batch', 'layer', 'group', 'instance', got 'l2'"),
    mistake("scale zero", lambda: ef.Scale(0), ValueError, "value must not be 0: nothing would reach the input"),
    mistake("scale NaN", lambda: ef.Scale(np.nan), ValueError, "value must be finite, got nan"),
)
def test_layers(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    check(call, kind, message)


@refuses(
    mistake("all zero", lambda: np.zeros((3, 3)), ValueError, "tap_variance is zero in every tap; at least one must be positive"),
    mistake("NaN", lambda: changed(np.nan)[0], ValueError, "tap_variance must be finite, got nan at index (1, 2)"),
    mistake("infinite", lambda: changed(np.inf)[0], ValueError, "tap_variance must be finite, got inf at index (1, 2)"),
    mistake("negative", lambda: changed(-1.0)[0], ValueError, "tap_variance must not be negative, got -1.0 at index (1, 2)"),
    mistake("other shape", lambda: np.ones((3, 2)), ValueError, "tap_variance has shape (3, 2), but the kernel is (3, 3)"),
    mistake("float16", lambda: np.ones((3, 3), np.float16), TypeError, f"tap_variance {NOT_REAL} float16"),
    mistake("complex", lambda: np.ones((3, 3), complex), TypeError, f"tap_variance {NOT_REAL} complex128"),
    mistake("long double", lambda: np.ones((3, 3), np.longdouble), TypeError, f"tap_variance {NOT_REAL} {np.dtype(np.longdouble)}"),
    mistake("text", lambda: "abc", TypeError, f"tap_variance {NOT_REAL} <U3"),
)
def test_tap_variances(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    check(lambda: ef.Conv(3, tap_variance=call()), kind, message)


def test_ragged_tap_variance() -> None:
    with pytest.raises(ValueError, match=r"^tap_variance must be a regular array of numbers: "):
        ef.Conv(3, tap_variance=[[1, 2, 3], [4]])


# ------------------------------------------------------------------------------------------------ options


@refuses(
    mistake(
        "separable of no outer product",
        lambda: ef.gradient(ONE, RAMP, engine="separable"),
        ValueError,
        'engine="separable" does not apply: the kernel of layer conv3 is not an outer product of one vector per axis',
    ),
    mistake(
        "direct in 3-D",
        lambda: ef.variance(ef.parse("conv3", ndim=3), engine="direct"),
        ValueError,
        'engine="direct" is for 1-D and 2-D networks; 3-D networks need engine="separable"',
    ),
    mistake(
        "no outer product in 3-D",
        lambda: ef.gradient(ef.parse("conv3", ndim=3), np.arange(27.0).reshape(1, 3, 3, 3)),
        ValueError,
        "3-D networks need separable kernels: the kernel of layer conv3 is not an outer product of one vector per axis",
    ),
    mistake(
        "spectral on a map that cuts",
        lambda: ef.variance(ef.parse("conv3:p1 * 3"), input_size=8, unit=0, engine="spectral"),
        ValueError,
        'engine="spectral" does not apply: the border of the map cuts layer by layer, which a spectrum cannot do',
    ),
    mistake(
        "spectral with channels",
        lambda: ef.gradient(ef.parse("conv3 * 2"), np.ones((2, 2, 2, 3, 3)).tolist(), engine="spectral"),
        ValueError,
        'engine="spectral" does not apply: its layers have several channels',
    ),
    mistake(
        "spectral, pixel by pixel",
        lambda: ef.variance(ef.parse("conv3", ndim=1), engine="spectral", accuracy="pixel"),
        ValueError,
        'accuracy="pixel" is for the direct and separable engines where a network does not have two axes',
    ),
    mistake("period", lambda: ef.variance(ONE, period="half"), ValueError, "period must be one of 'auto', 'full', got 'half'"),
    mistake(
        "unknown engine",
        lambda: ef.variance(ONE, engine="fft"),
        ValueError,
        "engine must be one of 'auto', 'direct', 'separable', 'spectral', got 'fft'",
    ),
    mistake("unknown device", lambda: ef.variance(ONE, device="tpu"), ValueError, "device must be one of 'auto', 'cpu', 'cuda', got 'tpu'"),
    mistake(
        "window larger than the field",
        lambda: ef.variance(ONE, window=5),
        ValueError,
        'window (5, 5) is larger than the receptive field (3, 3); window="full" gives all of it',
    ),
    mistake(
        "window larger in one axis",
        lambda: ef.variance(ONE, window=(2, 9)),
        ValueError,
        'window (2, 9) is larger than the receptive field (3, 3); window="full" gives all of it',
    ),
    mistake(
        "window larger than the field on the map",
        lambda: ef.variance(ef.parse("conv3:p1 * 5"), window=9, input_size=8),
        ValueError,
        'window (9, 9) is larger than the receptive field on the map (8, 8); window="full" gives all of it',
    ),
    mistake("window zero", lambda: ef.variance(ONE, window=0), ValueError, "window must be at least 1, got 0"),
    mistake(
        "window by name",
        lambda: ef.variance(ONE, window="big"),
        ValueError,
        "window must be 'auto', 'full' or a size in pixels, got 'big'",
    ),
    mistake("window a float", lambda: ef.variance(ONE, window=1.5), TypeError, "window must be an integer or a tuple of integers, got 1.5"),
    mistake(
        "window of other axes",
        lambda: ef.variance(ONE, window=(1, 1, 1)),
        ValueError,
        "window has 3 entries (1, 1, 1), but the network has 2 axes",
    ),
    mistake("tol zero", lambda: ef.variance(ONE, tol=0), ValueError, "tol must lie between 0 and 1, got 0.0"),
    mistake("tol one", lambda: ef.variance(ONE, tol=1), ValueError, "tol must lie between 0 and 1, got 1.0"),
    mistake("tol negative", lambda: ef.variance(ONE, tol=-1e-3), ValueError, "tol must lie between 0 and 1, got -0.001"),
    mistake("tol NaN", lambda: ef.variance(ONE, tol=np.nan), ValueError, "tol must be finite, got nan"),
    mistake("tol a text", lambda: ef.variance(ONE, tol="low"), TypeError, "tol must be a real number, got 'low'"),
    mistake("dtype", lambda: ef.variance(ONE, dtype="float16"), ValueError, "dtype must be one of 'float64', 'float32', got 'float16'"),
    mistake(
        "accuracy", lambda: ef.variance(ONE, accuracy="best"), ValueError, "accuracy must be one of 'auto', 'pixel', 'peak', got 'best'"
    ),
    mistake(
        "accuracy per pixel of a signed chain",
        lambda: ef.gradient(ONE, SIGNED, accuracy="pixel"),
        ValueError,
        'accuracy="pixel" needs kernels without negative taps; signed chains keep an error relative to the peak (accuracy="peak")',
    ),
    mistake("threads negative", lambda: ef.variance(ONE, threads=-1), ValueError, "threads must be at least 0, got -1"),
    mistake("threads a float", lambda: ef.variance(ONE, threads=1.5), TypeError, "threads must be an integer, got 1.5"),
    mistake(
        "progress",
        lambda: ef.variance(ONE, progress=3),
        TypeError,
        "progress must be None, a bool or a callable of (done, total), got 3",
    ),
    mistake(
        "layer by name",
        lambda: ef.variance(ef.parse("conv3, relu, conv5"), layer="stem"),
        ValueError,
        "layer 'stem' is not in the network; its layers begin with conv3, relu, conv5",
    ),
    mistake("layer by index", lambda: ef.variance(TWO, layer=2), ValueError, "layer 2 is outside the network of 2 layers"),
    mistake("layer by negative index", lambda: ef.variance(TWO, layer=-3), ValueError, "layer -3 is outside the network of 2 layers"),
    mistake("layer a float", lambda: ef.variance(TWO, layer=0.5), TypeError, "layer must be an integer, got 0.5"),
    mistake("text for a network", lambda: ef.variance("conv3"), TypeError, "net must be a Layer, got text; use erffast.parse('conv3')"),
    mistake("number for a network", lambda: ef.variance(3), TypeError, "net must be a Layer such as Stack([Conv(3)]), got int"),
)
def test_options(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    check(call, kind, message)


def test_options_are_keyword_only() -> None:
    with pytest.raises(TypeError, match="takes 1 positional argument"):
        ef.variance(ONE, 32)  # type: ignore[misc]
    with pytest.raises(TypeError, match="unexpected keyword argument 'windows'"):
        ef.gradient(ONE, RAMP, windows="full")  # type: ignore[call-arg]


@refuses(
    mistake(
        "map used up by a repeat",
        lambda: ef.variance(ef.parse("conv3 * 5"), input_size=10),
        ValueError,
        "layer conv3: its window of 3 pixels does not fit the map of 2 (+ 0 padding): the output is empty",
    ),
    mistake(
        "map used up by a long repeat",
        lambda: ef.variance(ef.parse("conv3 * 50"), input_size=10),
        ValueError,
        "layer conv3: after 50 repeats the map of (10, 10) is used up: the output is empty",
    ),
    mistake(
        "map used up along the way",
        lambda: ef.variance(ef.parse("conv3, maxpool2, conv5:d2"), input_size=10),
        ValueError,
        "layer conv5:d2: its window of 9 pixels does not fit the map of 4 (+ 0 padding): the output is empty",
    ),
    mistake("map of no pixels", lambda: ef.variance(ONE, input_size=0), ValueError, "input_size must be at least 1, got 0"),
    mistake(
        "map of other axes",
        lambda: ef.variance(ONE, input_size=(9, 9, 9)),
        ValueError,
        "input_size has 3 entries (9, 9, 9), but the network has 2 axes",
    ),
    mistake(
        "map a float", lambda: ef.variance(ONE, input_size=9.0), TypeError, "input_size must be an integer or a tuple of integers, got 9.0"
    ),
    mistake(
        "map beyond coordinates", lambda: ef.variance(ONE, input_size=2**70), ValueError, f"input_size must be within 2**62, got {2**70}"
    ),
    mistake(
        "padded map beyond coordinates",
        lambda: ef.variance(ef.Stack([ef.Conv(3, padding=((0, 2**62),) * 2)]), input_size=9, unit=0),
        OverflowError,
        "layer conv3:p0+4611686018427387904x0+4611686018427387904: its padded map exceeds 2**62 pixels; coordinates are limited to that",
    ),
    mistake(
        "unit after the last",
        lambda: ef.variance(ONE, input_size=10, unit=8),
        ValueError,
        "unit (8, 8) lies outside the output map of (8, 8) (units count from 0)",
    ),
    mistake(
        "unit outside in one axis",
        lambda: ef.gradient(ONE, RAMP, input_size=(10, 20), unit=(0, 18)),
        ValueError,
        "unit (0, 18) lies outside the output map of (8, 18) (units count from 0)",
    ),
    mistake(
        "unit before the first",
        lambda: ef.variance(ONE, input_size=10, unit=-1),
        ValueError,
        "unit (-1, -1) lies outside the output map of (8, 8) (units count from 0)",
    ),
    mistake("unit a float", lambda: ef.variance(ONE, unit=1.0), TypeError, "unit must be an integer or a tuple of integers, got 1.0"),
    mistake("unit of other axes", lambda: ef.variance(ONE, unit=(1,)), ValueError, "unit has 1 entries (1,), but the network has 2 axes"),
    mistake(
        "unit that sees padding only",
        lambda: ef.variance(ef.Stack([ef.Conv(1, padding=3)]), input_size=4, unit=0),
        ValueError,
        "unit (0, 0) sees padding only: no pixel of the map (4, 4) can change it",
    ),
    mistake(
        "unit beyond coordinates",
        lambda: ef.variance(ef.Stack([ef.Conv(3), ef.Conv(1, stride=2**40)]), unit=2**30),
        ValueError,
        "unit (1073741824, 1073741824) is too far out: it sees pixels beyond 2**46, where a float no longer tells their hundredths",
    ),
)
def test_maps_and_units(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    check(call, kind, message)


def test_accuracy_that_cannot_be_kept_is_refused_with_its_estimate() -> None:
    """High-pass layers below low-pass layers on a padded map: what one half leaves, the other removes."""
    low, high = np.array([1.0, 2.0, 1.0]), np.array([1.0, -2.0, 1.0])
    weights = np.stack([high] * 300 + [low] * 300)
    with pytest.raises(
        ef.AccuracyError,
        match=r"^rounding, .* through 600 layers .* is estimated at \S+ of the peak in double-double arithmetic, above tol=1.0e-12; "
        r"allow that .* larger tol, .* is not for this network: the border of the map cuts layer by layer",
    ):
        ef.gradient(ef.parse("conv3:p1 * 600", ndim=1), weights, input_size=32)


# ------------------------------------------------------------------------------------------------ what comes later


@refuses(
    *(
        mistake(
            name,
            lambda name=name, arguments=arguments: getattr(ef, name)(*arguments),
            NotImplementedError,
            f"{name} is not available in this version: {reason}",
        )
        for name, arguments, reason in [
            ("Branches", ([ONE, TWO],), "branches come with graphs, in a later version; a chain of layers is a Stack"),
            ("Upsample", (2,), "upsampling comes in a later version"),
            ("ConvTranspose", (3,), "transposed convolutions come with upsampling, in a later version"),
            ("GlobalPool", (), "global pooling comes in a later version; for the ERF of one unit before it, leave it out"),
        ]
    ),
    *(
        mistake(
            name,
            lambda name=name, arguments=arguments: getattr(ef, name)(*arguments),
            NotImplementedError,
            f"{name}() is not available in this version; {remedy}",
        )
        for name, arguments, remedy in [
            ("measure", (None, None), "ERF.from_gradients() takes gradients of any framework"),
            ("from_torch", (None, None), "describe the layers with Stack or parse()"),
            ("from_onnx", ("net.onnx",), "describe the layers with Stack or parse()"),
        ]
    ),
)
def test_names_of_later_versions(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    check(call, kind, message)
