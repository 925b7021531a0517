"""Which engine runs a chain, and in which arithmetic: accuracy decides first, then cost.

Chains without negative taps are right pixel by pixel when run layer by layer. Signed chains amplify rounding layer by layer; the
product of their transfer functions does not, so they take the spectral engine wherever there is one, unless they are so shallow
that layer by layer is both cheaper and good enough. Where a spectrum cannot serve (borders, several channels), the estimate of
the amplified rounding decides between double and double-double arithmetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import condition, separability
from .chain import Chain
from .errors import AccuracyError
from .execution import EXTENDED_ROUNDOFF

if TYPE_CHECKING:
    from .propagation import Request

Array = NDArray[np.float64]
Factors = list[tuple[Array, ...]]

# Unit roundoff of each arithmetic.
ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "extended": EXTENDED_ROUNDOFF}
# A signed float32 result is computed in float64 where float32 arithmetic is not expected to keep this share of the peak.
FLOAT32_TOLERANCE = 1e-5


class Choice(NamedTuple):
    """How a chain is run.

    Attributes
    ----------
    engine : {"direct", "separable", "spectral"}
    arithmetic : {"float64", "float32", "extended"}
        "extended" is double-double.
    estimate : float
        Estimated error / peak of a signed chain run layer by layer; of others what replacing kernels by factors costs.
    per_pixel : bool
        Errors are kept relative to each pixel.
    factors : list, optional
        The kernels per axis where each axis is run by itself.
    reason : str
        Why, in one sentence.
    """

    engine: str
    arithmetic: str
    estimate: float
    per_pixel: bool
    factors: Factors | None
    reason: str


def choose(chain: Chain, request: Request) -> Choice:
    """The engine and arithmetic for a chain; raises where none can do what is asked."""
    _check_accuracy(chain, request)
    if request.engine == "spectral":
        return _spectral_as_asked(chain, request)
    factors = _factors(chain, request)
    return _non_negative(chain, request, factors) if chain.non_negative else _signed(chain, request, factors)


def _check_accuracy(chain: Chain, request: Request) -> None:
    if request.accuracy != "pixel":
        return
    if not chain.non_negative:
        raise ValueError(
            'accuracy="pixel" needs kernels without negative taps; signed chains keep an error relative to the peak (accuracy="peak")'
        )
    if request.engine == "spectral" and chain.ndim != 2:
        raise ValueError('accuracy="pixel" is for the direct and separable engines where a network does not have two axes')


def _spectral_as_asked(chain: Chain, request: Request) -> Choice:
    from .spectral.transfer import obstacle

    if why := obstacle(chain):
        raise ValueError(f'engine="spectral" does not apply: {why}')
    return Choice("spectral", "float64", 0.0, request.accuracy == "pixel", None, _asked("spectral"))


def _asked(engine: str) -> str:
    return f'engine="{engine}" was asked for'


def _factors(chain: Chain, request: Request) -> Factors | None:
    """The kernels per axis, where the chain is separable and may be run so."""
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


# ------------------------------------------------------------------------------------------------ without negative taps


def _non_negative(chain: Chain, request: Request, factors: Factors | None) -> Choice:
    per_pixel = request.accuracy != "peak"
    if factors is not None:
        cost = separability.factor_error(chain.steps, factors)
        reason = (
            _asked("separable") if request.engine == "separable" else "every kernel is an outer product, so each axis is computed by itself"
        )
        return Choice("separable", "float64", cost, per_pixel, factors, reason)
    if request.engine == "direct":
        return Choice("direct", request.dtype, 0.0, per_pixel, None, _asked("direct"))
    if not per_pixel and _band_pays(chain, every_pixel=False):
        reason = "without negative taps only low frequencies survive the depth, and errors may be relative to the peak"
        return Choice("spectral", "float64", 0.0, False, None, reason)
    if per_pixel and request.window != "full" and _band_pays(chain, every_pixel=True):
        reason = "without negative taps, tilted bands certify every pixel of a window, for less than all layers of so deep a chain cost"
        return Choice("spectral", "float64", 0.0, True, None, reason)
    return _layers_without_negative_taps(request, per_pixel)


def _layers_without_negative_taps(request: Request, per_pixel: bool) -> Choice:
    return Choice(
        "direct", request.dtype, 0.0, per_pixel, None, "without negative taps every pixel keeps its relative accuracy layer by layer"
    )


def _band_pays(chain: Chain, *, every_pixel: bool) -> bool:
    """Whether a band of frequencies, or for every pixel tiles of tilted ones, takes less time than all layers."""
    from .spectral.cost import band_pays, tilts_pay
    from .spectral.transfer import obstacle

    return chain.ndim == 2 and not obstacle(chain) and (tilts_pay if every_pixel else band_pays)(chain)


# ------------------------------------------------------------------------------------------------ signed


def _signed(chain: Chain, request: Request, factors: Factors | None) -> Choice:
    from .spectral.cost import layers_pay
    from .spectral.transfer import obstacle

    why_not = obstacle(chain, separable=factors is not None)
    if request.engine == "auto" and not why_not:
        layered = _layer_by_layer(chain, request, factors) if layers_pay(chain, separable=factors is not None) else None
        if layered is not None and layered.arithmetic != "extended":
            return layered
        reason = "layer by layer, signed kernels amplify rounding; their transfer functions, multiplied frequency by frequency, do not"
        return Choice("spectral", "float64", 0.0, False, factors, reason)
    found = _layer_by_layer(chain, request, factors)
    if found is None and request.engine == "auto" and factors is not None and chain.ndim < 3:
        found = _layer_by_layer(chain, request, None)  # the kernels as they are: their factors are rounded
    if found is None:
        raise _refusal(chain, request, factors, why_not)
    return found


def instead(chain: Chain, request: Request, failed: Choice, refusal: AccuracyError) -> Choice:
    """What may serve where the spectral engine found its own rounding too large; raises the refusal, completed, where nothing does.

    Responses that are nearly zero where the others are large leave few digits in doubles, however they are multiplied.
    """
    if request.engine == "auto" and failed.engine == "spectral" and failed.per_pixel:
        return _layers_without_negative_taps(request, per_pixel=True)
    if request.engine != "auto" or failed.engine != "spectral" or chain.non_negative or chain.ndim == 3:
        raise refusal
    found = _layer_by_layer(chain, request, None)
    measured = str(refusal).partition(";")[0]
    if found is not None:
        return found._replace(reason=f"{measured}; {found.reason}")
    estimate = _amplification(chain, None) * ROUNDOFF["extended"]
    raise AccuracyError(
        f"{measured}; layer by layer, in double-double arithmetic, it is estimated at {estimate:.1e}. A larger tol allows it; "
        "fewer layers, or convolutions without a stride in another order, may need less"
    ) from refusal


def _layer_by_layer(chain: Chain, request: Request, factors: Factors | None) -> Choice | None:
    """The least arithmetic that is expected to keep the tolerance; None where none is."""
    amplified = _amplification(chain, factors)
    allowed = max(request.tol, FLOAT32_TOLERANCE if request.dtype == "float32" else 0.0)
    engine = "direct" if factors is None else "separable"
    offered = ["float64"] if factors is not None else ["float64", "extended"]
    if request.dtype == "float32" and factors is None:
        offered.insert(0, "float32")
    for arithmetic in offered:
        estimate = amplified * ROUNDOFF[arithmetic]
        if estimate <= allowed:
            reason = f"rounding, amplified layer by layer, is estimated at {estimate:.1e} of the peak"
            if arithmetic == "extended":
                reason += f" in double-double arithmetic ({amplified * ROUNDOFF['float64']:.1e} in float64)"
            return Choice(engine, arithmetic, estimate, False, factors, reason)
    return None


def _amplification(chain: Chain, factors: Factors | None) -> float:
    """Estimated error in units of the roundoff; for separable chains the axes' errors add."""
    if factors is None:
        return condition.estimate_error(chain.steps, chain.draws or 1, 1.0)
    amplified = sum(condition.estimate_error(steps, chain.draws or 1, 1.0) for steps in condition.axis_steps(chain.steps, factors))
    return amplified * (1 + separability.expected_deviation(chain.steps, factors) / (condition.SAFETY * ROUNDOFF["float64"]))


def _refusal(chain: Chain, request: Request, factors: Factors | None, why_not: str) -> AccuracyError:
    arithmetic = "extended" if factors is None else "float64"
    estimate = _amplification(chain, factors) * ROUNDOFF[arithmetic]
    name = "double-double arithmetic" if factors is None else "float64"
    remedy = f"the spectral engine, which does not amplify it, is not for this network: {why_not}" if why_not else 'use engine="auto"'
    return AccuracyError(
        f"rounding, amplified layer by layer through {chain.layers} layers with signed kernels, is estimated at {estimate:.1e} "
        f"of the peak in {name}, above tol={request.tol:.1e}; allow that with a larger tol, or use fewer layers ({remedy})"
    )
