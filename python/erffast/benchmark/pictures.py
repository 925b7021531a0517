"""The picture of growth: time and memory against layers, time against the kernel's side."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..plotting import _style as style
from ..plotting._figures import panel
from .growth import CURVES, FIXED_LAYERS, KERNELS
from .results import Benchmark, Point

COLOURS = ("#202124", "#0072b2", "#56b4e9", "#d55e00", "#009e73")  # Okabe and Ito's
MARKERS = ("o", "s", "^", "D", "v")
WIDTH, HEIGHT = 10.667, 4.3  # inches
MIB = 2**20


def growth_figure(found: Benchmark) -> Figure:
    """Three panels, both scales logarithmic. ValueError where the benchmark holds no growth."""
    if not found.growth:
        raise ValueError("this benchmark holds no growth curves; run it with growth, as --plot does")
    figure = style.new_figure(WIDTH, HEIGHT)
    deep = [point for point in found.growth if point.kernel == 3]
    varied = {curve.job for curve in CURVES if curve.kernels}
    wide = [point for point in found.growth if point.layers == FIXED_LAYERS and point.curve in varied]
    times = panel(figure, 0.8, 1.25, 2.6, 2.2, "Time, 3 x 3 kernels")
    memory = panel(figure, 4.25, 1.25, 2.6, 2.2, "Memory beyond the inputs")
    kernels = panel(figure, 7.7, 1.25, 2.6, 2.2, f"Time, {FIXED_LAYERS} layers")
    _draw(times, [(p, p.layers, p.seconds) for p in deep], "layers", "seconds")
    _draw(memory, [(p, p.layers, None if p.memory is None else max(p.memory, MIB / 16) / MIB) for p in deep], "layers", "MiB")
    _draw(kernels, [(p, p.kernel, p.seconds) for p in wide], "kernel side", "seconds")
    kernels.set_xticks(KERNELS, labels=map(str, KERNELS))
    kernels.minorticks_off()
    kernels.set_xlim(2.7, 35)
    _explain(figure, times, found)
    return figure


def save_growth(found: Benchmark, path: str | PathLike[str]) -> None:
    """Write the picture: .png, .svg or .pdf."""
    style.write(growth_figure(found), path)


def _draw(ax: Axes, points: Sequence[tuple[Point, int, float | None]], across: str, up: str) -> None:
    for curve, colour, marker in zip(CURVES, COLOURS, MARKERS, strict=True):
        line = [(x, y) for point, x, y in points if point.curve == curve.job and y is not None]
        if line:
            ax.plot(
                *zip(*line, strict=True), color=colour, marker=marker, markersize=4, linewidth=1.4, label=f"{curve.label} ({curve.job})"
            )
    ax.set(xscale="log", yscale="log")
    ax.set_xlabel(across, fontsize=style.LABEL, color=style.INK)
    ax.set_ylabel(up, fontsize=style.LABEL, color=style.INK)
    ax.grid(color=style.NOTHING, linewidth=0.6)
    style.plain_axes(ax)


def _explain(figure: Figure, ax: Axes, found: Benchmark) -> None:
    """A title above, what the lines are below."""
    width, height = figure.get_size_inches()
    left = 0.28 / width
    title = "How time and memory grow"
    figure.text(left, 1 - 0.2 / height, title, fontsize=style.TITLE, fontweight="bold", color=style.INK, va="top")
    where = f"{found.machine['processor']}, {found.threads} threads, {found.date[:10]}"
    right = figure.text(1 - left, 1 - 0.24 / height, where, fontsize=style.SMALL, color=style.MUTED, va="top", ha="right")
    right.set_gid("machine")
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, frameon=False, fontsize=style.TICK, labelcolor=style.INK)
