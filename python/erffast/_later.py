"""Public names that this version does not serve yet: they exist, and say so."""

from __future__ import annotations

from typing import Any, NoReturn


def measure(module: Any, inputs: Any, **options: Any) -> NoReturn:
    """The ERF of a real torch module: comes in a later version."""
    raise NotImplementedError("measure() is not available in this version; ERF.from_gradients() takes gradients of any framework")


def from_torch(module: Any, example: Any, **options: Any) -> NoReturn:
    """Layers of a torch module: comes in a later version."""
    raise NotImplementedError("from_torch() is not available in this version; describe the layers with Stack or parse()")


def from_onnx(path: Any, **options: Any) -> NoReturn:
    """Layers of an ONNX file: comes in a later version."""
    raise NotImplementedError("from_onnx() is not available in this version; describe the layers with Stack or parse()")
