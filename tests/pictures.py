"""Results to draw, and what the tests look at in a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import erffast as ef
from erffast.result import ERF
from samples import multiplied, pictured

matplotlib = pytest.importorskip("matplotlib")
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.text import Text  # noqa: E402


def deep() -> ERF:
    """A field of 2001 pixels, of which there is something to see in 300."""
    return ef.variance(ef.parse("conv3 * 1000"))


def comb() -> ERF:
    return ef.variance(ef.parse("conv3/2 * 3, conv3 * 4"))


def corner() -> ERF:
    return ef.variance(ef.parse("conv3:p1 * 20"), input_size=48, unit=(2, 45))


def dilated() -> ERF:
    """Every eighth pixel reached."""
    return ef.variance(ef.parse("conv3:d8 * 20"))


def signed() -> ERF:
    return ef.gradient(ef.parse("conv3 * 6"), np.random.default_rng(3).standard_normal((6, 3, 3)))


def noise(draws: int = 1, ndim: int = 2) -> Any:
    """Random values under a Gaussian, [draws, *shape]."""
    x = np.arange(31) - 15
    envelope = multiplied([np.exp(-(x**2) / 50)] * ndim)
    return np.random.default_rng(5).standard_normal((draws, *envelope.shape)) * envelope


def draws() -> ERF:
    return pictured(noise(20) ** 2, draws=True, exponent=np.arange(20) % 3, method="simulated", origin=(-15, -15))


def deep_profile() -> Any:
    return np.exp(-((np.arange(401) - 200.0) ** 2) / (2 * 26**2))


def by_gid(ax: Axes, gid: str) -> list[Any]:
    return [artist for artist in ax.findobj() if artist.get_gid() == gid]


def only(ax: Axes, gid: str) -> Any:
    (artist,) = by_gid(ax, gid)
    return artist


def words(figure: Figure) -> list[Text]:
    """All texts that a reader sees: not the numbers of ticks outside the view."""
    figure.canvas.draw()
    hidden = set()
    for ax in figure.findobj(Axes):
        for axis in (ax.xaxis, ax.yaxis):
            scaled = axis.get_transform().transform  # logarithms on a logarithmic axis
            low, high = sorted(scaled(axis.get_view_interval()))
            slack = 1e-9 * (high - low)
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not (low - slack <= scaled(tick.get_loc()) <= high + slack and ax.axison and axis.get_visible()):
                    hidden |= {id(tick.label1), id(tick.label2)}
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and id(t) not in hidden]


def everything_said(figure: Figure) -> str:
    return "\n".join(t.get_text() for t in words(figure))


def page_of(ax: Axes) -> Figure:
    assert isinstance(ax.figure, Figure)
    return ax.figure


def image_of(ax: Axes) -> Any:
    (image,) = ax.get_images()
    return image


def bar_label(ax: Axes) -> str:
    """What the colour bar beside an axes says."""
    labels = [other.get_ylabel() for other in ax.figure.axes if other is not ax]
    return " ".join(" ".join(labels).split())
