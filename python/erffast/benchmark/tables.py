"""A benchmark as tables for people: plain text on a terminal, Markdown in the documentation."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from .._files import replace_file
from .._tables import Table, number
from .results import Benchmark, Ceilings, JobResult, PartResult, PeerResult, Timing
from .runner import readable_size

SMALL = 2**20  # bytes of an answer in which memory is not counted
MIB = 2**20
BUSY = 0.8  # of a ceiling: less beside a job is a busy neighbour
BEGIN, END = "<!-- benchmark table -->", "<!-- end of benchmark table -->"
JOB_HEADER = ("job", "size", "engine", "error", "time", "least .. most", "of the ceiling", "fair peer", "memory")
PEER_HEADER = ("job", "beside it", "size", "error", "time", "x ours")


def benchmark_tables(found: Benchmark) -> tuple[Table, ...]:
    """Ceilings, jobs, and what stands beside them."""
    return ceilings_table(found), jobs_table(found), peers_table(found)


def ceilings_table(found: Benchmark) -> Table:
    """What the machine did at best."""
    where = "the GPU" if found.device == "cuda" else f"this machine, {found.threads} thread{'s' if found.threads > 1 else ''}"
    caption = f"Ceilings of {where}"
    return Table(caption, ("", ""), [(name, value) for name, value in ceiling_facts(found.ceilings)], left=(0, 1))


def ceiling_facts(found: Ceilings) -> list[tuple[str, str]]:
    """Each ceiling in words and in its unit."""
    ffts = [(f"inverse real FFT, 2016 x 2016, {name}", readable_seconds(value)) for name, value in found.fft.items()]
    return [
        ("multiply-adds float32 / float64", f"{number(found.float32 / 1e9, 3)} / {number(found.float64 / 1e9, 3)} G/s"),
        ("copy (read and written) / write", f"{number(found.copy / 1e9, 3)} / {number(found.write / 1e9, 3)} GB/s"),
        *ffts,
    ]


def jobs_table(found: Benchmark) -> Table:
    """One row a job: its error, its time, and that time as a multiple of the floor and of the fair peer's."""
    notes = [
        "error: against an independent answer. of the ceiling: what the counted work takes at the ceilings, over the time. fair",
        "peer: the same mathematics in NumPy, SciPy or torch, its time over ours at the same size. memory: at most, in answers.",
        *(f"{job.key}: {note}" for job in found.jobs for note in job_notes(job, found.ceilings)),
    ]
    return Table("Jobs, each answer checked before it was timed", JOB_HEADER, [_job_row(job) for job in found.jobs], (0, 1, 2), notes=notes)


def peers_table(found: Benchmark) -> Table:
    """One row for each other way to an answer."""
    rows = [_peer_row(job, peer) for job in found.jobs for peer in job.peers]
    notes = [f"{job.key}, {peer.name}: {note}" for job in found.jobs for peer in job.peers for note in peer_notes(peer, found.ceilings)]
    return Table("Beside them; error against the checked answer", PEER_HEADER, rows, (0, 1, 2), notes=notes)


def job_notes(job: JobResult, ceilings: Ceilings) -> list[str]:
    """What a reader must know of a row: wrong, skipped, or a busy machine."""
    notes = []
    if job.wrong:
        notes.append(f"WRONG, {job.wrong}")
    if job.skipped:
        notes.append(f"skipped: {job.skipped}")
    if job.on_device is not None:
        notes.append(f"{readable_seconds(job.on_device.median)} of it on the GPU, by which the share is counted")
    notes += [part_note(part) for part in job.parts]
    beside = [trace.float64 for trace in (job.before, job.after) if trace]
    if (share := _share(beside, ceilings)) < BUSY:
        notes.append(f"the machine was busy: {100 * share:.0f} % of its multiply-adds were to be had beside this job")
    return notes


def part_note(part: PartResult) -> str:
    """A part by itself, or the whole as a multiple of it."""
    if part.ours is not None:
        multiple = times(part.ours.median / part.timing.median)
        return f"{multiple} {part.name} ({readable_seconds(part.timing.median)}), in turn on fresh memory"
    share = "" if part.floor is None else f", {percent(part.floor / part.timing.median)} of the ceiling"
    return f"{part.name} {readable_seconds(part.timing.median)}{share}"


