"""The public surface against the agreed contract, `api_contract.pyi`: names, arguments, kinds and defaults. Adding is free."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import erffast as ef

CONTRACT = Path(__file__).with_name("api_contract.pyi")
AGREED = Path(__file__).parents[2] / "shared" / "api.pyi"  # where the contract is kept beside the tree

LATER_FUNCTIONS = ("measure", "from_torch", "from_onnx")
LATER_LAYERS = ("ConvTranspose", "GlobalPool", "Upsample", "Branches")

# Layers that the contract describes in a comment.
LAYERS = {
    "MaxPool": "kernel, *, stride=None, padding=0, dilation=1, ceil_mode=False, name=None",
    "AvgPool": "kernel, *, stride=None, padding=0, ceil_mode=False, count_include_pad=True, name=None",
    "Activation": "name",
    "Dropout": "rate, *, name=None",
    "Norm": "kind='batch', *, name=None",
    "Scale": "value, *, name=None",
    "Residual": "body, shortcut=None, *, name=None",
}


def _tree() -> ast.Module:
    # `type X = ...` is a syntax error before Python 3.12
    return ast.parse(re.sub(r"^type (\w+) =", r"\1 =", CONTRACT.read_text(), flags=re.MULTILINE))


TREE = _tree()
CLASSES = {node.name: node for node in TREE.body if isinstance(node, ast.ClassDef)}
FUNCTIONS = {node.name: node for node in TREE.body if isinstance(node, ast.FunctionDef)}


def signature_of(arguments: str) -> dict[str, inspect.Parameter]:
    """The parameters that an argument list spells."""
    scope: dict[str, Any] = {}
    exec(f"def made({arguments}): ...", scope)
    return dict(inspect.signature(scope["made"]).parameters)


def agreed_parameters(function: ast.FunctionDef) -> dict[str, inspect.Parameter]:
    """The parameters of a contract's function, without self, cls and **options."""
    arguments = function.args
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    found = signature_of(ast.unparse(arguments))
    return {n: p for n, p in found.items() if n not in ("self", "cls") and p.kind is not inspect.Parameter.VAR_KEYWORD}


def disagreements(agreed: dict[str, inspect.Parameter], function: Any) -> list[str]:
    """What of the contract a function does not keep; more arguments are fine where they are keyword-only."""
    present = {n: p for n, p in inspect.signature(function).parameters.items() if n not in ("self", "cls")}
    wrong = []
    for name, wanted in agreed.items():
        if name not in present:
            wrong.append(f"{name} is missing")
        elif present[name].kind is not wanted.kind or present[name].default != wanted.default:
            wrong.append(f"{name} should be {wanted} ({wanted.kind.description}), is {present[name]} ({present[name].kind.description})")
    positional = [n for n, p in present.items() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    if positional != [n for n, p in agreed.items() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]:
        wrong.append(f"positional arguments are {positional}")
    return wrong


# ------------------------------------------------------------------------------------------------ the contract itself


@pytest.mark.skipif(not AGREED.exists(), reason="the agreed contract is not kept beside this tree")
def test_contract_is_the_agreed_one() -> None:
    assert CONTRACT.read_bytes() == AGREED.read_bytes()


@pytest.mark.parametrize("name", LAYERS)
def test_contract_names_the_arguments_of_layer(name: str) -> None:
    comment = re.search(rf"^class {name}\(Layer\): \.\.\. +# (.*)$", CONTRACT.read_text(), flags=re.MULTILINE)
    assert comment
    own = [argument for argument in signature_of(LAYERS[name]) if argument != "name" or name == "Activation"]
    words = [re.split(r"\W", part)[0] for part in comment[1].split(", ")]
    assert words[: len(own)] == own


# ------------------------------------------------------------------------------------------------ names


def test_every_name_of_the_contract_is_public() -> None:
    names = {*CLASSES, *FUNCTIONS, "analytic", "reference"}
    assert names <= set(ef.__all__)
    assert not [name for name in names if not hasattr(ef, name)]


def test_all_names_exist_and_are_listed() -> None:
    assert list(ef.__all__) == sorted(set(ef.__all__))
    assert dir(ef) == list(ef.__all__)
    for name in ef.__all__:
        getattr(ef, name)


def test_star_import_gives_all_names() -> None:
    scope: dict[str, Any] = {}
    exec("from erffast import *", scope)
    assert set(scope) - {"__builtins__"} == set(ef.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'erffast' has no attribute 'varience'"):
        ef.varience  # noqa: B018


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) | {"ERF", "Stack", "Conv", "ReceptiveField", "Report"}))
def test_public_things_are_documented(name: str) -> None:
    assert inspect.getdoc(getattr(ef, name))


