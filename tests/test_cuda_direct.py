"""The direct and separable engines of a GPU, executed by the emulation: the CPU's results, its refusals, and what can be stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

import emulated
from cuda_direct_cases import CASES, COMPOSED, PROPAGATE, SMALL
from emulated import Emulation
from tolerances import tolerance

pytestmark = pytest.mark.skipif(bool(emulated.unavailable(module=True)), reason=f"no emulation: {emulated.unavailable(module=True)}")

HERE = str(Path(__file__).parent)
IMPORT = f"import sys\nsys.path.insert(0, {HERE!r})\nimport cuda_direct_cases as cases\n"
WHOLE = IMPORT + "cases.report(sys.argv[1:])"


# ------------------------------------------------------------------------------------------------ the CPU's results


@pytest.mark.parametrize("order", emulated.ORDERS)
def test_results_are_those_of_the_cpu(order: str, emulation: Emulation) -> None:
    assert emulation.run(WHOLE, *CASES, order=order) == ""


@pytest.mark.parametrize("function", PROPAGATE)
def test_answers_and_accounts_are_those_of_the_cpu(function: str, emulation: Emulation) -> None:
    assert emulation.run(IMPORT + "cases.native_report(sys.argv[1:])", function) == ""


def test_outer_products_are_those_of_the_cpu(emulation: Emulation) -> None:
    assert emulation.run(IMPORT + "print(cases.outer_differences(), end='')") == ""


@pytest.mark.parametrize("name", COMPOSED)
def test_composed_runs_are_those_of_the_cpu_within_their_instruction_set(name: str, emulation: Emulation) -> None:
    found = float(emulation.run(IMPORT + "print(cases.largest_difference(cases.COMPOSED[sys.argv[1]]))", name))
    assert found <= tolerance("variance", "float32" if "float32" in name else "float64", "direct")


def test_little_shared_memory_makes_smaller_pieces_of_the_same_pixels(emulation: Emulation) -> None:
    assert emulation.run(WHOLE, *SMALL, ERFFAST_EMULATED_SM="75") == ""


def test_work_that_is_done_late_is_waited_for(emulation: Emulation) -> None:
    """Streams that do nothing until the host waits: what it reads without waiting is wrong."""
    assert emulation.run(WHOLE, *SMALL, ERFFAST_EMULATED_STREAMS="deferred") == ""


# ------------------------------------------------------------------------------------------------ mistakes that no result shows


@pytest.mark.parametrize("order", ["forward", "reverse"])
def test_no_thread_reads_what_another_writes(order: str, emulation: Emulation) -> None:
    assert emulation.run(WHOLE, *SMALL, variant="checked", order=order) == ""


def test_no_access_beyond_an_array(emulation: Emulation) -> None:
    assert emulation.run(WHOLE, *SMALL, variant="sanitized") == ""
    assert emulation.run(IMPORT + "print(cases.outer_differences(), end='')", variant="sanitized") == ""


# ------------------------------------------------------------------------------------------------ memory, progress, Ctrl-C

DRAWS = """
import numpy as np, erffast as ef
net = ef.parse("conv3 * 40")
weights = np.random.default_rng(0).standard_normal((6, 40, 3, 3))
def run(draws):
    return ef.gradient(net, weights[:draws], engine="direct", window="full", device="cuda")
"""


def test_what_cannot_fit_is_refused_before_it_is_tried(emulation: Emulation) -> None:
    code = """
import erffast as ef
try:
    ef.variance(ef.parse("conv3 * 600"), engine="direct", window="full", device="cuda")
except MemoryError as error:
    print(error)
"""
    message = emulation.run(code, ERFFAST_EMULATED_MEMORY=str(2**20))
    assert message == ('a receptive field of 1201 x 1201 pixels needs 33 MiB, and 1 MiB are available on the GPU; use engine="separable"\n')


def test_an_image_that_the_device_does_not_hold_is_a_memory_error_with_its_bytes(emulation: Emulation) -> None:
    code = """
import numpy as np
from erffast import _cuda
taps, one = np.ones((1, 1, 1, 1, 3, 3)), np.ones(1)
images = _cuda.propagate_f64([(taps, (1, 1), (1, 1), (0, 0), None, (0, 0), 1, False, 1, None)], (0, 0), 1, 1, True, 0.0, 1, 2**18, None)
long = np.ones((1, 500))
for ask in (lambda: images.written(500, 600, 0, 0, one), lambda: _cuda.outer_image_f64(long, long, np.zeros(1, dtype=np.int64))):
    try:
        ask()
    except MemoryError as error:
        print(*error.args)
"""
    assert emulation.run(code, ERFFAST_EMULATED_MEMORY=str(2**20)).split() == [str(500 * 600 * 8), str(500 * 500 * 8)]


def test_draws_go_in_as_many_parts_as_memory_asks_for(emulation: Emulation) -> None:
    """Six draws of 81 x 81 pixels are 315 KB; three or four working images of each, and they fit only a few at a time."""
    code = DRAWS + "import hashlib; print(hashlib.sha256(run(6).image.tobytes()).hexdigest())"
    assert emulation.run(code) == emulation.run(code, ERFFAST_EMULATED_MEMORY=str(1000 * 1000))


def test_progress_climbs_to_its_total(emulation: Emulation) -> None:
    code = """
import numpy as np, erffast as ef
seen = []
weights = np.random.default_rng(0).standard_normal((2, 300, 3))
ef.gradient(ef.parse("conv3 * 300", ndim=1), weights, engine="direct", device="cuda", tol=0.99, progress=lambda *done: seen.append(done))
assert seen == sorted(seen) and seen[-1] == (600, 600), seen
"""
    assert emulation.run(code) == ""


STOPPED = {
    "one image": "ef.gradient(ef.parse('conv3 * 3000'), rng.random((3000, 3, 3)), engine='direct', window='full', device='cuda')",
    "a map": "ef.variance(ef.parse('conv3:p1 * 300000'), input_size=9, engine='direct', device='cuda')",
}


@pytest.mark.parametrize("case", STOPPED)
def test_ctrl_c_is_answered_between_launches(case: str, emulation: Emulation) -> None:
    """These runs would take minutes. Within how long depends on the emulation; that they end does not."""
    code = f"""
import os, signal, threading
import numpy as np, erffast as ef
rng = np.random.default_rng(0)
threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    {STOPPED[case]}
    print("was done before it was interrupted")
except KeyboardInterrupt:
    assert ef.variance(ef.parse("conv3 * 3"), device="cuda").shape == (7, 7)
"""
    assert emulation.run(code) == ""
