"""Figures, files and comparisons by their properties: what is drawn where, what it is called, that words keep apart."""

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
from erffast.result import ERF
from samples import field_of, multiplied, pictured, result, uniform

matplotlib = pytest.importorskip("matplotlib")
from matplotlib.colors import LogNorm  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from erffast.plotting import _curves, _figures, compare, plot_erf, save_picture  # noqa: E402
from pictures import (  # noqa: E402
    bar_label,
    by_gid,
    comb,
    corner,
    deep,
    deep_profile,
    dilated,
    draws,
    everything_said,
    image_of,
    noise,
    only,
    page_of,
    signed,
    words,
)

# ------------------------------------------------------------------------------------------------ what is drawn


def beside_the_edge() -> ERF:
    """Of a map smaller than the field, as far as the linear view goes."""
    return ef.variance(ef.parse("conv3:p1 * 40"), input_size=64, unit=(30, 1))


def on_small_map() -> ERF:
    return ef.variance(ef.parse("conv3:p1 * 250"), input_size=64)


def wide() -> ERF:
    row, column = uniform(20, ndim=1)._profiles, uniform(40, k=5, ndim=1)._profiles
    assert row is not None
    assert column is not None
    return result([row[0], column[0]], origin=(0, 0), receptive_field=field_of((41, 161), (0, 0)))


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
