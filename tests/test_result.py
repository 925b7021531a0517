"""The result itself: exponents, views, conversions, gradients from elsewhere, what it prints and what it refuses."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from erffast.result import ERF
from samples import field_of, multiplied, pictured, placed, result, uniform

FORMS = pytest.mark.parametrize("dense", [False, True], ids=["profiles", "image"])


def true_values(erf: ERF) -> Any:
    """image * 2**exponent, where floats can hold it."""
    powers = np.reshape(erf.exponent, (-1,) + (1,) * erf.ndim) if np.ndim(erf.exponent) else erf.exponent
    return np.ldexp(erf.image, powers)


# ------------------------------------------------------------------------------------------------ scale


@FORMS
@pytest.mark.parametrize("scale", [1.0, 0.5, 0.9999999999999999, 3.7, 1e-200, 1e200])
def test_peak_lies_between_a_half_and_one(dense: bool, scale: float) -> None:
    profiles = [np.array([0.2, scale, 0.1]), np.array([0.3, 0.7])]
    erf = result(profiles, dense=dense)
    assert 0.5 <= erf.image.max() < 1
    np.testing.assert_array_equal(true_values(erf), multiplied(profiles))
    assert erf.log10_peak() == pytest.approx(math.log10(multiplied(profiles).max()), rel=1e-15, abs=1e-15)


@FORMS
def test_each_draw_has_its_exponent(dense: bool) -> None:
    profiles = [np.array([[1.0, 3.0], [1e-9, 2e-9], [0, 0]]), np.array([[5.0, 1.0], [1e-5, 1e-6], [1.0, 0]])]
    erf = result(profiles, dense=dense)
    assert erf.draws == 3
    assert erf.shape == (2, 2)
    assert erf.exponent.dtype == np.int64  # type: ignore[union-attr]
    assert erf.exponent.tolist() == [4, -45, 0]  # type: ignore[union-attr]
    assert erf.image.max(axis=(1, 2)).tolist() == pytest.approx([15 / 16, 2e-14 * 2**45, 0], rel=1e-15)
    np.testing.assert_allclose(true_values(erf), multiplied(profiles), rtol=1e-15)


@FORMS
def test_largest_values_that_are_known_are_not_looked_for(dense: bool) -> None:
    """The same result, bit for bit; float32 pixels are rounded before their largest one counts."""
    profiles = [np.array([[1.0, 3.0], [1e-9, 2e-9], [0, 0]]), np.array([[5.0, 1.0], [1e-5, 0.9999999999], [1.0, 0]])]
    for dtype in ("float32", "float64"):
        given = [multiplied(profiles).astype(dtype)] if dense else profiles
        form: dict[str, Any] = {"image": given[0]} if dense else {"profiles": given, "dtype": dtype}
        form |= {
            "origin": (0, 0),
            "unit": (0, 0),
            "receptive_field": field_of((2, 2), (0, 0)),
            "method": "exact",
            "reduction": "square",
            "engine": "-",
        }
        looked_for = ERF(**form)
        known = ERF(**form, tops=[p.reshape(3, -1).max(axis=1).astype(np.float64) for p in given])
        np.testing.assert_array_equal(known.exponent, looked_for.exponent)
        np.testing.assert_array_equal(known.image, looked_for.image)


def test_what_is_reached_may_be_told_later() -> None:
    asked: list[int] = []

    def reach() -> list[Any]:
        asked.append(1)
        return [np.array([True, False, True]), np.ones(5, dtype=bool)]

    profiles = [np.ones(3), np.ones(5)]
    erf = result(profiles, receptive_field=field_of((3, 5), (0, 0)), reach=reach)
    assert not asked
    assert erf.coverage() == erf.coverage() == pytest.approx(2 / 3)
    assert asked == [1]


def test_exponent_given_is_kept() -> None:
    erf = placed({"image": np.full((2, 2), 12.0), "exponent": -1000}, (2, 2), reduction="square")
    assert erf.exponent == -996
    assert erf.image[0, 0] == 0.75


def test_float32_peak_that_rounds_to_one_is_halved() -> None:
    erf = placed({"profiles": [np.array([1 - 2.0**-40]), np.array([1.0, 0.5])], "dtype": "float32"}, (1, 2), reduction="square")
    assert erf.image.dtype == np.float32
    assert erf.image.tolist() == [[0.5, 0.25]]
    assert erf.exponent == 1


def test_image_is_formed_once_and_read_only() -> None:
    erf = uniform(4)
    assert erf.image is erf.image
    assert erf.image.flags.c_contiguous
    for array in (erf.image, pictured(np.ones((2, 2))).image):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1


def test_image_is_copied_only_where_it_must_be() -> None:
    given = np.full((3, 4), 0.75)
    assert np.shares_memory(pictured(given).image, given)
    assert given.flags.writeable
    turned = pictured(np.asfortranarray(np.arange(12.0).reshape(3, 4)))
    assert turned.image.flags.c_contiguous


def test_too_large_an_image_is_refused_before_it_is_formed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", "1M")
    erf = result([np.ones(2001)] * 2, input_size=(4000, 4000))
    for form in (lambda: erf.image, erf.log10, erf.on_map, lambda: np.asarray(erf)):
        with pytest.raises(MemoryError, match=r"needs .*MiB, and .* available; "):
            form()
    assert erf.level_size() == 2001


# ------------------------------------------------------------------------------------------------ views


@FORMS
def test_true_values(dense: bool) -> None:
    profiles = [np.array([0.2, 7.0, 0.1]), np.array([0.3, 0.7])]
    erf = result(profiles, dense=dense)
    np.testing.assert_array_equal(np.asarray(erf), multiplied(profiles))
    assert np.asarray(erf, dtype=np.float32).dtype == np.float32
    assert np.asarray(erf, dtype=int).tolist() == multiplied(profiles).astype(int).tolist()
    assert np.array(erf).flags.writeable
    with pytest.raises(ValueError, match="copy=False cannot be had"):
        np.array(erf, copy=False)


@pytest.mark.parametrize(("exponent", "dtype"), [(2000, None), (-2000, None), (200, np.float32), (-200, np.float32)])
@FORMS
def test_values_beyond_the_range_name_log10(exponent: int, dtype: Any, dense: bool) -> None:
    erf = result([np.array([0.5, 0.25])], dense=dense, exponent=exponent)
    with pytest.raises(OverflowError, match=rf"the peak, 0.5 \* 2\*\*{exponent}, is beyond the range of float.*use log10\(\)"):
        np.asarray(erf, dtype=dtype)
    np.testing.assert_allclose(erf.log10(), np.log10([0.5, 0.25]) + exponent * math.log10(2), rtol=1e-15)


def test_values_of_a_draw_beyond_the_range_name_the_draw() -> None:
    erf = placed({"image": np.ones((3, 2)), "exponent": np.array([0, 5000, 0])}, (2,), reduction="square")
    with pytest.raises(OverflowError, match="the peak of draw 1"):
        np.asarray(erf)


@FORMS
def test_logarithms(dense: bool) -> None:
    profiles = [np.array([[0.2, 0, 7.0], [1, 2, 3]]), np.array([[0.3, -0.7], [1e-5, 0]])]
    erf = result(profiles, dense=dense, reduction="signed")
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(erf.log10(), np.log10(np.abs(multiplied(profiles))), atol=1e-14)
        np.testing.assert_allclose(erf.log10_peak(), np.log10([4.9, 3e-5]), atol=1e-14)


def test_logarithms_reach_beyond_the_image() -> None:
    erf = result([np.array([1.0, 1e-250])] * 2)
    assert erf.image[1, 1] == 0
    assert erf.log10()[1, 1] == pytest.approx(-500, abs=1e-10)


@FORMS
def test_cuts_go_through_the_mean(dense: bool) -> None:
    profiles = [np.array([0.1, 0.2, 0.9, 0.3]), np.array([0.6, 0.8, -0.1])]
    erf = result(profiles, dense=dense, reduction="signed")
    row, column = (round(m - o) for m, o in zip(erf.mean(), erf.origin, strict=True))
    np.testing.assert_allclose(erf.cut(1), erf.image[row], rtol=1e-15)
    np.testing.assert_allclose(erf.cut(0), erf.image[:, column], rtol=1e-15)


@FORMS
def test_marginals_are_shares(dense: bool) -> None:
    profiles = [np.array([[0.1, 0.2], [3, 1]]), np.array([[0.6, 0.8, 0.1], [1, 2, 5]])]
    erf = result(profiles, dense=dense)
    np.testing.assert_allclose(erf.marginal(0), [[1 / 3, 2 / 3], [3 / 4, 1 / 4]], rtol=1e-15)
    np.testing.assert_allclose(erf.marginal(), [[0.4, 0.8 / 1.5, 0.1 / 1.5], [1 / 8, 1 / 4, 5 / 8]], rtol=1e-15)


@FORMS
@pytest.mark.parametrize("exponent", [0, 1, -7, 3001])
def test_amplitude_squares_to_the_image(dense: bool, exponent: int) -> None:
    rng = np.random.default_rng(exponent % 5)
    profiles = [rng.random((3, 5)), rng.random((3, 4))]
    erf = result(profiles, dense=dense, exponent=exponent, error=1e-13, lost=1e-12)
    root = erf.amplitude()
    assert root.reduction == "rms"
    assert root.separable == (not dense)
    assert ((root.image >= 0) & (root.image < 1)).all()
    assert (root.image.max(axis=(1, 2)) >= 0.5).all()
    np.testing.assert_allclose(2 * root.log10(), erf.log10(), rtol=1e-13)
    assert (root.error, root.lost, root.origin) == (1e-13, 1e-12, erf.origin)


def test_amplitude_of_float32_profiles_stays_float32() -> None:
    erf = placed({"profiles": [np.array([0.5, 0.25])], "dtype": "float32"}, (2,), reduction="square")
    assert erf.amplitude().image.dtype == np.float32


def test_amplitude_knows_what_an_error_against_the_peak_becomes() -> None:
    erf = pictured(np.array([[1.0, 0]]), accuracy="peak", error=1e-12)
    assert erf.amplitude().error == 1e-6  # a pixel of 0 +- 1e-12 has a root of up to 1e-6


def test_standard_error_follows_the_scale() -> None:
    image, stderr = np.array([[4.0, 1.0, 0]]), np.array([[0.4, 0.2, 0]])
    for exponent in (0, 1):
        erf = pictured(image, stderr=stderr, exponent=exponent)
        np.testing.assert_allclose(true_values(erf) * erf.stderr / erf.image.clip(1e-9), stderr * [[1, 1, 0]] * 2**exponent, rtol=1e-14)
        root = erf.amplitude()
        assert root.stderr is not None
        # d sqrt(v) = dv / (2 sqrt(v))
        np.testing.assert_allclose(np.ldexp(root.stderr, root.exponent), np.array([[0.1, 0.1, 0]]) * math.sqrt(2**exponent), rtol=1e-14)


def test_on_map() -> None:
    erf = pictured(np.array([[1.0, 2], [3, 4]]), origin=(1, 3), input_size=(4, 6), receptive_field=field_of((2, 2), (1, 3)))
    wanted = np.zeros((4, 6))
    wanted[1:3, 3:5] = [[1, 2], [3, 4]]
    np.testing.assert_array_equal(erf.on_map() * 2.0**erf.exponent, wanted)


def test_on_map_cuts_what_lies_outside_and_keeps_draws() -> None:
    image = np.arange(1.0, 19).reshape(2, 3, 3)
    erf = pictured(image, draws=True, origin=(-1, 2), input_size=(4, 4))
    embedded = erf.on_map()
    assert embedded.shape == (2, 4, 4)
    np.testing.assert_array_equal(embedded[:, :2, 2:], erf.image[:, 1:, :2])
    assert np.count_nonzero(embedded) == 2 * 4
    beyond = pictured(image, draws=True, origin=(9, 2), input_size=(4, 4))
    assert not beyond.on_map().any()


def test_on_map_needs_a_map() -> None:
    with pytest.raises(ValueError, match=r"on_map\(\) needs the input map, but this ERF is on the unbounded plane"):
        uniform(2).on_map()


def test_only_squares_have_an_amplitude() -> None:
    with pytest.raises(ValueError, match='root of an image of reduction "square", but this one is "rms"'):
        uniform(2).amplitude().amplitude()


# ------------------------------------------------------------------------------------------------ gradients from elsewhere

REDUCTIONS = {
    "square": lambda g: (g**2).sum(axis=1),
    "abs": lambda g: np.abs(g).sum(axis=1),
    "signed": lambda g: g.sum(axis=1),
    "rms": lambda g: np.sqrt((g**2).sum(axis=1)),
    "positive": lambda g: np.maximum(g, 0).sum(axis=1),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_gradients_are_reduced_over_channels(reduction: Any, dtype: Any) -> None:
    gradients = np.random.default_rng(1).standard_normal((4, 3, 6, 5)).astype(dtype)
    erf = ERF.from_gradients(gradients, reduction=reduction)
    np.testing.assert_allclose(true_values(erf), REDUCTIONS[reduction](gradients.astype(np.float64)), rtol=1e-13, atol=1e-15)
    assert (erf.draws, erf.shape, erf.origin, erf.input_size) == (4, (6, 5), (0, 0), (6, 5))
    assert (erf.method, erf.reduction, erf.receptive_field.size) == ("measured", reduction, (6, 5))


@pytest.mark.parametrize("axes", ["NCHW", "NHWC", "HWCN", "WHCN", "CHW", "NHW", "HW", "NCT", "NT", "W", "CDHW", "NDHWC"])
def test_axes_come_in_any_order(axes: str) -> None:
    sizes = {"N": 2, "C": 3, "D": 4, "H": 5, "W": 6, "T": 7}
    letters = [letter for letter in "NCDHWT" if letter in axes]
    plain = np.random.default_rng(2).standard_normal([sizes[letter] for letter in letters])
    erf = ERF.from_gradients(plain.transpose([letters.index(letter) for letter in axes]), axes=axes)
    wanted = plain**2
    if "C" in axes:
        wanted = wanted.sum(axis=letters.index("C"))
    np.testing.assert_allclose(true_values(erf), wanted, rtol=1e-13)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e300])
def test_squares_of_gradients_stay_in_range(scale: float) -> None:
    gradients = np.array([[[3.0, 4.0], [1.0, 0.0]]]) * scale
    erf = ERF.from_gradients(gradients, axes="CHW")
    np.testing.assert_allclose(erf.image / erf.image.max(), [[9 / 16, 1], [1 / 16, 0]], rtol=1e-15)
    assert erf.log10_peak() == pytest.approx(2 * math.log10(4 * scale), abs=1e-12)


def test_dead_draws_are_counted() -> None:
    gradients = np.zeros((5, 1, 3, 3))
    gradients[1, 0, 1, 1] = -2
    erf = ERF.from_gradients(gradients)
    assert erf.dead == 4
    assert erf.draws == 5
    assert np.isnan(erf.level_size()).sum() == 4
    assert "4 dead draws" in repr(erf)
    assert ERF.from_gradients(gradients[1:2]).draws == 1


def test_gradients_may_be_placed() -> None:
    field = field_of((9, 9), (-2, -2))
    erf = ERF.from_gradients(np.ones((1, 1, 4, 4)), origin=(1, -1), receptive_field=field)
    assert (erf.origin, erf.receptive_field, erf.input_size) == ((1, -1), field, None)
    assert erf.mean()[0] == pytest.approx([2.5])
    assert ERF.from_gradients(np.ones((4, 4)), axes="HW", origin=2).origin == (2, 2)


def test_gradients_of_torch() -> None:
    torch = pytest.importorskip("torch")
    x = torch.zeros(1, 1, 5, 5, requires_grad=True)
    torch.nn.functional.conv2d(x, torch.ones(1, 1, 3, 3))[0, 0, 1, 1].backward()
    np.testing.assert_array_equal(np.asarray(ERF.from_gradients(x.grad))[0], np.pad(np.ones((3, 3)), 1))


bad = np.zeros((3, 1, 2, 2))
bad[2, 0, 1, 0] = np.nan
REFUSED: dict[str, Any] = {
    "not finite": (bad, {}, ValueError, r"gradients must be finite, got nan in draw 2, index \(2, 0, 1, 0\) of 'NCHW'"),
    "half precision": (np.zeros((1, 1, 2, 2), np.float16), {}, TypeError, "gradients must be float32 or float64 .* got dtype float16"),
    "complex": (np.zeros((1, 1, 2, 2), complex), {}, TypeError, "got dtype complex128"),
    "too few axes": (np.zeros((2, 2)), {}, ValueError, r"one axis per letter of axes 'NCHW', got shape \(2, 2\)"),
    "empty": (np.zeros((0, 1, 2, 2)), {}, ValueError, r"gradients must not be empty, got shape \(0, 1, 2, 2\)"),
    "a letter twice": (np.zeros((2, 2)), {"axes": "HH"}, ValueError, "axes must be different letters: N .*, got 'HH'"),
    "an unknown letter": (np.zeros((2, 2)), {"axes": "XY"}, ValueError, "got 'XY'"),
    "no space": (np.zeros((2, 2)), {"axes": "NC"}, ValueError, "got 'NC'"),
    "axes as a list": (np.zeros((2, 2)), {"axes": [0, 1]}, TypeError, r"axes must be text such as 'NCHW', got \[0, 1\]"),
    "reduction": (np.zeros((1, 1, 2, 2)), {"reduction": "mean"}, ValueError, "reduction must be one of 'signed', .* got 'mean'"),
    "origin": (np.zeros((1, 1, 2, 2)), {"origin": (0, 0, 0)}, ValueError, r"origin has 3 entries \(0, 0, 0\)"),
    "field": (np.ones((1, 1, 2, 2)), {"receptive_field": field_of((3,), (0,))}, ValueError, "field has 1 axes, but the gradients have 2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_gradients_that_are_refused(case: str) -> None:
    gradients, options, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        ERF.from_gradients(gradients, **options)


# ------------------------------------------------------------------------------------------------ what it says


def test_four_plain_lines() -> None:
    erf = uniform(40, dense=True)
    profile = erf.marginal()[10:-10]
    field = erf.receptive_field
    accounts: dict[str, Any] = {"lost": 1e-12, "error": 2e-13, "assumptions": ["independent weights", "no bias"]}
    crop = result([profile] * 2, receptive_field=field, origin=(10, 10), **accounts)
    assert repr(crop).splitlines() == [
        "ERF of unit (0, 0): variance, 2-D, 61 x 61 px at (10, 10), peak 5.91e-03",
        "sizes: std 5.164 x 5.164 px, level 22.74 px (28.1 % of the TRF, 81 x 81), mass 95.45 % 22.69 px",
        "accounts: border 0, lost <= 1e-12, error <= 2e-13 per pixel",
        "exact, engine by hand on cpu, float64; assumes independent weights, no bias",
    ]
    assert repr(crop).isascii()


SAID: dict[str, Any] = {
    "powers of ten beyond floats": ({"exponent": -158_399}, 0, "peak 7.06e-47684"),
    "estimates": ({"lost": 1e-3, "lost_is_bound": False, "error_is_bound": False}, 2, "lost ~ 0.001, error ~ 0"),
    "accuracy of the peak": ({"accuracy": "peak", "error": 1e-14}, 2, "error <= 1e-14 of the peak"),
    "the border": ({"border": 0.2512345}, 2, "border 0.251"),
    "squares of signed images": ({"reduction": "signed"}, 1, "sizes of the squared gradient: std"),
    "what was measured": ({"method": "measured"}, 0, "squared gradient, 1-D"),
    "non-finite draws": ({"nonfinite": 3}, 2, ", 3 non-finite draws"),
}


@pytest.mark.parametrize("case", SAID)
def test_the_lines_say(case: str) -> None:
    options, line, words = SAID[case]
    lines = repr(result([np.array([0.25, 0.5, 0.25])], **options)).splitlines()
    assert len(lines) == 4
    assert words in lines[line]


def test_draws_are_summed_up_by_medians() -> None:
    profiles = np.ones((5, 8))
    profiles[0, 1:] = 0
    profiles[1] = 0
    lines = repr(result([profiles], method="simulated", dead=1)).splitlines()
    assert "5 draws of 8 px" in lines[0]
    assert lines[1].endswith("level 8 px (100 % of the TRF, 8), mass 95.45 % 8 px (median of 5 draws)")
    assert lines[2].endswith(", 1 dead draw")


def test_an_image_of_zeros_says_so() -> None:
    lines = repr(pictured(np.zeros((2, 2)))).splitlines()
    assert lines[0].endswith("peak 0")
    assert lines[1] == "sizes: none, the image is zero everywhere"


# ------------------------------------------------------------------------------------------------ what it refuses

one = np.ones((2, 3))
NONSENSE: dict[str, Any] = {
    "neither": ({}, ValueError, "takes either an image or profiles, got neither"),
    "both": ({"image": one, "profiles": [one[0]] * 2}, ValueError, "takes either an image or profiles, got both"),
    "not finite": ({"image": np.array([[1, np.inf]])}, ValueError, "image must be finite, got inf in draw 0"),
    "not a number": ({"profiles": [one[0], np.array([np.nan, 1])]}, ValueError, r"profiles\[1\] must be finite, got nan"),
    "negative": ({"image": -one}, ValueError, r'image must not be negative \(reduction="signed" is for signed values\), got -1.0'),
    "integers": ({"image": one.astype(int)}, TypeError, "image must be float32 or float64 arrays, got int64"),
    "half precision": ({"image": one.astype(np.float16)}, TypeError, "got float16"),
    "wrong axes": ({"image": np.ones(3)}, ValueError, r"image must be \[\*shape\] or \[draws, \*shape\] with 2 axes, got \(3,\)"),
    "too few profiles": ({"profiles": [one[0]]}, ValueError, r"must be 2 arrays, all \[length\] or all \[draws, length\], got \(3,\)"),
    "mixed profiles": ({"profiles": [one[0], one]}, ValueError, r"profiles must be 2 arrays, .* got \(3,\), \(2, 3\)"),
    "numbers of draws": ({"profiles": [np.ones((2, 3)), np.ones((4, 3))]}, ValueError, r"got \(2, 3\), \(4, 3\)"),
    "empty": ({"image": np.ones((0, 3))}, ValueError, r"image must hold at least one pixel and one draw, got \(0, 3\)"),
    "method": ({"image": one, "method": "guess"}, ValueError, "method must be one of 'exact', .* got 'guess'"),
    "reduction": ({"image": one, "reduction": "sum"}, ValueError, "reduction must be one of 'signed', .* got 'sum'"),
    "standard error": ({"image": one, "stderr": np.ones(3)}, ValueError, r"stderr must have the shape of the image, got \(3,\)"),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_nonsense_is_refused(case: str) -> None:
    options, error, message = NONSENSE[case]
    given: dict[str, Any] = {"origin": (0, 0), "method": "exact", "engine": "by hand", "unit": (0, 0), "reduction": "square", **options}
    with pytest.raises(error, match=message):
        ERF(receptive_field=field_of((2, 3), (0, 0)), **given)


def test_importing_results_loads_nothing_heavy() -> None:
    code = "import sys, erffast.result; print([m for m in ('scipy', 'matplotlib', 'tqdm', 'torch') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
