"""The Fourier transforms: by definition, and the same whichever library does them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from erffast import _fft
from erffast.errors import BackendUnavailable

LIBRARIES = [
    "scipy",
    pytest.param("ducc0", marks=pytest.mark.skipif(importlib.util.find_spec("ducc0") is None, reason="ducc0 is not installed")),
]
SHAPES = [(1, 2), (1, 30), (2, 2), (5, 6), (16, 20), (27, 28)]


@pytest.fixture(params=LIBRARIES)
def forced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ERFFAST_FFT", request.param)
    return str(request.param)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_by_definition(shape: tuple[int, int], forced: str) -> None:
    images = np.random.default_rng(0).standard_normal((3, *shape))
    waves = [np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) for n in shape]
    expected = np.einsum("uy,dyx,xv->duv", waves[0], images, waves[1][:, : shape[1] // 2 + 1])
    assert _fft.library() == forced
    spectra = _fft.rfft2(images, threads=1)
    np.testing.assert_allclose(spectra, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
    np.testing.assert_allclose(_fft.irfft2(spectra, shape, threads=2), images, rtol=0, atol=1e-15 * np.abs(images).max() * 4)


@pytest.mark.parametrize("shape", [(102, 120), (300, 320), (640, 640)], ids=str)
def test_neither_threads_nor_other_images_change_a_bit(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(1).standard_normal((3, shape[0], shape[1] // 2 + 1)) + 0j
    one = _fft.irfft2(values.copy(), shape, 1)
    assert all(np.array_equal(one, _fft.irfft2(values.copy(), shape, threads)) for threads in (2, 3))
    assert np.array_equal(one[2], _fft.irfft2(values[2].copy(), shape, 2))


@pytest.mark.parametrize("multiple", [1, 2, 4, 12, 28])
def test_good_sizes(multiple: int) -> None:
    for n in (1, 7, 100, 601, 2001):
        size = _fft.good_size(n, multiple)
        assert n <= size <= max(1.4 * n, n + 2 * multiple)
        assert size % multiple == 0
        rest = size // multiple
        for prime in (2, 3, 5):
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
        _fft.irfft2(np.ones((2, 2), dtype=complex), (2, 2), 1)


def test_only_this_module_transforms() -> None:
    """Importing the package loads no transform."""
    code = "import erffast, sys; print([m for m in ('scipy.fft', 'ducc0') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
