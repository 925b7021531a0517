"""The Fourier transforms: by definition, whichever library does them; the same bits for any number of threads."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from erffast import _fft
from erffast.errors import BackendUnavailable

LIBRARIES = [
    "scipy",
    pytest.param("ducc0", marks=pytest.mark.skipif(importlib.util.find_spec("ducc0") is None, reason="ducc0 is not installed")),
]
SHAPES = [(1, 2), (1, 30), (2, 2), (5, 6), (16, 20), (27, 28), (33, 62), (31, 26), (48, 420), (17, 2 * 13 * 7), (105, 128)]


@pytest.fixture(params=LIBRARIES)
def forced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ERFFAST_FFT", request.param)
    return str(request.param)


def half_spectra(images: NDArray[np.float64]) -> NDArray[np.complex128]:
    """By definition."""
    rows, columns = images.shape[1:]
    down, across = (np.exp(-2j * np.pi * (np.outer(np.arange(n), np.arange(n)) % n) / n) for n in (rows, columns))
    return np.asarray(down @ (images @ across[:, : columns // 2 + 1]))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_by_definition(shape: tuple[int, int], forced: str) -> None:
    images = np.random.default_rng(0).standard_normal((3, *shape))
    assert _fft.library() == forced
    found = _fft.inverse(half_spectra(images), shape, threads=2)
    assert np.abs(found.images - images).max() <= 4e-15 * np.abs(images).max()
    np.testing.assert_array_equal(found.peaks, np.abs(found.images).max(axis=(1, 2)))
    np.testing.assert_allclose(found.energies, (found.images**2).sum(axis=2), rtol=1e-13)


@pytest.mark.parametrize("shape", [(48, 60), (31, 62)], ids=str)
def test_what_a_real_image_has_no_imaginary_part_for_is_not_read(shape: tuple[int, int], forced: str) -> None:
    """The transform of the columns 0 and n / 2 is real along the rows; a rounding left there does not turn up anywhere."""
    images = np.random.default_rng(2).standard_normal((1, *shape))
    spectra = half_spectra(images)
    spectra[0, 0, [0, -1]] += 3j
    assert np.abs(_fft.inverse(spectra, shape, threads=1).images - images).max() <= 4e-15 * np.abs(images).max()


@pytest.mark.parametrize("shape", [(1, 400), (102, 120), (300, 320), (420, 420), (640, 640), (129, 2016)], ids=str)
def test_neither_threads_nor_other_images_change_a_bit(shape: tuple[int, int], forced: str) -> None:
    assert _fft.library() == forced
    rng = np.random.default_rng(1)
    values = rng.standard_normal((5, shape[0], shape[1] // 2 + 1)) + 1j * rng.standard_normal((5, shape[0], shape[1] // 2 + 1))
    one = _fft.inverse(values.copy(), shape, 1)
    for threads in (2, 3):
        other = _fft.inverse(values.copy(), shape, threads)
        assert np.array_equal(one.images, other.images)
        assert np.array_equal(one.peaks, other.peaks)
        assert np.array_equal(one.energies, other.energies)
    assert np.array_equal(one.images[2], _fft.inverse(values[2:3].copy(), shape, 2).images[0])


@pytest.mark.parametrize("multiple", [1, 2, 4, 12, 28])
def test_good_sizes(multiple: int) -> None:
    for n in (1, 7, 100, 601, 2001):
        size = _fft.good_size(n, multiple)
        assert n <= size <= max(1.3 * n, n + 2 * multiple)
        assert size % multiple == 0
        rest = size // multiple
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
        assert rest == 1


def test_an_unknown_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERFFAST_FFT", "fftw")
    with pytest.raises(ValueError, match="ERFFAST_FFT must be scipy or ducc0, got 'fftw'"):
        _fft.library()


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERFFAST_FFT", "ducc0")
    monkeypatch.setitem(sys.modules, "ducc0", None)
    with pytest.raises(BackendUnavailable, match=r"ducc0 is not installed: pip install \"erffast\[fft\]\""):
        _fft.inverse(np.ones((1, 2, 2), dtype=complex), (2, 2), 1)


def test_only_this_module_transforms() -> None:
    """Importing the package loads no transform."""
    code = "import erffast, sys; print([m for m in ('scipy.fft', 'ducc0') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
