"""Pictures by their properties: what is drawn where, what it is called, that words keep apart, and that files appear whole."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import erffast as ef
from erffast._pixels import Pixels
from erffast.result import ERF
from samples import field_of, multiplied, pictured, result, uniform

matplotlib = pytest.importorskip("matplotlib")
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.colors import LogNorm  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.text import Text  # noqa: E402

from erffast.plotting import _curves, _figures, _maps, _shown, compare, plot_erf, save_picture  # noqa: E402

# ------------------------------------------------------------------------------------------------ what is drawn


def deep() -> ERF:
    """A field of 2001 pixels, of which there is something to see in 300."""
    return ef.variance(ef.parse("conv3 * 1000"))


def comb() -> ERF:
    return ef.variance(ef.parse("conv3/2 * 3, conv3 * 4"))


def corner() -> ERF:
    return ef.variance(ef.parse("conv3:p1 * 20"), input_size=48, unit=(2, 45))


def beside_the_edge() -> ERF:
    """Of a map smaller than the field, as far as the linear view goes."""
    return ef.variance(ef.parse("conv3:p1 * 40"), input_size=64, unit=(30, 1))


def on_small_map() -> ERF:
    return ef.variance(ef.parse("conv3:p1 * 250"), input_size=64)


def dilated() -> ERF:
    """Every eighth pixel reached."""
    return ef.variance(ef.parse("conv3:d8 * 20"))


def wide() -> ERF:
    row, column = uniform(20, ndim=1)._profiles, uniform(40, k=5, ndim=1)._profiles
    assert row is not None
    assert column is not None
    return result([row[0], column[0]], origin=(0, 0), receptive_field=field_of((41, 161), (0, 0)))


def signed() -> ERF:
    return ef.gradient(ef.parse("conv3 * 6"), np.random.default_rng(3).standard_normal((6, 3, 3)))


def noise(draws: int = 1, ndim: int = 2) -> Any:
    """Random values under a Gaussian, [draws, *shape]."""
    x = np.arange(31) - 15
    envelope = multiplied([np.exp(-(x**2) / 50)] * ndim)
    return np.random.default_rng(5).standard_normal((draws, *envelope.shape)) * envelope


def draws() -> ERF:
    return pictured(noise(20) ** 2, draws=True, exponent=np.arange(20) % 3, method="simulated", origin=(-15, -15))


CASES: dict[str, Callable[[], ERF]] = {
    "deep": deep,
    "seven pixels": lambda: uniform(3),
    "shallow": lambda: uniform(20),
    "one pixel": lambda: uniform(1, k=1),
    "comb": comb,
    "corner of a map": corner,
    "edge of a map": beside_the_edge,
    "map smaller than the field": on_small_map,
    "dilated": dilated,
    "wide": wide,
    "signed": signed,
    "amplitude": lambda: uniform(20).amplitude(),
    "draws": draws,
    "signed draws": lambda: pictured(noise(7), draws=True, exponent=np.zeros(7, int), reduction="signed", origin=(-15, -15)),
    "dead": lambda: pictured(np.zeros((9, 9))),
    "one axis": lambda: uniform(30, ndim=1),
    "one axis, signed": lambda: pictured(noise(1, 1)[0], reduction="signed", origin=(-15,)),
    "three axes": lambda: uniform(12, ndim=3),
    "three axes, deep": lambda: result([deep_profile()] * 3, receptive_field=field_of((20001,) * 3, (-10000,) * 3), origin=(-200,) * 3),
}
ALL = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


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


def said_beside(ax: Axes) -> str:
    return everything_said(page_of(ax))


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


# ------------------------------------------------------------------------------------------------ heat maps


@pytest.mark.parametrize("log", [False, True], ids=["linear", "log"])
def test_each_pixel_is_drawn_at_its_input_coordinate(log: bool) -> None:
    values = np.random.default_rng(0).random((4, 7)) + 0.2
    ax = plot_erf(pictured(values, origin=(-3, 11)), log=log)
    image = image_of(ax)
    assert tuple(image.get_extent()) == (10.5, 17.5, 0.5, -3.5)  # half a pixel around the outermost centres
    assert np.asarray(image.get_array()) == pytest.approx(values / values.max(), rel=1e-15)
    bottom, top = ax.get_ylim()
    assert bottom > top  # rows downwards
    assert image.origin == "upper"
    assert ax.get_aspect() == 1


@pytest.mark.parametrize(
    ("reduction", "method", "name"),
    [
        ("square", "exact", "power E[g²]"),
        ("square", "mean-field", "power E[g²]"),
        ("square", "measured", "power g²"),
        ("rms", "exact", "amplitude √E[g²]"),
        ("rms", "measured", "amplitude |g|"),
        ("abs", "measured", "amplitude |g|"),
        ("positive", "measured", "positive part of g"),
        ("signed", "exact", "gradient g"),
    ],
)
def test_colour_bar_names_the_quantity(reduction: str, method: str, name: str) -> None:
    ax = plot_erf(pictured(np.ones((5, 5)), reduction=reduction, method=method))
    assert bar_label(ax) == f"{name}, share of the peak"


def test_logarithm_of_signed_values_names_their_size() -> None:
    ax = plot_erf(signed(), log=True)
    assert bar_label(ax) == "size of the gradient |g|, share of the peak"
    assert np.min(image_of(ax).get_array()) > 0


def test_signed_values_are_shown_about_zero() -> None:
    ax = plot_erf(signed())
    image = image_of(ax)
    assert image.get_clim() == (-1, 1)
    at_zero = image.cmap(image.norm(0.0))
    assert min(at_zero[:3]) > 0.95  # white
    assert np.abs(np.asarray(image.get_array())).max() == 1


@pytest.mark.parametrize(("power", "floor"), [(True, 1e-8), (False, 1e-4)], ids=["power", "amplitude"])
def test_logarithmic_scale_is_cut(power: bool, floor: float) -> None:
    erf = uniform(40) if power else uniform(40).amplitude()
    norm = image_of(plot_erf(erf, log=True)).norm
    assert isinstance(norm, LogNorm)
    assert (norm.vmin, norm.vmax) == (floor, 1)


def test_logarithmic_scale_ends_where_the_values_do() -> None:
    image = image_of(plot_erf(uniform(3), log=True))  # smallest value: (1/7)^2
    assert image.get_clim() == pytest.approx((0.01, 1))


def test_pixels_that_nothing_reaches_are_left_blank_on_a_log_scale() -> None:
    image = image_of(plot_erf(ef.variance(ef.parse("conv3:d2 * 3")), log=True))
    assert np.ma.getmaskarray(image.get_array()).sum() == 13**2 - 7**2


@pytest.mark.parametrize("n", [3, 5, 20, 40])
@pytest.mark.parametrize("amplitude", [False, True], ids=["power", "amplitude"])
def test_outline_of_visible_pixels_holds_the_level_size(n: int, amplitude: bool) -> None:
    erf = uniform(n).amplitude() if amplitude else uniform(n)
    # It follows the pixels' edges; each corner is cut by less than (1/16)^2 of a pixel, and there are few of them.
    assert outlined_area(plot_erf(erf)) == pytest.approx(erf.level_size() ** 2, abs=0.5)


def test_smooth_outline_holds_the_level_size() -> None:
    erf = deep()
    # The level runs between centres, so the count of pixels differs by a fraction of those along the outline (357 of 12,957).
    assert outlined_area(plot_erf(erf)) == pytest.approx(erf.level_size() ** 2, rel=0.005)


def test_outline_of_a_signed_image_is_that_of_its_square() -> None:
    x = np.linspace(-3, 3, 41)
    erf = pictured(-multiplied([np.exp(-(x**2))] * 2), reduction="signed")
    assert outlined_area(plot_erf(erf)) == pytest.approx(erf.level_size() ** 2, abs=0.5)


def outlined_area(ax: Axes) -> float:
    """The shoelace formula over the loops of the level contour."""
    loops = only(ax, "level").get_paths()[0].to_polygons()
    return float(abs(sum(np.sum(loop[:-1, 0] * loop[1:, 1] - loop[1:, 0] * loop[:-1, 1]) / 2 for loop in loops)))


def test_level_is_labelled_with_its_size() -> None:
    assert "level 0.0455: 16.16 px" in said_beside(plot_erf(uniform(20)))


@pytest.mark.parametrize("case", [comb, lambda: pictured(np.eye(9) + 0.01)], ids=["comb", "diagonal"])
def test_scattered_pixels_get_no_outline(case: Callable[[], ERF]) -> None:
    ax = plot_erf(case(), log=True)
    assert not by_gid(ax, "level")
    assert "level" not in said_beside(ax)


def test_window_inside_the_level_leaves_the_outline_open() -> None:
    erf = pictured(np.ones((9, 9)), receptive_field=field_of((51, 51), (-24, -24)))
    assert not by_gid(plot_erf(erf), "level")  # the window's edge is no level


# ------------------------------------------------------------------------------------------------ field and map


@pytest.mark.parametrize(
    ("log", "case"), [(False, lambda: uniform(3)), (True, comb), (True, corner)], ids=["seven pixels", "comb", "corner"]
)
def test_field_is_drawn_around_its_pixels(log: bool, case: Callable[[], ERF]) -> None:
    erf = case()
    box = only(plot_erf(erf, log=log), "TRF")
    (top, left), (bottom, right) = erf.field_box
    assert (box.get_x(), box.get_y()) == (left - 0.5, top - 0.5)
    assert (box.get_width(), box.get_height()) == (right - left + 1, bottom - top + 1)


def test_field_is_labelled_with_its_size_and_what_the_map_leaves() -> None:
    assert "TRF 7 × 7 px" in said_beside(plot_erf(uniform(3)))
    assert "TRF 41 × 41 px, cut to 23 × 23" in said_beside(plot_erf(corner(), log=True))


def test_field_far_larger_than_the_view_is_sketched_to_scale() -> None:
    ax = plot_erf(deep(), log=True)
    assert not by_gid(ax, "TRF")
    outline, part = only(ax, "TRF sketch"), only(ax, "view sketch")
    assert part.get_width() / outline.get_width() == pytest.approx(np.ptp(ax.get_xlim()) / 2001)
    assert part.get_x() + part.get_width() / 2 == pytest.approx(outline.get_x() + outline.get_width() / 2, abs=1e-3)
    assert "TRF 2001 × 2001 px" in said_beside(ax)
    assert np.ptp(ax.get_xlim()) < 450  # the ERF fills the picture


def test_sketch_of_a_long_field_stays_in_its_corner() -> None:
    profile = deep_profile()
    erf = result([profile, profile], receptive_field=field_of((800, 30001), (-400, -15000)), origin=(-200, -200))
    ax = plot_erf(erf, log=True)
    outline, part = only(ax, "TRF sketch"), only(ax, "view sketch")
    for box in (outline, part):
        assert box.get_x() > 0.75
        assert box.get_y() > 0.75
        assert box.get_x() + box.get_width() < 1
        assert box.get_y() + box.get_height() < 1
    assert outline.get_width() / outline.get_height() == pytest.approx(30001 / 800)


def test_border_of_the_map_is_drawn() -> None:
    ax = plot_erf(corner(), log=True)
    border = only(ax, "map")
    assert (border.get_x(), border.get_y(), border.get_width(), border.get_height()) == (-0.5, -0.5, 48, 48)
    assert ax.get_xlim()[1] > 47.5
    assert ax.get_ylim()[1] < -0.5
    assert "map border" in said_beside(ax)


def test_plane_has_no_border() -> None:
    assert not by_gid(plot_erf(uniform(20)), "map")


@pytest.mark.parametrize("row", [0, 1], ids=["top", "bottom"])
@pytest.mark.parametrize("column", [0, 1], ids=["left", "right"])
def test_quiet_corner_is_opposite_a_busy_one(row: int, column: int) -> None:
    values = np.full((10, 10), 0.5)
    values[(1 - row) * 6 : (1 - row) * 6 + 4, (1 - column) * 6 : (1 - column) * 6 + 4] = 0
    assert _maps.quiet_corner(values) == (("bottom", "top")[row], ("right", "left")[column])


def test_words_and_lines_on_the_map_have_contrast() -> None:
    image = image_of(plot_erf(uniform(20)))
    for value in np.linspace(0, 1, 101):
        text = _maps._luminance(matplotlib.colors.to_rgb(_maps._readable(image, value)))
        ground = _maps._luminance(_maps._color(image, value))
        assert (max(text, ground) + 0.05) / (min(text, ground) + 0.05) >= 4.5  # WCAG AA for small text


# ------------------------------------------------------------------------------------------------ what is formed


@pytest.fixture
def no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def formed(self: Pixels) -> Any:
        raise AssertionError("the whole image was formed")

    monkeypatch.setattr(Pixels, "image", property(formed))


@pytest.mark.usefixtures("no_image")
def test_nothing_forms_the_image_of_a_deep_network(tmp_path: Path) -> None:
    erf = ef.variance(ef.parse("conv3 * 10000"), window="full")
    assert erf.shape == (20001, 20001)
    save_picture(erf, tmp_path / "erf.png", title="conv3 * 10000")
    for log in (False, True):
        image = image_of(plot_erf(erf, log=log))
        assert max(np.shape(image.get_array())) <= 1024
    compare([erf, uniform(3)], ["deep", "shallow"])


@pytest.mark.usefixtures("no_image")
@pytest.mark.parametrize("ndim", [1, 3])
def test_other_numbers_of_axes_form_no_image_either(ndim: int) -> None:
    profile = deep_profile()
    erf = result([profile] * ndim, receptive_field=field_of((401,) * ndim, (-200,) * ndim), origin=(-200,) * ndim)
    _figures.picture(erf, "deep")


def test_large_images_are_averaged_in_blocks() -> None:
    values = np.random.default_rng(1).random((37, 50))
    field = _shown.shown(pictured(values, origin=(5, -7))).field
    crop = field.crop(((5, 41), (-7, 42)), most=10)
    assert crop.block == 5
    expected = values[:35, :50].reshape(7, 5, 10, 5).mean(axis=(1, 3)) / values.max()
    assert crop.values == pytest.approx(expected, rel=1e-14)
    assert crop.edges == ((4.5, 39.5), (-7.5, 42.5))


@pytest.mark.parametrize("most", [1000, 16, 5])
@pytest.mark.parametrize("several", [False, True], ids=["one", "draws"])
def test_profiles_are_cropped_like_the_image(most: int, several: bool) -> None:
    rng = np.random.default_rng(2)
    profiles = [rng.standard_normal((4, n) if several else n) for n in (23, 40)]
    options: dict[str, Any] = {"reduction": "signed", "origin": (-2, 3)}
    exponent = np.array([0, 3, -1, 2]) if several else 0
    thin = _shown.shown(result(profiles, exponent=exponent, **options))
    thick = _shown.shown(result(profiles, dense=True, exponent=exponent, **options))
    assert thin.field.factors is not None
    assert thick.field.image is not None
    assert thin.label == thick.label
    view = ((0.0, 15.0), (5.5, 99.0))
    first, second = (shown.field.crop(view, most=most) for shown in (thin, thick))
    assert first.edges == second.edges
    assert first.block == second.block
    assert first.values == pytest.approx(second.values, rel=1e-12, abs=1e-14)  # sums over four draws in another order
    assert np.abs(thin.field.crop(((-9, 99), (-9, 99)), most=1000).values).max() == pytest.approx(1)


def test_planes_of_profiles_are_planes_of_the_image() -> None:
    rng = np.random.default_rng(4)
    profiles = [rng.random((2, n)) for n in (5, 6, 7)]
    thin, thick = (_shown.shown(result(profiles, dense=dense, origin=(0, 0, 0))).field for dense in (False, True))
    for pair in itertools.combinations(range(3), 2):
        everything = ((-1, 9),) * 2
        first, second = (field.plane(pair, (2, 3, 4)).crop(everything, most=99).values for field in (thin, thick))
        assert first == pytest.approx(second, rel=1e-13)


def test_pixels_far_apart_are_enlarged_and_the_label_says_so() -> None:
    ax = plot_erf(dilated())
    image = image_of(ax)
    assert np.shape(image.get_array()) == (41, 41)
    assert tuple(image.get_extent()) == (-4, 324, 324, -4)  # 8 x 8 about each of 0, 8 ... 320
    assert bar_label(ax) == "power E[g²], share of the peak, pixels drawn 8 × 8 px large"


# ------------------------------------------------------------------------------------------------ draws


def test_draws_are_averaged_with_their_exponents_and_the_label_says_so() -> None:
    values = np.random.default_rng(6).random((3, 8, 8)) + 0.1
    exponent = np.array([-5000, -5001, -4998])  # beyond any float
    ax = plot_erf(pictured(values, draws=True, exponent=exponent, method="measured"))
    mean = np.tensordot([2.0**0, 2.0**-1, 2.0**2], values, 1)
    assert np.asarray(image_of(ax).get_array()) == pytest.approx(mean / mean.max(), rel=1e-14)
    assert bar_label(ax) == "power g², share of the peak, mean of 3 draws"


def test_signed_draws_are_averaged_squared() -> None:
    values = noise(5)
    ax = plot_erf(pictured(values, draws=True, reduction="signed"))
    mean = (values**2).mean(axis=0)
    image = image_of(ax)
    assert image.get_clim() == (0, 1)
    seen = tuple(slice(round(low + 3.5), round(high + 3.5)) for low, high in (image.get_extent()[:1:-1], image.get_extent()[:2]))  # from -3
    assert np.asarray(image.get_array()) == pytest.approx((mean / mean.max())[seen], rel=1e-13)
    assert bar_label(ax) == "power g², share of the peak, mean of 5 draws"


def test_dead_draws_do_not_hide_small_ones() -> None:
    values = np.stack([np.zeros((5, 5)), np.eye(5)])
    image = image_of(plot_erf(pictured(values, draws=True, exponent=np.array([0, -3000]))))
    assert np.asarray(image.get_array()) == pytest.approx(np.eye(5))


@pytest.mark.parametrize("dense", [False, True], ids=["profiles", "image"])
@pytest.mark.parametrize("reduction", ["square", "signed"])
def test_marginal_of_draws_is_that_of_their_mean(dense: bool, reduction: str) -> None:
    profiles = [np.random.default_rng(7).random((3, n)) for n in (6, 9)]
    exponent = np.array([2, 0, 1])
    erf = result(profiles, dense=dense, reduction=reduction, exponent=exponent, origin=(0, 0))
    mass = (multiplied(profiles) * 2.0 ** exponent[:, None, None]) ** (2 if reduction == "signed" else 1)
    expected = mass.sum(axis=(0, 1)) / mass.sum()
    assert _curves.marginal(erf, 1, "column").share == pytest.approx(expected, rel=1e-13)


# ------------------------------------------------------------------------------------------------ marginals

# depth: peaks of the Gaussian and of the Edgeworth series of n uniform 3-tap layers
PEAKS = {5: (0.2185097, 0.2103156), 10: (0.1545097, 0.1516126), 20: (0.1092548, 0.1082306), 40: (0.0772548, 0.0768927)}


@pytest.mark.parametrize("n", PEAKS)
def test_curves_agree_with_theory(n: int) -> None:
    one = _curves.marginal(uniform(n), 1, "column")
    middle = np.array([one.mean])
    assert (one.gaussian(middle)[0], one.edgeworth(middle)[0]) == pytest.approx(PEAKS[n], abs=5e-8)


def test_density_is_spread_over_the_pixels_that_are_reached() -> None:
    one = _curves.marginal(dilated(), 0, "row")
    assert one.span == 8
    assert one.gaussian(np.array([one.mean]))[0] == pytest.approx(PEAKS[20][0], abs=5e-8)


def test_lines_are_the_marginal_and_its_curves() -> None:
    erf = uniform(20)
    figure = _figures.picture(erf, "conv3 * 20")
    linear, log = figure.axes[-2:]
    assert (linear.get_yscale(), log.get_yscale()) == ("linear", "log")
    for ax in (linear, log):
        x, share = only(ax, "marginal").get_data()
        assert share == pytest.approx(erf.marginal()[np.round(x).astype(int) + 20], rel=1e-15)
        x, gaussian = only(ax, "Gaussian").get_data()
        assert gaussian == pytest.approx(np.exp(-(x**2) * 3 / 80) / np.sqrt(2 * np.pi * 40 / 3), rel=1e-9)
        assert by_gid(ax, "Edgeworth")
    said = everything_said(figure)
    assert "Gaussian, off by\n0.95 % of the peak" in said  # (.1092548 - .1082313) / .1082313
    assert "share of E[g²]" in said
    assert only(log, "marginal").get_ydata().min() < 1e-9  # the tails


def test_axes_that_are_alike_share_a_curve() -> None:
    assert [m.name for m in _curves.marginals(uniform(5), ("row", "column"))] == ["row or column"]
    assert [m.name for m in _curves.marginals(wide(), ("row", "column"))] == ["row", "column"]


# ------------------------------------------------------------------------------------------------ the full figure


@ALL
def test_full_figure_has_no_words_on_words_and_none_cut_off(case: Callable[[], ERF]) -> None:
    figure = _figures.picture(case(), "a network of many layers, conv3:p1 * 10, maxpool2, " * 5)
    check_words(figure)


@ALL
@pytest.mark.parametrize("log", [False, True], ids=["linear", "log"])
def test_single_plot_has_no_words_on_words_and_none_cut_off(case: Callable[[], ERF], log: bool) -> None:
    check_words(page_of(plot_erf(case(), log=log)))


def check_words(figure: Figure) -> None:
    seen = words(figure)
    boxes = [t.get_window_extent() for t in seen]
    page = figure.bbox
    for text, box in zip(seen, boxes, strict=True):
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= page.x1, text
        assert box.y1 <= page.y1, text
        assert float(text.get_fontsize()) >= 8.5
    for (text, box), (other, beside) in itertools.combinations(zip(seen, boxes, strict=True), 2):
        across = min(box.x1, beside.x1) - max(box.x0, beside.x0)
        down = min(box.y1, beside.y1) - max(box.y0, beside.y0)
        assert min(across, down) <= 1.5, f"{text.get_text()!r} lies on {other.get_text()!r}"  # boxes hold a pixel of air


def test_full_figure_says_sizes_and_accounts() -> None:
    said = everything_said(_figures.picture(deep(), "conv3 * 1000"))
    assert "conv3 * 1000\n" in said
    for size in ("unit (0, 0)", "std 25.82 px", "level 0.0455: 113.8 px, 5.685 % of the TRF", "mass 95.45 %: ", "TRF 2001 × 2001 px"):
        assert size in said
    for account in ("border 0", "lost ≤ ", "error ≤ ", "per pixel", "engine separable on cpu"):
        assert account in said


def test_sizes_of_draws_are_their_medians() -> None:
    assert "medians of 20 draws" in everything_said(_figures.picture(draws(), "draws"))


def test_nothing_is_drawn_of_nothing() -> None:
    assert everything_said(_figures.picture(CASES["dead"](), "dead")).count("all values are zero") == 2


def test_title_is_shortened_in_the_middle() -> None:
    figure = _figures.picture(uniform(3), "first " + "conv3, " * 100 + "last")
    title = max(words(figure), key=lambda t: t.get_fontsize())
    assert title.get_text().startswith("first conv3")
    assert title.get_text().endswith("conv3, last")
    assert " … " in title.get_text()


# ------------------------------------------------------------------------------------------------ axes and globals


def test_plot_draws_on_the_axes_given() -> None:
    figure = Figure()
    ax = figure.add_subplot()
    assert uniform(3).plot(ax, log=True) is ax
    assert len(ax.get_images()) == 1
    assert uniform(3).plot().figure is not figure


@pytest.mark.parametrize("ndim", [1, 3])
def test_other_numbers_of_axes_draw_on_the_axes_given(ndim: int) -> None:
    ax = Figure().add_subplot()
    assert uniform(5, ndim=ndim).plot(ax) is ax
    assert [len(inset.get_images()) for inset in ax.child_axes[:3]] == ([1, 1, 1] if ndim == 3 else [])
    assert bool(by_gid(ax, "values")) == (ndim == 1)


def test_no_global_setting_is_touched(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    save_picture(uniform(3), tmp_path / "erf.png", title="conv3 * 3")
    plot_erf(uniform(3))
    compare([uniform(3), uniform(5)], ["three", "five"])
    assert dict(matplotlib.rcParams) == before


def test_pyplot_is_never_imported(tmp_path: Path) -> None:
    code = """
