"""Two runs beside each other: is anything slower, or wrong, that was not?

Times of two runs are compared in units of the ceilings that each run measured itself, so that a machine that was busy throughout,
or is another one, cancels. A job is slower where that time has grown by more than `FACTOR`, and even the least of its repetitions
is above the most of the old ones.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from .._tables import Table
from .results import Benchmark, JobResult
from .runner import readable_size
from .tables import percent, readable_seconds, times

FACTOR = 1.25
HEADER = ("job", "size", "old", "new", "old, of the ceiling", "new, of the ceiling", "new / old", "")


@dataclass(frozen=True)
class Comparison:
    """One job in two runs.

    Attributes
    ----------
    old, new : JobResult, optional
        None where a run has no such job.
    ratio : float, optional
        Time of the new one over that of the old one, each in units of its run's ceilings; None where they cannot be compared.
    verdict : str
        In words; empty where there is nothing to say.
    failed : bool
        Whether it got slower or lost, or is wrong.
    """

    old: JobResult | None
    new: JobResult | None
    ratio: float | None
    verdict: str
    failed: bool


def compare(old: Benchmark, new: Benchmark, *, only: Collection[str] | None = None) -> tuple[Comparison, ...]:
    """Compare two runs job by job, in the order of the old one; `only`: jobs with these keys."""
    before, after = ({job.key: job for job in found.jobs} for found in (old, new))
    keys = [key for key in dict.fromkeys([*before, *after]) if only is None or key in only]
    return tuple(_compared(before.get(key), after.get(key), old, new) for key in keys)


def failed(comparisons: Collection[Comparison]) -> bool:
    """Whether anything got slower or lost, or is wrong."""
    return any(item.failed for item in comparisons)


def comparison_table(comparisons: Collection[Comparison], old: Benchmark, new: Benchmark) -> Table:
    """One row a job."""
    notes = [f"SLOWER: by more than {FACTOR} in units of each run's own ceilings, and beyond the spread of the repetitions."]
    for what, found in (("old", old), ("new", new)):
        notes.append(f"{what}: {found.date[:10]}, {found.machine['processor']}, {found.threads} threads, {found.build['instruction_set']}.")
    if _machine(old) != _machine(new):
        notes.append("The machines differ: shares of a ceiling carry over roughly, for caches differ too.")
    return Table("New against old", HEADER, [_row(item) for item in comparisons], (0, 1, 7), notes=notes)


def _compared(old: JobResult | None, new: JobResult | None, before: Benchmark, after: Benchmark) -> Comparison:
    def told(verdict: str, *, failed: bool = False) -> Comparison:
        return Comparison(old, new, None, verdict, failed)

    if new is None:
        return told("MISSING", failed=True)
    if new.wrong:
        return told("WRONG", failed=True)
    if old is None:
        return told("new")
    if old.size != new.size:
        return told(f"{readable_size(old.size)} before: not compared")
    if new.timing is None:
        return told("skipped, as before") if old.timing is None else told(f"LOST, {new.skipped}", failed=True)
    if old.timing is None:
        return told("had no time before")
    scale = _scale(old, new, before, after)
    ratio = scale * new.timing.median / old.timing.median
    slower = ratio > FACTOR and scale * new.timing.low > old.timing.high
    faster = ratio < 1 / FACTOR and scale * new.timing.high < old.timing.low
    return Comparison(old, new, ratio, "SLOWER" if slower else "faster" if faster else "", slower)


def _scale(old: JobResult, new: JobResult, before: Benchmark, after: Benchmark) -> float:
    """What a new time is multiplied by: the ratio of the floors, or of arithmetic where none, or other work, was counted."""
    if old.floor and new.floor and old.counted == new.counted:
        return old.floor / new.floor
    return after.ceilings.float64 / before.ceilings.float64


def _machine(found: Benchmark) -> tuple[object, ...]:
    return found.machine["processor"], found.threads, found.build["instruction_set"]


def _row(item: Comparison) -> tuple[str, ...]:
    sides = (item.old, item.new)
    shown = item.new or item.old
    assert shown is not None
    seconds = (readable_seconds(job.timing.median if job and job.timing else None) for job in sides)
    shares = (percent(job.share if job else None) for job in sides)
    return (shown.key, readable_size(shown.size), *seconds, *shares, times(item.ratio), item.verdict)
