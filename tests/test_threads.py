"""The same bits whatever runs them: thread counts, forks, Python threads, instruction sets; and nothing left behind."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import erffast as ef
from erffast import _backend, _threads
from erffast.spectral import signed
from instruction_sets import FUSED, SETS, X86

RNG = np.random.default_rng(2024)
POSITIVE = RNG.random((40, 7, 7))
SIGNED = RNG.standard_normal((40, 7, 7))
DRAWS = RNG.standard_normal((7, 12, 5, 5))
MANY = RNG.standard_normal((24, 40, 7, 7))
CHANNELS = [RNG.standard_normal((6, 2, 3, 3)), *(RNG.standard_normal((6, 6, 3, 3)) for _ in range(28)), RNG.standard_normal((2, 6, 3, 3))]
STRIDED = RNG.random((8, 5, 5))

Compute = Callable[[int], ef.ERF]

# Each takes the number of threads. The last layers are worth several times what wakes the other threads (300,000 multiply-adds).
WORK: dict[str, Compute] = {
    "positive": lambda n: ef.gradient(ef.parse("conv7 * 40"), POSITIVE, window="full", threads=n),
    "positive, trimmed": lambda n: ef.gradient(ef.parse("conv7 * 40"), POSITIVE, accuracy="peak", threads=n),
    "signed": lambda n: ef.gradient(ef.parse("conv7 * 40"), SIGNED, threads=n, tol=1e-6),
    "float32": lambda n: ef.gradient(ef.parse("conv7 * 40"), POSITIVE, dtype="float32", threads=n),
    "draws": lambda n: ef.gradient(ef.parse("conv5 * 12"), DRAWS, threads=n),
    "fewer draws than threads": lambda n: ef.gradient(ef.parse("conv5 * 12"), DRAWS[:2], threads=n),
    "many draws": lambda n: ef.gradient(ef.parse("conv7 * 40"), MANY, threads=n),
    "channels": lambda n: ef.gradient(ef.parse("conv3 * 30"), CHANNELS, threads=n, tol=1e-3),
    "strides and dilations": lambda n: ef.gradient(ef.parse("conv5:d3 * 4, conv5/2 * 2, conv5:d2 * 2"), STRIDED, window="full", threads=n),
    "map with a border": lambda n: ef.gradient(ef.parse("conv7:p3 * 40"), SIGNED, input_size=150, unit=(3, 149), threads=n, tol=1e-6),
    "pools at the border of a map": lambda n: ef.variance(
        ef.parse("conv7:p3 * 6, (relu, maxpool3/2:p1), conv7:p3 * 6"), input_size=301, unit=(0, 70), engine="direct", threads=n
    ),
    "separable": lambda n: ef.variance(ef.parse("conv3 * 2000"), threads=n),
}


def assert_same_bits(one: ef.ERF, other: ef.ERF) -> None:
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.exponent, other.exponent)
    assert one.origin == other.origin
    assert (one.border, one.lost, one.error) == (other.border, other.lost, other.error)


@pytest.mark.parametrize("work", WORK)
def test_same_bits_for_any_number_of_threads(work: str) -> None:
    one = WORK[work](1)
    for threads in (2, 3):
        assert_same_bits(one, WORK[work](threads))


def test_threads_take_short_draws_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    taken = signed._on_period
    monkeypatch.setattr(signed, "_on_period", lambda *args: (seen.append((threading.get_ident(), args[-1].threads)), taken(*args))[1])
    WORK["many draws"](3)
    assert len({thread for thread, _ in seen}) > 1
    assert {threads for _, threads in seen} == {1}
    seen.clear()
    ef.gradient(ef.parse("conv7 * 40"), MANY, threads=3, progress=lambda done, total: None)  # which is told by the caller's thread
    assert {thread for thread, _ in seen} == {threading.get_ident()}


def test_no_thread_is_left_where_another_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    before, start, started = threading.active_count(), threading.Thread.start, []

    def second_fails(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", second_fails)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        _threads.share(lambda item: None, range(100), 4)
    assert threading.active_count() == before


def test_the_same_draw_is_refused_for_any_number_of_threads() -> None:
    messages = set()
    for threads in (1, 2, 3):
        with pytest.raises(ef.AccuracyError) as caught:
            ef.gradient(ef.parse("conv7 * 40"), MANY, threads=threads, engine="spectral", tol=1e-15)
        messages.add(str(caught.value))
    assert len(messages) == 1


def test_images_of_profiles_have_the_same_bits_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    profiles = (RNG.random(700), RNG.random(900))
    images = []
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("ERFFAST_NUM_THREADS", threads)
        images.append(_backend.outer(profiles, -3, "float64"))
    np.testing.assert_array_equal(images[0], np.multiply.outer(*profiles) / 8)
    for image in images[1:]:
        np.testing.assert_array_equal(image, images[0])


# ------------------------------------------------------------------------------------------------ how many


def test_thread_count_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERFFAST_NUM_THREADS", "3")
    assert _backend.thread_count() == 3
    assert _backend.thread_count(5) == 5
    monkeypatch.setenv("ERFFAST_NUM_THREADS", "")
    assert _backend.thread_count() >= 1


@pytest.mark.parametrize("text", ["0", "-2", "two", "1.5", " "])
def test_a_thread_count_of_the_environment_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERFFAST_NUM_THREADS", text)
    with pytest.raises(ValueError, match=rf"^ERFFAST_NUM_THREADS must be a positive integer, got '{text}'$"):
        ef.variance(ef.parse("conv3"))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity to set")
def test_thread_count_keeps_to_the_affinity(run_python: Any) -> None:
    code = (
        "import os; from erffast import _backend; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(_backend.thread_count())"
    )
    assert run_python(code).stdout.strip() == "1"


@pytest.mark.parametrize(
    ("words", "cores"), [(["max", "100000"], None), (["150000", "100000"], 2), (["10000", "100000"], 1), ([], None)], ids=str
)
def test_cpu_quota_of_a_container(words: list[str], cores: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_backend, "_cgroup", lambda name, legacy: words)
    assert _backend._cpu_quota.__wrapped__() == cores


def test_absurd_thread_counts_do_no_harm() -> None:
    assert_same_bits(ef.variance(ef.parse("conv3 * 3"), threads=2**40), ef.variance(ef.parse("conv3 * 3"), threads=1))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_use_one_thread(method: str, run_python: Any, tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text("import erffast._backend\ndef count(_):\n    return erffast._backend.thread_count()\n")
    code = (
        "import sys, multiprocessing; sys.path.insert(0, '')\n"
        "from work import count\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:\n"
        "        print(pool.map(count, [0]))\n"
    )
    assert run_python(code, method).stdout.strip() == "[1]"
    assert run_python(code, method, ERFFAST_NUM_THREADS="4").stdout.strip() == "[4]"


# ------------------------------------------------------------------------------------------------ forks and Python threads


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_after_a_threaded_call_computes(run_python: Any) -> None:
    code = """
