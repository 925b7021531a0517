"""How size and ratio grow with depth: the slopes under every definition of size, and what the paper's .56 and -.43 can mean.

The paper draws the size of the effective field and its ratio to the theoretical one against depth, on logarithmic axes, means of 20
draws, and fits slopes of 0.56 and -0.43. Its theory says 1/2 and -1/2 for one standard deviation, its experiments count pixels above a
level and call that two. Here every definition has its slope, over several lists of depths, from exact images and from draws.

The ratio is the size over the side of the theoretical field, so ``slope(size) - slope(ratio) = slope(log TRF)`` over the same depths,
whatever the size is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from .. import analytic
from ..frontends.text import parse
from ..propagation import variance
from ..result import ERF
from ._findings import Claim, Findings, Grid
from ._run import Run
from ._statistics import spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Growth: size and ratio against depth"
DEPTHS = tuple(range(5, 41, 5))
LISTS = {"5, 10, 15, …, 40": DEPTHS, "5, 10, 20, 40": (5, 10, 20, 40), "20, 40, 80, 160": (20, 40, 80, 160)}
PAPER = {"size": 0.56, "ratio": -0.43}
DRAWS = 20
REFERENCES: tuple[Literal["centre", "peak"], ...] = ("centre", "peak")

Array = NDArray[np.float64]
Measure = Callable[[ERF], float]

SIZES: dict[str, Measure] = {
    "one standard deviation": spread,
    "two standard deviations": lambda erf: 2 * spread(erf),
    "pixels above .0455 of the peak, of g²": ERF.level_size,
    "pixels above .0455 of the peak, of |g|": lambda erf: erf.level_size(0.0455**2),
    "pixels above .135 of the peak (the disc of two std), of g²": lambda erf: erf.level_size(float(np.exp(-2))),
    "fewest pixels that hold 95.45 % of g²": ERF.mass_size,
}
# What is drawn and averaged: the text of a layer, channels, reduction, whether draws are brought to unit mass first.
DRAWN = {
    "random, 1 channel, |g| of unit sum": ("conv3", 1, "abs", True),
    "random, 1 channel, positive part of g, of unit sum": ("conv3", 1, "positive", True),
    "random, 1 channel, g² of unit sum": ("conv3", 1, "square", True),
    "random, 1 channel, g² as it comes": ("conv3", 1, "square", False),
    "random + ReLU, 1 channel, |g| of unit sum": ("conv3, relu", 1, "abs", True),
    "random + ReLU, 16 channels, |g| of unit sum": ("conv3, relu", 16, "abs", True),
    "random + ReLU, 16 channels, root of the mean of |g|²": ("conv3, relu", 16, "rms", False),
    "random + ReLU, 16 channels, g² of unit sum": ("conv3, relu", 16, "square", True),
}


def find(run: Run) -> Findings:
    """Slopes of exact images, and of the paper's procedure repeated."""
    depths = sorted({n for some in LISTS.values() for n in some})
    exact = {n: variance(parse(f"conv3 * {n}"), window="full") for n in depths}
    sizes = {name: {n: measure(erf) for n, erf in exact.items()} for name, measure in SIZES.items()}
    drawn = {name: _drawn(run, *how) for name, how in DRAWN.items()}
    claims = [*_exact(sizes), *_paper(sizes, drawn)]
    tables = [_twenty(exact[20]), _slopes(sizes), _measured(drawn)]
    return Findings(claims, _words(sizes, drawn), {"sizes": sizes, "drawn": drawn}, tables)


def field(n: int) -> int:
    """Side of the theoretical field, in input pixels."""
    return analytic.field_size(3, n)


def slope(depths: Sequence[int], values: Sequence[float] | Array) -> float:
    """Of the straight line through the logarithms, by least squares."""
    return float(np.polynomial.polynomial.polyfit(np.log(depths), np.log(values), 1)[1])


def _drawn(run: Run, layer: str, channels: int, reduction: str, unit: bool) -> dict[str, Array]:
    """Level sizes [1 + resamples, depths] of the mean of 20 draws, by reference; the first row is what was drawn.

    The paper's reference is the centre. The peak of a mean of few draws is no estimate of the peak of the mean: it is the largest of
    many noisy pixels, and the more of them compete, the higher.
    """
    columns = []
    for n in DEPTHS:
        # a seed per depth: with one for all, networks of every depth share their first layers
        draws = run.simulate(
            parse(f"({layer}) * {n}"), draws=DRAWS, channels=channels, reduction=reduction, keep_draws=True, seed=run.seed + n
        )
        found = draws.bootstrap(_level_sizes, seed=n, normalise=unit)
        columns.append(np.concatenate([[found.estimate], found.values]))
    return dict(zip(REFERENCES, np.array(columns).transpose(2, 1, 0), strict=True))


