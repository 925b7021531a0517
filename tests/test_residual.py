"""Residual blocks: values, text, sizes of maps, and what still refuses them. Their fields: `test_residual_fields.py`."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import erffast as ef
from erffast import geometry, mean_field
from erffast.layers import Activation, Conv, Layer, Residual, Stack

PADDED, RELU = Conv(3, padding=1), Activation("relu")
BLOCK = Residual([PADDED, RELU, PADDED])

# ------------------------------------------------------------------------------------------------ values


def test_blocks_are_equal_by_value_however_they_are_given() -> None:
    forms: list[Any] = [[PADDED], (PADDED,), PADDED, Stack([PADDED]), Stack([PADDED], ndim=1), iter([PADDED])]
    made = [Residual(body, shortcut) for body, shortcut in zip(forms[:5], [None, [], (), Stack(), Stack(ndim=3)], strict=True)]
    made.append(Residual(forms[5], name="stem"))
    assert len(set(made)) == 1
    assert all(block == made[0] for block in made)
    beside = Residual(PADDED, Conv(1))
    for other in (Residual(PADDED, PADDED), Residual([PADDED, Conv(1)]), Residual(Conv(1), PADDED), Residual(PADDED)):
        assert other != beside
    assert Residual(PADDED, Conv(1)) == beside
    assert beside != Stack([PADDED, Conv(1)])


def test_repeats_inside_are_the_layers_written_out() -> None:
    unit = Stack([PADDED, RELU])
    one, other = Residual([unit * 3, PADDED]), Residual([PADDED, RELU, PADDED, RELU, PADDED, RELU, PADDED])
    assert one == other
    assert hash(one) == hash(other)
    assert Residual(Residual(one)) == Residual([Residual([other])])
    assert Stack([one, other]) == Stack([one]) * 2


def test_a_block_is_frozen_and_pickles() -> None:
    block = Residual([PADDED, BLOCK], Conv(1), name="layer1.0")
    again = pickle.loads(pickle.dumps(block))
    assert (again, again.name, again.label, hash(again)) == (block, "layer1.0", "layer1.0", hash(block))
    net = pickle.loads(pickle.dumps(Stack([block]) * 7))
    assert net == Stack([block] * 7)
    with pytest.raises(AttributeError, match="cannot assign to field 'shortcut'"):
        block.shortcut = None  # type: ignore[misc]
    assert repr(Residual(Conv(3), Conv(1), name="a")) == "Residual(Stack('conv3', ndim=2), shortcut=Stack('conv1', ndim=2), name='a')"


def test_a_stack_counts_a_block_as_one_layer() -> None:
    net = Stack([Conv(3), BLOCK]) * 4 + BLOCK * 2
    assert len(net) == 10
    assert list(net)[9] == BLOCK
    assert [f.name for f in ef.receptive_field(net.upto(3)).layers] == ["conv3", BLOCK.label] * 2
    named = Stack([Conv(3), Residual(BLOCK, name="neck"), Conv(5)])
    assert ef.receptive_field(named, layer="neck") == ef.receptive_field(named, layer=1)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_the_network_fixes_the_axes_inside(ndim: Any) -> None:
    block = Residual([BLOCK, Conv(5, padding=2)], Conv(1), name="neck")
    (inside,) = Stack([block], ndim=ndim)
    assert isinstance(inside, Residual)
    assert (inside, inside.name) == (block, "neck")
    assert [branch.ndim for branch in inside.branches] == [ndim] * 2
    assert ef.receptive_field(Stack([block], ndim=ndim)).size == (9,) * ndim
    assert hash(Stack([block], ndim=ndim)) == hash(ef.parse(str(block), ndim=ndim))


@pytest.mark.parametrize("wrong", [Conv((3, 5, 7)), Residual(Conv((3, 5, 7)))], ids=["a layer", "a block"])
@pytest.mark.parametrize("place", ["body", "shortcut"])
def test_layers_inside_must_fit_the_axes(wrong: Layer, place: str) -> None:
    block = Residual(wrong) if place == "body" else Residual(Conv(1), wrong)
    block.check_ndim(3)
    assert Stack([block], ndim=3).ndim == 3
    for ndim in (1, 2):
        message = rf"conv3x5x7: kernel has 3 entries \(3, 5, 7\), but the network has {ndim} axes"
        with pytest.raises(ValueError, match=message):
            block.check_ndim(ndim)
        with pytest.raises(ValueError, match=rf"^layers\[1\] \(residual.*{message}"):
            Stack([RELU, block], ndim=ndim)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (([],), ValueError, "body is empty: a block needs at least one layer"),
        ((Stack(), Conv(1)), ValueError, "body is empty"),
        (("conv3",), TypeError, r"body must be a Layer or an iterable of layers, got 'conv3'; use erffast.parse\('conv3'\)"),
        ((3,), TypeError, "body must be a Layer or an iterable of layers, got 3"),
        ((Conv(3), 1), TypeError, "shortcut must be a Layer or an iterable of layers, got 1"),
        (([Conv(3), "relu"],), TypeError, r"layers\[1\] must be a Layer, got 'relu'"),
        (([Conv((3, 3)), Conv((3, 3, 3))],), ValueError, r"^body: layers\[1\] \(conv3x3x3\): kernel has 3 entries"),
        ((Conv(3), [Conv(3, stride=2, padding="same")]), ValueError, r'^shortcut: layers\[0\] .* padding="same" needs stride 1'),
    ],
    ids=["no body", "an empty stack", "text", "a number", "a number beside", "a word among layers", "axes", "same"],
)
def test_what_is_no_block_is_refused(arguments: tuple[Any, ...], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        Residual(*arguments)


# ------------------------------------------------------------------------------------------------ text


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("residual(conv3:p1, relu, conv3:p1)", BLOCK),
        ("residual(conv3/2:p1, relu, conv3:p1 | conv1/2)", Residual([Conv(3, stride=2, padding=1), RELU, PADDED], Conv(1, stride=2))),
        ("residual((conv3:p1, relu) * 5 | conv1, batchnorm)", Residual(Stack([PADDED, RELU]) * 5, [Conv(1), ef.Norm()])),
        ("residual(residual(conv3:p1) * 2 | residual(conv1))", Residual(Residual(PADDED) * 2, Residual(Conv(1)))),
    ],
)
def test_the_text_form(text: str, block: Residual) -> None:
    assert str(block) == text
    assert list(ef.parse(text)) == [block]
    assert ef.parse(f"relu, {text} * 3") == Stack([RELU, block, block, block])


@pytest.mark.parametrize("text", ["Residual ( conv3 : p1 ,\n|\tconv1 , )", "RESIDUAL(conv3:p1|conv1)", "(residual((conv3:p1), | (conv1)))"])
def test_spaces_cases_and_commas_are_free(text: str) -> None:
    assert ef.parse(text) == Stack([Residual(PADDED, Conv(1))])


def test_deep_nests_are_read_written_and_compared() -> None:
    text = "conv3:p1"
    for _ in range(99):
        text = f"residual({text})"
    net = ef.parse(text)
    assert str(net) == text
    assert net == ef.parse(f"{text},")
    assert hash(net) == hash(ef.parse(f"{text},"))
    assert net != ef.parse(text.replace("p1", "p2"))
    assert ef.receptive_field(ef.parse(text, ndim=1)).size == (3,)
    assert ef.receptive_field(Stack([*net], ndim=1)).size == (3,)
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        ef.parse("residual(" * 1000)


# ------------------------------------------------------------------------------------------------ maps


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("residual(conv3:p1) * 1000000000", 1, 1),
        ("residual(conv3 | avgpool3/1) * 100", 210, 10),
        ("residual((conv2, relu) * 2 | conv3) * 104", 210, 2),
        ("residual(conv3:p2 | conv1:p1) * 1000000000", 7, 2_000_000_007),
        ("residual(conv3/2:p1 | conv1/2) * 40", 1000, 1),
        ("residual(maxpool2:ceil | conv1/2)", 7, 4),
    ],
)
def test_map_sizes_by_hand(text: str, size: int, expected: int) -> None:
    assert geometry.output_size(ef.parse(text, ndim=1), (size,)) == (expected,)


@pytest.mark.parametrize(
    ("text", "size", "message"),
    [
        ("residual(conv3)", 9, r"layer residual\(conv3\): of a map of \(9,\) its body makes one of \(7,\), but its shortcut one of \(9,\)"),
        ("relu, residual(maxpool2 | conv1/2) * 3", 12, r"of a map of \(3,\) its body makes one of \(1,\), but its shortcut one of \(2,\)"),
        ("residual(conv3 | conv3) * 5", 9, r"layer conv3: .* the output is empty"),
        ("residual(conv3 | conv3) * 1000000000", 9, r"after 1000000000 repeats the map of \(9,\) is used up: the output is empty"),
        ("residual(conv9, conv1:p4)", 5, r"layer conv9: its window of 9 pixels does not fit the map of 5"),
    ],
)
def test_maps_that_cannot_be_added_are_refused(text: str, size: int, message: str) -> None:
    net = ef.parse(text, ndim=1)
    with pytest.raises(ValueError, match=message):
        geometry.output_size(net, (size,))
    assert ef.receptive_field(net).size  # on the plane there are no sizes to differ


def test_messages_name_long_blocks_briefly() -> None:
    block = Residual([Conv(3, padding=1)] + [Activation("relu"), Conv(3, padding=2)] * 100)
    with pytest.raises(ValueError, match=r"^layer residual\(conv3:p1, .{40,70} \.\.\.: of a map of") as caught:
        geometry.output_size(Stack([block]), (9, 9))
    assert len(str(caught.value)) < 250


# ------------------------------------------------------------------------------------------------ what comes with graphs


@pytest.mark.parametrize(
    ("asked", "call"),
    [
        ("variance()", ef.variance),
        ("variance()", lambda net: ef.variance(net, input_size=3)),
        ("variance()", ef.analyze),
        ("the theory", ef.analytic.check),
        ("gradient()", lambda net: ef.gradient(net, [])),
        ("the theory", ef.analytic.cumulants),
        ("the theory", ef.analytic.profile),
        ("mean_field.gains()", mean_field.gains),
    ],
    ids=["variance", "variance on a map", "analyze", "check", "gradient", "cumulants", "profile", "gains"],
)
def test_what_comes_with_graphs_is_refused_by_name(asked: str, call: Callable[[Any], Any]) -> None:
    net = ef.parse("conv3 * 4, (relu, (conv3, residual(conv3:p1, relu) * 2) * 3) * 5, residual(conv5:p2)")
    with pytest.raises(NotImplementedError) as caught:
        call(net)
    assert str(caught.value).startswith(
        f"layer 6 (residual(conv3:p1, relu)): {asked} of skip connections comes with graphs, in a later version"
    )


def test_layers_before_a_block_are_a_chain() -> None:
    net = ef.parse("conv3, conv3, residual(conv3)")
    assert ef.variance(net, layer=1).receptive_field.size == (5, 5)
    with pytest.raises(NotImplementedError, match=r"^layer 2 \(residual\(conv3\)\): variance\(\)"):
        ef.variance(net, layer=2)


def test_the_layer_table_tells_fields_and_leaves_the_std_to_graphs(capsys: Any) -> None:
    from erffast.cli import main

    assert main(["field", "conv7/2:p3, residual(conv3:p1, relu, conv3:p1) * 2, residual(conv5/2:p2 | conv1/2), conv3"]) == 0
    said = capsys.readouterr().out
    rows = [line.split()[-3:] for line in said.splitlines() if line.split()[:1] in (["1"], ["3"], ["4"], ["5"])]
    assert rows == [["2", "7", "2"], ["2", "23", "-"], ["4", "31", "-"], ["4", "39", "-"]]
    assert said.endswith("\n  (no std from the first skip connection on: it comes with graphs, in a later version)\n")
    assert "average pools" not in said


def test_fields_of_blocks_go_through_files(tmp_path: Any) -> None:
    net = Stack([Conv(3), Residual([BLOCK, PADDED], Conv(1), name="neck")], ndim=1) * 2
    erf = ef.ERF.from_gradients(np.ones((1, 1, 17)), axes="NCW", receptive_field=ef.receptive_field(net))
    erf.save(tmp_path / "erf.npz")
    again = ef.ERF.load(tmp_path / "erf.npz").receptive_field
    assert again == erf.receptive_field
    assert again.net == net
    assert [f.name for f in again.layers] == ["conv3", "neck"] * 2
