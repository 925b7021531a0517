"""The accuracy figure, drawn from the numbers that `accuracy.py` measured."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter
from PIL import Image  # comes with matplotlib

from erffast.plotting import _style as style

WIDTH, HEIGHT = 11.0, 6.1  # inches; shown at two thirds of its 1650 px, its smallest words are still 12 px high
TEXT = 11.0
LOWEST, HIGHEST = 3e-18, 1e8

# Okabe and Ito's colours, as in all pictures of the package: the framework warm, this library cold.
VERMILION, ORANGE, PURPLE, SKY, BLUE, GREEN = "#d55e00", "#e69f00", "#b4578c", "#3d9bd1", "#0072b2", "#009e73"

# name: colour, line, width, words beside its end
WAYS: dict[str, tuple[str, Any, float, str]] = {
    "torch float32": (VERMILION, "-", 2.0, "torch, float32,\nlayer by layer"),
    "numpy float64": (ORANGE, "-", 2.0, "NumPy, float64,\nlayer by layer"),
    "direct float64": (SKY, (0, (4, 1.5)), 2.0, "erffast direct,\nfloat64"),
    "spectral": (BLUE, "-", 3.0, "erffast spectral"),
    "direct double-double": (GREEN, "-", 2.0, "erffast direct,\ndouble-double"),
}
DOTTED = (0, (2, 1.6))  # what is reported


def draw(found: dict[str, Any], path: Path) -> None:
    """Write the figure of a run of `accuracy.py`."""
    figure = style.new_figure(WIDTH, HEIGHT)
    headline = "Layer by layer, deep signed stacks drown in rounding. Their spectra do not."
    figure.text(0.065, 0.965, headline, fontsize=style.TITLE, color=style.INK, fontweight="bold", va="top")
    left = figure.add_axes((0.065, 0.195, 0.445, 0.66))
    right = figure.add_axes((0.71, 0.195, 0.27, 0.66))
    draw_depths(left, found["stacks"])
    draw_tails(right, found["tails"])
    words = textwrap.fill(caption(found), 150)
    figure.text(0.065, 0.022, words, fontsize=9.0, color=style.MUTED, va="bottom", linespacing=1.35)
    style.write(figure, path)
    # A repository keeps every picture it ever held: with a palette of its own colours this one is a third as large.
    Image.open(path).convert("RGB").quantize(160, dither=Image.Dither.NONE).save(path, optimize=True)


def draw_depths(ax: Axes, stacks: list[dict[str, Any]]) -> None:
    """Error against depth: the median as a line, all seeds as a band."""
    prepare(ax, "Signed kernels: error of the worst pixel / peak")
    depths = sorted({s["layers"] for s in stacks})
    ax.set_xscale("log")
    ax.set_xlim(depths[0], depths[-1])
    ticks = [n for n in (5, 10, 20, 50, 100, 200, 500, 1000) if n <= depths[-1]]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(FixedLocator([]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:g}"))
    ax.set_xlabel("layers", fontsize=TEXT, color=style.INK)
    ends = []
    for name, (colour, line, width, words) in WAYS.items():
        ends.append((band(ax, stacks, name, colour, line, width)[1][-1], words, colour))
    draw_autograd(ax, stacks)
    reported = [float(np.median([s["reported"] for s in stacks if s["layers"] == n])) for n in depths]
    ax.plot(depths, reported, color=BLUE, linestyle=DOTTED, linewidth=1.6, zorder=4)
    label_ends(ax, [*ends, (reported[-1], "the error it reports", BLUE)])
    ax.text(depths[0] * 1.08, HIGHEST / 8, "noise, larger than the image", fontsize=TEXT - 1, color=style.MUTED, va="center")


def band(ax: Axes, stacks: list[dict[str, Any]], name: str, colour: str, line: Any, width: float) -> tuple[list[int], list[float]]:
    """One way's median and range at each depth where all of its stacks have an image; returned are depths and medians."""
    x, low, middle, high = [], [], [], []
    for n in sorted({s["layers"] for s in stacks}):
        errors = [s["errors"][name] for s in stacks if s["layers"] == n]
        if None in errors:
            break
        x.append(n)
        low.append(min(errors))
        middle.append(float(np.median(errors)))
        high.append(max(errors))
    ax.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0, zorder=2)
    ax.plot(x, middle, color=colour, linestyle=line, linewidth=width, zorder=5 if name == "spectral" else 3, solid_capstyle="round")
    return x, middle


def draw_autograd(ax: Axes, stacks: list[dict[str, Any]]) -> None:
    """The line of automatic differentiation, and where it ends."""
    x, middle = band(ax, stacks, "autograd float32", PURPLE, (0, (1, 1.2)), 2.4)
    ax.plot(x[-1:], middle[-1:], "X", color=PURPLE, markersize=8, zorder=6, markeredgecolor=style.PAPER)
    words = "torch autograd, float32:\nbeyond, the gradient\nunderflows"
    line = {"arrowstyle": "-", "color": PURPLE, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 6, "relpos": (0.7, 0)}
    place: dict[str, Any] = {"textcoords": "offset points", "ha": "left", "va": "center", "linespacing": 1.1, "arrowprops": line}
    text = ax.annotate(words, (x[-1], middle[-1]), (-148, 78), fontsize=TEXT - 1, color=darker(PURPLE), **place)
    text.set_path_effects([withStroke(linewidth=3, foreground=style.PAPER)])


