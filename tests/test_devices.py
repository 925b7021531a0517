"""Why a GPU cannot be used, said with the remedy; which devices there are."""

from __future__ import annotations

import importlib.machinery
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

import erffast as ef
from erffast import _devices
from erffast.cli import main

REASONS: dict[str, tuple[dict[str, Any], str]] = {
    "no driver": (
        {"error": "cudaErrorInsufficientDriver", "driver": 0},
        "no NVIDIA driver was found; install one, on a machine with an NVIDIA GPU",
    ),
    "old driver": (
        {"error": "cudaErrorInsufficientDriver", "driver": 12020},
        "the NVIDIA driver supports CUDA 12.2, and this copy of erffast needs 13.0; update the driver",
    ),
    "no GPU": ({"error": "cudaErrorNoDevice", "driver": 13000}, "the NVIDIA driver finds no GPU; run where there is one"),
    "anything else": (
        {"error": "cudaErrorSystemNotReady", "message": "system not yet initialized", "driver": 13000},
        "the NVIDIA driver refuses: system not yet initialized (cudaErrorSystemNotReady); see what nvidia-smi says",
    ),
}
GPU = {"name": "emulated", "compute_capability": "9.0", "multiprocessors": 4, "memory": 2**31}


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Puts a module in the place of `_cuda`, that finds what it is told."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = {"error": "", "message": "", "driver": 13000, "runtime": 13000, "devices": [GPU]}

    def finds(**told: Any) -> None:
        module = types.ModuleType("erffast._cuda")
        module.__spec__ = importlib.machinery.ModuleSpec("erffast._cuda", None)
        module.devices = lambda: found | told  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "erffast._cuda", module)
        _devices._cuda.cache_clear()

    yield finds
    monkeypatch.undo()
    _devices._cuda.cache_clear()


@pytest.mark.parametrize("case", REASONS)
def test_the_reason_names_the_remedy(case: str, cuda: Any, capsys: pytest.CaptureFixture[str]) -> None:
    told, reason = REASONS[case]
    cuda(**told)
    assert ef.available_devices() == {"cpu": "ready", "cuda": reason}
    with pytest.raises(ef.BackendUnavailable) as raised:
        ef.variance(ef.parse("conv3"), device="cuda")
    assert str(raised.value) == f'device="cuda" cannot be used: {reason}; or use device="cpu"'
    with pytest.raises(ef.BackendUnavailable):
        ef.gradient(ef.parse("conv3"), [[[1.0] * 3] * 3], device="cuda")
    assert main(["analyze", "conv3", "--device", "cuda"]) == 2
    assert reason in capsys.readouterr().err
    assert _devices.gpus() == []


def test_hidden_devices_are_told(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    cuda(error="cudaErrorNoDevice")
    assert "(CUDA_VISIBLE_DEVICES='' hides those not named)" in ef.available_devices()["cuda"]


def test_a_copy_without_the_module_tells_how_to_build_it(monkeypatch: pytest.MonkeyPatch, cuda: Any) -> None:
    monkeypatch.setitem(sys.modules, "erffast._cuda", None)
    _devices._cuda.cache_clear()
    assert ef.available_devices()["cuda"] == (
        "this copy of erffast was built without CUDA; where nvcc is installed, build it from source: "
        "pip install . -Ccmake.define.ERFFAST_CUDA=ON"
    )


def test_a_gpu_that_is_ready_is_listed(cuda: Any, capsys: pytest.CaptureFixture[str]) -> None:
    cuda()
    assert ef.available_devices() == {"cpu": "ready", "cuda": "ready"}
    assert main(["info"]) == 0
    assert "emulated, compute capability 9.0, 2 GiB" in capsys.readouterr().out


def test_importing_loads_no_module_for_gpus(run_python: Any) -> None:
    code = "import sys, erffast as ef; ef.variance(ef.parse('conv3 * 3')), ef.build_info(); print('erffast._cuda' in sys.modules)"
    assert run_python(code).stdout == "False\n"
