"""Memory is asked for before it is used, Ctrl-C is answered, progress is told, and depth costs next to nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import erffast as ef
from erffast import _backend, execution
from erffast.lowering import lower_variance
from erffast.spreads import least_side

RNG = np.random.default_rng(11)
# Signed, and near enough to an identity that rounding is not amplified: float32 would do.
SIGNED = 0.02 * RNG.standard_normal((50, 3, 3)) + np.multiply.outer([0, 1, 0], [0, 1, 0])
POSITIVE = RNG.random((300, 3, 3))

# ------------------------------------------------------------------------------------------------ memory

# name: (limit, call, message)
TOO_MUCH: dict[str, tuple[str, Callable[[], Any], str]] = {
    "signed full image": (
        "64K",
        lambda: ef.gradient(ef.parse("conv3 * 50"), SIGNED, engine="direct"),
        r"a receptive field of 101 x 101 pixels needs 239 KiB, and 64 KiB are available; use dtype=\"float32\" or fewer layers",
    ),
    "signed draws": (
        "256K",
        lambda: ef.gradient(ef.parse("conv3 * 50"), np.stack([SIGNED] * 20), threads=2, engine="spectral"),
        r"an image of 101 x 101 pixels for 20 draws needs .* MiB, and 256 KiB are available; use fewer draws at a time",
    ),
    "signed draws, layer by layer": (
        "256K",
        lambda: ef.gradient(ef.parse("conv3 * 50"), np.stack([SIGNED] * 20), threads=2, engine="direct"),
        r"a receptive field of 101 x 101 pixels for 20 draws needs .* MiB, and 256 KiB are available; use fewer draws at a time",
    ),
    "whole support of a signed chain": (
        "4M",
        lambda: ef.gradient(ef.parse("conv3 * 300"), np.tile(SIGNED, (6, 1, 1)), engine="spectral", period="full", window=9),
        r"a period of 6.. x 6.. pixels needs .* MiB, and 4 MiB are available; use period=\"auto\"",
    ),
    "period of many signed draws": (
        "40K",
        lambda: ef.gradient(ef.parse("conv3 * 50"), np.stack([SIGNED] * 60), engine="spectral", window=9),
        r"a period of .* pixels for 60 draws needs .*iB, and 40 KiB are available; use fewer draws at a time",
    ),
    "full window of a positive chain": (
        "1M",
        lambda: ef.gradient(ef.parse("conv3 * 300"), POSITIVE, window="full"),
        r"a receptive field of 601 x 601 pixels needs 8.27 MiB, and 1 MiB are available; use window=\"auto\"",
    ),
    "full window relative to the peak": (
        "2M",
        lambda: ef.gradient(ef.parse("conv3 * 300"), POSITIVE, window="full", accuracy="peak", engine="direct"),
        r"an image of 601 x 601 pixels needs 2.76 MiB, and 2 MiB are available; use window=\"auto\"",
    ),
    "full window from a band": (
        "2M",
        lambda: ef.gradient(ef.parse("conv3 * 300"), POSITIVE, window="full", accuracy="peak", engine="spectral"),
        r"an image of 601 x 601 pixels needs 2.76 MiB, and 2 MiB are available; ask for a smaller window, or use fewer layers",
    ),
    "automatic window": (
        "100K",
        lambda: ef.gradient(ef.parse("conv3 * 300"), POSITIVE),
        r"the two working images need .* KiB, and 100 KiB are available; use dtype=\"float32\" or fewer layers",
    ),
    "direct where separable would do": (
        "64K",
        lambda: ef.variance(ef.parse("conv3 * 100"), window="full", engine="direct"),
        r"a receptive field of 201 x 201 pixels needs 947 KiB, and 64 KiB are available; use engine=\"separable\"",
    ),
    "profiles": (
        "8M",
        lambda: ef.variance(ef.parse("conv3 * 1000000"), window="full"),
        r"a receptive field of 2000001 pixels needs 45.8 MiB, and 8 MiB are available; use window=\"auto\"",
    ),
    "map": (
        "1M",
        lambda: ef.gradient(ef.parse("conv3:p1 * 300"), POSITIVE, input_size=400),
        r"a receptive field of 601 x 601 pixels needs 3.7 MiB, and 1 MiB are available; .*",
    ),
    "channels": (
        "10K",
        lambda: ef.gradient(ef.parse("conv3 * 2"), [np.ones((64, 3, 3, 3)), np.ones((64, 64, 3, 3))]),
        r"a receptive field of 5 x 5 pixels needs .* KiB, and 10 KiB are available; .*",
    ),
    "dilation": (
        "1G",
        lambda: ef.variance(ef.Stack([ef.Conv(3, dilation=2**40)]), engine="direct"),
        r"an image of 8\d+ x 8\d+ pixels and more, .*, and 1 GiB are available; use engine=\"separable\"",
    ),
    "strides": (
        "1G",
        lambda: ef.gradient(ef.parse("conv3/2 * 40"), POSITIVE[:40], engine="direct"),
        r"an image of \d+ x \d+ pixels and more, .*, and 1 GiB are available; use dtype=\"float32\" or fewer layers",
    ),
    "strides, from a band": (
        "1G",
        lambda: ef.gradient(ef.parse("conv3/2 * 40"), POSITIVE[:40]),
        r"an image of \d+ x \d+ pixels needs .*, and 1 GiB are available; ask for a smaller window, or use fewer layers",
    ),
    "nothing at all": (
        "0",
        lambda: ef.variance(ef.parse("conv3")),
        r"the two working images need \d+ bytes, and 0 bytes are available; use fewer layers",
    ),
}


def test_images_of_signed_draws_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = np.stack([SIGNED] * 60)
    wanted = ef.gradient(ef.parse("conv3 * 50"), weights, engine="spectral", window=9)
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", "256K")  # 60 periods of 25 x 28 pixels take 328 KiB
    np.testing.assert_array_equal(ef.gradient(ef.parse("conv3 * 50"), weights, engine="spectral", window=9).image, wanted.image)


@pytest.mark.parametrize("case", TOO_MUCH)
def test_what_cannot_fit_names_the_bytes_and_what_would(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, call, message = TOO_MUCH[case]
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", limit)
    with pytest.raises(MemoryError, match=f"^{message}$"):
        call()


# The advice of the messages above, taken.
HEEDED: dict[str, tuple[str, Callable[[], Any]]] = {
    "float32": ("122K", lambda: ef.gradient(ef.parse("conv3 * 50"), SIGNED, dtype="float32")),
    "fewer draws": ("256K", lambda: ef.gradient(ef.parse("conv3 * 50"), SIGNED[None], threads=2, dtype="float32")),
    "automatic window": ("4M", lambda: ef.gradient(ef.parse("conv3 * 300"), POSITIVE)),
    "automatic window of profiles": ("8M", lambda: ef.variance(ef.parse("conv3 * 1000000"))),
    "separable": ("64K", lambda: ef.variance(ef.parse("conv3 * 100"), window="full", engine="separable")),
}


@pytest.mark.parametrize("case", HEEDED)
def test_the_advice_helps(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, call = HEEDED[case]
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", limit)
    assert np.isfinite(call().std()).all()


def test_measures_of_a_product_never_form_its_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", "16M")
    erf = ef.variance(ef.parse("conv3 * 10000"), window="full")
    assert erf.shape == (20001, 20001)
    assert erf.std() == pytest.approx((np.sqrt(20000 / 3),) * 2, rel=1e-9)
    assert erf.level_size() == pytest.approx(np.sqrt(np.pi * 2 * 20000 / 3 * np.log(1 / 0.0455)), rel=1e-3)  # the Gaussian's disc
    assert erf.marginal().shape == erf.cut().shape == (20001,)
    assert erf.marginal().sum() == pytest.approx(1, rel=1e-12)
    assert len(repr(erf).splitlines()) == 4
    advice = 'every size, marginal() and cut() work without the image; a smaller window=, or dtype="float32", needs less'
    message = f"the image of 20001 x 20001 pixels needs 2.98 GiB, and 16 MiB are available; {advice}"
    with pytest.raises(MemoryError, match=f"^{re.escape(message)}$"):
        _ = erf.image


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("123", 123),
        ("1K", 2**10),
        ("1.5k", 1536),
        ("2M", 2**21),
        ("3G", 3 * 2**30),
        ("1T", 2**40),
        (" 7 ", 7),
        ("1e3", 1000),
        ("1 K", 1024),
    ],
)
def test_memory_limits_are_read(text: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_backend, "_available_memory", lambda: 2**60)
    monkeypatch.setattr(_backend, "_cgroup", lambda name, legacy: [])
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", text)
    assert _backend.memory_limit() == count


@pytest.mark.parametrize("text", ["lots", "K", "12KB", "-1", "-1K", "nan", "inf", "1e400"])
def test_memory_limits_that_are_none_are_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", text)
    message = f"ERFFAST_MEMORY_LIMIT must be bytes, or a number with K, M, G or T, got {text!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ef.variance(ef.parse("conv3"))


def test_the_least_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"memory.max": ["1000"], "memory.current": ["300"]}
    monkeypatch.setattr(_backend, "_available_memory", lambda: 5000)
    monkeypatch.setattr(_backend, "_cgroup", lambda name, legacy: files.get(name, []))
    monkeypatch.delenv("ERFFAST_MEMORY_LIMIT", raising=False)
    assert _backend.memory_limit() == 700
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", "600")
    assert _backend.memory_limit() == 600
    files["memory.max"] = ["max"]
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", "1M")
    assert _backend.memory_limit() == 5000


def test_small_requests_are_granted_without_a_look_at_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(_backend, "_system_limits", lambda: looks.append(1) or [2**40])
    monkeypatch.delenv("ERFFAST_MEMORY_LIMIT", raising=False)
    for positive in (True, False):
        weights = POSITIVE[:20] if positive else SIGNED[:20]
        assert ef.gradient(ef.parse("conv3 * 20"), weights, window="full").image.shape == (41, 41)
    assert ef.variance(ef.parse("conv3 * 20")).image.shape == (41, 41)
    assert not looks
    assert ef.gradient(ef.parse("conv3:d500 * 3"), POSITIVE[:3], engine="direct", window="full").shape == (3001, 3001)
    assert looks


def test_what_is_granted_is_less_than_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_backend, "_system_limits", lambda: [2**40])
    monkeypatch.delenv("ERFFAST_MEMORY_LIMIT", raising=False)
    assert _backend.memory_limit(_backend.UNASKED) == _backend.GRANTED
    assert _backend.memory_limit(_backend.UNASKED + 1) == 2**40
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", "1000")
    assert _backend.memory_limit(0) == 1000


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (2**30 * 999, "999 GiB"), (2**80, "1073741824 PiB")]
)
def test_bytes_for_people(count: int, text: str) -> None:
    assert _backend.readable_bytes(count) == text


RESOURCE = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux reports it")


@RESOURCE
@pytest.mark.parametrize("sign", ["positive", "signed"])
def test_a_dense_answer_takes_at_most_three_images(sign: str, run_python: Any) -> None:
    code = """
