"""All experiments in their order, and what they write."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from os import PathLike
from pathlib import Path
from typing import Any

from .. import _validate as check
from .._about import __version__
from .._files import replace_file
from .._progress import Progress
from ._findings import Findings
from ._report import report
from ._run import Run

EXPERIMENTS = (
    "shapes",
    "growth",
    "subsampling",
    "paths",
    "initialisation",
    "functions",
    "single_draws",
    "natural_images",
    "borders",
    "spectrograms",
)


def reproduce(
    folder: str | PathLike[str],
    *,
    only: Sequence[str] | None = None,
    quick: bool = False,
    seed: int = 0,
    executor: Executor | None = None,
    threads: int = 0,
    progress: Progress = None,
    listen: Callable[[str, Findings, float], object] | None = None,
) -> dict[str, Findings]:
    """Repeat the experiments of Luo et al. (2016) and answer their critics: a report, figures and numbers in a folder.

    Parameters
    ----------
    folder : path-like
        Made if it is not there. ``report.md``, ``results.json``, ``figures/*.png`` and ``*.pdf``, and ``parts/``, finished parts: called
        again after an interruption, or with other experiments, it computes what is missing only. Every file appears whole or not at all.
    only : sequence of str, optional
        Some of `EXPERIMENTS`, and then the report has those only; None is all.
    quick : bool
        Fewer draws and smaller networks: below a minute.
    seed : int
        Of everything that is drawn; with the same seed and version the same numbers.
    executor : concurrent.futures.Executor, optional
        Takes the draws, as in `simulate`: processes, or Dask's workers. The numbers do not depend on it.
    threads : int
        0: all.
    progress : None, bool or callable
        Of the part under way, as in `simulate`.
    listen : callable, optional
        Called with the name, the findings and the seconds of every experiment as it ends.

    Returns
    -------
    dict of str to Findings
        In the order of `EXPERIMENTS`.

    Raises
    ------
    ValueError
        If `only` names an experiment that there is not, or none.
    TypeError
        If `only` is one text.
    ImportError
        If matplotlib or scikit-image is not installed.
    """
    names = EXPERIMENTS if only is None else _asked(only)
    check.integer(seed, "seed", least=0)
    _require_packages()
    target = Path(folder)
    (target / "figures").mkdir(parents=True, exist_ok=True)
    run = Run(target / "parts", quick=quick, seed=seed, executor=executor, threads=threads, progress=progress)
    found, figures = {}, {}
    for name in (name for name in EXPERIMENTS if name in names):
        started = time.perf_counter()
        module = experiment(name)
        found[name] = module.find(run)
        figures[name] = _drawn(target / "figures", module.draw(found[name]))
        if listen is not None:
            listen(name, found[name], time.perf_counter() - started)
    about = {"version": __version__, "quick": quick, "seed": seed}
    titles = {name: experiment(name).TITLE for name in found}
    _write(target / "report.md", report(found, titles, figures, about))
    _write(target / "results.json", _as_json(found, titles, about))
    return found


def experiment(name: str) -> Any:
    """The module of an experiment."""
    return importlib.import_module(f".{name}", __package__)


def _asked(only: Sequence[str]) -> tuple[str, ...]:
    if isinstance(only, str):
        raise TypeError(f"only must be a sequence of names such as ({only!r},), got the text {only!r}")
    if not only:
        raise ValueError(f"only names no experiment; there are {', '.join(EXPERIMENTS)}")
    return tuple(check.choice(name, "only", EXPERIMENTS) for name in only)


def _require_packages() -> None:
    missing = [name for name in ("matplotlib", "skimage") if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f'the experiments need {" and ".join(missing)}: pip install "erffast[reproduce]"')


def _drawn(folder: Path, figures: dict[str, Any]) -> list[str]:
    """The names of the figures, each written as PNG and as PDF."""
    from ..plotting import _style

    for name, figure in figures.items():
        for kind in ("png", "pdf"):
            _style.write(figure, folder / f"{name}.{kind}")
    return list(figures)


def _as_json(found: dict[str, Findings], titles: dict[str, str], about: dict[str, Any]) -> str:
    experiments = {
        name: {
            "title": titles[name],
            "claims": [claim.to_json() for claim in findings.claims],
            "tables": [
                {"title": grid.title, "header": list(grid.header), "rows": [list(row) for row in grid.rows]} for grid in findings.tables
            ],
        }
        for name, findings in found.items()
    }
    return json.dumps({"erffast": about, "experiments": experiments}, indent=1, allow_nan=False) + "\n"


def _write(path: Path, text: str) -> None:
    replace_file(path, lambda part: part.write_text(text, encoding="utf-8"))
