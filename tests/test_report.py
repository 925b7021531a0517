"""The layer table against geometry and variance, and the report as text, JSON, HTML and picture."""

from __future__ import annotations

import json
import math
import os
import time
from fractions import Fraction
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import erffast as ef
from erffast import report as report_module
from erffast._layer_table import Row, layer_rows
from erffast._tables import Table, number, scientific, shortened
from erffast.frontends.text import parse
from erffast.layers import Conv, Stack
from erffast.report import Report, analyze


@cache
def report_of(text: str) -> Report:
    return analyze(text)


# ---------------------------------------------------------------- the layer table


def test_a_run_of_equal_layers_is_one_row() -> None:
    (row,) = layer_rows(parse("conv3 * 1000"))
    assert (row.text, row.layers, row.jump, row.size, row.start) == ("conv3 * 1000", 1000, (1, 1), (2001, 2001), (0, 0))
    assert row.std == pytest.approx((math.sqrt(1000 * 2 / 3),) * 2, rel=1e-15)


def test_a_short_block_is_one_row_and_a_long_one_shows_its_layers_once() -> None:
    rows = list(layer_rows(parse("(conv3, relu) * 10, (conv3:p1, batchnorm, relu, conv5:p2, gelu) * 4")))
    assert [(row.text, row.depth, row.layers) for row in rows] == [
        ("(conv3, relu) * 10", 0, 20),
        ("conv3:p1", 1, 21),
        ("batchnorm", 1, 22),
        ("relu", 1, 23),
        ("conv5:p2", 1, 24),
        ("gelu", 1, 25),
        ("these 5 layers * 4", 0, 40),
    ]


WINDOWS = ["conv3", "conv2x5:p1", "conv3/2", "conv5:d2", "conv3/1x3:d2x1", "maxpool2", "maxpool3/2:p1", "relu", "avgpool2"]
WINDOWS += ["residual(conv3:p1, relu)", "residual(maxpool3/2:p1, residual(conv5) | conv2/2)"]
NETWORKS = st.recursive(
    st.lists(st.sampled_from(WINDOWS), min_size=1, max_size=3).map(", ".join),
    lambda inner: st.lists(st.builds("({}) * {}".format, inner, st.integers(1, 3)), min_size=1, max_size=2).map(", ".join),
    max_leaves=4,
)


@given(NETWORKS)
@settings(deadline=None, max_examples=60)
def test_every_row_is_the_field_of_the_network_up_to_it(text: str) -> None:
    net = parse(text)
    try:
        ef.receptive_field(net)
    except OverflowError:
        reject()  # strides of a deep nest leave the 62 bits of a coordinate
    rows = list(layer_rows(net))
    assert rows[-1].layers == len(net)
    for row in rows:
        field = ef.receptive_field(net.upto(row.layers - 1))
        assert (row.jump, row.size, row.start) == (field.jump, field.size, field.start)


def variance_along(net: Stack, axis: int) -> Fraction:
    """Variance of the exact image along an axis, by its definition: random taps convolve, fixed averages add before squaring."""
    random, fixed, jump = [Fraction(1)], [Fraction(1)], 1
    for layer in net:
        if not hasattr(layer, "geometry"):
            continue
        kernel, stride, dilation, _ = layer.geometry(net.ndim)
        spacing = jump * dilation[axis]
        taps = [Fraction(i % spacing == 0) for i in range(spacing * (kernel[axis] - 1) + 1)]
        if type(layer).__name__ == "AvgPool":
            fixed = convolve(fixed, taps)
        else:
            random = convolve(random, taps)
        jump *= stride[axis]
    image = convolve(random, [value * value for value in fixed])
    total, none = sum(image), Fraction(0)
    mean = sum((i * value for i, value in enumerate(image)), none) / total
    return sum(((i - mean) ** 2 * value for i, value in enumerate(image)), none) / total