import resource, sys, numpy as np, erffast as ef
def peak():  # of this program: ru_maxrss would count the one that started it
    return 1024 * int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
def weights(rng):
    return rng.random((3, 3, 3)) if sys.argv[1] == "positive" else rng.standard_normal((3, 3, 3))
rng = np.random.default_rng(0)
ef.gradient(ef.parse("conv3 * 3"), weights(rng), engine="direct")
before = peak()
image = ef.gradient(ef.parse("conv3:d500 * 3"), weights(rng), engine="direct", window="full").image
print((peak() - before) / image.nbytes)
"""
    assert float(run_python(code, sign).stdout) < 3


@RESOURCE
def test_a_hundred_thousand_layers(run_python: Any) -> None:
    """Uniform and all different, in 2 GB of address space: finite, scaled, and right to 1e-9."""
    code = """
import math, resource
resource.setrlimit(resource.RLIMIT_AS, (2 * 10**9,) * 2)
import numpy as np, erffast as ef
n = 100_000
erf = ef.variance(ef.parse(f"conv3 * {n}"))
assert 0.5 <= erf.image.max() < 1 and np.isfinite(erf.image).all()
for std in erf.std():
    assert abs(std / math.sqrt(2 * n / 3) - 1) < 1e-9, std

kernels = np.random.default_rng(0).random((n, 3)) + 0.1
erf = ef.gradient(ef.parse(f"conv3 * {n}", ndim=1), kernels)
assert 0.5 <= erf.image.max() < 1 and np.isfinite(erf.image).all()
sums = kernels.sum(axis=1)
taps = kernels / sums[:, None]
mean, second = taps @ [0, 1, 2], taps @ [0, 1, 4]
position = erf.origin[0] + np.arange(len(erf.image))
mass = erf.image / erf.image.sum()
found = (mass * position).sum()
assert abs(found / mean.sum() - 1) < 1e-9
assert abs((mass * (position - found) ** 2).sum() / (second - mean**2).sum() - 1) < 1e-9
assert abs(math.log2(erf.image.sum()) + erf.exponent - math.fsum(np.log2(sums))) < 1e-9 / math.log(2)
# of this program: ru_maxrss would count the one that started it
print(1024 * int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]))
"""
    assert int(run_python(code, timeout=300).stdout) < 10**9


# ------------------------------------------------------------------------------------------------ Ctrl-C

LONG = {
    "one long image": "ef.gradient(ef.parse('conv7 * 3000'), rng.random((3000, 7, 7)), window='full')",
    "one long image, one thread": "ef.gradient(ef.parse('conv7 * 3000'), rng.random((3000, 7, 7)), window='full', threads=1)",
    "many draws": "ef.gradient(ef.parse('conv7 * 300'), rng.random((8, 300, 7, 7)), window='full', threads=2)",
    "short signed draws": "ef.gradient(ef.parse('conv3 * 100'), rng.standard_normal((3000, 100, 3, 3)), window=9)",
    "one row with a million taps": "ef.variance(ef.parse('conv1000000', ndim=1))",
    "a long power": "ef.variance(ef.parse('conv63 * 2000000', ndim=1), window='full')",
}


@pytest.mark.parametrize("case", LONG)
def test_ctrl_c_is_answered_at_once_and_leaves_the_process_healthy(case: str, run_python: Any) -> None:
    """Promised within 0.2 s, allowed 1 s for a busy machine; each of these runs takes more than 10 s if it is let."""
    code = f"""
