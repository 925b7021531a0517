"""`variance` and `gradient`: from a network to its effective receptive field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _backend, _devices, cropping, execution, separability
from . import _validate as check
from ._foreign import on_gpu
from ._progress import Progress, meter
from ._validate import Ints
from .chain import GAINS, Box, Chain
from .choice import FLOAT32_TOLERANCE, ROUNDOFF, Choice, choose, instead
from .errors import AccuracyError
from .execution import Outcome, Resources
from .layers import Layer
from .lowering import lower_gradient, lower_variance
from .result import ERF

Array = NDArray[np.float64]
Accuracy: TypeAlias = Literal["auto", "pixel", "peak"]
Engine: TypeAlias = Literal["auto", "direct", "separable", "spectral"]
Device: TypeAlias = Literal["auto", "cpu", "cuda"]
Dtype: TypeAlias = Literal["float64", "float32"]
Window: TypeAlias = Literal["auto", "full"] | Ints
Period: TypeAlias = Literal["auto", "full"]

# Trimming of non-negative chains where each pixel is to be right: far below any pixel an automatic window shows (a corner
# 7 standard deviations out on both axes holds 1e-25 or so). Checked afterwards; a second run follows where it was not enough.
FINE_TRIM = 2.0**-140
# Where errors count against the peak: what is trimmed may all come to lie on one pixel, while the mass is that of thousands.
PEAK_TRIM = 2.0**-13


class Request(NamedTuple):
    """The options of a call, checked."""

    window: Window
    tol: float
    accuracy: str
    engine: str
    period: str
    dtype: str
    native: Any  # module of the device
    threads: int
    progress: Progress


def variance(
    net: Layer,
    *,
    input_size: Ints | None = None,
    unit: Ints | None = None,
    layer: str | int | None = None,
    window: Window = "auto",
    tol: float = 1e-12,
    accuracy: Accuracy = "auto",
    engine: Engine = "auto",
    period: Period = "auto",
    device: Device = "auto",
    dtype: Dtype = "float64",
    threads: int = 0,
    progress: Progress = None,
) -> ERF:
    """The effective receptive field at random initialisation, in closed form: E[g^2] for independent zero-mean weights.

    Parameters
    ----------
    net : Layer
        A `Stack` (see `parse`), or one layer.
    input_size : int or tuple of int, optional
        Size of the input map in pixels; None is the unbounded plane.
    unit : int or tuple of int, optional
        The output unit asked for. By default unit 0 on the plane, ``output_size // 2`` on a map.
    layer : str or int, optional
        Take the network up to this layer: its index, or its name (the first of that name).
    window : "auto", "full", int or tuple of int
        Which pixels are returned; never a change of the network. "auto": the smallest certified window that leaves out at
        most `tol` of the mass. "full": the theoretical receptive field, cut by the map. A size: exactly that shape, centred
        on the receptive field.
    tol : float
        Share of the mass an automatic window may leave out, and the error allowed.
    accuracy : "auto", "pixel" or "peak"
        "pixel" (the default here): every pixel is right relative to itself. "peak": relative to the peak, faster.
    engine : "auto", "direct", "separable" or "spectral"
        How it is computed. "auto" takes "separable" where every kernel is an outer product, "direct" otherwise; deep stacks take
        "spectral" where that is faster, much earlier with ``accuracy="peak"``. "spectral" by name keeps errors relative to the
        peak, unless ``accuracy="pixel"`` is asked for by name too. `ERF.reason` says why.
    period : "auto" or "full"
        For signed kernels in the spectral engine: the smallest period that holds the image, or its whole support.
    device : "auto", "cpu" or "cuda"
        "auto": where the weights are, so that torch tensors and CuPy arrays on a GPU are worked on there if this copy can; else the
        CPU. "cuda" by name never falls back.
    dtype : "float64" or "float32"
        Of the image and the arithmetic of the direct engine.
    threads : int
        0: all the process may use. The result does not depend on it.
    progress : bool or callable, optional
        True for a bar; a callable gets (done, total) layers.

    Returns
    -------
    ERF
        ``reduction == "square"``; values are dimensionless (gradient squared, for a unit gradient at the unit).

    Raises
    ------
    ValueError, TypeError
        An argument is not what it should be; the message says what was wanted and what came.
    NotImplementedError
        Average pools whose correlations have no closed form here; skip connections.
    MemoryError
        Before allocating: the bytes needed, and what would fit.

    Notes
    -----
    ``V_in[s*i + d*a - p] += v[a] * V_out[i]``: exact for convolutions of any width with independent zero-mean weights, and
    with ReLU or leaky ReLU between them for symmetric weights and no biases. Source: Luo et al. 2016, section 2, with the
    proof in the documentation.

    Equivalent to, for `n` uniform 3 x 3 layers::

        image = np.ones((1, 1))
        for _ in range(n):
            image = scipy.signal.convolve2d(image, np.full((3, 3), 1 / 9))

    Examples
    --------
    >>> import erffast as ef
    >>> erf = ef.variance(ef.parse("conv3 * 20"))
    >>> erf.receptive_field.size
    (41, 41)
    >>> [round(s, 4) for s in erf.std()]
    [3.6515, 3.6515]
    """
    request = _request(window, tol, accuracy, engine, period, device, dtype, threads, progress)
    return _solve(lower_variance(net, input_size, unit, layer), request)


def gradient(
    net: Layer,
    weights: ArrayLike | Sequence[ArrayLike],
    *,
    input_size: Ints | None = None,
    unit: Ints | None = None,
    layer: str | int | None = None,
    window: Window = "auto",
    tol: float = 1e-12,
    accuracy: Accuracy = "auto",
    engine: Engine = "auto",
    period: Period = "auto",
    device: Device = "auto",
    dtype: Dtype = "float64",
    threads: int = 0,
    progress: Progress = None,
) -> ERF:
    """The gradient of one unit with respect to the input, for given weights: what automatic differentiation gives.

    Parameters
    ----------
    net : Layer
        Linear layers only. `Activation` and `MaxPool` depend on the input and raise; `Norm` and `Dropout` count as identity.
    weights : array_like
        [n_convs, *kernel] or [draws, n_convs, *kernel]; or a list with one array per convolution, each [*kernel] or
        [out, in // groups, *kernel], each with an optional leading draws axis (all or none). float32 or float64, finite.
        With several channels the unit is summed over the output channels, and the gradient over the input channels: the
        response to a grey-level change.
    input_size, unit, layer, window, tol, accuracy, engine, period, device, dtype, threads, progress
        As in `variance`. "auto" windows of chains with negative taps are the full receptive field, and their accuracy is
        relative to the peak. They take the spectral engine on the plane, unless they are shallow; ``period="auto"`` computes
        only where the image is not zero to within `tol`, an estimate, ``period="full"`` all of it.

    Returns
    -------
    ERF
        ``reduction == "signed"``, image [*shape] or [draws, *shape].

    Raises
    ------
    AccuracyError
        Deep chains of signed kernels amplify rounding layer by layer. The spectral engine does not, but it is for the plane
        and for one channel; elsewhere double-double arithmetic serves, and where even its estimate exceeds `tol` nothing is
        returned.
    ValueError, TypeError, MemoryError
        As in `variance`.
    NotImplementedError
        Skip connections.

    Notes
    -----
    ``g_in[s*i + d*a - p] += w[a] * g_out[i]`` (forward convention: ``y[i] = sum_a w[a] x[s*i + d*a - p]``), so results equal
    automatic differentiation element for element.

    Examples
    --------
    >>> import numpy as np, erffast as ef
    >>> erf = ef.gradient(ef.parse("conv3:p1 * 2", ndim=1), np.array([[1.0, 2.0, 3.0], [1.0, 0.0, -1.0]]), window="full")
    >>> (np.asarray(erf), erf.origin)
    (array([ 1.,  2.,  2., -2., -3.]), (-2,))
    """
    request = _request(window, tol, accuracy, engine, period, device, dtype, threads, progress, weights_on_gpu=on_gpu(weights))
    return _solve(lower_gradient(net, weights, input_size, unit, layer), request)


def _request(
    window: Any,
    tol: Any,
    accuracy: Any,
    engine: Any,
    period: Any,
    device: Any,
    dtype: Any,
    threads: Any,
    progress: Any,
    *,
    weights_on_gpu: bool = False,
) -> Request:
    window = check.window(window)
    tol = check.real(tol, "tol")
    if not 0 < tol < 1:
        raise ValueError(f"tol must lie between 0 and 1, got {tol}")
    check.choice(accuracy, "accuracy", ("auto", "pixel", "peak"))
    check.choice(engine, "engine", ("auto", "direct", "separable", "spectral"))
    check.choice(period, "period", ("auto", "full"))
    check.choice(device, "device", _devices.NAMES)
    native = _devices.native(device, weights_on_gpu=weights_on_gpu)
    check.choice(dtype, "dtype", ("float64", "float32"))
    return Request(window, tol, accuracy, engine, period, dtype, native, _backend.thread_count(threads), progress)


# ------------------------------------------------------------------------------------------------ one chain


def _solve(chain: Chain, request: Request) -> ERF:
    choice = choose(chain, request)
    try:
        return _carried_out(chain, request, choice)
    except AccuracyError as exc:
        other = instead(chain, request, choice, exc)
    return _carried_out(chain, request, other)


def _carried_out(chain: Chain, request: Request, choice: Choice) -> ERF:
    with meter(request.progress) as counted:
        free = _devices.free_memory(request.native)
        limit = _backend.memory_limit(_most_bytes(chain, request, choice)) if free is None else free
        resources = Resources(request.threads, limit, counted, _remedy(chain, request, choice), request.native)
        outcomes, crop, missing = _run(chain, request, choice, resources)
    return _result(chain, request, outcomes, crop, choice, missing)


def _run(chain: Chain, request: Request, choice: Choice, resources: Resources) -> tuple[list[Any], Box, float]:
    """Images, the box of the answer, and a bound on what trimming took, relative to each pixel or to the peak."""
    box = cropping.requested_box(chain, request.window, automatic=chain.non_negative)
    if choice.engine == "spectral":
        return *_run_spectral(chain, request, choice, box, resources), 0.0

    def run(trim: float) -> list[Outcome]:
        if choice.factors is None:
            return execution.run_direct(chain, dtype=choice.arithmetic, trim=trim, resources=resources)
        return execution.run_separable(chain, choice.factors, trim=trim, resources=resources)

    return _run_trimmed(chain, run, box, request.tol, choice.per_pixel, chain.non_negative)


def _run_spectral(chain: Chain, request: Request, choice: Choice, box: Box | None, resources: Resources) -> tuple[list[Any], Box]:
    from . import spectral

    if chain.non_negative and chain.ndim == 2:
        run = spectral.run_tilted if choice.per_pixel else spectral.run_band
        return run(chain, box=box, tol=request.tol, resources=resources)
    box = box or chain.box
    scale = _gain(chain.gain)[0]
    outcomes = spectral.run_signed(
        chain, request.tol, request.period, request.dtype, resources, box=box, scale=scale, factors=choice.factors
    )
    return outcomes, box


def _most_bytes(chain: Chain, request: Request, choice: Choice) -> int:
    """What a run takes, but for a factor of a few: working images for each thread, and the answer."""
    pixels = math.prod(chain.field.size) if choice.factors is None else sum(chain.field.size)
    channels: int = max([chain.channels, *[step.groups * step.kernels.shape[3] for step in chain.steps]])
    draws = chain.draws or 1
    return 8 * pixels * (4 * channels * min(draws, request.threads) + 2 * draws)


def _remedy(chain: Chain, request: Request, choice: Choice) -> str:
    """What to do where memory is short."""
    if (chain.draws or 1) > 1:
        return "use fewer draws at a time"
    if choice.engine == "spectral":
        return 'use period="auto"' if request.period == "full" else "ask for a smaller window, or use fewer layers"
    if request.engine == "direct" and chain.ndim == 2 and not isinstance(separability.separate(chain), str):
        return 'use engine="separable"'
    if chain.non_negative and request.window != "auto":
        return 'use window="auto"'
    in_float32 = choice.estimate * ROUNDOFF["float32"] / ROUNDOFF[choice.arithmetic]
    if choice.factors is None and request.dtype == "float64" and in_float32 <= max(request.tol, FLOAT32_TOLERANCE):
        return 'use dtype="float32" or fewer layers'
    return "use fewer layers"


def _run_trimmed(
    chain: Chain, run: Any, box: Box | None, tol: float, per_pixel: bool, non_negative: bool
) -> tuple[list[Outcome], Box, float]:
    """Run with as much trimming as the accuracy allows: guess, look at the smallest pixel shown, and run again if need be."""
    trim = FINE_TRIM if per_pixel else PEAK_TRIM * tol
    if not non_negative or chain.bounded or (per_pixel and box == chain.box):
        trim = 0.0
    while True:
        outcomes = run(trim)
        crop = box or cropping.smallest_box(chain, outcomes, tol)
        if not non_negative:
            return outcomes, crop, 0.0
        missing = cropping.missing_share(outcomes, crop) if per_pixel else cropping.missing_of_peak(outcomes)
        if trim == 0 or missing <= tol / 4:
            return outcomes, crop, missing
        # `missing` is proportional to the trimming; below the range of doubles nothing but zeros is trimmed
        better = trim * tol / 8 / missing if math.isfinite(missing) else 0.0
        trim = better if better > 1e-290 else 0.0


# ------------------------------------------------------------------------------------------------ the result


LOG2_10 = math.log2(10)


@lru_cache(maxsize=64)  # layer upon layer of the same network has the same
def _gain(gain: Decimal) -> tuple[float, int]:
    """A gain as (mantissa in [0.5, 1) with its sign, power of two)."""
    near = math.floor(gain.adjusted() * LOG2_10)  # what is left is well within the range of a float
    mantissa, rest = math.frexp(GAINS.divide(gain, GAINS.power(2, near)))
    return mantissa, near + rest


def _result(chain: Chain, request: Request, outcomes: list[Any], crop: Box, choice: Choice, missing: float) -> ERF:
    mantissa, power = _gain(chain.gain)
    peaks = [o.peaks.tolist() for o in outcomes]
    alive = list(map(all, zip(*peaks, strict=True)))
    exponents = [power] * len(alive)
    written = []
    scale = mantissa  # the constant gain's remainder multiplies the image of the first axis, once
    for outcome, tops in zip(outcomes, peaks, strict=True):
        factors = []
        for draw, (peak, exponent) in enumerate(zip(tops, outcome.exponents.tolist(), strict=True)):
            factor, shift = execution.normalising(peak, scale)
            factors.append(factor if alive[draw] else 0.0)
            exponents[draw] += exponent + shift
        written.append(outcome.write(crop, np.array(factors)))
        scale = 1.0
    lost, lost_is_bound = cropping.lost_share(chain, outcomes, crop, written)
    if choice.engine == "spectral" and lost > 0:
        lost_is_bound = lost_is_bound and all(o.bounded for o in outcomes)
    error, error_is_bound = _error(chain, request, outcomes, choice, missing)
    pixels = written if chain.draws is not None else list(map(_only_draw, written))
    return ERF(
        image=None if choice.factors else _as(pixels[0], request.dtype),
        profiles=pixels if choice.factors else None,
        dtype=request.dtype,  # type: ignore[arg-type]
        exponent=np.array(exponents) if chain.draws is not None else exponents[0],
        origin=crop[0],
        receptive_field=chain.field,
        method=chain.method,  # type: ignore[arg-type]
        assumptions=chain.assumptions,
        reduction="signed" if chain.signed else "square",
        border=_border(outcomes) if chain.bounded else 0.0,
        lost=lost,
        lost_is_bound=lost_is_bound,
        error=error,
        error_is_bound=error_is_bound,
        accuracy="pixel" if choice.per_pixel else "peak",
        engine=", ".join([choice.engine, *_remarks(outcomes)]),
        device=_devices.name_of(request.native),
        reason=choice.reason,
        dead=alive.count(False),
        unit=chain.unit,
        input_size=chain.input_size,
        reach=chain.reach_later,
        tops=[o.tops for o in outcomes if hasattr(o, "tops")] or None,
    )


def _remarks(outcomes: list[Any]) -> list[str]:
    """What an engine did in another way than its name says."""
    return sorted({o.remark for o in outcomes if getattr(o, "remark", "")})


def _only_draw(written: Any) -> Any:
    """[1, *shape] as [*shape]."""
    return written[0] if isinstance(written, np.ndarray) else written.reshaped(written.shape[1:])


def _as(image: Any, dtype: str) -> Any:
    """An image in the dtype wanted; one on a GPU that is of another comes to the host for it."""
    if image.dtype == dtype:
        return image
    return (image if isinstance(image, np.ndarray) else image.to_host()).astype(dtype)


def _border(outcomes: list[Any]) -> float:
    """Share of the mass that left through padding, of the worst draw."""
    if len(outcomes) == 1:
        return float(outcomes[0].border.max())
    return float(np.max(1 - np.prod([1 - o.border for o in outcomes], axis=0)))


def _error(chain: Chain, request: Request, outcomes: list[Any], choice: Choice, missing: float) -> tuple[float, bool]:
    """Error relative to the peak or to each pixel, and whether it is a bound."""
    # gain and last scaling; of double-double pixels the rounding to float64
    final = (3 if choice.arithmetic == "extended" else 2) * ROUNDOFF["float64"]
    if request.dtype == "float32":
        final += ROUNDOFF["float32"]
    if choice.engine == "spectral":
        return final + float(sum(o.errors.max() for o in outcomes)), all(o.bounded for o in outcomes)
    if not chain.non_negative:
        return choice.estimate + final, False
    return choice.estimate + sum([max(o.rounding.tolist()) for o in outcomes]) + final + missing, True
