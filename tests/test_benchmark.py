"""The benchmark: its jobs, words, files and command line. No test asserts a time."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

import erffast as ef
from benchmark_runs import made_benchmark
from erffast import cli
from erffast.benchmark import (
    Benchmark,
    load_results,
    run_jobs,
    runner,
    tables,
    truths,
)
from erffast.benchmark import growth as growth_curves
from erffast.benchmark.answers import single
from erffast.benchmark.cases import Case, Peer
from erffast.benchmark.jobs import JOBS, LEVELS, Job, chosen_jobs
from erffast.benchmark.results import Point
from erffast.benchmark.timing import time_call, time_in_turn, timed_answer
from erffast.benchmark.uniform import SmallCall

ROOT = Path(__file__).resolve().parents[1]


# ------------------------------------------------------------------------------------------------ jobs and their words


@pytest.mark.parametrize("key", JOBS)
@pytest.mark.parametrize("level", LEVELS)
def test_every_job_has_its_sizes(key: str, level: str) -> None:
    job = JOBS[key]
    assert set(job.size(level)) == set(job.peer_size(level))
    assert all(job.peer_size(level)[name] <= value for name, value in job.size(level).items())
    assert level != "full" or job.peer_size(level) == job.size(level)


def test_jobs_are_chosen_by_key() -> None:
    assert chosen_jobs(None) == tuple(JOBS.values())
    assert [job.key for job in chosen_jobs("j4, J1,J1")] == ["J4", "J1"]
    for keys in ("J9", "", ",", "J1 J2"):
        with pytest.raises(ValueError, match="jobs must be some of J1, J2"):
            chosen_jobs(keys)


class Made(Case):
    """A job whose answer is what the test says."""

    answers: tuple[Any, ...] = (1.0,)

    def run(self) -> Any:
        found = self.answers[0]
        if isinstance(found, Exception):
            raise found
        return single(np.full((2, 2), found))

    def check(self, found: Any) -> truths.Verdict:
        return truths.Verdict(abs(float(found.pixels[0, 0, 0]) - 1), 1e-3, "the number one")

    def peers(self, found: Any) -> list[Peer]:
        return [
            Peer("a peer in torch", lambda: single(np.ones((2, 2))), torch=True),
            Peer("a hungry peer", self.starve, slow=True),
            Peer("a peer that is off", lambda: single(np.full((2, 2), 1.5)), fair=True),
        ]

    def starve(self) -> NoReturn:
        raise MemoryError("two terabytes")

    def answer(self, found: Any) -> Any:
        return found

    def engine(self, found: Any) -> str:
        return "made"

    def claimed(self, found: Any) -> float:
        return 0.5


class MadeWrong(Made):
    answers = (2.0,)


class MadeRefusal(Made):
    answers = (ef.BackendUnavailable("no such engine here"),)


def run_made(monkeypatch: pytest.MonkeyPatch, kind: type[Case]) -> Benchmark:
    monkeypatch.setitem(runner.BUDGET, "quick", 0.0)
    job = Job("made", "a made job", kind, ({"n": 9}, {"n": 9}), ({"n": 4}, {"n": 4}))
    monkeypatch.setattr(runner, "chosen_jobs", lambda keys, device: (job,))
    return run_jobs(level="quick", threads=1)


@pytest.mark.usefixtures("small_arrays")
def test_a_run_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else missing(name, *rest))
    found = run_made(monkeypatch, Made)
    (job,) = found.jobs
    assert found.right
    assert job.memory is None  # no process of its own knows a made job
    assert (job.error, job.allowed, job.engine, job.claimed, job.wrong, job.skipped) == (0, 1e-3, "made", 0.5, "", "")
    assert job.timing is not None
    assert job.timing.low <= job.timing.median <= job.timing.high
    assert job.timing.runs >= 3
    peers = {peer.name: peer for peer in job.peers}
    assert "pip install torch" in peers["a peer in torch"].skipped
    assert peers["a hungry peer"].skipped == "two terabytes"
    assert peers["a hungry peer"].size == {"n": 4}
    assert peers["a peer that is off"].size == {"n": 9}
    assert peers["a peer that is off"].error == 0.5
    assert job.fair is peers["a peer that is off"]
    shown = "\n".join(table.as_text() for table in tables.benchmark_tables(found))
    assert "made, a peer in torch: skipped, torch is not installed (pip install torch)" in shown
    assert Benchmark.from_json(found.to_json()) == found


@pytest.mark.usefixtures("small_arrays")
def test_a_wrong_answer_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_made(monkeypatch, MadeWrong)
    (job,) = found.jobs
    assert not found.right
    assert job.timing is None
    assert job.peers == ()
    assert job.wrong == "error 1.0e+00, allowed 1.0e-03, against the number one"
    assert "made: WRONG, error 1.0e+00" in tables.jobs_table(found).as_text()


@pytest.mark.usefixtures("small_arrays")
def test_a_refusal_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_made(monkeypatch, MadeRefusal)
    assert found.right
    assert found.jobs[0].skipped == "no such engine here"
    assert "made: skipped: no such engine here" in tables.jobs_table(found).as_text()


# ------------------------------------------------------------------------------------------------ results


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    found = made_benchmark()
    found.save(tmp_path / "results.json")
    assert load_results(tmp_path / "results.json") == found
    assert json.loads((tmp_path / "results.json").read_text())["jobs"][0]["peers"][1]["error"] == "inf"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "erffast benchmark", "version": 99}', '{"format": "x", "version": 1}'])
def test_other_files_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a result of erffast bench"):
        Benchmark.from_json(text)


def test_the_table_says_what_was_measured() -> None:
    text = tables.jobs_table(made_benchmark()).as_text(200)
    assert "J3 a job" in text
    assert "250 ms" in text
    assert "200 ms .. 500 ms of 3" in text
    assert "20 %" in text  # a floor of 0.05 s over 0.25 s
    assert "2.5x" in text  # 5 MB for an answer of 2 MB
    assert "J3: 2x plain work (125 ms), in turn on fresh memory" in text
    assert "J3: the product alone 100 ms, 40 % of the ceiling" in text
    assert "4x" in text  # the fair peer
    assert "J3: the machine was busy: 40 % of its multiply-adds" in text


def test_markdown_goes_between_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{tables.BEGIN}\nold\n{tables.END}\n\nafter\n")
    tables.replace_table(page, tables.markdown(made_benchmark()))
    first = page.read_text()
    assert "| J3 a job | n=5 | direct | 1.0e-15 |" in first
    assert "Measured 2026-01-02 on a machine, 2 threads, x86-64-v3" in first
    assert first.startswith("# Title\n")
    assert first.endswith("\n\nafter\n")
    assert "old" not in first
    tables.replace_table(page, tables.markdown(made_benchmark()))
    assert page.read_text() == first
    page.write_text("no markers")
    with pytest.raises(ValueError, match="one line <!-- benchmark table -->"):
        tables.replace_table(page, "x")
    assert page.read_text() == "no markers"


@pytest.mark.parametrize("page", ["README.md", "docs/performance.md"])
def test_the_pages_have_a_place_for_the_table(page: str, tmp_path: Path) -> None:
    copy = tmp_path / "page.md"
    copy.write_text((ROOT / page).read_text(encoding="utf-8"), encoding="utf-8")
    tables.replace_table(copy, tables.markdown(made_benchmark()))
    assert "| J3 a job |" in copy.read_text(encoding="utf-8")


def test_the_picture_shows_every_curve(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from erffast.benchmark.pictures import growth_figure, save_growth

    figure = growth_figure(made_benchmark())
    times, memory, kernels = figure.axes
    (line,) = times.get_lines()
    np.testing.assert_allclose(line.get_xydata(), [[100, 0.01], [300, 0.03]])
    (line,) = memory.get_lines()
    np.testing.assert_allclose(line.get_xdata(), [100, 300])
    (line,) = kernels.get_lines()
    np.testing.assert_allclose(line.get_xydata(), [[3, 0.01], [5, 5e-3], [7, 7e-3]])
    save_growth(made_benchmark(), tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="no growth curves"):
        growth_figure(made_benchmark(growth=()))


# ------------------------------------------------------------------------------------------------ time and growth


def test_calls_are_repeated() -> None:
    calls: list[int] = []
    found = time_call(lambda: calls.append(1), budget=0.0)
    assert found.runs == 3
    assert len(calls) > 3  # short calls are timed several at once
    assert 0 < found.low <= found.median <= found.high


def test_a_slow_call_is_made_once() -> None:
    calls: list[int] = []
    answer, found = timed_answer(lambda: calls.append(1) or len(calls), budget=-1.0)  # type: ignore[func-returns-value]
    assert (answer, len(calls), found.runs) == (1, 1, 1)


def test_calls_are_timed_in_turn() -> None:
    calls: list[str] = []
    first, second = time_in_turn(lambda: calls.append("a"), lambda: calls.append("b"), budget=0.0)
    assert calls == ["a", "b"] * 5
    assert first.runs == second.runs == 5


APART = {"J1": {"n": 300}, "J3": {"n": 60, "seeds": 2}, "J2e5": {"n": 30_000}, "parse": {"n": 20}}


@pytest.mark.parametrize(("job", "size"), APART.items())
def test_the_memory_of_a_job_is_measured_apart(job: str, size: dict[str, int]) -> None:
    found = growth_curves.measure_apart(job, size, 1, timeout=60, timed=False)
    assert isinstance(found, dict), found
    side = 2 * size["n"] + 1
    assert found["answer"] == {"J1": 8 * side**2, "J3": 8 * side**2, "J2e5": 16 * side}.get(job, found["answer"])
    assert found["memory"] < 30 * found["answer"] + 2**24
    assert job != "J1" or found["memory"] > 0.9 * found["answer"]


def test_a_point_of_growth_is_measured_in_a_process_of_its_own() -> None:
    point = growth_curves.measure_point("J3d", 200, 3, threads=1, timeout=60)
    assert point.skipped == ""
    assert point.seconds is not None
    assert point.memory is not None
    assert point.seconds > 0
    image = 401**2 * 8
    assert 0.9 * image < point.memory < 20 * image


def test_a_point_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    point = growth_curves.measure_point("nothing", 5, 3, threads=1, timeout=60)
    assert point.seconds is None
    assert "KeyError: 'nothing'" in point.skipped
    monkeypatch.setattr(sys, "executable", "/bin/sleep")
    monkeypatch.setattr(growth_curves.subprocess, "run", timed_out)
    assert growth_curves.measure_point("J3", 5, 3, threads=1, timeout=7).skipped == "not done within 7 s"


def timed_out(*words: Any, **options: Any) -> NoReturn:
    raise growth_curves.subprocess.TimeoutExpired("x", 1)


def test_a_curve_ends_where_it_gets_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    def made_point(job: str, layers: int, kernel: int, threads: int, timeout: float) -> Point:
        return Point(job, layers, kernel, seconds=layers * kernel / 300, memory=1)

    monkeypatch.setattr(growth_curves, "measure_point", made_point)
    points = growth_curves.measure_growth("standard", 1, lambda line: None)
    deep = [p.layers for p in points if p.curve == "J3" and p.kernel == 3]
    assert deep == [100, 300, 1000]  # 10 s: the first past the limit is the last
    assert [p.kernel for p in points if p.curve == "J3" and p.kernel > 3] == [5, 7, 9, 11, 15, 21]


# ------------------------------------------------------------------------------------------------ command line


def test_bench_prints_and_writes(capsys: pytest.CaptureFixture[str], tmp_path: Path, small_arrays: None) -> None:
    assert cli.main(["bench", "--quick", "--jobs", "small,J2", "--threads", "1", "--json", str(tmp_path / "out.json")]) == 0
    shown = capsys.readouterr()
    assert "Ceilings of this machine, 1 thread" in shown.out
    assert "small uniform 3x3, what a call costs" in shown.out
    assert shown.err == f"wrote {tmp_path / 'out.json'}\n"  # progress is for terminals
    found = load_results(tmp_path / "out.json")
    assert [job.key for job in found.jobs] == ["small", "J2"]
    assert found.build["version"] == ef.__version__
    assert {"processor", "cores", "numpy", "scipy", "torch"} <= set(found.machine)
    assert (found.level, found.threads, found.growth) == ("quick", 1, ())


def test_bench_fails_where_an_answer_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, small_arrays: None
) -> None:
    monkeypatch.setattr(SmallCall, "check", lambda self, found: truths.Verdict(1.0, 0.0, "made up"))
    assert cli.main(["bench", "--quick", "--jobs", "small", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["jobs"][0]["wrong"] == "error 1.0e+00, allowed 0.0e+00, against made up"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--jobs", "J9"],
            f"erffast: jobs must be some of {', '.join(JOBS)}, got 'J9'\n",
        ),
        (["--threads", "-1"], "erffast: threads must be at least 0, got -1\n"),
        (["--quick", "--full"], "argument --full: not allowed with argument --quick"),
        (["--plot", "growth.bmp"], "--plot growth.bmp: a picture ends in .png, .svg or .pdf"),
        (["--json", "nowhere/out.json"], "the folder"),
        (["--nope"], "erffast bench: unrecognized arguments: --nope\n(see erffast bench --help)\n"),
        (["--compare", "a", "b", "c"], "erffast: --compare takes one file or two, got 3\n"),
        (["--compare", "nowhere.json"], "erffast: nowhere.json: No such file or directory\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bench_refuses_in_one_line(capsys: pytest.CaptureFixture[str], words: list[str], message: str, tmp_path: Path) -> None:
    try:
        status = cli.main(["bench", *words])
    except SystemExit as exc:
        status = int(exc.code or 0)
    shown = capsys.readouterr()
    assert (status, shown.out) == (2, "")
    assert message in shown.err
