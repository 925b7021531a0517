"""The spectral engine on the emulated GPU: the CPU's answers, in several orders of threads and in every variant of the emulation."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from emulated import ORDERS, ROOT, Emulation, unavailable

pytestmark = pytest.mark.skipif(bool(unavailable(module=True)), reason=unavailable(module=True))

PARTS = (
    *("products_have_the_bits_of_the_cpu", "zeros", "what_is_looked_at_of_a_spectrum", "what_is_asked_of_images", "crops_are_the_cpus"),
    *("bands_have_the_bits_of_the_cpu", "pixels_have_the_bits_of_the_cpu"),
)
LARGER = ("long_lines", "a_kernel_wider_than_shared_memory", "bands_of_many_layers")
LAUNCHES = ("products_in_several_launches", "bands_in_several_launches")
WHOLE = ("signed_chains", "equal_layers", "separable_axes", "exact_images", "chains_without_negative_taps")
RUN = "import sys, cuda_spectral_cases; cuda_spectral_cases.run(sys.argv[1:])"


def cases(emulation: Emulation, *names: str, variant: str = "plain", order: str = "forward", **environment: str) -> None:
    """Run cases of `cuda_spectral_cases`."""
    paths = {"PYTHONPATH": str(ROOT / "tests")} | environment
    printed = emulation.run(RUN, *names, variant=variant, order=order, **paths)  # type: ignore[arg-type]
    assert printed.split() == list(names)


@pytest.mark.parametrize("order", ORDERS)
def test_parts_in_every_order(emulation: Emulation, order: str) -> None:
    cases(emulation, *PARTS, *LARGER, order=order)


@pytest.mark.parametrize("variant", ["sanitized", "checked"])
def test_parts_in_every_variant(emulation: Emulation, variant: str) -> None:
    cases(emulation, *PARTS, variant=variant, order="reverse")


@pytest.mark.parametrize("variant", ["sanitized", "checked"])
def test_coefficients_in_parts_in_every_variant(emulation: Emulation, variant: str) -> None:
    cases(emulation, *LARGER, variant=variant)


def test_work_of_several_launches(emulation: Emulation) -> None:
    cases(emulation, *LAUNCHES)


@pytest.mark.parametrize("order", ORDERS[:2])
def test_whole_calls(emulation: Emulation, order: str) -> None:
    cases(emulation, *WHOLE, order=order)


def test_whole_calls_with_late_streams(emulation: Emulation) -> None:
    """What is launched runs when it is waited for: a wait that lacks shows."""
    cases(emulation, *WHOLE, *PARTS, ERFFAST_EMULATED_STREAMS="deferred")


# ------------------------------------------------------------------------------------------------ cuFFT


@pytest.mark.parametrize("variant", ["plain", "sanitized"])
def test_the_transform_on_the_device_is_found_by_the_loader(emulation: Emulation, stand_in: Path, variant: str) -> None:
    cases(emulation, "signed_chains_with_the_transform_on_the_device", variant=variant, LD_LIBRARY_PATH=str(stand_in))


def test_the_transform_on_the_device_is_found_in_its_package(emulation: Emulation, stand_in: Path, tmp_path: Path) -> None:
    library = tmp_path / "nvidia" / "cu13" / "lib" / "libcufft.so.12"
    library.parent.mkdir(parents=True)
    library.symlink_to(stand_in / library.name)
    name = "signed_chains_with_the_transform_on_the_device"
    cases(emulation, name, PYTHONPATH=f"{ROOT / 'tests'}:{tmp_path}")


def test_one_plan_is_kept_and_used_for_the_next_images_of_its_shape(emulation: Emulation, stand_in: Path) -> None:
    code = """
import ctypes, numpy as np
from erffast import _cuda
assert _cuda.load_transforms([]) == ""
library = ctypes.CDLL("libcufft.so.12")
rng = np.random.default_rng(0)
def image(shape, draws=1):
    layers = [(rng.random((3, draws, min(shape[0], 3), 3)) / 9, (1, 1), 1)]
    _cuda.spectra(layers, shape, draws, 2**30, None).inverse()
    print(library.stand_in_plans(), library.stand_in_begun())
for shape, draws in (((12, 16), 1), ((12, 16), 1), ((16, 12), 1), ((16, 12), 2), ((16, 12), 2), ((1, 16), 1), ((1, 16), 1)):
    image(shape, draws)
"""
    printed = emulation.run(code, LD_LIBRARY_PATH=str(stand_in))
    assert printed.split("\n") == ["1 1", "1 1", "1 2", "1 3", "1 3", "1 4", "1 4", ""]


def test_a_library_without_the_functions_is_not_used(emulation: Emulation, tmp_path: Path) -> None:
    empty = tmp_path / "empty.cpp"
    empty.write_text("")
    subprocess.run(["g++", "-shared", "-fPIC", str(empty), "-o", str(tmp_path / "libcufft.so.12")], check=True)
    code = "from erffast import _cuda; print(_cuda.load_transforms([]))"
    assert emulation.run(code, LD_LIBRARY_PATH=str(tmp_path)).strip() == "libcufft.so.12 lacks functions of cuFFT"


# ------------------------------------------------------------------------------------------------ memory, progress, Ctrl-C

SIGNED = """
import numpy as np, erffast as ef
net, rng = ef.parse("conv3 * %d"), np.random.default_rng(0)
weights = rng.standard_normal((%d, 3, 3))
"""


@pytest.mark.parametrize("with_cufft", [False, True])
def test_memory_is_asked_for_before_it_is_used(emulation: Emulation, stand_in: Path, with_cufft: bool) -> None:
    code = (
        SIGNED % (300, 300)
        + """
try:
    ef.gradient(net, weights, device="cuda", period="full", window=9)
except MemoryError as exc:
    print(exc)
"""
    )
    places = {"LD_LIBRARY_PATH": str(stand_in)} if with_cufft else {}
    printed = emulation.run(code, ERFFAST_EMULATED_MEMORY=str(2**22), **places)
    assert printed.startswith("a period of 625 x 640 pixels needs ")
    assert printed.strip().endswith('are available on the GPU; use period="auto"')


def test_progress_and_ctrl_c_between_launches(emulation: Emulation) -> None:
    cases(emulation, "progress_between_launches", "progress_of_a_whole_call")


def test_without_a_gpu_nothing_falls_back(emulation: Emulation) -> None:
    code = (
        SIGNED % (60, 60)
        + """
try:
    ef.gradient(net, weights, engine="spectral", device="cuda")
except ef.BackendUnavailable as exc:
    print(exc)
"""
    )
    assert "the NVIDIA driver finds no GPU" in emulation.run(code, ERFFAST_EMULATED_DEVICES="0")
