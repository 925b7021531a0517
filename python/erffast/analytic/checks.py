"""`check`: a network's variance image, or any result, measured against what theory says of it.

A check that does not apply is left out: moments and distances hold on the unbounded plane, symmetry needs symmetric taps, the
bound of Berry and Esseen needs the layers, growth one repeated block without stride. Where the axes are expected to agree, one
row stands for them, from the axis that deviates most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..layers import AvgPool, Conv, Layer, MaxPool, Stack, _Window
from .chain import Step, as_stack, lattice, pooled_amplitude, steps, tap_weights, windows
from .distances import EQUAL_TERMS, berry_esseen_sum, edgeworth_distance, gaussian_distances, third_absolute_moment
from .moments import Cumulants, cumulants, tap_cumulants

if TYPE_CHECKING:
    from ..result import ERF

Array: TypeAlias = NDArray[np.float64]

# Of moments over 1e5 layers and pixels; the engines themselves keep 1e-12. Single precision adds its own.
_ROUNDING = 1e-9
_EDGEWORTH_FACTOR = 2.0  # what higher orders and the constant add to the first-order distance: a rule of thumb

ACCOUNTS = "the network's total gain: no energy is created, and what leaves is booked"
SUM = "moments of a sum of independent steps"
SYMMETRIC = "symmetric taps give a symmetric image"
STEP = "expected: half the lattice step; bound: "
BERRY_ESSEEN = "Berry-Esseen, .4748 rho / (sigma^3 sqrt n) (Shevtsova 2011)"
BERRY_ESSEEN_SUM = "Berry-Esseen, .56 sum rho / (sum sigma^2)^1.5 (Shevtsova 2010)"
EDGEWORTH = "Edgeworth's expansion at mid-points of the lattice; bound: "
MEASURED = "twice the first-order distance of the measured cumulants (a rule of thumb)"
GROWTH = "sqrt(n) growth: sqrt(n (k^2 - 1) / 12) for k uniform taps (Luo et al., NIPS 2016)"
RATIO = "1/sqrt(n) of the theoretical field, whose side is n (k - 1) + 1 (Luo et al., NIPS 2016)"


@dataclass(frozen=True)
class Check:
    """One statement of theory and what was measured.

    Attributes
    ----------
    name : str
        What was measured; lengths in input pixels, "axis 0" where the axes differ.
    expected, measured : float
    bound : float
        For a distance from the Gaussian: the largest value it may have. For all else: how far `measured` may be from `expected`.
    holds : bool
    source : str
        The theorem or reference.
    """

    name: str
    expected: float
    measured: float
    bound: float
    holds: bool
    source: str


def check(net_or_erf: Layer | ERF, *, net: Layer | None = None) -> list[Check]:
    """Measure a network, or a result, against closed forms.

    Parameters
    ----------
    net_or_erf : Layer or ERF
        A network: its variance image on the unbounded plane is computed and checked, and for a repeated block also at a
        quarter and half of its depth. A result: what can be said without knowing the network.
    net : Layer, optional
        The network of a result that `variance` gave, so that the same checks apply to it; no further images are computed
        except for growth.

    Returns
    -------
    list of Check
        Mass, mean, std, symmetry, distance to the Gaussian (everywhere and at mid-points), growth at n/4, n/2 and n, and the
        slope of std over field; only those that apply. Empty where theory says nothing.

    Raises
    ------
    TypeError
        Neither a layer nor a result.
    ValueError
        A result with draws: check one of them.
    NotImplementedError
        The network has skip connections.
    """
    if isinstance(net_or_erf, Layer):
        if net is not None:
            raise TypeError("net goes with a result, but the first argument is a network already")
        from ..propagation import variance

        net = as_stack(net_or_erf)
        return _with_net(variance(net), net)
    if not hasattr(net_or_erf, "marginal"):
        raise TypeError(f"check takes a Layer or an ERF, got {net_or_erf!r}")
    if np.ndim(net_or_erf.marginal(0)) != 1:
        raise ValueError("check takes a result of one image, got one with a draws axis; check each draw by itself")
    if net_or_erf.dead:
        return []  # zero everywhere, as for a unit that only sees padding: theory says nothing of its shape
    if net is not None:
        return _with_net(net_or_erf, as_stack(net))
    return _alone(net_or_erf)


def _with_net(erf: ERF, net: Stack) -> list[Check]:
    if erf.reduction != "square":
        raise ValueError(f'with its network, check takes the variance image, of reduction "square", got "{erf.reduction}"')
    found = []
    if _conserves(erf, net):
        found.append(_mass(erf, net))
    if erf.border:
        return found  # what the border cuts off has no closed form
    wanted = cumulants(net, unit=erf.unit)
    assert isinstance(wanted, tuple)
    axes = [steps(net, axis) for axis in range(net.ndim)]
    found += _moments(erf, wanted)
    found += _each([axis for axis in range(net.ndim) if _symmetric(net, axis)], lambda axis: _symmetry(erf, axis), net.ndim)
    spread = [axis for axis in range(net.ndim) if wanted[axis].variance]
    for kind in (_everywhere, _at_midpoints):
        found += _each(spread, lambda axis, kind=kind: kind(erf, axis, wanted[axis], axes[axis]), net.ndim)  # type: ignore[misc]
    return found + _growth(net)


def _alone(erf: ERF) -> list[Check]:
    found = [_shares(erf)]
    if erf.reduction != "square" or erf.border:
        return found  # the theory of shape is about E g^2 on the unbounded plane
    ndim, std = len(erf.std()), erf.std()
    if erf.method in ("exact", "mean-field"):
        found += _each(range(ndim), lambda axis: _symmetry(erf, axis), ndim)
    return found + _each([axis for axis in range(ndim) if std[axis] > 0], lambda axis: _as_measured(erf, axis), ndim)


def _rounding(erf: ERF) -> float:
    return _ROUNDING + 4 * float(np.finfo(erf.dtype).eps)


# ---------------------------------------------------------------- mass


def _conserves(erf: ERF, net: Stack) -> bool:
    """Whether the energy that neither border nor window takes must be there: pools that overhang a map rescale it."""
    pools = [layer for layer, _, _ in windows(net, 0) if isinstance(layer, AvgPool | MaxPool)]
    return erf.input_size is None or not any(any(map(any, pool.geometry(net.ndim)[3])) or pool.ceil_mode for pool in pools)


def _mass(erf: ERF, net: Stack) -> Check:
    from ..mean_field import gains

    with localcontext(prec=40, Emax=10**17, Emin=-(10**17)):
        gain = gains(net).total
        for axis in range(net.ndim):
            amplitude = pooled_amplitude(net, axis)
            gain *= Decimal(float(amplitude @ amplitude))
        kept = float(_total(erf) / gain)
    return _close("mass in the image and through the border", 1.0, kept + erf.border, _rounding(erf) + erf.lost, ACCOUNTS)


def _total(erf: ERF) -> Decimal:
    """Sum of the true values, whose exponent may lie outside the range of floats; a product is not formed for it."""
    if erf.separable:
        shares = math.prod(float(erf.marginal(axis).max()) for axis in range(len(erf.std())))
    else:
        image = erf.image
        shares = float(image.max() / image.sum(dtype=np.float64))
    # not by log10_peak(): at an exponent of millions a float's logarithm has lost the mantissa
    mantissa, exponent = erf._peak()
    return Decimal(mantissa) * Decimal(2) ** exponent / Decimal(shares)


def _shares(erf: ERF) -> Check:
    """Without the network the total is unknown: the accounts must be shares, and the image's own shares must add up."""
    sums = [float(erf.marginal(axis).sum()) for axis in range(len(erf.std()))]
    worst = max(sums, key=lambda s: abs(s - 1) if math.isfinite(s) else math.inf)
    accounts = min(erf.border, erf.lost) >= 0 and erf.border + erf.lost <= 1
    kept = 1 - erf.border - erf.lost
    result = _close("mass: image, border and window", 1.0, worst * kept + erf.border + erf.lost, _rounding(erf), "shares add up to 1")
    return replace(result, holds=result.holds and accounts)


