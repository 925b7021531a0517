"""Windows: which pixels of the answer are returned, and what is left out."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _validate as check
from .chain import Box, Chain
from .execution import Outcome
from .geometry import ReceptiveField

Array = NDArray[np.float64]
SUMS = 2.0**-40  # relative rounding error of a sum of thousands of positive pixels in float64, several times over

__all__ = ["Box", "lost_share", "missing_of_peak", "missing_share", "requested_box", "smallest_box", "window_box"]


def requested_box(chain: Chain, window: str | int | tuple[int, ...], *, automatic: bool) -> Box | None:
    """The box asked for; None where it is to be found from the mass."""
    if window == "auto":
        return None if automatic else chain.box
    return window_box(chain.field, chain.unit, chain.input_size, chain.box, window)


def window_box(
    field: ReceptiveField, unit: tuple[int, ...], input_size: tuple[int, ...] | None, box: Box, window: str | int | tuple[int, ...]
) -> Box:
    """A window of a size within the `box` of all pixels, about the centre of the unit's field; all of it for a name."""
    if isinstance(window, str):
        return box
    sizes = check.per_axis(window, len(unit), "window")
    low, high = [], []
    full = tuple(b - a + 1 for a, b in zip(*box, strict=True))
    if any(n > f for n, f in zip(sizes, full, strict=True)):
        where = "the receptive field" if input_size is None else "the receptive field on the map"
        raise ValueError(f'window {sizes} is larger than {where} {full}; window="full" gives all of it')
    for axis, n in enumerate(sizes):
        centre = field.centre[axis] + field.jump[axis] * unit[axis]
        first = math.ceil(centre - n / 2)
        first = min(max(first, box[0][axis]), box[1][axis] - n + 1)  # stay on the map
        low.append(first)
        high.append(first + n - 1)
    return tuple(low), tuple(high)


def smallest_box(chain: Chain, outcomes: list[Outcome], tol: float) -> Box:
    """The smallest box that leaves out at most `tol` of the mass of any draw, the same share at each side of each axis."""
    low, high = list(chain.box[1]), list(chain.box[0])
    tol /= 1 + _uncertainty(outcomes)
    budgets = [max(tol / 2, tol - trimmed) / (2 * chain.ndim) for trimmed in _trimmed(outcomes).tolist()]
    for outcome in outcomes:
        for draw, budget in enumerate(budgets):
            if not outcome.alive(draw):
                continue
            for axis in outcome.axes:
                first, last = outcome.span(draw, axis)
                leading, trailing = outcome.margins(draw, axis, budget)
                low[axis] = min(low[axis], first + leading)
                high[axis] = max(high[axis], last - trailing)
    if any(map(operator.lt, high, low)):  # every draw is zero everywhere
        return chain.box
    return tuple(low), tuple(high)


def _uncertainty(outcomes: list[Outcome]) -> float:
    """Relative error of any share of the mass: the pixels' rounding, in the part and in the whole, and that of the sums."""
    return float(2 * sum([max(o.rounding.tolist()) for o in outcomes]) + SUMS)


def _trimmed(outcomes: list[Outcome]) -> Array:
    """Per draw, the share of the mass left out by trimming, all axes together."""
    return sum([o.trimmed for o in outcomes[1:]], start=outcomes[0].trimmed)


def missing_share(outcomes: list[Outcome], crop: Box) -> float:
    """Bound on what trimming took from any pixel of the crop, relative to that pixel; infinite where a pixel is not covered."""
    worst = 0.0
    for draw in range(outcomes[0].draws):
        total = 0.0
        for outcome in outcomes:
            if not outcome.alive(draw) or outcome.trimmed[draw] == 0:
                continue
            for axis in outcome.axes:
                first, last = outcome.span(draw, axis)
                if first > crop[0][axis] or last < crop[1][axis]:
                    return math.inf
            mass = float(outcome.marginal(draw, outcome.axes[0]).sum())
            total += float(outcome.trimmed[draw]) * mass / outcome.least(draw, crop)
        worst = max(worst, total)
    return worst


def missing_of_peak(outcomes: list[Outcome]) -> float:
    """Bound on what trimming took from any pixel, relative to the peak."""
    worst = 0.0
    for draw in range(outcomes[0].draws):
        parts = [float(o.trimmed[draw]) * float(o.marginal(draw, o.axes[0]).sum()) for o in outcomes if o.alive(draw)]
        worst = max(worst, sum(parts))
    return worst


def lost_share(chain: Chain, outcomes: list[Outcome], crop: Box, written: list[Any]) -> tuple[float, bool]:
    """Share of the mass outside the crop (the worst draw), and whether it is a bound.

    Mass is the image of a variance, the square of a gradient.
    """
    if crop == chain.box and not _trimmed(outcomes).any():
        return 0.0, True
    if chain.signed and not chain.non_negative:
        return _energy_outside(outcomes, written), False
    outside, scale = np.zeros(outcomes[0].draws), np.ones(outcomes[0].draws)
    for outcome in outcomes:
        for draw in range(outcome.draws):
            if not outcome.alive(draw):
                continue
            for axis in outcome.axes:
                mass = outcome.marginal(draw, axis)
                first, _ = outcome.span(draw, axis)
                begin, end = max(crop[0][axis] - first, 0), max(crop[1][axis] + 1 - first, 0)
                outside[draw] += (mass[:begin].sum() + mass[end:].sum()) / mass.sum()
            scale[draw] *= mass.sum()
    outside = (outside + _trimmed(outcomes)) * (1 + _uncertainty(outcomes))
    if chain.signed:
        # squares left out are at most the square of the mass left out, against at least the square of the peak
        outside = np.minimum(outside, (outside * scale) ** 2)
    return float(min(outside.max(), 1.0)), True


def _energy_outside(outcomes: list[Outcome], written: list[Any]) -> float:
    kept = np.ones(outcomes[0].draws)
    for outcome, image in zip(outcomes, written, strict=True):
        pixels = image if isinstance(image, np.ndarray) else image.to_host()
        inside = (pixels.reshape(len(pixels), -1).astype(np.float64) ** 2).sum(axis=1)
        total = outcome.energies() * outcome.written_peaks**2
        kept *= np.divide(inside, total, out=np.ones_like(total), where=total > 0)
    return float(np.clip(1 - kept.min(), 0.0, 1.0))