def _level_sizes(erf: ERF) -> tuple[float, ...]:
    return tuple(erf.level_size(reference=reference) for reference in REFERENCES)


# ------------------------------------------------------------------------------------------------ claims


def _exact(sizes: dict[str, dict[int, float]]) -> list[Claim]:
    claims = []
    for label, depths in LISTS.items():
        one = [sizes["one standard deviation"][n] for n in depths]
        claims.append(Claim(f"exact, depths {label}: slope of one std", slope(depths, one), theory=0.5, because="std = sqrt(2 n / 3)"))
    for label, depths in LISTS.items():
        fields = [field(n) for n in depths]
        level = np.array([sizes["pixels above .0455 of the peak, of g²"][n] for n in depths])
        apart = slope(depths, level) - slope(depths, level / fields)
        # an identity, slope(log TRF) over these depths: no theory is tested by it, but the paper is
        name = f"exact, depths {label}: slope of level size minus slope of ratio"
        claims.append(Claim(name, apart, paper=PAPER["size"] - PAPER["ratio"], rounding=0.01))
    size = sizes["pixels above .0455 of the peak, of g²"][160]
    gaussian = analytic.gaussian_level_size(analytic.growth(3, 160))
    why = "4.406 std of a Gaussian; margin: half a pixel along the outline"
    claims.append(Claim("exact, 160 layers: level size, px", size, theory=gaussian, margin=0.5, because=why))
    return claims


def _paper(sizes: dict[str, dict[int, float]], drawn: dict[str, dict[str, Array]]) -> list[Claim]:
    """The paper's two slopes, by its procedure."""
    fields = np.array([field(n) for n in DEPTHS])
    claims = []
    for name, found in drawn.items():
        exact = sizes["pixels above .0455 of the peak, of |g|" if "|g|" in name else "pixels above .0455 of the peak, of g²"]
        theory = np.array([exact[n] for n in DEPTHS])
        for what, over in (("size", np.ones(len(DEPTHS))), ("ratio", fields)):
            slopes = np.array([slope(DEPTHS, row / over) for row in found["centre"]])
            wanted = slope(DEPTHS, theory / over) if "16 channels" in name else None
            why = "slope of the exact E g² (its root for |g|), the wide limit" if wanted is not None else ""
            claim = Claim(
                f"{name}: slope of {what}", slopes[0], _error(slopes), theory=wanted, paper=PAPER[what], rounding=0.005, because=why
            )
            claims.append(claim)
    return claims


def _error(values: Array) -> float:
    """Standard error by the resampled values, all but the first."""
    return float(np.nanstd(values[1:], ddof=1))


# ------------------------------------------------------------------------------------------------ tables and words


def _twenty(erf: ERF) -> Grid:
    """One network, every size."""
    std = spread(erf)
    rows = [
        (name, f"{measure(erf):.2f}", f"{measure(erf) / std:.2f}", f"{measure(erf) / field(20):.2f}") for name, measure in SIZES.items()
    ]
    return Grid("20 linear layers, exact: each size, px", ("size", "px", "of one std", "of the TRF's side"), rows)


def _slopes(sizes: dict[str, dict[int, float]]) -> Grid:
    rows = []
    for name, values in sizes.items():
        row = [name]
        for depths in LISTS.values():
            size = np.array([values[n] for n in depths])
            row += [f"{slope(depths, size):.3f} / {slope(depths, size / np.array([field(n) for n in depths])):.3f}"]
        rows.append(row)
    return Grid("Slopes of size / ratio, exact images; depths as the columns say", ("size", *LISTS), rows)


def _measured(drawn: dict[str, dict[str, Array]]) -> Grid:
    rows = []
    for name, found in drawn.items():
        row = [name]
        for depths in list(LISTS.values())[:2]:
            some = [DEPTHS.index(n) for n in depths]
            for reference in REFERENCES:
                slopes = np.array([slope(depths, values[some]) for values in found[reference]])
                row.append(f"{slopes[0]:.2f} ± {_error(slopes):.2f}")
        rows.append(row)
    header = (
        "what is averaged over 20 draws",
        *(f"{label}; of the {reference}" for label in list(LISTS)[:2] for reference in REFERENCES),
    )
    return Grid("Slopes of the level size, measured: the level is .0455 of the centre (the paper) or of the peak", header, rows)


