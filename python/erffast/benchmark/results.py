"""What a benchmark found, as plain values: written to JSON and read back."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Self

from .._files import replace_file

FORMAT, VERSION = "erffast benchmark", 1


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: median, least and most of `runs` repetitions."""

    median: float
    low: float
    high: float
    runs: int


@dataclass(frozen=True)
class Ceilings:
    """What the machine did at best, just then.

    Attributes
    ----------
    float32, float64 : float
        Multiply-adds per second, all threads together.
    copy, write : float
        Bytes per second beyond the caches: read and written together; written.
    fft : dict
        Seconds of one inverse real FFT of 2016 x 2016 float64, by library.
    """

    float32: float
    float64: float
    copy: float
    write: float
    fft: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trace:
    """Ceilings taken again beside a job, so that a busy neighbour shows: multiply-adds and copied bytes a second."""

    float64: float
    copy: float
    float32: float = 0.0  # 0: not measured, by an earlier version


@dataclass(frozen=True)
class PeerResult:
    """Another way to the same answer.

    Attributes
    ----------
    name : str
    fair : bool
        Whether it is the same mathematics, written well.
    size : dict
        What it was timed at; smaller than the job where it would take too long.
    skipped : str
        Why there is no figure; empty where there is one.
    timing, ours : Timing, optional
        Of the peer, and of erffast at the same size.
    error : float, optional
        Largest difference from the checked answer, relative to the peak.
    after : Trace, optional
        Ceilings just after it.
    """

    name: str
    fair: bool
    size: dict[str, int]
    skipped: str = ""
    timing: Timing | None = None
    ours: Timing | None = None
    error: float | None = None
    after: Trace | None = None

    @property
    def times_ours(self) -> float | None:
        """How many times as long it takes as erffast."""
        return None if self.timing is None or self.ours is None else self.timing.median / self.ours.median


@dataclass(frozen=True)
class PartResult:
    """A part of a job's work by itself, or plain work to set a job beside.

    Attributes
    ----------
    name : str
    timing : Timing
    floor : float, optional
        Seconds its counted work would take at the ceilings.
    ours : Timing, optional
        Of the whole job, timed in turn with it.
    """

    name: str
    timing: Timing
    floor: float | None = None
    ours: Timing | None = None


@dataclass(frozen=True)
class JobResult:
    """One job.

    Attributes
    ----------
    key, title : str
    size : dict
    skipped : str
        Why there is no figure; empty where there is one.
    wrong : str
        What the check found; empty where the answer is right. A wrong answer is not timed.
    engine : str
    error, allowed : float, optional
        Largest error found and allowed.
    against : str
        What the answer was compared with.
    claimed : float, optional
        The error the result states of itself.
    timing : Timing, optional
    floor : float, optional
        Seconds the counted work would take at the ceilings; None where nothing was counted.
    counted : str
        What was counted.
    before, after : Trace, optional
    peers : tuple of PeerResult
    parts : tuple of PartResult
    on_device : Timing, optional
        Of the work on the GPU, by its own clock.
    memory : int, optional
        Bytes that a process of its own grew by at most while it ran the job, beyond its inputs.
    answer : int, optional
        Bytes of the answer.
    """

    key: str
    title: str
    size: dict[str, int]
    skipped: str = ""
    wrong: str = ""
    engine: str = ""
    error: float | None = None
    allowed: float | None = None
    against: str = ""
    claimed: float | None = None
    timing: Timing | None = None
    floor: float | None = None
    counted: str = ""
    before: Trace | None = None
    after: Trace | None = None
    peers: tuple[PeerResult, ...] = ()
    parts: tuple[PartResult, ...] = ()
    on_device: Timing | None = None
    memory: int | None = None
    answer: int | None = None

    @property
    def share(self) -> float | None:
        """The floor as a share of the median, on a GPU of the time spent there: 1 at the ceilings."""
        timing = self.on_device or self.timing
        return None if timing is None or not self.floor else self.floor / timing.median

    @property
    def answers(self) -> float | None:
        """The memory in answers."""
        return None if self.memory is None or not self.answer else self.memory / self.answer

    @property
    def fair(self) -> PeerResult | None:
        """The fastest of the fair peers that ran."""
        ran = [peer for peer in self.peers if peer.fair and peer.timing is not None]
        return min(ran, key=lambda peer: peer.times_ours or 0.0) if ran else None


@dataclass(frozen=True)
class Point:
    """One point of a growth curve: `seconds` and `memory` (bytes beyond what was there before), or why it has none."""

    curve: str
    layers: int
    kernel: int
    seconds: float | None = None
    memory: int | None = None
    skipped: str = ""


@dataclass(frozen=True)
class Benchmark:
    """A whole run."""

    date: str  # UTC, ISO 8601
    level: str  # quick, standard or full
    threads: int
    build: dict[str, Any]
    machine: dict[str, Any]
    ceilings: Ceilings
    jobs: tuple[JobResult, ...]
    growth: tuple[Point, ...] = ()
    device: str = "cpu"  # or cuda

    @property
    def right(self) -> bool:
        """Whether every answer that came was right."""
        return not any(job.wrong for job in self.jobs)

    def to_json(self) -> str:
        """A document of the same fields; errors that are not finite stand as text, for JSON has no such numbers."""
        return json.dumps({"format": FORMAT, "version": VERSION, **_plain(asdict(self))}, indent=1, allow_nan=False) + "\n"

    def save(self, path: str | PathLike[str]) -> None:
        replace_file(path, lambda part: part.write_text(self.to_json(), encoding="utf-8"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`. ValueError where the text is something else."""
        try:
            found = json.loads(text)
            if found.pop("format") != FORMAT or found.pop("version") != VERSION:
                raise ValueError("another format")
            found["ceilings"] = Ceilings(**found["ceilings"])
            found["jobs"] = tuple(map(_job, found["jobs"]))
            found["growth"] = tuple(Point(**point) for point in found["growth"])
            return cls(**found)
        except (KeyError, TypeError, AttributeError, ValueError) as exc:
            raise ValueError(f"this is not a result of erffast bench --json, version {VERSION} ({exc})") from None


def load_results(path: str | PathLike[str]) -> Benchmark:
    """Read what `Benchmark.save` wrote."""
    return Benchmark.from_json(Path(path).read_text(encoding="utf-8"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _optional(kind: Any, value: Any) -> Any:
    return None if value is None else kind(**value) if isinstance(value, dict) else kind(value)


def _peer(values: dict[str, Any]) -> PeerResult:
    read = {"timing": Timing, "ours": Timing, "error": float, "after": Trace}
    return PeerResult(**{**values, **{name: _optional(kind, values[name]) for name, kind in read.items()}})


def _job(values: dict[str, Any]) -> JobResult:
    read = {"timing": Timing, "on_device": Timing, "before": Trace, "after": Trace, "error": float, "claimed": float}
    parts = {name: _optional(kind, values.get(name)) for name, kind in read.items()}
    groups = {"peers": tuple(map(_peer, values["peers"])), "parts": tuple(map(_part, values.get("parts", ())))}
    return JobResult(**{**values, **parts, **groups})


def _part(values: dict[str, Any]) -> PartResult:
    return PartResult(**{**values, **{name: _optional(Timing, values[name]) for name in ("timing", "ours")}})