def convolve(a: list[Fraction], b: list[Fraction]) -> list[Fraction]:
    out = [Fraction(0)] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            out[i + j] += x * y
    return out


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("conv3 * 7", True),
        ("conv3, conv3/2, conv5:d2, conv2x3", True),
        ("(conv3, relu, maxpool2) * 3", True),
        ("conv3, avgpool2, conv3, avgpool2, conv3", True),
        ("avgpool3/1, conv3", True),
        ("conv3, avgpool2, avgpool3/1", True),  # the overlapping one stands above all others
        ("avgpool3/1, conv3, avgpool3/1", False),
        ("avgpool3/2, avgpool2", False),
        ("(avgpool3/1) * 2", False),
        ("(avgpool2) * 3", True),
        ("(avgpool3/2) * 2", False),
        ("avgpool3/1, conv3/4, avgpool2", True),  # far apart: no two pairs of taps meet
    ],
)  # fmt: skip
def test_std_is_exact_where_it_is_given_and_left_out_elsewhere(text: str, known: bool) -> None:
    net = parse(text)
    *_, row = layer_rows(net)
    by_definition = [math.sqrt(variance_along(net, axis)) for axis in range(2)]
    if known:
        assert row.std == pytest.approx(by_definition, rel=1e-13)  # a few roundings
    else:
        assert row.std is None
        sum_of_variances = [math.sqrt(sum((j * d) ** 2 * (k * k - 1) / 12 for j, d, k in steps(net, axis))) for axis in range(2)]
        assert by_definition != pytest.approx(sum_of_variances, rel=1e-3)  # the formula would have been wrong


def steps(net: Stack, axis: int) -> list[tuple[int, int, int]]:
    found, jump = [], 1
    for layer in net:
        if hasattr(layer, "geometry"):
            kernel, stride, dilation, _ = layer.geometry(net.ndim)
            found.append((jump, dilation[axis], kernel[axis]))
            jump *= stride[axis]
    return found


def test_std_of_the_table_is_the_std_of_the_result() -> None:
    taps = ((1.0, 2.0, 0.5), (0.0, 3.0, 1.0))
    net = Stack([Conv((2, 3), tap_variance=taps, dilation=2), Conv(3, stride=2), Conv((2, 3), tap_variance=taps)])
    *_, row = layer_rows(net)
    assert row.std == pytest.approx(ef.variance(net, window="full").std(), rel=1e-12)


def test_a_long_table_leaves_out_its_middle_and_says_so() -> None:
    started = time.perf_counter()
    report = Report(net=parse("conv3, conv5, " * 50_000), erf=None)  # type: ignore[arg-type]
    lines = report.table(rows=10).splitlines()
    assert time.perf_counter() - started < 30  # about 3 s: a table quadratic in its rows would take hours
    assert len(lines) == 2 + 10 + 1
    assert lines[7].strip() == "... 99,990 rows left out ..."
    assert lines[6].split() == ["5", "conv3", "1", "15", "2.449"]  # sqrt(3 * 2 / 3 + 2 * 2)
    assert lines[-1].split()[:4] == ["100,000", "conv5", "1", "300,001"]
    assert len(report.table(rows=None).splitlines()) == 2 + 100_000


def test_a_table_of_just_as_many_rows_is_whole() -> None:
    report = Report(net=parse("conv3, conv5, " * 5), erf=None)  # type: ignore[arg-type]
    assert "left out" not in report.table(rows=10)
    assert "... 1 rows left out ..." in report.table(rows=9)


# ---------------------------------------------------------------- the report


def test_the_report_agrees_with_its_parts() -> None:
    report, net = report_of("conv3 * 40"), parse("conv3 * 40")
    erf = ef.variance(net)
    assert report.net == net
    assert report.receptive_field == ef.receptive_field(net)
    assert report.sizes["std"] == erf.std()
    assert report.sizes["level_size"] == pytest.approx(22.74, abs=0.01)  # closed forms of this network, and of its root
    assert report.sizes["amplitude_level_size"] == pytest.approx(31.95, abs=0.01)
    assert report.sizes["halo"] == ((25, 25), (25, 25))
    assert report.accounts["border"] == 0
    assert 0 <= report.accounts["lost"] <= 1e-12
    assert report.checks
    assert report.holds


def test_options_go_to_variance() -> None:
    report = analyze("conv3:p1, relu, conv3:p1, tanh", input_size=9, unit=(0, 8), dtype="float32", layer=2)
    assert len(report.net) == 3
    assert report.erf.unit == (0, 8)
    assert report.erf.input_size == (9, 9)
    assert report.erf.dtype == np.float32
    assert "on a map of 9 x 9, unit (0, 8)" in report.summary
    assert analyze("conv3x3x3", ndim=3).net.ndim == 3
    assert analyze(Stack([Conv(3)], ndim=1)).net.ndim == 1