import os, numpy as np, erffast as ef
weights = np.random.default_rng(0).random((30, 7, 7))
def image():
    return ef.gradient(ef.parse("conv7 * 30"), weights, window="full", threads=2).image
before = image()
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(image(), before) else 3)
_, status = os.waitpid(child, 0)
assert np.array_equal(image(), before)
print(os.waitstatus_to_exitcode(status))
"""
    assert run_python(code).stdout.strip() == "0"


def test_two_python_threads_at_once_get_the_right_bits() -> None:
    names = ["positive", "signed", "draws", "channels"]
    wanted = {name: WORK[name](1) for name in names}
    found: dict[str, ef.ERF] = {}
    started = threading.Barrier(len(names))

    def work(name: str) -> None:
        started.wait()
        found[name] = WORK[name](2)

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in names:
        assert_same_bits(found[name], wanted[name])


def test_the_interpreter_runs_on_while_the_engine_works() -> None:
    """The GIL is released: another Python thread gets on during one long call."""
    ticks = 0
    done = threading.Event()

    def count() -> None:
        nonlocal ticks
        while not done.wait(0.001):
            ticks += 1

    thread = threading.Thread(target=count)
    thread.start()
    seen = []
    try:
        ef.gradient(ef.parse("conv7 * 200"), RNG.random((200, 7, 7)), window="full", threads=1, progress=lambda d, t: seen.append(ticks))
    finally:
        done.set()
        thread.join()
    assert len(seen) > 2
    assert seen[-2] > seen[0]


TASKS = Path("/proc/self/task")


@pytest.mark.skipif(not TASKS.exists(), reason="threads are counted in /proc")
def test_no_thread_outlives_a_call(run_python: Any) -> None:
    """Seen from within, by the progress report, the call does have threads of its own."""
    code = """
import os, time, numpy as np, erffast as ef
def threads():
    return len(os.listdir("/proc/self/task"))
