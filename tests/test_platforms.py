"""The engine built by each compiler and for each architecture at hand: the same numbers, bit for bit.

`tests/native/answers.cpp` runs every part of the engine on inputs made from integers and prints hexadecimal fractions. A compiler
that contracted where it must not, or did not where it must, would show here.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from instruction_sets import FUSED, SETS, X86

ROOT = Path(__file__).resolve().parents[1]
EMULATOR = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
CROSS = "aarch64-linux-gnu-g++"
BUILDS = {
    "host": [],
    "clang": ["-DCMAKE_CXX_COMPILER=clang++"],
    "arm64": [
        *("-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"),
        *(f"-DCMAKE_CXX_COMPILER={CROSS}", "-DCMAKE_EXE_LINKER_FLAGS=-static"),
    ],
}
# The C runtime divides complex numbers, with contraction on arm64 and without on x86-64: of the largest of a name
DIVIDED, DIVISION = "sample positions", 1e-14
# Without fused multiply-add: 24 layers of up to 20 signed taps, a product of 257 factors
UNFUSED = {"float32": 1e-4, "float64": 1e-11}

Numbers: TypeAlias = dict[str, list[float]]

pytestmark = [
    pytest.mark.skipif(not (ROOT / "CMakeLists.txt").exists(), reason="the sources are not beside the tests"),
    pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed"),
]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The program of one build; built once, also where several workers ask for it."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def build(name: str) -> Path:
        target = folder / f"platform-{name}"
        with (folder / f"platform-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (target / "done").exists():
                options = ["-DERFFAST_PYTHON=OFF", "-DERFFAST_WERROR=ON", "-DCMAKE_BUILD_TYPE=Release", *BUILDS[name]]
                command(["cmake", "-S", str(ROOT), "-B", str(target), *options])
                command(["cmake", "--build", str(target), "--parallel", "2"])
                (target / "done").touch()
        return target / "answers"

    return build


def command(words: list[str], **environment: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("ERFFAST_")} | environment
    done = subprocess.run(words, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def answers(program: Path, instruction_set: str, *runner: str) -> Numbers:
    """All numbers by name. Skips where the machine lacks the instruction set."""
    words = [*runner, str(program)]
    lines = command(words, ERFFAST_CPU_ISA=instruction_set).splitlines()
    assert lines[0] == f"instruction set {instruction_set}"
    found: Numbers = {}
    for line in lines[1:]:
        name, _, value = line.rpartition(" ")
        found.setdefault(name.partition("[")[0], []).append(float.fromhex(value))
    assert len(found) > 40
    assert all(any(values) for name, values in found.items() if not name.endswith(("exponent", "border")))
    return found


def supported(program: Path, name: str) -> bool:
    env = os.environ | {"ERFFAST_CPU_ISA": name}
    done = subprocess.run([str(program)], capture_output=True, text=True, env=env, check=False)
    return f"ERFFAST_CPU_ISA={name} is not supported by this machine" not in done.stderr


def gap(found: list[float], right: list[float]) -> float:
    """The largest difference, relative to the largest number."""
    assert len(found) == len(right)
    return max(abs(a - b) for a, b in zip(found, right, strict=True)) / (max(map(abs, right)) or 1.0)


def reference(program: Path) -> Numbers:
    """The host's answers with the plainest of its sets that fuse."""
    name = next((name for name in FUSED if supported(program, name)), None)
    if name is None:
        pytest.skip("this machine has no instruction set with fused multiply-add")
    return answers(program, name)


def same_bits(found: Numbers, right: Numbers, *, but: str = "") -> None:
    assert found.keys() == right.keys()
    for name, values in right.items():
        if but and name.startswith(but):
            assert gap(found[name], values) <= DIVISION, name
        else:
            assert found[name] == values, name


def test_each_instruction_set_of_this_machine(built: Callable[[str], Path]) -> None:
    program = built("host")
    right = reference(program)
    for name in SETS:
        if not supported(program, name):
            continue
        found = answers(program, name)
        if name in FUSED:
            same_bits(found, right)
            continue
        for key, values in right.items():
            # fused by the C library, whole numbers, or nowhere fused
            if "extended" in key or "sample" in key or key.endswith("exponent") or key in ("normals", "uniforms"):
                assert found[key] == values, key
            else:
                assert gap(found[key], values) <= UNFUSED["float32" if "float32" in key else "float64"], key


@pytest.mark.skipif(shutil.which("clang++") is None, reason="clang++ is not installed")
def test_the_other_compiler(built: Callable[[str], Path]) -> None:
    for name in SETS:
        if supported(built("host"), name):
            same_bits(answers(built("clang"), name), answers(built("host"), name))


@pytest.mark.skipif(not X86, reason="this machine is no x86-64, whose answers are compared with those of arm64")
@pytest.mark.skipif(shutil.which(CROSS) is None, reason=f"{CROSS} is not installed (g++-aarch64-linux-gnu)")
@pytest.mark.skipif(EMULATOR is None, reason="qemu-aarch64 is not installed (qemu-user-static)")
def test_arm64(built: Callable[[str], Path]) -> None:
    same_bits(answers(built("arm64"), "arm64", str(EMULATOR)), reference(built("host")), but=DIVIDED)
