"""Weights given by users, one array per convolution: shapes, channels and draws checked against the layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _validate as check
from ._foreign import on_host
from .layers import Conv
from .places import Place

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Weights:
    """Checked weights: kernels [draws or 1, out, in // groups, *kernel], one per convolution.

    Attributes
    ----------
    draws : int or None
        None where the weights have no draws axis.
    stacked : float64 [n, draws or 1, 1, 1, *kernel], optional
        All of them, where they came as one array.
    each : list of arrays
        Otherwise.
    """

    draws: int | None
    stacked: Array | None = None
    each: Sequence[Array] = ()


def read_weights(weights: Any, places: Sequence[Place], n_all: int | None = None) -> Weights:
    """The weights given by a user, checked against the layers.

    `n_all`: convolutions of the whole network, where only its first layers are asked for; the others' weights are ignored.
    """
    ndim = len(places[0].kernel) if places else 0
    runs = [item for item in places if isinstance(item.layer, Conv)]
    arrays = _weight_arrays(weights, sum(item.count for item in runs) if n_all is None else n_all, ndim)
    if isinstance(arrays, np.ndarray):
        whole = _stacked(arrays, runs, ndim)
        if whole is not None:
            return whole
        # something is wrong with one of them: which, the loop tells
        arrays = list(np.moveaxis(arrays, arrays.ndim - ndim - 1, 0))
    each, draws = _one_by_one(arrays, [(item.layer, item.kernel) for item in runs for _ in range(item.count)], chained=True)  # type: ignore[misc]
    return Weights(draws, each=each)


def read_kernels(weights: Any, convs: Sequence[tuple[Conv, tuple[int, ...]]]) -> list[Array]:
    """The weights given by a user for convolutions with these kernels, in any network: [draws or 1, out, in // groups, *kernel] each.

    Whether one layer's channels are the next one's is left to who knows which is which.
    """
    ndim = len(convs[0][1]) if convs else 0
    arrays = _weight_arrays(weights, len(convs), ndim)
    if isinstance(arrays, np.ndarray):
        arrays = list(np.moveaxis(arrays, arrays.ndim - ndim - 1, 0))
    return _one_by_one(arrays, convs, chained=False)[0]


def _stacked(array: Array, runs: Sequence[Place], ndim: int) -> Weights | None:
    """One array [n, *kernel] or [draws, n, *kernel] of one-channel kernels; None where one does not fit or is all zero."""
    sides = array.shape[array.ndim - ndim :]
    draws = array.shape[0] if array.ndim == ndim + 2 else None
    taps = tuple(range(-ndim, 0))
    if any(item.kernel != sides or item.layer.groups != 1 or item.layer.channels not in (None, 1) for item in runs):  # type: ignore[attr-defined]
        return None
    by_kernel = array[:, None] if draws is None else np.swapaxes(array, 0, 1)
    used = by_kernel[: sum(item.count for item in runs)]
    # mostly the first tap of each tells already that it is not all zero
    first: Any = (..., *[0] * ndim)
    if not (used[first].all() or used.any(axis=taps).all()):
        return None
    return Weights(draws, stacked=used.reshape(*used.shape[:2], 1, 1, *sides))


def _one_by_one(arrays: Sequence[Array], convs: Sequence[tuple[Conv, tuple[int, ...]]], *, chained: bool) -> tuple[list[Array], int | None]:
    """`chained`: each takes the channels that the one before it gives."""
    result: list[Array] = []
    draws: int | None = None
    before: tuple[int, ...] | None = None  # the shape of the last one, without draws
    for index, ((layer, kernel), array) in enumerate(zip(convs, arrays, strict=False)):
        name = f"weights[{index}]"
        ndim = len(kernel)
        if array.ndim < ndim or array.shape[array.ndim - ndim :] != kernel:
            raise ValueError(f"{name} has shape {array.shape}, but convolution {index} ({layer.label}) has a kernel of shape {kernel}")
        extra = array.ndim - ndim
        if extra > 3:
            raise ValueError(f"{name} has shape {array.shape}; wanted [draws,] [out, in // groups,] *kernel with the kernel {kernel}")
        has_draws = extra in (1, 3)
        this = array.shape[0] if has_draws else None
        if this == 0:
            raise ValueError(f"{name} has no draws: shape {array.shape}")
        if index == 0:
            draws = this
        elif this != draws:
            raise ValueError(
                f"{name} has {this or 'no'} draws, but weights[0] has {draws or 'no'}: all or none have a draws axis, of one length"
            )
        full = array.reshape(this or 1, *((1, 1) if extra < 2 else array.shape[extra - 2 : extra]), *kernel)
        _check_channels(full, layer, index, before)
        before = full.shape[1:] if chained else None
        flat = full.reshape(len(full), -1).any(axis=1)
        if not flat.all():
            which = "" if draws is None else f" in draw {int(np.flatnonzero(~flat)[0])}"
            raise ValueError(f"{name} (layer {layer.label}) is all zero{which}: nothing reaches the input")
        result.append(full)
    return result, draws


def _check_channels(full: Array, layer: Conv, index: int, before: tuple[int, ...] | None) -> None:
    out, inputs = full.shape[1], full.shape[2] * layer.groups
    if not out or not inputs:
        raise ValueError(f"weights[{index}] has no channels: shape {full.shape[1:]}")
    if out % layer.groups:
        raise ValueError(
            f"weights[{index}] has {out} output channels, not a multiple of the {layer.groups} groups "
            f"of convolution {index} ({layer.label})"
        )
    if layer.channels is not None and out not in (layer.channels, 1 if full.shape[1:3] == (1, 1) else layer.channels):
        raise ValueError(f"weights[{index}] has {out} output channels, but convolution {index} ({layer.label}) has {layer.channels}")
    if before is not None and inputs != before[0]:
        raise ValueError(
            f"weights[{index}] takes {inputs} input channels (shape {full.shape[1:]}), "
            f"but weights[{index - 1}] gives {before[0]} (shape {before})"
        )


def _weight_arrays(weights: Any, n_convs: int, ndim: int) -> list[Array] | Array:
    """The weights as one array per convolution, draws axis first; or [n_convs, *kernel] or [draws, n_convs, *kernel] in one."""
    weights = on_host(weights, "weights")
    if isinstance(weights, np.ndarray):
        array = check.real_array(weights, "weights").astype(np.float64, copy=False)
        if array.ndim not in (ndim + 1, ndim + 2):
            raise ValueError(
                f"weights has shape {array.shape}; wanted [n_convs, *kernel] or [draws, n_convs, *kernel] "
                f"with {ndim} kernel axes, or a list"
            )
        axis = array.ndim - ndim - 1
        if array.shape[axis] != n_convs:
            raise ValueError(f"weights has {array.shape[axis]} kernels (shape {array.shape}), but the network has {n_convs} convolutions")
        if axis == 1 and array.shape[0] == 0:
            raise ValueError(f"weights has draws=0: shape {array.shape}")
        return array
    if not isinstance(weights, Sequence) or isinstance(weights, str):
        raise TypeError(f"weights must be an array or a list of arrays, one per convolution, got {type(weights).__name__}")
    if len(weights) != n_convs:
        raise ValueError(f"weights has {len(weights)} entries, but the network has {n_convs} convolutions")
    return [_one_array(w, f"weights[{i}]") for i, w in enumerate(weights)]


def _one_array(value: ArrayLike, name: str) -> Array:
    return check.real_array(on_host(value, name), name).astype(np.float64, copy=False)
