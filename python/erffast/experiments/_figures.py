"""What the figures of several experiments share: grids of heat maps, and panels for curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import ndimage

from ..plotting import _figures, _style
from ..result import ERF

SIDE, GAP, LEFT, TOP, BOTTOM = 1.75, 0.12, 0.42, 0.3, 0.5  # inches
ROOM = 0.26  # below a map, for its sizes
COLORS = (*_style.SERIES, "#cc79a7", "#e69f00", "#56b4e9", _style.MUTED)  # Okabe and Ito's


def maps(
    rows: Sequence[Sequence[ERF | None]],
    *,
    columns: Sequence[str],
    names: Sequence[str] = ("",),
    views: Sequence[float] | None = None,
    bare: Sequence[int] = (),
    averaged: Sequence[int] | None = None,
    note: str = "root of the mass, linear from 0 to its peak; outline: 0.0455 of the peak's mass; dashed: theoretical field (TRF)",
) -> Figure:
    """Results as a grid of heat maps around the centre of their fields; `views`: the pixels that each column shows across;
    `bare`: the rows whose maps have no outline, for it would fill them.

    Each map shows the root of the mass, which is what published pictures show, relative to its own peak. `averaged`: pixels of each
    column over which the outline averages, where a comb would make it run around single pixels.
    """
    widths = views or [max(max(erf.receptive_field.size) for erf in column if erf is not None) + 2 for column in zip(*rows, strict=True)]
    if averaged is not None:
        note += f"; outlines of averages over {' and '.join(str(n) for n in sorted(set(averaged)) if n > 1)} px where there is a comb"
    figure, cell = grid(columns, names, note)
    for r, row in enumerate(rows):
        for c, erf in enumerate(row):
            if erf is not None:
                heat_map(cell(r, c), erf, widths[c], outline=0 if r in bare else averaged[c] if averaged else 1)
    return figure


def grid(columns: Sequence[str], names: Sequence[str], note: str) -> tuple[Figure, Callable[[int, int], Axes]]:
    """A figure for rows and columns of maps, and what makes the axes of (row, column): the first made of a row bears its name."""
    left = LEFT if any(names) else 0.15
    across, up = left + len(columns) * (SIDE + GAP), TOP + len(names) * (SIDE + ROOM) + BOTTOM - ROOM
    figure = _style.new_figure(across, up)
    figure.text(left / across, 0.08 / up, note, fontsize=_style.SMALL - 1.5, color=_style.MUTED)
    named: set[int] = set()

    def cell(row: int, column: int) -> Axes:
        ax = _figures.panel(figure, left + column * (SIDE + GAP), BOTTOM + (len(names) - 1 - row) * (SIDE + ROOM), SIDE, SIDE)
        if row == 0:
            ax.set_title(columns[column], fontsize=_style.LABEL, color=_style.INK, pad=5)
        if row not in named and names[row]:
            ax.set_ylabel(names[row], fontsize=_style.LABEL, color=_style.INK, labelpad=5)
        named.add(row)
        return ax

    return figure, cell


def heat_map(ax: Axes, erf: ERF, width: float, *, outline: int = 1) -> None:
    """The root of the mass as a picture `width` pixels across, with field and level outline, and the sizes written in.

    The outline is that of the mass averaged over squares of `outline` pixels; 0: none.
    """
    mass = np.asarray(erf.image, dtype=np.float64) ** (1 if erf.reduction == "square" else 2)
    mass = mass if mass.ndim == 2 else mass.mean(axis=0)
    root = np.sqrt(mass / (mass.max() or 1.0))
    top, left = (o - 0.5 for o in erf.origin)
    extent = (left, left + root.shape[1], top + root.shape[0], top)
    ax.imshow(root, extent=extent, cmap=_style.SEQUENTIAL, vmin=0, vmax=1, interpolation="nearest")
    ax.set_facecolor("#440154")  # the colour of nothing
    rows, columns = (o + np.arange(n) for o, n in zip(erf.origin, root.shape, strict=True))
    if outline and min(root.shape) > 1:
        smooth = np.maximum(ndimage.uniform_filter(mass, outline, mode="constant"), 0)  # its running sums round to below
        ax.contour(columns, rows, np.sqrt(smooth / (smooth.max() or 1.0)), levels=[0.0455**0.5], colors="white", linewidths=0.9)
    box(ax, erf)
    middle = [(a + b) / 2 for a, b in zip(*erf.field_box, strict=True)]
    ax.set_xlim(middle[1] - width / 2, middle[1] + width / 2)
    ax.set_ylim(middle[0] + width / 2, middle[0] - width / 2)
    _bare(ax)
    std = "×".join(dict.fromkeys(_style.px(s) for s in np.atleast_2d(np.array(erf.std()).T).mean(axis=0)))
    text = f"std {std}  level {_style.px(_figures.median(erf.level_size()))} px"
    ax.text(0, -0.02, text, transform=ax.transAxes, fontsize=_style.SMALL - 1.5, color=_style.MUTED, va="top")


def box(ax: Axes, erf: ERF) -> None:
    """The theoretical field, dashed."""
    (top, left), (bottom, right) = erf.field_box
    across = [left - 0.5, right + 0.5, right + 0.5, left - 0.5, left - 0.5]
    ax.plot(across, [top - 0.5, top - 0.5, bottom + 0.5, bottom + 0.5, top - 0.5], color="white", linewidth=0.8, linestyle=(0, (4, 2)))


def _bare(ax: Axes) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_color(_style.EDGE)
        spine.set_linewidth(0.8)


def panels(count: int, *, width: float = 3.6, height: float = 2.8, columns: int = 3) -> tuple[Figure, list[Axes]]:
    """Axes for curves, in rows of `columns`; sizes in inches."""
    columns = min(columns, count)
    lines = -(-count // columns)
    across, up = columns * (width + 0.85) + 0.1, lines * (height + 1.0)
    figure = _style.new_figure(across, up)
    axes = []
    for index in range(count):
        row, column = divmod(index, columns)
        ax = _figures.panel(figure, 0.7 + column * (width + 0.85), up - (row + 1) * (height + 1.0) + 0.6, width, height)
        _style.plain_axes(ax)
        axes.append(ax)
    return figure, axes


def head(ax: Axes, text: str, *, x: str = "", y: str = "") -> None:
    """The heading and the labels of a panel of curves."""
    _style.heading(ax, text)
    ax.set_xlabel(x, fontsize=_style.TICK, color=_style.INK)
    ax.set_ylabel(y, fontsize=_style.TICK, color=_style.INK)


def legend(ax: Axes, **options: Any) -> None:
    """A key without a frame."""
    ax.legend(**{"fontsize": _style.SMALL - 1, "frameon": False, "labelcolor": _style.INK, "handlelength": 1.8, **options})