import sys
import erffast as ef
assert "matplotlib" not in sys.modules, "importing the package must stay light"
from erffast.plotting import save_picture
erf = ef.variance(ef.parse("conv3 * 3"))
erf.plot()
ef.compare([erf], ["a"])
save_picture(erf, sys.argv[1], title="conv3 * 3")
assert "matplotlib.pyplot" not in sys.modules, "a figure of pyplot stays open until it is closed"
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "erf.png")], check=True)


@pytest.mark.parametrize(
    "call", [lambda erf: erf.plot(), lambda erf: compare([erf], ["a"]), lambda erf: save_picture(erf, "x.png", title="t")]
)
def test_missing_matplotlib_says_what_to_install(call: Callable[[ERF], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "erffast\[plot\]"'):
        call(uniform(3))


# ------------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize(
    ("name", "start"), [("erf.png", b"\x89PNG"), ("erf.PDF", b"%PDF"), ("erf.svg", b"<?xml")], ids=["png", "pdf", "svg"]
)
def test_extension_says_the_format(name: str, start: bytes, tmp_path: Path) -> None:
    save_picture(uniform(3), tmp_path / name, title="conv3 * 3")
    assert (tmp_path / name).read_bytes().startswith(start)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_picture_has_the_size_of_a_page(tmp_path: Path) -> None:
    save_picture(uniform(3), str(tmp_path / "erf.png"), title="conv3 * 3")
    height, width = matplotlib.image.imread(tmp_path / "erf.png").shape[:2]
    assert (width, height) == (1600, 1110)


@pytest.mark.parametrize("name", ["erf.bmp", "erf", "erf.png.gz"])
def test_unknown_extension_names_those_that_work(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"path must end in \.png, \.svg or \.pdf, got .*{name}'"):
        save_picture(uniform(3), tmp_path / name, title="conv3 * 3")


def test_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"path must be in a directory that exists, got .*nowhere"):
        save_picture(uniform(3), tmp_path / "nowhere" / "erf.png", title="conv3 * 3")


