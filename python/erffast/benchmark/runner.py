"""Runs jobs: check, ceilings, time, ceilings again, peers."""

from __future__ import annotations

import datetime
import importlib
import statistics
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from .. import _backend, _devices
from .._validate import choice
from ..errors import AccuracyError, BackendUnavailable
from ..propagation import Device
from . import ceilings as probes
from .answers import Answer, difference
from .cases import Case, Part, Peer, Size
from .growth import measure_apart, measure_growth
from .jobs import LEVELS, Job, chosen_jobs
from .loops import torch_threads, warm_torch
from .machine import machine_facts
from .results import Benchmark, Ceilings, JobResult, PartResult, PeerResult, Timing, Trace
from .timing import time_call, time_in_turn, timed_answer

REFUSALS = (AccuracyError, BackendUnavailable, MemoryError, NotImplementedError)  # an honest no, told beside the job
BUDGET = {"quick": 0.25, "standard": 2.0, "full": 2.0}  # seconds of repetitions per case
DEVICE_RUNS = 7  # an odd number: the median is one of them
MEMORY_TIMEOUT = 120.0  # seconds of the process that measures it
Say = Callable[[str], None]


def run_jobs(
    jobs: str | None = None,
    *,
    level: str = "standard",
    device: Device = "cpu",
    threads: int = 0,
    growth: bool = False,
    say: Say | None = None,
) -> Benchmark:
    """Run jobs and their peers.

    Parameters
    ----------
    jobs : str, optional
        Keys such as "J1,J3"; None runs all.
    level : "quick", "standard" or "full"
        "quick": small sizes, below a minute. "standard": the jobs at their size, the usual loops at a smaller one.
        "full": those at the jobs' size too, some of them a minute.
    device : "cpu" or "cuda"
        On a GPU the jobs that run there, beside its own ceilings, and beside torch on the same GPU.
    threads : int
        0: all the process may use.
    growth : bool
        Also time and memory against the number of layers and the kernel's side, each point in a process of its own; on the CPU.
    say : callable, optional
        Gets a line of text as each part begins.

    Returns
    -------
    Benchmark
        ``right`` is False where an answer was wrong.
    """
    choice(level, "level", LEVELS)
    choice(device, "device", ("cpu", "cuda"))
    selected = chosen_jobs(jobs, device)
    threads = _backend.thread_count(threads)
    say = say or (lambda line: None)
    say("ceilings of the machine")
    importlib.import_module("scipy.signal")  # loading it is no part of any time
    probe = probes.Probe(threads, device)
    measured = probe.measure(0.15 if level == "quick" else 0.3)
    results = tuple(run_job(job, level, device, probe, measured, say) for job in selected)
    points = measure_growth(level, threads, say) if growth and device == "cpu" else ()
    traces = [trace for result in results for trace in (result.before, result.after) if trace]
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Benchmark(now, level, threads, _backend.build_info(), machine_facts(device), _best(measured, traces), results, points, device)


def _best(measured: Ceilings, traces: Sequence[Trace]) -> Ceilings:
    """Of the ceilings at the start and beside jobs."""
    found = (measured, *traces)
    return replace(measured, **{name: max(getattr(at, name) for at in found) for name in ("float32", "float64", "copy")})


def run_job(job: Job, level: str, device: Device, probe: probes.Probe, measured: Ceilings, say: Say) -> JobResult:
    """One job with its peers; a refusal is a result with its reason."""
    size = job.size(level)
    say(f"{job.key}: {job.title}, {readable_size(size)}")
    try:
        case = job.case(size, probe.threads, device)
        found = case.run()
        facts, verdict = _checked(case, found)
        result = JobResult(job.key, job.title, size, **facts)
        if verdict.wrong:
            return result
        before = probe.trace()
        timing = time_call(case.run, budget=BUDGET[level])
        after = probe.trace()
    except REFUSALS as exc:
        return JobResult(job.key, job.title, size, skipped=str(exc) or type(exc).__name__)
    # what was seen beside the job counts where it is more than at the start: the start may have had a busy neighbour
    best = _best(measured, [before, after])
    timed: dict[str, Any] = {"timing": timing, "floor": case.floor(best, found), "counted": case.counted, "before": before, "after": after}
    timed |= {"parts": tuple(run_part(part, case, level) for part in case.parts(best, found))}
    if device == "cuda":
        timed["on_device"] = time_on_device(case)
    apart = case.apart and device == "cpu"
    grown = measure_apart(job.key, size, probe.threads, timeout=MEMORY_TIMEOUT, timed=False) if apart else ""
    timed |= {} if isinstance(grown, str) else {"memory": grown["memory"], "answer": grown["answer"]}
    peers, wrong = _peers(job, level, case, found, timing, probe, say)
    return JobResult(job.key, job.title, size, **{**facts, "wrong": wrong}, **timed, peers=peers)


