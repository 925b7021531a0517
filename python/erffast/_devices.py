"""The devices that arithmetic may run on, and the native module of each.

`_core`, the CPU's, is always there. `_cuda` is there where a CUDA compiler was found when the package was built; it is loaded when it is
first asked for, and what was found then, the module or the reason why it cannot serve, is kept. What both modules export has the same
signature, so that whoever runs a chain layer by layer only passes the module on; what the spectral engine asks of each is in
`spectral/host.py` and `spectral/device.py`.
"""

from __future__ import annotations

import functools
import importlib
import os
from typing import Any

from . import _backend, _core
from .errors import BackendUnavailable

NAMES = ("auto", "cpu", "cuda")


def native(device: str, *, weights_on_gpu: bool = False) -> Any:
    """The native module for `device`; `BackendUnavailable` with the reason and the remedy where it cannot run.

    "auto" is where the weights are, as far as that can be used; without weights the CPU, for results are wanted there.
    """
    if device == "cpu" or (device == "auto" and not weights_on_gpu):
        return _core
    module, reason = _cuda()
    if reason and device == "auto":
        return _core
    if reason:
        raise BackendUnavailable(f'device="cuda" cannot be used: {reason}; or use device="cpu"')
    return module


def name_of(module: Any) -> str:
    """The device that a native module runs on."""
    return "cpu" if module is _core else "cuda"


def available_devices() -> dict[str, str]:
    """Each device by name, with "ready" or the reason why it cannot be used."""
    _, reason = _cuda()
    return {"cpu": "ready", "cuda": reason or "ready"}


def gpus() -> list[dict[str, Any]]:
    """Name, compute capability, multiprocessors and memory (bytes) of each GPU that can be used."""
    module, reason = _cuda()
    return [] if reason else list(module.devices()["devices"])


def free_memory(module: Any) -> int | None:
    """Bytes free on a module's GPU; None for the CPU's module."""
    return None if module is _core else int(module.free_memory()[0])


def where(module: Any) -> str:
    """What is added to a message about memory."""
    return "" if module is _core else " on the GPU"


def require_memory(module: Any, needed: int, what: str, remedy: str) -> int:
    """MemoryError, before anything is allocated, where `needed` bytes do not fit a module's device; returns what would."""
    free = free_memory(module)
    if free is None:
        return _backend.require_memory(needed, what, remedy)
    if needed > free:
        raise _backend.shortage(needed, free, what, remedy, where(module))
    return free


@functools.cache
def _cuda() -> tuple[Any, str]:
    """The module, and why it cannot be used; an empty reason where it can."""
    try:
        module = importlib.import_module("erffast._cuda")
    except ModuleNotFoundError:
        return None, (
            "this copy of erffast was built without CUDA; where nvcc is installed, build it from source: "
            "pip install . -Ccmake.define.ERFFAST_CUDA=ON"
        )
    except ImportError as exc:
        return None, f"its module does not load ({exc}); build erffast again: pip install . -Ccmake.define.ERFFAST_CUDA=ON"
    return module, _obstacle(module.devices())


def _obstacle(found: dict[str, Any]) -> str:
    """Why no GPU can be used, from what the module says of devices; empty where one can."""
    error = found["error"]
    if not error:
        return ""
    if error == "cudaErrorInsufficientDriver" and found["driver"] > 0:
        driver, runtime = (f"{version // 1000}.{version % 1000 // 10}" for version in (found["driver"], found["runtime"]))
        return f"the NVIDIA driver supports CUDA {driver}, and this copy of erffast needs {runtime}; update the driver"
    if error in ("cudaErrorInsufficientDriver", "cudaErrorStubLibrary"):
        return "no NVIDIA driver was found; install one, on a machine with an NVIDIA GPU"
    if error == "cudaErrorNoDevice":
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        where = f" (CUDA_VISIBLE_DEVICES={hidden!r} hides those not named)" if hidden is not None else ""
        return f"the NVIDIA driver finds no GPU{where}; run where there is one"
    return f"the NVIDIA driver refuses: {found['message']} ({error}); see what nvidia-smi says"
