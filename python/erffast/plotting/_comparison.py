"""Results side by side: one logarithmic scale, one scale of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import _figures, _lines, _maps
from . import _style as style
from ._shown import Edges, Shown, shown

if TYPE_CHECKING:
    from ..result import ERF

MOST_COLUMNS = 4
SIDE, GAP_ACROSS, GAP_UP = 2.6, 0.3, 0.98  # inches: a panel, and what is between two
LEFT, RIGHT, BOTTOM, TOP = 0.85, 1.1, 1.0, 0.6
BAR_WIDTH = 0.15
PLANE = (1, 2)  # of three axes: rows and columns, at the depth of the mean


def compare(results: Sequence[ERF], labels: Sequence[str]) -> Figure:
    """See `erffast.plotting.compare`."""
    ndim = _check(results, labels)
    figure, axes = _panels(len(results))
    what, around = [], []
    for erf in results:
        # Every panel counts its pixels from the mean, so that one set of numbers serves all.
        middle = _figures.nearest_pixel(erf)
        one, near = shown(erf), _figures.surroundings(erf)
        if ndim == 3:
            one, near = replace(one, field=one.field.plane(PLANE, middle)), near.plane(PLANE)
            middle = tuple(middle[a] for a in PLANE)
        origin = tuple(o - m for o, m in zip(one.field.origin, middle, strict=True))
        names = tuple(f"{name} − mean" for name in one.field.names)
        what.append(replace(one, field=replace(one.field, origin=origin, names=names)))
        around.append(near.moved(middle))
    side = max(2 * max(abs(end) for axis in _view(w, a) for end in axis) for w, a in zip(what, around, strict=True))
    view: Edges = ((-side / 2, side / 2),) * len(what[0].field.shape)
    for ax, erf, label in zip(axes, results, labels, strict=True):
        _head(figure, ax, erf, label)
    if ndim == 1:
        for ax, one, near in zip(axes, what, around, strict=True):
            _lines.draw_line(ax, one, near, view, None, log=True, words=False)
            ax.set_ylim(min(w.floor for w in what) / 2, 4)
    else:
        _draw_maps(figure, axes, what, around, view)
    _share_labels(axes)
    width, height = figure.get_size_inches()
    figure.text(0.28 / width, 0.12 / height, _explanation(ndim), fontsize=style.SMALL, color=style.MUTED)
    return figure


def _check(results: Sequence[ERF], labels: Sequence[str]) -> int:
    """The number of axes that all results have."""
    if not results:
        raise ValueError("results must hold at least one ERF, got none")
    if len(results) != len(labels):
        raise ValueError(f"labels must be one per result, got {len(labels)} labels for {len(results)} results")
    numbers: list[int] = sorted({erf.ndim for erf in results})
    if len(numbers) > 1:
        raise ValueError(f"results must all have the same number of axes, got {' and '.join(map(str, numbers))}")
    return numbers[0]


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    columns = min(count, MOST_COLUMNS)
    rows = -(-count // columns)
    width = LEFT + columns * SIDE + (columns - 1) * GAP_ACROSS + RIGHT
    figure = style.new_figure(width, BOTTOM + rows * SIDE + (rows - 1) * GAP_UP + TOP)
    axes = []
    for index in range(count):
        row, column = divmod(index, columns)
        axes.append(_figures.panel(figure, LEFT + column * (SIDE + GAP_ACROSS), BOTTOM + (rows - 1 - row) * (SIDE + GAP_UP), SIDE, SIDE))
    return figure, axes


def _view(what: Shown, around: _maps.Surroundings) -> Edges:
    return _maps.view_of(what.field, what.floor, around)


def _head(figure: Figure, ax: Axes, erf: ERF, label: str) -> None:
    """The label, and below it the sizes."""
    room = ax.get_position().width
    level = style.px(_figures.median(erf.level_size()))
    sizes = f"std {_figures.each(erf.std())}, level {level}, TRF {_figures.each(erf.receptive_field.size)} px"
    for text, up, size, weight, color in ((label, 18, style.LABEL, "bold", style.INK), (sizes, 5, style.SMALL, "normal", style.MUTED)):
        short = style.shortened(figure, text, size, room, weight)
        ax.annotate(
            short, (0, 1), (0, up), xycoords="axes fraction", textcoords="offset points", fontsize=size, fontweight=weight, color=color
        )


def _draw_maps(figure: Figure, axes: Sequence[Axes], what: Sequence[Shown], around: Sequence[_maps.Surroundings], view: Edges) -> None:
    crops = [one.field.crop(view, most=_maps.MOST, dense=_maps.DENSE) for one in what]
    norm = _maps.scale(min(what, key=lambda one: one.floor), crops, log=True)
    for ax, one, near, crop in zip(axes, what, around, crops, strict=True):
        image = _maps.draw_map(ax, one, one.field, view, crop, norm)
        _maps.draw_border(ax, near, view, label=False)
        if not _maps.draw_field(ax, image, near, view, label=False):
            _maps.draw_sketch(ax, image, near, view, _maps.quiet_corner(crop.values), "TRF")
        _maps.draw_level(ax, image, one, near, crop, None, label=False)
    names = {one.label for one in what}
    last = axes[min(len(axes), MOST_COLUMNS) - 1]
    box = last.get_position()
    cax = figure.add_axes((box.x1 + 0.12 / figure.get_figwidth(), box.y0, BAR_WIDTH / figure.get_figwidth(), box.height))
    bar = _maps.draw_bar(last, image, what[0], crops, cax)
    if len(names) > 1:
        bar.set_label("share of each peak")


def _share_labels(axes: Sequence[Axes]) -> None:
    """Axis labels and numbers at the left and below only: all panels have the same."""
    for index, ax in enumerate(axes):
        if index % MOST_COLUMNS:
            ax.set_ylabel("")
            ax.tick_params(labelleft=False)
        if index + MOST_COLUMNS < len(axes):
            ax.set_xlabel("")


def _explanation(ndim: int) -> str:
    if ndim == 1:
        return "line across: level 0.0455; dashed: the theoretical receptive field ends"
    return "outline: level 0.0455; dashed: theoretical field (TRF),\nin a corner and to scale where it is larger than the view"
