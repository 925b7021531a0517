"""What an experiment found: numbers beside the theory's and the paper's, and a verdict on each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

SIGMAS = 4.0  # a true claim fails once in 16,000 times where its error is normal; with 20 draws once in 1,300

Verdict: TypeAlias = Literal["agrees", "differs", "cannot tell"]


@dataclass(frozen=True)
class Claim:
    """One number that was measured, beside what theory and the paper say about it.

    Attributes
    ----------
    name : str
        What is measured, with its unit.
    measured : float
    stderr : float
        Standard error of what is measured; 0 for what was computed, not sampled.
    theory, paper : float, optional
    relation : {"=", "<", ">"}
        How the measured number is to stand to the theory's.
    margin : float
        How far theory may be off for a reason known beforehand, to first order in what it leaves out; `because` says what that is.
    rounding : float
        Half a unit of the paper's last digit.
    because : str
        Where theory's number comes from, and why a margin is there.
    """

    name: str
    measured: float
    stderr: float = 0.0
    theory: float | None = None
    paper: float | None = None
    relation: Literal["=", "<", ">"] = "="
    margin: float = 0.0
    rounding: float = 0.0
    because: str = ""

    @property
    def against_theory(self) -> Verdict | None:
        """Whether theory says so; None where it says nothing."""
        if self.theory is None:
            return None
        if self.relation == "=":
            return _agree(self.measured, self.theory, self.stderr, self.margin)
        above = self.measured - self.theory if self.relation == ">" else self.theory - self.measured
        if abs(above) <= SIGMAS * self.stderr:
            return "cannot tell"
        return "agrees" if above > 0 else "differs"

    @property
    def against_paper(self) -> Verdict | None:
        """Whether the paper's number is reproduced; None where it gives none."""
        return None if self.paper is None else _agree(self.measured, self.paper, self.stderr, self.rounding)

    @property
    def holds(self) -> bool:
        """Whether theory is borne out, as far as it says anything."""
        return self.against_theory in ("agrees", None)

    def to_json(self) -> dict[str, Any]:
        plain = {
            name: getattr(self, name)
            for name in ("name", "measured", "stderr", "theory", "relation", "margin", "paper", "rounding", "because")
        }
        return {**plain, "against_theory": self.against_theory, "against_paper": self.against_paper}


def _agree(measured: float, wanted: float, stderr: float, margin: float) -> Verdict:
    """Whether two numbers are equal to within errors; errors as large as the number itself decide nothing."""
    allowed = SIGMAS * stderr + margin + 1e-12 * abs(wanted)
    if not math.isfinite(measured) or not math.isfinite(stderr):
        return "differs"
    if SIGMAS * stderr >= max(abs(measured), abs(wanted)) > 0:
        return "cannot tell"
    return "agrees" if abs(measured - wanted) <= allowed else "differs"


@dataclass(frozen=True)
class Grid:
    """A table of the report: texts, one row per case."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Findings:
    """What `find` of an experiment returns, and `draw` takes.

    Attributes
    ----------
    claims : sequence of Claim
    words : str
        What was found, as Markdown: what reproduces, what does not, and why.
    shown : mapping of str
        What the figures show: results and arrays by name.
    tables : sequence of Grid
    """

    claims: Sequence[Claim]
    words: str
    shown: Mapping[str, Any] = field(default_factory=dict)
    tables: Sequence[Grid] = ()

    @property
    def judged(self) -> list[Claim]:
        """The claims of which theory says something."""
        return [claim for claim in self.claims if claim.theory is not None]
