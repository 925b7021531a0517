"""The CUDA backend's kernels, executed without a GPU: the short list of networks on the emulation, beside the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

import gpu_cases
from emulated import Emulation, unavailable

HERE = Path(__file__).resolve().parent
pytestmark = pytest.mark.skipif(bool(unavailable(module=True)), reason=f"no emulated GPU: {unavailable(module=True)}")
SMALLEST = [name for name, case in gpu_cases.CASES.items() if case.smallest]

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import gpu_cases
told = {name: wrong for name in sys.argv[2:] if (wrong := gpu_cases.wrong(name))}
print("\\n".join(f"{name}: {wrong}" for name, wrong in told.items()))
"""


@pytest.mark.parametrize("order", ["forward", "reverse", "random:7"])
def test_every_case_in_every_order(order: str, emulation: Emulation) -> None:
    assert emulation.run(PROGRAM, str(HERE), *gpu_cases.CASES, order=order, timeout=200).strip() == ""


@pytest.mark.parametrize("variant", ["sanitized", "checked"])
@pytest.mark.parametrize("order", ["forward", "reverse"])
def test_the_smallest_cases_break_no_rule(variant: str, order: str, emulation: Emulation) -> None:
    assert emulation.run(PROGRAM, str(HERE), *SMALLEST, variant=variant, order=order, timeout=200).strip() == ""
