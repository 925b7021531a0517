"""The command line, run as a user runs it: what it prints, what it writes, and how it refuses."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest

import erffast as ef
from erffast import cli

COMMANDS = ["analyze", "field", "check", "simulate", "show", "bench", "info"]


class Outcome(SimpleNamespace):
    """Exit status and what went to the two streams."""

    status: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: str) -> Outcome:
        try:
            status = cli.main(list(words))
        except SystemExit as exc:  # argparse leaves this way
            status = int(exc.code or 0)
        captured = capsys.readouterr()
        return Outcome(status=status, out=captured.out, err=captured.err)

    return call


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def in_a_process(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "erffast", *words], capture_output=True, text=True, timeout=120, check=False, **options)


# ---------------------------------------------------------------- what it does


def test_analyze_prints_the_report(run: Any) -> None:
    done = run("analyze", "conv3 * 20")
    assert (done.status, done.err) == (0, "")
    assert done.out == repr(ef.analyze("conv3 * 20")) + "\n"


def test_analyze_writes_every_kind_of_file(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    suffixes = {"plot": ".png", "html": ".html", "json": ".json", "save": ".npz"}
    files = {option: tmp_path / f"out{suffix}" for option, suffix in suffixes.items()}
    done = run("analyze", "conv3 * 20", *(word for option, file in files.items() for word in (f"--{option}", str(file))))
    assert done.status == 0
    assert sorted(os.listdir(tmp_path)) == ["out.html", "out.json", "out.npz", "out.png"]
    assert sorted(done.err.splitlines()) == sorted(f"wrote {file}" for file in files.values())
    assert files["plot"].read_bytes().startswith(b"\x89PNG")
    assert json.loads(files["json"].read_text())["network"]["layers"] == 20
    assert ef.ERF.load(files["save"]).std() == ef.variance(ef.parse("conv3 * 20")).std()
    assert "<!DOCTYPE html>" in files["html"].read_text()


def test_json_on_standard_output_is_nothing_but_json(run: Any) -> None:
    done = run("analyze", "conv3 * 20", "--json")
    assert json.loads(done.out)["receptive_field"]["size"] == [41, 41]


def test_quiet_prints_nothing(run: Any, tmp_path: Path) -> None:
    done = run("analyze", "conv3", "-q", "--json", str(tmp_path / "out.json"))
    assert (done.status, done.out, done.err) == (0, "", "")


def test_verbose_prints_every_row_and_the_time(run: Any) -> None:
    many = "conv3, conv5, " * 40
    assert "rows left out" in run("analyze", many).out
    verbose = run("analyze", many, "-v").out
    assert "rows left out" not in verbose
    assert verbose.endswith(" s\n")


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["--input-size", "9"], {"input_size": 9}),
        (["--input-size", "9x12", "--unit", "0x3"], {"input_size": (9, 12), "unit": (0, 3)}),
        (["--window", "full"], {"window": "full"}),
        (["--window", "5x7"], {"window": (5, 7)}),
        (["--tol", "1e-3", "--engine", "direct", "--accuracy", "pixel"], {"tol": 1e-3, "engine": "direct", "accuracy": "pixel"}),
        (["--dtype", "float32", "--device", "cpu", "--threads", "1"], {"dtype": "float32", "device": "cpu", "threads": 1}),
        (["--layer", "1"], {"layer": 1}),
        (["--layer", "-2"], {"layer": -2}),
        (["--layer", "relu"], {"layer": "relu"}),
        (["--ndim", "1"], {"ndim": 1}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_mean_what_they_mean_in_python(run: Any, words: list[str], options: dict[str, Any]) -> None:
    text = "conv3:p1, conv3:p1, relu, conv3:p1"
    done = run("analyze", text, "--json", *words)
    assert done.status == 0, done.err
    assert done.out == ef.analyze(text, **options).to_json()


def test_field_prints_the_table(run: Any) -> None:
    done = run("field", "conv7/2:p3, maxpool3/2:p1, conv3:p1 * 4")
    assert done.status == 0
    assert "Theoretical receptive field 43 px, jump 4" in done.out
    assert "Unit 0 begins at (-21, -21)" in done.out
    std = "7.024"  # sqrt(48 / 12 + 4 * 8 / 12 + 4 * 16 * 8 / 12)
    assert done.out.splitlines()[-1].split() == ["6", "conv3:p1", "*", "4", "4", "43", std]
    assert "field 11 px" in run("field", "conv7/2:p3, maxpool3/2:p1, conv3:p1 * 4", "--layer", "maxpool3/2:p1").out


def test_field_of_any_depth_is_instant_and_short(run: Any) -> None:
    done = run("field", "(conv3, relu) * 100000, conv5 * 1000000")
    assert "4,200,001 px" in done.out
    assert len(done.out.splitlines()) < 10


def test_check_tells_by_its_exit_status(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("check", "conv3 * 20")
    assert done.status == 0
    assert "all" in done.out.splitlines()[0]
    wrong = SimpleNamespace(name="made up", expected=1.0, measured=2.0, bound=0.1, holds=False, source="")
    monkeypatch.setattr(ef.analytic, "check", lambda net: [wrong])
    done = run("check", "conv3")
    assert done.status == 1
    assert "1 of 1 FAIL" in done.out
    assert run("check", "conv3", "-q").out == ""


def test_simulate_prints_the_sizes_beside_the_theory(run: Any, tmp_path: Path) -> None:
    words = ["--draws", "20", "--seed", "3", "--channels", "2", "--input-size", "16", "--dtype", "float32", "--normalise"]
    done = run("simulate", "(conv3:p1, relu) * 3", *words, "--save", str(tmp_path / "erf.npz"))
    erf = ef.simulate(ef.parse("(conv3:p1, relu) * 3"), draws=20, seed=3, channels=2, input_size=16, dtype="float32", normalise=True)
    assert (done.status, done.out.splitlines()[:4]) == (0, repr(erf).splitlines())
    theory = repr(ef.variance(ef.parse("(conv3:p1, relu) * 3"), input_size=16)).splitlines()[1]
    assert done.out.splitlines()[4:] == [f"theory, {theory}"]
    assert np.array_equal(ef.ERF.load(tmp_path / "erf.npz").image, erf.image)
    wide = run("simulate", "conv3, relu, conv3", "--scheme", "wide-2")
    assert wide.out.splitlines()[:4] == repr(ef.simulate(ef.parse("conv3, relu, conv3"), scheme="wide-2")).splitlines()
    block = run("simulate", "residual(conv3:p1, relu, conv3:p1)", "--draws", "2")
    assert "theory: none beside it, layer 0 (residual(conv3:p1, relu, conv3:p1)): variance() of skip connections" in block.out
    assert run("simulate", "conv3", "-q").out == ""


def test_show_prints_and_draws_a_saved_result(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    erf = ef.variance(ef.parse("conv3 * 20"))
    erf.save(tmp_path / "erf.npz")
    done = run("show", str(tmp_path / "erf.npz"), "--plot", str(tmp_path / "erf.svg"))
    assert (done.status, done.out) == (0, repr(erf) + "\n")
    assert "<svg" in (tmp_path / "erf.svg").read_text()


def test_info_and_version(run: Any) -> None:
    done = run("info")
    assert done.status == 0
    for key in (*ef.build_info(), *ef.available_devices()):
        assert key in done.out
    assert run("--version").out == f"erffast {ef.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_that_works(run: Any, command: str, in_folder: Path) -> None:
    done = run(command, "--help")
    assert done.status == 0
    examples = [line.strip() for line in done.out.split("example:")[1].splitlines() if line.strip()]
    ef.variance(ef.parse("conv3")).save(in_folder / "erf.npz")
    for example in examples:
        program, *words = shlex.split(example)
        assert program == "erffast"
        assert run(*words).status == 0, example


def test_without_a_command_the_help_is_printed(run: Any) -> None:
    done = run()
    assert done.status == 2
    for command in COMMANDS:
        assert command in done.out


# ---------------------------------------------------------------- how it refuses


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["analyze", "conv3, cnv3"], "erffast: cannot read the network at position 8: unknown layer 'cnv3', did you mean 'conv3'?\n"),
        (["analyze", "conv3, cnv3"], "\n  conv3, cnv3\n         ^^^^\n"),
        (["field", "conv0"], "kernel must be at least 1, got 0"),
        (["check", ""], "the text is empty"),
        (["analyze", "model.onnx"], "ONNX models come in a later version"),
        (["analyze"], "the following arguments are required: TEXT"),
        (["analyse", "conv3"], "invalid choice: 'analyse'"),
        (["analyze", "conv3", "--unit", "3y4"], "argument --unit: expected a whole number, or one per axis such as 224x224, got '3y4'"),
        (["analyze", "conv3", "--window", "big"], "argument --window: expected auto, full, or a size such as 101x101, got 'big'"),
        (["analyze", "conv3", "--ndim", "4"], "argument --ndim: invalid choice"),
        (["analyze", "conv3", "--unit", "3x4x5"], "unit"),
        (["analyze", "conv3", "--input-size", "2"], "the output is empty"),
        (["analyze", "conv3", "--input-size", "9", "--unit", "7"], "unit"),
        (["analyze", "conv3", "--tol", "-1"], "tol"),
        (["analyze", "conv3", "--threads", "-1"], "threads must be at least 0, got -1"),
        (["analyze", "conv3", "--layer", "5"], "layer 5 is outside the network of 1 layers"),
        (["analyze", "conv3", "--layer", "relu"], "layer 'relu' is not in the network"),
        (["bench", "--device", "cuda", "--plot", "growth.png"], "--plot draws growth on the CPU"),
        (["analyze", "conv3/2 * 100"], "2**62"),
        (["analyze", "conv3", "--plot", "erf.bmp"], "--plot erf.bmp: a picture ends in .png, .svg or .pdf"),
        (["analyze", "conv3", "--plot", "nowhere/erf.png"], "the folder"),
        (["analyze", "conv3", "--save", "."], "--save .: this is a folder; name a file"),
        (["simulate", "conv3", "--draws", "0"], "draws must be at least 1, got 0"),
        (["simulate", "conv3", "--scheme", "kaiming"], "scheme must be one of 'he', 'glorot'"),
        (["simulate", "conv3", "--scheme", "wide"], "scheme 'wide': 'wide' takes a finite number behind it, as in 'wide1.5'"),
        (["simulate", "conv3, batchnorm, conv3"], "the statistics of a norm are taken over the map; give input_size"),
        (["show", "nowhere.npz"], "nowhere.npz: No such file or directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_wrong_input_gives_one_clean_message(run: Any, words: list[str], message: str, in_folder: Path) -> None:
    done = run(*words)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("erffast")
    assert message in done.err
    assert os.listdir(in_folder) == []


def test_a_file_that_is_no_result_is_refused(run: Any, tmp_path: Path) -> None:
    (tmp_path / "erf.npz").write_text("not an archive")
    done = run("show", str(tmp_path / "erf.npz"))
    assert done.status == 2
    assert "is not a file written by ERF.save" in done.err


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused_before_the_work(run: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = run("analyze", "conv3", "--save", str(tmp_path / "erf.npz"))
    tmp_path.chmod(0o700)
    assert done.status == 2
    assert "cannot be written to" in done.err


def test_missing_matplotlib_is_told_with_the_remedy(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "matplotlib" else found(name, *rest))
    done = run("analyze", "conv3", "--plot", str(tmp_path / "erf.png"))
    assert done.status == 2
    assert 'pip install "erffast[plot]"' in done.err


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (MemoryError("8 GB are needed; use window=101"), 2, "erffast: not enough memory: 8 GB are needed; use window=101\n"),
        (MemoryError(), 2, "erffast: not enough memory: the operating system refused more\n"),
        (ef.AccuracyError("tol=1e-12 cannot be kept"), 2, "erffast: tol=1e-12 cannot be kept\n"),
        (ef.BackendUnavailable("no CUDA here"), 2, "erffast: no CUDA here\n"),
        (PermissionError(13, "Permission denied", "erf.png"), 2, "erffast: erf.png: Permission denied\n"),
        (OSError(28, "No space left on device"), 2, "erffast: [Errno 28] No space left on device\n"),
        (KeyboardInterrupt(), 130, "erffast: interrupted\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)  # fmt: skip
def test_failures_on_the_way(run: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, message: str) -> None:
    def fail(*_: Any, **__: Any) -> NoReturn:
        raise error

    monkeypatch.setattr("erffast.propagation.variance", fail)
    done = run("analyze", "conv3")
    assert (done.status, done.out, done.err) == (status, "", message)


def test_a_closed_pipe_is_quiet() -> None:
    command = f"{sys.executable} -m erffast field '{'conv3, conv5, ' * 5000}' -v | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.startswith("Theoretical receptive field")
    assert done.stderr == ""


def test_the_module_runs_and_no_bar_is_drawn_into_a_file() -> None:
    done = in_a_process("analyze", "conv3 * 20")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == repr(ef.analyze("conv3 * 20")) + "\n"
    done = in_a_process("analyze", "cnv3")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_plain_ascii_terminals_are_enough() -> None:
    done = in_a_process("analyze", "conv3 * 20", env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert (done.returncode, done.stderr) == (0, "")
