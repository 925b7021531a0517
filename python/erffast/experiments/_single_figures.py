"""The curves of `single_draws`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import analytic
from ..plotting import _style
from . import _figures, _single
from ._single import Array


def curves(shown: Any) -> Figure:
    """Six panels: draws, their distance to a Gaussian, their width and centre, channels, means."""
    figure, axes = _figures.panels(6)
    for ax, (kind, heading) in zip(
        axes[:2], {"signed": "Signed weights, three draws", "positive": "Positive weights, three draws"}.items(), strict=True
    ):
        _profiles(ax, shown["lines"][kind])
        _figures.head(ax, heading, x="distance from the centre, std of the limit", y="mass, 1000 layers, 1-D")
    _against_depth(axes[2], shown)
    _scales(axes[3], shown)
    _against_channels(axes[4], shown["wide"])
    _against_draws(axes[5], shown["means"])
    return figure


def _profiles(ax: Axes, shares: Array) -> None:
    """Densities in units of the limit's std."""
    n = shares.shape[1] // 2
    std = analytic.growth(3, n)
    x = (np.arange(shares.shape[1]) - n) / std
    for share, color in zip(shares, _figures.COLORS, strict=False):
        ax.plot(x, share * std, color=color, linewidth=1)
    ax.plot(x, np.exp(-x * x / 2) / math.sqrt(2 * math.pi), color=_style.INK, linewidth=1.2, linestyle=(0, (4, 2)), label="the limit")
    ax.set_xlim(-4, 4)
    _figures.legend(ax, loc="upper left")


def _against_depth(ax: Axes, shown: Any) -> None:
    lines = (
        ("signed", "apart", "signed", 0),
        ("signed", "smooth", "signed, averaged over 6 px", 3),
        ("positive", "apart", "positive, distinct", 1),
    )
    for kind, name, label, color in lines:
        some = [batch for batch in shown[kind] if batch.ndim == 1]
        values = [getattr(b, name).mean() for b in some]
        ax.plot([b.layers for b in some], values, "o-", color=_figures.COLORS[color], markersize=4, label=label)
    layers, _, apart, _ = zip(*shown["repeated"], strict=True)
    ax.plot(layers, apart, "s-", color=_figures.COLORS[2], markersize=4, label="positive, one kernel")
    ax.set(xscale="log", yscale="log", ylim=(2e-6, 3))
    _figures.head(ax, "A draw to its own Gaussian", x="layers, 1-D", y="total variation")
    _figures.legend(ax, loc="lower left")


def _scales(ax: Axes, shown: Any) -> None:
    for kind, color in (("signed", 0), ("positive", 1)):
        some = [batch for batch in shown[kind] if batch.ndim == 1]
        for name, marker, label in (("std", "o-", "std"), ("centre", "s--", "wandering")):
            values = [_single.rms_error(getattr(b, name) / b.limit) for b in some]
            means, errors = zip(*values, strict=True)
            ax.errorbar(
                [b.layers for b in some],
                means,
                errors,
                fmt=marker,
                color=_figures.COLORS[color],
                markersize=4,
                linewidth=1.2,
                label=f"{kind}: {label}",
            )
    ax.set(xscale="log", ylim=(0, 2))
    _figures.head(ax, "A draw's width and its centre", x="layers, 1-D", y="share of the limit's std")
    _figures.legend(ax, loc="upper left", ncols=2)


def _against_channels(ax: Axes, wide: dict[int, tuple[Array, Array]]) -> None:
    channels = np.array(list(wide))
    limit = analytic.pmf(3, 10)
    for index, label in enumerate(("one input channel", "all input channels")):
        means, errors = zip(*(_single.mean_error(both[index]) for both in wide.values()), strict=True)
        ax.errorbar(channels, means, errors, fmt="o", color=_figures.COLORS[index], markersize=4, label=label)
        theory = [_single.speckle(limit, 1 if index == 0 else int(c), draws=4000) for c in channels]
        ax.plot(
            channels,
            theory,
            color=_style.MUTED,
            linewidth=1.2,
            linestyle=(0, (4, 2)),
            label=None if index else "independent normal gradients",
        )
    ax.set(xscale="log", yscale="log", ylim=(0.02, 1))
    ax.set_xticks(channels, [str(c) for c in channels])
    ax.minorticks_off()
    _figures.head(ax, "One draw of signed weights to the limit", x="channels, 10 layers, 1-D", y="total variation")
    _figures.legend(ax, loc="lower left")


def _against_draws(ax: Axes, means: dict[str, list[tuple[int, float]]]) -> None:
    for (label, points), color in zip(means.items(), _figures.COLORS, strict=False):
        ax.plot(*zip(*points, strict=True), "o-", color=color, markersize=4, linewidth=1.2, label=label)
    ax.set(xscale="log", yscale="log", ylim=(2e-3, 1))
    _figures.head(ax, "The mean of many draws to the limit", x="draws of unit mass, 100 layers, 1-D", y="total variation")
    _figures.legend(ax, loc="lower left")
