"""Figures of `paths`: dropout's draws, path lengths and widths of residual blocks, the segmentation network."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..mean_field import branch_mixture
from ..result import ERF
from . import _path_theory as theory
from ._figures import COLORS, head, legend, maps, panels
from ._path_theory import KINDS
from ._statistics import folded, mean_of

BLOCKS = 16
MARKERS = "os^D"
NOTE = "root of the mass, 260 of 505 pixels; outline: 0.0455 of the peak"


def dropout(dropped: dict[float, ERF]) -> Figure:
    """Means of all draws, and of each the draw of median mass."""
    columns = [f"dropout {rate:g}" if rate else "no dropout" for rate in dropped]
    count = max(draws.draws for draws in dropped.values())
    rows = [[mean_of(draws) for draws in dropped.values()], [_median_draw(draws) for draws in dropped.values()]]
    return maps(rows, columns=columns, names=(f"mean of {count}", "one draw"))


def _median_draw(draws: ERF) -> ERF:
    logs = np.log2(draws.image.sum(axis=(1, 2))) + np.asarray(draws.exponent)
    middle = draws.image[np.argsort(logs)[len(logs) // 2]]
    return ERF(**{**draws._state(), "exponent": 0, "image": middle, "averaged": 1, "stderr": None})


def skips(drawn: dict[str, ERF], course: dict[str, Any]) -> Figure:
    """Three panels: how many branches are taken, profiles, widths."""
    figure, (taken, profile, width) = panels(3)
    _taken(taken)
    _profiles(profile, drawn)
    _widths(width, course)
    return figure


def _taken(ax: Axes) -> None:
    for index, kind in enumerate(KINDS[1:]):
        shares = theory.shares(kind, BLOCKS)
        color = COLORS[index + 1]
        ax.plot(np.arange(shares.size), shares, MARKERS[index + 1] + "-", color=color, markersize=3.5, linewidth=1.2, label=kind)
    ax.axvline(BLOCKS, color=COLORS[0], linewidth=1.6, label=KINDS[0])
    ax.set_ylim(0, 0.36)
    head(ax, "Paths through sixteen blocks", x="branches taken, of two convolutions each", y="share of the gradient's energy")
    legend(ax, loc="upper right", bbox_to_anchor=(0.97, 1.0))


def _profiles(ax: Axes, drawn: dict[str, ERF]) -> None:
    """Cuts through the middle of the two-dimensional images, on a logarithmic scale: theory as lines, draws as points."""
    lines = {
        "plain chain, ReLU": ("plain chain", theory.shares(KINDS[0], BLOCKS), COLORS[0]),
        "ReLU blocks, alpha 1": ("blocks with skips", branch_mixture([1.0] * BLOCKS), COLORS[1]),
    }
    for name, (label, shares, color) in lines.items():
        image, found = theory.mixture(shares, 2), mean_of(folded(drawn[name]))
        middle = image.shape[0] // 2
        at = np.arange(middle + 1)
        ax.plot(at, image[middle, middle:], color=color, linewidth=1.4, label=f"{label}, theory")
        half = found.image[middle, middle:] / found.image.sum()
        ax.plot(at, half, MARKERS[0], color=color, markersize=3, label=f"{label}, simulated")
    std = math.sqrt(theory.variance_of(branch_mixture([1.0] * BLOCKS)))
    fine = np.linspace(0, 20, 200)
    normal = np.exp(-(fine**2) / 2 / std**2) / (2 * math.pi * std**2)
    ax.plot(fine, normal, color=COLORS[-1], linewidth=1.0, linestyle="--", label="Gaussian of the blocks' std")
    ax.set_yscale("log")
    ax.set_xlim(-0.4, 18)
    ax.set_ylim(1e-6, 0.04)
    head(ax, "A cut through the middle", x="pixels from the centre", y="share of the mass at a pixel")
    legend(ax, loc="lower left")


def _widths(ax: Axes, course: dict[str, Any]) -> None:
    """std against the number of blocks, both on logarithmic scales."""
    every = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]
    for index, kind in enumerate(KINDS):
        color = COLORS[index]
        line = [math.sqrt(theory.variance_of(theory.shares(kind, blocks))) for blocks in every]
        ax.plot(every, line, color=color, linewidth=1.3)
        blocks = list(course[kind])
        squares, errors = np.array(list(course[kind].values())).T
        stds = np.sqrt(squares)
        ax.errorbar(blocks, stds, yerr=errors / (2 * stds), fmt=MARKERS[index], color=color, markersize=4, label=kind)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    ax.set_xticks([1, 2, 4, 8, 16, 32], ["1", "2", "4", "8", "16", "32"])
    ax.set_yticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    ax.set_ylim(0.65, 9)
    head(ax, "Width: theory and simulation (1-D)", x="blocks", y="std, px")
    legend(ax, loc="upper left")


def segmentation(staged: dict[str, ERF]) -> Figure:
    """Theory and simulation side by side, the middle of the field."""
    row, columns = [], []
    for kind, draws in staged.items():
        row += [theory.pictured(theory.segmentation_image(kind)), mean_of(folded(draws))]
        columns += [f"{kind.split(',')[0]}, theory", "simulated"]
    return maps([row], columns=columns, views=[260] * len(row), averaged=[16] * len(row), note=NOTE)