# ------------------------------------------------------------------------------------------------ arguments


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - set(LATER_FUNCTIONS)))
def test_function_takes_the_agreed_arguments(name: str) -> None:
    assert not disagreements(agreed_parameters(FUNCTIONS[name]), getattr(ef, name))


@pytest.mark.parametrize("name", LATER_FUNCTIONS)
def test_later_function_takes_the_agreed_positional_arguments(name: str) -> None:
    agreed = {n: p for n, p in agreed_parameters(FUNCTIONS[name]).items() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD}
    present = inspect.signature(getattr(ef, name)).parameters
    assert not disagreements(agreed, getattr(ef, name))
    assert any(p.kind is inspect.Parameter.VAR_KEYWORD for p in present.values())


def test_gradient_takes_every_option_of_variance() -> None:
    def options(function: Any) -> dict[str, inspect.Parameter]:
        return {n: p for n, p in inspect.signature(function).parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}

    assert options(ef.gradient) == options(ef.variance)


METHODS = [(c, f.name) for c in ("ERF", "Stack", "Conv") for f in CLASSES[c].body if isinstance(f, ast.FunctionDef)]


@pytest.mark.parametrize(("owner", "method"), METHODS, ids=[f"{c}.{m}" for c, m in METHODS])
def test_method_takes_the_agreed_arguments(owner: str, method: str) -> None:
    agreed = next(f for f in CLASSES[owner].body if isinstance(f, ast.FunctionDef) and f.name == method)
    assert not disagreements(agreed_parameters(agreed), getattr(getattr(ef, owner), method))


@pytest.mark.parametrize("name", LAYERS)
def test_layer_takes_the_agreed_arguments(name: str) -> None:
    assert not disagreements(signature_of(LAYERS[name]), getattr(ef, name))


@pytest.mark.parametrize("name", [n for n, c in CLASSES.items() if any(getattr(b, "id", "") == "Layer" for b in c.bases)])
def test_layers_are_layers(name: str) -> None:
    assert issubclass(getattr(ef, name), ef.Layer)


@pytest.mark.parametrize("method", ["table", "plot", "to_json", "to_html"])
def test_report_has_the_agreed_methods(method: str) -> None:
    assert callable(getattr(ef.Report, method))


# ------------------------------------------------------------------------------------------------ attributes


def agreed_attributes(owner: str) -> list[str]:
    return [node.target.id for node in CLASSES[owner].body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)]


@pytest.mark.parametrize("name", agreed_attributes("ERF"))
def test_result_has_the_agreed_attribute(name: str) -> None:
    assert hasattr(ef.variance(ef.parse("conv3 * 2")), name)


@pytest.mark.parametrize("name", agreed_attributes("ReceptiveField"))
def test_receptive_field_has_the_agreed_attribute(name: str) -> None:
    field = ef.receptive_field(ef.parse("conv3 * 2, conv5/2"))
    assert hasattr(field, name)
    assert [layer.name for layer in field.layers] == ["conv3", "conv3", "conv5/2"]


def test_errors_are_of_the_agreed_kinds() -> None:
    assert issubclass(ef.BackendUnavailable, RuntimeError)
    assert issubclass(ef.AccuracyError, ArithmeticError)


SOME_LAYERS = [ef.Conv(3), ef.MaxPool(2), ef.AvgPool(2), ef.Activation("relu"), ef.Dropout(0.5), ef.Norm("batch"), ef.Scale(2.0)]
SOME_LAYERS += [ef.Residual(ef.Conv(3)), ef.Residual([ef.Conv(3, stride=2)], ef.AvgPool(2))]


@pytest.mark.parametrize("layer", SOME_LAYERS, ids=str)
def test_layers_are_frozen_and_equal_by_value(layer: Any) -> None:
    fields = {name: getattr(layer, name) for name in type(layer).__dataclass_fields__ if name != "_"}
    again = type(layer)(**fields)
    assert again == layer
    assert hash(again) == hash(layer)
    first = next(iter(fields))
    with pytest.raises(AttributeError, match="cannot assign"):
        setattr(layer, first, fields[first])
    assert "erffast" not in repr(layer)
    assert repr(layer).startswith(type(layer).__name__)