def peer_notes(peer: PeerResult, ceilings: Ceilings) -> list[str]:
    """What a reader must know of a peer: skipped, or a busy machine."""
    if peer.skipped:
        return [f"skipped, {peer.skipped}"]
    share = _share([peer.after.float64] if peer.after else [], ceilings)
    return [f"the machine was busy: {100 * share:.0f} % of its multiply-adds were to be had after it"] if share < BUSY else []


def _share(rates: Sequence[float], ceilings: Ceilings) -> float:
    """The least of some rates as a share of the most that was seen."""
    return min(rates) / max(ceilings.float64, *rates) if rates else 1.0


def _job_row(job: JobResult) -> tuple[str, ...]:
    fair = job.fair
    return (
        f"{job.key} {job.title}",
        readable_size(job.size),
        job.engine or "-",
        readable_error(job.error),
        readable_seconds(job.timing.median if job.timing else None),
        spread(job.timing),
        percent(job.share),
        times(fair.times_ours if fair else None) + (f" (n={fair.size['n']})" if fair and fair.size != job.size else ""),
        _memory(job),
    )


def _peer_row(job: JobResult, peer: PeerResult) -> tuple[str, ...]:
    return (
        job.key,
        peer.name + (" (fair)" if peer.fair else ""),
        readable_size(peer.size),
        readable_error(peer.error),
        readable_seconds(peer.timing.median if peer.timing else None),
        times(peer.times_ours),
    )


def times(value: float | None) -> str:
    """Two digits, as a multiple."""
    return "-" if value is None else number(float(f"{value:.2g}")) + "x"


def percent(share: float | None) -> str:
    """Two digits."""
    return "-" if share is None else f"{number(float(f'{100 * share:.2g}'))} %"


def _memory(job: JobResult) -> str:
    """In answers, or by itself where the answer is small against what any call takes."""
    if job.memory is None or job.answer is None or job.answers is None:
        return "-"
    return readable_bytes(job.memory) if job.answer < SMALL else times(job.answers)


def readable_bytes(value: int) -> str:
    return f"{number(float(f'{value / MIB:.2g}'))} MiB"


def readable_error(value: float | None) -> str:
    """An error in two digits."""
    return "-" if value is None else f"{value:.1e}"


def readable_seconds(value: float | None) -> str:
    """Three digits in the unit that suits."""
    if value is None:
        return "-"
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if value * factor >= 0.9995:
            return f"{number(value * factor, 3)} {unit}"
    return f"{number(value * 1e6, 3)} us"


def spread(timing: Timing | None) -> str:
    """Least .. most, and of how many."""
    return "-" if timing is None else f"{readable_seconds(timing.low)} .. {readable_seconds(timing.high)} of {timing.runs}"


# ------------------------------------------------------------------------------------------------ Markdown


def markdown(found: Benchmark) -> str:
    """The table of jobs with its machine, its date and its notes."""
    facts = found.machine
    ceilings = "; ".join(f"{name} {value}" for name, value in ceiling_facts(found.ceilings))
    libraries = ", ".join(f"{name} {facts[name]}" for name in ("numpy", "scipy", "torch") if facts.get(name))
    lines = [
        *_markdown_table(JOB_HEADER, [_job_row(job) for job in found.jobs]),
        "",
        f"Measured {found.date[:10]} on {facts['processor']}, {found.threads} threads, {found.build['instruction_set']}, "
        f"{found.build['compiler']}; {libraries}. Ceilings in the same run: {ceilings}.",
    ]
    notes = [f"{job.key}: {note}." for job in found.jobs for note in job_notes(job, found.ceilings)]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def peers_markdown(found: Benchmark) -> str:
    """The table of what stands beside the jobs."""
    return "\n".join(_markdown_table(PEER_HEADER, [_peer_row(job, peer) for job in found.jobs for peer in job.peers]))


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def replace_table(path: str | PathLike[str], text: str) -> None:
    """Put `text` between the two marker lines of a page. ValueError where it has not exactly one pair of them."""
    page = Path(path).read_text(encoding="utf-8")
    found = re.findall(rf"{BEGIN}\n.*?{END}", page, re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"{os.fspath(path)} must have one line {BEGIN} and after it one line {END}, got {len(found)} such pairs")
    new = page.replace(found[0], f"{BEGIN}\n{text}\n{END}")
    replace_file(path, lambda part: part.write_text(new, encoding="utf-8"))
