"""A job in a process of its own: ``python -m erffast.benchmark.point '{"job": "J3", "size": {"n": 100}, "threads": 0, "timed": true}'``.

Prints the bytes that the process grew by at most while it ran, beyond what it held before (the inputs, the libraries), the bytes
of the answer, and where asked the seconds of the call. A process of its own, because a high-water mark never falls.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

from .jobs import JOBS
from .timing import time_call

KIB = 1024


def measure(request: dict[str, Any]) -> dict[str, float]:
    kind, size, threads = JOBS[request["job"]].case, request["size"], request["threads"]
    case = kind(size, threads)
    kind({**size, "n": 5}, threads).run()  # what is loaded at the first call is not the call's
    before = _memory("VmRSS")
    answer = case.run()
    found = {"memory": max(0, _memory("VmHWM") - before), "answer": case.answer_bytes(answer)}
    return found | ({"seconds": time_call(case.run, budget=0.3, least=1).median} if request["timed"] else {})


def _memory(field: str) -> int:
    """Bytes: "VmRSS" now, "VmHWM" at most so far. Where the system does not tell, the most so far for both."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * KIB
    except OSError:
        pass
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * KIB


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
