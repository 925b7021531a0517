"""All benchmarks with their growth curves into benchmarks/results/, and the tables of the pages from there."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from erffast.benchmark import load_results, run_jobs
from erffast.benchmark.jobs import LEVELS
from erffast.benchmark.pictures import save_growth
from erffast.benchmark.tables import benchmark_tables, markdown, peers_markdown, replace_table

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"


def write_pages(results: Path, root: Path) -> None:
    """Put the tables of a JSON file into README.md (jobs) and docs/performance.md (jobs and peers)."""
    found = load_results(results)
    replace_table(root / "README.md", markdown(found))
    replace_table(root / "docs" / "performance.md", markdown(found) + "\n\n" + peers_markdown(found))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", choices=LEVELS, default="full")
    parser.add_argument("--threads", type=int, default=0, help="0: all (default)")
    parser.add_argument("--pages", action="store_true", help="also write the tables of README.md and docs/performance.md")
    parser.add_argument("--pages-only", action="store_true", help="write those from the results that are there")
    args = parser.parse_args()
    results = RESULTS / "results.json"
    right = True
    if not args.pages_only:
        RESULTS.mkdir(exist_ok=True)
        found = run_jobs(level=args.level, threads=args.threads, growth=True, say=lambda line: print(line, file=sys.stderr, flush=True))
        print("\n\n".join(table.as_text(width=200) for table in benchmark_tables(found)))
        found.save(results)
        save_growth(found, RESULTS / "growth.png")
        right = found.right
    if right and (args.pages or args.pages_only):
        write_pages(results, ROOT)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
