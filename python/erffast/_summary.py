"""What a result says about itself: four plain lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._tables import scientific

if TYPE_CHECKING:
    from .result import ERF

LONGEST = 2**19  # pixels per axis, all axes together, up to which a summary may measure them


def summary(erf: ERF) -> str:
    """The four lines of ``repr(erf)``: where and what, sizes, accounts, how it was computed."""
    return "\n".join((_what(erf), sizes_of(erf), _accounts(erf), _how(erf)))


def _what(erf: ERF) -> str:
    words = {
        "square": "variance" if erf.method in ("exact", "mean-field") else "squared gradient",
        "signed": "gradient",
        "abs": "absolute gradient",
        "rms": "amplitude",
        "positive": "positive part of the gradient",
    }
    draws = f"{erf.held} draws of " if erf.held > 1 else f"mean of {erf.draws} draws, " if erf.draws > 1 else ""
    where = f"{draws}{_by(erf.shape)} px at {_tuple(erf.origin)}"
    return f"ERF of unit {_tuple(erf.unit)}: {words[erf.reduction]}, {erf.ndim}-D, {where}, peak {scientific(_median(erf.log10_peak()))}"


def sizes_of(erf: ERF) -> str:
    """Its sizes in one line."""
    std = [_median(s) for s in erf.std()]
    if np.isnan(std[0]):
        return "sizes: none, the image is zero everywhere"
    title = "sizes of the squared gradient" if erf.reduction == "signed" else "sizes"
    if sum(erf.shape) > LONGEST:  # level_size() and mass_size() sort what they count
        field = _by(erf.receptive_field.size)
        return f"{title}: std {_by(map(_px, std))} px of the TRF, {field}; level_size() and mass_size() take a while for this many pixels"
    share = f"{100 * _median(erf.ratio()):.3g} % of the TRF, {_by(erf.receptive_field.size)}"
    note = f" (median of {erf.held} draws)" if erf.held > 1 else ""
    level, mass = _px(_median(erf.level_size())), _px(_median(erf.mass_size()))
    return f"{title}: std {_by(map(_px, std))} px, level {level} px ({share}), mass 95.45 % {mass} px{note}"


def _accounts(erf: ERF) -> str:
    of = "per pixel" if erf.accuracy == "pixel" else "of the peak"
    lost, error = _bounded(erf.lost, erf.lost_is_bound), _bounded(erf.error, erf.error_is_bound)
    special = ((erf.dead, "dead"), (erf.nonfinite, "non-finite"))
    counts = "".join(f", {count} {name} draw{'s' if count > 1 else ''}" for count, name in special if count)
    return f"accounts: border {erf.border:.3g}, lost {lost}, error {error} {of}{counts}"


def _how(erf: ERF) -> str:
    assumes = f"; assumes {', '.join(erf.assumptions)}" if erf.assumptions else ""
    return f"{erf.method}, engine {erf.engine} on {erf.device}, {erf.dtype}{assumes}"


def _median(value: Any) -> float:
    """Over draws, those that are zero everywhere left out."""
    values = np.atleast_1d(value)
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else (-np.inf if np.all(np.isneginf(value)) else np.nan)


def _bounded(value: float, is_bound: bool) -> str:
    return "0" if value == 0 and is_bound else f"{'<=' if is_bound else '~'} {value:.2g}"


def _px(value: float) -> str:
    """Four significant digits, without an exponent."""
    return f"{value:.4g}" if value < 1e4 else f"{value:.0f}"


def _by(values: Any) -> str:
    return " x ".join(map(str, values))


def _tuple(values: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, values))})"
