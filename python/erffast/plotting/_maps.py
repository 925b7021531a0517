"""Heat maps: the image, its colour bar, and what is drawn over it (field, map border, level contour, standard deviations)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize, to_rgb
from matplotlib.image import AxesImage
from matplotlib.patches import Ellipse, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator

from . import _style as style
from ._shown import Crop, Edges, Field, Floats, Shown

LEVEL = 0.0455  # the level of ERF.level_size
TIE = 1e-9  # pixels equal to the level but for rounding are not above it, as in ERF.level_size
MOST = 1024  # entries per axis: twice what a panel has pixels
LETTER, LINE = 0.066, 0.19  # inches that a letter and a line of small words take
LONGEST_LABEL = 44  # letters beside a colour bar
NEAR, MARGIN = 1.6, 0.08  # a field up to so many times the visible side is shown whole; free strip around, room for a line of words
DENSE = 96  # entries per axis up to which a pixel is large enough to be seen among empty ones
FEW, FINER = DENSE + 2, 16  # entries up to which an outline follows the pixels' edges; parts per pixel that it is made of
MOST_LOOPS = 6  # a contour in more pieces than this (a comb, noise) is no outline


@dataclass(frozen=True)
class Surroundings:
    """What there is to draw around an ERF: edges per axis, before the first pixel and after the last."""

    field: Edges  # the unit's theoretical field, cut by the map
    size: tuple[int, ...]  # of the field, uncut
    map: Edges | None

    def plane(self, axes: tuple[int, ...]) -> Surroundings:
        """Of some of the axes."""
        return Surroundings(*(None if part is None else tuple(part[a] for a in axes) for part in (self.field, self.size, self.map)))  # type: ignore[arg-type]

    def moved(self, by: tuple[int, ...]) -> Surroundings:
        """In coordinates that count from `by`."""

        def move(edges: Edges) -> Edges:
            return tuple((a - o, b - o) for (a, b), o in zip(edges, by, strict=True))

        return Surroundings(move(self.field), self.size, None if self.map is None else move(self.map))

    @property
    def text(self) -> str:
        cut = tuple(round(b - a) for a, b in self.field)
        return f"TRF {style.sides(self.size)} px" + (f", cut to {style.sides(cut)}" if cut != self.size else "")

    @property
    def sketch_text(self) -> str:
        """As much as fits beside a sketch."""
        return self.text if "cut" in self.text else f"{self.text}; filled: this view"


def view_of(field: Field, level: float, around: Surroundings) -> Edges:
    """The square (1-D: stretch, 3-D: cube) to show: all that is above `level`, and the theoretical field if that is near."""
    visible = tuple((a - 0.5, b + 0.5) for a, b in field.box(level))
    side = max(b - a for a, b in visible)
    hull = visible
    if max(b - a for a, b in around.field) <= NEAR * side:
        hull = tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(hull, around.field, strict=True))
    half = max(b - a for a, b in hull) * (0.5 + MARGIN)
    return tuple(((a + b) / 2 - half, (a + b) / 2 + half) for a, b in hull)


def scale(shown: Shown, crops: list[Crop], log: bool) -> Normalize:
    """Linear from 0 (signed: about 0) to the peak, or logarithmic down to the smallest value there is or the floor."""
    if not log:
        return Normalize(-1, 1) if shown.signed else Normalize(0, 1)
    floor = shown.floor
    smallest = min((float(np.min(v, where=v > 0, initial=1.0)) for v in (np.abs(c.values) for c in crops)), default=floor)
    return LogNorm(max(floor, min(0.1, 10.0 ** np.floor(np.log10(smallest) + 1e-9))), 1)


def draw_map(ax: Axes, shown: Shown, plane: Field, view: Edges, crop: Crop, norm: Normalize) -> AxesImage:
    """The heat map alone, in input pixel coordinates, rows downwards."""
    log = isinstance(norm, LogNorm)
    cmap = colormaps[style.DIVERGING if shown.signed and not log else style.SEQUENTIAL]
    ax.set_facecolor(style.NOTHING)  # also where a logarithm finds zero: no path leads there, or nothing was computed
    values = np.abs(crop.values) if log else crop.values
    (top, bottom), (left, right) = crop.edges
    shown_values = np.ma.masked_less_equal(values, 0) if log else values
    image = ax.imshow(
        shown_values,
        norm=norm,
        cmap=cmap,
        origin="upper",
        extent=(left, right, bottom, top),
        aspect="equal",
        interpolation_stage="rgba",
        zorder=1,
    )
    ax.set_xlim(view[1])
    ax.set_ylim(view[0][::-1])
    style.plain_axes(ax)
    ax.set_ylabel(f"{plane.names[0]}, input pixels", fontsize=style.LABEL, color=style.INK)
    ax.set_xlabel(f"{plane.names[1]}, input pixels", fontsize=style.LABEL, color=style.INK)
    ax.locator_params(nbins=6, integer=True, min_n_ticks=1)
    return image


def draw_bar(ax: Axes, image: AxesImage, shown: Shown, crops: list[Crop], cax: Axes | None = None) -> Any:
    """The colour bar; its label names the quantity."""
    log = isinstance(image.norm, LogNorm)
    lowest = float(image.get_clim()[0] or 0.0) * (1 - TIE)
    below = log and any(np.any((c.values != 0) & (np.abs(c.values) < lowest)) for c in crops)
    where: dict[str, Any] = {"ax": ax, "fraction": 0.046, "pad": 0.03} if cax is None else {"cax": cax}
    bar = ax.figure.colorbar(image, extend="min" if below else "neither", **where)
    bar.set_label(bar_label(shown, crops, log), fontsize=style.LABEL, color=style.INK)
    bar.ax.tick_params(labelsize=style.TICK, colors=style.INK, color=style.EDGE, length=3, width=0.8)
    if log:
        bar.locator = LogLocator(numticks=6)
    bar.ax.minorticks_off()
    bar.outline.set_edgecolor(style.EDGE)
    bar.outline.set_linewidth(0.8)
    return bar


def bar_label(shown: Shown, crops: list[Crop], log: bool) -> str:
    block = max((c.block for c in crops), default=1)
    label = shown.label.replace("gradient g", "size of the gradient |g|") if log else shown.label
    label += f", means of {block} × {block} px" if block > 1 else ""
    label += f", pixels drawn {style.sides(crops[0].spread)} px large" if crops and crops[0].spread else ""
    head, _, tail = label.rpartition(", ")
    return f"{head},\n{tail}" if len(label) > LONGEST_LABEL else label


def draw_level(
    ax: Axes,
    image: AxesImage,
    shown: Shown,
    around: Surroundings,
    crop: Crop,
    size: float | None,
    *,
    below: bool = False,
    label: bool = True,
) -> bool:
    """The contour of `LEVEL`, with its label above or below. False where it would be no outline: of a comb or of noise."""
    values = np.asarray(crop.values**2 if shown.signed else crop.values, dtype=np.float64)
    if not values.size or values.max() <= LEVEL:
        return False
    # Outside the field all is zero, and the outline is closed there. Where the window ends before the field it stays open.
    whole = all(a <= fa and fb <= b for (a, b), (fa, fb) in zip(crop.edges, around.field, strict=True))
    values = np.pad(values, 1, mode="constant" if whole else "edge")
    if max(values.shape) <= FEW:  # pixels large enough to be seen: the outline follows their edges
        values = np.kron(np.where(values > LEVEL * (1 + TIE), 2 * LEVEL, 0.0), np.ones((FINER, FINER))).astype(np.float64)
    rows, columns = (_centres(edges, n, padded) for edges, n, padded in zip(crop.edges, values.shape, crop.values.shape, strict=True))
    color = _readable(image, LEVEL**0.5 if shown.signed else LEVEL)
    contour = ax.contour(columns, rows, values, levels=[LEVEL], colors=[color], linewidths=1.4, zorder=3)
    loops = contour.get_paths()[0].to_polygons(closed_only=False)  # not allsegs: matplotlib 3.8.0 breaks loops into pieces there
    if not loops or len(loops) > MOST_LOOPS:
        contour.remove()
        return False
    contour.set_gid("level")
    size = None if crop.spread else size  # of the pixels, not of what they were enlarged to
    if not label:
        return True
    text = f"level {LEVEL:g}{' of g²' if shown.signed else ''}" + ("" if size is None else f": {style.px(size)} px")
    _label_outline(ax, image, np.concatenate([np.asarray(loop) for loop in loops]), text, below=below)
    return True


def draw_std(ax: Axes, image: AxesImage, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """The ellipse of one standard deviation, dotted, labelled below."""
    if not min(std) > 0:
        return
    middle = _at(image, mean[0] + std[0], mean[1])
    ellipse = Ellipse(
        (mean[1], mean[0]), 2 * std[1], 2 * std[0], fill=False, edgecolor=_readable(image, middle), linewidth=1.3, linestyle=(0, (1.2, 1.8))
    )
    ellipse.set(zorder=3, gid="std")
    ax.add_patch(ellipse)
    text = f"std {style.px(std[0])} px" if np.isclose(std[0], std[1]) else "1 std"
    _write(ax, image, (mean[1], mean[0] + std[0]), text, std[1] / 2, below=True)


def draw_field(ax: Axes, image: AxesImage, around: Surroundings, view: Edges, *, label: bool = True) -> bool:
    """The theoretical field as a box, with its size below. False if it is not within the view."""
    if not all(a >= va and b <= vb for (a, b), (va, vb) in zip(around.field, view, strict=True)):
        return False
    (top, bottom), (left, right) = around.field
    # Outside the box there is the grey of nothing, save for pixels that were enlarged.
    box = Rectangle((left, top), right - left, bottom - top, fill=False, linewidth=1.2, linestyle=(0, (5, 2.5)))
    box.set(edgecolor=_readable(image, _at(image, top - 0.5, (left + right) / 2)), zorder=4, gid="TRF")
    ax.add_patch(box)
    if label:
        ax.annotate(
            around.text,
            (left, bottom),
            (4, -3),
            textcoords="offset points",
            fontsize=style.SMALL,
            color=style.INK,
            ha="left",
            va="top",
            zorder=6,
        )
    return True


def draw_border(ax: Axes, around: Surroundings, view: Edges, *, label: bool = True) -> None:
    """The border of the input map where it is in view; beyond it the paper shows."""
    if around.map is None:
        return
    (top, bottom), (left, right) = view
    (first_row, last_row), (first_column, last_column) = around.map
    ax.set_facecolor(style.PAPER)
    width, height = last_column - first_column, last_row - first_row
    ax.add_patch(Rectangle((first_column, first_row), width, height, facecolor=style.NOTHING, edgecolor="none", zorder=0.5))
    ax.add_patch(Rectangle((first_column, first_row), width, height, fill=False, edgecolor=style.INK, linewidth=2.0, zorder=5, gid="map"))
    if not label:
        return
    note: dict[str, Any] = {"text": "map border", "textcoords": "offset points", "fontsize": style.SMALL, "color": style.INK, "zorder": 6}
    if top < first_row or bottom > last_row:
        y, below = (first_row, False) if top < first_row else (last_row, True)
        ax.annotate(xy=(min(right, last_column), y), xytext=(-4, -4 if below else 4), ha="right", va="top" if below else "bottom", **note)
    elif left < first_column or right > last_column:
        x, after = (first_column, False) if left < first_column else (last_column, True)
        y = min(bottom, last_row)
        ax.annotate(xy=(x, y), xytext=(4 if after else -4, 4), ha="left" if after else "right", va="bottom", rotation=90, **note)


def quiet_corner(values: Floats) -> tuple[str, str]:
    """("top" or "bottom", "left" or "right"): the corner of an image with the least in it; the upper right where all are equal."""
    half = [max(1, (2 * n) // 5) for n in values.shape]
    size = np.abs(values)
    ranges = {"top": slice(0, half[0]), "bottom": slice(-half[0], None), "left": slice(0, half[1]), "right": slice(-half[1], None)}
    corners = [("top", "right"), ("top", "left"), ("bottom", "right"), ("bottom", "left")]
    return min(corners, key=lambda c: round(float(size[ranges[c[0]], ranges[c[1]]].max(initial=0.0)), 2))


def draw_sketch(ax: Axes, image: AxesImage, around: Surroundings, view: Edges, corner: tuple[str, str], text: str) -> None:
    """The theoretical field and, filled, the part of it in view, to one scale, in the axes' own fractions; `text` beside it."""
    vertical, horizontal = corner
    (top, bottom), (left, right) = view
    lengths = [b - a for a, b in around.field]
    unit = 0.16 / max(lengths)
    height, width = (n * unit for n in lengths)
    x = 0.03 if horizontal == "left" else 0.97 - width
    y = 0.97 - height if vertical == "top" else 0.03
    color = _readable(image, _at(image, top + (0.05 if vertical == "top" else 0.95) * (bottom - top), (left + right) / 2))
    line: dict[str, Any] = {"transform": ax.transAxes, "edgecolor": color, "linewidth": 1.2, "zorder": 6}
    ax.add_patch(Rectangle((x, y), width, height, fill=False, linestyle=(0, (5, 2.5)), gid="TRF sketch", **line))
    (top, bottom), (left, right) = (tuple(np.clip(v, *f)) for v, f in zip(view, around.field, strict=True))
    (_, field_bottom), (field_left, _) = around.field
    part = (x + (left - field_left) * unit, y + (field_bottom - bottom) * unit)
    ax.add_patch(Rectangle(part, (right - left) * unit, (bottom - top) * unit, facecolor=color, gid="view sketch", **line))
    # Beside the sketch, in the strip that the view's margin leaves free.
    at = (x + width + 0.02 if horizontal == "left" else x - 0.02, 0.97 if vertical == "top" else 0.03)
    ax.text(*at, text, transform=ax.transAxes, fontsize=style.SMALL, color=color, ha=horizontal, va=vertical, zorder=6)