def draw_tails(ax: Axes, tails: dict[str, Any]) -> None:
    """Relative error of single pixels against how faint they are."""
    prepare(ax, "No negative taps: error / pixel")
    decades = len(tails["stacks"][0]["transform"])
    x = 10.0 ** -(np.arange(decades) + 0.5)
    ax.set_xscale("log")
    ax.set_xlim(1, 10.0**-decades)
    ax.xaxis.set_major_locator(FixedLocator([10.0**-d for d in range(0, decades + 1, 10)]))
    ax.xaxis.set_minor_locator(FixedLocator([]))
    ax.set_xlabel("pixel / peak", fontsize=TEXT, color=style.INK)
    lines = {
        "transform": (ORANGE, "-", [s["transform"] for s in tails["stacks"]]),
        "peak": (BLUE, "-", [s["peak"]["errors"] for s in tails["stacks"]]),
        "pixel": (SKY, (0, (4, 1.5)), [s["pixel"]["errors"] for s in tails["stacks"]]),
    }
    for colour, line, errors in lines.values():
        ax.fill_between(x, np.min(errors, axis=0), np.max(errors, axis=0), color=colour, alpha=0.16, linewidth=0)
        ax.plot(x, np.median(errors, axis=0), color=colour, linestyle=line, linewidth=2.2, zorder=4)
    edges = np.array([1, 10.0**-decades])
    bound = max(s["pixel"]["reported"] for s in tails["stacks"])
    ax.plot(edges, [bound, bound], color=SKY, linestyle=DOTTED, linewidth=1.6)
    certified = max(s["peak"]["reported"] for s in tails["stacks"])
    ax.plot(edges, certified / edges, color=BLUE, linestyle=DOTTED, linewidth=1.6)
    far = 10.0 ** -(decades - 1)
    inside(ax, 4e-1, 2e-2, 'bound of\n"peak"', BLUE)
    inside(ax, far, 3e-6, 'erffast,\naccuracy="peak"', BLUE, ha="right")
    inside(ax, far, 2e-9, "NumPy, product\nof transforms", ORANGE, ha="right")
    inside(ax, far, bound * 2, 'bound of "pixel"', SKY, ha="right", va="bottom")
    inside(ax, far, 1.6e-15, 'erffast, accuracy="pixel"', SKY, ha="right", va="bottom")


# ------------------------------------------------------------------------------------------------ what both panels share


def prepare(ax: Axes, title: str) -> None:
    """Logarithmic errors, from one rounding of a double to noise."""
    ax.set_yscale("log")
    ax.set_ylim(LOWEST, HIGHEST)
    style.plain_axes(ax)
    for spine in ("top", "right"):
        ax.spines[spine].set_visible(False)
    ax.tick_params(labelsize=TEXT - 1)
    ax.yaxis.set_major_locator(FixedLocator([10.0**d for d in range(-16, 9, 4)]))
    ax.yaxis.set_minor_locator(FixedLocator([]))
    ax.yaxis.grid(True, color=style.NOTHING, linewidth=0.8, zorder=0)
    ax.set_axisbelow(True)
    ax.axhspan(1, HIGHEST, color=VERMILION, alpha=0.07, linewidth=0, zorder=0)
    ax.set_title(title, loc="left", fontsize=TEXT, color=style.INK, fontweight="bold", pad=8)


def label_ends(ax: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Words to the right of the axes, each as near to the end (value, words, colour) of its line as the others let it."""
    points = 72 / ax.figure.dpi
    ends = sorted(ends)
    at = [float(ax.transData.transform((1.0, value))[1]) * points for value, *_ in ends]
    room = [(1 + words.count("\n")) * 1.25 * TEXT for _, words, _ in ends]
    places = at.copy()
    for _ in range(500):
        for i in range(len(ends) - 1):
            short = (room[i] + room[i + 1]) / 2 - (places[i + 1] - places[i])
            if short > 0:
                places[i] -= short / 2
                places[i + 1] += short / 2
    right = ax.get_xlim()[1]
    for (value, words, colour), was, place in zip(ends, at, places, strict=True):
        options: dict[str, Any] = {"fontsize": TEXT - 1, "color": darker(colour), "va": "center", "linespacing": 1.1}
        ax.annotate(words, (right, value), (8, place - was), textcoords="offset points", annotation_clip=False, **options)


def inside(ax: Axes, x: float, y: float, words: str, colour: str, **places: Any) -> None:
    """Words within the axes, on a rim of paper."""
    text = ax.text(x, y, words, fontsize=TEXT - 1, color=darker(colour), linespacing=1.1, **{"va": "center", "ha": "left", **places})
    text.set_path_effects([withStroke(linewidth=3, foreground=style.PAPER)])


def darker(colour: str) -> str:
    """A colour for words: at 70 % of its light, so that thin strokes have contrast on white."""
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(0.7 * p):02x}" for p in parts)


def caption(found: dict[str, Any]) -> str:
    """What was measured, in two sentences a panel."""
    seeds: dict[int, int] = {}  # how many: up to which depth
    for n in sorted({s["layers"] for s in found["stacks"]}):
        seeds[sum(s["layers"] == n for s in found["stacks"])] = n
    counts = ", ".join(f"{count} up to {n} layers" for count, n in seeds.items())
    checked, tails = found["truth_against_integers"], found["tails"]
    torch = found["versions"]["torch"].partition("+")[0]
    return (
        f"Left: normal 3 × 3 kernels, one channel; medians, and bands of all seeds ({counts}). Truth: product of transfer functions and "
        f"inverse transform in long double, within {style.brief(checked['error'], 1)} of exact integers at {checked['layers']} layers. "
        f"Right: worst pixel of each decade, {tails['layers']} uniform random 3 × 3 kernels, {len(tails['stacks'])} seeds. "
        f"Truth: long double, layer by layer. erffast {found['build']['version']}, torch {torch}; benchmarks/accuracy.py"
    )
