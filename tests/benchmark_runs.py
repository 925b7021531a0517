"""What the tests of the benchmark share."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from erffast.benchmark.cases import Case
from erffast.benchmark.positive import Deep, Direct, DirectSingle
from erffast.benchmark.results import Benchmark, Ceilings, JobResult, PartResult, PeerResult, Point, Timing, Trace
from erffast.benchmark.signed import Signed, SignedCompact
from erffast.benchmark.uniform import SmallCall, SmallParse, UniformImage

MADE = Ceilings(float32=2e11, float64=1e11, copy=3e10, write=4e10, fft={"scipy": 0.02})


SMALL: dict[str, tuple[type[Case], dict[str, int]]] = {
    "J1": (UniformImage, {"n": 20}),
    "J3": (Signed, {"n": 40}),
    "J3c": (SignedCompact, {"n": 60}),
    "J3d": (Direct, {"n": 15, "k": 3}),
    "J3d32": (DirectSingle, {"n": 15, "k": 3}),
    "J4": (Deep, {"n": 60, "k": 5}),
    "J8": (Signed, {"n": 20, "draws": 3}),
    "small": (SmallCall, {"n": 20}),
    "parse": (SmallParse, {"n": 5}),
}


def made(name: str) -> tuple[Case, Any]:
    kind, size = SMALL[name]
    case = kind(size, 2)
    return case, case.run()


def made_benchmark(**fields: Any) -> Benchmark:
    """A run with everything in it; `fields` in place of its own."""
    timing = Timing(0.25, 0.2, 0.5, 3)
    peers = (
        PeerResult("fair one", True, {"n": 5}, timing=Timing(1.0, 1.0, 1.0, 1), ours=timing, error=1e-9),
        PeerResult("lost one", False, {"n": 5}, timing=timing, ours=timing, error=math.inf),
        PeerResult("absent one", False, {"n": 5}, skipped="gone"),
    )
    traces = {"before": Trace(1e11, 3e10), "after": Trace(0.4e11, 3e10)}
    job = JobResult("J3", "a job", {"n": 5}, "", "", "direct", 1e-15, 1e-11, "truth", 2e-15, timing, 0.05, "work", **traces, peers=peers)
    parts = (
        PartResult("plain work", Timing(0.125, 0.1, 0.2, 9), ours=timing),
        PartResult("the product alone", Timing(0.1, 0.1, 0.1, 3), floor=0.04),
    )
    job = dataclasses.replace(job, parts=parts, memory=5_000_000, answer=2_000_000)
    points = (*(Point("J3", n, 3, n * 1e-4, n * 1000) for n in (100, 300)), Point("J3", 1000, 3, skipped="too large"))
    points += tuple(Point("J3", 100, k, k * 1e-3, 1000) for k in (5, 7))
    facts = {"processor": "a machine", "numpy": "2", "scipy": "1", "torch": None}
    values: dict[str, Any] = {"date": "2026-01-02T03:04:05+00:00", "level": "quick", "threads": 2, "machine": facts}
    values |= {"build": {"instruction_set": "x86-64-v3", "compiler": "cc"}, "ceilings": MADE, "jobs": (job,), "growth": points}
    return Benchmark(**values | fields)