during = []
def run(w):
    n = w.shape[-3]
    ef.gradient(ef.parse("conv7") * n, w, window="full", threads=3, progress=lambda done, total: during.append(threads()))
rng = np.random.default_rng(0)
before = threads()
run(rng.random((150, 7, 7)))
alone = max(during); during.clear()
run(rng.random((6, 60, 7, 7)))
try:
    ef.gradient(ef.parse("conv7 * 150"), rng.random((150, 7, 7)), window="full", threads=3, progress=lambda done, total: 1 / 0)
except ZeroDivisionError:
    # a joined thread leaves the kernel's list a moment after join returns
    deadline = time.perf_counter() + 2
    while threads() != before and time.perf_counter() < deadline:
        pass
    print(before, alone, max(during), threads())
"""
    before, alone, draws, after = map(int, run_python(code).stdout.split())
    assert after == before
    assert alone == before + 2
    assert draws >= before


# ------------------------------------------------------------------------------------------------ floating-point state


def test_denormals_are_the_callers_again_after_a_call_and_in_its_reports() -> None:
    tiny = np.float64(1e-310)
    seen = []
    erf = ef.gradient(
        ef.parse("conv7 * 150"), RNG.random((150, 7, 7)), window="full", threads=2, progress=lambda d, t: seen.append(float(tiny * 1.0))
    )
    _ = erf.image
    _ = ef.variance(ef.parse("conv3 * 500"), window="full").image
    assert float(tiny * 1.0) == 1e-310
    assert len(seen) > 1
    assert set(seen) == {1e-310}
    with pytest.raises(ZeroDivisionError):
        ef.gradient(ef.parse("conv7 * 40"), POSITIVE, window="full", threads=2, progress=lambda d, t: 1 // 0)
    assert float(tiny * 1.0) == 1e-310


def test_rounding_mode_and_error_flags_do_not_leak() -> None:
    with np.errstate(all="raise"):
        ef.gradient(ef.parse("conv7 * 40"), POSITIVE, window="full", threads=2)
        assert np.float64(1.0) + np.float64(2.0**-53) == 1.0
        assert np.float64(0.1) + np.float64(0.2) == 0.1 + 0.2


# ------------------------------------------------------------------------------------------------ instruction sets

ON_ONE_SET = """
import sys, json, hashlib, numpy as np, erffast as ef
try:
    print(ef.build_info()["instruction_set"])
except RuntimeError as exc:
    print(exc)
    sys.exit()
rng = np.random.default_rng(7)
found = {}
for dtype in ("float64", "float32"):
    for sign, weights in (("positive", rng.random((20, 5, 5))), ("signed", rng.standard_normal((20, 5, 5)))):
        erf = ef.gradient(ef.parse("conv5 * 20"), weights, dtype=dtype, tol=1e-3 if dtype == "float32" else 1e-9, window="full")
        found[f"{dtype} {sign}"] = (erf.image.astype(np.float64), erf.exponent)
    tails = ef.gradient(ef.parse("conv3/2:d2 * 3"), rng.random((3, 3, 3)), dtype=dtype, window="full", engine="direct")
    found[f"{dtype} strided"] = (tails.image.astype(np.float64), tails.exponent)
    sides = [(2, 2)] * 40 + [(7, 3)] * 9 + [(9, 9)] * 2
    text, taps = "conv2 * 40, conv7x3 * 9, conv9 * 2", [rng.random(s) for s in sides]
    groups = ef.gradient(ef.parse(text), taps, dtype=dtype, window="full", engine="direct")
    found[f"{dtype} groups"] = (groups.image.astype(np.float64), groups.exponent)
    for n in (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33):  # one step of n taps: images of every width around the vectors'
        odd = ef.gradient(ef.parse(f"conv{n}x3, conv3x{n}"), [rng.random((n, 3)), rng.random((3, n))], dtype=dtype, engine="direct")
        found[f"{dtype} {n} wide"] = (odd.image.astype(np.float64), odd.exponent)
mixed = [rng.standard_normal((5, 5)) for _ in range(30)] + [rng.standard_normal((2, 2)) for _ in range(30)]
for text, weights in (
    ("conv3 * 150", rng.standard_normal((150, 3, 3))),
    ("conv5 * 30, conv2 * 30", mixed),
    ("conv3 * 12, conv3/2:d2, conv3 * 12", rng.standard_normal((25, 3, 3))),
):
    erf = ef.gradient(ef.parse(text), weights, engine="spectral")
    found[f"float64 signed spectral {text}"] = (erf.image, erf.exponent)
