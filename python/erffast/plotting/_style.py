"""Sizes, colours, text and files of the pictures: the one place that says what they look like."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .._files import replace_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 150
TITLE, LABEL, TICK, SMALL = 15.0, 10.0, 9.0, 8.5  # points; 8.5 is 18 px of the 1600 px wide figure

# Okabe and Ito's colours keep apart under every common colour blindness; the text colours have contrast 15:1 and 7:1 on white.
INK, MUTED, PAPER, NOTHING, EDGE = "#202124", "#55585c", "#ffffff", "#dcdee1", "#8d9196"
MEASURED, GAUSSIAN, EDGEWORTH, LEVEL = "#202124", "#d55e00", "#0072b2", "#009e73"
SERIES = ("#0072b2", "#d55e00", "#009e73")
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"  # perceptually even; blue and red (never green and red) about white

FORMATS = ("png", "svg", "pdf")


def new_figure(width: float, height: float) -> Figure:
    """A figure of `width` x `height` inches that pyplot knows nothing of."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER)
    figure.set_layout_engine("none")
    FigureCanvasAgg(figure)
    return figure


def picture_format(path: str | PathLike[str]) -> str:
    """The format that the extension of `path` names."""
    name = Path(path).suffix.lower().removeprefix(".")
    if name not in FORMATS:
        raise ValueError(f"path must end in .png, .svg or .pdf, got {os.fspath(path)!r}")
    return name


def write(figure: Figure, path: str | PathLike[str]) -> None:
    """Write `figure` to `path`, whole or not at all."""
    path = Path(path)
    kind = picture_format(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path must be in a directory that exists, got {str(path)!r}")
    # Without its date a file has the same bytes every time it is made.
    dated: dict[str, dict[str, Any]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    replace_file(path, lambda part: figure.savefig(part, format=kind, dpi=DPI, facecolor=PAPER, metadata=dated[kind]))


def plain_axes(ax: Axes) -> None:
    """Quiet spines and ticks, one type size."""
    ax.tick_params(labelsize=TICK, colors=INK, color=EDGE, length=3, width=0.8)
    for spine in ax.spines.values():
        spine.set_color(EDGE)
        spine.set_linewidth(0.8)


NOTE: dict[str, Any] = {"fontsize": SMALL, "color": MUTED, "va": "top"}


def mark_ends(ax: Axes, ends: tuple[float, float], elsewhere: str) -> None:
    """Where the theoretical field ends along the horizontal axis: labelled lines, or `elsewhere` if that is out of view."""
    left, right = ax.get_xlim()
    inside = [end for end in dict.fromkeys(ends) if left <= end <= right]  # one line for a field of one pixel
    for end in inside:
        ax.axvline(end, color=MUTED, linewidth=1.2, linestyle=(0, (5, 2.5)), zorder=1, gid="TRF")
        # Far out there is room between the line and the curve; near the middle (a field cut by the map) beyond the line.
        place = (end - left) / (right - left)
        after = place < 0.2 or 0.5 < place < 0.8
        where: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "ha": "left" if after else "right"}
        ax.annotate("TRF", (end, 1), (3 if after else -3, 0), **where, **NOTE)
    if not inside:
        ax.text(0.02, 0.98, elsewhere, transform=ax.transAxes, **NOTE)


def heading(ax: Axes, text: str) -> None:
    """The heading of a panel, flush left."""
    ax.set_title(text, loc="left", fontsize=LABEL, color=INK, fontweight="bold", pad=6, y=1.0)  # y: stay there


def text_width(figure: Figure, text: str, size: float, weight: str = "normal") -> float:
    """Width of a line of text as a share of the figure's width."""
    probe = figure.text(0, 0, text, fontsize=size, fontweight=weight)
    width = probe.get_window_extent().width
    probe.remove()
    return float(width / figure.bbox.width)


def shortened(figure: Figure, text: str, size: float, width: float, weight: str = "normal") -> str:
    """`text`, with its middle left out if it is wider than the share `width` of the figure."""
    kept = len(text)
    short = text
    while kept > 8 and text_width(figure, short, size, weight) > width:
        kept -= max(1, kept // 16)
        short = f"{text[: kept * 2 // 3].rstrip()} … {text[len(text) - kept // 3 :].lstrip()}"
    return short


def px(value: float) -> str:
    """A length in pixels, four digits; a dash where there is none."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.4g}" if value < 1000 else f"{value:.1f}".removesuffix(".0")


def brief(value: float, digits: int = 2) -> str:
    """A small number without the leading zero of its exponent: 6.2e-6."""
    return f"{value:.{digits}g}".replace("e-0", "e-")


def sides(values: Iterable[object]) -> str:
    """Side lengths: 7 × 9."""
    return " × ".join(map(str, values))
