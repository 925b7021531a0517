"""What the compiler made of the kernels: symbols, and fused multiply-adds in a fixed order."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from erffast import _core
from instruction_sets import FILES, FUSED, SETS

ROOT = Path(__file__).resolve().parents[1]
KERNELS = ROOT / "cpp" / "src" / "kernels"
NM, COMPILER = shutil.which("nm"), os.environ.get("CXX", "c++")
SOURCES = sorted(path.stem for name in FILES for path in KERNELS.glob(f"*{name}.cpp"))


def defined_symbols(path: Path, *options: str) -> dict[str, str]:
    """Defined symbols and their kinds."""
    lines = subprocess.run(
        ["nm", "-C", *options, "--defined-only", str(path)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    found = (re.match(r"[0-9a-f ]{16} (\S) (.*)", line) for line in lines)
    return {m[2]: m[1] for m in found if m}


@pytest.mark.skipif(not KERNELS.exists(), reason="the sources are not beside the tests")
@pytest.mark.skipif(NM is None or shutil.which(COMPILER) is None, reason="nm or the compiler is not installed")
@pytest.mark.parametrize("level", ["O0", "O3"])
@pytest.mark.parametrize("source", SOURCES)
def test_kernels_export_their_table_and_nothing_weak(source: str, level: str, tmp_path: Path) -> None:
    """A weak symbol of a file compiled for AVX-512 could replace its namesake everywhere, and crash lesser machines."""
    name = next(name for name in FILES if source.endswith(name))
    kind = source.removesuffix(name).rstrip("_")
    contraction = "off" if kind in ("exact", "random") else "fast"
    flags = ["-std=c++20", f"-{level}", "-fPIC", f"-ffp-contract={contraction}", *FILES[name]]
    out = tmp_path / "kernels.o"
    include = ["-I", str(ROOT / "cpp" / "include"), "-I", str(KERNELS)]
    subprocess.run([COMPILER, *flags, *include, "-c", str(KERNELS / f"{source}.cpp"), "-o", str(out)], check=True)
    symbols = defined_symbols(out)
    assert not {s for s, letter in symbols.items() if letter in "WwVvu"}
    assert {s for s, letter in symbols.items() if letter.isupper()} == {f"erffast::{kind or 'table'}_{name}"}


@pytest.mark.skipif(not KERNELS.exists(), reason="the sources are not beside the tests")
def test_every_instruction_set_has_every_kind_of_loops() -> None:
    kinds = {name: {path.stem.removesuffix(name) for path in KERNELS.glob(f"*{name}.cpp")} for name in FILES}
    assert all(
        found == kinds[next(iter(FILES))] >= {"", "band_", "exact_", "peak_", "profile_", "random_", "spectral_"}
        for found in kinds.values()
    )


@pytest.mark.skipif(NM is None, reason="nm is not installed")
def test_the_extension_exports_only_its_entry() -> None:
    exported = [s for s in defined_symbols(Path(_core.__file__), "-D") if "erffast" in s or s.startswith("PyInit")]
    assert exported == ["PyInit__core"]


# ------------------------------------------------------------------------------------------------ fused, in order

TWO_LAYERS = """
import sys, json, numpy as np, erffast as ef
first, second = (np.array(taps) for taps in json.loads(sys.argv[1]))
net = ef.Stack([ef.Conv(second.shape), ef.Conv(first.shape)])  # the gradient passes the last layer first
erf = ef.gradient(net, [second, first], engine="direct", dtype=sys.argv[2], window="full", tol=1e-3)
print(json.dumps([ef.build_info()["instruction_set"], int(erf.exponent), erf.image.tolist()]))
"""


def nearest(value: Fraction, digits: int) -> Fraction:
    """The nearest number of so many binary digits, ties to even."""
    if value == 0:
        return value
    size = abs(value)
    power = size.numerator.bit_length() - size.denominator.bit_length() - digits
    unit = Fraction(2) ** (power + (size >= Fraction(2) ** (power + digits)))
    return unit * round(value / unit)


def sums_in_order(image: Any, taps: Any, digits: int, *, fused: bool) -> list[list[Fraction]]:
    """The sum of taps[a, b] image[y - a, x - b], b ascending, then a descending, with one rounding a term if `fused`, else two."""
    rows, columns = (m + n - 1 for m, n in zip(image.shape, taps.shape, strict=True))
    sums = [[Fraction(0)] * columns for _ in range(rows)]
    for (b, row), tap in np.ndenumerate(taps[::-1].T):
        a = taps.shape[0] - 1 - row
        for (i, j), pixel in np.ndenumerate(image):
            product = Fraction(float(tap)) * Fraction(float(pixel))
            exact = sums[i + a][j + b] + (product if fused else nearest(product, digits))
            sums[i + a][j + b] = nearest(exact, digits)
    return sums


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", SETS)
def test_each_sum_is_one_fused_multiply_add_after_the_other(name: str, dtype: str, run_python: Any) -> None:
    """Bit for bit: neither a compiler without contraction nor one that takes terms in another order would pass."""
    rng = np.random.default_rng(11)
    first, second = (rng.standard_normal(shape).astype(dtype).astype(float) for shape in ((9, 20), (3, 3)))
    done = run_python(TWO_LAYERS, json.dumps([first.tolist(), second.tolist()]), dtype, fails=True, ERFFAST_CPU_ISA=name)
    if f"ERFFAST_CPU_ISA={name} is not supported by this machine" in done.stderr:
        pytest.skip(f"this machine has no {name}")
    assert done.returncode == 0, done.stderr
    used, exponent, image = json.loads(done.stdout)
    found = [[Fraction(pixel) * Fraction(2) ** exponent for pixel in row] for row in image]
    digits = 53 if dtype == "float64" else 24
    assert used == name
    assert found == sums_in_order(first, second, digits, fused=name in FUSED)
    assert found != sums_in_order(first, second, digits, fused=name not in FUSED)
