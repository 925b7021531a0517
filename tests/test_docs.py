"""Documentation that cannot go stale: its code runs, its outputs are what is printed, its links lead somewhere."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

import erffast as ef

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    language: str
    code: str
    line: int  # of the fence, from 1


def blocks(page: Path, language: str) -> list[Block]:
    """The fenced blocks of one language on a page."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(m[1], m[2], text.count("\n", 0, m.start()) + 1) for m in found if m[1] == language]


def names(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Pages write files; they do it where it does no harm."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def failures(test: doctest.DocTest) -> str:
    """What a doctest has to complain about; empty where all is well. Its names are kept."""
    said: list[str] = []
    doctest.DocTestRunner(verbose=False, optionflags=FLAGS).run(test, out=said.append, clear_globs=False)
    return "".join(said)


# ------------------------------------------------------------------------------------------------ code of the pages


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_python_blocks_run_and_print_what_they_show(page, folder):
    """Blocks of one page share their names, as a reader's session would. With prompts, the outputs are compared."""
    # what the "Equivalent to" lines of the README take from the sentence around them
    scope: dict[str, Any] = {"np": np, "n": 5}
    said = ""
    for block in blocks(page, "python"):
        if ">>>" in block.code:
            test = doctest.DocTestParser().get_doctest(block.code, {}, page.name, str(page), block.line)
            test.globs = scope
            said += failures(test)
        else:
            if "scipy.signal" in block.code:
                scope["scipy"] = pytest.importorskip("scipy")
                importlib.import_module("scipy.signal")
            exec(compile("\n" * block.line + block.code, str(page), "exec"), scope)
    assert not said, said


def test_lines_the_readme_calls_equivalent_are(folder):
    (block,) = [b for b in blocks(ROOT / "README.md", "python") if "convolve2d" in b.code]
    scope: dict[str, Any] = {"np": np, "scipy": importlib.import_module("scipy"), "n": 6}
    importlib.import_module("scipy.signal")
    exec(block.code, scope)
    np.testing.assert_allclose(np.asarray(ef.variance(ef.parse("conv3 * 6"))), scope["image"], rtol=1e-13)


def commands() -> list[Any]:
    """Every `$ erffast ...` of the pages with what it is said to print."""
    found = []
    for page in PAGES:
        for block in blocks(page, "console"):
            for part in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
                line, _, wanted = part.partition("\n")
                if line.startswith("erffast "):
                    found.append(pytest.param(line, wanted, id=f"{names(page)}: {line}"))
    return found


@pytest.mark.parametrize(("line", "wanted"), commands())
def test_commands_print_what_the_pages_show(line, wanted, folder):
    words = [sys.executable, "-m", "erffast", *shlex.split(line)[1:]]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 0, done.stderr
    assert doctest.OutputChecker().check_output(wanted, done.stdout, FLAGS), f"wanted\n{wanted}\ngot\n{done.stdout}"


# ------------------------------------------------------------------------------------------------ code of the docstrings


def modules() -> list[ModuleType]:
    found = [ef]
    for info in pkgutil.walk_packages(ef.__path__, "erffast."):
        if not info.name.endswith(("__main__", "._core")):
            found.append(importlib.import_module(info.name))
    return found


def examples() -> list[Any]:
    """Every docstring of the package that holds an example."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    tests = [test for module in modules() for test in finder.find(module, module.__name__) if test.examples]
    return [pytest.param(test, id=test.name) for test in tests]


@pytest.mark.parametrize("test", examples())
def test_examples_in_docstrings_are_true(test, folder):
    said = failures(test)
    assert not said, said


# ------------------------------------------------------------------------------------------------ links


def anchors(page: Path) -> set[str]:
    """The anchors a page's headings make: lower case, words joined by dashes, punctuation dropped."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ +(.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links() -> list[Any]:
    found = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8"))):
            if not re.match(r"[a-z]+:", target):
                found.append(pytest.param(page, target, id=f"{names(page)} to {target}"))
    return found


@pytest.mark.parametrize(("page", "target"), links())
def test_links_and_pictures_exist(page, target):
    path, _, anchor = target.partition("#")
    goal = (page.parent / path).resolve() if path else page
    assert goal.exists(), f"{goal} does not exist"
    if anchor:
        assert anchor in anchors(goal), f"{names(goal)} has no heading {anchor!r}"


@pytest.mark.parametrize("picture", sorted((ROOT / "docs/images").glob("*")), ids=lambda p: p.name)
def test_pictures_are_small_and_used(picture):
    assert picture.stat().st_size < 250_000
    assert any(f"images/{picture.name}" in page.read_text(encoding="utf-8") for page in PAGES)