# ---------------------------------------------------------------- moments and symmetry


def _moments(erf: ERF, wanted: Sequence[Cumulants]) -> list[Check]:
    mean, std = erf.mean(), erf.std()
    boxes = [(high - low) / 2 + 1 for low, high in zip(*erf.field_box, strict=True)]

    def one_mean(axis: int) -> Check:
        # mass left out by the window sits at most half a field away
        slack = _rounding(erf) * max(1.0, wanted[axis].std) + 2 * erf.lost * boxes[axis]
        return _close("mean", wanted[axis].mean, mean[axis], slack, SUM)

    def one_std(axis: int) -> Check:
        left_out = erf.lost * boxes[axis] ** 2 / max(wanted[axis].std, 0.5)
        return _close("std", wanted[axis].std, std[axis], _rounding(erf) * max(1.0, wanted[axis].std) + left_out, SUM)

    ndim = len(wanted)
    return _each(range(ndim), one_mean, ndim) + _each(range(ndim), one_std, ndim)


def _symmetric(net: Stack, axis: int) -> bool:
    layers = [layer for layer, _, _ in windows(net, axis)]
    taps = [np.array(tap_weights(layer, axis, net.ndim)) for layer in layers if isinstance(layer, Conv | MaxPool)]
    return all(np.allclose(t, t[::-1], rtol=1e-13, atol=0) for t in taps)


