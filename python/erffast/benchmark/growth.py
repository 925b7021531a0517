"""How time and memory grow with the number of layers and with the kernel's side, each point in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .cases import Size
from .results import Point

LAYERS, KERNELS = (100, 300, 1000, 3000, 10_000, 30_000, 100_000), (3, 5, 7, 9, 11, 15, 21, 31)
FIXED_LAYERS = 100  # where the kernel grows
LIMIT = {"quick": 0.3, "standard": 5.0, "full": 15.0}  # seconds; the point that passes it is the last of its curve


@dataclass(frozen=True)
class Curve:
    """One line: a job at growing sizes."""

    job: str
    label: str
    most_layers: int
    kernels: bool  # whether the kernel's side is varied too


CURVES = (
    Curve("J2", "uniform, profiles", 100_000, kernels=False),
    Curve("J3", "signed, whole period", 3000, kernels=True),
    Curve("J3c", "signed, smallest period", 10_000, kernels=True),
    Curve("J3d", "non-negative, every pixel, whole image", 1000, kernels=True),
    Curve("J4", "non-negative, error against the peak", 100_000, kernels=True),
)


def measure_growth(level: str, threads: int, say: Callable[[str], None]) -> tuple[Point, ...]:
    """All curves; `level` as in `run_jobs`."""
    points: list[Point] = []
    for curve in CURVES:
        for series in _series(curve):
            for layers, kernel in series:
                say(f"growth: {curve.label}, {layers} layers, k={kernel}")
                point = measure_point(curve.job, layers, kernel, threads, timeout=60 + 20 * LIMIT[level])
                points.append(point)
                if point.seconds is None or point.seconds > LIMIT[level]:
                    break
    return tuple(points)


def _series(curve: Curve) -> Iterator[list[tuple[int, int]]]:
    """Sizes (layers, kernel) that grow: first in depth, then in the kernel."""
    yield [(n, 3) for n in LAYERS if n <= curve.most_layers]
    if curve.kernels:
        yield [(FIXED_LAYERS, k) for k in KERNELS[1:]]  # k = 3 stands in the first


def measure_point(job: str, layers: int, kernel: int, threads: int, timeout: float) -> Point:
    """One point; a failure is told by its last line."""
    found = measure_apart(job, {"n": layers, "k": kernel}, threads, timeout, timed=True)
    if isinstance(found, str):
        return Point(job, layers, kernel, skipped=found)
    return Point(job, layers, kernel, found["seconds"], found["memory"])


def measure_apart(job: str, size: Size, threads: int, timeout: float, *, timed: bool) -> dict[str, Any] | str:
    """What `point` tells of a job run by a fresh interpreter, or why it tells nothing."""
    request = json.dumps({"job": job, "size": size, "threads": threads, "timed": timed})
    command = [sys.executable, "-m", "erffast.benchmark.point", request]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return f"not done within {timeout:.0f} s"
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or ["no word of why"])[-1]
    found: dict[str, Any] = json.loads(done.stdout)
    return found
