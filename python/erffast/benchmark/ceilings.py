"""What the machine can do at best, measured beside the jobs."""

from __future__ import annotations

import importlib.util
import math
import os

import numpy as np

from .. import _backend, _core, _devices
from ..propagation import Device
from .results import Ceilings, Trace
from .timing import time_call

FFT_SIDE = 2016
GPU_ARRAY = 2**28  # bytes: beyond a GPU's caches
LEAST_ARRAY, MOST_ARRAY = 2**26, 2**28  # bytes of each of the two arrays that are copied


class Probe:
    """Measures ceilings with `threads` threads, or of the GPU; keeps two arrays larger than the last-level cache.

    A cache shared with other machines can report more than 256 MiB, of which one guest holds a part: arrays stop there.
    """

    def __init__(self, threads: int, device: Device = "cpu") -> None:
        self.threads = threads
        self._gpu = None if device != "cuda" else _devices.native(device)
        if self._gpu is not None:
            return
        size = min(max(2 * _last_level_cache(), LEAST_ARRAY), MOST_ARRAY)
        _backend.require_memory(2 * size, "the arrays of the memory ceilings", "close other programs")
        self._target, self._source = np.zeros(size // 8), np.ones(size // 8)

    def measure(self, seconds: float) -> Ceilings:
        """All ceilings, each in about `seconds`; of the GPU those that count there."""
        if self._gpu is not None:
            return Ceilings(
                float32=self._gpu.multiply_add_rate_f32(seconds),
                float64=self._gpu.multiply_add_rate_f64(seconds),
                copy=self._gpu.copy_rate(GPU_ARRAY, seconds),
                write=self._gpu.write_rate(GPU_ARRAY, seconds),
                fft=_inverse_fft_on_the_gpu(seconds),
            )
        return Ceilings(
            float32=_core.multiply_add_rate_f32(self.threads, seconds),
            float64=_core.multiply_add_rate_f64(self.threads, seconds),
            copy=_core.copy_rate(self._target, self._source, self.threads, seconds),
            write=_core.write_rate(self._target, self.threads, seconds),
            fft=_inverse_ffts(self.threads, seconds),
        )

    def trace(self, seconds: float = 0.04) -> Trace:
        """The three quickest to measure."""
        if self._gpu is not None:
            gpu = self._gpu
            return Trace(gpu.multiply_add_rate_f64(seconds), gpu.copy_rate(GPU_ARRAY, seconds), gpu.multiply_add_rate_f32(seconds))
        return Trace(
            _core.multiply_add_rate_f64(self.threads, seconds),
            _core.copy_rate(self._target, self._source, self.threads, 2 * seconds),
            _core.multiply_add_rate_f32(self.threads, seconds),
        )


def fft_seconds(ceilings: Ceilings, rows: int, columns: int) -> float:
    """What an inverse real FFT of another size would take at the ceiling: by N log N; 0 where none was measured."""
    pixels, measured = rows * columns, FFT_SIDE**2
    return min(ceilings.fft.values(), default=0.0) * pixels * math.log(max(2, pixels)) / (measured * math.log(measured))


def _inverse_ffts(threads: int, seconds: float) -> dict[str, float]:
    import scipy.fft

    rng = np.random.default_rng(0)
    spectrum = rng.standard_normal((FFT_SIDE, FFT_SIDE // 2 + 1, 2)).view(np.complex128)[..., 0]
    shape = (FFT_SIDE, FFT_SIDE)
    found = {"scipy": time_call(lambda: scipy.fft.irfft2(spectrum, s=shape, workers=threads), budget=seconds).low}
    if importlib.util.find_spec("ducc0") is not None:
        import ducc0

        out = np.empty(shape)

        def inverse() -> None:
            ducc0.fft.c2r(spectrum, axes=(0, 1), lastsize=FFT_SIDE, forward=False, nthreads=threads, out=out)

        found["ducc0"] = time_call(inverse, budget=seconds).low
    return found


def _inverse_fft_on_the_gpu(seconds: float) -> dict[str, float]:
    """Of cuFFT, as torch calls it, by the GPU's own clock; nothing where torch has no GPU."""
    from .cases import gpu_missing

    if importlib.util.find_spec("torch") is None or gpu_missing():
        return {}
    import torch

    spectrum = torch.randn((FFT_SIDE, FFT_SIDE // 2 + 1), dtype=torch.complex128, device="cuda")
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    runs: list[float] = []
    while len(runs) < 3 or sum(runs) < seconds:
        begin.record()
        torch.fft.irfft2(spectrum, s=(FFT_SIDE, FFT_SIDE))
        end.record()
        end.synchronize()
        runs.append(1e-3 * begin.elapsed_time(end))
    return {"cuFFT": min(runs)}


def _last_level_cache() -> int:
    try:
        return max(0, os.sysconf("SC_LEVEL3_CACHE_SIZE"))
    except (ValueError, OSError):  # unknown to this system
        return 0
