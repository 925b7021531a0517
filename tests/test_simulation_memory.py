"""What `simulate` states that it needs: never less than it takes, and not much more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = """
import sys
import erffast as ef
from erffast import _backend

def memory(name):
    return 1024 * int(open("/proc/self/status").read().split(name + ":")[1].split()[0])

text, size, channels, draws, dtype = sys.argv[1:]
asked = _backend.require_memory
stated = []
_backend.require_memory = lambda needed, what, remedy: (stated.append(needed), asked(needed, what, remedy))[1]
options = {"channels": int(channels), "dtype": dtype, "threads": 1}
ef.simulate(ef.parse("conv3:p1, relu, conv3:p1"), draws=2, input_size=9, **options)  # what is loaded when it is needed
net, before = ef.parse(text), memory("VmRSS")
stated.clear()
ef.simulate(net, draws=int(draws), input_size=int(size) or None, **options)
print(max(stated), memory("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell how much memory a process has taken")
@pytest.mark.parametrize(
    ("text", "size", "channels", "draws", "dtype"),
    [
        ("(conv3:p1, relu) * 250", 160, 16, 1, "float32"),
        ("(conv3, relu) * 100", 0, 16, 1, "float64"),
        ("(conv3, relu) * 200", 0, 1, 20, "float64"),
        ("(conv31:p15, relu, dropout0.2) * 6, maxpool2, conv3", 400, 16, 2, "float32"),
        ("conv9:d20, relu, conv9:d20", 0, 16, 2, "float32"),
    ],
    ids=["a deep window", "the plane", "images of many draws", "dropout and pools", "dilated"],
)
def test_memory_is_bounded_as_stated(text: str, size: int, channels: int, draws: int, dtype: str, tmp_path: Path) -> None:
    """Up to the pages of an interpreter at work."""
    program = tmp_path / "measure.py"
    program.write_text(MEASURE)
    words = [sys.executable, str(program), text, *map(str, (size, channels, draws)), dtype]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    stated, taken = map(int, done.stdout.split())
    assert taken > 12 * 2**20
    assert taken <= stated + 2 * 2**20
    assert stated <= 1.5 * taken
