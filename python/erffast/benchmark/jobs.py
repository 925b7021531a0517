"""The jobs, by key, and how large they are."""

from __future__ import annotations

from dataclasses import dataclass, field

from .cases import Case, Size
from .chosen import Choices
from .nonlinear import Simulated, Wide
from .positive import Deep, Direct, DirectSingle, Tails
from .signed import Signed, SignedCompact
from .uniform import SmallCall, SmallParse, UniformImage, UniformProfiles

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


def _direct(layers: tuple[int, int], k: int) -> tuple[Size, Size]:
    return {"n": layers[0], "k": k}, {"n": layers[1], "k": k}


JOBS = {
    job.key: job
    for job in (
        Job("J1", "uniform 3x3, whole image", UniformImage, ({"n": 300}, {"n": 1000}), ({"n": 100}, {"n": 200})),
        Job("J2", "uniform 3x3, profiles and sizes", UniformProfiles, ({"n": 2000}, {"n": 10_000})),
        Job("J2e5", "uniform 3x3, profiles and sizes", UniformProfiles, ({"n": 25_000}, {"n": 100_000})),
        Job("J2e6", "uniform 3x3, profiles and sizes", UniformProfiles, ({"n": 50_000}, {"n": 1_000_000})),
        Job(
            "J3",
            "signed 3x3, whole image",
            Signed,
            ({"n": 200, "seeds": 5}, {"n": 1000, "seeds": 20}),
            ({"n": 100, "seeds": 1}, {"n": 300, "seeds": 1}),
        ),
        Job("J3c", "signed 3x3, smallest period", SignedCompact, ({"n": 200}, {"n": 1000})),
        *(
            Job(key, f"non-negative {k}x{k}, every pixel, {case.dtype}", case, _direct(quick, k), _direct(peers, k))
            for key, case, k, quick, peers in (
                ("J3d", Direct, 3, (200, 1000), (100, 200)),
                ("J3d32", DirectSingle, 3, (200, 1000), (100, 200)),
                ("J3d5", Direct, 5, (100, 500), (50, 100)),
                ("J3d5f32", DirectSingle, 5, (100, 500), (50, 100)),
            )
        ),
        Job("J4", "non-negative 7x7, error against the peak", Deep, ({"n": 500, "k": 7}, {"n": 5000, "k": 7})),
        Job(
            "J4p",
            "non-negative 7x7, every pixel of the window",
            Tails,
            ({"n": 500, "k": 7}, {"n": 5000, "k": 7}),
            ({"n": 200, "k": 7}, {"n": 500, "k": 7}),
        ),
        Job(
            "J5",
            "3x3 and ReLU, mean of draws",
            Simulated,
            ({"n": 20, "draws": 20, "channels": 1}, {"n": 20, "draws": 100, "channels": 1}),
        ),
        Job(
            "J6",
            "3x3 and ReLU, many channels, float32",
            Wide,
            ({"n": 20, "draws": 2, "channels": 16}, {"n": 100, "draws": 2, "channels": 64}),
        ),
        Job(
            "J8",
            "signed 3x3, a batch of draws",
            Signed,
            ({"n": 100, "draws": 10}, {"n": 200, "draws": 100}),
            ({"n": 100, "draws": 2}, {"n": 200, "draws": 4}),
        ),
        Job("choice", 'what engine="auto" takes', Choices, ({"families": 3}, {"families": 9})),
        Job("small", "uniform 3x3, what a call costs", SmallCall, ({"n": 20}, {"n": 20})),
        Job("parse", "the same from text", SmallParse, ({"n": 20}, {"n": 20})),
    )
}


ON_GPU = ("J1", "J3", "J3c", "J3d", "J3d32", "J3d5", "J3d5f32", "J4", "J4p", "J8")


def chosen_jobs(keys: str | None, device: str = "cpu") -> tuple[Job, ...]:
    """The jobs of a list such as "J1,J3"; all of a device for None. ValueError names what there is."""
    there = {key: job for key, job in JOBS.items() if device == "cpu" or key in ON_GPU}
    if keys is None:
        return tuple(there.values())
    known = {key.lower(): job for key, job in there.items()}
    names = [name.strip() for name in keys.split(",") if name.strip()]
    unknown = [name for name in names if name.lower() not in known]
    if unknown or not names:
        raise ValueError(f"jobs must be some of {', '.join(there)}, got {unknown[0] if unknown else keys!r}")
    return tuple({job.key: job for job in (known[name.lower()] for name in names)}.values())
