"""The native engines and the resources they may use: devices, threads, memory."""

from __future__ import annotations

import functools
import math
import multiprocessing
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._validate import integer
from .errors import BackendUnavailable

# These have the same signatures in every backend. "extended": double-double arithmetic, with taps and answers in float64.
PROPAGATE: dict[str, Any] = {"float32": _core.propagate_f32, "float64": _core.propagate_f64, "extended": _core.propagate_x64}
SPECTRUM = _core.spectrum
QUANTILES = _core.quantiles
SAMPLE = _core.sample
PLACE: dict[str, Any] = {"float32": _core.place_f32, "float64": _core.place_f64}
COMBINE = _core.combine
OUTER: dict[str, Any] = {"float32": _core.outer_f32, "float64": _core.outer_f64}


def build_info() -> dict[str, Any]:
    """Facts about this build: version, compiler, build type and the instruction set in use."""
    return {**_core.build_info(), "python": platform.python_version(), "numpy": np.__version__, "cuda": False}


def available_devices() -> dict[str, str]:
    """Each device by name, with "ready" or the reason why it cannot be used."""
    return {"cpu": "ready", "cuda": "this version has no CUDA backend"}


def require_device(device: str) -> str:
    """The device to run on. "auto" is the CPU, where host arrays are."""
    if device == "cuda":
        raise BackendUnavailable(f'device="cuda" cannot be used: {available_devices()["cuda"]}; use device="cpu" or "auto"')
    return "cpu"


# ------------------------------------------------------------------------------------------------ threads


MOST_THREADS = 1024  # more would only be started to wait, and no result depends on the number


def thread_count(threads: int = 0) -> int:
    """How many threads to use for `threads`; at most 1024.

    0 means ``ERFFAST_NUM_THREADS`` where it is set, else the process's affinity capped by the container's CPU quota; a worker
    process of multiprocessing uses one, for its siblings use the other cores.
    """
    if integer(threads, "threads", least=0):
        return min(threads, MOST_THREADS)
    given = os.environ.get("ERFFAST_NUM_THREADS", "")
    if given:
        if not given.isdigit() or int(given) < 1:
            raise ValueError(f"ERFFAST_NUM_THREADS must be a positive integer, got {given!r}")
        return min(int(given), MOST_THREADS)
    if multiprocessing.parent_process() is not None:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cpu_quota()
    return max(1, cores if quota is None else min(cores, quota))


def _cgroup(name: str, legacy: str) -> list[str]:
    """The words of a control-group file, version 2 or 1; empty where there is none."""
    for path in (Path("/sys/fs/cgroup") / name, Path("/sys/fs/cgroup") / legacy):
        try:
            return path.read_text().split()
        except OSError:
            continue
    return []


@functools.cache
def _cpu_quota() -> int | None:
    words = _cgroup("cpu.max", "cpu/cpu.cfs_quota_us")
    if not words or not words[0].isdigit():
        return None
    period = int(words[1]) if len(words) > 1 else 100_000
    return max(1, math.ceil(int(words[0]) / period))


# ------------------------------------------------------------------------------------------------ memory


def memory_limit() -> int:
    """Bytes that may be allocated now: the least of available memory, container limit and ``ERFFAST_MEMORY_LIMIT``.

    ``ERFFAST_MEMORY_LIMIT`` takes bytes or a number with K, M, G or T (powers of 1024).
    """
    limits = [_available_memory()]
    words = _cgroup("memory.max", "memory/memory.limit_in_bytes")
    if words and words[0].isdigit():
        used = _cgroup("memory.current", "memory/memory.usage_in_bytes")
        limits.append(max(0, int(words[0]) - (int(used[0]) if used else 0)))
    given = os.environ.get("ERFFAST_MEMORY_LIMIT", "").strip()
    if given:
        limits.append(_parse_bytes(given))
    return min(limits)


def _parse_bytes(text: str) -> int:
    factor = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}.get(text[-1].upper(), 1)
    digits = text[:-1] if factor > 1 else text
    try:
        count = int(float(digits) * factor)
    except (ValueError, OverflowError):
        count = -1
    if count < 0:
        raise ValueError(f"ERFFAST_MEMORY_LIMIT must be bytes, or a number with K, M, G or T, got {text!r}")
    return count


def _available_memory() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def require_memory(needed: int, what: str, remedy: str) -> int:
    """Raise MemoryError, before anything is allocated, where `needed` bytes exceed the limit; return the limit."""
    limit = memory_limit()
    if needed > limit:
        raise MemoryError(f"{what} needs {readable_bytes(needed)}, and {readable_bytes(limit)} are available; {remedy}")
    return limit


def readable_bytes(count: int) -> str:
    """A byte count for people, with the exact number of bytes below 1 KiB."""
    value, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"


# ------------------------------------------------------------------------------------------------ sums of lines

COLUMNS = 16  # the native sum takes that many at a time


def combine(
    weights: NDArray[np.float64], lines: NDArray[np.float64], out: NDArray[np.float64], threads: int, *, lowest: float = -math.inf
) -> tuple[float, float]:
    """The matrix product of `weights` [rows, n] and `lines` [n, columns] into `out` [rows, columns].

    The same bits for any number of threads, and no thread waits for more afterwards. Values below `lowest` become `lowest`.

    Returns
    -------
    largest, smallest : float
        Of the product.
    """
    padded = np.pad(lines, ((0, 0), (0, -lines.shape[1] % COLUMNS)))
    largest, smallest = COMBINE(np.ascontiguousarray(weights), padded, lowest, out, threads)
    return largest, smallest


# ------------------------------------------------------------------------------------------------ images


def outer(profiles: tuple[NDArray[np.float64], ...], shift: int | NDArray[np.int64], dtype: str) -> NDArray[Any]:
    """The image of a separable result: the outer product of its profiles times 2**shift.

    Parameters
    ----------
    profiles : tuple of float64 arrays
        One per axis, each [length] or [draws, length].
    shift : int or int64 array [draws]
        Power of two to multiply by.
    dtype : {"float64", "float32"}

    Returns
    -------
    ndarray
        [*shape] or [draws, *shape]. Values below the smallest normal number become zero.
    """
    if profiles[0].ndim == 2:
        draws = len(profiles[0])
        shifts = np.broadcast_to(shift, draws)
        out = np.empty((draws, *(p.shape[1] for p in profiles)), dtype=dtype)
        for d in range(draws):
            _outer_into(tuple(p[d] for p in profiles), int(shifts[d]), out[d], dtype)
        return out
    out = np.empty(tuple(len(p) for p in profiles), dtype=dtype)
    _outer_into(profiles, int(shift), out, dtype)
    return out


def _outer_into(profiles: tuple[NDArray[np.float64], ...], shift: int, out: NDArray[Any], dtype: str) -> None:
    columns = np.ascontiguousarray(profiles[-1], dtype=np.float64)
    rows = np.ones(1)
    for profile in profiles[:-1]:
        rows = np.multiply.outer(rows, profile).ravel()
    OUTER[dtype](rows, columns, shift, out.reshape(len(rows), len(columns)), thread_count())
