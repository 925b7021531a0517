"""Chains that the direct and separable engines of a GPU must compute as the CPU's, to the last bit; run in a process of their own.

Sums are fused multiply-adds in the same order on both, and everything else is a power of two; so pixels are equal, and what is told of
them. Only sums of squares, which the CPU's compilers fuse in parts, may differ in their last bits, and what the host composes
(`COMPOSED`), which has the bits of the host's instruction set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import erffast as ef
from erffast import _core
from tolerances import tolerance

Array = NDArray[Any]
Case = Callable[[str], Any]


def _seeded(name: str) -> np.random.Generator:
    return np.random.default_rng(list(name.encode()))


# ------------------------------------------------------------------------------------------------ through the package


def _variance(text: str, ndim: int = 2, **options: Any) -> Case:
    return lambda device: ef.variance(ef.parse(text, ndim=ndim), device=device, **options)  # type: ignore[arg-type]


def _gradient(text: str, *, draws: int = 0, positive: bool = False, ndim: int = 2, **options: Any) -> Case:
    net = ef.parse(text, ndim=ndim)
    rng = _seeded(text)
    lead = (draws,) if draws else ()
    convs = [layer for layer in net if isinstance(layer, ef.Conv)]
    weights = [(rng.random if positive else rng.standard_normal)((*lead, *np.broadcast_to(layer.kernel, ndim))) for layer in convs]
    return lambda device: ef.gradient(net, weights, device=device, **options)


def _channels(*, draws: int = 0, **options: Any) -> Case:
    """Six, four and two channels, in groups among them."""
    same = {"padding": 1}
    layers = [
        ef.Conv(3, channels=6, **same),
        ef.Conv(3, channels=6),
        ef.Conv(3, channels=4, groups=2, **same),
        ef.Conv(2, channels=2, stride=2),
    ]
    rng, lead = _seeded("channels"), (draws,) if draws else ()
    shapes = [(6, 1, 3, 3), (6, 6, 3, 3), (4, 3, 3, 3), (2, 4, 2, 2)]
    weights = [rng.standard_normal((*lead, *shape)) for shape in shapes]
    return lambda device: ef.gradient(ef.Stack(layers), weights, device=device, **options)


FULL = {"window": "full"}
DIRECT = {"engine": "direct"}
SEPARABLE = {"engine": "separable"}

# The least that shows every kernel.
SMALL: dict[str, Case] = {
    "a plane": _variance("conv3*5", **DIRECT),
    "a plane of float32": _variance("conv3*5", dtype="float32", **DIRECT),
    "larger squares": _gradient("conv5*2", **DIRECT, **FULL),
    "other kernels": _gradient("conv2, conv4, conv3:d2", dtype="float32", **DIRECT, **FULL),
    "a map": _gradient("conv3:p1*3", input_size=5, draws=2, **DIRECT),
    "a pool": _variance("conv3:p1, avgpool2, conv3:p1", input_size=6, **DIRECT),
    "channels": _channels(input_size=8, **DIRECT),
    "one dimension": _gradient("conv3*6", ndim=1, **DIRECT),
    "profiles": _variance("conv3/2, conv3*4", **SEPARABLE),
}

CASES: dict[str, Case] = SMALL | {
    f"{name}, {dtype}": case
    for dtype in ("float64", "float32")
    for name, case in {
        "trimmed": _variance("conv3*60", tol=1e-6, dtype=dtype, **DIRECT),
        "whole": _variance("conv3*24", dtype=dtype, **DIRECT, **FULL),
        "a certain window": _variance("conv5*6", window=9, dtype=dtype, **DIRECT),
        "errors against the peak": _variance("conv3*12", accuracy="peak", dtype=dtype, **DIRECT),
        "squares of two sizes": _variance("conv5*4, conv3*6, conv5", dtype=dtype, **DIRECT),
        "kernels of every kind": _variance("conv3:d2*3, conv2*3, conv7, conv9, conv1x5, conv15x2", dtype=dtype, **DIRECT, **FULL),
        "strides": _variance("conv3/2, conv3*3, conv3/2:d2, conv4/3", dtype=dtype, **DIRECT),
        "a map of a variance": _variance("conv3:p1*8", input_size=11, dtype=dtype, **DIRECT),
        "pools on a map": _variance("conv3:p1*3, avgpool2, conv3:p1*2, avgpool3/2:p1", input_size=17, dtype=dtype, **DIRECT),
        "positive weights": _gradient("conv3*12", positive=True, dtype=dtype, **DIRECT),
        "positive weights, draws": _gradient("conv3*12", positive=True, draws=3, dtype=dtype, **DIRECT),
        "draws": _gradient("conv3*12", draws=5, dtype=dtype, **DIRECT),
        "draws and strides": _gradient("conv3/2, conv3*2, conv3/2", draws=2, dtype=dtype, **DIRECT),
        "draws on a map": _gradient("conv3:p1*12", draws=3, input_size=9, dtype=dtype, **DIRECT),
        "channels on the plane": _channels(dtype=dtype, **DIRECT),
        "channels and draws": _channels(draws=2, input_size=11, dtype=dtype, **DIRECT),
        "a line": _variance("conv3*20, conv5/2, conv3:d3", ndim=1, dtype=dtype, **DIRECT),
        "a line on a map": _gradient("conv3:p1*20", ndim=1, draws=3, input_size=13, dtype=dtype, **DIRECT),
        "a signed line": _gradient("conv3*30", ndim=1, draws=3, dtype=dtype, **DIRECT),
        "separable on a map": _variance("conv3:p1*9", input_size=13, dtype=dtype, **SEPARABLE),
        "separable": _variance("conv3*20", dtype=dtype, **SEPARABLE, **FULL),
        "separable in three": _variance("conv3*5, conv5/2", ndim=3, dtype=dtype, **SEPARABLE),
    }.items()
}
CASES["double-double"] = _gradient("conv3:p1*60", input_size=7, tol=1e-13, **DIRECT)

# What the host composes in one dimension: the emulated module has an engine for the least of instruction sets, the CPU's module the best.
COMPOSED: dict[str, Case] = {
    "a long line": _variance("conv3*80", ndim=1, **DIRECT),
    "a long profile": _variance("conv3*80, conv3/2, conv5*40", **SEPARABLE, **FULL),
    "different kernels": _gradient("conv3*50", ndim=1, positive=True, **DIRECT),
    "of float32": _variance("conv3*40, conv3:p1/2, conv3*50", ndim=1, dtype="float32", **DIRECT),
}

ACCOUNTS = ("exponent", "origin", "lost", "lost_is_bound", "error", "error_is_bound", "engine", "reason", "dead")


def differences(case: Case) -> str:
    """What of a case's results is not the CPU's; empty where all is."""
    cpu, cuda = case("cpu"), case("cuda")
    assert (cpu.device, cuda.device) == ("cpu", "cuda")
    wrong = [name for name in ACCOUNTS if not np.array_equal(getattr(cpu, name), getattr(cuda, name))]
    if abs(cpu.border - cuda.border) > tolerance("account"):
        wrong.append("border")
    if not np.array_equal(cpu.image, cuda.image):
        wrong.append("image")
    return ", ".join(f"{name}: {getattr(cpu, name)} and {getattr(cuda, name)}" for name in wrong)


def largest_difference(case: Case) -> float:
    """Of a case's pixels from the CPU's, relative to each."""
    cpu, cuda = case("cpu"), case("cuda")
    assert (cpu.shape, cpu.exponent) == (cuda.shape, cuda.exponent)
    return float(np.max(np.abs(cpu.image - cuda.image) / np.abs(cpu.image)))


# ------------------------------------------------------------------------------------------------ native calls


def _run(
    taps: Array, count: int = 1, *, stride: Any = (1, 1), dilation: Any = (1, 1), before: Any = (0, 0), extent: Any = None,
    growth: Any = (0, 0), shared: bool = False, scale: Any = None,
) -> tuple[Any, ...]:  # fmt: skip
    """A run for the engine; taps [n_kernels, draws, channels_out, channels_in, rows, columns]."""
    return (np.ascontiguousarray(taps, dtype=np.float64), stride, dilation, before, extent, growth, count, shared, 1, scale)


def _signed(name: str, n: int, draws: int, *sides: int) -> Array:
    return _seeded(name).standard_normal((n, draws, 1, 1, *sides))


def _shadowed() -> Array:
    """One draw of three has a layer of zeros."""
    taps = _signed("shadowed", 6, 3, 3, 3)
    taps[2, 1] = 0
    return taps


def _cancelling() -> list[Any]:
    """(1 + .. + z^63)(1 - z) = 1 - z^64, ten times: what the gains allow is 2**64 times what is left."""
    box, difference = np.ones((1, 1, 1, 1, 2, 64)), np.array([[1.0, -1.0], [-1.0, 1.0]])[None, None, None, None]
    return [_run(taps) for _ in range(10) for taps in (box, difference)]


def _pooled(parts: int) -> Array:
    scale = _seeded("pool").random((2, 4, 4))
    scale[1] *= 2.0**-54
    return scale if parts == 2 else scale[0]


# (runs, unit, channels, draws, non_negative, trim), for pixels of so many parts
Native = Callable[[int], tuple[list[Any], tuple[int, int], int, int, bool, float]]
NATIVE: dict[str, Native] = {
    "growing maps": lambda parts: ([_run(_signed("growth", 5, 3, 3, 3), 5, extent=(5, 5), growth=(2, 2))], (2, 2), 1, 3, False, 0.0),
    "a draw that dies": lambda parts: ([_run(_shadowed(), 6)], (0, 0), 1, 3, False, 0.0),
    "a draw that dies on a map": lambda parts: ([_run(_shadowed(), 6, before=(1, 1), extent=(5, 5))], (2, 2), 1, 3, False, 0.0),
    "a border that takes all": lambda parts: (
        [_run(np.ones((1, 1, 1, 1, 3, 3)), 3, before=(9, 9), extent=(5, 5))], (2, 2), 1, 1, True, 0.0
    ),
    "cancellation": lambda parts: (_cancelling(), (0, 0), 1, 1, False, 0.0),
    "sides of zeros": lambda parts: (
        [_run(np.pad(_signed("sides", 4, 2, 3, 2), ((0, 0),) * 4 + ((1, 2), (2, 1))), 4)], (0, 0), 1, 2, False, 0.0
    ),
    "one kernel for three channels": lambda parts: (
        [
            _run(_signed("shared", 1, 1, 3, 3), shared=True),
            _run(_seeded("three").standard_normal((1, 1, 3, 1, 3, 3))),
        ], (0, 0), 3, 1, False, 0.0
    ),
    "factors of pixels": lambda parts: (
        [
            _run(_signed("before", 1, 2, 3, 3), before=(1, 1), extent=(4, 4)),
            _run(_signed("after", 1, 2, 2, 2), stride=(2, 2), extent=(8, 8), scale=_pooled(parts)),
        ], (2, 1), 1, 2, False, 0.0
    ),
    "trimming": lambda parts: (
        [
            _run(np.abs(_signed("trim", 8, 1, 3, 3)), 8),
            _run(np.abs(_signed("trim", 1, 1, 3, 3)), stride=(2, 2)),
            _run(np.abs(_signed("trim", 20, 1, 5, 5)), 20),
        ], (0, 0), 1, 1, True, 1e-6
    ),
}  # fmt: skip

PROPAGATE = ("propagate_f64", "propagate_f32", "propagate_x64")


def native_differences(name: str, function: str) -> str:
    """What of a native call's answers is not the CPU's; empty where all is. Exponents may differ by what the peaks make up for."""
    from erffast import _cuda

    runs, unit, channels, draws, non_negative, trim = NATIVE[name](2 if function == "propagate_x64" else 1)
    answers = []
    for module in (_core, _cuda):
        images = getattr(module, function)(runs, unit, channels, draws, non_negative, trim, 1, 2**28, None)
        rects, peaks = images.rects(), images.peaks()
        mantissas, powers = np.frexp(peaks)
        alive = peaks > 0
        found = {
            "alive": alive,
            "rects": rects[alive],
            "mantissas": mantissas,
            "exponents": (images.exponents() + powers)[alive],
            "borders": images.borders(),
            "trimmed": images.trimmed(),
            "rounding": images.rounding()[alive],
            "energies": images.energies(),
        }
        for draw in np.flatnonzero(alive).tolist():
            height, width = rects[draw, 2:].tolist()
            found[f"least of {draw}"] = images.least(draw, 0, height, 0, width)
            for axis in (0, 1):
                found[f"mass of {draw} along {axis}"] = images.mass(draw, axis)
                found[f"margins of {draw} along {axis}"] = images.margins(draw, axis, 1e-3)
        out = np.full((draws, 40, 50), 7, dtype=np.float32 if function == "propagate_f32" else np.float64)
        found["tops"] = images.write(out, unit[0] - 10, unit[1] - 10, np.where(alive, np.ldexp(1.0, -powers), 0.0))
        found["pixels"] = out
        answers.append(found)
    cpu, cuda = answers
    sums_of_squares = ("borders", "energies")
    wrong = [key for key in cpu if key not in sums_of_squares and not np.array_equal(cpu[key], cuda[key])]
    wrong += [key for key in sums_of_squares if not np.allclose(cpu[key], cuda[key], rtol=tolerance("account"), atol=0)]
    return ", ".join(f"{key}: {cpu[key]} and {cuda[key]}" for key in wrong)


def outer_differences() -> str:
    """Where outer products are not the CPU's: values from the whole range of a dtype, at either end of it."""
    from erffast import _cuda

    wrong = []
    for name, low in (("f64", -1060), ("f32", -140)):
        cases = ((5, 7, (0,)), (33, 64, (3, -1)), (17, 530, (-120,)), (1, 1, (3,)), (3, 5, (2 + low, low)), (40, 3, (60,)))
        for rows, columns, shifts in cases:
            rng = _seeded(f"{rows} {columns}")
            r, c = (rng.random((len(shifts), n)) * 10.0 ** -rng.integers(0, 40, n) for n in (rows, columns))
            expected = np.full((len(shifts), rows, columns), 7, dtype=np.float64 if name == "f64" else np.float32)
            for draw, shift in enumerate(shifts):
                getattr(_core, f"outer_{name}")(r[draw], c[draw], shift, 0, expected[draw], 1)
            found = getattr(_cuda, f"outer_image_{name}")(r, c, np.array(shifts)).to_host()
            if not (found.dtype == expected.dtype and np.array_equal(found, expected)):
                wrong.append(f"{name} {rows} x {columns} {shifts}")
    return ", ".join(wrong)


def report(names: list[str]) -> None:
    """Prints a line for every case that is not the CPU's."""
    for name in names:
        found = differences(CASES[name])
        if found:
            print(f"{name}: {found}")


def native_report(functions: list[str]) -> None:
    """The same for native calls."""
    for function in functions:
        for name in NATIVE:
            found = native_differences(name, function)
            if found:
                print(f"{name}, {function}: {found}")