def _words(sizes: dict[str, dict[int, float]], drawn: dict[str, dict[str, Array]]) -> str:
    fields = [field(n) for n in DEPTHS]
    whole, late = slope(DEPTHS, fields), slope(LISTS["20, 40, 80, 160"], [field(n) for n in LISTS["20, 40, 80, 160"]])
    power = slope(DEPTHS, [sizes["pixels above .0455 of the peak, of g²"][n] for n in DEPTHS])
    root = slope(DEPTHS, [sizes["pixels above .0455 of the peak, of |g|"][n] for n in DEPTHS])
    near = [_by_procedure(drawn, name) for name in ("random, 1 channel, |g| of unit sum", "random + ReLU, 1 channel, |g| of unit sum")]
    peak = np.array([slope(DEPTHS, row) for row in drawn["random + ReLU, 16 channels, |g| of unit sum"]["peak"]])
    return f"""**The square root law holds, whatever is called the size.** One and two standard deviations differ by a factor and have the
same slope, exactly 1/2; so has, for deep networks, every size below. The critique is right that the paper's theory and its experiments
use different sizes: what it counts, pixels above 1 - 0.9545 of the centre, is a square of side 4.4 std, a disc 2.49 std in radius, not
two. It is wrong that this touches the law.

**Finite depths bend it.** Over 5 to 40 layers the level size of g² has the slope {power:.3f}, that of |g|, which the published pictures
show, {root:.3f}: at few layers the outline of |g| is cut by the theoretical field. The paper's procedure, |g| averaged over 20 draws of
one channel and counted above .0455 of the centre, gives {near[0]} without and {near[1]} with ReLU: its 0.56 is what these depths and
this size give, not a law other than 1/2.

**The reference matters.** The peak of a mean of few draws is the largest of many noisy pixels, and the deeper the network, the more
compete: counted above .0455 of the peak, even 16 channels give {peak[0]:.2f} ± {_error(peak):.2f} where theory gives {root:.2f}.

**0.56 and -0.43 cannot both come from 5 to 40 layers.** Size and ratio differ by the theoretical side, so their slopes differ by
{whole:.3f} over these depths, and by {late:.3f} over 20 to 160. The paper's two numbers differ by {PAPER["size"] - PAPER["ratio"]:.2f}:
its depths were others than those it shows, or its numbers are rounded more than they say."""


def _by_procedure(drawn: dict[str, dict[str, Array]], name: str) -> str:
    slopes = np.array([slope(DEPTHS, row) for row in drawn[name]["centre"]])
    return f"{slopes[0]:.2f} ± {_error(slopes):.2f}"


# ------------------------------------------------------------------------------------------------ figures

LINES = {
    "one standard deviation": "std",
    "pixels above .0455 of the peak, of g²": "level of g²",
    "pixels above .0455 of the peak, of |g|": "level of |g|",
}
POINTS = {
    "random, 1 channel, |g| of unit sum": ("o", "random, 1 channel, |g|"),
    "random + ReLU, 16 channels, g² of unit sum": ("s", "ReLU, 16 channels, g²"),
}


def draw(found: Findings) -> dict[str, Figure]:
    """Size and ratio against depth."""
    from . import _figures

    figure, axes = _figures.panels(2, width=4.2, height=3.6, columns=2)
    for ax, (what, label) in zip(axes, {"size": "size, px", "ratio": "size / side of the TRF"}.items(), strict=True):
        _curves(ax, what, found)
        _figures.head(ax, f"{what.capitalize()} against depth", x="layers of 3x3", y=label)
    _figures.legend(axes[1], loc="lower left")
    return {"growth": figure}


def _curves(ax: Axes, what: str, found: Findings) -> None:
    from ..plotting import _style
    from ._figures import COLORS

    sizes, drawn = found.shown["sizes"], found.shown["drawn"]
    sides = {n: field(n) if what == "ratio" else 1 for n in sizes["one standard deviation"]}
    for color, (name, label) in zip((_style.MUTED, *COLORS), LINES.items(), strict=False):
        depths = sorted(sizes[name])
        ax.plot(depths, [sizes[name][n] / sides[n] for n in depths], color=color, linewidth=1.4, label=f"{label}, exact")
    for (name, (marker, label)), color in zip(POINTS.items(), (COLORS[1], COLORS[0]), strict=True):
        values = drawn[name]["centre"] / np.array([sides[n] for n in DEPTHS])
        error = np.nanstd(values[1:], axis=0, ddof=1)
        ax.errorbar(DEPTHS, values[0], error, fmt=marker, color=color, markersize=4, linewidth=1, label=f"{label}, 20 draws")
    ends = np.array([4.5, 45.0])
    line = sizes["pixels above .0455 of the peak, of |g|"][15] / sides[15] * (ends / 15) ** PAPER[what]
    ax.plot(
        ends,
        line,
        color=_style.INK,
        linewidth=1,
        linestyle=(0, (4, 2)),
        label=f"the paper's slopes, {PAPER['size']:g} and {PAPER['ratio']:g}",
    )
    ax.set(xscale="log", yscale="log")
    ax.set_xticks([5, 10, 20, 40, 80, 160], ["5", "10", "20", "40", "80", "160"])
    ax.minorticks_off()
    ticks = [2, 4, 8, 16, 32, 64] if what == "size" else [0.05, 0.1, 0.2, 0.4, 0.8]
    ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
