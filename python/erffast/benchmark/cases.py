"""What every job consists of."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..propagation import Device
from .answers import Answer, answer_of
from .results import Ceilings
from .truths import Verdict

Size = dict[str, int]

NO_TORCH = "torch is not installed (pip install torch)"


@dataclass(frozen=True)
class Peer:
    """Another way to a job's answer.

    Attributes
    ----------
    name : str
    call : callable
        Gives the answer.
    fair : bool
        Whether it is the same mathematics, written well.
    torch : bool
        Whether it needs torch.
    slow : bool
        Whether it is timed at a smaller size, but for the full level.
    gpu : bool
        Whether it runs on torch's GPU.
    """

    name: str
    call: Callable[[], Answer]
    fair: bool = False
    torch: bool = False
    slow: bool = False
    gpu: bool = False

    @property
    def missing(self) -> str:
        """Why it cannot run; empty where it can."""
        if not self.torch:
            return ""
        if importlib.util.find_spec("torch") is None:
            return NO_TORCH
        return gpu_missing() if self.gpu else ""


def gpu_missing() -> str:
    """Why torch cannot use a GPU; empty where it can."""
    import torch

    return "" if torch.cuda.is_available() else f"torch {torch.__version__} finds no GPU"


@dataclass(frozen=True)
class Part:
    """A part of a job's work, timed by itself.

    Attributes
    ----------
    name : str
    call : callable
    floor : float, optional
        Seconds its counted work takes at the ceilings.
    in_turn : bool
        Timed in turn with `whole`, each on fresh memory.
    whole : callable, optional
        What it is set beside; None for the job.
    """

    name: str
    call: Callable[[], Any]
    floor: float | None = None
    in_turn: bool = False
    whole: Callable[[], Any] | None = None


class Case(ABC):
    """One job at one size: inputs made beforehand, one call that is timed, and everything around it."""

    counted = ""  # what `floor` counts
    apart = True  # whether its memory is measured

    def __init__(self, size: Size, threads: int, device: Device = "cpu") -> None:
        self.size, self.threads, self.device = size, threads, device

    @abstractmethod
    def run(self) -> Any:
        """What is timed: from Python objects to the answer in memory."""

    @abstractmethod
    def check(self, found: Any) -> Verdict:
        """Compare what `run` gave with what is known to be right."""

    def floor(self, ceilings: Ceilings, found: Any) -> float | None:
        """Seconds the counted work takes at the ceilings."""
        return None

    def peers(self, found: Any) -> Sequence[Peer]:
        """Other ways to the same answer."""
        return ()

    def parts(self, ceilings: Ceilings, found: Any) -> Sequence[Part]:
        """What is timed by itself."""
        return ()

    def answer_bytes(self, found: Any) -> int:
        """Size of the answer."""
        return int(found.image.nbytes)

    def answer(self, found: Any) -> Answer:
        """What peers are compared with."""
        return answer_of(found)

    def engine(self, found: Any) -> str:
        return str(found.engine)

    def claimed(self, found: Any) -> float | None:
        """The error the result states of itself."""
        return float(found.error)
