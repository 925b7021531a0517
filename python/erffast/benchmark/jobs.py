"""The jobs, by key, and how large they are."""

from __future__ import annotations

from dataclasses import dataclass, field

from .cases import Case, Size
from .positive import Deep, Direct, DirectSingle
from .signed import Signed, SignedCompact
from .uniform import SmallCall, UniformImage, UniformProfiles

LEVELS = ("quick", "standard", "full")


@dataclass(frozen=True)
class Job:
    """A job and its sizes per level.

    Attributes
    ----------
    key, title : str
    case : type
    sizes : (quick, standard and full)
    peers : (quick, standard) or empty
        The size of the slow peers, at which erffast is timed too; at "full" they run at the job's own size.
    """

    key: str
    title: str
    case: type[Case]
    sizes: tuple[Size, Size]
    peers: tuple[Size, Size] | tuple[()] = field(default=())

    def size(self, level: str) -> Size:
        return self.sizes[0 if level == "quick" else 1]

    def peer_size(self, level: str) -> Size:
        return self.size(level) if level == "full" or not self.peers else self.peers[LEVELS.index(level)]


JOBS = {
    job.key: job
    for job in (
        Job("J1", "uniform 3x3, whole image", UniformImage, ({"n": 300}, {"n": 1000}), ({"n": 100}, {"n": 200})),
        Job("J2", "uniform 3x3, profiles and sizes", UniformProfiles, ({"n": 2000}, {"n": 10_000})),
        Job("J3", "signed 3x3, whole image", Signed, ({"n": 200}, {"n": 1000}), ({"n": 100}, {"n": 300})),
        Job("J3c", "signed 3x3, smallest period", SignedCompact, ({"n": 200}, {"n": 1000})),
        Job(
            "J3d",
            "non-negative 3x3, every pixel, float64",
            Direct,
            ({"n": 200, "k": 3}, {"n": 1000, "k": 3}),
            ({"n": 100, "k": 3}, {"n": 200, "k": 3}),
        ),
        Job(
            "J3d32",
            "non-negative 3x3, every pixel, float32",
            DirectSingle,
            ({"n": 200, "k": 3}, {"n": 1000, "k": 3}),
            ({"n": 100, "k": 3}, {"n": 200, "k": 3}),
        ),
        Job("J4", "non-negative 7x7, error against the peak", Deep, ({"n": 500, "k": 7}, {"n": 5000, "k": 7})),
        Job(
            "J8",
            "signed 3x3, a batch of draws",
            Signed,
            ({"n": 100, "draws": 10}, {"n": 200, "draws": 100}),
            ({"n": 100, "draws": 2}, {"n": 200, "draws": 4}),
        ),
        Job("small", "uniform 3x3, what a call costs", SmallCall, ({"n": 5}, {"n": 5})),
    )
}


def chosen_jobs(keys: str | None) -> tuple[Job, ...]:
    """The jobs of a list such as "J1,J3"; all for None. ValueError names what there is."""
    if keys is None:
        return tuple(JOBS.values())
    known = {key.lower(): job for key, job in JOBS.items()}
    names = [name.strip() for name in keys.split(",") if name.strip()]
    unknown = [name for name in names if name.lower() not in known]
    if unknown or not names:
        raise ValueError(f"jobs must be some of {', '.join(JOBS)}, got {unknown[0] if unknown else keys!r}")
    return tuple({job.key: job for job in (known[name.lower()] for name in names)}.values())