import os, signal, sys, threading, time
import numpy as np, erffast as ef
rng = np.random.default_rng(0)
ef.variance(ef.parse("conv3"))
ef.gradient(ef.parse("conv3"), -np.ones((1, 3, 3)), engine="spectral")  # ducc0 keeps a thread of its own
threads = len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 0
def interrupt():
    global sent
    time.sleep(1.0)
    sent = time.perf_counter()
    os.kill(os.getpid(), signal.SIGINT)
helper = threading.Thread(target=interrupt)
helper.start()
try:
    {LONG[case]}
    print("was done before it was interrupted")
except KeyboardInterrupt:
    waited = time.perf_counter() - sent
    helper.join()
    # a joined thread leaves the kernel's list a moment after join returns
    deadline = time.perf_counter() + 2
    while sys.platform == "linux" and len(os.listdir("/proc/self/task")) != threads:
        assert time.perf_counter() < deadline
    assert ef.variance(ef.parse("conv3 * 20")).shape == (41, 41)
    print(waited)
"""
    environment = {} if case != "a long power" else {"ERFFAST_MEMORY_LIMIT": "4G"}
    assert float(run_python(code, ERFFAST_NUM_THREADS="2", **environment).stdout) < 1


# ------------------------------------------------------------------------------------------------ progress


@pytest.mark.parametrize(
    ("call", "total"),
    [
        (lambda p: ef.gradient(ef.parse("conv7 * 120"), RNG.random((120, 7, 7)), window="full", progress=p), 120),
        (lambda p: ef.gradient(ef.parse("conv7 * 40"), RNG.random((9, 40, 7, 7)), window="full", threads=2, progress=p), 360),
        (lambda p: ef.variance(ef.parse("conv3 * 30000"), progress=p), 60000),
        (lambda p: ef.variance(ef.parse("conv3, maxpool2, conv3", ndim=3), progress=p), 9),
    ],
    ids=["direct", "draws", "separable", "three axes"],
)
def test_progress_climbs_to_its_total(call: Callable[[Any], Any], total: int) -> None:
    seen: list[tuple[int, int]] = []
    call(lambda done, of: seen.append((done, of)))
    assert all(type(d) is int and type(t) is int for d, t in seen)
    assert [d for d, _ in seen] == sorted(d for d, _ in seen)
    assert {t for _, t in seen} == {total}
    assert seen[-1] == (total, total)


def test_progress_of_a_run_that_is_repeated_keeps_climbing() -> None:
    """A window wider than the first, trimmed pass covers is run again: the total grows, what is done never falls."""
    seen: list[tuple[int, int]] = []
    ef.variance(ef.parse("conv3 * 600"), window=700, progress=lambda done, of: seen.append((done, of)))
    assert [d for d, _ in seen] == sorted(d for d, _ in seen)
    assert seen[-1] == (2 * 2 * 600, 2 * 2 * 600)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("draws", [1, 6])
def test_what_progress_raises_ends_the_run(threads: int, draws: int) -> None:
    def report(done: int, total: int) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match=r"^enough$"):
        ef.gradient(ef.parse("conv7 * 60"), RNG.random((draws, 60, 7, 7)), window="full", threads=threads, progress=report)


def test_progress_does_not_change_a_bit() -> None:
    plain = ef.gradient(ef.parse("conv7 * 40"), np.ones((40, 7, 7)) + np.eye(7))
    told = ef.gradient(ef.parse("conv7 * 40"), np.ones((40, 7, 7)) + np.eye(7), progress=lambda done, total: None)
    np.testing.assert_array_equal(plain.image, told.image)


def test_no_bar_for_a_short_run(capsys: pytest.CaptureFixture[str]) -> None:
    ef.variance(ef.parse("conv3 * 20"), progress=True)
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no pseudo-terminals")
def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    import pty
    import termios

    code = """
