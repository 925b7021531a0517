"""`simulate`: from a network to the effective receptive field of random networks, draw by draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _backend, _devices, geometry
from .. import _validate as check
from .._progress import Progress, meter
from .._validate import Ints
from ..chain import Box
from ..cropping import window_box
from ..errors import BackendUnavailable
from ..layers import Conv, Layer, Norm, Residual, Stack
from ..lowering import located, seen_box
from ..result import ERF, REDUCTIONS, Reduction
from ..weights import read_kernels
from .averages import Part, root, standard_error, together
from .drawing import Job, averaged, draw, each_part
from .inputs import Inputs, normal_numbers, read_inputs
from .program import Program
from .schemes import read_scheme

INPUTS = {
    "normal": "standard normal inputs",
    "uniform": "uniform inputs on (0, 1)",
    "constant": "inputs of ones",
    "images": "given images",
}
Window: TypeAlias = Literal["auto", "full"] | Ints


def simulate(
    net: Layer,
    *,
    draws: int = 100,
    seed: int = 0,
    channels: int | None = None,
    scheme: str = "he",
    weights: Any = None,
    inputs: str | ArrayLike = "normal",
    reduction: Reduction = "square",
    normalise: bool = False,
    keep_draws: bool = False,
    executor: Executor | None = None,
    input_size: Ints | None = None,
    unit: Ints | None = None,
    layer: str | int | None = None,
    window: Window = "auto",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    dtype: Literal["float64", "float32"] = "float64",
    threads: int = 0,
    progress: Progress = None,
) -> ERF:
    """The effective receptive field of networks with random weights and inputs: forward, backward, and averaged over draws.

    Nonlinearities, max-pools and dropout are taken as they are. What `variance` gives in closed form, this measures, with standard
    errors, where theory approximates or is silent.

    Parameters
    ----------
    net : Layer
        A `Stack` (see `parse`), or one layer. In one or two dimensions. Activations, norms, dropouts and scales after the last other
        layer are left out: behind a last ReLU half of the units of a wide network have no gradient at all.
    draws : int
        Networks, each with an input of its own.
    seed : int
        From 0 to 2**62. Every number is a function of (seed, draw, layer, element), so that draw 7 is the same whatever `draws`,
        `threads` and `executor` are.
    channels : int, optional
        Output channels of convolutions that do not say; None is 1. Where groups do not divide it, the next multiple.
    scheme : {"he", "glorot", "lecun", "wide1.5", "orthogonal", "delta-orthogonal", "ones"}
        What weights are drawn from: the first three independent normals of variance 2 / fan_in, 2 / (fan_in + fan_out), 1 / fan_in;
        "orthogonal" and "delta-orthogonal" matrices with orthonormal rows or columns. `Conv.tap_variance` shares the variance out
        among the taps. "wide" and a number theta, as in "wide1.5": the variance of "he", shared out by
        ``analytic.wide_tap_variance(kernel, theta)`` where the layer does not say. No biases.
    weights : array_like, optional
        Instead of a scheme, as in `gradient`: one array per convolution, in forward order (of a residual block its body's first).
    inputs : {"normal", "uniform", "constant"} or array_like
        Independent pixels, with mean 0 and variance 1 or on (0, 1); ones; or images [*map], [channels, *map] or [n, channels, *map],
        of which draw d sees number d modulo n. Images set `input_size`.
    reduction : {"square", "abs", "signed", "rms", "positive"}
        What is averaged, of the gradient g: the sum over input channels of g^2, |g|, g, g^2 (and the root of the mean), max(g, 0).
    normalise : bool
        Bring each draw to unit mass first: the typical draw, where the mean of g^2 is ruled by few large ones. Draws without any
        gradient are left out.
    keep_draws : bool
        Return all draws, [draws, *shape], instead of their mean.
    executor : concurrent.futures.Executor, optional
        Computes the parts that the draws come in: processes, or Dask's workers. The bits are those of one process.
    input_size, unit, layer, progress
        As in `variance`.
    window : "auto", "full", int or tuple of int
        Pixels to return; never a change of the network. "auto" is "full", the theoretical receptive field, cut by the map.
    device : "auto" or "cpu"
        There is no GPU code for this yet.
    dtype : "float64" or "float32"
        Of the arithmetic and of the image.
    threads : int
        0: all the process may use. The result does not depend on it.

    Returns
    -------
    ERF
        ``method == "simulated"``. `stderr` [*shape] is the standard error of the mean, what a bootstrap over draws tends to; None with
        `keep_draws` and for a single draw. `dead` draws had no gradient, and count as zeros; `nonfinite` ones are left out. `error` is
        an estimate of the rounding errors, relative to the peak: how far a few draws move when every weight is changed by a unit in the
        last place. Where that opens another gate, as in float32 it may, a draw moves by more than others do.
        `border` is the mean over draws. Where the branches of a skip connection meet, on the way back, theirs are weighed by the energy
        that would have come of each without borders.

    Raises
    ------
    NotImplementedError
        Norms other than batch norm; three dimensions.
    BackendUnavailable
        A GPU.
    ValueError, TypeError, MemoryError
        As in `variance`.

    Notes
    -----
    Batch norm is taken as it is after calibration: each channel by its mean and variance over the map of the draw's own input, which
    are constants for the gradient. So it needs an `input_size`, and the maps below it are computed whole.

    The gradient is that of one output pixel and of its first channel. Its scale is that of the weights drawn, where `variance` takes
    convolutions of gain 1: a convolution of the scheme "he" multiplies the mean of g^2 by 2. Random numbers: Philox4x32-10
    (Salmon et al. 2011), normals by Box and Muller's formula.

    Examples
    --------
    >>> import erffast as ef
    >>> erf = ef.simulate(ef.parse("(conv3, relu) * 20"), draws=200)
    >>> erf.draws, erf.receptive_field.size
    (200, (41, 41))
    """
    whole = geometry.as_stack(net)
    stack = geometry.upto(whole, layer)
    if stack.ndim == 3:
        raise NotImplementedError("simulate() takes networks in one and two dimensions in this version, got three")
    draws = check.integer(draws, "draws", least=1)
    if draws > 2**32:
        raise ValueError(f"draws must be at most 2**32, got {draws}")
    seed = check.integer(seed, "seed", least=0)
    scheme = read_scheme(scheme)
    check.choice(reduction, "reduction", REDUCTIONS)
    check.choice(dtype, "dtype", ("float64", "float32"))
    check.choice(device, "device", _devices.NAMES)
    if device == "cuda":
        raise BackendUnavailable("simulate() has no GPU code in this version; use device='cpu'")
    if keep_draws and normalise:
        raise ValueError("keep_draws=True returns the draws as they are, which have an exponent each: normalise=True is for their mean")
    window = check.window(window)
    given = read_inputs(inputs, stack.ndim)
    extent, at = located(stack, _input_size(given, input_size, stack.ndim), unit)
    width = 1 if channels is None else check.integer(channels, "channels", least=1)
    if weights is not None and channels is not None:
        raise ValueError("channels is for drawn weights: those given say how many channels there are")
    if executor is not None and not hasattr(executor, "submit"):
        raise TypeError(f"executor must be a concurrent.futures.Executor, got {type(executor).__name__}")
    kernels = None if weights is None else _kernels(whole, stack, weights, draws)
    check.integer(threads, "threads", least=0)
    job = Job(
        stack,
        at,
        extent,
        _input_channels(stack, given, kernels),
        width,
        scheme,
        kernels,
        given,
        seed,
        reduction,
        bool(normalise),
        dtype,
        threads,
    )
    return _result(job, draws, window, keep_draws=bool(keep_draws), executor=executor, progress=progress)


def _input_size(given: Inputs, input_size: Any, ndim: int) -> Any:
    if given.images is None:
        return input_size
    size = given.images.shape[2:]
    if input_size is not None and check.per_axis(check.integers(input_size, "input_size", least=1), ndim, "input_size") != size:
        raise ValueError(f"input_size {input_size} is not the size of the inputs, {size}")
    return size


def _input_channels(net: Stack, given: Inputs, kernels: Sequence[tuple[NDArray[np.float64], int]] | None) -> int:
    """What the images or the first kernels have; else as many as the first layer has groups."""
    first = next(_convolutions(net), None)
    groups = 1 if first is None else first.groups
    if given.images is not None:
        return int(given.images.shape[1])
    return groups if not kernels else kernels[0][0].shape[2] * groups


def _convolutions(net: Layer) -> Any:
    """In forward order."""
    if isinstance(net, Conv):
        yield net
    elif isinstance(net, Residual):
        yield from _convolutions(net.body)
        if net.shortcut is not None:
            yield from _convolutions(net.shortcut)
    elif isinstance(net, Stack):
        for part in net:
            yield from _convolutions(part)


def _kernels(whole: Stack, net: Stack, weights: Any, draws: int) -> tuple[tuple[NDArray[np.float64], int], ...]:
    """The weights of `net`, the first layers of the `whole` network that they are given for."""
    used = len(list(_convolutions(net)))
    found = read_kernels(weights, [(layer, layer.geometry(net.ndim)[0]) for layer in _convolutions(whole)])[:used]
    several = {len(kernel) for kernel in found} - {1}
    if several and several != {draws}:
        raise ValueError(f"weights has {several.pop()} draws, but draws is {draws}")
    return tuple(normal_numbers(kernel) for kernel in found)


def _result(job: Job, draws: int, window: Window, *, keep_draws: bool, executor: Executor | None, progress: Progress) -> ERF:
    program = job.program()
    where = geometry.field_of(job.net)
    low, high = program.rects[0]  # for the statistics of a norm more is computed than the unit sees
    first, last = seen_box(where, job.unit, job.input_size)
    seen = tuple(map(max, low, first)), tuple(map(min, high, last))
    box = window_box(where, job.unit, job.input_size, seen, window)
    if keep_draws:
        return _kept(job, draws, program, box, executor, progress)
    engine = replace(job, reduction="square") if job.reduction == "rms" else job  # the root is taken of the mean
    with meter(progress) as counted:
        total = together(each_part(averaged, engine, draws, program, executor, counted))
    _require_finite(total.nonfinite < draws)
    alive = draws - total.dead - total.nonfinite
    return _erf(job, program, box, total, total.borders / alive if alive else 0.0)


def _erf(job: Job, program: Program, box: Box, total: Part, border: float) -> ERF:
    image, stderr, exponent = total.mean, standard_error(total), total.exponent
    if job.reduction == "rms":
        image, stderr, exponent = root(image, stderr, exponent)
    mass = np.square(image) if job.reduction == "signed" else image
    cut = tuple(slice(a - o, b - o + 1) for o, a, b in zip(program.rects[0][0], *box, strict=True))
    left, whole = float(mass[cut].sum()), float(mass.sum())
    return ERF(
        image=image[cut].astype(job.dtype),
        stderr=stderr[cut].astype(job.dtype) if total.draws > 1 else None,
        exponent=exponent,
        lost=max(0.0, 1 - left / whole) if whole > 0 else 0.0,
        averaged=total.draws,
        **_facts(job, box, total.dead, total.nonfinite, border, total.rounding),
    )


def _kept(job: Job, draws: int, program: Program, box: Box, executor: Executor | None, progress: Progress) -> ERF:
    low, high = program.rects[0]
    pixels = math.prod(b - a + 1 for a, b in zip(low, high, strict=True))
    _backend.require_memory(5 * 8 * draws * pixels, f"keeping {draws} draws of {pixels} pixels", "use fewer draws, or keep_draws=False")
    with meter(progress) as counted:
        some = list(each_part(draw, job, draws, program, executor, counted))
    images, exponents, fates, borders = (
        np.concatenate([getattr(d, name) for d in some]) for name in ("images", "exponents", "fates", "borders")
    )
    finite, alive = fates != 2, fates == 0
    _require_finite(bool(finite.any()))
    whole = images[finite]
    cut = (slice(None), *[slice(a - o, b - o + 1) for o, a, b in zip(program.rects[0][0], *box, strict=True)])
    mass = np.square(whole) if job.reduction == "signed" else whole
    axes = tuple(range(1, whole.ndim))
    shares = mass[cut].sum(axis=axes)[alive[finite]] / mass.sum(axis=axes)[alive[finite]]
    return ERF(
        image=np.ascontiguousarray(whole[cut].astype(job.dtype)),
        exponent=exponents[finite],
        lost=max(0.0, float(1 - shares.min())) if len(shares) else 0.0,
        **_facts(
            job,
            box,
            int((fates == 1).sum()),
            int((fates == 2).sum()),
            float(borders[alive].mean()) if alive.any() else 0.0,
            max(d.rounding for d in some),
        ),
    )


def _require_finite(any_is: bool) -> None:
    if not any_is:
        raise ArithmeticError("no draw is finite: the weights or the inputs are too large for an activation")


def _facts(job: Job, box: Box, dead: int, nonfinite: int, border: float, rounding: float) -> dict[str, Any]:
    """What a result says beside its pixels."""
    squared = job.reduction == "square"
    return {
        "origin": box[0],
        "receptive_field": geometry.field_of(job.net),
        "method": "simulated",
        "assumptions": _assumptions(job),
        "reduction": job.reduction,
        "border": border,
        "error": max(rounding, float(np.finfo(job.dtype).eps)) * (2 if squared else 1),
        "error_is_bound": False,
        "accuracy": "peak",
        "engine": "simulation",
        "reason": "networks with random weights are run forward and backward.",
        "dead": dead,
        "nonfinite": nonfinite,
        "unit": job.unit,
        "input_size": job.input_size,
    }


def _assumptions(job: Job) -> tuple[str, ...]:
    weights = "given weights" if job.weights is not None else f"weights by the scheme {job.scheme!r}"
    draws = ("each draw of unit mass",) if job.normalise else ()
    norms = ("batch norms calibrated on the map of each draw",) if _has_norm(job.net) else ()
    return (weights, INPUTS[job.inputs.name], *norms, *draws)


def _has_norm(net: Layer) -> bool:
    if isinstance(net, Residual):
        return any(map(_has_norm, net.branches))
    return any(_has_norm(part) for part, _ in net.parts) if isinstance(net, Stack) else isinstance(net, Norm)
