"""The emulation of CUDA finds each kind of mistake that it promises to find, where it promises it, and nothing in kernels without one.

Each case of tests/cuda_emulation/cases holds one mistake, or none. `docs/cuda-emulation.md` holds the same table in words.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from emulated import CROSS, FINDING, ORDERS, ROOT, SOURCES, VARIANTS, Emulation, execute, unavailable

pytestmark = pytest.mark.skipif(bool(unavailable(module=False)), reason=unavailable(module=False))

EMULATOR = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
NAN, DIFFERS = "nan", "differs"  # what only the results show: in each order, in some order

# In every variant and order: the launch, or the call, returns the error; the text stands in what is printed.
REFUSED = {
    "half_a_block": r"barrier at \S+barriers.cu:\d+:\d+ after some threads of the block have returned",
    "two_places": r"barrier divergence: this thread waits at \S+barriers.cu:\d+:\d+, thread \d+ at \S+barriers.cu:\d+:\d+",
    "unequal_rounds": "after some threads of the block have returned",
    "early_return": "after some threads of the block have returned",
    "barrier_against_shuffle": r"deadlock; thread 16 waits in a barrier at \S+; thread 0 waits for lanes at \S+",
    "lane_not_named": "called by a lane that its mask does not name",
    "carved_too_much": "2560 bytes are taken, the launch gave 512",
    "carved_differently": "two threads of the block take it in different pieces",
    "named_too_much": "too much shared memory: 49200 bytes of named arrays",
    "together_too_much": "too much shared memory: 48000 bytes of named arrays, 2000 dynamic",
    "too_many_threads": "cudaErrorInvalidConfiguration",
    "no_blocks": "cudaErrorInvalidConfiguration",
    "shared_without_permission": "cudaErrorInvalidValue",
    "shared_of_a_newer_device": "cudaErrorInvalidValue",
    "copy_too_long": "cudaErrorInvalidValue",
    "copy_in_the_wrong_direction": "cudaErrorInvalidValue",
    "copy_rows_too_far": "cudaErrorInvalidValue",
    "double_free": "cudaErrorInvalidValue",
    "destroyed_twice": "cudaErrorInvalidResourceHandle",
    "untimed_event": "cudaErrorInvalidResourceHandle",
}
# Found when the program ends.
FORGOTTEN = {
    "never_freed": "100 bytes of device memory were never freed, in 1 pieces",
    "never_destroyed": "1 streams were never destroyed",
}
# Found by plain runs, by the sanitizers, by the checks; None: not found there, and not promised.
FOUND: dict[str, tuple[str | None, str | None, str | None]] = {
    "lane_takes_no_part": (NAN, None, None),
    "named_beyond": (NAN, "use-after-poison", "out of the bounds of shared memory"),
    "named_into_neighbour": (None, "use-after-poison", "out of the bounds of shared memory"),
    "carved_beyond": (NAN, "use-after-poison", "out of the bounds of shared memory"),
    "shared_uninitialised": (NAN, None, "read of uninitialised shared memory"),
    "no_barrier": (DIFFERS, None, "race: "),
    "one_barrier_in_a_loop": (DIFFERS, None, "race: "),
    "warp_in_step": (DIFFERS, None, "race: "),
    "half_warps_meet": (DIFFERS, None, "race: "),
    "plain_read_of_atomic": (DIFFERS, None, "race: "),
    "same_value_written": (None, None, "race: write after another thread's write"),
    "blocks_write_the_same": (None, None, "race between blocks"),
    "block_reads_what_another_writes": (DIFFERS, None, "race between blocks"),
    "global_beyond": (None, "heap-buffer-overflow", "access to what is no device memory, 4 bytes beyond a piece of it"),
    "global_before": (None, "heap-buffer-overflow", "access to what is no device memory, 4 bytes before a piece of it"),
    "global_uninitialised": (NAN, None, "read of uninitialised global memory"),
    "copied_uninitialised": (NAN, None, "read of uninitialised global memory"),
    "use_after_free": (None, "heap-use-after-free", "access to what is no device memory"),
    "host_pointer": (None, None, "access to what is no device memory"),
    "writes_a_variable": (None, None, "access to what is no device memory"),
    "host_reads_device": (None, "use-after-poison", None),
    "memory_of_another_device": (None, "use-after-poison", None),
    "misaligned": (None, "misaligned address", None),
    "signed_overflow": (None, "signed integer overflow", None),
    "local_beyond": (None, "index 8 out of bounds", None),
}
# The sum of (i + 1) out[i] for i = 0 .. 63, by what the kernels are to compute. With out[i] = 1 it is 2080, with out[i] = i 87360.
CLEAN = {
    "clean_named": sum((i + 1) * (63 - i) * (1, 2, 3, 4)[(63 - i) % 4] for i in range(64)),
    "clean_carved": sum((i + 1) * ((i + 5) % 64) for i in range(64)),
    "clean_warp_meetings": sum((i + 1) * (496 + 1024 * (i // 32)) for i in range(64)),
    "clean_shuffles": sum((i + 1) * (496 + 1024 * (i // 32) + (i - 1 if i % 16 else i) + 1) for i in range(64)),
    "clean_votes": sum((i + 1) * (32 + 100 + 200 + 1000 * (2 if i < 32 else 1) + 10000) for i in range(64)),
    "clean_half_warps": sum((i + 1) * ((i ^ 1) if i % 32 < 16 else 3 * (i ^ 2)) for i in range(64)),
    "clean_axes": 87360,
    "clean_denormals": 2080,
    "clean_arguments_by_address": 87360 + 3 * 2080,
    "clean_streams": 87360 + 11 * 2080,
    "clean_default_stream": 87360 + 7 * 2080,
    "clean_rows": sum((i + 1) * (i - 4) for i in range(64) if i % 8 >= 4),
    # six numbers of what three blocks of 64 threads did, then 2 for each of the three
    "clean_atomics": sum((i + 1) * value for i, value in enumerate([3 * 2016, 191, -63, 5, 192, 96] + [6] * 58)),
    "clean_questions": 0,
}


def ran(emulation: Emulation, case: str, variant: str, order: str = "forward", **environment: str) -> subprocess.CompletedProcess[str]:
    """One case. Leaks are looked for where it is clean: after a mistake, threads that never end keep what they hold."""
    leaks = int(case.startswith("clean"))
    options = {"ASAN_OPTIONS": f"detect_leaks={leaks}:symbolize=0", "UBSAN_OPTIONS": "symbolize=0", "ERFFAST_EMULATED_DEVICES": "2"}
    return execute([str(emulation.cases(variant)), case], variant=variant, order=order, **(options | environment))


def result(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"^result (\S+)$", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    return found[1]


def clean(done: subprocess.CompletedProcess[str]) -> float:
    assert not done.stderr, done.stderr
    return float(result(done))


def test_every_case_is_tested(emulation: Emulation) -> None:
    done = subprocess.run([str(emulation.cases("plain"))], capture_output=True, text=True, check=False)
    assert set(done.stdout.split()) == {*REFUSED, *FORGOTTEN, *FOUND, *CLEAN, "no_wait", "clean_machine"}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("case", REFUSED)
def test_refused_everywhere(emulation: Emulation, case: str, variant: str) -> None:
    for order in ORDERS if variant == "plain" else ORDERS[:1]:
        done = ran(emulation, case, variant, order)
        assert done.returncode == 1
        assert re.search(rf"^error .*{REFUSED[case]}", done.stdout, re.MULTILINE), done.stdout + done.stderr


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("case", FORGOTTEN)
def test_found_at_the_end(emulation: Emulation, case: str, variant: str) -> None:
    assert ran(emulation, case, variant).stderr == f"{FINDING}{FORGOTTEN[case]}\n"


@pytest.mark.parametrize("case", [case for case, (plain, _, _) in FOUND.items() if plain])
def test_found_by_what_it_computes(emulation: Emulation, case: str) -> None:
    results = [result(ran(emulation, case, "plain", order)) for order in ORDERS]
    if FOUND[case][0] == NAN:
        assert all("nan" in one for one in results)
    else:
        assert len(set(results)) > 1


@pytest.mark.parametrize("case", [case for case, (_, sanitized, _) in FOUND.items() if sanitized])
def test_found_by_the_sanitizers(emulation: Emulation, case: str) -> None:
    done = ran(emulation, case, "sanitized")
    assert done.returncode != 0
    assert re.search(str(FOUND[case][1]), done.stderr), done.stderr
    if case != "host_reads_device":  # outside a kernel
        assert re.search(rf"{FINDING}in block \(0,0,0\) thread \(\d+,0,0\)", done.stderr), done.stderr


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("case", [case for case, (_, _, checked) in FOUND.items() if checked])
def test_found_by_the_checks(emulation: Emulation, case: str, order: str) -> None:
    done = ran(emulation, case, "checked", order)
    assert done.returncode == 1
    assert re.search(rf"^{FINDING}block \(\d,0,0\) thread \(\d+,0,0\): {FOUND[case][2]}.*\.cu:\d+$", done.stderr, re.MULTILINE), done.stderr
    assert done.stdout.startswith("error cudaErrorLaunchFailure: ")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_is_found_where_nothing_is_wrong(emulation: Emulation, variant: str, order: str) -> None:
    for case, right in CLEAN.items():
        assert clean(ran(emulation, case, variant, order)) == right, case


def test_blocks_may_run_on_several_threads(emulation: Emulation) -> None:
    for variant in ("plain", "sanitized"):
        for case in ("clean_atomics", "clean_axes"):
            assert clean(ran(emulation, case, variant, ERFFAST_EMULATED_THREADS="3")) == CLEAN[case]


def test_a_missing_wait_shows_where_streams_are_deferred(emulation: Emulation) -> None:
    assert "seen 1\n" in ran(emulation, "no_wait", "plain").stdout
    assert "seen 0\n" in ran(emulation, "no_wait", "plain", ERFFAST_EMULATED_STREAMS="deferred").stdout


@pytest.mark.parametrize("variant", VARIANTS)
def test_deferred_streams_do_the_same_where_they_are_waited_for(emulation: Emulation, variant: str) -> None:
    for case in CLEAN:
        assert clean(ran(emulation, case, variant, ERFFAST_EMULATED_STREAMS="deferred")) == CLEAN[case], case


@pytest.mark.parametrize(
    ("sm", "shared", "permitted"), [("75", 65536, False), ("80", 166912, True), ("86", 101376, True), ("90", 232448, True)]
)
def test_the_environment_says_what_machine_it_is(emulation: Emulation, sm: str, shared: int, permitted: bool) -> None:
    environment = {"ERFFAST_EMULATED_SM": sm, "ERFFAST_EMULATED_MEMORY": "100000", "ERFFAST_EMULATED_DEVICES": "2"}
    lines = ran(emulation, "clean_machine", "plain", **environment).stdout.splitlines()
    assert lines[:2] == [
        f"driver 13000 runtime 13000 devices 2 name emulated sm {sm} {sm[0]} shared {shared} {shared} memory 100000 100000 used 512",
        "one byte more: cudaErrorMemoryAllocation; exactly: cudaSuccess",
    ]
    assert ran(emulation, "shared_of_a_newer_device", "plain", ERFFAST_EMULATED_SM=sm).returncode == (0 if permitted else 1)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("DRIVER", "none", "cudaErrorInsufficientDriver"),
        ("DRIVER", "old", "cudaErrorInsufficientDriver"),
        ("DEVICES", "0", "cudaErrorNoDevice"),
    ],
)
def test_a_machine_without_a_driver_or_a_device(emulation: Emulation, name: str, value: str, error: str) -> None:
    done = ran(emulation, "clean_named", "plain", **{f"ERFFAST_EMULATED_{name}": value})
    assert done.stdout.startswith(f"error {error}: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ORDER", "random"),
        ("ORDER", "backward"),
        ("SM", "76"),
        ("STREAMS", "eager"),
        ("MEMORY", "2GB"),
        ("DRIVER", "new"),
        ("THREADS", "0"),
    ],
)
def test_what_the_environment_says_is_understood_or_refused(emulation: Emulation, name: str, value: str) -> None:
    done = ran(emulation, "clean_named", "plain", **{f"ERFFAST_EMULATED_{name}": value})
    assert done.returncode == 2
    assert re.match(rf"{FINDING}ERFFAST_EMULATED_{name} must be .*, not {value}$", done.stderr)


NOT_EMULATED = {
    "named shared memory without the macro": ("__shared__ float tile[4];", "declare shared memory with GPU_SHARED"),
    "launches in angle brackets": ("kernel<<<1, 1>>>(out);", "expected primary-expression"),
    "shuffles without a mask": ("*out = __shfl_down(*out, 1);", "'__shfl_down' was not declared"),
    "fences": ("__threadfence();", "'__threadfence' was not declared"),
    "shuffles of structures": ("__shfl_sync(~0u, dim3(1), 0);", "no matching function"),
}


@pytest.mark.parametrize("case", NOT_EMULATED)
def test_what_is_not_emulated_does_not_compile(tmp_path: Path, case: str) -> None:
    code, message = NOT_EMULATED[case]
    source = tmp_path / "kernel.cu"
    source.write_text(f"#include <cuda_runtime.h>\n__global__ void kernel(float* out);\n__device__ void body(float* out) {{ {code} }}\n")
    command = ["g++", "-std=c++20", "-fsyntax-only", f"-I{SOURCES / 'include'}", "-x", "c++", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"LC_ALL": "C"})
    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.skipif(shutil.which(CROSS) is None, reason=f"{CROSS} is not installed (g++-aarch64-linux-gnu)")
@pytest.mark.skipif(EMULATOR is None, reason="qemu-aarch64 is not installed (qemu-user-static)")
def test_threads_take_turns_on_other_processors_too(emulation: Emulation) -> None:
    """x86-64 has a switch between stacks of its own; all others have the C library's."""
    command = [str(EMULATOR), str(emulation.cases("arm64"))]
    for case, right in CLEAN.items():
        assert clean(execute([*command, case], variant="plain")) == right, case
    done = execute([*command, "two_places"], variant="plain")
    assert done.returncode == 1
    assert re.search(REFUSED["two_places"], done.stdout)


@pytest.mark.skipif(bool(unavailable(module=True)), reason=unavailable(module=True))
@pytest.mark.skipif(not (ROOT / "cmake" / "cuda_sources.cmake").exists(), reason="there is no CUDA backend")
def test_the_extension_module_runs_on_it(emulation: Emulation) -> None:
    code = "import erffast as ef; print(ef.available_devices()['cuda'])"
    assert emulation.run(code) == "ready\n"
    assert "no NVIDIA driver" in emulation.run(code, ERFFAST_EMULATED_DRIVER="none")