@pytest.mark.parametrize(
    "text",
    ["conv3", "conv3 * 20", "conv3x7/2, (conv3:p1, batchnorm, relu, conv3:p1, relu) * 12, maxpool2", "conv3, " * 100 + "conv5"],
    ids=["one layer", "a run", "blocks", "many rows"],
)
def test_the_plain_text_fits_a_terminal(text: str) -> None:
    shown = repr(report_of(text))
    assert max(map(len, shown.splitlines())) <= 100
    assert all(line == line.rstrip() for line in shown.splitlines())
    assert shown.isascii()
    for heading in ("Sizes, in input pixels", "Variance ERF", "Layers:", "Checks"):
        assert heading in shown


def no_constants(name: str) -> NoReturn:
    raise AssertionError(f"{name} is not JSON")


def test_json_is_strict_and_complete() -> None:
    report = report_of("conv3 * 20")
    document = json.loads(report.to_json(), parse_constant=no_constants)
    assert document["network"] == {"text": "conv3 * 20", "ndim": 2, "layers": 20}
    assert document["receptive_field"]["size"] == [41, 41]
    assert document["sizes"]["std"] == list(report.sizes["std"])
    assert document["accounts"]["lost"] == report.erf.lost
    assert document["layers"][0]["text"] == "conv3 * 20"
    assert {check["name"] for check in document["checks"]} == {check.name for check in report.checks}
    assert 10 ** document["erf"]["log10_peak"] == pytest.approx(np.asarray(report.erf).max(), rel=1e-12)


def test_json_keeps_peaks_beyond_floats_and_nulls_what_is_not_finite() -> None:
    report = analyze("(conv3, scale0.001) * 1000")
    document = json.loads(report.to_json(), parse_constant=no_constants)
    # 1000 layers lose six decimal powers each; the peak of their shape is that of 1000 plain ones
    assert document["erf"]["log10_peak"] == pytest.approx(report_of("conv3 * 1000").erf.log10_peak() - 6000, abs=1e-6)
    assert "e-6004" in repr(report)
    assert report_module.plain({"a": (np.float64("nan"), math.inf, np.int64(3)), "b": np.arange(2)}) == {"a": [None, None, 3], "b": [0, 1]}


