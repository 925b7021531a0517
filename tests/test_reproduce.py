"""What `erffast reproduce` promises: verdicts, a report, parts that are not computed twice, the same numbers wherever they come from."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import erffast as ef
from erffast import cli
from erffast.experiments import EXPERIMENTS, Claim, Findings, Grid, Run, _run, reproduce
from erffast.experiments._report import report

# ------------------------------------------------------------------------------------------------ verdicts


@pytest.mark.parametrize(
    ("claim", "theory", "paper"),
    [
        (Claim("", 1.0, theory=1.0), "agrees", None),
        (Claim("", 1.0 + 1e-9, theory=1.0), "differs", None),  # what is not sampled has no excuse
        (Claim("", 1.3, 0.1, theory=1.0), "agrees", None),
        (Claim("", 1.5, 0.1, theory=1.0), "differs", None),
        (Claim("", 1.5, 0.1, theory=1.0, margin=0.2), "agrees", None),
        (Claim("", 1.0, 0.3, theory=1.1), "cannot tell", None),  # 4 x 0.3 is more than the number itself
        (Claim("", 0.0, 0.3, theory=0.1), "cannot tell", None),
        (Claim("", float("nan"), 0.1, theory=1.0), "differs", None),
        (Claim("", 1.0, float("nan"), theory=1.0), "differs", None),
        (Claim("", 1.5, 0.1, theory=1.0, relation=">"), "agrees", None),
        (Claim("", 0.5, 0.1, theory=1.0, relation=">"), "differs", None),
        (Claim("", 1.3, 0.1, theory=1.0, relation=">"), "cannot tell", None),
        (Claim("", 0.5, 0.1, theory=1.0, relation="<"), "agrees", None),
        (Claim("", 1.5, theory=1.0, relation="<"), "differs", None),
        (Claim("", 0.555, paper=0.56, rounding=0.005), None, "agrees"),
        (Claim("", 0.554, paper=0.56, rounding=0.005), None, "differs"),
        (Claim("", 0.50, 0.016, paper=0.56, rounding=0.005), None, "agrees"),
        (Claim("", 2.0), None, None),
    ],
)
def test_verdicts(claim: Claim, theory: str | None, paper: str | None) -> None:
    assert (claim.against_theory, claim.against_paper) == (theory, paper)
    assert claim.holds == (theory in (None, "agrees"))
    kept = claim.to_json()
    assert (kept.pop("against_theory"), kept.pop("against_paper")) == (theory, paper)
    assert Claim(**kept) == claim  # a verdict can be had again from what is written


def test_a_claim_that_fails_is_shown_as_failing() -> None:
    claims = [
        Claim("size of |g|, px", 3.04, 0.02, theory=2.5, paper=3.0, rounding=0.5, because="a formula"),
        Claim("ratio", 0.5, theory=0.5, because="another"),
    ]
    found = Findings(claims, "Words.", tables=[Grid("A table", ("case", "value"), [("one", "1")])])
    text = report({"some": found}, {"some": "Some: thing"}, {"some": ["picture"]}, {"version": "1", "quick": True, "seed": 3})
    assert "| size of \\|g\\|, px | 3 | 2.5 | 3.04 ± 0.02 | **no** | yes | a formula |" in text
    assert "| ratio |  | 0.5 | 0.5 | yes |  | another |" in text
    assert "| [Some: thing](#some-thing) | 1 of 2 | 1 of 1 |" in text
    assert "(figures/picture.png)" in text
    assert "| one | 1 |" in text
    assert "seed 3, a quick run" in text
    cells = {row.replace("\\|", "").count("|") for row in text.splitlines() if row.startswith("| size") or row.startswith("| ratio")}
    assert cells == {8}


# ------------------------------------------------------------------------------------------------ the whole


@pytest.fixture(scope="module")
def whole(quick_run: Run) -> Path:
    """A quick run of everything, on the parts that other tests have made or will use."""
    assert quick_run.parts is not None
    reproduce(quick_run.parts.parent, quick=True)
    return quick_run.parts.parent


def test_a_quick_run_bears_theory_out(whole: Path) -> None:
    results = json.loads((whole / "results.json").read_text())
    assert tuple(results["experiments"]) == EXPERIMENTS
    failed = [
        claim["name"]
        for some in results["experiments"].values()
        for claim in some["claims"]
        if claim["against_theory"] not in ("agrees", None)
    ]
    assert failed == []
    judged = [claim for some in results["experiments"].values() for claim in some["claims"] if claim["theory"] is not None]
    assert len(judged) > 10 * len(EXPERIMENTS) / 2


def test_the_report_shows_every_figure_and_every_claim(whole: Path) -> None:
    text = (whole / "report.md").read_text()
    shown = set(re.findall(r"\(figures/([\w-]+)\.png\)", text))
    assert shown == {path.stem for path in (whole / "figures").glob("*.png")} == {path.stem for path in (whole / "figures").glob("*.pdf")}
    results = json.loads((whole / "results.json").read_text())
    for some in results["experiments"].values():
        assert f"## {some['title']}" in text
        for claim in some["claims"]:
            assert claim["name"].replace("|", "\\|") in text
    assert not re.search(r"\bnan\b|\binf\b|\{|\}", text)


def test_every_experiment_has_what_its_users_call() -> None:
    for name in EXPERIMENTS:
        module = getattr(ef.experiments, name)
        assert module.TITLE
        assert module.__doc__
        assert callable(module.find)
        assert callable(module.draw)


# ------------------------------------------------------------------------------------------------ parts


def test_finished_parts_are_not_computed_again(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (whole / "results.json").read_bytes()

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a finished part was computed again")

    monkeypatch.setattr(_run, "simulate", never)
    reproduce(whole, quick=True)
    assert (whole / "results.json").read_bytes() == before


def test_a_run_that_was_interrupted_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tmp_path / "whole"
    reproduce(whole, only=["growth"], quick=True)
    calls, simulate = [0], _run.simulate

    def stopping(*args: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == 5:
            raise KeyboardInterrupt
        return simulate(*args, **options)

    monkeypatch.setattr(_run, "simulate", stopping)
    with pytest.raises(KeyboardInterrupt):
        reproduce(tmp_path / "cut", only=["growth"], quick=True)
    assert len(list((tmp_path / "cut" / "parts").iterdir())) == 4
    reproduce(tmp_path / "cut", only=["growth"], quick=True)
    parts = len(list((whole / "parts").iterdir()))
    assert calls[0] == parts + 1
    for name in ("results.json", "report.md", "figures/growth.png"):
        assert (tmp_path / "cut" / name).read_bytes() == (whole / name).read_bytes()


def test_a_part_depends_on_all_that_it_is_computed_from(tmp_path: Path) -> None:
    run, net = Run(tmp_path), ef.parse("conv3, relu, conv3")
    images = np.ones((1, 5, 5))
    widened = ef.Stack([ef.Conv(3, tap_variance=ef.analytic.end_taps(3)[:, None] * np.ones(3)), *list(net)[1:]])
    for other, options in [
        (net, {}),
        (net, {"draws": 2}),
        (net, {"draws": 2, "seed": 1}),
        (net, {"draws": 2, "channels": 2}),
        (widened, {"draws": 2}),
        (net, {"draws": 2, "inputs": images}),
        (net, {"draws": 2, "inputs": 2 * images}),
        (net, {"draws": 2, "inputs": images.astype(np.float32)}),
    ]:
        before = len(list(tmp_path.iterdir()))
        first = run.simulate(other, **options)
        assert len(list(tmp_path.iterdir())) == before + 1
        again = run.simulate(other, **options)
        assert np.array_equal(first.image, again.image)
        assert len(list(tmp_path.iterdir())) == before + 1


def test_a_damaged_part_is_made_again(tmp_path: Path) -> None:
    run, net = Run(tmp_path), ef.parse("conv3 * 2")
    first = run.simulate(net, draws=3)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    assert np.array_equal(run.simulate(net, draws=3).image, first.image)
    assert np.array_equal(ef.ERF.load(path).image, first.image)


ELSEWHERE = """
import sys
from erffast.experiments import reproduce
if __name__ == "__main__":
    options = {"only": ["growth"], "quick": True}
    if sys.argv[1] == "dask":
        from distributed import Client, LocalCluster
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
            reproduce("there", executor=client.get_executor(), **options)
    else:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
            reproduce("there", executor=executor, **options)
