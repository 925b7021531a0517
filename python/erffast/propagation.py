"""`variance` and `gradient`: from a network to its effective receptive field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _backend, condition, cropping, execution, separability
from . import _validate as check
from ._progress import Progress, meter
from ._validate import Ints
from .chain import GAINS, Chain
from .cropping import Box
from .errors import AccuracyError, BackendUnavailable
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

ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24}
# Trimming of non-negative chains where each pixel is to be right: far below any pixel an automatic window shows (a corner
# 7 standard deviations out on both axes holds 1e-25 or so). Checked afterwards; a second run follows where it was not enough.
FINE_TRIM = 2.0**-140
# Where errors count against the peak: what is trimmed may all come to lie on one pixel, while the mass is that of thousands.
PEAK_TRIM = 2.0**-13
# A signed float32 result is computed in float64 where float32 arithmetic is not expected to keep this share of the peak.
FLOAT32_TOLERANCE = 1e-5


@dataclass(frozen=True)
class _Request:
    window: Window
    tol: float
    accuracy: str
    engine: str
    dtype: str
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
    engine : "auto", "direct" or "separable"
        How it is computed; "auto" takes "separable" where every kernel is an outer product.
    device : "auto", "cpu" or "cuda"
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
        Average pools whose correlations have no closed form here.
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
    request = _request(window, tol, accuracy, engine, device, dtype, threads, progress)
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
    input_size, unit, layer, window, tol, accuracy, engine, device, dtype, threads, progress
        As in `variance`. "auto" windows of chains with negative taps are the full receptive field, and their accuracy is
        relative to the peak.

    Returns
    -------
    ERF
        ``reduction == "signed"``, image [*shape] or [draws, *shape].

    Raises
    ------
    AccuracyError
        Deep chains of signed kernels amplify rounding layer by layer; where the estimate exceeds `tol` nothing is returned.
    ValueError, TypeError, MemoryError
        As in `variance`.

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
    request = _request(window, tol, accuracy, engine, device, dtype, threads, progress)
    return _solve(lower_gradient(net, weights, input_size, unit, layer), request)


def _request(window: Any, tol: Any, accuracy: Any, engine: Any, device: Any, dtype: Any, threads: Any, progress: Any) -> _Request:
    if isinstance(window, str):
        if window not in ("auto", "full"):
            raise ValueError(f"window must be 'auto', 'full' or a size in pixels, got {window!r}")
    else:
        window = check.integers(window, "window", least=1)
    tol = check.real(tol, "tol")
    if not 0 < tol < 1:
        raise ValueError(f"tol must lie between 0 and 1, got {tol}")
    check.choice(accuracy, "accuracy", ("auto", "pixel", "peak"))
    check.choice(engine, "engine", ("auto", "direct", "separable", "spectral"))
    if engine == "spectral":
        raise BackendUnavailable('engine="spectral" is not in this version; use engine="auto"')
    check.choice(device, "device", ("auto", "cpu", "cuda"))
    _backend.require_device(device)
    check.choice(dtype, "dtype", ("float64", "float32"))
    return _Request(window, tol, accuracy, engine, dtype, _backend.thread_count(threads), progress)


# ------------------------------------------------------------------------------------------------ one chain


def _solve(chain: Chain, request: _Request) -> ERF:
    non_negative = chain.non_negative
    if request.accuracy == "pixel" and not non_negative:
        raise ValueError(
            'accuracy="pixel" needs kernels without negative taps; signed chains keep an error relative to the peak (accuracy="peak")'
        )
    per_pixel = non_negative and request.accuracy != "peak"
    factors = _separable_factors(chain, request)
    arithmetic, estimate = _arithmetic(chain, request, factors, non_negative)
    box = cropping.requested_box(chain, request.window, automatic=non_negative)
    with meter(request.progress) as counted:
        resources = Resources(request.threads, _backend.memory_limit(), counted, _remedy(chain, request, estimate, factors is not None))

        def run(trim: float) -> list[Outcome]:
            if factors is None:
                return execution.run_direct(chain, dtype=arithmetic, trim=trim, resources=resources)
            return execution.run_separable(chain, factors, trim=trim, resources=resources)

        outcomes, crop = _run_trimmed(chain, run, box, request.tol, per_pixel, non_negative)
    return _result(chain, request, outcomes, crop, arithmetic, estimate, per_pixel, factors is not None)


def _separable_factors(chain: Chain, request: _Request) -> list[tuple[Array, ...]] | None:
    if request.engine == "direct" or (request.engine == "auto" and chain.ndim == 1):
        if chain.ndim == 3:
            raise ValueError('engine="direct" is for 1-D and 2-D networks; 3-D networks need engine="separable"')
        return None
    found = separability.separate(chain)
    if not isinstance(found, str):
        return found
    if request.engine == "separable":
        raise ValueError(f'engine="separable" does not apply: the kernel of layer {found} is not an outer product of one vector per axis')
    if chain.ndim == 3:
        raise ValueError(f"3-D networks need separable kernels: the kernel of layer {found} is not an outer product of one vector per axis")
    return None


def _arithmetic(chain: Chain, request: _Request, factors: list[tuple[Array, ...]] | None, non_negative: bool) -> tuple[str, float]:
    """The dtype to compute in, and the estimated error of a signed chain; of others what replacing kernels by factors costs."""
    wanted = "float64" if factors is not None else request.dtype
    if non_negative:
        return wanted, 0.0 if factors is None else separability.factor_error(chain.steps, factors)
    relative = _condition(chain, factors)
    if wanted == "float32" and not _float32_does(relative * ROUNDOFF["float32"], request):
        wanted = "float64"
    estimate = relative * ROUNDOFF[wanted]
    floor = 0.0 if request.dtype == "float64" else FLOAT32_TOLERANCE
    if estimate > max(request.tol, floor):
        raise AccuracyError(
            f"rounding, amplified layer by layer through {chain.layers} layers with signed kernels, is estimated at {estimate:.1e} "
            f"of the peak, above tol={request.tol:.1e}; allow that with a larger tol, or use fewer layers (an engine that keeps the "
            "accuracy at any depth comes in a later version)"
        )
    return wanted, estimate


def _float32_does(estimate: float, request: _Request) -> bool:
    """Whether float32 arithmetic is expected to be good enough for a float32 result."""
    return estimate <= max(request.tol, FLOAT32_TOLERANCE)


def _condition(chain: Chain, factors: list[tuple[Array, ...]] | None) -> float:
    """Estimated error in units of the roundoff; for separable chains the axes' errors add."""
    if factors is None:
        return condition.estimate_error(chain.steps, chain.draws or 1, 1.0)
    amplified = sum(condition.estimate_error(steps, chain.draws or 1, 1.0) for steps in condition.axis_steps(chain.steps, factors))
    return amplified * (1 + separability.factor_error(chain.steps, factors) / (condition.SAFETY * ROUNDOFF["float64"]))