class Page(HTMLParser):
    """What the tests ask of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_html_is_one_accessible_self_contained_page(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "report.html"
    report_of("conv3 * 20").to_html(path)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert not page.open  # every element is closed, in order
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert len(page.all("caption")) == len(page.all("table")) == 4
    assert all("scope" in heading for heading in page.all("th"))
    (image,) = page.all("img")
    assert "standard" in str(image["alt"]) or "std" in str(image["alt"])
    assert str(image["src"]).startswith("data:image/png;base64,iVBOR")
    assert "http" not in text
    assert not page.all("script")
    assert not page.all("link")
    assert os.listdir(tmp_path) == ["report.html"]


def test_html_escapes_names_and_does_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> NoReturn:
        raise ImportError("no matplotlib")

    monkeypatch.setattr(Report, "plot", missing)
    analyze(Stack([Conv(3, name="<b>&"), Conv(5)])).to_html(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;&amp;" in text
    assert "<b>" not in text
    assert "pip install" in text
    assert not Page(text).open


def test_the_picture_is_written_to_the_path_given(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report_of("conv3 * 20").plot(tmp_path / "erf.png")
    assert (tmp_path / "erf.png").read_bytes().startswith(b"\x89PNG")


def test_a_file_that_fails_half_way_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")

    def full(*_: Any, **__: Any) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        report_module.write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.json"]


class Module:
    """Stands for torch.nn.Module: what is asked is where a class comes from."""


Module.__module__ = "torch.nn.modules.module"


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        (Module(), {}, NotImplementedError, "PyTorch modules come in a later version"),
        ("net.onnx", {}, NotImplementedError, "net.onnx: ONNX models come in a later version"),
        (Path("net.onnx"), {}, NotImplementedError, "net.onnx: ONNX models come in a later version"),
        (3, {}, TypeError, "model must be text such as 'conv3 [*] 20' or a Stack, got int"),
        ("conv3", {"example": 1}, TypeError, "example is an input for a PyTorch module"),
        (Stack([Conv(3)]), {"ndim": 2}, TypeError, "ndim belongs to a network written as text"),
        ("cnv3", {}, ValueError, "did you mean 'conv3'"),
        (Stack(), {}, ValueError, "the network is empty"),
        ("conv3", {"layer": 7}, ValueError, "layer 7 is outside the network of 1 layers"),
        ("conv3", {"window": "ful"}, ValueError, "window"),
    ],
    ids=["torch", "onnx text", "onnx path", "number", "example", "ndim", "misspelt", "empty", "layer", "window"],
)
def test_wrong_models_are_refused_by_name(model: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        analyze(model, **options)


@pytest.mark.parametrize(
    ("text", "options", "halo"),
    [
        ("conv3 * 40", {}, "25"),
        ("conv3x5 * 10", {}, "10 x 19"),  # the last column holds 5**-10 < 1e-6 / 4, the last two 11 times that
        ("conv3:p1 * 8", {"input_size": 32, "unit": 0}, "0+8"),
        ("conv3 * 20", {"window": 5}, "-"),
    ],
    ids=["alike", "axes differ", "sides differ", "unknown"],
)
def test_margins_are_shown_as_short_as_they_are(text: str, options: dict[str, Any], halo: str) -> None:
    (line,) = (line for line in repr(analyze(text, **options)).splitlines() if line.startswith("  halo"))
    assert line.split("margin")[0].split("halo")[1].strip() == halo


def test_overlapping_averages_are_explained() -> None:
    assert "(no std: average pools that overlap" in repr(report_of("avgpool3/1, conv3, avgpool3/1"))
    assert "no std" not in repr(report_of("conv3"))


def test_a_window_too_small_for_the_halo_leaves_it_out() -> None:
    report = analyze("conv3 * 20", window=5)
    assert report.sizes["halo"] is None
    assert "  halo" in repr(report)


# ---------------------------------------------------------------- tables and numbers


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"), ("word", "word"), (True, "yes"), (3, "3"), (12345, "12,345"), (10**400, "1.000e+400"), (-(10**12), "-1.000e+12"),
        (0.5, "0.5"), (25.81988, "25.82"), (1234.56, "1,234.6"), (2000.0, "2,000"), (1e-12, "1e-12"), (math.nan, "nan"),
        ((3, 3), "3"), ((3, 5), "3 x 5"), ([1.0, 1.0], "1"),
    ],
)  # fmt: skip
def test_numbers_for_people(value: Any, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("log10", "shown"),
    [(0.0, "1.00e+00"), (-3.2241, "5.97e-04"), (-6003.62, "2.40e-6004"), (400.5, "3.16e+400"), (-0.0001, "1.00e+00"), (-math.inf, "0")],
)
def test_powers_of_ten_beyond_floats(log10: float, shown: str) -> None:
    assert scientific(log10) == shown


def test_long_texts_lose_their_middle() -> None:
    assert shortened("conv3", 10) == "conv3"
    short = shortened("conv3, " * 30, 40)
    assert len(short) <= 40
    assert short.startswith("conv3, conv3")
    assert " ... " in short


def test_a_table_wraps_its_last_column_and_aligns_the_others() -> None:
    table = Table("Caption", ("name", "number", ""), [("a", "1", "word " * 12), ("long name", "1000", "")], left=(0, 2))
    assert table.as_text(width=50).splitlines() == [
        "Caption",
        "  name       number",
        "  a               1  word word word word word word",
        "                     word word word word word word",
        "  long name    1000",
    ]


def test_rows_are_values() -> None:
    row = Row("conv3", 0, 1, (1,), (3,), (0,), None)
    assert row == Row("conv3", 0, 1, (1,), (3,), (0,), None)


def test_a_unit_that_sees_padding_only_is_reported_in_words() -> None:
    text = repr(ef.analyze(ef.parse("conv4/2, conv1:p2+1", ndim=1), input_size=22, unit=1))
    assert "the image is zero everywhere: no pixel of the map changes this unit" in text
    assert "nan" not in text
