"""Results of a GPU, on the emulation: where the image is, who may have it, copies of it, and the benchmark that times it."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulated import Emulation, unavailable

pytestmark = pytest.mark.skipif(bool(unavailable(module=True)), reason=f"no emulated GPU: {unavailable(module=True)}")

MADE = """
import copy, ctypes, pickle
import numpy as np, erffast as ef
weights = np.random.default_rng(0).random((2, 4, 3, 3))
DIRECT = lambda: ef.gradient(ef.parse("conv3 * 4"), weights, engine="direct", window="full", device="cuda")
SEPARABLE = lambda: ef.variance(ef.parse("conv3 * 3"), window="full", device="cuda")
FLOAT32 = lambda: ef.variance(ef.parse("conv3 * 9"), engine="direct", dtype="float32", device="cuda")
signed = np.random.default_rng(1).standard_normal((2, 40, 3, 3))
SPECTRAL = lambda: ef.gradient(ef.parse("conv3 * 40"), signed, engine="spectral", window=15, device="cuda")
BAND = lambda: ef.variance(ef.parse("conv3 * 60"), engine="spectral", accuracy="peak", device="cuda")
"""


@pytest.mark.parametrize("variant", ["plain", "sanitized"])
def test_the_image_is_on_the_device_whoever_asks_first(variant: str, emulation: Emulation, stand_in: Path) -> None:
    code = """
for make in (DIRECT, SEPARABLE, SPECTRAL, BAND):
    first, second = make(), make()
    second.image
    for erf in (first, second):
        held = erf.device_image
        assert held.__dlpack_device__() == (2, 0), held
        assert held.shape == erf.image.shape and held.dtype == erf.dtype.name
        np.testing.assert_array_equal(held.to_host(), erf.image)
"""
    assert emulation.run(MADE + code, variant=variant, LD_LIBRARY_PATH=str(stand_in)) == ""


SIGNED = """
from erffast.spectral import image
net, draws = ef.parse("conv3 * 40"), np.random.default_rng(1).standard_normal((3, 40, 3, 3))
mapped = dict(window=(15, 21)), dict(window="full"), dict(dtype="float32"), dict(period="full", window=31)
made = [lambda o=o: ef.gradient(net, draws, engine="spectral", device="cuda", **o) for o in mapped]
made += [lambda: ef.gradient(net, draws[0], engine="spectral", device="cuda", unit=(3, -2))]
"""


def test_images_of_a_spectrum_that_stay_are_those_that_come(emulation: Emulation, stand_in: Path) -> None:
    """Draws, windows and dtypes; what comes to the host is cropped and scaled there."""
    code = """
kept = [make() for make in made]
image.on_device = lambda resources: False
for there, make in zip(kept, made):
    here = make()
    assert there.engine == here.engine == "spectral"
    assert there.device_image.__dlpack_device__() == (2, 0) and isinstance(here.device_image, np.ndarray)
    np.testing.assert_array_equal(there.device_image.to_host(), here.image)
    assert there.image.dtype == here.image.dtype == there.device_image.dtype
    for name in ("exponent", "lost", "error", "origin"):
        assert np.array_equal(getattr(there, name), getattr(here, name)), name
"""
    assert emulation.run(MADE + SIGNED + code, LD_LIBRARY_PATH=str(stand_in)) == ""


@pytest.mark.parametrize("sign", ["", ", scale -2"])
def test_images_of_a_band_stay_with_the_bits_of_the_cpu(sign: str, emulation: Emulation) -> None:
    code = f"""
rng = np.random.default_rng(2)
for draws, window in (((), "auto"), ((2,), 31), ((2,), (20, 33))):
    weights = rng.random((*draws, 40, 5, 5))
    here, there = (
        ef.gradient(ef.parse("conv5 * 40{sign}"), weights, engine="spectral", accuracy="peak", window=window, device=name)
        for name in ("cpu", "cuda")
    )
    held = there.device_image
    assert held.__dlpack_device__() == (2, 0)
    np.testing.assert_array_equal(held.to_host(), here.image)
    assert np.array_equal(here.exponent, there.exponent) and (here.lost, here.error) == (there.lost, there.error)
"""
    assert emulation.run("import numpy as np, erffast as ef\n" + code) == ""


def test_other_images_of_a_spectrum_come_to_the_host(emulation: Emulation) -> None:
    """One axis, pixels certified one by one, and transforms that the host makes: no cuFFT here."""
    code = """
line = ef.gradient(ef.parse("conv3 * 300", ndim=1), np.random.default_rng(1).standard_normal((300, 3)), engine="spectral", device="cuda")
tilted = ef.variance(ef.parse("conv3 * 60"), engine="spectral", accuracy="pixel", device="cuda")
for erf in (line, tilted, SPECTRAL()):
    assert (erf.device, erf.engine.split(",")[0]) == ("cuda", "spectral")
    assert erf.device_image is erf.image
"""
    assert emulation.run(MADE + code) == ""


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


def test_images_of_a_spectrum_that_do_not_fit_the_device_are_refused(emulation: Emulation, stand_in: Path) -> None:
    code = """
weights = np.random.default_rng(0).standard_normal((90, 40, 3, 3))
for call in (
    lambda: ef.gradient(ef.parse("conv3 * 40"), weights, engine="spectral", device="cuda"),
    lambda: ef.variance(ef.parse("conv3 * 3000"), engine="spectral", accuracy="peak", device="cuda"),
):
    try:
        call()
    except MemoryError as error:
        print(error)