def _symmetry(erf: ERF, axis: int) -> Check:
    """Largest difference of mirrored shares over the largest share; pixels whose mirror image the window leaves out are skipped."""
    shares, field = erf.marginal(axis), erf.receptive_field
    twice_centre = round(2 * (field.centre[axis] + field.jump[axis] * erf.unit[axis] - erf.origin[axis]))
    mirrored = twice_centre - np.arange(shares.size)
    inside = (mirrored >= 0) & (mirrored < shares.size)
    if not (inside.any() and shares.max() > 0):
        return _close("asymmetry / peak", 0.0, math.nan, _ROUNDING, SYMMETRIC)
    difference = np.abs(shares[inside] - shares[mirrored[inside]]).max() / shares.max()
    return _close("asymmetry / peak", 0.0, float(difference), _rounding(erf) + 2 * erf.error + erf.lost, SYMMETRIC)


# ---------------------------------------------------------------- distance to the Gaussian


def _distances(erf: ERF, axis: int, mean: float, std: float, span: int) -> tuple[float, float]:
    return gaussian_distances(erf.marginal(axis), first=erf.origin[axis], mean=mean, std=std, span=span)


def _everywhere(erf: ERF, axis: int, wanted: Cumulants, found: list[Step]) -> Check:
    span = lattice(found)
    measured, _ = _distances(erf, axis, wanted.mean, wanted.std, span)
    bound, source = _berry_esseen(found)
    half_step = span / wanted.std / math.sqrt(2 * math.pi) / 2
    return _below("distance to the Gaussian", half_step, measured, bound + erf.lost, STEP + source)


def _at_midpoints(erf: ERF, axis: int, wanted: Cumulants, found: list[Step]) -> Check:
    span = lattice(found)
    _, measured = _distances(erf, axis, wanted.mean, wanted.std, span)
    bound, source = _berry_esseen(found)
    return _below("the same at mid-points", edgeworth_distance(wanted, span=span), measured, bound + erf.lost, EDGEWORTH + source)


def _berry_esseen(found: list[Step]) -> tuple[float, str]:
    """The sharper of the bounds that apply, and its name."""
    n = sum(step.times for step in found)
    variances = [step.times * step.spacing**2 * tap_cumulants(step.weights).variance for step in found]
    thirds = [step.times * step.spacing**3 * third_absolute_moment(step.weights) for step in found]
    if sum(variances) ** 1.5 == 0:  # a variance below the range of floats: no bound can be computed
        return math.inf, BERRY_ESSEEN_SUM
    if len({(step.weights, step.spacing) for step in found}) == 1:
        return EQUAL_TERMS * (sum(thirds) / n) / ((sum(variances) / n) ** 1.5 * math.sqrt(n)), BERRY_ESSEEN
    return berry_esseen_sum(variances, thirds), BERRY_ESSEEN_SUM


