"""What the tests of closed forms share."""

from __future__ import annotations

from typing import Any

from erffast.layers import Layer, Stack


def chain(*layers: Layer, ndim: Any = 1) -> Stack:
    return Stack(layers, ndim=ndim)
