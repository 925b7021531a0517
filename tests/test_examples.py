"""Every example runs as a user would run it, and prints what it promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

# Patterns that the output of each example must contain; blanks stand for any run of them.
PROMISED = {
    "vgg16.py": ["pool1 2 6", "pool2 4 16", "pool3 8 44", "pool4 16 100", "pool5 32 212 27.64", r"\(3, 3\) 0.000 \( 111.5, 111.5\)"],
    "depth.py": [
        "5 11 1.8257 0.816497 8.31 10.44",
        "10 21 2.5820 0.816497 11.70 15.52",
        "20 41 3.6515 0.816497 16.16 22.74",
        "40 81 5.1640 0.816497 22.74 31.95",
        r"1000 2001 25.8199 0.816497",
        r"power E\[g\^2\] 0.482 -0.478 0.961",
        r"amplitude, its root 0.539 -0.421 0.961",
        "std 258.198890, sqrt.*= 258.19889",
    ],
    "subsampling_and_dilation.py": ["dense 31 3.162", "strided 71 8.367", "dilated 53 8.000 35.51 -0.713", "axis 0.205", "stride: 0.999"],
    "gradient_vs_variance.py": ["2 1 25", "4 1 81", "8 1 289", "8 4 289"],
    "deep_signed.py": [
        r"1000 2001 \S+ \S+ \S+ \S+ spectral",
        r"30 layers field 61 peak 10\*\*-3.2 std 4.85 x 4.55",
        r"1000 layers field 2001 peak 10\*\*-111.1 std 27.91 x 24.63",
    ],
    "deep_tails.py": [r"1.0e\+00 \S+ \S+ \S+ \S+", r"1.2e-51 \S+ 1.0e\+00 \S+e-1[2-6] \S+e-11"],
    "tile_margin.py": ["exact 40", "0.0316 18", "0.001 25"],
}


def run_example(name: str, folder: Path) -> str:
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    command = [sys.executable, "-W", "error", str(EXAMPLES / name)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, Path]]:
    """What each example printed, and the folder it ran in; filled as they are run."""
    ran = {}
    for name in PROMISED:
        folder = tmp_path_factory.mktemp(Path(name).stem)
        ran[name] = run_example(name, folder), folder
    return ran


def test_every_example_has_its_numbers_stated():
    assert {p.name for p in EXAMPLES.glob("*.py")} == set(PROMISED)


@pytest.mark.parametrize("name", PROMISED)
def test_prints_the_stated_numbers(name, outputs):
    text = outputs[name][0]
    for pattern in PROMISED[name]:
        words = pattern.replace(" ", r"\s+")
        assert re.search(rf"(?<![\d.]){words}(?!\d*\.\d*e)", text), f"{pattern!r} is not in\n{text}"


@pytest.mark.parametrize("name", PROMISED)
def test_pictures_are_named_and_written(name, outputs):
    pytest.importorskip("matplotlib")
    text, folder = outputs[name]
    named = re.findall(r"wrote (\S+)", text)
    assert named == [p.name for p in folder.iterdir()]
    assert all((folder / picture).stat().st_size > 10_000 for picture in named)


def columns(text: str, heading: str) -> list[list[float]]:
    """The numbers of the lines below a heading, up to the first line that holds none."""
    lines = text[text.index(heading) :].splitlines()[1:]
    rows = []
    for line in lines:
        numbers = [float(n) for n in re.findall(r"-?\d+\.?\d*(?:e[-+]?\d+)?", line)]
        if not numbers:
            break
        rows.append(numbers)
    return rows


def test_mean_of_squares_agrees_with_the_variance(outputs):
    # rms z has standard deviation near 1/sqrt(2 * independent pixels): 0.14 for 25 pixels; heavy tails and correlated
    # pixels widen that, so 2 leaves room and still excludes an error of twice the standard error in every pixel
    rows = columns(outputs["gradient_vs_variance.py"][0], "layers  channels")[:4]
    for layers, channels, _, rms, _, mean, error, _ in rows:
        assert rms < 2, (layers, channels)
        assert abs(mean - 1) < 4 * error, (layers, channels)


def test_error_of_tiles_is_what_halo_promised(outputs):
    for asked, _, expected, measured, error in columns(outputs["tile_margin.py"][0], "   asked"):
        assert expected <= asked
        assert abs(measured - expected) < 4 * error


def test_deep_loops_are_wrong_and_the_engine_is_not(outputs):
    rows = columns(outputs["deep_signed.py"][0], "layers  field")
    assert [row[0] for row in rows] == [10, 30, 100, 300, 1000]
    for *_, error, reported in rows:
        assert error <= reported < 1e-12
    _, _, float32, float64, *_ = rows[-1]
    assert float32 > 0.1
    assert float64 > 1e-10
