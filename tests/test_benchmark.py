"""The benchmark: its checks must be seen to fail, its peers to agree, its words to be there. No test asserts a time."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest

import erffast as ef
from erffast import _core, cli
from erffast.benchmark import (
    Benchmark,
    JobResult,
    answers,
    ceilings,
    chains,
    load_results,
    loops,
    products,
    run_jobs,
    runner,
    tables,
    truths,
)
from erffast.benchmark import growth as growth_curves
from erffast.benchmark.answers import answer_of, difference, single
from erffast.benchmark.cases import Case, Peer
from erffast.benchmark.jobs import JOBS, LEVELS, Job, chosen_jobs
from erffast.benchmark.positive import Deep, Direct, DirectSingle
from erffast.benchmark.results import Ceilings, PeerResult, Point, Timing, Trace
from erffast.benchmark.signed import Signed, SignedCompact, product_work
from erffast.benchmark.timing import time_call, timed_answer
from erffast.benchmark.uniform import SmallCall, UniformImage, UniformProfiles

ROOT = Path(__file__).resolve().parents[1]
MADE = Ceilings(float32=2e11, float64=1e11, copy=3e10, write=4e10, fft={"scipy": 0.02})

SMALL: dict[str, tuple[type[Case], dict[str, int]]] = {
    "J1": (UniformImage, {"n": 20}),
    "J3": (Signed, {"n": 40}),
    "J3c": (SignedCompact, {"n": 60}),
    "J3d": (Direct, {"n": 15, "k": 3}),
    "J3d32": (DirectSingle, {"n": 15, "k": 3}),
    "J4": (Deep, {"n": 60, "k": 5}),
    "J8": (Signed, {"n": 20, "draws": 3}),
    "small": (SmallCall, {"n": 5}),
}


@pytest.fixture
def small_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceilings, "MOST_ARRAY", 2**20)
    monkeypatch.setattr(ceilings, "FFT_SIDE", 64)


def signed_kernels(n: int, k: int = 3) -> Any:
    return np.random.default_rng(n).standard_normal((n, k, k)) / k


# ------------------------------------------------------------------------------------------------ ceilings


@pytest.mark.usefixtures("small_arrays")
def test_ceilings_are_plausible() -> None:
    found = ceilings.Probe(1).measure(seconds=0.02)
    assert 1e8 < found.float64 < 1e13
    assert 1e8 < found.float32 < 1e13
    assert 1e8 < found.copy < 1e13
    assert 1e8 < found.write < 1e13
    assert 0 < found.fft["scipy"] < 100
    assert ("ducc0" in found.fft) == (importlib.util.find_spec("ducc0") is not None)


def test_probes_do_what_they_time() -> None:
    source, target = np.arange(1001.0), np.zeros(1001)
    assert _core.copy_rate(target[1:], source[1:], 2, 0.0) > 0  # an odd start: streaming stores need pairs
    np.testing.assert_array_equal(target[1:], source[1:])
    assert target[0] == 0
    assert _core.write_rate(target, 2, 0.0) > 0
    np.testing.assert_array_equal(target, np.ones(1001))


def test_probes_refuse_what_they_cannot_fill() -> None:
    with pytest.raises(ValueError, match="same length"):
        _core.copy_rate(np.zeros(3), np.zeros(4), 1, 0.0)
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        _core.write_rate(frozen, 1, 0.0)


def test_the_time_of_another_transform_grows_a_little_faster_than_its_pixels() -> None:
    assert ceilings.fft_seconds(MADE, 2016, 2016) == pytest.approx(0.02)
    assert 0.9 < 4 * ceilings.fft_seconds(MADE, 1008, 1008) / 0.02 < 1


def test_the_product_is_counted_as_documented() -> None:
    assert product_work(1000, 100, 3) == 3 * 1000 * 100


# ------------------------------------------------------------------------------------------------ checks


def made(name: str) -> tuple[Case, Any]:
    kind, size = SMALL[name]
    case = kind(size, 2)
    return case, case.run()


def changed(found: Any, **fields: Any) -> Any:
    """What a check reads of a result, with something else in its place."""
    names = ("image", "exponent", "origin", "error", "shape")
    return SimpleNamespace(**{name: getattr(found, name) for name in names} | fields)


def with_one_pixel(image: Any, factor: float) -> Any:
    """The largest pixel of the last draw changed."""
    image = image.copy()
    last = image if image.ndim == 2 else image[-1]
    where = np.unravel_index(np.abs(last).argmax(), last.shape)
    last[where] *= factor
    return image


@pytest.mark.parametrize("name", SMALL)
def test_checks_pass_the_engines(name: str) -> None:
    case, found = made(name)
    verdict = case.check(found)
    assert verdict.wrong == ""
    assert verdict.against
    assert case.answer(found).pixels.ndim == 3
    floor = case.floor(MADE, found)
    assert floor is None or floor > 0


MISTAKES = ("pixel", "exponent", "place", "nan", "transposed")
SYMMETRIC = ("J1", "small")  # a symmetric image is its own transpose


@pytest.mark.parametrize(("name", "mistake"), [(n, m) for n in SMALL for m in MISTAKES if m != "transposed" or n not in SYMMETRIC])
def test_checks_fail_wrong_answers(name: str, mistake: str) -> None:
    case, found = made(name)
    single_precision = found.image.dtype == np.float32
    wrong = {
        "pixel": {"image": with_one_pixel(found.image, 1 + (1e-3 if single_precision else 1e-8))},
        "exponent": {"exponent": found.exponent + 1},
        "place": {"origin": (found.origin[0], found.origin[1] + 1), "image": np.roll(found.image, 1, axis=-1)},
        "nan": {"image": with_one_pixel(found.image, math.nan)},
        "transposed": {"image": np.swapaxes(found.image, -1, -2)},
    }[mistake]
    assert case.check(changed(found, **wrong)).wrong


def test_the_check_of_profiles_fails_wrong_ones() -> None:
    case = UniformProfiles({"n": 50}, 1)
    found = case.run()
    assert not case.check(found).wrong
    tail = found.rows.copy()
    tail[0] *= 1 + 1e-9  # 3**-50: far below anything a difference would show
    assert case.check(found._replace(rows=tail)).wrong
    assert case.check(found._replace(rows=found.rows[1:])).wrong
    assert case.check(found._replace(std=(found.std[0] * (1 + 1e-9), found.std[1]))).wrong


def test_a_verdict_of_nan_is_wrong() -> None:
    assert truths.Verdict(math.nan, 1.0, "x").wrong
    assert not truths.Verdict(1.0, 1.0, "x").wrong


def test_sampled_frequencies_estimate_the_norm_of_the_error() -> None:
    kernels = signed_kernels(60)
    right = products.numpy_image(kernels)
    noise = 1e-6 * np.random.default_rng(0).standard_normal(right.pixels.shape) * np.abs(right.pixels).max()
    noisy = dataclasses.replace(right, pixels=right.pixels + noise)
    wanted = np.linalg.norm(noise) / np.abs(noisy.pixels).max()
    found = [truths.sampled_error(noisy, kernels, seed=seed) for seed in range(4)]
    np.testing.assert_allclose(found, wanted, rtol=0.2)


def test_sampled_frequencies_find_the_peaks_of_the_spectrum() -> None:
    kernels = signed_kernels(200)
    right = products.numpy_image(kernels)
    spectrum = np.fft.rfft2(right.pixels[0])
    strong = np.abs(spectrum) > 0.5 * np.abs(spectrum).max()
    assert strong.mean() < 2e-3  # an even sample would hardly ever meet them
    spectrum[strong] *= 1 + 1e-6
    wrong = single(np.fft.irfft2(spectrum, s=right.pixels[0].shape), int(right.exponents[0]))
    assert truths.sampled_error(wrong, kernels) > 100 * truths.sampled_error(right, kernels)


def test_sums_see_a_single_corner() -> None:
    kernels = np.random.default_rng(2).uniform(0.5, 1.0, (30, 3, 3))
    right = loops.numpy_loop(kernels, "float64")
    assert truths.sums_error(right, kernels) < 1e-14
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        pixels = right.pixels.copy()
        assert pixels[0][corner] < 1e-20 * pixels.max()
        pixels[0][corner] *= 1 + 1e-9
        assert truths.sums_error(dataclasses.replace(right, pixels=pixels), kernels) > 1e-10
    assert truths.sums_error(dataclasses.replace(right, pixels=right.pixels[:, 1:]), kernels) == math.inf


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (3, 5), (5, 3)])
def test_sums_along_every_direction(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(1).standard_normal(shape)
    rows, columns = shape
    np.testing.assert_allclose(chains.summed(image, "rows"), image.sum(1))
    np.testing.assert_allclose(chains.summed(image, "columns"), image.sum(0))
    # pixel (y, x) goes to place y + x
    wanted = [sum(image[y, s - y] for y in range(rows) if 0 <= s - y < columns) for s in range(rows + columns - 1)]
    np.testing.assert_allclose(chains.summed(image, "diagonals"), wanted)
    wanted = [np.trace(image, offset=columns - 1 - s) for s in range(rows + columns - 1)]
    np.testing.assert_allclose(chains.summed(image, "antidiagonals"), wanted, atol=1e-15)


# ------------------------------------------------------------------------------------------------ answers


def test_differences_are_between_true_values_at_the_same_place() -> None:
    right = single(np.array([[0.0, 1.0], [2.0, 4.0]]), 3, (5, 6))
    assert difference(single(2 * right.pixels[0], 2, (5, 6)), right) == 0
    assert difference(single(right.pixels[0], 4, (5, 6)), right) == 1
    framed = np.pad(right.pixels[0], 2, constant_values=7.0)
    assert difference(single(framed, 3, (3, 4)), right) == 0  # pixels beyond are not looked at
    assert difference(single(right.pixels[0][:, :1], 3, (5, 6)), right) == 1  # missing ones are zero
    assert difference(single(right.pixels[0], 3, (99, 6)), right) == 1
    assert difference(single(right.pixels[0] * math.nan, 3, (5, 6)), right) == math.inf
    assert difference(single(right.pixels[0], -5000, (5, 6)), right) == 1


def test_every_draw_counts() -> None:
    right = answers.Answer(np.ones((3, 2, 2)), np.array([0, 5, -2]), (0, 0))
    wrong = answers.Answer(right.pixels.copy(), right.exponents, (0, 0))
    wrong.pixels[2, 0, 0] = 1.25
    assert difference(right, right) == 0
    assert difference(wrong, right) == 0.25
    assert difference(wrong.draw(1), right.draw(1)) == 0


# ------------------------------------------------------------------------------------------------ peers


def test_numpy_peers_agree_with_the_engines() -> None:
    kernels = signed_kernels(30, 5)
    right = answer_of(ef.gradient(ef.parse("conv5 * 30"), kernels, window="full"))
    assert difference(products.numpy_image(kernels), right) < 1e-13
    assert difference(loops.numpy_loop(kernels, "float64"), right) < 1e-11
    assert difference(loops.scipy_loop(kernels[:4]), answer_of(ef.gradient(ef.parse("conv5 * 4"), kernels[:4]))) < 1e-14


def test_a_smaller_period_holds_a_deep_image() -> None:
    kernels = signed_kernels(200)
    small = products.numpy_image(kernels, period=300)
    assert small.pixels.shape == (1, 300, 300)
    assert difference(small, products.numpy_image(kernels)) < 1e-11


@pytest.mark.parametrize("shape", [(4, 2, 3), (40, 1, 3), (3, 4, 1)])
def test_the_numpy_product_takes_any_kernel(shape: tuple[int, int, int]) -> None:
    kernels = np.random.default_rng(5).standard_normal(shape)
    right = loops.numpy_loop(kernels, "float64")
    assert difference(products.numpy_image(kernels), right) < 1e-13
    assert difference(products.numpy_image(kernels, period=products.even_length(max(right.pixels.shape) + 2)), right) < 1e-13


def test_torch_peers_agree_in_float64_and_fail_in_float32() -> None:
    pytest.importorskip("torch")
    kernels = signed_kernels(100)
    right = products.numpy_image(kernels)
    peak = math.log2(np.abs(right.pixels).max()) + int(right.exponents[0])
    with loops.torch_threads(1):
        assert difference(products.torch_image(kernels), right) < 1e-12
        assert difference(loops.torch_loop(kernels, "float64"), right) < 1e-10
        assert difference(loops.torch_autograd(kernels, "float64", peak), right) < 1e-10
        # what the table shows beside their times: a hundred signed layers leave float32 four digits or fewer
        assert difference(loops.torch_loop(kernels, "float32"), right) > 1e-5
        assert difference(loops.torch_autograd(kernels, "float32", peak), right) > 1e-5


def test_torch_keeps_its_number_of_threads() -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    with loops.torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_the_band_makes_the_window() -> None:
    kernels = np.random.default_rng(6).uniform(0.2, 3.0, (40, 3, 3))
    right = answer_of(ef.gradient(ef.parse("conv3 * 40"), kernels, engine="direct"))
    first = right.origin
    last = [o + n - 1 for o, n in zip(first, right.pixels.shape[1:], strict=True)]
    band = products.Band(128, 63, 63, ((first[0], last[0]), (first[1], last[1])))
    assert difference(products.band_image(kernels, band), right) < 1e-13
    assert difference(products.band_image(kernels, band, precise=True), right) < 1e-13


# ------------------------------------------------------------------------------------------------ jobs and their words


@pytest.mark.parametrize("key", JOBS)
@pytest.mark.parametrize("level", LEVELS)
def test_every_job_has_its_sizes(key: str, level: str) -> None:
    job = JOBS[key]
    assert set(job.size(level)) == set(job.peer_size(level))
    assert all(job.peer_size(level)[name] <= value for name, value in job.size(level).items())
    assert level != "full" or job.peer_size(level) == job.size(level)


def test_jobs_are_chosen_by_key() -> None:
    assert chosen_jobs(None) == tuple(JOBS.values())
    assert [job.key for job in chosen_jobs("j4, J1,J1")] == ["J4", "J1"]
    for keys in ("J9", "", ",", "J1 J2"):
        with pytest.raises(ValueError, match="jobs must be some of J1, J2"):
            chosen_jobs(keys)


class Made(Case):
    """A job whose answer is what the test says."""

    answers: tuple[Any, ...] = (1.0,)

    def run(self) -> Any:
        found = self.answers[0]
        if isinstance(found, Exception):
            raise found
        return single(np.full((2, 2), found))

    def check(self, found: Any) -> truths.Verdict:
        return truths.Verdict(abs(float(found.pixels[0, 0, 0]) - 1), 1e-3, "the number one")

    def peers(self, found: Any) -> list[Peer]:
        return [
            Peer("a peer in torch", lambda: single(np.ones((2, 2))), torch=True),
            Peer("a hungry peer", self.starve, slow=True),
            Peer("a peer that is off", lambda: single(np.full((2, 2), 1.5)), fair=True),
        ]

    def starve(self) -> NoReturn:
        raise MemoryError("two terabytes")

    def answer(self, found: Any) -> Any:
        return found

    def engine(self, found: Any) -> str:
        return "made"

    def claimed(self, found: Any) -> float:
        return 0.5


class MadeWrong(Made):
    answers = (2.0,)


class MadeRefusal(Made):
    answers = (ef.BackendUnavailable("no such engine here"),)


def run_made(monkeypatch: pytest.MonkeyPatch, kind: type[Case]) -> Benchmark:
    monkeypatch.setitem(runner.BUDGET, "quick", 0.0)
    job = Job("made", "a made job", kind, ({"n": 9}, {"n": 9}), ({"n": 4}, {"n": 4}))
    monkeypatch.setattr(runner, "chosen_jobs", lambda keys: (job,))
    return run_jobs(level="quick", threads=1)


@pytest.mark.usefixtures("small_arrays")
def test_a_run_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else missing(name, *rest))
    found = run_made(monkeypatch, Made)
    (job,) = found.jobs
    assert found.right
    assert (job.error, job.allowed, job.engine, job.claimed, job.wrong, job.skipped) == (0, 1e-3, "made", 0.5, "", "")
    assert job.timing is not None
    assert job.timing.low <= job.timing.median <= job.timing.high
    assert job.timing.runs >= 3
    peers = {peer.name: peer for peer in job.peers}
    assert "pip install torch" in peers["a peer in torch"].skipped
    assert peers["a hungry peer"].skipped == "two terabytes"
    assert peers["a hungry peer"].size == {"n": 4}
    assert peers["a peer that is off"].size == {"n": 9}
    assert peers["a peer that is off"].error == 0.5
    assert job.fair is peers["a peer that is off"]
    shown = "\n".join(table.as_text() for table in tables.benchmark_tables(found))
    assert "made, a peer in torch: skipped, torch is not installed (pip install torch)" in shown
    assert Benchmark.from_json(found.to_json()) == found


@pytest.mark.usefixtures("small_arrays")
def test_a_wrong_answer_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_made(monkeypatch, MadeWrong)
    (job,) = found.jobs
    assert not found.right
    assert job.timing is None
    assert job.peers == ()
    assert job.wrong == "error 1.0e+00, allowed 1.0e-03, against the number one"
    assert "made: WRONG, error 1.0e+00" in tables.jobs_table(found).as_text()


@pytest.mark.usefixtures("small_arrays")
def test_a_refusal_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_made(monkeypatch, MadeRefusal)
    assert found.right
    assert found.jobs[0].skipped == "no such engine here"
    assert "made: skipped: no such engine here" in tables.jobs_table(found).as_text()


# ------------------------------------------------------------------------------------------------ results


def made_benchmark(**fields: Any) -> Benchmark:
    timing = Timing(0.25, 0.2, 0.5, 3)
    peers = (
        PeerResult("fair one", True, {"n": 5}, timing=Timing(1.0, 1.0, 1.0, 1), ours=timing, error=1e-9),
        PeerResult("lost one", False, {"n": 5}, timing=timing, ours=timing, error=math.inf),
        PeerResult("absent one", False, {"n": 5}, skipped="gone"),
    )
    traces = {"before": Trace(1e11, 3e10), "after": Trace(0.4e11, 3e10)}
    job = JobResult("J3", "a job", {"n": 5}, "", "", "direct", 1e-15, 1e-11, "truth", 2e-15, timing, 0.05, "work", **traces, peers=peers)
    points = (*(Point("J3", n, 3, n * 1e-4, n * 1000) for n in (100, 300)), Point("J3", 1000, 3, skipped="too large"))
    points += tuple(Point("J3", 100, k, k * 1e-3, 1000) for k in (5, 7))
    facts = {"processor": "a machine", "numpy": "2", "scipy": "1", "torch": None}
    values: dict[str, Any] = {"date": "2026-01-02T03:04:05+00:00", "level": "quick", "threads": 2, "machine": facts}
    values |= {"build": {"instruction_set": "baseline", "compiler": "cc"}, "ceilings": MADE, "jobs": (job,), "growth": points}
    return Benchmark(**values | fields)


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    found = made_benchmark()
    found.save(tmp_path / "results.json")
    assert load_results(tmp_path / "results.json") == found
    assert json.loads((tmp_path / "results.json").read_text())["jobs"][0]["peers"][1]["error"] == "inf"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "erffast benchmark", "version": 99}', '{"format": "x", "version": 1}'])
def test_other_files_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a result of erffast bench"):
        Benchmark.from_json(text)


def test_the_table_says_what_was_measured() -> None:
    text = tables.jobs_table(made_benchmark()).as_text(200)
    assert "J3 a job" in text
    assert "250 ms" in text
    assert "200 ms .. 500 ms of 3" in text
    assert "5x" in text  # 0.25 s over a floor of 0.05 s
    assert "4x" in text  # the fair peer
    assert "J3: the machine was busy: 40 % of its multiply-adds" in text


def test_markdown_goes_between_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{tables.BEGIN}\nold\n{tables.END}\n\nafter\n")
    tables.replace_table(page, tables.markdown(made_benchmark()))
    first = page.read_text()
    assert "| J3 a job | n=5 | direct | 1.0e-15 |" in first
    assert "Measured 2026-01-02 on a machine, 2 threads, baseline" in first
    assert first.startswith("# Title\n")
    assert first.endswith("\n\nafter\n")
    assert "old" not in first
    tables.replace_table(page, tables.markdown(made_benchmark()))
    assert page.read_text() == first
    page.write_text("no markers")
    with pytest.raises(ValueError, match="one line <!-- benchmark table -->"):
        tables.replace_table(page, "x")
    assert page.read_text() == "no markers"


@pytest.mark.parametrize("page", ["README.md", "docs/performance.md"])
def test_the_pages_have_a_place_for_the_table(page: str, tmp_path: Path) -> None:
    copy = tmp_path / "page.md"
    copy.write_text((ROOT / page).read_text(encoding="utf-8"), encoding="utf-8")
    tables.replace_table(copy, tables.markdown(made_benchmark()))
    assert "| J3 a job |" in copy.read_text(encoding="utf-8")


def test_the_picture_shows_every_curve(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from erffast.benchmark.pictures import growth_figure, save_growth

    figure = growth_figure(made_benchmark())
    times, memory, kernels = figure.axes
    (line,) = times.get_lines()
    np.testing.assert_allclose(line.get_xydata(), [[100, 0.01], [300, 0.03]])
    (line,) = memory.get_lines()
    np.testing.assert_allclose(line.get_xdata(), [100, 300])
    (line,) = kernels.get_lines()
    np.testing.assert_allclose(line.get_xydata(), [[3, 0.01], [5, 5e-3], [7, 7e-3]])
    save_growth(made_benchmark(), tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="no growth curves"):
        growth_figure(made_benchmark(growth=()))


# ------------------------------------------------------------------------------------------------ time and growth


def test_calls_are_repeated() -> None:
    calls: list[int] = []
    found = time_call(lambda: calls.append(1), budget=0.0)
    assert found.runs == 3
    assert len(calls) > 3  # short calls are timed several at once
    assert 0 < found.low <= found.median <= found.high


def test_a_slow_call_is_made_once() -> None:
    calls: list[int] = []
    answer, found = timed_answer(lambda: calls.append(1) or len(calls), budget=-1.0)  # type: ignore[func-returns-value]
    assert (answer, len(calls), found.runs) == (1, 1, 1)


def test_a_point_of_growth_is_measured_in_a_process_of_its_own() -> None:
    point = growth_curves.measure_point("J3d", 200, 3, threads=1, timeout=60)
    assert point.skipped == ""
    assert point.seconds is not None
    assert point.memory is not None
    assert point.seconds > 0
    image = 401**2 * 8
    assert 0.9 * image < point.memory < 20 * image


def test_a_point_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    point = growth_curves.measure_point("nothing", 5, 3, threads=1, timeout=60)
    assert point.seconds is None
    assert "KeyError: 'nothing'" in point.skipped
    monkeypatch.setattr(sys, "executable", "/bin/sleep")
    monkeypatch.setattr(growth_curves.subprocess, "run", timed_out)
    assert growth_curves.measure_point("J3", 5, 3, threads=1, timeout=7).skipped == "not done within 7 s"


def timed_out(*words: Any, **options: Any) -> NoReturn:
    raise growth_curves.subprocess.TimeoutExpired("x", 1)


def test_a_curve_ends_where_it_gets_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    def made_point(job: str, layers: int, kernel: int, threads: int, timeout: float) -> Point:
        return Point(job, layers, kernel, seconds=layers * kernel / 300, memory=1)

    monkeypatch.setattr(growth_curves, "measure_point", made_point)
    points = growth_curves.measure_growth("standard", 1, lambda line: None)
    deep = [p.layers for p in points if p.curve == "J3" and p.kernel == 3]
    assert deep == [100, 300, 1000]  # 10 s: the first past the limit is the last
    assert [p.kernel for p in points if p.curve == "J3" and p.kernel > 3] == [5, 7, 9, 11, 15, 21]


# ------------------------------------------------------------------------------------------------ command line


def test_bench_prints_and_writes(capsys: pytest.CaptureFixture[str], tmp_path: Path, small_arrays: None) -> None:
    assert cli.main(["bench", "--quick", "--jobs", "small,J2", "--threads", "1", "--json", str(tmp_path / "out.json")]) == 0
    shown = capsys.readouterr()
    assert "Ceilings of this machine, 1 thread" in shown.out
    assert "small uniform 3x3, what a call costs" in shown.out
    assert shown.err == f"wrote {tmp_path / 'out.json'}\n"  # progress is for terminals
    found = load_results(tmp_path / "out.json")
    assert [job.key for job in found.jobs] == ["small", "J2"]
    assert found.build["version"] == ef.__version__
    assert {"processor", "cores", "numpy", "scipy", "torch"} <= set(found.machine)
    assert (found.level, found.threads, found.growth) == ("quick", 1, ())


def test_bench_fails_where_an_answer_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, small_arrays: None
) -> None:
    monkeypatch.setattr(SmallCall, "check", lambda self, found: truths.Verdict(1.0, 0.0, "made up"))
    assert cli.main(["bench", "--quick", "--jobs", "small", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["jobs"][0]["wrong"] == "error 1.0e+00, allowed 0.0e+00, against made up"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--jobs", "J9"], "erffast: jobs must be some of J1, J2, J3, J3c, J3d, J3d32, J4, J8, small, got 'J9'\n"),
        (["--threads", "-1"], "erffast: threads must be at least 0, got -1\n"),
        (["--quick", "--full"], "argument --full: not allowed with argument --quick"),
        (["--plot", "growth.bmp"], "--plot growth.bmp: a picture ends in .png, .svg or .pdf"),
        (["--json", "nowhere/out.json"], "the folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bench_refuses_in_one_line(capsys: pytest.CaptureFixture[str], words: list[str], message: str, tmp_path: Path) -> None:
    try:
        status = cli.main(["bench", *words])
    except SystemExit as exc:
        status = int(exc.code or 0)
    shown = capsys.readouterr()
    assert (status, shown.out) == (2, "")
    assert message in shown.err
