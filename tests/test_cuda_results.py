"""Results of a GPU, on the emulation: where the image is, who may have it, copies of it, and the benchmark that times it."""

from __future__ import annotations

import pytest

from emulated import Emulation, unavailable

pytestmark = pytest.mark.skipif(bool(unavailable(module=True)), reason=f"no emulated GPU: {unavailable(module=True)}")

MADE = """
import copy, ctypes, pickle
import numpy as np, erffast as ef
weights = np.random.default_rng(0).random((2, 4, 3, 3))
DIRECT = lambda: ef.gradient(ef.parse("conv3 * 4"), weights, engine="direct", window="full", device="cuda")
SEPARABLE = lambda: ef.variance(ef.parse("conv3 * 3"), window="full", device="cuda")
"""


@pytest.mark.parametrize("variant", ["plain", "sanitized"])
def test_the_image_is_on_the_device_whoever_asks_first(variant: str, emulation: Emulation) -> None:
    code = """
for make in (DIRECT, SEPARABLE):
    first, second = make(), make()
    second.image
    for erf in (first, second):
        held = erf.device_image
        assert held.__dlpack_device__() == (2, 0), held
        assert held.shape == erf.image.shape and held.dtype == erf.dtype.name
        np.testing.assert_array_equal(held.to_host(), erf.image)
"""
    assert emulation.run(MADE + code, variant=variant) == ""


def test_copies_are_on_the_host(emulation: Emulation) -> None:
    code = """
for make in (DIRECT, SEPARABLE):
    erf = make()
    erf.device_image
    for other in (pickle.loads(pickle.dumps(erf)), copy.deepcopy(erf)):
        np.testing.assert_array_equal(other.image, erf.image)
        assert np.array_equal(other.exponent, erf.exponent) and other.device == "cuda"
    assert erf.device_image.__dlpack_device__() == (2, 0)
"""
    assert emulation.run(MADE + code) == ""


def test_the_description_of_the_memory_is_dlpack_s(emulation: Emulation) -> None:
    """The structures of dlpack.h, version 0.8, read back; and the interface that CuPy, Numba and torch read, version 3."""
    code = """
class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("kind", ctypes.c_int32), ("id", ctypes.c_int32), ("ndim", ctypes.c_int32),
                ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.POINTER(ctypes.c_int64)), ("offset", ctypes.c_uint64)]
pointer = ctypes.pythonapi.PyCapsule_GetPointer
pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
for make, rank in ((DIRECT, 3), (SEPARABLE, 2)):
    held = make().device_image
    capsule, described = held.__dlpack__(stream=1), held.__cuda_array_interface__
    tensor = Tensor.from_address(pointer(capsule, b"dltensor"))
    assert (tensor.kind, tensor.id, tensor.ndim, tensor.code, tensor.bits, tensor.lanes, tensor.offset) == (2, 0, rank, 2, 64, 1, 0)
    assert tuple(tensor.shape[:rank]) == held.shape == described["shape"]
    assert tuple(8 * s for s in tensor.strides[:rank]) == described["strides"] and tensor.strides[rank - 1] == 1
    assert described["data"] == (tensor.data, False) and described["typestr"] == "<f8" and described["version"] == 3
    del held
    assert tensor.data  # the capsule keeps the memory
    del capsule
"""
    assert emulation.run(MADE + code, variant="sanitized") == ""


def test_a_product_that_does_not_fit_the_device_is_refused(emulation: Emulation) -> None:
    code = """
erf = ef.variance(ef.parse("conv3 * 600"), window="full", device="cuda")
try:
    erf.device_image
except MemoryError as error:
    print(error)
"""
    assert emulation.run(MADE + code, ERFFAST_EMULATED_MEMORY=str(2**20)).startswith(
        "the image needs 11 MiB, and 1 MiB are available on the GPU; every size"
    )


def test_a_job_is_timed_on_the_device_and_its_answer_on_the_host(emulation: Emulation) -> None:
    code = """
from erffast.benchmark.positive import Direct
from erffast.benchmark.runner import time_on_device
case = Direct({"n": 4, "k": 3}, 2, "cuda")
found = case.run()
assert found.device == "cuda" and case.check(found).wrong == ""
assert 0 < time_on_device(case).low < 10
"""
    assert emulation.run(code) == ""