def _remedy(chain: Chain, request: _Request, estimate: float, separable: bool) -> str:
    """What to do where memory is short. `estimate`: of the error in float64."""
    if (chain.draws or 1) > 1:
        return "use fewer draws at a time"
    if request.engine == "direct" and chain.ndim == 2 and not isinstance(separability.separate(chain), str):
        return 'use engine="separable"'
    if chain.non_negative and request.window != "auto":
        return 'use window="auto"'
    if request.dtype == "float64" and not separable and _float32_does(estimate * ROUNDOFF["float32"] / ROUNDOFF["float64"], request):
        return 'use dtype="float32" or fewer layers'
    return "use fewer layers"


def _run_trimmed(chain: Chain, run: Any, box: Box | None, tol: float, per_pixel: bool, non_negative: bool) -> tuple[list[Outcome], Box]:
    """Run with as much trimming as the accuracy allows: guess, look at the smallest pixel shown, and run again if need be."""
    if not non_negative or chain.bounded or (per_pixel and box == chain.box):
        outcomes = run(0.0)
        return outcomes, box or cropping.smallest_box(chain, outcomes, tol)
    trim = FINE_TRIM if per_pixel else PEAK_TRIM * tol
    while True:
        outcomes = run(trim)
        crop = box or cropping.smallest_box(chain, outcomes, tol)
        if trim == 0:
            return outcomes, crop
        missing = cropping.missing_share(outcomes, crop) if per_pixel else cropping.missing_of_peak(outcomes)
        if missing <= tol / 4:
            return outcomes, crop
        # `missing` is proportional to the trimming; below the range of doubles nothing but zeros is trimmed
        better = trim * tol / 8 / missing if math.isfinite(missing) else 0.0
        trim = better if better > 1e-290 else 0.0