def time_on_device(case: Case) -> Timing:
    """The time of a few runs by the GPU's own clock: copies to it and from it, kernels, and its waits for the host between them."""
    native, runs = _devices.native(case.device), []
    for _ in range(DEVICE_RUNS):
        native.take_device_seconds()
        case.run()
        runs.append(native.take_device_seconds())
    return Timing(statistics.median(runs), min(runs), max(runs), len(runs))


def run_part(part: Part, case: Case, level: str) -> PartResult:
    """Time a part by itself, or in turn with the whole."""
    if part.in_turn:
        ours, timing = time_in_turn(part.whole or case.run, part.call, budget=BUDGET[level])
        return PartResult(part.name, timing, part.floor, ours)
    return PartResult(part.name, time_call(part.call, budget=BUDGET[level]), part.floor)


def _checked(case: Case, found: Any) -> tuple[dict[str, Any], Any]:
    """What a check says about an answer, as fields of a `JobResult`, and the verdict."""
    verdict = case.check(found)
    facts = {"error": verdict.error, "allowed": verdict.allowed, "against": verdict.against, "wrong": verdict.wrong}
    return {**facts, "engine": case.engine(found), "claimed": case.claimed(found)}, verdict


def _peers(
    job: Job, level: str, case: Case, found: Any, timing: Timing, probe: probes.Probe, say: Say
) -> tuple[tuple[PeerResult, ...], str]:
    """The peers at their sizes, and what is wrong with erffast's answer at the smaller one."""
    peers = case.peers(found)
    size = job.peer_size(level)
    slow = size != case.size and any(peer.slow for peer in peers)
    here = [peer for peer in peers if not (slow and peer.slow)]
    results = [run_peer(peer, case, case.answer(found), timing, level, probe, say) for peer in here]
    if slow:
        case = job.case(size, case.threads, case.device)
        found = case.run()
        verdict = case.check(found)
        if verdict.wrong:
            return tuple(results), f"at {readable_size(size)}: {verdict.wrong}"
        timing, right = time_call(case.run, budget=BUDGET[level]), case.answer(found)
        results += [run_peer(peer, case, right, timing, level, probe, say) for peer in case.peers(found) if peer.slow]
    return tuple(results), ""


def run_peer(peer: Peer, case: Case, right: Answer, ours: Timing, level: str, probe: probes.Probe, say: Say) -> PeerResult:
    """Time a peer and compare its answer; where one call passes the budget it is the only one."""
    size = case.size
    if peer.missing:
        return PeerResult(peer.name, peer.fair, size, skipped=peer.missing)
    say(f"  beside it: {peer.name}, {readable_size(size)}")
    try:
        with torch_threads(case.threads) if peer.torch else nullcontext():
            if peer.torch:
                warm_torch()
            if peer.gpu:
                peer.call()  # loads what torch needs on the GPU, and records graphs
            answer, timing = timed_answer(peer.call, budget=BUDGET[level])
        after = probe.trace()
    except (MemoryError, RuntimeError) as exc:  # torch raises the second where memory is short
        return PeerResult(peer.name, peer.fair, size, skipped=str(exc).splitlines()[0] if str(exc) else "out of memory")
    return PeerResult(peer.name, peer.fair, size, timing=timing, ours=ours, error=difference(answer, right), after=after)


def readable_size(size: Size) -> str:
    """n=1000, k=3."""
    return ", ".join(f"{name}={value}" for name, value in size.items())
