"""The CUDA backend without a GPU: the extension module built on the emulation of tests/cuda_emulation, and programs run with it.

`docs/cuda-emulation.md` says what each variant finds. With ERFFAST_TEST_BUILDS=FOLDER what was built stays there, and the next run of
the tests compiles only what has changed.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "tests" / "cuda_emulation"
VARIANTS = ("plain", "sanitized", "checked")
CROSS = "aarch64-linux-gnu-g++"
ARM64 = [
    *("-DVARIANT=plain", "-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"),
    *(f"-DCMAKE_CXX_COMPILER={CROSS}", "-DCMAKE_EXE_LINKER_FLAGS=-static"),
]
ORDERS = ("forward", "reverse", "random:1")
FINDING = "cuda emulation: "

# Puts the module in the place of erffast._cuda, before anybody looks for it.
REPLACE = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("erffast._cuda", sys.argv.pop(1))
sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[spec.name])
"""


def unavailable(*, module: bool) -> str:
    """Why the emulation cannot be built here, or with `module` the extension module on it; empty where it can."""
    if not SOURCES.exists():
        return "the sources are not beside the tests"
    for tool in ("cmake", "g++"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    if module and importlib.util.find_spec("pybind11") is None:
        return "pybind11 is not installed"
    headers = Path(sysconfig.get_path("include"), "Python.h")
    return f"{headers} is not installed" if module and not headers.exists() else ""


class Emulation:
    """Builds in subfolders of `folder`, each variant and target once for the test run whose folder is `session`, also where several
    processes ask for it.
    """

    def __init__(self, folder: Path, session: Path) -> None:
        self._folder, self._session = folder, session

    def cases(self, variant: str) -> Path:
        """The program of tests/cuda_emulation/cases. The variant "arm64" is the plain one for another processor."""
        return self._built(variant, "cases") / "cases"

    def module(self, variant: str) -> Path:
        """The extension module."""
        (found,) = self._built(variant, "_cuda").glob("_cuda*.so")
        return found

    def attempt(
        self, code: str, *arguments: str, variant: str = "plain", order: str = "forward", timeout: float = 100, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """A Python program in which `erffast._cuda` is the emulated module, run with no ERFFAST_ variable but those given."""
        command = [sys.executable, "-W", "error", "-c", REPLACE + code, str(self.module(variant)), *arguments]
        return execute(command, variant=variant, order=order, timeout=timeout, preload=True, **environment)

    def run(self, code: str, *arguments: str, **options: object) -> str:
        """What the program of `attempt` prints. Anything but a clean exit, and any finding, fails the test."""
        done = self.attempt(code, *arguments, **options)  # type: ignore[arg-type]
        assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        assert FINDING not in done.stderr, done.stderr[-6000:]
        return done.stdout

    def _engine(self) -> Path:
        """The library of the engines on the CPU, for all variants."""
        return self._built("plain", "erffast_engine") / "liberffast_engine.a"

    def _built(self, variant: str, target: str) -> Path:
        folder = self._folder / f"emulated-{variant}"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = self._session / f"emulated-{variant}-{target}.done"
            if not done.exists():
                build(variant, folder, target, self._engine() if target == "_cuda" and variant != "plain" else None)
                done.touch()
        return folder


def build(variant: str, folder: Path, target: str, engine: Path | None) -> None:
    """Configure and build one target, with as many jobs as there are cores; `engine`: a library of the engines, built before."""
    cores = str(len(os.sched_getaffinity(0)))
    for words in (
        ["cmake", "-S", str(SOURCES), "-B", str(folder), *configuration(variant, engine)],
        ["cmake", "--build", str(folder), "--target", target, "--parallel", cores],
    ):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"


def configuration(variant: str, engine: Path | None) -> list[str]:
    """The options of cmake."""
    generator = ["-GNinja"] if shutil.which("ninja") is not None else []
    if variant == "arm64":
        return [*generator, *ARM64]
    options = [*generator, "-DCMAKE_CXX_COMPILER=g++", f"-DVARIANT={variant}", f"-DPython_EXECUTABLE={sys.executable}"]
    if engine is not None:
        options.append(f"-DENGINE={engine}")
    if importlib.util.find_spec("pybind11") is not None:
        import pybind11

        options.append(f"-Dpybind11_DIR={pybind11.get_cmake_dir()}")
    return options


def execute(
    command: list[str], *, variant: str, order: str = "forward", timeout: float = 100, preload: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program of a variant; `preload` for one that was not itself built with the sanitizers."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ERFFAST_")}
    env |= {"ERFFAST_EMULATED_ORDER": order}
    if variant == "sanitized":
        env["UBSAN_OPTIONS"] = "print_stacktrace=1"
        if preload:
            env |= {"LD_PRELOAD": sanitizers(), "ASAN_OPTIONS": "detect_leaks=0"}  # Python's own allocations at exit are not leaks
    return subprocess.run(command, capture_output=True, text=True, env=env | environment, timeout=timeout, check=False)


def sanitizers() -> str:
    """The libraries that a program must load before all others."""
    names = ("libasan.so", "libubsan.so")
    return " ".join(subprocess.check_output(["g++", f"-print-file-name={name}"], text=True).strip() for name in names)


@pytest.fixture(scope="session")
def emulation(tmp_path_factory: pytest.TempPathFactory) -> Emulation:
    """The builds of this test run."""
    base = tmp_path_factory.getbasetemp()
    session = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return Emulation(Path(os.environ.get("ERFFAST_TEST_BUILDS", session)).resolve(), session)


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a library that has cuFFT's names (tests/cuda_emulation/cufft_stand_in.cpp)."""
    folder = tmp_path_factory.mktemp("cufft")
    flags = ["-std=c++20", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(["g++", *flags, str(SOURCES / "cufft_stand_in.cpp"), "-o", str(folder / "libcufft.so.12")], check=True)
    return folder
