"""The instruction sets that are built for this machine's architecture, from the plainest to the best."""

from __future__ import annotations

import platform

X86 = platform.machine().lower() in ("x86_64", "amd64")
ARM64 = platform.machine().lower() in ("aarch64", "arm64")

# names as in ERFFAST_CPU_ISA
SETS = ("x86-64-v2", "x86-64-v3", "x86-64-v4") if X86 else ("arm64",) if ARM64 else ("baseline",)
FUSED = ("x86-64-v3", "x86-64-v4") if X86 else SETS if ARM64 else ()  # those with fused multiply-add

# the name of each set's files in cpp/src/kernels, and the flags they are compiled with
FILES = {name.replace("-", "_"): [f"-march={name}"] for name in SETS} if X86 else {"baseline": []}