"""


@pytest.mark.parametrize("kind", ["processes", "dask"])
def test_an_executor_gives_the_same_report(kind: str, tmp_path: Path) -> None:
    if kind == "dask":
        pytest.importorskip("distributed", reason="Dask's workers are not installed (pip install distributed)")
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    command = [sys.executable, "elsewhere.py", kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    reproduce(tmp_path / "here", only=["growth"], quick=True)
    for part in (tmp_path / "here" / "parts").iterdir():
        a, b = ef.ERF.load(part), ef.ERF.load(tmp_path / "there" / "parts" / part.name)
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.exponent, b.exponent)
    assert (tmp_path / "here" / "results.json").read_bytes() == (tmp_path / "there" / "results.json").read_bytes()


# ------------------------------------------------------------------------------------------------ the command line


def test_the_command_says_what_holds(quick_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert quick_run.parts is not None
    folder = quick_run.parts.parent
    assert cli.main(["reproduce", str(folder), "--quick", "--only", "shapes"]) == 0
    out, err = capsys.readouterr()
    assert re.match(r"shapes +(\d+) of +\1 agree with theory +[\d.]+ s\n$", out)
    assert err == f"wrote {folder / 'report.md'}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nonsense"], "only must be one of 'shapes', "),
        (["--only", ","], "--only names no experiment; there are shapes, "),
        (["--seed", "-1"], "seed must be at least 0, got -1"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["reproduce", str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_only_is_a_sequence_of_names(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"only must be a sequence of names such as \('growth',\), got the text 'growth'"):
        reproduce(tmp_path / "out", only="growth")
    with pytest.raises(ValueError, match="only names no experiment; there are shapes, "):
        reproduce(tmp_path / "out", only=[])
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["reproduce", str(tmp_path / "file")]) == 2
    assert "this is a file; name a folder" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_leaves_whole_parts_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "erffast", "reproduce", str(tmp_path / "out"), "--only", "growth"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        parts = tmp_path / "out" / "parts"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (not parts.exists() or len(list(parts.iterdir())) < 3):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == f"erffast: interrupted; the same command again goes on from the parts in {parts}\n"
    assert not (tmp_path / "out" / "report.md").exists()
    for part in parts.iterdir():
        assert part.suffix == ".npz"
        ef.ERF.load(part)


# ------------------------------------------------------------------------------------------------ the documentation


def test_the_report_of_the_documentation_is_whole() -> None:
    """Made with this list of experiments, not quickly, and with every figure that it shows; `python docs/make_reproduction.py` makes it."""
    folder = Path(__file__).resolve().parents[1] / "docs" / "reproduction"
    results = json.loads((folder / "results.json").read_text())
    assert tuple(results["experiments"]) == EXPERIMENTS
    assert not results["erffast"]["quick"]
    shown = re.findall(r"\((figures/[\w-]+\.png)\)", (folder / "report.md").read_text())
    assert sorted(shown) == sorted(str(path.relative_to(folder)) for path in (folder / "figures").iterdir())
