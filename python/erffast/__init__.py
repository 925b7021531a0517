"""erffast: which input pixels a unit of a convolutional network really sees, and how much.

>>> import erffast as ef
>>> ef.variance(ef.parse("conv3 * 20")).receptive_field.size
(41, 41)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Public names and where they live. They are loaded when first used, so that `import erffast` stays light.
_HOME = {
    **dict.fromkeys(
        [
            "Activation",
            "AvgPool",
            "Branches",
            "Conv",
            "ConvTranspose",
            "Dropout",
            "GlobalPool",
            "Layer",
            "MaxPool",
            "Norm",
            "Residual",
            "Scale",
            "Stack",
            "Upsample",
        ],
        "layers",
    ),
    **dict.fromkeys(["ReceptiveField", "receptive_field"], "geometry"),
    **dict.fromkeys(["gradient", "variance"], "propagation"),
    **dict.fromkeys(["from_onnx", "from_torch", "measure"], "_later"),
    **dict.fromkeys(["Report", "analyze"], "report"),
    **dict.fromkeys(["AccuracyError", "BackendUnavailable"], "errors"),
    "available_devices": "_devices",
    "build_info": "_backend",
    "ERF": "result",
    "cite": "_about",
    "compare": "plotting",
    "parse": "frontends.text",
    "simulate": "simulation",
}
_SUBMODULES = ("analytic", "experiments", "fitting", "reference")

__all__ = sorted([*_HOME, *_SUBMODULES, "__version__"])

if TYPE_CHECKING:
    from . import analytic as analytic
    from . import experiments as experiments
    from . import fitting as fitting
    from . import reference as reference
    from ._about import __version__ as __version__
    from ._about import cite as cite
    from ._backend import build_info as build_info
    from ._devices import available_devices as available_devices
    from ._later import from_onnx as from_onnx
    from ._later import from_torch as from_torch
    from ._later import measure as measure
    from .errors import AccuracyError as AccuracyError
    from .errors import BackendUnavailable as BackendUnavailable
    from .frontends.text import parse as parse
    from .geometry import ReceptiveField as ReceptiveField
    from .geometry import receptive_field as receptive_field
    from .layers import Activation as Activation
    from .layers import AvgPool as AvgPool
    from .layers import Branches as Branches
    from .layers import Conv as Conv
    from .layers import ConvTranspose as ConvTranspose
    from .layers import Dropout as Dropout
    from .layers import GlobalPool as GlobalPool
    from .layers import Layer as Layer
    from .layers import MaxPool as MaxPool
    from .layers import Norm as Norm
    from .layers import Residual as Residual
    from .layers import Scale as Scale
    from .layers import Stack as Stack
    from .layers import Upsample as Upsample
    from .plotting import compare as compare
    from .propagation import gradient as gradient
    from .propagation import variance as variance
    from .report import Report as Report
    from .report import analyze as analyze
    from .result import ERF as ERF
    from .simulation import simulate as simulate


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = import_module("._about", __name__).__version__
    elif name in _HOME:
        value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    elif name in _SUBMODULES:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module 'erffast' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