import time
from erffast._progress import meter
with meter(True) as told:
    told.expect(200)
    for done in range(0, 200, 10):
        told(done, 200)
        time.sleep(0.06)
    told.add(200)
"""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with subprocess.Popen([sys.executable, "-c", code], stderr=theirs, cwd=tmp_path) as process:
        os.close(theirs)
        text = b""
        try:
            while part := os.read(ours, 4096):
                text += part
        except OSError:  # Linux says so where the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 0, text
    assert re.search(rb"\d+%.*/200 .*layers/s", text)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(1, 40, 30), (2, 1000, 701)], ids=["small", "large"])
def test_images_are_zeros_and_large_ones_begin_on_a_large_page(shape: tuple[int, ...], dtype: str) -> None:
    image = execution.reserve(shape, dtype, "")
    assert (image.shape, image.dtype, image.flags.c_contiguous) == (shape, dtype, True)
    assert not image.any()
    image[...] = 1  # to its last pixel
    if image.nbytes >= 2 * execution.LARGE_PAGE:
        assert image.ctypes.data % execution.LARGE_PAGE == 0


def test_the_least_that_trimming_leaves_is_what_the_image_spreads() -> None:
    """The standard deviation that a refusal counts, beside that of the image."""
    for text in ("conv3 * 5", "conv3/2 * 3, conv5:d2, conv2 * 4", "conv3, avgpool2, conv3/3"):
        chain, erf = lower_variance(ef.parse(text)), ef.variance(ef.parse(text), window="full")
        np.testing.assert_allclose([least_side(chain, axis, 0.0) for axis in (0, 1)], erf.std(), rtol=1e-12)


def test_what_trimming_may_take_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly all of the mass in one pixel, and the rest so far away that it makes the standard deviation."""
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", "1G")
    net = ef.Stack([ef.Conv(3, stride=8, tap_variance=[1e-9, 1, 1e-9])] * 15, ndim=1)
    assert ef.variance(net, accuracy="peak", tol=1e-3, engine="direct").shape == (1,)


def test_the_largest_taps_spread_as_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", "1G")
    with pytest.raises(MemoryError, match="one standard deviation a side"):
        ef.gradient(ef.parse("conv3/2 * 30"), POSITIVE[:30] * 1.7e308, engine="direct")
