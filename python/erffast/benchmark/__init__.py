"""Benchmarks: answers checked before they are timed, beside the ceilings of the machine and beside what else could be used.

``erffast bench`` on the command line; `run_jobs` in Python. Every job says by what independent means its answer was found
right, and how far off it was. Times stand beside three things measured in the same run:

- the floor: what the counted work would take at the machine's own limits (`ceilings`), so that a figure means the same on
  another machine;
- the fair peer: the same mathematics, written the way a good NumPy or torch user would (`products`, `chains`);
- the usual loop: torch, layer by layer, with its error, for it is fast to write and wrong when deep (`loops`).
"""

from __future__ import annotations

from .results import Benchmark, JobResult, load_results
from .runner import run_jobs

__all__ = ["Benchmark", "JobResult", "load_results", "run_jobs"]
