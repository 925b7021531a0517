"""The text form: what every form means, that it round-trips, and how a mistake is shown."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erffast.frontends.text import EXCERPT, MAX_DEPTH, parse
from erffast.layers import ACTIVATIONS, NORMS, Activation, AvgPool, Conv, Dropout, Layer, MaxPool, Norm, Residual, Scale, Stack

FORMS: list[tuple[str, list[Layer]]] = [
    ("conv3", [Conv(3)]),
    ("conv3x5", [Conv((3, 5))]),
    ("conv3/2", [Conv(3, stride=2)]),
    ("conv3/1x2", [Conv(3, stride=(1, 2))]),
    ("conv3:d2", [Conv(3, dilation=2)]),
    ("conv3:d1x4", [Conv(3, dilation=(1, 4))]),
    ("conv3:p1", [Conv(3, padding=1)]),
    ("conv3:p1x2", [Conv(3, padding=(1, 2))]),
    ("conv4:p1+2", [Conv(4, padding=((1, 2), (1, 2)))]),
    ("conv4:p1+2x0+3", [Conv(4, padding=((1, 2), (0, 3)))]),
    ("conv4:p1+2x3", [Conv(4, padding=((1, 2), (3, 3)))]),
    ("conv3:same", [Conv(3, padding="same")]),
    ("conv3:valid", [Conv(3, padding="valid")]),
    ("conv3x5/2:d2:p3", [Conv((3, 5), stride=2, dilation=2, padding=3)]),
    ("conv3x5:p3:d2/2", [Conv((3, 5), stride=2, dilation=2, padding=3)]),
    ("maxpool2", [MaxPool(2)]),
    ("maxpool3/2:p1:ceil", [MaxPool(3, stride=2, padding=1, ceil_mode=True)]),
    ("maxpool3:d2", [MaxPool(3, dilation=2)]),
    ("maxpool3/1", [MaxPool(3, stride=1)]),
    ("avgpool2", [AvgPool(2)]),
    ("avgpool3/2:p1:ceil:nopad", [AvgPool(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False)]),
    ("norm", [Norm("batch")]),
    ("dropout0.5", [Dropout(0.5)]),
    ("dropout0", [Dropout(0)]),
    ("dropout.25", [Dropout(0.25)]),
    ("scale0.1", [Scale(0.1)]),
    ("scale-2", [Scale(-2)]),
    ("scale1e-6", [Scale(1e-6)]),
    ("conv3, relu", [Conv(3), Activation("relu")]),
    ("conv3 * 3", [Conv(3)] * 3),
    ("conv3 * 2 * 3", [Conv(3)] * 6),
    ("(conv3, relu) * 2, conv5", [Conv(3), Activation("relu"), Conv(3), Activation("relu"), Conv(5)]),
    ("((conv3, relu) * 2, conv5) * 2", [Conv(3), Activation("relu"), Conv(3), Activation("relu"), Conv(5)] * 2),
    ("(conv3)", [Conv(3)]),
    ("CONV3X5:P1, ReLU, Leaky_ReLU", [Conv((3, 5), padding=1), Activation("relu"), Activation("leaky_relu")]),
    ("conv3*2,relu", [Conv(3), Conv(3), Activation("relu")]),
    (" \n conv 3 / 2 : p 1 ,\n\t( relu )\t*\n2 ", [Conv(3, stride=2, padding=1), Activation("relu"), Activation("relu")]),
    ("conv3, (relu, conv3,),", [Conv(3), Activation("relu"), Conv(3)]),
    ("residual(conv3:p1, relu)", [Residual([Conv(3, padding=1), Activation("relu")])]),
    ("residual(conv3/2:p1 | conv1/2)", [Residual(Conv(3, stride=2, padding=1), Conv(1, stride=2))]),
    ("relu, residual(residual(conv1) * 2) * 2", [Activation("relu"), *[Residual([Residual(Conv(1)), Residual(Conv(1))])] * 2]),
]
FORMS += [(name, [Activation(name)]) for name in ACTIVATIONS]
FORMS += [(f"{kind}norm", [Norm(kind)]) for kind in NORMS]


@pytest.mark.parametrize(("text", "layers"), FORMS, ids=[" ".join(text.split()) for text, _ in FORMS])
def test_every_form_means_its_layers(text: str, layers: list[Layer]) -> None:
    net = parse(text)
    assert list(net) == layers
    assert net.ndim == 2
    assert parse(str(net)) == net


@pytest.mark.parametrize(
    ("ndim", "text", "layers"),
    [
        (1, "conv3:p1+2, relu", [Conv(3, padding=((1, 2),)), Activation("relu")]),
        (3, "conv3x5x7:p1+2", [Conv((3, 5, 7), padding=((1, 2),) * 3)]),
        (3, "maxpool2x2x1:ceil", [MaxPool((2, 2, 1), ceil_mode=True)]),
    ],
    ids=["one axis", "three axes", "three axes pool"],
)
def test_other_numbers_of_axes(ndim: Any, text: str, layers: list[Layer]) -> None:
    assert parse(text, ndim=ndim) == Stack(layers, ndim=ndim)


def test_repeats_stay_run_length_encoded() -> None:
    started = time.perf_counter()
    net = parse("(conv3, relu) * 100000, conv5 * 1000000000")
    assert len(net) == 1_000_200_000
    assert [count for _, count in net.parts] == [100_000, 1_000_000_000]
    assert time.perf_counter() - started < 0.1  # a loop over the layers would take minutes; parsing takes 0.1 ms


def test_a_network_written_out_is_read_in_linear_time() -> None:
    net = parse("conv3, relu, conv5:p1, maxpool2, " * 25_000)
    assert len(net) == 100_000
    assert len(net.parts) == 100_000


# ---------------------------------------------------------------- mistakes

MISTAKES = [
    ("conv3, cnv3 * 4", "unknown layer 'cnv3', did you mean 'conv3'?", "cnv3"),
    ("conv3, Reluu", "unknown layer 'Reluu', did you mean 'relu'?", "Reluu"),
    ("bn, conv3", "unknown layer 'bn', did you mean 'batchnorm'?", "bn"),
    ("swish", "unknown layer 'swish', did you mean 'silu'?", "swish"),
    ("maxpol3x2", "did you mean 'maxpool3x2'?", "maxpol3x2"),
    ("zzz", "unknown layer 'zzz'; known are conv, maxpool,", "zzz"),
    ("conv2d, relu", "unknown layer 'conv2d': the number after 'conv' is the kernel's side", "conv2d"),
    ("relu6", "'relu' takes no number", "relu6"),
    ("conv", "expected a kernel size after 'conv', such as conv3 or conv3x5, got the end", ""),
    ("conv, relu", "expected a kernel size after 'conv', such as conv3 or conv3x5, got ','", ","),
    ("dropout, relu", "expected a number after 'dropout', as in dropout0.5, got ','", ","),
    ("conv3x, relu", "expected a whole number, got ','", ","),
    ("conv3/, relu", "expected a whole number, got ','", ","),
    ("conv3:p1+, relu", "expected a whole number, got ','", ","),
    ("conv3:, relu", "expected an option of conv after ':' (:d2, :p1, :same, :valid), got ','", ","),
    ("conv3:pad1", "conv has no option ':pad1', did you mean ':p1'?", ":pad1"),
    ("conv3:samee", "did you mean ':same'?", ":samee"),
    ("conv3:s2", "conv has no option ':s2'; a stride is written /2", ":s2"),
    ("conv3:ceil", "conv has no option ':ceil'; it has :d2, :p1, :same, :valid", ":ceil"),
    ("avgpool3:d2", "avgpool has no option ':d2'; it has :p1, :ceil, :nopad", ":d2"),
    ("conv3:p1:p2", "the padding is given twice", ":p2"),
    ("conv3:p1:same", "the padding is given twice", ":same"),
    ("conv3/2/2", "the stride is given twice", "/2"),
    ("conv3 conv5", "expected ',' between two layers or the end, got 'conv5'", "conv5"),
    ("(conv3 conv5)", "expected ',' between two layers or ')', got 'conv5'", "conv5"),
    ("conv3 x 4", "repeats are written conv3 * 4", "x"),
    ("conv3,, relu", "expected a layer or '(', got ','", ","),
    (", relu", "expected a layer or '(', got ','", ","),
    ("4 * conv3", "the number of repeats comes after the layer, as in conv3 * 4", "4"),
    ("conv3.5", "expected ',' between two layers or the end, got '.5'", ".5"),
    ("()", "expected a layer or '(', got ')'", ")"),
    ("(conv3, relu", "'(' is never closed", "("),
    ("conv3)", "')' closes no '('", ")"),
    ("conv3 * 0", "a repeat must be at least 1, got 0", "0"),
    ("conv3 * 2.5", "expected a whole number of repeats, got '2.5'", "2.5"),
    ("conv3 * -2", "expected a whole number of repeats, got '-2'", "-2"),
    ("conv3 *", "expected a whole number of repeats, got the end of the text", ""),
    ("conv3 * 9999999999", "a number may be at most 1,000,000,000", "9999999999"),
    ("relu, conv3 * 100000 * 100001", "more than 1,000,000,000 layers", "100001"),
    ("relu, conv" + "9" * 50, "a number may be at most 1,000,000,000", "9" * 50),
    ("conv0, relu", "kernel must be at least 1, got 0", "conv0"),
    ("relu, conv3x0", "kernel must be at least 1 in every axis, got (3, 0)", "conv3x0"),
    ("conv3/0", "stride must be at least 1, got 0", "conv3/0"),
    ("conv3/2:same", 'padding="same" needs stride 1', "conv3/2:same"),
    ("maxpool2:p2", "padding must be at most half of the pooling kernel", "maxpool2:p2"),
    ("relu, dropout1.5", "rate must be at least 0 and below 1, got 1.5", "dropout1.5"),
    ("scale0", "value must not be 0", "scale0"),
    ("scale1e999", "value must be finite, got inf", "scale1e999"),
    ("conv3x3x3", "kernel has 3 entries (3, 3, 3), but the network has 2 axes", "conv3x3x3"),
    ("conv3:p1+1x2+2x3+3", "padding has 3 pairs", "conv3:p1+1x2+2x3+3"),
    ("residual", "expected '(' after 'residual', as in residual(conv3:p1, relu, conv3:p1), got the end", ""),
    ("residual3", "expected '(' after 'residual', as in residual(conv3:p1, relu, conv3:p1), got '3'", "3"),
    ("relu, residul(conv3)", "unknown layer 'residul', did you mean 'residual'?", "residul"),
    ("skip(conv3)", "unknown layer 'skip', did you mean 'residual'?", "skip"),
    ("residual()", "expected a layer or '(', got ')'", ")"),
    ("residual(conv3 |)", "expected a layer or '(', got ')'", ")"),
    ("residual(| conv1)", "expected a layer or '(', got '|'", "|"),
    ("relu, residual(conv3, relu | conv1", "'(' is never closed", "("),
    ("residual(conv3 conv1)", "expected ',' between two layers, '|' before the shortcut or ')', got 'conv1'", "conv1"),
    ("residual(conv3 | relu conv1)", "expected ',' between two layers or ')', got 'conv1'", "conv1"),
    ("residual(conv3 | conv1 | conv1)", "got '|'; '|' stands in residual(...) only, once, before the shortcut", "|"),
    ("(conv3 | conv1)", "expected ',' between two layers or ')', got '|'; '|' stands in residual(...) only", "|"),
    ("conv3 | conv1", "expected ',' between two layers or the end, got '|'; '|' stands in residual(...) only", "|"),
    ("residual(conv3, cnv3)", "unknown layer 'cnv3', did you mean 'conv3'?", "cnv3"),
    ("residual(relu, conv3x3x3)", "kernel has 3 entries (3, 3, 3), but the network has 2 axes", "conv3x3x3"),
    ("conv3, upsample2", "Upsample is not available in this version", "upsample2"),
    ("conv_transpose3", "ConvTranspose is not available in this version", "conv_transpose3"),
]


@pytest.mark.parametrize(("text", "message", "marked"), MISTAKES, ids=[text[:40] for text, _, _ in MISTAKES])
def test_a_mistake_is_shown_in_its_place(text: str, message: str, marked: str) -> None:
    with pytest.raises(ValueError, match="cannot read the network at position") as caught:
        parse(text)
    headline, shown, carets = str(caught.value).split("\n")
    position = int(headline.split("position ")[1].split(":")[0])
    assert message in headline
    assert shown == f"  {text}"
    assert carets.strip() == "^" * max(1, len(marked))
    assert text[position - 1 :].startswith(marked)
    assert carets.index("^") == position - 1 + 2  # the shown text is indented by two


def test_the_whole_message() -> None:
    with pytest.raises(ValueError, match="cannot read") as caught:
        parse("conv3, cnv3 * 4")
    assert str(caught.value) == (
        "cannot read the network at position 8: unknown layer 'cnv3', did you mean 'conv3'?\n"
        "  conv3, cnv3 * 4\n"
        "         ^^^^"
    )  # fmt: skip


@pytest.mark.parametrize("text", ["", "  ", "\n\t"], ids=["empty", "spaces", "line breaks"])
def test_an_empty_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match='the text is empty; a network is written like "conv3'):
        parse(text)


@pytest.mark.parametrize("before", [0, 1, 30, 60, 500], ids=lambda n: f"{n} characters before")
@pytest.mark.parametrize("after", [0, 30, 500], ids=lambda n: f"{n} after")
def test_a_long_text_is_shown_as_an_excerpt(before: int, after: int) -> None:
    text = "relu," * (before // 5) + " " * (before % 5) + "cnv3" + ",relu" * (after // 5)
    with pytest.raises(ValueError, match="did you mean 'conv3'") as caught:
        parse(text)
    headline, shown, carets = str(caught.value).split("\n")
    assert f"at position {before + 1}:" in headline
    assert len(shown) <= 2 + EXCERPT + 6
    assert shown[carets.index("^") : carets.rindex("^") + 1] == "cnv3"


def test_the_caret_stands_under_its_target_across_lines_and_wide_characters() -> None:
    with pytest.raises(ValueError, match="did you mean 'conv3'") as caught:
        parse("conv3,\n\tcnv3")
    _, shown, carets = str(caught.value).split("\n")
    assert shown[carets.index("^") : carets.rindex("^") + 1] == "cnv3"
    with pytest.raises(ValueError, match="expected a layer") as caught:
        parse("層層, relu")
    assert str(caught.value).endswith("\n  層層, relu\n  ^^^^")  # two columns each
    with pytest.raises(ValueError, match="got '，'"):
        parse("relu，relu")  # a comma of another script


def test_nesting_is_limited_politely() -> None:
    deep = MAX_DEPTH
    assert parse("(" * deep + "conv3" + ")" * deep) == parse("conv3")
    with pytest.raises(ValueError, match=f"nested more than {MAX_DEPTH} deep"):
        parse("(" * 100_000)
    nested = parse("(" * deep + "conv3" + ", relu) * 1" * deep)
    assert len(nested) == 1 + deep


@pytest.mark.parametrize("text", [None, 3, b"conv3", ["conv3"]], ids=["None", "number", "bytes", "list"])
def test_not_a_text(text: Any) -> None:
    with pytest.raises(TypeError, match="text must be a string such as"):
        parse(text)


def test_a_wrong_number_of_axes_is_named() -> None:
    with pytest.raises(ValueError, match="ndim must be 1, 2 or 3, got 4"):
        parse("conv3", ndim=4)  # type: ignore[arg-type]


# ---------------------------------------------------------------- round trips and garbage


def per_axis(values: st.SearchStrategy[int], ndim: int) -> st.SearchStrategy[Any]:
    """One integer, or one per axis; in one dimension the text form has no tuple of one entry."""
    return values if ndim == 1 else values | st.tuples(*[values] * ndim)


def layers(ndim: int) -> st.SearchStrategy[Layer]:
    small, pads = st.integers(1, 9), st.integers(0, 5)
    pairs = st.tuples(*[st.tuples(pads, pads)] * ndim)
    sides = per_axis(small, ndim)
    conv = st.builds(Conv, sides, stride=sides, dilation=sides, padding=per_axis(pads, ndim) | pairs | st.just("valid"))
    same = st.builds(Conv, sides, dilation=sides, padding=st.just("same"))
    at_least_2, strides, flags = per_axis(st.integers(2, 9), ndim), st.none() | sides, st.booleans()
    maxpool = st.builds(MaxPool, at_least_2, stride=strides, dilation=sides, padding=st.integers(0, 1), ceil_mode=flags)
    avgpool = st.builds(AvgPool, at_least_2, stride=strides, padding=st.integers(0, 1), ceil_mode=flags, count_include_pad=flags)
    rates = st.floats(0, 1, exclude_max=True)
    values = st.floats(allow_nan=False, allow_infinity=False).filter(bool)
    return st.one_of(
        conv, same, maxpool, avgpool, st.builds(Activation, st.sampled_from(ACTIVATIONS)), st.builds(Norm, st.sampled_from(NORMS)),
        st.builds(Dropout, rates), st.builds(Scale, values),
    )  # fmt: skip


@st.composite
def stacks(draw: st.DrawFn) -> Stack:
    """A random stack with nested repeats."""
    ndim = draw(st.sampled_from([1, 2, 3]))
    leaf = st.lists(layers(ndim), min_size=1, max_size=3).map(lambda items: Stack(items, ndim=ndim))  # type: ignore[arg-type]

    def grow(inner: st.SearchStrategy[Stack]) -> st.SearchStrategy[Stack]:
        inner = inner | st.builds(Residual, inner, st.none() | inner).map(lambda block: Stack([block], ndim=ndim))  # type: ignore[arg-type]
        times = st.lists(st.tuples(inner, st.integers(1, 4)), min_size=1, max_size=3)
        return times.map(lambda items: Stack([block * n for block, n in items], ndim=ndim))  # type: ignore[arg-type]

    return draw(st.recursive(leaf, grow, max_leaves=5))


@given(stacks())
@settings(deadline=None)
def test_random_stacks_round_trip(net: Stack) -> None:
    again = parse(str(net), ndim=net.ndim)  # type: ignore[arg-type]
    assert again == net
    assert str(again) == str(net)


PIECES = ["conv", "conv3", "3", "x", "x2", "/", ":", "p", "d", "+", "-", ",", "(", ")", "*", " ", "\n", "relu", "dropout", "0.5", "1e9"]
PIECES += ["residual(", "|", "same", "ceil", "maxpool", "norm", "é", "٣", "İ"]


@given(st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
@settings(deadline=None, max_examples=300)
def test_garbage_raises_nothing_but_value_errors(text: str) -> None:
    try:
        net = parse(text)
    except ValueError as exc:
        message = str(exc)
    else:
        assert parse(str(net)) == net
        return
    assert message.startswith("cannot read the network")


FORM = re.compile(r"`([^`]+)`")


def test_every_form_of_the_documentation_is_read() -> None:
    lines = (Path(__file__).parents[1] / "docs" / "text.md").read_text(encoding="utf-8").splitlines()
    cells = [line.split("|")[1] for line in lines if line.startswith("| `")]
    forms = [form for cell in cells for form in FORM.findall(cell)]
    assert len(forms) > 30
    for form in forms:
        assert len(parse(form)) >= 1, form


@pytest.mark.parametrize("times", [1, 100], ids=["short", "long"])
def test_a_text_read_again_is_the_same_network(times: int) -> None:
    text = ", ".join(["conv3:p1", "relu"] * times)
    assert parse(text) == parse(text) == Stack([Conv(3, padding=1), Activation("relu")] * times)
    assert [parse(text, ndim=n).ndim for n in (1, 2, 3)] == [1, 2, 3]
    assert parse(text, ndim=np.int64(3)) == parse(text, ndim=3)  # type: ignore[arg-type]
    assert type(parse(text, ndim=3).ndim) is int  # whoever asked before
