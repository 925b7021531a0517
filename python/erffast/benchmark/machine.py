"""Facts about the machine a benchmark ran on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from .. import _devices, _fft

LIBRARIES = ("numpy", "scipy", "torch", "ducc0")


def machine_facts(device: str = "cpu") -> dict[str, Any]:
    """Processor, cores, memory, operating system, the libraries that take part (None: not installed), and the GPUs if one is used."""
    return {
        **({"gpus": _devices.gpus()} if device == "cuda" else {}),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "fft": _fft.library(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in LIBRARIES},
    }


def _processor() -> str:
    """The processor's own name; with family and model, for some virtual machines hide the rest of it."""
    words: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, colon, value = line.partition(":")
            if colon:
                words.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    if "model name" not in words:
        return platform.processor() or platform.machine()
    return f"{words['model name']}, family {words.get('cpu family', '?')} model {words.get('model', '?')}"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