# ------------------------------------------------------------------------------------------------ the result


def _gain(gain: Decimal) -> tuple[float, int]:
    """A gain as (mantissa in [1, 2) with its sign, power of two)."""
    with localcontext(GAINS):
        size = abs(gain)
        exponent = int((size.ln() / Decimal(2).ln()).to_integral_value(rounding="ROUND_FLOOR")) if size != 1 else 0
        mantissa = float(size / Decimal(2) ** exponent)
    return math.copysign(mantissa, gain), exponent


def _result(
    chain: Chain, request: _Request, outcomes: list[Outcome], crop: Box, arithmetic: str, estimate: float, per_pixel: bool, separable: bool
) -> ERF:
    mantissa, power = _gain(chain.gain)
    alive = np.all([o.peaks > 0 for o in outcomes], axis=0)
    exponents = np.zeros(len(alive), dtype=np.int64)
    written = []
    for index, outcome in enumerate(outcomes):
        # the constant gain's remainder multiplies the image here, once
        scale = mantissa if index == 0 else 1.0
        shift = np.frexp(np.where(alive, outcome.peaks, 0.5) * abs(scale))[1].astype(np.int64)
        written.append(outcome.write(crop, np.where(alive, np.ldexp(scale, -shift), 0.0)))
        exponents += outcome.exponents + shift
    exponents = np.where(alive, exponents + power, 0)
    lost, lost_is_bound = cropping.lost_share(chain, outcomes, crop, written)
    error = _error(outcomes, crop, estimate, per_pixel, chain.non_negative, request, arithmetic)
    pixels = written if chain.draws is not None else [w[0] for w in written]
    return ERF(
        image=None if separable else pixels[0].astype(request.dtype, copy=False),
        profiles=tuple(p.astype(np.float64, copy=False) for p in pixels) if separable else None,
        dtype=request.dtype,  # type: ignore[arg-type]
        exponent=exponents if chain.draws is not None else int(exponents[0]),
        origin=crop[0],
        receptive_field=chain.field,
        method=chain.method,  # type: ignore[arg-type]
        assumptions=chain.assumptions,
        reduction="signed" if chain.signed else "square",
        border=float(np.max(1 - np.prod([1 - o.border for o in outcomes], axis=0)))
        if len(outcomes) > 1
        else float(outcomes[0].border.max()),
        lost=lost,
        lost_is_bound=lost_is_bound,
        error=error,
        error_is_bound=chain.non_negative,
        accuracy="pixel" if per_pixel else "peak",
        engine="separable" if separable else "direct",
        dead=int((~alive).sum()),
        unit=chain.unit,
        input_size=chain.input_size,
        reach=chain.reach,
    )


def _error(
    outcomes: list[Outcome], crop: Box, estimate: float, per_pixel: bool, non_negative: bool, request: _Request, arithmetic: str
) -> float:
    final = 2 * ROUNDOFF["float64"]  # gain and last scaling
    if request.dtype == "float32":
        final += ROUNDOFF["float32"]
    if not non_negative:
        return estimate + final
    rounding = estimate + float(np.sum([o.rounding.max() for o in outcomes])) + final
    missing = cropping.missing_share(outcomes, crop) if per_pixel else cropping.missing_of_peak(outcomes)
    return rounding + missing
