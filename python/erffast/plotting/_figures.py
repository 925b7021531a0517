"""What is drawn where: one axes (`plot_erf`), and the full figure of one result (`picture`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import _curves, _lines, _maps
from . import _style as style
from ._shown import AXIS_NAMES, Shown, shown

if TYPE_CHECKING:
    from ..result import ERF

LINEAR_VIEW = 1e-3  # of the peak: a linear scale shows nothing of a power below it
PLANES = ((1, 2), (0, 2), (0, 1))  # of three axes

# The full figure, in inches: 1600 x 1110 px (less for one axis, which has no maps).
WIDTH, HEIGHT, HEIGHT_WITHOUT_MAPS = 10.667, 7.4, 4.6
COLUMNS, CURVE_WIDTH = (0.85, 6.15), 4.25
CURVE_BOTTOM, CURVE_HEIGHT = 0.98, 1.45
MAP_BOTTOM, MAP_SIDE = 3.15, 3.25
SIDE_OF_THREE, BAR_WIDTH = 2.45, 0.15
SINGLE = {1: (4.6, 3.2), 2: (3.4, 3.4), 3: (9.0, 2.43)}  # inches, of `plot_erf` on a figure of its own
SEPARATOR = "   ·   "


def plot_erf(erf: ERF, ax: Axes | None = None, *, log: bool = False) -> Axes:
    """See `erffast.plotting.plot_erf`."""
    what, cax = shown(erf), None
    if ax is None:
        width, height = SINGLE[erf.ndim]
        figure = style.new_figure(width + 2.05, height + 1.05)
        ax = panel(figure, 0.9, 0.65, width, height)
        cax = panel(figure, 0.9 + width + 0.12, 0.65, BAR_WIDTH, height) if erf.ndim == 2 else None
    if erf.ndim == 1:
        draw_values(ax, erf, what, log=log)
    elif erf.ndim == 2:
        draw_plane(ax, erf, what, cax, log=log)
    else:
        ax.set_axis_off()
        roomy = ax.get_window_extent().width > 7 * ax.figure.dpi  # inches
        panels = [ax.inset_axes((0.365 * i, 0, 0.27 if roomy else 0.22, 1)) for i in range(3)]
        draw_planes(panels, erf, what, panels[-1].inset_axes((1.04, 0, 0.06, 1)), log=log, roomy=roomy)
    return ax


def picture(erf: ERF, title: str) -> Figure:
    """The full figure: maps above (two axes: linear and log; three: the central planes), marginals below, sizes and accounts."""
    what = shown(erf)
    maps = erf.ndim > 1 or what.signed
    figure = style.new_figure(WIDTH, HEIGHT if maps else HEIGHT_WITHOUT_MAPS)
    if erf.ndim == 1 and maps:
        for column, log in zip(COLUMNS, (False, True), strict=True):
            ax = panel(figure, column, MAP_BOTTOM, CURVE_WIDTH, MAP_SIDE, _scale_name(log))
            draw_values(ax, erf, what, log=log)
    elif erf.ndim == 2:
        for column, log in zip(COLUMNS, (False, True), strict=True):
            ax = panel(figure, column, MAP_BOTTOM, MAP_SIDE, MAP_SIDE, _scale_name(log))
            cax = panel(figure, column + MAP_SIDE + 0.12, MAP_BOTTOM, BAR_WIDTH, MAP_SIDE)
            draw_plane(ax, erf, what, cax, log=log, sketch=log, ellipse=not log)
    elif erf.ndim == 3:
        bottom = MAP_BOTTOM + (MAP_SIDE - SIDE_OF_THREE) / 2
        panels = [panel(figure, COLUMNS[0] + 3.2 * i, bottom, SIDE_OF_THREE, SIDE_OF_THREE, "") for i in range(3)]
        draw_planes(panels, erf, what, panel(figure, COLUMNS[0] + 6.4 + SIDE_OF_THREE + 0.1, bottom, BAR_WIDTH, SIDE_OF_THREE), log=True)
    height = CURVE_HEIGHT if maps else HEIGHT_WITHOUT_MAPS - CURVE_BOTTOM - 1.1
    found = _curves.marginals(erf, AXIS_NAMES[erf.ndim])
    for column, log in zip(COLUMNS, (False, True), strict=True):
        heading = f"{_curves.heading(found, log=log)}, {_scale_name(log).lower()}"
        ax = panel(figure, column, CURVE_BOTTOM, CURVE_WIDTH, height, heading)
        _curves.draw_marginals(ax, found, what.mass, _field_ends(erf, found), log=log)
    _write_around(figure, erf, what, title)
    return figure


def panel(figure: Figure, left: float, bottom: float, width: float, height: float, heading: str = "") -> Axes:
    """An axes placed in inches from the lower left corner."""
    across, up = figure.get_size_inches()
    ax = figure.add_axes((left / across, bottom / up, width / across, height / up))
    if heading:
        style.heading(ax, heading)
    return ax


def surroundings(erf: ERF) -> _maps.Surroundings:
    field = tuple((a - 0.5, b + 0.5) for a, b in zip(*erf.field_box, strict=True))
    whole = None if erf.input_size is None else tuple((-0.5, n - 0.5) for n in erf.input_size)
    return _maps.Surroundings(field, tuple(erf.receptive_field.size), whole)


def view_level(what: Shown, log: bool) -> float:
    if log:
        return what.floor
    return LINEAR_VIEW if what.power else LINEAR_VIEW**0.5


def level_size(erf: ERF) -> float | None:
    """The level size; None for draws, whose mean has another one than they have."""
    return median(erf.level_size()) if erf.held == 1 else None


def median(values: object) -> float:
    """Of the draws, or the one value there is."""
    return float(np.median(np.asarray(values)))


def each(values: Sequence[float]) -> str:
    """Lengths per axis; one where all read alike."""
    return style.sides(dict.fromkeys(style.px(median(v)) for v in values))


def nearest_pixel(erf: ERF) -> tuple[int, ...]:
    """The pixel nearest the mean (of draws: the median of their means); the middle where all values are zero."""
    found = []
    for mean, first, length in zip(erf.mean(), erf.origin, erf.shape, strict=True):
        middle = median(mean)
        found.append(int(np.clip(round(middle), first, first + length - 1)) if np.isfinite(middle) else first + length // 2)
    return tuple(found)


def draw_values(ax: Axes, erf: ERF, what: Shown, *, log: bool) -> None:
    """The line of one axis with everything around it."""
    around = surroundings(erf)
    _lines.draw_line(ax, what, around, _maps.view_of(what.field, view_level(what, log), around), level_size(erf), log=log)


def draw_plane(ax: Axes, erf: ERF, what: Shown, cax: Axes | None = None, *, log: bool, sketch: bool = True, ellipse: bool = False) -> None:
    """The heat map of two axes with everything over it."""
    around = surroundings(erf)
    view = _maps.view_of(what.field, view_level(what, log), around)
    crop = what.field.crop(view, most=_maps.MOST, dense=_maps.DENSE)
    image = _maps.draw_map(ax, what, what.field, view, crop, _maps.scale(what, [crop], log))
    _maps.draw_border(ax, around, view)
    corner = None
    if not _maps.draw_field(ax, image, around, view) and sketch:
        corner = _maps.quiet_corner(crop.values)
        _maps.draw_sketch(ax, image, around, view, corner, around.sketch_text)
    outlined = _maps.draw_level(ax, image, what, around, crop, level_size(erf), below=corner is not None and corner[0] == "top")
    if ellipse and outlined and erf.held == 1 and not what.signed:
        _maps.draw_std(ax, image, tuple(map(median, erf.mean())), tuple(map(median, erf.std())))
    _maps.draw_bar(ax, image, what, [crop], cax)


def draw_planes(axes: Sequence[Axes], erf: ERF, what: Shown, cax: Axes, *, log: bool, roomy: bool = True) -> None:
    """The three planes of three axes through the pixel nearest the mean, on one colour scale; fewer words where not `roomy`."""
    through = nearest_pixel(erf)
    around = surroundings(erf)
    view = _maps.view_of(what.field, view_level(what, log), around)
    planes = [what.field.plane(pair, through) for pair in PLANES]
    crops = [
        plane.crop(tuple(view[a] for a in pair), most=_maps.MOST, dense=_maps.DENSE) for plane, pair in zip(planes, PLANES, strict=True)
    ]
    norm = _maps.scale(what, crops, log)
    for ax, plane, pair, crop in zip(axes, planes, PLANES, crops, strict=True):
        (fixed,) = {0, 1, 2}.difference(pair)
        edges, near = tuple(view[a] for a in pair), around.plane(pair)
        image = _maps.draw_map(ax, what, plane, edges, crop, norm)
        style.heading(ax, f"{AXIS_NAMES[3][fixed]} {through[fixed]}")
        _maps.draw_border(ax, near, edges, label=roomy)
        if not roomy:
            ax.set(xlabel=plane.names[1], ylabel=plane.names[0])
            ax.locator_params(nbins=3)
        if not _maps.draw_field(ax, image, near, edges, label=roomy) and pair == PLANES[0] and roomy:
            _maps.draw_sketch(ax, image, near, edges, _maps.quiet_corner(crop.values), near.text)
        _maps.draw_level(ax, image, what, near, crop, None, below=True, label=roomy)
    _maps.draw_bar(axes[-1], image, what, crops, cax)


def _scale_name(log: bool) -> str:
    return "Logarithmic scale" if log else "Linear scale"


def _field_ends(erf: ERF, found: Sequence[_curves.Marginal]) -> tuple[float, float] | None:
    """The first and last pixel of the field about the mean; None where the axes differ."""
    ends = {(low - middle, high - middle) for low, high, middle in zip(*erf.field_box, nearest_pixel(erf), strict=True)}
    if len(found) > 1 or len(ends) > 1:
        return None
    low, high = erf.field_box
    return low[0] - found[0].mean, high[0] - found[0].mean


def _write_around(figure: Figure, erf: ERF, what: Shown, title: str) -> None:
    """The title and what it is above; sizes and accounts below."""
    width, height = figure.get_size_inches()
    left, room = 0.28 / width, 1 - 0.56 / width
    text = style.shortened(figure, " ".join(title.split()), style.TITLE, room, "bold")
    figure.text(left, 1 - 0.2 / height, text, fontsize=style.TITLE, fontweight="bold", color=style.INK, va="top")
    below = style.shortened(figure, _subtitle(erf, what), style.LABEL, room)
    figure.text(left, 1 - 0.52 / height, below, fontsize=style.LABEL, color=style.MUTED, va="top")
    for line, up in ((_sizes(erf), 0.32), (_accounts(erf), 0.12)):
        figure.text(left, up / height, style.shortened(figure, line, style.SMALL, room), fontsize=style.SMALL, color=style.MUTED)


def _subtitle(erf: ERF, what: Shown) -> str:
    where = f"unit ({', '.join(map(str, erf.unit))})"
    if erf.input_size is not None:
        where += f" on a map of {style.sides(erf.input_size)} px"
    return f"Effective receptive field of {where}: {what.quantity}, {erf.method}{what.note}"


def _sizes(erf: ERF) -> str:
    items = [
        f"std {each(erf.std())} px",
        f"level {_maps.LEVEL:g}: {style.px(median(erf.level_size()))} px, {style.px(100 * median(erf.ratio()))} % of the TRF",
        f"mass 95.45 %: {style.px(median(erf.mass_size()))} px",
        f"TRF {style.sides(erf.receptive_field.size)} px",
    ]
    return SEPARATOR.join(items + ([f"medians of {erf.held} draws"] if erf.held > 1 else []))


def _accounts(erf: ERF) -> str:
    lost, error = ("≤ " if bound else "≈ " for bound in (erf.lost_is_bound, erf.error_is_bound))
    items = [
        f"border {style.brief(erf.border, 3)}",
        f"lost {lost if erf.lost else ''}{style.brief(erf.lost)}",
        f"error {error if erf.error else ''}{style.brief(erf.error)} {'per pixel' if erf.accuracy == 'pixel' else 'of the peak'}",
        f"engine {erf.engine} on {erf.device}",
    ]
    return SEPARATOR.join(items)
