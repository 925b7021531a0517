"""Results with one axis: the values along the input."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from . import _style as style
from ._maps import LEVEL, Surroundings, scale
from ._shown import Edges, Shown


def draw_line(ax: Axes, what: Shown, around: Surroundings, view: Edges, size: float | None, *, log: bool, words: bool = True) -> None:
    """Values as shares of the peak, the level of the level size, the ends of the field and of the map.

    size: the level size, where there is one. words: whether lines are labelled.
    """
    ((left, right),) = view
    crop = what.field.crop(view, most=1 << 16)
    norm = scale(what, [crop], log)
    x = np.linspace(*crop.edges[0], 2 * crop.values.size + 1)[1::2]
    values = np.abs(crop.values) if log else crop.values
    shown = values > 0 if log else np.ones(values.size, dtype=bool)
    ax.plot(
        x[shown],
        values[shown],
        "o-" if values.size <= 64 else "-",
        color=style.MEASURED,
        linewidth=1.5,
        markersize=4,
        zorder=3,
        gid="values",
    )
    style.plain_axes(ax)
    for spine in ("top", "right"):
        ax.spines[spine].set_visible(False)
    ax.set_xlim(left, right)
    if log:
        ax.set_yscale("log")
        ax.set_ylim((norm.vmin or 0.0) / 2, 6)
        ax.minorticks_off()
    else:
        ax.set_ylim(min(0.0, 1.3 * float(values.min(initial=0.0))), 1.3)  # room for words above
    if not what.signed:
        _draw_level(ax, size, words)
    _draw_ends(ax, around, words)
    ax.set_xlabel(f"{what.field.names[0]}, input pixels", fontsize=style.LABEL, color=style.INK)
    quantity = what.label.replace("gradient g", "size of the gradient |g|") if log else what.label
    ax.set_ylabel(quantity.replace(", ", ",\n", 1), fontsize=style.LABEL, color=style.INK)


def _draw_level(ax: Axes, size: float | None, words: bool) -> None:
    ax.axhline(LEVEL, color=style.LEVEL, linewidth=1.2, zorder=2, gid="level")
    if not words:
        return
    text = f"level {LEVEL:g}" + ("" if size is None else f":\n{style.px(size)} px")
    # Beside the axes: within, the curve is where the words would be.
    label = ax.annotate(text, (1, LEVEL), (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points")
    label.set(fontsize=style.SMALL, color=style.INK, ha="left", va="center")


def _draw_ends(ax: Axes, around: Surroundings, words: bool) -> None:
    (field,) = around.field
    first, last = (f"{round(end)}".replace("-", "−") for end in (field[0] + 0.5, field[1] - 0.5))
    style.mark_ends(ax, field, f"{around.text},\n{first} … {last}" if words else "")
    left, right = ax.get_xlim()
    for end in around.map[0] if around.map is not None else ():
        if left <= end <= right:
            ax.axvline(end, color=style.INK, linewidth=1.8, zorder=2, gid="map")
