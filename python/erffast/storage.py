"""The file format of results: NumPy's npz without pickle, one JSON text beside the arrays.

Format 1. ``about``: JSON with the format number, the accounts and the receptive field (the network as layers, so that fields per
layer survive). ``image``, or ``profile_0`` ... per axis; ``exponent`` [draws] of what is stored; ``stderr`` and ``reach_0`` ...
where there are any. Floats in the JSON are written with as many digits as they need to come back equal.
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import layers
from ._files import replace_file
from ._validate import nested
from .geometry import ReceptiveField

if TYPE_CHECKING:
    from ._pixels import Pixels

FORMAT = 1
MARK = "erffast ERF"


def save(path: str | PathLike[str], state: dict[str, Any], pixels: Pixels) -> None:
    """Write the pixels and the other constructor arguments of an ERF."""
    arrays: dict[str, NDArray[Any]] = {"exponent": pixels.exponents + pixels.shifts}
    if pixels.profiles is None:
        arrays["image"] = pixels.image
    else:
        arrays |= {f"profile_{axis}": p for axis, p in enumerate(pixels.profiles)}
    if state["stderr"] is not None:
        arrays["stderr"] = state["stderr"]
    arrays |= {f"reach_{axis}": r for axis, r in enumerate(state["reach"] or ())}
    plain = {name: value for name, value in state.items() if name not in ("stderr", "reach", "receptive_field")}
    field = _field_to_json(state["receptive_field"])
    about = {"mark": MARK, "format": FORMAT, "dtype": pixels.dtype.name, "receptive_field": field, **plain}
    arrays["about"] = np.array(json.dumps(about))

    def write(part: Path) -> None:
        with part.open("xb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    replace_file(path, write)


def load(path: str | PathLike[str]) -> dict[str, Any]:
    """The constructor arguments of the ERF in a file."""
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError(f"{os.fspath(path)} is not a file written by ERF.save")
        file.seek(0)
        try:
            with np.load(file, allow_pickle=False) as archive:
                about = _about(archive, path)
                arrays = {name: _native(archive[name]) for name in archive.files if name != "about"}
            return _arguments(about, arrays)
        except (zipfile.BadZipFile, KeyError, TypeError, EOFError, json.JSONDecodeError) as exc:
            raise ValueError(f"{os.fspath(path)} is damaged: {exc}") from exc


def _about(archive: Any, path: str | PathLike[str]) -> dict[str, Any]:
    about = json.loads(str(archive["about"])) if "about" in archive.files else {}
    if not isinstance(about, dict) or about.get("mark") != MARK:
        raise ValueError(f"{os.fspath(path)} is not a file written by ERF.save")
    if about["format"] > FORMAT:
        raise ValueError(f"{os.fspath(path)} was written by a newer version (format {about['format']}, this version reads up to {FORMAT})")
    return about


def _arguments(about: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    names = set(about) - {"mark", "format", "dtype", "receptive_field"}
    out: dict[str, Any] = {name: about[name] for name in names}
    ndim = len(about["origin"])
    if "image" in arrays:
        out["image"] = arrays["image"]
    else:
        out |= {"profiles": [arrays[f"profile_{axis}"] for axis in range(ndim)], "dtype": about["dtype"]}
    if "reach_0" in arrays:
        out["reach"] = [arrays[f"reach_{axis}"] for axis in range(ndim)]
    out |= {"exponent": arrays["exponent"], "stderr": arrays.get("stderr"), "receptive_field": _field_from_json(about["receptive_field"])}
    return out


def _native(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


# ------------------------------------------------------------------------------------------------ receptive fields and layers


def _field_to_json(field: ReceptiveField) -> dict[str, Any]:
    out = {f.name: getattr(field, f.name) for f in fields(field) if f.name != "net"}
    return {**out, "net": None if field.net is None else layer_to_json(field.net)}


def _field_from_json(about: dict[str, Any]) -> ReceptiveField:
    values = {name: nested(value) for name, value in about.items() if name != "net"}
    return ReceptiveField(**values, net=None if about["net"] is None else _layer_from_json(about["net"]))


def layer_to_json(layer: layers.Layer) -> dict[str, Any]:
    """A layer as its type and fields; a stack run-length encoded, as it is kept."""
    if isinstance(layer, layers.Stack):
        return {"type": "Stack", "ndim": layer.ndim, "parts": [[layer_to_json(part), count] for part, count in layer.parts]}
    values = {f.name: getattr(layer, f.name) for f in fields(layer)}
    inner = {name: layer_to_json(value) for name, value in values.items() if isinstance(value, layers.Layer)}
    return {"type": type(layer).__name__, **values, **inner}


def _layer_from_json(about: dict[str, Any]) -> Any:
    values = {
        name: _layer_from_json(value) if isinstance(value, dict) else nested(value)
        for name, value in about.items()
        if name not in ("type", "parts")
    }
    kind = getattr(layers, about["type"], None)
    if not (isinstance(kind, type) and issubclass(kind, layers.Layer)):
        raise KeyError(f"unknown layer {about['type']!r}")
    if kind is layers.Stack:
        return layers.Stack._from_parts([(_layer_from_json(part), count) for part, count in about["parts"]], about["ndim"])
    return kind(**values)


# ------------------------------------------------------------------------------------------------ files
