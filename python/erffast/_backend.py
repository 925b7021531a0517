"""The native functions and the resources they may use: threads, memory."""

from __future__ import annotations

import functools
import importlib.util
import math
import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._validate import integer

# These have the same signatures in every backend. "extended": double-double arithmetic, with taps and answers in float64.
PROPAGATE = {"float32": "propagate_f32", "float64": "propagate_f64", "extended": "propagate_x64"}
SPECTRUM = _core.spectrum
QUANTILES = _core.quantiles
SAMPLE = _core.sample
PLACE: dict[str, Any] = {"float32": _core.place_f32, "float64": _core.place_f64}
COMBINE = _core.combine
WEIGH = _core.weigh
SYNTHESIS = _core.synthesis
STEPS = _core.steps
CUMULANTS = _core.cumulants
EXPONENTS = _core.exponents
DROPPED = _core.dropped
OUTER: dict[str, Any] = {"float32": _core.outer_f32, "float64": _core.outer_f64}


def build_info() -> dict[str, Any]:
    """Facts about this build: version, compiler, build type and the instruction set in use."""
    import platform

    return {**_core.build_info(), "python": platform.python_version(), "numpy": np.__version__, "cuda": _has_cuda()}


def _has_cuda() -> bool:
    """Whether the module for GPUs was built; it is not loaded."""
    return importlib.util.find_spec("erffast._cuda") is not None


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
    if _is_worker():
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cpu_quota()
    return max(1, cores if quota is None else min(cores, quota))


def _is_worker() -> bool:
    """Whether multiprocessing started this process; it need not be imported to know that it did not."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def _cgroup(name: str, legacy: str) -> list[str]:
    """The words of a control-group file, version 2 or 1; empty where there is none."""
    for path in (name, legacy):
        try:
            with open(f"/sys/fs/cgroup/{path}") as file:
                return file.read().split()
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


# A request up to here is granted without a look at the system's files: that takes 60 us, and a small call of 100 us makes four requests.
# Python and NumPy alone hold more, and where so little is missing the next import would fail as well.
UNASKED = 2**24
# What is granted then: the margins, periods and scratch of the engines take a few times what their callers count.
GRANTED = 8 * UNASKED


def memory_limit(most: float = math.inf) -> int:
    """Bytes that may be allocated now: the least of available memory, container limit and ``ERFFAST_MEMORY_LIMIT``.

    ``ERFFAST_MEMORY_LIMIT`` takes bytes or a number with K, M, G or T (powers of 1024). For a request of at most `most` bytes,
    where that is little, `GRANTED` stands for the other two.
    """
    limits = [GRANTED] if most <= UNASKED else _system_limits()
    # a name that is not there is found out without an exception
    if "ERFFAST_MEMORY_LIMIT" in os.environ and (given := os.environ["ERFFAST_MEMORY_LIMIT"].strip()):
        limits.append(_parse_bytes(given))
    return min(limits)


def _system_limits() -> list[int]:
    """Available memory, and what the container has left."""
    limits = [_available_memory()]
    words = _cgroup("memory.max", "memory/memory.limit_in_bytes")
    if words and words[0].isdigit():
        used = _cgroup("memory.current", "memory/memory.usage_in_bytes")
        limits.append(max(0, int(words[0]) - (int(used[0]) if used else 0)))
    return limits


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
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def require_memory(needed: int, what: str, remedy: str) -> int:
    """Raise MemoryError, before anything is allocated, where `needed` bytes exceed the limit; return the limit."""
    limit = memory_limit(needed)
    if needed > limit:
        raise shortage(needed, limit, what, remedy)
    return limit


def shortage(needed: int, limit: int, what: str, remedy: str, where: str = "") -> MemoryError:
    """The error that says what does not fit, and what would."""
    return MemoryError(f"{what} needs {readable_bytes(needed)}, and {readable_bytes(limit)} are available{where}; {remedy}")


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


def combine(weights: NDArray[np.float64], lines: NDArray[np.float64], out: NDArray[np.float64], threads: int) -> None:
    """The matrix product of `weights` [rows, n] and `lines` [n, columns] into `out` [rows, columns].

    The same bits for any number of threads, and no thread waits for more afterwards.
    """
    missing = -lines.shape[1] % COLUMNS
    COMBINE(np.ascontiguousarray(weights), np.pad(lines, ((0, 0), (0, missing))) if missing else lines, out, threads)


# ------------------------------------------------------------------------------------------------ images


def outer(profiles: tuple[NDArray[np.float64], ...], shift: Any, dtype: str, *, power: Any = 0) -> NDArray[Any]:
    """The image of a separable result: the outer product of its profiles times 2**shift, rounded, and then times 2**power.

    Parameters
    ----------
    profiles : tuple of float64 arrays
        One per axis, each [length] or [draws, length].
    shift, power : int or int64 array [draws]
        Powers of two to multiply by, before and after rounding to `dtype`.
    dtype : {"float64", "float32"}

    Returns
    -------
    ndarray
        [*shape] or [draws, *shape], new. Values below the smallest normal number, at either scale, become zero.
    """
    lead = profiles[0].shape[:-1]
    out = np.empty(lead + tuple(p.shape[-1] for p in profiles), dtype=dtype)
    shifts, powers = np.broadcast_to(shift, lead), np.broadcast_to(power, lead)
    for draw in np.ndindex(lead):
        _outer_into(tuple(p[draw] for p in profiles), int(shifts[draw]), int(powers[draw]), out[draw])
    return out


def _outer_into(profiles: tuple[NDArray[np.float64], ...], shift: int, power: int, out: NDArray[Any]) -> None:
    columns = np.ascontiguousarray(profiles[-1], dtype=np.float64)
    rows = np.ones(1)
    for profile in profiles[:-1]:
        rows = np.multiply.outer(rows, profile).ravel()
    OUTER[out.dtype.name](rows, columns, shift, power, out.reshape(len(rows), len(columns)), thread_count())
