"""Chains of the engines for kernels without negative taps, and what a run of them may use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from erffast import _backend
from erffast.chain import Chain
from erffast.execution import Resources
from erffast.layers import Conv, Stack
from erffast.lowering import lower_gradient


def resources(threads: int = 1) -> Resources:
    return Resources(threads, _backend.memory_limit(), None, "use fewer layers")


def lowered(kernels: Iterable[Any], *, unit: tuple[int, int] | None = None, **conv: Any) -> Chain:
    """The chain of the gradient of convolutions with these kernels, from the input to the output."""
    weights = [np.asarray(k, dtype=np.float64) for k in kernels]
    return lower_gradient(Stack([Conv(w.shape[-2:], **conv) for w in weights], ndim=2), weights, None, unit)
