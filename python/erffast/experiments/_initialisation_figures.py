"""The curves of `initialisation`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..plotting import _style
from ..result import ERF
from . import _figures
from ._profiles import gain, ripple, ripple_of
from ._statistics import spread


def curves(shown: Any) -> Figure:
    """Gains, ripples and growth."""
    figure, axes = _figures.panels(3)
    _gains(axes[0], shown["by_depth"])
    _ripples(axes[1], shown["by_depth"])
    _growth(axes[2], shown)
    return figure


def _gains(ax: Axes, by_depth: dict[int, dict[float, ERF]]) -> None:
    finite = [theta for theta in next(iter(by_depth.values())) if theta < math.inf]
    for (n, some), color in zip(by_depth.items(), _figures.COLORS, strict=False):
        sizes = [some[theta].level_size() / some[0.0].level_size() for theta in finite]
        ax.plot(finite, sizes, "o-", color=color, markersize=3.5, linewidth=1.2, label=f"level size, {n} layers")
    x = np.linspace(0, max(finite), 121)
    ax.plot(x, [gain(3, theta) for theta in x], color=_style.INK, linewidth=1.4, label="std, any depth")
    ax.set_ylim(0.5, 1.3)
    _figures.head(ax, "What wider profiles gain, 3x3", x="theta (0: uniform)", y="of the uniform network's size")
    _figures.legend(ax, loc="lower left")


def _ripples(ax: Axes, by_depth: dict[int, dict[float, ERF]]) -> None:
    depths = list(by_depth)
    for theta, color in zip((1.0, 1.5, 2.0, 3.0), _figures.COLORS, strict=False):
        ax.plot(depths, [ripple(some[theta], 2) for some in by_depth.values()], "o", color=color, markersize=4, label=f"theta {theta:g}")
        every = range(depths[0], depths[-1] + 1)
        ax.plot(every, [ripple_of(3, theta, n) for n in every], color=color, linewidth=1.2)
    ax.set(xscale="log", yscale="log", ylim=(1e-4, 2))
    ax.set_xticks(depths, [str(n) for n in depths])
    ax.minorticks_off()
    _figures.head(ax, "Ripple of even and odd pixels", x="layers of 3x3 (line: theory)", y="difference over sum")
    _figures.legend(ax, loc="lower left")


def _growth(ax: Axes, shown: Any) -> None:
    for theta, color in zip((0.0, 2.0), _figures.COLORS, strict=False):
        some = {n: by_theta[theta] for n, by_theta in shown["by_depth"].items()} | shown["deep"][theta]
        depths = sorted(some)
        label = "uniform" if theta == 0 else f"theta {theta:g}"
        ax.plot(
            depths, [some[n].level_size() for n in depths], "o-", color=color, markersize=4, linewidth=1.2, label=f"level size, {label}"
        )
        ax.plot(depths, [spread(some[n]) for n in depths], "s--", color=color, markersize=4, linewidth=1.2, label=f"std, {label}")
    ends = np.array([5.0, 640.0])
    ax.plot(ends, 14.4 * np.sqrt(ends / 5), color=_style.MUTED, linewidth=1, linestyle=(0, (4, 2)), label="slope 1/2")
    ax.set(xscale="log", yscale="log")
    _figures.head(ax, "A factor, not a rate", x="layers of 3x3", y="size, px")
    _figures.legend(ax, loc="upper left")
