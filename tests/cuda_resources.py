"""What each kernel takes on each architecture, as nvcc's assembler tells it: ``python tests/cuda_resources.py [architecture ...]``.

Compiles the files of `cmake/cuda_sources.cmake` that hold kernels, for all major architectures unless some are named (90, 100), prints
registers, spills and static shared memory, and fails where a kernel takes more than it may: registers kept in memory cost more than they
save, and with more than 128 a multiprocessor holds fewer than 512 threads of it, too few to wait for one another's loads.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ["-std=c++20", "-O3", "-fmad=false", "-Xcompiler=-Wall,-Wextra,-ffp-contract=off,-fPIC", "-Werror=all-warnings", "-Xptxas=-v"]
INCLUDED = ["cuda", "cpp/include", "cpp/src", "cpp/bindings"]
# "Compiling entry function '...' for 'sm_90'", then "... bytes spill stores, ... bytes spill loads", then "Used ... registers, ..."
MOST_REGISTERS = 128  # of 65536 a multiprocessor has
# Windows and taps of 5 x 5 doubles stand in registers: one block of 256 threads, as its launch bounds say.
MORE_REGISTERS = {"fused_layers_kernel<double, 5>": 255}
MOST_SHARED = 48 * 1024  # bytes that every device gives a block without being asked
ENTRY = re.compile(
    r"entry function '(?P<name>\w+)' for 'sm_(?P<sm>\w+)'.*?(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, "
    r"(?P<loads>\d+) bytes spill loads.*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Kernel:
    """One kernel on one architecture; bytes."""

    name: str
    architecture: str
    registers: int
    spills: int
    shared: int


def sources() -> list[Path]:
    """The files with kernels."""
    return [ROOT / name for name in re.findall(r"cuda/\S+\.cu\b", (ROOT / "cmake" / "cuda_sources.cmake").read_text(encoding="utf-8"))]


def compiled(source: Path, architectures: list[str]) -> list[Kernel]:
    """The kernels of a file. RuntimeError with the compiler's words where it does not compile."""
    targets = [f"-gencode=arch=compute_{sm},code=sm_{sm}" for sm in architectures] or ["-arch=all-major"]
    with tempfile.TemporaryDirectory() as place:
        command = ["nvcc", *FLAGS, *targets, *(f"-I{ROOT / name}" for name in INCLUDED), "-c", str(source), "-o", f"{place}/kernels.o"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{source.relative_to(ROOT)} does not compile:\n{done.stderr}")
    return [_kernel(found) for found in ENTRY.finditer(done.stdout + done.stderr)]


def _kernel(found: re.Match[str]) -> Kernel:
    shared = re.search(r"(\d+) bytes smem", found["rest"])
    spills = int(found["stores"]) + int(found["loads"])
    return Kernel(found["name"], found["sm"], int(found["registers"]), spills, int(shared[1]) if shared else 0)


def readable(names: list[str]) -> dict[str, str]:
    """C++ names without their arguments."""
    if shutil.which("c++filt") is None:
        return {name: name for name in names}
    plain = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout.splitlines()
    short = [re.sub(r"erffast::cuda::|\(anonymous namespace\)::|\(.*|^void ", "", text.replace("(int)", "")) for text in plain]
    return dict(zip(names, short, strict=True))


def main(architectures: list[str]) -> int:
    if shutil.which("nvcc") is None:
        print("skipped: no nvcc")
        return 0
    with ThreadPoolExecutor(2) as pool:
        kernels = [kernel for found in pool.map(lambda source: compiled(source, architectures), sources()) for kernel in found]
    names = readable(sorted({kernel.name for kernel in kernels}))
    columns = sorted({kernel.architecture for kernel in kernels}, key=lambda sm: int(re.sub(r"\D", "", sm)))
    width = max(map(len, names.values()))
    print("registers / bytes of spills / bytes of static shared memory, by compute capability")
    print(" " * width, *(f"{sm:>12}" for sm in columns))
    for name in sorted(names, key=lambda name: names[name]):
        cells = {k.architecture: f"{k.registers}/{k.spills}/{k.shared}" for k in kernels if k.name == name}
        print(f"{names[name]:{width}}", *(f"{cells.get(sm, '-'):>12}" for sm in columns))
    broken = [f"{names[k.name]} on sm_{k.architecture}: {what}" for k in kernels for what in excesses(k, names[k.name])]
    print(*broken, sep="\n")
    return 1 if broken or not kernels else 0


def excesses(kernel: Kernel, name: str) -> list[str]:
    """What of a kernel is more than it may be."""
    limits = (
        ("bytes of spills", kernel.spills, 0),
        ("registers", kernel.registers, MORE_REGISTERS.get(name, MOST_REGISTERS)),
        ("bytes of static shared memory", kernel.shared, MOST_SHARED),
    )
    return [f"{found} {what}, {most} are allowed" for what, found, most in limits if found > most]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
