"""Times of a call: several repetitions, as many as a budget allows."""

from __future__ import annotations

import ctypes
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from .results import Timing

SHORTEST = 1e-3  # seconds; shorter calls are timed several at once, so that reading the clock does not count
MOST_RUNS = 100
T = TypeVar("T")


def time_call(call: Callable[[], Any], *, budget: float = 2.0, least: int = 3) -> Timing:
    """Time `call`: `least` repetitions at least, and more as long as they fit into `budget` seconds."""
    started = time.perf_counter()
    call()
    first = time.perf_counter() - started
    together = max(1, int(SHORTEST / max(first, 1e-9)))
    runs = [] if together > 1 else [first]
    while len(runs) < least or (len(runs) < MOST_RUNS and time.perf_counter() - started < budget):
        begin = time.perf_counter()
        for _ in range(together):
            call()
        runs.append((time.perf_counter() - begin) / together)
    return Timing(statistics.median(runs), min(runs), max(runs), len(runs))


def time_in_turn(call: Callable[[], Any], other: Callable[[], Any], *, budget: float = 2.0, least: int = 5) -> tuple[Timing, Timing]:
    """Time two calls in turn, each on fresh memory: first touching a page costs more than writing it again."""
    started = time.perf_counter()
    runs: tuple[list[float], list[float]] = ([], [])
    while len(runs[0]) < least or (len(runs[0]) < MOST_RUNS and time.perf_counter() - started < budget):
        for each, found in zip((call, other), runs, strict=True):
            _give_back_memory()
            begin = time.perf_counter()
            answer = each()
            found.append(time.perf_counter() - begin)
            del answer
    first, second = (Timing(statistics.median(found), min(found), max(found), len(found)) for found in runs)
    return first, second


def _give_back_memory() -> None:
    """Hands what was freed back to the system; where the C library has no such call, it may be used again."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)


def timed_answer(call: Callable[[], T], *, budget: float = 2.0) -> tuple[T, Timing]:
    """What `call` gives, and its time; a call longer than `budget` seconds is made only once."""
    started = time.perf_counter()
    answer = call()
    first = time.perf_counter() - started
    return answer, Timing(first, first, first, 1) if first > budget else time_call(call, budget=budget)
