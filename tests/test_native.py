"""The extension module itself: its stub, its own checks, and what its object files export."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import erffast
from erffast import _core

ROOT = Path(__file__).parents[1]
STUB = Path(erffast.__file__).with_name("_core.pyi")

# ------------------------------------------------------------------------------------------------ the stub


def stub_functions(body: list[ast.stmt]) -> dict[str, list[str]]:
    """Names and arguments of the functions in a body, without self."""
    return {f.name: [a.arg for a in f.args.args if a.arg != "self"] for f in body if isinstance(f, ast.FunctionDef)}


STUB_BODY = ast.parse(STUB.read_text()).body
STUB_CLASSES = {c.name: c for c in STUB_BODY if isinstance(c, ast.ClassDef)}


def native_arguments(function: Any) -> list[str]:
    """The arguments in the signature that pybind11 writes, without self."""
    inside = re.search(r"\((.*)\) ->", function.__doc__.splitlines()[0])
    assert inside
    return [name for name in re.findall(r"(?:^|, )(\w+): ", inside[1]) if name != "self"]


def test_stub_has_the_names_of_the_module() -> None:
    names = {name for name in dir(_core) if not name.startswith("_")}
    assert names == {*stub_functions(STUB_BODY), *(c for c in STUB_CLASSES if not c.startswith("_"))}


@pytest.mark.parametrize("name", stub_functions(STUB_BODY))
def test_stub_has_the_arguments_of_function(name: str) -> None:
    assert native_arguments(getattr(_core, name)) == stub_functions(STUB_BODY)[name]


@pytest.mark.parametrize("name", [c for c in STUB_CLASSES if not c.startswith("_")])
def test_stub_has_the_methods_of_class(name: str) -> None:
    bases = [b.id for b in STUB_CLASSES[name].bases if isinstance(b, ast.Name)]
    agreed = {k: v for c in [*bases, name] for k, v in stub_functions(STUB_CLASSES[c].body).items()}
    methods = {m: getattr(getattr(_core, name), m) for m in dir(getattr(_core, name)) if not m.startswith("_")}
    assert {m: native_arguments(f) for m, f in methods.items()} == agreed


# ------------------------------------------------------------------------------------------------ its own checks

ONES = np.ones((1, 1, 1, 1, 3, 3))
FIELDS = ("taps", "stride", "dilation", "before", "extent", "growth", "count", "shared", "groups", "scale")


def run(**changes: Any) -> tuple[Any, ...]:
    """A run of one plain 3 x 3 step, with changes."""
    plain = dict(zip(FIELDS, (ONES, (1, 1), (1, 1), (0, 0), None, (0, 0), 1, False, 1, None), strict=True))
    return tuple((plain | changes).values())


def propagate(runs: Any, **changes: Any) -> Any:
    options = {
        "unit": (0, 0),
        "channels": 1,
        "draws": 1,
        "non_negative": True,
        "trim": 0.0,
        "threads": 1,
        "memory_limit": 2**24,
        "progress": None,
    }
    return _core.propagate_f64(runs, **(options | changes))


def test_a_plain_run_gives_its_kernel() -> None:
    images = propagate([run()])
    out = np.empty((1, 3, 3))
    images.write(out, 0, 0, np.ones(1) / images.peaks())
    np.testing.assert_array_equal(out, np.ones((1, 3, 3)))
    np.testing.assert_array_equal(images.rects(), [[0, 0, 3, 3]])
    assert images.peaks() * 2.0 ** images.exponents().astype(float) == 1.0


def test_taps_of_any_size_and_of_one_axis() -> None:
    """1-D taps are images of height 1; the power of two that the engine takes out of taps comes back in the exponent."""
    for size in (1e-310, 1e-300, 1.0, 1e300):
        taps = size * np.array([1.0, 5.0, 2.0])
        fields = (
            {"taps": taps.reshape(1, 1, 1, 1, 3)} | dict.fromkeys(("stride", "dilation"), (1,)) | dict.fromkeys(("before", "growth"), (0,))
        )
        images = propagate([run(**fields)])
        np.testing.assert_array_equal(images.rects(), [[0, 0, 1, 3]])
        out = np.empty((1, 1, 3))
        images.write(out, 0, 0, np.ones(1) / images.peaks())
        np.testing.assert_allclose(out[0, 0], [0.2, 1.0, 0.4], rtol=1e-13 if size > 1e-305 else 1e-2)
        assert np.ldexp(images.peaks()[0], int(images.exponents()[0])) == taps.max()


def test_each_draw_has_the_exponent_of_its_taps() -> None:
    taps = np.array([2.0**40, 2.0**-7]).reshape(1, 2, 1, 1, 1, 1)
    images = propagate([run(taps=taps, count=3)], draws=2)
    np.testing.assert_array_equal(np.ldexp(images.peaks(), images.exponents()), [2.0**120, 2.0**-21])


@pytest.mark.parametrize("share", [0.0, 0.08, 0.12, 0.3, 0.9])
def test_margins_hold_at_most_their_share(share: float) -> None:
    columns = np.array([1.0, 2.0, 10.0, 4.0, 1.0, 1.0, 1.0])
    images = propagate([run(taps=np.multiply.outer([1.0, 1.0], columns)[None, None, None, None])])
    leading, trailing = images.margins(0, 1, share)
    for found, masses in ((leading, columns), (trailing, columns[::-1])):
        held = np.cumsum(masses) / masses.sum()
        assert found == min(np.count_nonzero(held <= share), len(columns) - 1)
    assert images.margins(0, 0, share) == ((0, 0) if share < 0.5 else (1, 1))


def test_writing_tells_the_largest_value_written() -> None:
    images = propagate([run(taps=np.arange(1.0, 10.0).reshape(1, 1, 1, 1, 3, 3))])
    for rows, columns in ((3, 3), (1, 2), (2, 1)):
        out = np.empty((1, rows, columns))
        tops = images.write(out, 0, 0, np.full(1, -0.125) / images.peaks())
        assert tops == [np.abs(out).max()]


MALFORMED = {
    "no runs": ([], {}, "the chain must not be empty"),
    "nine fields": ([run()[:9]], {}, "a run must have ten fields"),
    "two axes": ([run(taps=np.ones((3, 3)))], {}, "taps must have five or six axes"),
    "no taps": ([run(taps=np.ones((1, 1, 1, 1, 0, 3)))], {}, "taps must not be empty"),
    "no kernels": ([run(taps=np.ones((0, 1, 1, 1, 3, 3)))], {}, "taps must not be empty"),
    "stride 0": ([run(stride=(0, 1))], {}, "stride and dilation must be at least 1"),
    "dilation -1": ([run(dilation=(1, -1))], {}, "stride and dilation must be at least 1"),
    "count 0": ([run(count=0)], {}, "a run must have one kernel, or one for each step"),
    "more steps than kernels": ([run(taps=np.ones((2, 1, 1, 1, 3, 3)), count=3)], {}, "a run must have one kernel, or one for each step"),
    "other draws": ([run(taps=np.ones((1, 3, 1, 1, 3, 3)))], {"draws": 2}, "taps must be the same for all draws, or one for each"),
    "no draws": ([run()], {"draws": 0}, "draws and channels must be at least 1"),
    "no channels": ([run()], {"channels": 0}, "draws and channels must be at least 1"),
    "other channels": ([run()], {"channels": 2}, "the channels of two layers disagree"),
    "no groups": ([run(groups=0)], {}, "the channels of two layers disagree"),
    "more channels than ends": ([run(taps=np.ones((1, 1, 1, 2, 3, 3)))], {}, "the chain must end in one channel"),
    "repeat that changes channels": (
        [run(taps=np.ones((1, 1, 1, 2, 3, 3)), count=2)],
        {},
        "a repeated layer must keep its channels",
    ),
    "shared kernel with channels": ([run(taps=np.ones((1, 1, 2, 1, 3, 3)), shared=True)], {}, "a shared kernel must have one channel"),
    "scale without a map": ([run(scale=np.ones((3, 3)))], {}, "scale must be an image, of a single bounded step"),
    "scale smaller than the map": (
        [run(scale=np.ones((2, 9)), extent=(9, 9))],
        {"unit": (2, 2)},
        "scale must cover the output map of its layer",
    ),
    "scale of a unit before the map": (
        [run(scale=np.ones((9, 9)), extent=(9, 9))],
        {"unit": (0, -1)},
        "scale must cover the output map of its layer",
    ),
    "scale of three axes": ([run(scale=np.ones((3, 3, 3)), extent=(9, 9))], {}, "scale must be an image, of a single bounded step"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_runs_are_refused(case: str) -> None:
    runs, options, message = MALFORMED[case]
    with pytest.raises(ValueError, match=f"^{message}$"):
        propagate(runs, **options)


@pytest.mark.parametrize(
    "runs", [None, [None], [run(stride=3)], [run(stride=("a", "b"))], [run(count=2**70)], [run(taps="taps")]], ids=lambda r: str(r)[:30]
)
def test_what_is_no_run_at_all_is_refused(runs: Any) -> None:
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        propagate(runs)


def test_the_memory_limit_holds_in_the_engine_too() -> None:
    with pytest.raises(MemoryError) as caught:
        propagate([run(count=100)], memory_limit=1000)
    assert caught.value.args[0] > 500
    sides = 2**31  # the product of the sides does not fit 64 bits
    with pytest.raises(MemoryError):
        propagate([run(dilation=(sides, sides))])
    with pytest.raises(MemoryError):
        propagate([run(dilation=(2**61, 2**61))])


def test_images_check_what_they_are_asked_for() -> None:
    images = propagate([run()])
    for call, message in [
        (lambda: images.mass(1, 0), "no such draw"),
        (lambda: images.mass(-1, 0), "no such draw"),
        (lambda: images.least(0, 0, 4, 0, 3), "the crop must lie in the image"),
        (lambda: images.least(0, -1, 2, 0, 3), "the crop must lie in the image"),
        (lambda: images.write(np.empty((2, 3, 3)), 0, 0, np.ones(2)), r"out must be a writable \[draws, rows, columns\]"),
        (lambda: images.write(np.empty((3, 3)), 0, 0, np.ones(1)), r"out must be a writable \[draws, rows, columns\]"),
        (lambda: images.write(np.empty((1, 3, 3)), 0, 0, np.ones(2)), "factors must have one entry per draw"),
    ]:
        with pytest.raises(ValueError, match=f"^{message}$"):
            call()


def test_outputs_are_written_in_place_or_not_at_all() -> None:
    images = propagate([run()])
    frozen = np.zeros((1, 3, 3))
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        images.write(frozen, 0, 0, np.ones(1))
    for out in (np.empty((1, 3, 3), np.float32), np.empty((1, 6, 3))[:, ::2], [[[0.0] * 3] * 3]):
        with pytest.raises(TypeError, match="incompatible function arguments"):
            images.write(out, 0, 0, np.ones(1))


def test_writing_beyond_the_image_gives_zeros() -> None:
    images = propagate([run()])
    for y0, x0 in [(-1, -1), (2, 2), (3, 3), (-100, 1), (0, 2**40), (-(2**40), 0)]:
        out = np.full((1, 3, 3), np.nan)
        images.write(out, y0, x0, np.ones(1) / images.peaks())
        rows, columns = (np.arange(start, start + 3) for start in (y0, x0))
        inside = np.multiply.outer((rows >= 0) & (rows < 3), (columns >= 0) & (columns < 3))
        np.testing.assert_array_equal(out[0], inside.astype(float))


@pytest.mark.parametrize(
    ("rows", "columns", "shape"), [((2, 2), (3,), (2, 3)), ((2,), (3,), (3, 2)), ((2,), (3,), (6,))], ids=["matrix", "transposed", "flat"]
)
def test_outer_checks_its_shapes(rows: Any, columns: Any, shape: Any) -> None:
    with pytest.raises(ValueError, match=r"outer takes two vectors|out must have one row"):
        _core.outer_f64(np.ones(rows), np.ones(columns), 0, 0, np.empty(shape), 1)


def test_a_progress_report_that_raises_stops_the_engine() -> None:
    def report(done: int, total: int) -> None:
        raise LookupError(f"{done} of {total}")

    taps = np.random.default_rng(0).random((120, 1, 1, 1, 7, 7))
    with pytest.raises(LookupError, match=r"^\d+ of 120$"):
        propagate([run(taps=taps, count=120)], progress=report, memory_limit=2**30)
