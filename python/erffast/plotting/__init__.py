"""Pictures: one heat map, the full figure of one result, and results side by side.

Nothing global is touched: figures are made without pyplot, and no rcParam is read for a size or a colour that matters.
Matplotlib is imported on the first call, so that importing the package stays light.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..result import ERF

__all__ = ["compare", "plot_erf", "save_picture"]


def plot_erf(erf: ERF, ax: Axes | None = None, *, log: bool = False) -> Axes:
    """Draw an effective receptive field in input pixel coordinates.

    Two axes: a heat map relative to its peak, rows downwards, with the theoretical receptive field (as a box where it fits,
    as a sketch to scale where it is far larger than what there is to see), the border of the map, and the level contour.
    One axis: a line. Three axes: the three planes through the pixel nearest the mean. Draws are averaged, and the label says so.

    Parameters
    ----------
    erf : ERF
        What to draw. Of a separable result only the part in view is formed.
    ax : matplotlib.axes.Axes, optional
        Where to draw. None: a new figure outside pyplot; save it with ``ax.figure.savefig(path)``.
    log : bool
        A logarithmic scale, cut at 1e-8 of the peak for powers and 1e-4 for amplitudes; signed values are shown by size.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    _require_matplotlib()
    from . import _figures

    return _figures.plot_erf(erf, ax, log=log)


def save_picture(erf: ERF, path: str | PathLike[str], *, title: str) -> None:
    """Write the full figure of one result: linear and log map, marginal beside Gaussian and Edgeworth, sizes and accounts.

    Parameters
    ----------
    erf : ERF
        What to draw.
    path : path-like
        Ends in .png, .svg or .pdf. The file appears whole or not at all: it is written beside its place and renamed.
    title : str
        The figure's heading, such as the network in the text form. Shortened where it is too long.

    Raises
    ------
    ValueError
        If the extension is none of the three.
    FileNotFoundError
        If the directory does not exist.
    ImportError
        If matplotlib is not installed.
    """
    _require_matplotlib()
    from . import _figures, _style

    _style.picture_format(path)  # before the work, not after it
    _style.write(_figures.picture(erf, title), path)


def compare(results: Sequence[ERF], labels: Sequence[str]) -> Figure:
    """Draw results side by side: one logarithmic colour scale, one scale of pixels, theoretical receptive fields.

    Parameters
    ----------
    results : sequence of ERF
        At least one, all with the same number of axes. Each is shown relative to its own peak, around its own mean.
    labels : sequence of str
        One per result.

    Returns
    -------
    matplotlib.figure.Figure
        Outside pyplot; save it with ``figure.savefig(path)``.

    Raises
    ------
    ValueError
        If there is nothing to draw, the labels do not match the results, or the numbers of axes differ.
    ImportError
        If matplotlib is not installed.
    """
    _require_matplotlib()
    from . import _comparison

    return _comparison.compare(list(results), [str(label) for label in labels])


def _require_matplotlib() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError('pictures need matplotlib: pip install "erffast[plot]"')
