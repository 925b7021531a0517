"""Measures what the engines cost, for the choice between them: python benchmarks/costs.py writes python/erffast/spectral/costs.json.

Every engine runs chains of several sizes; the constants are those that come nearest to the times, in ratios. Run it on an idle
machine after an engine has become faster or slower, and commit the file: results may come from another engine from then on, so the
changelog should say so.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

import erffast as ef
from erffast import _backend, _core
from erffast._files import replace_file
from erffast.benchmark.choices import FAMILIES, Family, crossing
from erffast.benchmark.machine import machine_facts
from erffast.benchmark.tables import BUSY
from erffast.chain import Chain
from erffast.spectral import cost

REPEATS, BUDGET = 5, 0.5  # of each run, seconds: as many as fit, and one at least


def whole(chain: Chain) -> cost.Work:
    return cost.layers_work(chain, cost.WHOLE, float(chain.draws or 1))


def trimmed(chain: Chain) -> cost.Work:
    return cost.layers_work(chain, cost.WIDTH, 1.0)


STRIDED = "strided"  # a stride in the middle: two spacings
RUNS: dict[str, list[tuple[str, str, Callable[[Chain], cost.Work], tuple[int, ...]]]] = {
    "layers": [
        ("signed 3x3", "direct", whole, (4, 16, 50, 120, 250)),
        ("signed 5x5", "direct", whole, (4, 16, 50, 100)),
        ("signed 7x7", "direct", whole, (4, 16, 50)),
        ("signed 3x3, 10 draws", "direct", whole, (10, 20, 40, 80)),
        ("non-negative 3x3, against the peak", "direct", trimmed, (50, 200, 500)),
        ("non-negative 7x7, against the peak", "direct", trimmed, (20, 100)),
    ],
    "product": [
        ("signed 3x3", "spectral", cost.product_work, (4, 16, 50, 120, 250, 500)),
        ("signed 5x5", "spectral", cost.product_work, (4, 16, 50, 100, 250)),
        ("signed 7x7", "spectral", cost.product_work, (4, 16, 50, 100)),
        ("signed 3x3, 10 draws", "spectral", cost.product_work, (10, 40, 100)),
        (STRIDED, "spectral", cost.product_work, (8, 30, 60)),
    ],
    "lines": [("signed, one axis", "direct", cost.lines_work, (4, 16, 64, 250, 1000))],
    "line product": [("signed, one axis", "spectral", cost.line_product_work, (4, 16, 64, 250, 1000))],
    "band": [
        ("non-negative 3x3, against the peak", "spectral", cost.band_work, (50, 200, 1000, 4000)),
        ("non-negative 7x7, against the peak", "spectral", cost.band_work, (50, 200, 1000)),
    ],
    "tiles": [("non-negative 3x3, every pixel", "spectral", cost.tiles_work, (100, 300, 1000, 3000))],
}


class Strided(Family):
    """With a stride between two halves."""

    def net(self, n: int) -> ef.Stack:
        return ef.parse(f"conv3 * {n // 2}, conv3/2, conv3 * {n - n // 2 - 1}")


ALL = FAMILIES | {STRIDED: Strided(STRIDED, 3, signed=True)}


def quickest(call: Callable[[], object]) -> float:
    """The least time: what a busy machine adds is no cost of the engine."""
    started, runs = time.perf_counter(), []
    while not runs or (len(runs) < REPEATS and time.perf_counter() - started < BUDGET):
        begin = time.perf_counter()
        call()
        runs.append(time.perf_counter() - begin)
    return min(runs)


def measured(engine: str) -> tuple[list[cost.Work], list[float]]:
    """Work and seconds of an engine's runs."""
    work, times = [], []
    for name, forced, work_of, depths in RUNS[engine]:
        family = ALL[name]
        for n in depths:
            weights, careless = family.weights(n), forced == family.shallow
            family.run(min(n, 4), forced, careless=careless)  # what is loaded at first is no cost
            times.append(quickest(partial(family.run, n, forced, weights=weights, careless=careless)))
            work.append(work_of(family.chain(n)))
    return work, times


def fitted(work: list[cost.Work], times: list[float]) -> tuple[dict[str, float], list[float]]:
    """Seconds of each kind of work, and every time over what they make of it."""
    names, wanted = list(work[0]), np.array(times)
    matrix = np.array([[item[name] for name in names] for item in work])
    scale = np.median(wanted) / np.maximum(matrix.max(axis=0), 1.0)  # each kind alone would take as long as a run

    def gaps(logs: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.log(matrix @ (scale * np.exp(logs)) / wanted))

    found = scale * np.exp(least_squares(gaps, np.full(len(names), -2.0), loss="soft_l1", f_scale=0.3, bounds=(-16, 4)).x)
    rounded = {name: float(f"{value:.2g}") for name, value in zip(names, found, strict=True)}
    return rounded, (wanted / (matrix @ found)).tolist()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crossings", action="store_true", help="only where engines cross, from the constants that are there")
    args = parser.parse_args()
    table = json.loads(cost.COSTS.read_text(encoding="utf-8")) if args.crossings else {"seconds": {}}
    if not args.crossings:
        facts = machine_facts()
        table["measured"] = datetime.datetime.now(datetime.UTC).date().isoformat()
        table["machine"] = f"{facts['processor']}, {ef.build_info()['instruction_set']}, fft {facts['fft']}"
        rates = [_core.multiply_add_rate_f64(_backend.thread_count(0), 0.1)]
        for engine in RUNS:
            table["seconds"][engine], ratios = fitted(*measured(engine))
            print(f"{engine}: {table['seconds'][engine]}\n  times over the model's: {' '.join(f'{r:.2f}' for r in ratios)}", flush=True)
            rates.append(_core.multiply_add_rate_f64(_backend.thread_count(0), 0.1))
        if min(rates) < BUSY * max(rates):
            print(f"the machine was busy, down to {100 * min(rates) / max(rates):.0f} % of its multiply-adds: better measure again")
        write(table)
    table["crossings"] = {name: crossing(family) for name, family in FAMILIES.items()}
    print("crossings:", table["crossings"])
    write(table)
    return 0


def write(table: dict[str, object]) -> None:
    """Into the package, where `cost` reads it anew."""
    replace_file(cost.COSTS, lambda part: part.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8"))
    cost._table.cache_clear()


if __name__ == "__main__":
    sys.exit(main())
