"""What the build says where it cannot make the CUDA backend: a project of its own asks `cmake/cuda.cmake`, with a compiler made for it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from emulated import ROOT

pytestmark = pytest.mark.skipif(
    shutil.which("cmake") is None or not (ROOT / "cmake").exists(), reason="cmake is not installed, or the sources are not beside the tests"
)

PROJECT = f"""
cmake_minimum_required(VERSION 3.21)
project(asks LANGUAGES NONE)
include({ROOT}/cmake/cuda.cmake)
if(OLD_CMAKE)
  set(CMAKE_VERSION 3.23.5)
endif()
erffast_find_cuda()
message(STATUS "found: ${{ERFFAST_CUDA_FOUND}}")
"""
OLD = "the nvcc of CUDA 11.8 does not know C++20: put that of CUDA 12 or newer on the PATH, or set CUDACXX to it"


def configured(folder: Path, release: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "CMakeLists.txt").write_text(PROJECT)
    compiler = folder / "nvcc"
    compiler.write_text(f'#!/bin/sh\necho "Cuda compilation tools, release {release}, V{release}.89"\n')
    compiler.chmod(0o755)
    command = ["cmake", "-S", str(folder), "-B", str(folder / "build"), f"-DCMAKE_CUDA_COMPILER={compiler}", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    done.stderr = " ".join(done.stderr.split())  # messages are broken into lines
    return done


def test_a_compiler_that_is_too_old_is_left_or_refused(tmp_path: Path) -> None:
    left, refused = (configured(tmp_path, "11.8", f"-DERFFAST_CUDA={wanted}") for wanted in ("AUTO", "ON"))
    assert left.returncode == 0, left.stderr
    assert f"erffast: no CUDA backend, {OLD}" in left.stdout
    assert "found: OFF" in left.stdout
    assert refused.returncode != 0
    assert f"ERFFAST_CUDA=ON, but {OLD}" in refused.stderr


def test_a_cmake_that_is_too_old_is_named(tmp_path: Path) -> None:
    done = configured(tmp_path, "13.0", "-DOLD_CMAKE=ON", "-DERFFAST_CUDA=ON")
    assert done.returncode != 0
    assert "ERFFAST_CUDA=ON, but CMake 3.23.5 does not know" in done.stderr


@pytest.mark.parametrize("release", ["12.0", "13.0"])
def test_newer_ones_are_taken(release: str, tmp_path: Path) -> None:
    assert "found: ON" in configured(tmp_path, release).stdout


def test_off_says_so(tmp_path: Path) -> None:
    assert "erffast: no CUDA backend, ERFFAST_CUDA=OFF" in configured(tmp_path, "13.0", "-DERFFAST_CUDA=OFF").stdout
