"""What the tests of errors share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import erffast as ef

TWO = ef.parse("conv3 * 2")


RAMP = np.arange(1.0, 10.0).reshape(1, 3, 3)  # no outer product


def changed(value: float) -> np.ndarray:
    """RAMP with one other tap."""
    array = RAMP.copy()
    array[0, 1, 2] = value
    return array


def mistake(name: str, call: Callable[[], Any], kind: type[Exception], message: str) -> Any:
    return pytest.param(call, kind, message, id=name)


def refuses(*cases: Any) -> Any:
    """A test that gets calls which must fail, with the whole message they must fail with."""
    return pytest.mark.parametrize(("call", "kind", "message"), cases)


def check(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}$") as caught:
        call()
    assert caught.type is kind


NOT_REAL = "must be float32 or float64 (integers are converted), got dtype"
