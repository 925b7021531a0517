"""The figures of `natural_images`, and what they show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..plotting import _figures, _style
from ..result import ERF
from ._figures import GAP, SIDE, grid, head, heat_map, legend, panels
from ._max_places import outer_share
from ._statistics import first_of, mean_of

if TYPE_CHECKING:
    from .natural_images import Corner, Lopsided

Array = NDArray[np.float64]


def three_inputs(inputs: dict[str, Array], drawn: dict[str, ERF], note: str) -> Figure:
    """An input, one draw and the mean of all, for each kind of input."""
    figure, cell = grid(list(inputs), ("input of a draw", "one draw", f"mean of {drawn['noise'].draws}"), note)
    for c, (name, image) in enumerate(inputs.items()):
        _picture(cell(0, c), image, 2.5)
        for r, erf in enumerate((first_of(drawn[name]), mean_of(drawn[name])), start=1):
            heat_map(cell(r, c), erf, image.shape[0] + 2)
    return figure


def _picture(ax: Axes, image: Array, contrast: float) -> None:
    """An input in grey, from -contrast to +contrast."""
    ax.imshow(
        image,
        cmap="gray",
        vmin=-contrast,
        vmax=contrast,
        interpolation="nearest",
        extent=(-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5),
    )
    ax.set_xlim(-1.5, image.shape[1] + 0.5)
    ax.set_ylim(image.shape[0] + 0.5, -1.5)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_color(_style.EDGE)


def leaning(found: Lopsided, note: str) -> Figure:
    """The crop, theory, and what was measured with tanh and with ReLU."""
    middle = (len(found.crop) - 1) / 2
    theory = ERF.from_gradients(np.sqrt(found.theory), axes="HW", reduction="square")
    titles = ("the crop", "tanh, wide limit", f"tanh, mean of {found.tanh.draws}", f"ReLU, mean of {found.relu.draws}")
    across, up = 0.3 + 4 * (SIDE + GAP), SIDE + 0.9
    figure = _style.new_figure(across, up)
    for c, (title, what) in enumerate(zip(titles, (None, theory, mean_of(found.tanh), mean_of(found.relu)), strict=True)):
        ax = _figures.panel(figure, 0.15 + c * (SIDE + GAP), 0.5, SIDE, SIDE)
        ax.set_title(title, fontsize=_style.LABEL, color=_style.INK, pad=5)
        if what is None:
            _picture(ax, found.crop, float(np.abs(found.crop).max()))
            continue
        heat_map(ax, what, len(found.crop) + 2)
        ax.plot(middle, middle, "+", color="white", markersize=7)
        ax.plot(what.mean()[1], what.mean()[0], "o", color=_style.GAUSSIAN, markersize=4)
    figure.text(0.15 / across, 0.08 / up, note, fontsize=_style.SMALL - 1.5, color=_style.MUTED)
    return figure


def pools(corners: dict[str, Corner]) -> Figure:
    """Variance against the correlation of neighbours: theory for normal fields, and photographs."""
    figure, (ax,) = panels(1, width=5.6, height=3.4)
    for kind, color in (("smooth", _style.GAUSSIAN), ("rough", _style.EDGEWORTH)):
        apart = np.geomspace(0.012, 0.9, 12)  # 1 - r
        ax.plot(apart, [outer_share(kind, float(1 - a)) for a in apart], color=color, label=f"{kind} normal field")
    ax.axhline(2 / 3, color=_style.MUTED, linestyle=(0, (4, 2)), linewidth=1, label="white noise")
    ax.axhline(1, color=_style.MUTED, linestyle=":", linewidth=1, label="always a corner")
    for corner in corners.values():
        at = 1 - corner.correlation, corner.variance
        ax.errorbar(*at, yerr=corner.stderr, fmt="o", color=_style.INK, markersize=3.5, linewidth=0.8)
    ax.set_xscale("log")
    ax.set_xlim(1, 0.01)
    ax.set_ylim(0.65, 1.01)
    _name_points(ax, {name: (1 - corner.correlation, corner.variance) for name, corner in corners.items()})
    head(ax, "Where a max-pool looks", x="1 − correlation of neighbouring pixels", y="variance of the place per axis, px²")
    legend(ax, loc="upper left", bbox_to_anchor=(0.0, 0.9))
    return figure


def _name_points(ax: Axes, points: dict[str, tuple[float, float]]) -> None:
    """Each name beside its point, on the first side where it meets no other name and no point."""
    size = _style.SMALL - 2
    pixels = {name: ax.transData.transform(point) * 72 / ax.figure.dpi for name, point in points.items()}  # in points of type
    taken = [(x - 3, y - 3, x + 3, y + 3) for x, y in pixels.values()]
    for name, (x, y) in pixels.items():
        width = 0.6 * size * len(name)
        sides = [(5.0, -size / 2), (-5 - width, -size / 2), (5.0, 2.0), (-5 - width, 2.0), (5.0, -size - 2), (-5 - width, -size - 2)]
        boxes = [(x + dx, y + dy, x + dx + width, y + dy + size) for dx, dy in sides]
        clear = [all(a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1] for b in taken) for a in boxes]
        best = clear.index(True) if any(clear) else 0
        taken.append(boxes[best])
        ax.annotate(name, points[name], sides[best], textcoords="offset points", fontsize=size, color=_style.MUTED)