def _as_measured(erf: ERF, axis: int) -> Check:
    """Without the layers: the distance against what the measured cumulants explain."""
    shares = erf.marginal(axis)
    found = tap_cumulants(shares)
    measured, _ = _distances(erf, axis, found.mean + erf.origin[axis], found.std, 1)
    half_step = float(shares.max()) / 2
    explained = half_step + edgeworth_distance(found)
    return _below("distance to the Gaussian", half_step, measured, _EDGEWORTH_FACTOR * explained + erf.lost, STEP + MEASURED)


# ---------------------------------------------------------------- growth


def _growth(net: Stack) -> list[Check]:
    """Std of a quarter, half and all of one repeated block, and how it falls behind the theoretical field."""
    parts = [(part, count) for part, count in net.parts if _has_extent(part)]
    if len(parts) != 1 or parts[0][1] < 4:
        return []
    part, count = parts[0]
    block = part if isinstance(part, Stack) else net._from_parts([(part, 1)], net.ndim)
    layers = list(windows(block, 0))
    if any(isinstance(layer, AvgPool) or set(layer.geometry(net.ndim)[1]) != {1} for layer, _, _ in layers):
        return []
    from ..propagation import variance

    in_block = sum(times for _, _, times in layers)
    depths = (count // 4, count // 2, count)
    measured = [variance(block * depth) for depth in depths]
    each = [cumulants(block, axis=axis) for axis in range(net.ndim)]
    spread = [axis for axis, one in enumerate(each) if isinstance(one, Cumulants) and one.variance]
    found: list[Check] = []
    for depth, erf in zip(depths, measured, strict=True):

        def growth(axis: int, depth: int = depth, erf: Any = erf) -> Check:
            wanted = math.sqrt(depth * each[axis].variance)  # type: ignore[union-attr]
            half_field = (erf.receptive_field.size[axis] + 1) / 2
            slack = _ROUNDING * max(1.0, wanted) + erf.lost * half_field**2 / wanted
            return _close(f"std at n = {depth * in_block} layers", wanted, erf.std()[axis], slack, GROWTH)

        found += _each(spread, growth, net.ndim)

    def slope(axis: int) -> Check:
        doublings = math.log(depths[-1] / depths[0])
        field = math.log(measured[-1].receptive_field.size[axis] / measured[0].receptive_field.size[axis]) / doublings
        ratios = [erf.std()[axis] / erf.receptive_field.size[axis] for erf in (measured[0], measured[-1])]
        return _close("slope of log(std / field), tends to -1/2", 0.5 - field, math.log(ratios[1] / ratios[0]) / doublings, 1e-6, RATIO)

    return found + _each(spread, slope, net.ndim)


def _has_extent(part: Layer) -> bool:
    if isinstance(part, Stack):
        return any(_has_extent(inner) for inner, _ in part.parts)
    return isinstance(part, _Window)


# ---------------------------------------------------------------- rows


def _close(name: str, expected: float, measured: float, bound: float, source: str) -> Check:
    return Check(name, float(expected), float(measured), float(bound), bool(abs(measured - expected) <= bound), source)


def _below(name: str, expected: float, measured: float, bound: float, source: str) -> Check:
    return Check(name, float(expected), float(measured), float(bound), bool(measured <= bound), source)


def _each(axes: Sequence[int], make: Callable[[int], Check], ndim: int) -> list[Check]:
    """One row per axis, named; or, where all axes expect the same, the row that deviates most."""
    rows = [make(axis) for axis in axes]
    if len(rows) == ndim and all(math.isclose(row.expected, rows[0].expected, rel_tol=1e-12) for row in rows):
        return [max(rows, key=lambda row: math.inf if math.isnan(row.measured) else abs(row.measured - row.expected) / row.bound)]
    if ndim == 1:
        return rows
    return [replace(row, name=f"{row.name}, axis {axis}") for axis, row in zip(axes, rows, strict=True)]
