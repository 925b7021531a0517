"""Importing erffast is light: nothing heavy is loaded before it is used. No test asserts a time."""

from __future__ import annotations

from typing import Any

import pytest

HEAVY = ("matplotlib", "torch", "scipy", "tqdm", "onnx", "PIL")

LOADED = "import sys; print(*sorted({name.split('.')[0] for name in sys.modules} & set(%r)))"


def loaded_by(run_python: Any, code: str) -> set[str]:
    return set(run_python(f"{code}\n{LOADED % (HEAVY,)}").stdout.split())


def test_the_heavy_modules_would_be_seen(run_python: Any) -> None:
    assert loaded_by(run_python, "import tqdm, scipy") == {"tqdm", "scipy"}


@pytest.mark.parametrize(
    "code",
    [
        "import erffast",
        "import erffast as ef; ef.variance(ef.parse('conv3 * 20'))",
        "import erffast as ef; ef.gradient(ef.parse('conv3'), [[[1, 2, 3], [4, 5, 6], [7, 8, 9]]])",
        "import erffast as ef; ef.receptive_field(ef.parse('conv3 * 20, maxpool2'))",
        "import erffast as ef; ef.build_info(), ef.available_devices(), ef.__version__, dir(ef)",
        "import erffast.cli",
    ],
    ids=["import", "variance", "gradient", "field", "facts", "command line"],
)
def test_nothing_heavy_is_loaded_by(code: str, run_python: Any) -> None:
    assert loaded_by(run_python, code) == set()


def test_import_loads_numpy_at_most_and_no_engine(run_python: Any) -> None:
    loaded = run_python("import sys, erffast; print(*sys.modules)").stdout.split()
    assert "erffast" in loaded
    assert not [name for name in loaded if name.startswith("erffast.")]


def test_import_says_nothing_and_starts_nothing(run_python: Any) -> None:
    done = run_python("import threading, erffast, multiprocessing; assert threading.active_count() == 1")
    assert done.stdout == ""
    assert done.stderr == ""


def test_all_names_load_without_plotting_and_torch(run_python: Any) -> None:
    assert loaded_by(run_python, "from erffast import *") & {"matplotlib", "torch", "onnx"} == set()


@pytest.mark.parametrize("missing", ["matplotlib", "torch", "onnx"])
def test_extras_may_be_missing(missing: str, run_python: Any) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None\nfrom erffast import *\nimport erffast as ef\nprint(ef.analyze('conv3 * 5'))"
    assert "11 x 11" in run_python(code).stdout


def test_a_missing_matplotlib_is_named_with_its_remedy(run_python: Any) -> None:
    code = "import sys; sys.modules['matplotlib'] = None\nimport erffast as ef\nef.variance(ef.parse('conv3')).plot()"
    done = run_python(code, fails=True)
    assert done.returncode == 1
    assert 'pip install "erffast[plot]"' in done.stderr.splitlines()[-1]
