"""Two runs compared: what got slower, wrong or lost is seen, what a busy or another machine does is not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from benchmark_runs import MADE, made_benchmark
from erffast import cli
from erffast.benchmark import Benchmark, JobResult
from erffast.benchmark.compare import Comparison, compare, comparison_table, failed
from erffast.benchmark.results import Timing

JOB = made_benchmark().jobs[0]


def run_with(*jobs: JobResult, **fields: Any) -> Benchmark:
    return made_benchmark(jobs=jobs, **fields)


def timed(factor: float, *, spread: float = 1.1, **fields: Any) -> JobResult:
    """The job in `factor` times the time."""
    median = 0.25 * factor
    return dataclasses.replace(JOB, timing=Timing(median, median / spread, median * spread, 5), **fields)


def compared(old: JobResult, new: JobResult, **fields: Any) -> Comparison:
    (found,) = compare(run_with(old), run_with(new, **fields))
    return found


@pytest.mark.parametrize(
    ("new", "verdict", "fails"),
    [
        pytest.param(timed(1.0), "", False, id="the same"),
        pytest.param(timed(1.2), "", False, id="a little slower"),
        pytest.param(timed(1.4), "SLOWER", True, id="slower"),
        pytest.param(timed(1.4, spread=1.5), "", False, id="slower within the spread"),
        pytest.param(timed(0.5), "faster", False, id="faster"),
        pytest.param(timed(1.0, wrong="error 1"), "WRONG", True, id="wrong"),
        pytest.param(dataclasses.replace(JOB, timing=None, wrong="error 1"), "WRONG", True, id="wrong and not timed"),
        pytest.param(dataclasses.replace(JOB, timing=None, skipped="no memory"), "LOST, no memory", True, id="no longer runs"),
        pytest.param(timed(9.0, size={"n": 7}), "n=5 before: not compared", False, id="another size"),
    ],
)
def test_a_job_beside_its_former_self(new: JobResult, verdict: str, fails: bool) -> None:
    found = compared(timed(1.0), new)
    assert (found.verdict, found.failed, failed([found])) == (verdict, fails, fails)


def test_what_a_slower_machine_does_cancels() -> None:
    slow = dataclasses.replace(MADE, float64=MADE.float64 / 2)
    assert compared(timed(1.0), timed(2.0, floor=0.1), ceilings=slow).verdict == ""
    assert compared(timed(1.0), timed(2.0), ceilings=slow).verdict == "SLOWER"  # its floor is where it was
    assert compared(timed(1.0), timed(1.0, floor=0.02)).verdict == "SLOWER"  # a faster machine, and no faster for it
    assert compared(timed(1.0, floor=None), timed(2.0, floor=None), ceilings=slow).verdict == ""  # in units of arithmetic
    assert compared(timed(1.0), timed(1.0, floor=0.02, counted="other work")).verdict == ""


def test_jobs_that_come_and_go() -> None:
    old, new = timed(1.0), dataclasses.replace(JOB, key="J9")
    gone, come = compare(run_with(old), run_with(new))
    assert (gone.verdict, gone.failed) == ("MISSING", True)
    assert (come.verdict, come.failed) == ("new", False)
    assert compare(run_with(old), run_with(new), only=["J9"]) == (come,)
    skipped = dataclasses.replace(JOB, timing=None, skipped="no memory")
    assert (compared(skipped, skipped).verdict, compared(skipped, skipped).failed) == ("skipped, as before", False)
    assert compared(skipped, old).verdict == "had no time before"


def test_the_table_names_both_machines() -> None:
    old, new = run_with(timed(1.0)), run_with(timed(2.0))
    text = comparison_table(compare(old, new), old, new).as_text(200)
    assert "J3" in text
    assert "250 ms  500 ms" in text
    assert "20 %" in text
    assert "10 %" in text
    assert "2x  SLOWER" in text
    assert "differ" not in text
    other = dataclasses.replace(new, machine=new.machine | {"processor": "another machine"})
    text = comparison_table(compare(old, other), old, other).as_text(200)
    assert "new: 2026-01-02, another machine, 2 threads, x86-64-v3." in text
    assert "The machines differ" in text


def test_files_are_compared(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name, factor in (("old", 1.0), ("same", 1.01), ("slow", 2.0)):
        run_with(timed(factor)).save(tmp_path / f"{name}.json")
    old, same, slow = (str(tmp_path / f"{name}.json") for name in ("old", "same", "slow"))
    assert cli.main(["bench", "--compare", old, same]) == 0
    assert "New against old" in capsys.readouterr().out
    assert cli.main(["bench", "--compare", old, slow]) == 1
    assert "SLOWER" in capsys.readouterr().out
    assert cli.main(["bench", "--compare", old, slow, "--jobs", "J1"]) == 0


@pytest.mark.usefixtures("small_arrays")
def test_a_run_is_compared_with_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    patient = dataclasses.replace(timed(1e6), key="small", size={"n": 20}, floor=None)  # a job that took days
    run_with(patient, timed(1.0)).save(tmp_path / "old.json")
    assert cli.main(["bench", "--quick", "--jobs", "small", "--threads", "1", "--compare", str(tmp_path / "old.json")]) == 0
    assert "faster" in capsys.readouterr().out
    quick = dataclasses.replace(timed(1e-9), key="small", size={"n": 20}, floor=None)
    run_with(quick).save(tmp_path / "old.json")
    assert cli.main(["bench", "--quick", "--jobs", "small", "--threads", "1", "--compare", str(tmp_path / "old.json")]) == 1
    assert "SLOWER" in capsys.readouterr().out
