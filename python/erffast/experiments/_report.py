"""The report as Markdown: the paper's number, theory's and the measured one side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ._findings import SIGMAS, Claim, Findings, Grid, Verdict

_WORDS: dict[Verdict | None, str] = {"agrees": "yes", "differs": "**no**", "cannot tell": "cannot tell", None: ""}


def report(found: dict[str, Findings], titles: dict[str, str], figures: dict[str, list[str]], about: dict[str, Any]) -> str:
    """The whole report, one section per experiment."""
    parts = [_head(about), _overview(found, titles)]
    for name, findings in found.items():
        parts += [f"## {titles[name]}", findings.words.strip(), *_pictures(name, figures[name], titles[name])]
        parts += [_claims(findings.claims), *map(_grid, findings.tables)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(about: dict[str, Any]) -> str:
    size = ", a quick run with fewer draws and smaller networks" if about["quick"] else ""
    return f"""# The effective receptive field, measured again

Every experiment of [Luo et al. 2016](https://arxiv.org/abs/1701.04128) that needs no training, repeated, and the questions of its critics
answered. Written by `erffast reproduce` (erffast {about["version"]}, seed {about["seed"]}{size}).

Each table sets what was measured beside what theory says and what the paper printed. ± is one standard error, by bootstrap
over draws where sizes are measured; no sign means that the number was computed, not sampled. *Agrees* says whether
the measured number does so within {SIGMAS:g} standard errors (and the rounding of the paper's digits); "cannot tell" stands where these
are as large as the number itself, or reach across the bound that it is held against.
Sizes are in input pixels. `std`: standard deviation of the mass along one axis.
`level size`: root of the number of pixels above 0.0455 of the peak, the paper's measure. TRF: theoretical receptive field."""


def _overview(found: dict[str, Findings], titles: dict[str, str]) -> str:
    rows = []
    for name, findings in found.items():
        theory = [claim.against_theory for claim in findings.judged]
        paper = [claim.against_paper for claim in findings.claims if claim.paper is not None]
        rows.append((f"[{titles[name]}](#{_anchor(titles[name])})", _count(theory), _count(paper)))
    return _markdown(("experiment", "agrees with theory", "agrees with the paper"), rows, left=1)


def _anchor(title: str) -> str:
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -")
    return kept.replace(" ", "-")


def _count(verdicts: Sequence[Verdict | None]) -> str:
    return f"{verdicts.count('agrees')} of {len(verdicts)}" if verdicts else "–"


def _pictures(name: str, figures: Sequence[str], title: str) -> list[str]:
    return [f"![{title}: {figure}](figures/{figure}.png)" for figure in figures]


def _claims(claims: Sequence[Claim]) -> str:
    if not claims:
        return ""
    header = ["measured quantity", "paper", "theory", "measured", "theory agrees", "paper agrees", "source of theory"]
    rows = [
        (
            claim.name,
            "" if claim.paper is None else _number(claim.paper, claim.rounding / 2),
            _wanted(claim),
            _with_error(claim.measured, claim.stderr),
            _WORDS[claim.against_theory],
            _WORDS[claim.against_paper],
            claim.because,
        )
        for claim in claims
    ]
    if all(claim.paper is None for claim in claims):  # columns without an entry say nothing
        header = [header[i] for i in (0, 2, 3, 4, 6)]
        rows = [tuple(row[i] for i in (0, 2, 3, 4, 6)) for row in rows]  # type: ignore[misc]
    return _markdown(header, rows, left=1)


def _wanted(claim: Claim) -> str:
    if claim.theory is None:
        return ""
    sign = {"=": "", "<": "below ", ">": "above "}[claim.relation]
    margin = f" (to ±{_number(claim.margin, claim.margin / 10)})" if claim.margin else ""
    return f"{sign}{_number(claim.theory, claim.stderr / 10)}{margin}"


def _with_error(value: float, stderr: float) -> str:
    return f"{_number(value, stderr)} ± {_number(stderr, stderr)}" if stderr else _number(value)


def _number(value: float, error: float = 0.0) -> str:
    """As many digits as the error leaves, two of it; without one, four."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    digits = min(max(size - math.floor(math.log10(error)) + 2, 2), 6) if error > 0 else 4
    return f"{value:.{digits}g}" if -4 <= size < 6 else f"{value:.{digits - 1}e}"


def _grid(grid: Grid) -> str:
    return f"**{grid.title}**\n\n{_markdown(grid.header, grid.rows, left=1)}"


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> str:
    """A table whose first `left` columns are flush left."""
    line = "|".join(":--" if i < left else "--:" for i in range(len(header)))
    return "\n".join([_row(header), f"|{line}|", *map(_row, rows)])


def _row(cells: Sequence[str]) -> str:
    """A line of a table; the bars of |g| would end a cell."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