def _centres(edges: tuple[float, float], count: int, blocks: int) -> Floats:
    """Centres of `count` equal parts of what lies between `edges` (`blocks` blocks) and of one more block on each side."""
    step = (edges[1] - edges[0]) / blocks
    return np.linspace(edges[0] - step, edges[1] + step, 2 * count + 1)[1::2]


def _label_outline(ax: Axes, image: AxesImage, outline: Floats, text: str, *, below: bool) -> None:
    """Above the outline or below it; within it, where the words would lie across an edge of the image."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    image_left, image_right, image_bottom, image_top = image.get_extent()
    box, dpi = ax.get_window_extent(), ax.figure.dpi
    half = len(text) * LETTER / 2 * (right - left) / (box.width / dpi)
    line = LINE * (bottom - top) / (box.height / dpi)
    highest, lowest = (_middle_of(outline[np.isclose(outline[:, 1], extreme)]) for extreme in (outline[:, 1].min(), outline[:, 1].max()))
    places = [(lowest, True), (highest, False)] if below else [(highest, False), (lowest, True)]
    for place, under in places:
        across, down = place
        if max(image_top, top) <= (down if under else down - line) and (down + line if under else down) <= min(image_bottom, bottom):
            break
    else:
        (across, down), under = highest, False
        if not top + line <= down <= image_top:  # not in the free strip above either: within, where the outline has widened
            down, under = down + 1.6 * line, True
    first, last = max(left, image_left) + half, min(right, image_right) - half
    x = min(max(across, first), last) if first < last else (left + right) / 2
    _write(ax, image, (x, down), text, half, below=under)


def _middle_of(points: Floats) -> tuple[float, float]:
    """Of points in a row: half way between the outermost."""
    return float(points[:, 0].min() + points[:, 0].max()) / 2, float(points[0, 1])


def _write(ax: Axes, image: AxesImage, at: tuple[float, float], text: str, half: float, *, below: bool) -> None:
    """Text, `half` its width to either side, above or below a point (x, y), readable on what is there and with a rim of it."""
    up = (ax.get_ylim()[0] - ax.get_ylim()[1]) * 0.03
    under = [_at(image, at[1] + (up if below else -up), at[0] + aside) for aside in (-half, 0, half)]
    color = _readable(image, *under)
    rim = sorted((_color(image, value) for value in under), key=_luminance)[-1 if color == "black" else 0]
    label = ax.annotate(text, at, (0, -3 if below else 3), textcoords="offset points", fontsize=style.SMALL, color=color)
    label.set(ha="center", va="top" if below else "bottom", zorder=6)
    label.set_path_effects([withStroke(linewidth=2, foreground=rim, alpha=0.6)])


def _at(image: AxesImage, row: float, column: float) -> float:
    """The value drawn at a place; nan off the image."""
    left, right, bottom, top = image.get_extent()
    values = np.ma.filled(np.ma.asarray(image.get_array(), dtype=np.float64), np.nan)
    i = math.floor((row - top) / (bottom - top) * values.shape[0])
    j = math.floor((column - left) / (right - left) * values.shape[1])
    return float(values[i, j]) if 0 <= i < values.shape[0] and 0 <= j < values.shape[1] else float("nan")


def _color(image: AxesImage, value: float) -> tuple[float, float, float]:
    """What `value` is drawn in."""
    if np.isnan(value) or (value <= 0 and isinstance(image.norm, LogNorm)):
        return to_rgb(style.NOTHING)
    return to_rgb(tuple(image.to_rgba(np.array([value]))[0]))


def _readable(image: AxesImage, *values: float) -> str:
    """Black or white: the one with more contrast where it has least, 4.5 or better on any one colour."""
    luminances = [_luminance(_color(image, value)) for value in values]
    return "black" if (min(luminances) + 0.05) * (max(luminances) + 0.05) > 0.05 * 1.05 else "white"


def _luminance(color: tuple[float, float, float]) -> float:
    """WCAG's relative luminance; the contrast of two is (larger + 0.05) / (smaller + 0.05)."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