same = ef.gradient(ef.parse("conv3 * 200"), np.broadcast_to(rng.standard_normal((3, 3)), (200, 3, 3)))
found["float64 signed spectral repeats"] = (same.image, same.exponent)
band = ef.gradient(ef.parse("conv3 * 300"), rng.random((300, 3, 3)), accuracy="peak")
found["float64 signed in a band"] = (band.image, band.exponent)  # errors relative to the peak, as of signed ones
deep = ef.variance(ef.parse("conv3 * 3000"))
found["float64 separable"] = (deep.image, deep.exponent)
np.savez(sys.argv[1], **{name: image for name, (image, _) in found.items()}, exponents=[e for _, e in found.values()])
"""


@pytest.fixture(scope="module")
def on_each_set(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same answers from each instruction set this machine has, each in an interpreter of its own."""
    import subprocess
    import sys

    folder = tmp_path_factory.mktemp("sets")
    answers = {}
    for name in SETS:
        env = {k: v for k, v in os.environ.items() if not k.startswith("ERFFAST_")} | {"ERFFAST_CPU_ISA": name}
        path = folder / f"{name}.npz"
        done = subprocess.run([sys.executable, "-c", ON_ONE_SET, str(path)], capture_output=True, text=True, env=env, check=True)
        first = done.stdout.splitlines()[0]
        if path.exists():
            assert first == name
            answers[name] = dict(np.load(path))
        else:
            assert first == f"ERFFAST_CPU_ISA={name} is not supported by this machine"
    return answers


def test_instruction_sets_with_fused_multiply_add_give_the_same_bits(on_each_set: dict[str, Any]) -> None:
    fused = [name for name in FUSED if name in on_each_set]
    if len(fused) < 2:
        pytest.skip(f"this machine has {fused or 'no set'} with fused multiply-add")
    first, *others = (on_each_set[name] for name in fused)
    for other in others:
        for key, image in first.items():
            np.testing.assert_array_equal(other[key], image, err_msg=key)


def test_the_plainest_set_agrees_within_its_rounding(on_each_set: dict[str, Any]) -> None:
    """A pixel of a chain of l layers of t taps has at most l * t roundings, relative in a sum of one sign; peaks lie in [1/2, 1)."""
    if len(on_each_set) < 2:
        pytest.skip(f"this machine has {list(on_each_set)} only")
    plain = on_each_set[SETS[0]]
    for name in SETS[1:]:
        if name not in on_each_set:
            continue
        for key, image in on_each_set[name].items():
            if key == "exponents":
                np.testing.assert_array_equal(plain[key], image)
                continue
            unit = 2.0**-53 if key.startswith("float64") else 2.0**-24
            if "signed" in key:  # amplified layer by layer: the tolerance that was asked for
                np.testing.assert_allclose(plain[key], image, rtol=0, atol=1e-9 if unit < 1e-10 else 1e-3, err_msg=key)
            else:
                roundings = 2 * 20 * 25 if "separable" not in key else 2 * 3000
                np.testing.assert_allclose(plain[key], image, rtol=roundings * unit, atol=0 if unit < 1e-10 else 1e-30, err_msg=key)


def test_an_unknown_instruction_set_is_refused(run_python: Any) -> None:
    done = run_python("import erffast as ef; ef.variance(ef.parse('conv3'))", fails=True, ERFFAST_CPU_ISA="x86-64-v9")
    assert done.returncode == 1
    assert f"RuntimeError: ERFFAST_CPU_ISA must be one of {', '.join(SETS)}, got x86-64-v9" in done.stderr


@pytest.mark.skipif(X86, reason="this machine is an x86-64")
def test_an_instruction_set_of_another_architecture_is_refused(run_python: Any) -> None:
    done = run_python("import erffast as ef; ef.build_info()", fails=True, ERFFAST_CPU_ISA="x86-64-v4")
    assert f"RuntimeError: ERFFAST_CPU_ISA must be one of {SETS[0]}, got x86-64-v4" in done.stderr


def test_an_empty_choice_is_no_choice(run_python: Any) -> None:
    code = "import json, erffast as ef; print(json.dumps(ef.build_info()['instruction_set']))"
    assert json.loads(run_python(code, ERFFAST_CPU_ISA="").stdout) == json.loads(run_python(code).stdout)
