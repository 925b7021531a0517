"""One point of a growth curve, as a program: ``python -m erffast.benchmark.point '{"job": "J3", "n": 100, "k": 3, "threads": 0}'``.

Prints the seconds of the call and the bytes that the process grew by at most while it ran, beyond what it held before: the
inputs, the libraries. A process of its own, because a high-water mark never falls.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from .jobs import JOBS
from .timing import time_call

KIB = 1024


def measure(request: dict[str, int | str]) -> dict[str, float]:
    job, threads = JOBS[str(request["job"])], int(request["threads"])
    case = job.case({"n": int(request["n"]), "k": int(request["k"])}, threads)
    job.case({"n": 5, "k": int(request["k"])}, threads).run()  # what is loaded at the first call is not the call's
    before = _memory("VmRSS")
    case.run()
    grown = max(0, _memory("VmHWM") - before)
    return {"seconds": time_call(case.run, budget=0.3, least=1).median, "memory": grown}


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