@pytest.mark.parametrize("stage", ["writing", "renaming"])
def test_failure_leaves_the_old_file_and_nothing_else(stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "erf.png"
    path.write_bytes(b"old")

    def savefig(self: Figure, file: Path, **options: Any) -> None:
        Path(file).write_bytes(b"half")
        raise OSError("no space left")

    def rename(source: Path, target: Path) -> None:
        assert Path(source).read_bytes().startswith(b"\x89PNG")  # whole, and beside its place
        assert Path(source).parent == Path(target).parent
        raise OSError("no space left")

    monkeypatch.setattr(*((Figure, "savefig", savefig) if stage == "writing" else (os, "replace", rename)))
    with pytest.raises(OSError, match="no space left"):
        save_picture(uniform(3), path, title="conv3 * 3")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["erf.png", "erf.pdf"])
def test_same_picture_has_the_same_bytes(name: str, tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        save_picture(uniform(3), tmp_path / name, title="conv3 * 3")
        found.append((tmp_path / name).read_bytes())
    assert found[0] == found[1]


# ------------------------------------------------------------------------------------------------ side by side


@pytest.fixture(scope="module")
def row() -> tuple[list[ERF], Figure]:
    results = [uniform(5), uniform(20), corner(), deep()]
    return results, compare(results, ["five", "twenty", "corner", "deep"])


def test_results_share_one_scale_of_colours_and_of_pixels(row: tuple[list[ERF], Figure]) -> None:
    axes = row[1].axes[:4]
    norms = [image_of(ax).norm for ax in axes]
    assert all(norm is norms[0] for norm in norms)
    assert isinstance(norms[0], LogNorm)
    assert {tuple(ax.get_xlim()) for ax in axes} == {tuple(axes[0].get_xlim())}
    assert {tuple(ax.get_ylim()) for ax in axes} == {tuple(axes[0].get_ylim())}
    assert len({tuple(np.round(ax.get_window_extent().size, 6)) for ax in axes}) == 1
    for ax in axes:
        assert np.max(image_of(ax).get_array()) == pytest.approx(1)  # each by its own peak


def test_results_are_centred_on_their_means_with_their_fields(row: tuple[list[ERF], Figure]) -> None:
    for erf, ax in zip(row[0][:3], row[1].axes, strict=False):
        mean = [round(m) for m in erf.mean()]
        box = only(ax, "TRF")
        (top, left), (bottom, right) = erf.field_box
        assert (box.get_x(), box.get_y()) == (left - 0.5 - mean[1], top - 0.5 - mean[0])
        assert (box.get_width(), box.get_height()) == (right - left + 1, bottom - top + 1)
    assert by_gid(row[1].axes[3], "TRF sketch")


def test_comparison_is_labelled(row: tuple[list[ERF], Figure]) -> None:
    said = everything_said(row[1])
    for part in (
        "five",
        "twenty",
        "corner",
        "deep",
        "std 25.82, level 113.8, TRF 2001 px",
        "power E[g²], share of the peak",
        "column − mean",
    ):
        assert part in said
    check_words(row[1])


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_any_number_of_results_has_room(count: int, ndim: int) -> None:
    check_words(
        compare([uniform(4 + n, ndim=ndim) for n in range(count)], [f"a label that is too long for its panel, {n}" for n in range(count)])
    )


def test_different_quantities_are_not_given_one_name() -> None:
    figure = compare([uniform(20).amplitude(), uniform(20)], ["amplitude", "power"])
    assert "share of each peak" in everything_said(figure)
    assert image_of(figure.axes[0]).get_clim() == (1e-8, 1)  # what the power needs


@pytest.mark.parametrize(
    ("results", "labels", "message"),
    [
        ([], [], "results must hold at least one ERF, got none"),
        ([uniform(3)], [], "labels must be one per result, got 0 labels for 1 results"),
        ([uniform(3), uniform(3, ndim=1)], ["a", "b"], "results must all have the same number of axes, got 1 and 2"),
    ],
    ids=["nothing", "labels missing", "mixed axes"],
)
def test_what_cannot_be_compared(results: list[ERF], labels: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare(results, labels)
