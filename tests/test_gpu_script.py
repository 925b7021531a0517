"""``benchmarks/gpu.sh`` with programs that stand in for those of a machine with a GPU: which it runs, in which order, and what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.sh"
pytestmark = pytest.mark.skipif(shutil.which("bash") is None or shutil.which("timeout") is None, reason="no bash or no timeout here")

SMI = 'case "$*" in *compute_cap*) echo 9.0;; *) echo "NVIDIA H100, 580.1, 81559 MiB";; esac'
PYTHON = """echo "python $*" | cut -c1-200 >> "$CALLS"
[ -z "${ERFFAST_CUDA_ARCHITECTURES:-}" ] || echo "for $ERFFAST_CUDA_ARCHITECTURES" >> "$CALLS"
case "$*" in *"$FAILS"*) echo "it broke"; exit 3;; *--json*) echo "{}" > "${@: -1}";; esac
exit 0"""
SANITIZER = 'echo "sanitizer $*" >> "$CALLS"'


def run(folder: Path, *, smi: str | None = SMI, fails: str = "nothing") -> tuple[int, str, list[str]]:
    """Exit status, what was printed, and the calls made."""
    programs, calls = folder / "programs", folder / "calls"
    programs.mkdir()
    calls.write_text("")
    for name, text in {"nvidia-smi": smi, "python3": PYTHON, "compute-sanitizer": SANITIZER}.items():
        if text is not None:
            (programs / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
            (programs / name).chmod(0o755)
    env = {**os.environ, "PATH": f"{programs}:/usr/bin:/bin", "CALLS": str(calls), "FAILS": fails}
    env.pop("PYTHON", None)
    done = subprocess.run(["bash", str(SCRIPT), str(folder / "out")], capture_output=True, text=True, timeout=60, check=False, env=env)
    return done.returncode, done.stdout + done.stderr, calls.read_text().splitlines()


def test_every_stage_runs(tmp_path: Path) -> None:
    status, said, calls = run(tmp_path)
    assert status == 0, said
    for stage in ("build", "tests", "jobs", "memcheck", "racecheck"):
        assert f"{stage}: ok" in said
    assert "something FAILED" not in said
    assert calls[0].startswith("python -m pip install --no-build-isolation --no-deps --no-index --target ")
    assert calls[1] == "for 90"
    assert "python -m pytest -q -p no:cacheprovider tests/test_gpu.py" in calls
    assert any(call.startswith("sanitizer --tool racecheck") and call.endswith("tests/test_gpu.py -m smallest") for call in calls)
    assert (tmp_path / "out" / "gpu.json").exists()


@pytest.mark.parametrize(("fails", "stops"), [("pip install", True), ("pytest", False), ("available_devices", True)])
def test_a_stage_that_fails_is_told(tmp_path: Path, fails: str, stops: bool) -> None:
    status, said, calls = run(tmp_path, fails=fails)
    assert status == 1
    assert ("it broke" in said) or fails == "available_devices"
    assert any("bench" in call for call in calls) != stops
    assert not said.rstrip().endswith("ok")


def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    status, said, calls = run(tmp_path, smi="exit 9")
    assert (status, calls) == (1, [])
    assert "no GPU here" in said
