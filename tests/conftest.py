"""What the tests run on, in the header; and a fixture for what only a fresh interpreter can show."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import erffast as ef
from emulated import emulation, stand_in  # noqa: F401  (fixtures)

# Whose numbers could differ between instruction sets; continuous integration runs these at every one the machine has.
ACCURACY = {
    *("test_native", "test_gradient", "test_variance", "test_pooling", "test_separability", "test_reference", "test_condition"),
    *("test_spectral", "test_spectral_identities", "test_deep_signed", "test_deep_oracles", "test_extended", "test_tilted"),
    *("test_simulation", "test_simulation_theory", "test_simulation_results", "test_random"),
    *("test_band", "test_band_bounds", "test_nonlinear_theorem", "test_measures", "test_result", "test_both_dtypes"),
}

RunPython: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]


def pytest_report_header() -> list[str]:
    build = ef.build_info()
    return [
        f"erffast {build['version']}: instruction set {build['instruction_set']}, {build['compiler']}, {build['build_type']}",
        f"torch: {_torch()}",
        f"GPU: {_gpu()}",
        f"test level: {os.environ.get('ERFFAST_TEST_LEVEL', 'fast')} (ERFFAST_TEST_LEVEL=full runs more cases)",
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem in ACCURACY:
            item.add_marker("accuracy")


def _gpu() -> str:
    found = ef.available_devices()["cuda"]
    return "its tests run" if found == "ready" else f"named skip, {found}"


def _torch() -> str:
    if importlib.util.find_spec("torch") is None:
        return "not installed, its tests are named skips (pip install torch)"
    return f"{importlib.metadata.version('torch')}, automatic differentiation is the oracle"


@pytest.fixture
def run_python(tmp_path: Path) -> RunPython:
    """Run a program in a fresh interpreter, outside the tree and with no ERFFAST_ variable but those given.

    Anything but a clean exit fails the test with what the program wrote; `fails=True` hands it back for a look.
    """

    def run(code: str, *arguments: str, fails: bool = False, timeout: float = 100, **environment: str) -> subprocess.CompletedProcess[str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith("ERFFAST_")} | environment
        command = [sys.executable, "-W", "error", "-c", code, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=timeout, check=False)
        assert fails or done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A quick run of the experiments whose parts all tests share: what one has drawn, no other draws again."""
    from erffast.experiments import Run

    return Run(tmp_path_factory.mktemp("quick") / "parts", quick=True)


@pytest.fixture
def small_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ceilings from arrays that are quickly filled: for tests that look at no time."""
    from erffast.benchmark import ceilings

    monkeypatch.setattr(ceilings, "MOST_ARRAY", 2**20)
    monkeypatch.setattr(ceilings, "FFT_SIDE", 64)
