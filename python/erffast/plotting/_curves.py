"""Line plots: marginals beside their Gaussian and Edgeworth curves, and results with one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from ..fitting import edgeworth_log, gaussian_log
from . import _style as style
from ._shown import Floats, draw_weights

if TYPE_CHECKING:
    from ..result import ERF

DEEPEST = 1e-12  # of the peak: the default window's share of lost mass; what lies below is not shown
FEW = 64  # pixels in view up to which each is drawn as a point
GAUSSIAN_DASHES, EDGEWORTH_DASHES = (0, (4, 2)), (0, ())


@dataclass(frozen=True)
class Marginal:
    """Share of the mass per pixel along one axis, with the moments that its two curves have."""

    name: str
    x: Floats  # input coordinate of each pixel
    share: Floats
    mean: float
    std: float
    kappa3: float  # third and fourth cumulant
    kappa4: float
    span: int  # distance of the pixels that are reached at all

    def gaussian(self, x: Floats) -> Floats:
        """The Gaussian with this mean and standard deviation, as a share per reached pixel."""
        return np.asarray(self.span * np.exp(gaussian_log(x, self.mean, self.std)))

    def edgeworth(self, x: Floats) -> Floats:
        """Its Edgeworth series with the third and fourth cumulants; zero where the series turns negative."""
        return np.asarray(self.span * np.exp(edgeworth_log(x, self.mean, self.std, self.kappa3, self.kappa4)))

    def distance(self, curve: Floats) -> float:
        """Largest distance of a curve (at `x`) from the reached pixels, as a share of the peak."""
        reached = self.share > 0
        return float(np.abs(curve - self.share)[reached].max() / self.share.max())

    def reach(self, level: float) -> float:
        """Distance from the mean of the farthest pixel with at least `level` of the peak."""
        return float(np.abs(self.x - self.mean)[self.share >= level * self.share.max()].max())

    def within(self, reach: float) -> NDArray[np.bool_]:
        """Which pixels are reached and no farther than `reach` from the mean."""
        return np.asarray((np.abs(self.x - self.mean) <= reach) & (self.share > 0))


def marginal(erf: ERF, axis: int, name: str) -> Marginal:
    """The marginal of the mass along `axis`: of a batch, that of the mean of the draws."""
    share = np.asarray(erf.marginal(axis), dtype=np.float64)
    if share.ndim == 2:
        share = draw_weights(erf) @ share
    x = erf.origin[axis] + np.arange(share.size, dtype=np.float64)
    total = float(share.sum()) or 1.0
    mean = float(share @ x) / total
    second, third, fourth = (float(share @ (x - mean) ** k) / total for k in (2, 3, 4))
    span = max(1, int(np.gcd.reduce(np.diff(np.flatnonzero(share)), initial=0)))
    return Marginal(name, x, share, mean, float(np.sqrt(second)), third, fourth - 3 * second**2, span)


def marginals(erf: ERF, names: Sequence[str]) -> list[Marginal]:
    """One marginal per axis; a single one where they are all alike about their means."""
    found = [marginal(erf, axis, name) for axis, name in enumerate(names)]
    first = found[0]
    for other in found[1:]:
        if other.x.size != first.x.size or np.abs(other.share - first.share).max() > 1e-6 * first.share.max():
            return found
    return [replace(first, name=" or ".join(names))]


def heading(shown: Sequence[Marginal], *, log: bool) -> str:
    """What the panel shows and how the measured values are drawn."""
    if len(shown) > 1 or not shown[0].share.any():
        return "Marginals"
    return "Marginal (points)" if np.count_nonzero(shown[0].within(_reach(shown, log))) <= FEW else "Marginal (grey)"


def _reach(shown: Sequence[Marginal], log: bool) -> float:
    """Distance from the mean up to which the marginals are shown: a logarithmic axis shows more of the tails."""
    return 1.06 * max(one.reach(DEEPEST if log else 1e-5) for one in shown) + 1


def draw_marginals(ax: Axes, shown: Sequence[Marginal], mass: str, ends: tuple[float, float] | None, *, log: bool) -> None:
    """Marginals about their means, on a linear axis or on a logarithmic one that shows the tails.

    ends: where the theoretical field ends, about the mean of the first marginal; drawn on the logarithmic axis.
    """
    peak = max(float(m.share.max()) for m in shown)
    if not peak > 0:
        style.plain_axes(ax)
        ax.text(0.5, 0.5, "all values are zero", transform=ax.transAxes, ha="center", **style.NOTE)
        ax.set(xticks=[], yticks=[])
        return
    reach = _reach(shown, log)
    style.plain_axes(ax)
    for spine in ("top", "right"):
        ax.spines[spine].set_visible(False)
    for index, one in enumerate(shown):
        _draw_one(ax, one, reach, None if len(shown) == 1 else style.SERIES[index])
    ax.set_xlim(-reach, reach)
    if log:
        smallest = min(float(m.share[m.within(reach)].min()) for m in shown)
        ax.set_yscale("log")
        ax.set_ylim(max(peak * DEEPEST, smallest / 3), peak * 5)
        ax.yaxis.set_major_locator(LogLocator(numticks=6))
        ax.minorticks_off()
        if ends is not None:
            before, after = (style.px(abs(end)) for end in ends)
            style.mark_ends(ax, ends, f"TRF ends at\n±{after} px" if before == after else f"TRF ends at −{before}\nand {after} px")
    else:
        ax.set_ylim(0, 1.3 * max([peak, *(float(m.gaussian(np.array([m.mean]))[0]) for m in shown if m.std)]))
        ax.locator_params(axis="y", nbins=5)
        # a common power of ten stands beside the axis, not above it, where the title is
        ax.yaxis.get_offset_text().set(horizontalalignment="right", fontsize=style.SMALL)
        _say_curves(ax, shown)
    ax.set_xlabel(f"{shown[0].name if len(shown) == 1 else 'position'} − mean, input pixels", fontsize=style.LABEL, color=style.INK)
    ax.set_ylabel(f"share of {mass}", fontsize=style.LABEL, color=style.INK)


def _draw_one(ax: Axes, one: Marginal, reach: float, color: str | None) -> None:
    """One marginal and its curves; `color` None: alone, each curve in its own colour."""
    x = one.x - one.mean
    seen = one.within(reach)  # a logarithm of zero would break the line
    shade = color or style.MEASURED
    if seen.sum() <= FEW:
        ax.plot(x[seen], one.share[seen], "o", color=shade, markersize=4.5, zorder=4, gid="marginal")
    else:
        ax.plot(x[seen], one.share[seen], "-", color=shade, linewidth=4.5, alpha=0.4, solid_capstyle="butt", zorder=2, gid="marginal")
    if not one.std:
        return
    fine = np.linspace(-reach, reach, 801)
    ax.plot(
        fine,
        one.gaussian(fine + one.mean),
        linestyle=GAUSSIAN_DASHES,
        color=color or style.GAUSSIAN,
        linewidth=1.5,
        zorder=3.5,  # dashes above the line: both are seen where they agree
        gid="Gaussian",
    )
    values = one.edgeworth(fine + one.mean)
    # The series can turn negative in the tails: from there on it is no share of anything.
    negative = fine[values <= 0]
    values[(fine <= negative[negative < 0].max(initial=-np.inf)) | (fine >= negative[negative > 0].min(initial=np.inf))] = np.nan
    ax.plot(fine, values, linestyle=EDGEWORTH_DASHES, color=color or style.EDGEWORTH, linewidth=1.2, zorder=3, gid="Edgeworth")


def _say_curves(ax: Axes, shown: Sequence[Marginal]) -> None:
    """What is what, beside a piece of the line, in the empty upper corners."""
    lines = {str(line.get_gid()): line for line in ax.get_lines()}
    if len(shown) > 1:
        measured = [line for line in ax.get_lines() if line.get_gid() == "marginal"]
        _key(ax, "right", measured, [f"{m.name}\nstd {style.px(m.std)} px" for m in shown])
        curves = [Line2D([], [], color=style.MUTED, linestyle=dashes, linewidth=1.5) for dashes in (GAUSSIAN_DASHES, EDGEWORTH_DASHES)]
        _key(ax, "left", curves, ["Gaussian", "Edgeworth"])
    elif shown[0].std:
        one = shown[0]
        _key(ax, "left", [lines["Gaussian"]], [f"Gaussian, off by\n{_percent(one.distance(one.gaussian(one.x)))}"])
        _key(ax, "right", [lines["Edgeworth"]], [f"Edgeworth, off by\n{_percent(one.distance(one.edgeworth(one.x)))}"])
    else:
        ax.text(0.02, 0.98, "one pixel: no curve to compare with", transform=ax.transAxes, **style.NOTE)


def _key(ax: Axes, side: str, lines: Sequence[Line2D], texts: Sequence[str]) -> None:
    """A key in an upper corner; `Axes.legend` knows only one."""
    options: dict[str, Any] = {
        "loc": f"upper {side}",
        "frameon": False,
        "fontsize": style.SMALL,
        "labelcolor": style.INK,
        "handlelength": 1.8,
        "borderaxespad": 0.2,
    }
    ax.add_artist(Legend(ax, lines, texts, **options))


def _percent(share: float) -> str:
    return f"{style.brief(100 * share)} % of the peak"
