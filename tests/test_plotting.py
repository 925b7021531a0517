"""Pictures by their properties: what is drawn where, what it is called, that words keep apart, and that files appear whole."""

from __future__ import annotations

import itertools
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

from erffast.plotting import _figures, _maps, _shown, compare, plot_erf, save_picture  # noqa: E402
from pictures import (  # noqa: E402
    bar_label,
    by_gid,
    comb,
    corner,
    deep,
    deep_profile,
    dilated,
    everything_said,
    image_of,
    only,
    page_of,
    signed,
)

# ------------------------------------------------------------------------------------------------ what is drawn


def said_beside(ax: Axes) -> str:
    return everything_said(page_of(ax))


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