"""
    printed = emulation.run(MADE + code, ERFFAST_EMULATED_MEMORY=str(2**21), LD_LIBRARY_PATH=str(stand_in))
    draws, window = printed.splitlines()
    assert draws == "an image of 81 x 81 pixels for 90 draws needs 4.51 MiB, and 2 MiB are available on the GPU; use fewer draws at a time"
    assert window.startswith("an image of ")
    assert window.endswith(" are available on the GPU; ask for a smaller window, or use fewer layers")


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


def test_the_job_of_an_outer_product_leaves_it_on_the_device(emulation: Emulation) -> None:
    code = """
from erffast.benchmark.results import Ceilings
from erffast.benchmark.uniform import UniformImage
case = UniformImage({"n": 5}, 2, "cuda")
found = case.run()
assert found.device_image.__dlpack_device__() == (2, 0) and case.check(found).wrong == "" and not case.peers(found)
(part,) = case.parts(Ceilings(1.0, 1.0, 1.0, 1.0), found)
np.testing.assert_array_equal(part.call().to_host()[0], np.multiply.outer(case.profile, case.profile))
"""
    assert emulation.run(MADE + code) == ""


# Another library of the process, between any two calls of the module: it makes the other device the current one.
MEDDLED = """
from erffast import _cuda
exchange = ctypes.CDLL(_cuda.__file__).cuda_emulation_exchange_device
def meddled(method):
    def call(*args):
        assert exchange(1) >= 0
        found = method(*args)
        assert exchange(1) == 1, "what is current must be left as it was"
        return found
    return call
CALLS = (DIRECT, FLOAT32, SEPARABLE, SPECTRAL, BAND)
undisturbed = [np.asarray(call().image) for call in CALLS]
for kind in (_cuda.ImagesF32, _cuda.ImagesF64, _cuda.Spectra, _cuda.PeriodImages, _cuda.Synthesis, _cuda.DeviceImage):
    for name, method in list(vars(kind).items()):
        if callable(method) and not name.startswith("__"):
            setattr(kind, name, meddled(method))
for call, wanted in zip(CALLS, undisturbed):
    exchange(0)
    erf = call()
    np.testing.assert_array_equal(erf.image, wanted)
    exchange(0 if call is SEPARABLE else 1)  # whose image is made when it is asked for, where that is
    held = erf.device_image
    assert call is BAND or held.__dlpack_device__() == (2, 0)  # a band's image is begun when its spectrum is known: on either
    np.testing.assert_array_equal(held.to_host(), wanted)
    del erf, held  # the methods that were replaced keep these names alive
"""


# The same for calls that no network above reaches, one by one.
ASKED = """
from erffast import _cuda
exchange = ctypes.CDLL(_cuda.__file__).cuda_emulation_exchange_device
rng = np.random.default_rng(0)
taps, layers = rng.random((1, 1, 1, 1, 3, 3)), [(rng.random((4, 2, 3, 3)) / 9, (1, 1), 1)]
pixels, places = rng.standard_normal((2, 12, 16)), np.array([[[0, 1], [5, 3]]] * 2)
def answers(current):
    exchange(0)
    direct = _cuda.propagate_f64([(taps, (1, 1), (1, 1), (0, 0), None, (0, 0), 5, False, 1, None)], (0, 0), 1, 1, True, 0.0, 1, 2**28, None)
    spectra = _cuda.spectra(layers, (12, 16), 2, 2**28, None)
    images, _, _ = _cuda.images(pixels, 2**28)
    held = _cuda.new_image_f64(2, 12, 16)
    out, target = np.empty((1, 11, 11)), np.empty((1, 9, 9))
    exchange(current)
    images.clip(1)
    yield from (direct.mass(0, axis) for axis in (0, 1))
    yield from (direct.energies(), direct.least(0, 0, 3, 0, 3), direct.write(out, -5, -5, np.ones(1)), out)
    yield from (images.column_energies(0), images.sums(0, 0), images.sums(1, 1), images.largest(0, (0, 0), (3, 3)))
    yield images.waves(0, np.array([[1, 2], [3, 1]]), (3, 3), (0, 0))
    yield from (_cuda.place_f64([((images, 1), (10, 12), (1, 1), (7, 8), 0.5)], target, 1), target)
    yield from (_cuda.place_on_device([((images, 0), (3, 2), (1, 0), (7, 8), 0.5)], held, 1), held.to_host())
    yield from (spectra.values(), *spectra.quantiles(4), spectra.at(places), *spectra.blocks(1, 2, 2))
    assert exchange(0) == current
for here, there in zip(list(answers(0)), list(answers(1)), strict=True):
    np.testing.assert_array_equal(there, here)
"""


@pytest.mark.parametrize("variant", ["plain", "sanitized"])
def test_what_is_asked_of_results_is_asked_on_their_device(variant: str, emulation: Emulation) -> None:
    assert emulation.run(MADE + ASKED, variant=variant, ERFFAST_EMULATED_DEVICES="2") == ""


@pytest.mark.parametrize("variant", ["plain", "sanitized"])
def test_results_stay_on_their_device_whichever_is_current(variant: str, emulation: Emulation, stand_in: Path) -> None:
    places = {"LD_LIBRARY_PATH": str(stand_in), "ERFFAST_EMULATED_DEVICES": "2"}
    assert emulation.run(MADE + MEDDLED, variant=variant, **places) == ""  # type: ignore[arg-type]
