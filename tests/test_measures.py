"""Sizes against theory, against their definitions, and as profiles against the formed image."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from erffast import _pixels
from erffast.measures import Dense, Product
from samples import coefficients, field_of, multiplied, pictured, placed, result, uniform

FORMS = pytest.mark.parametrize("dense", [False, True], ids=["profiles", "image"])

# depth: TRF, std, centre coefficient, centre per axis, level size of the variance image, of its root (two printed digits)
TABLE = {
    5: (11, 1.8257, 51, 0.2098765, 8.31, 10.44),
    10: (21, 2.5820, 8953, 0.1516198, 11.70, 15.52),
    20: (41, 3.6515, 377379369, 0.1082313, 16.16, 22.74),
    40: (81, 5.1640, 934837217271732457, 0.0768928, 22.74, 31.95),
}


# ------------------------------------------------------------------------------------------------ theory


@FORMS
@pytest.mark.parametrize("n", TABLE)
def test_uniform_stack_agrees_with_the_table(n: int, dense: bool) -> None:
    side, std, centre, share, level, level_of_root = TABLE[n]
    erf = uniform(n, dense=dense)
    assert erf.shape == (side, side)
    assert coefficients(n)[n] == centre
    assert erf.std() == pytest.approx((math.sqrt(2 * n / 3),) * 2, rel=1e-14)  # n times the variance of three equal taps
    assert erf.std()[0] == pytest.approx(std, abs=5e-5)
    assert erf.mean() == pytest.approx((n, n), abs=1e-13)
    assert erf.marginal().max() == pytest.approx(share, abs=5e-8)
    assert erf.level_size() == pytest.approx(level, abs=5e-3)
    assert erf.amplitude().level_size() == pytest.approx(level_of_root, abs=5e-3)
    assert erf.ratio() == pytest.approx(level / side, abs=5e-3 / side)
    assert erf.coverage() == 1


@pytest.mark.parametrize(("n", "ratio"), [(5, 1.277), (10, 1.354), (20, 1.386), (40, 1.401)])
@FORMS
def test_amplitude_is_wider_by_almost_root_two(n: int, ratio: float, dense: bool) -> None:
    erf = uniform(n, dense=dense)
    assert erf.amplitude().std()[0] / erf.std()[0] == pytest.approx(ratio, abs=5e-4)


SLOPES = {
    "5, 10, 15 .. 40": (range(5, 41, 5), (0.481, -0.481), (0.536, -0.426)),
    "5, 10, 20, 40": ((5, 10, 20, 40), (0.482, -0.478), (0.539, -0.421)),
}


@pytest.mark.parametrize("depths", SLOPES)
def test_sizes_grow_as_the_root_of_depth(depths: str) -> None:
    """Log-log slopes of (size, ratio) against depth, for the variance image and its root."""
    numbers, *wanted = SLOPES[depths]
    results = [uniform(n) for n in numbers]
    for kind, slopes in zip((results, [r.amplitude() for r in results]), wanted, strict=True):
        for measure, slope in zip(("level_size", "ratio"), slopes, strict=True):
            sizes = [getattr(r, measure)() for r in kind]
            assert np.polyfit(np.log(list(numbers)), np.log(sizes), 1)[0] == pytest.approx(slope, abs=5e-4), measure


def gaussian(std: float, *, ndim: int = 2, half: int | None = None) -> Any:
    x = np.arange(-(half or int(10 * std)), (half or int(10 * std)) + 1)
    return result([np.exp(-np.square(x / std) / 2)] * ndim)


def test_level_of_a_gaussian_is_at_4_406_std_and_encloses_95_45_percent() -> None:
    erf = gaussian(80)
    # a disc of 97,000 pixels: its count is good to a few 1e-4
    assert erf.level_size() / 80 == pytest.approx(4.406, rel=5e-4)
    assert erf.mass_size(0.9545) == pytest.approx(erf.level_size(0.0455), rel=5e-4)
    image = np.asarray(multiplied([erf.marginal()] * 2))
    assert image[image > 0.0455 * image.max()].sum() == pytest.approx(0.9545, abs=2e-4)


def test_level_of_a_gaussian_in_one_axis_encloses_98_7_percent() -> None:
    erf = gaussian(300, ndim=1)
    share = erf.marginal()
    assert share[share > 0.0455 * share.max()].sum() == pytest.approx(0.987, abs=5e-4)
    assert erf.level_size() == np.count_nonzero(share > 0.0455 * share.max())


@pytest.mark.parametrize(("error", "margin"), [(math.sqrt(1e-3), 18), (1e-3, 25)], ids=["a thousandth of the mass", "rms error 1e-3"])
@FORMS
def test_halo_of_forty_layers(error: float, margin: int, dense: bool) -> None:
    assert uniform(40, dense=dense).halo(error) == ((margin, margin),) * 2


# ------------------------------------------------------------------------------------------------ profiles against images

rng = np.random.default_rng(7)
PRODUCTS: dict[str, tuple[list[Any], str]] = {
    "1-D": ([rng.random(37)], "square"),
    "2-D": ([rng.random(17), rng.random(23)], "square"),
    "2-D even": ([rng.random(16), rng.random(8)], "square"),
    "2-D steep": ([np.exp(-rng.random(31) * 40), np.exp(-rng.random(29) * 40)], "square"),
    "2-D comb": ([rng.random(15) * (np.arange(15) % 2), rng.random(21) * (np.arange(21) % 3 == 0)], "square"),
    "2-D one row": ([np.array([0.3]), rng.random(9)], "square"),
    "2-D one pixel": ([np.array([3.0]), np.array([5.0])], "square"),
    "2-D signed": ([rng.standard_normal(17), rng.standard_normal(12)], "signed"),
    "2-D rms": ([rng.random(17), rng.random(12)], "rms"),
    "3-D": ([rng.random(7), rng.random(9), rng.random(11)], "square"),
    "3-D signed": ([rng.standard_normal(6), rng.standard_normal(11), rng.standard_normal(5)], "signed"),
    "1-D draws": ([rng.random((4, 31))], "square"),
    "2-D draws": ([rng.random((5, 14)), rng.random((5, 9))], "square"),
    "2-D signed draws": ([rng.standard_normal((3, 14)), rng.standard_normal((3, 9))], "signed"),
    "2-D symmetric": ([np.array([c / 3**6 for c in coefficients(6)])] * 2, "square"),
    "3-D symmetric": ([np.array([c / 3**4 for c in coefficients(4)])] * 3, "square"),
}
COUNTS: dict[str, Callable[[Any], Any]] = {
    "level": lambda e: e.level_size(),
    "level 0": lambda e: e.level_size(0),
    "level 0.3": lambda e: e.level_size(0.3),
    "level 1e-6": lambda e: e.level_size(1e-6),
    "level of the centre": lambda e: e.level_size(0.2, reference="centre"),
    "mass": lambda e: e.mass_size(),
    "half the mass": lambda e: e.mass_size(0.5),
    "all the mass": lambda e: e.mass_size(1),
    "nearly all the mass": lambda e: e.mass_size(1 - 1e-9),
    "hardly any mass": lambda e: e.mass_size(1e-12),
    "area in a box": lambda e: e.area_ratio(0.8),
    "area in the whole box": lambda e: e.area_ratio(1),
    "area sorted": lambda e: e.area_ratio(0.8, region="sorted"),
    "ratio": lambda e: e.ratio(),
    "halo": lambda e: e.halo(0.3),
    "halo, worst": lambda e: e.halo(0.5, norm="worst"),
    "coverage": lambda e: e.coverage(),
}
REALS: dict[str, Callable[[Any], Any]] = {
    "mean": lambda e: e.mean(),
    "std": lambda e: e.std(),
    "first marginal": lambda e: e.marginal(0),
    "last marginal": lambda e: e.marginal(),
    "first cut": lambda e: e.cut(0),
    "last cut": lambda e: e.cut(),
    "peak": lambda e: e.log10_peak(),
}


@pytest.mark.parametrize("case", PRODUCTS)
def test_profiles_give_the_sizes_of_the_image(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    profiles, reduction = PRODUCTS[case]
    product, image = result(profiles, reduction=reduction), result(profiles, reduction=reduction, dense=True)
    monkeypatch.setattr(_pixels.Pixels, "_formed", _never)
    assert product.separable
    assert not image.separable
    for name, measure in COUNTS.items():
        np.testing.assert_array_equal(measure(product), measure(image), err_msg=name)
    for name, measure in REALS.items():
        # sums of at most a thousand terms
        np.testing.assert_allclose(measure(product), measure(image), rtol=1e-12, atol=1e-13, err_msg=name)


def _never(*_: Any) -> Any:
    raise AssertionError("the image was formed")


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_long_profiles_are_measured_without_their_image(ndim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pixels.Pixels, "_formed", _never)
    std = math.sqrt(2 * 10_000 / 3)
    erf = gaussian(std, ndim=ndim, half=10_000)
    assert erf.shape == (20_001,) * ndim
    erf.std()
    start = time.perf_counter()
    level, mass = erf.level_size(), erf.mass_size()
    erf.halo(), erf.coverage(), erf.marginal(), erf.cut(), erf.area_ratio(0.9), erf.area_ratio(0.9, region="sorted"), repr(erf)
    assert time.perf_counter() - start < 1  # a few milliseconds, in three axes 0.1 s; an image would take 3 GB and more
    assert erf.std() == pytest.approx((std,) * ndim, rel=1e-12)
    volume = (2, math.pi, 4 / 3 * math.pi)[ndim - 1]  # of the unit ball; level 0.0455 lies at 2.486 std
    assert level == pytest.approx((volume * (math.sqrt(-2 * math.log(0.0455)) * std) ** ndim) ** (1 / ndim), rel=3e-3)
    assert mass == pytest.approx({1: 4.0, 2: 4.406, 3: 4.566}[ndim] * std, rel=3e-3)


# ------------------------------------------------------------------------------------------------ definitions


@pytest.mark.parametrize("shape", [(9,), (7, 10), (4, 5, 6)], ids=["1-D", "2-D", "3-D"])
@pytest.mark.parametrize("reduction", ["square", "signed"])
def test_sizes_by_definition(shape: tuple[int, ...], reduction: str) -> None:
    rng = np.random.default_rng(len(shape))
    image = rng.standard_normal(shape) if reduction == "signed" else rng.random(shape) ** 4
    erf = pictured(image, reduction=reduction, origin=tuple(range(2, 2 + len(shape))))
    mass = image**2 if reduction == "signed" else image
    mass = mass / mass.sum()
    places = np.indices(shape)
    for axis in range(len(shape)):
        mean = (mass * places[axis]).sum()
        assert erf.mean()[axis] == pytest.approx(mean + 2 + axis, rel=1e-14)
        assert erf.std()[axis] == pytest.approx(math.sqrt((mass * (places[axis] - mean) ** 2).sum()), rel=1e-13)
        others = tuple(a for a in range(len(shape)) if a != axis)
        np.testing.assert_allclose(erf.marginal(axis), mass.sum(axis=others), rtol=1e-13)
    assert erf.level_size(0.2) == pytest.approx(np.count_nonzero(mass > 0.2 * mass.max()) ** (1 / len(shape)), rel=1e-15)
    ranked = np.cumsum(np.sort(mass.ravel())[::-1])
    for fraction in (0.1, 0.5, 0.9545):
        wanted = 1 + np.count_nonzero(ranked < fraction)
        assert erf.mass_size(fraction) == pytest.approx(wanted ** (1 / len(shape)), rel=1e-15)
        assert erf.area_ratio(fraction, region="sorted") == pytest.approx(wanted / image.size, rel=1e-15)
        centre = np.reshape([(n - 1) / 2 for n in shape], (-1,) + (1,) * len(shape))
        away = np.abs(places - centre).max(axis=0)
        half = min(h for h in np.unique(away) if mass[away <= h].sum() >= fraction)
        assert erf.area_ratio(fraction) == np.count_nonzero(away <= half) / image.size


@pytest.mark.parametrize("norm", ["rms", "worst"])
@pytest.mark.parametrize("reduction", ["square", "signed", "abs", "rms"])
def test_halo_by_definition(norm: str, reduction: str) -> None:
    rng = np.random.default_rng(3)
    image = np.exp(-rng.random((14, 11)) * 9) * (rng.choice([-1, 1], (14, 11)) if reduction == "signed" else 1)
    size = np.sqrt(image) if reduction == "square" else np.abs(image)
    weights, bound = (size, 0.4 / 4) if norm == "worst" else (size**2, 0.4**2 / 4)
    margins = pictured(image, reduction=reduction).halo(0.4, norm=norm)  # type: ignore[arg-type]
    for axis, n in enumerate(image.shape):
        share = weights.sum(axis=1 - axis) / weights.sum()
        first, last = (n - 1) // 2, n // 2  # the pixels beside the centre
        before, after = margins[axis]
        assert share[: first - before].sum() <= bound
        assert before == 0 or share[: first - before + 1].sum() > bound
        assert share[last + after + 1 :].sum() <= bound
        assert after == 0 or share[last + after :].sum() > bound


def test_halo_is_the_same_for_the_amplitude() -> None:
    erf = uniform(12)
    for norm in ("rms", "worst"):
        assert erf.amplitude().halo(1e-2, norm=norm) == erf.halo(1e-2, norm=norm)


def test_halo_keeps_within_what_the_window_lost() -> None:
    full = uniform(40)
    profile = np.array(full.marginal())[15:-15]
    lost = 1 - profile.sum() ** 2
    cropped = result([profile] * 2, receptive_field=full.receptive_field, origin=(15, 15), lost=lost)
    assert cropped.halo(1e-2) == full.halo(1e-2)
    with pytest.raises(ValueError, match=r'halo\(error=1e-06, norm=\'rms\'\) asks for less than the window has left out .*window="full"'):
        cropped.halo(1e-6)
    assert cropped.halo(1e-2, norm="worst")[0][0] >= full.halo(1e-2, norm="worst")[0][0]
    with pytest.raises(ValueError, match=r"of the sum of \|g\|"):
        cropped.halo(1e-5, norm="worst")


@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_share_outside_a_box_by_definition(power: float) -> None:
    rng = np.random.default_rng(8)
    profiles = [rng.random(6), rng.random(5), rng.random(4)]
    image = multiplied(profiles)
    for low, high in (([1, 2, 0], [4, 4, 3]), ([0, 0, 0], [6, 5, 3]), ([0, 0, 0], [6, 5, 4]), ([2, 3, 1], [4, 3, 2])):
        inside = (image[tuple(map(slice, low, high))] ** power).sum() / (image**power).sum()
        for weights in (Dense(image, power), Product(profiles, power)):
            assert weights.outside(low, high) == pytest.approx(1 - inside, rel=1e-13, abs=1e-15)


def test_a_tiny_share_outside_is_no_difference_of_large_ones() -> None:
    steep = np.array([1e-40, 1.0, 2e-40])
    for weights in (Dense(multiplied([steep, steep])), Product([steep, steep])):
        assert weights.outside([1, 1], [2, 2]) == pytest.approx(6e-40, rel=1e-14)


def test_box_is_cut_by_the_field() -> None:
    image = np.zeros((5, 21))
    image[2, 0] = image[2, 20] = 1
    # a distance of 10 columns from the centre needs all columns; the field has 5 rows only
    assert pictured(image).area_ratio(0.9) == 1
    assert pictured(image, input_size=(10, 42), origin=(0, 0)).area_ratio(0.9, of="map") == 0.25


def test_area_on_a_map_counts_the_field_that_is_there() -> None:
    erf = uniform(5, dense=True)
    corner = pictured(np.array(erf.image)[5:, 5:], receptive_field=field_of((11, 11), (-5, -5)), origin=(0, 0), input_size=(32, 32))
    assert corner.field_box == ((0, 0), (5, 5))
    assert corner.area_ratio(1) == 1
    assert corner.area_ratio(1, of="map") == 36 / 32**2
    assert corner.coverage() == 1
    assert corner.ratio() == corner.level_size() / 11


def test_reference_is_the_peak_because_a_comb_has_a_low_centre() -> None:
    comb = np.array([1, 3, 1, 3, 1.0])
    for dense in (False, True):
        erf = result([comb, comb], dense=dense)
        assert erf.level_size(0.2) == math.sqrt(16)  # 9 and 3, not 1 (of 9)
        assert erf.level_size(0.2, reference="centre") == math.sqrt(25)
        even = result([comb[:4], comb[:4]], dense=dense)
        assert even.level_size(0.9, reference="centre") == math.sqrt(4)  # the centre lies between 1, 3, 3 and 9: 4 on average


# ------------------------------------------------------------------------------------------------ ties and range


@FORMS
@pytest.mark.parametrize("noise", [0, 1e-14], ids=["exact", "rounded"])
def test_pixels_at_the_level_are_not_above_it(dense: bool, noise: float) -> None:
    rng = np.random.default_rng(5)
    # conv3 twice: 1 2 3 2 1, so that products 1, 2, 3, 4, 6, 9; in thirds, whose products round
    profiles = [np.array([1, 2, 3, 2, 1]) / 9 * (1 + noise * rng.standard_normal(5)) for _ in range(2)]
    erf = result(profiles, dense=dense)
    pixels = np.multiply.outer([1, 2, 3, 2, 1], [1, 2, 3, 2, 1])
    for level in (1, 2, 3, 4, 6):
        assert erf.level_size(level / 9) == math.sqrt(np.count_nonzero(pixels > level)), level


@FORMS
@pytest.mark.parametrize("side", [10, 300])
def test_equal_pixels_share_the_mass_equally(dense: bool, side: int) -> None:
    erf = result([np.full(side, 1 / 3), np.full(side, 0.7)], dense=dense)
    for percent in (1, 25, 50, 99):
        assert erf.mass_size(percent / 100) == pytest.approx(math.sqrt(percent * side**2 / 100), rel=1e-15)
    assert erf.level_size(0.999) == side


@FORMS
def test_wide_range_neither_overflows_nor_vanishes(dense: bool) -> None:
    x = np.arange(-1000, 1001)
    steep = np.exp(-np.abs(x) * 0.34)  # 1e-148 at the ends: products reach 1e-296
    erf = result([steep, steep], dense=dense, exponent=-50_000)
    assert erf.level_size(0) == 2001
    assert erf.mass_size(1) == 2001
    q = math.exp(-0.34)
    assert erf.std() == pytest.approx((math.sqrt(2 * q) / (1 - q),) * 2, rel=1e-13)  # two-sided geometric law
    assert erf.level_size(1e-280) < 2001
    assert erf.halo(1e-100)[0][0] > 600
    assert erf.log10_peak() == pytest.approx(-50_000 * math.log10(2), abs=1e-9)


def test_squares_that_underflow_are_still_counted() -> None:
    signed = np.array([1.0, -1e-200, 1e-300])
    for dense in (False, True):
        erf = result([signed], dense=dense, reduction="signed")
        assert erf.level_size(0) == 3
        assert erf.level_size(1e-300) == 1
        assert erf.mass_size() == 1


def test_float32_images_are_summed_in_float64() -> None:
    image = np.random.default_rng(1).random((700, 500)).astype(np.float32)
    single, double = pictured(image), pictured(image.astype(np.float64))
    assert single.std() == pytest.approx(double.std(), rel=1e-14)
    np.testing.assert_allclose(single.marginal(0), double.marginal(0), rtol=1e-13)
    assert single.level_size() == pytest.approx(double.level_size(), rel=1e-5)
    assert single.mass_size() == pytest.approx(double.mass_size(), rel=1e-5)


@pytest.mark.parametrize("rows", [1, 3, 1500], ids=["one row", "few rows", "several blocks"])
def test_blocks_of_rows_add_up(rows: int) -> None:
    image = np.random.default_rng(rows).random((rows, 301))
    erf = pictured(image)
    np.testing.assert_allclose(erf.marginal(0), image.sum(axis=1) / image.sum(), rtol=1e-13)
    np.testing.assert_allclose(erf.marginal(1), image.sum(axis=0) / image.sum(), rtol=1e-13)


# ------------------------------------------------------------------------------------------------ nothing, and nonsense


@FORMS
def test_images_of_zeros_have_no_size(dense: bool) -> None:
    profiles = [np.array([[0.2, 0.5, 0.1], [0, 0, 0]]), np.array([[0.5, 0.5], [0, 0]])]
    erf = result(profiles, dense=dense)
    for value in (*erf.mean(), *erf.std(), erf.level_size(), erf.mass_size(), erf.area_ratio(0.5), erf.ratio()):
        assert np.isnan(value).tolist() == [False, True]
    assert erf.marginal()[1].tolist() == erf.cut()[1].tolist() == [0, 0]
    assert [side[1] for axis in erf.halo() for side in axis] == [0] * 4  # type: ignore[index]
    assert erf.coverage().tolist() == [1, 0]  # type: ignore[attr-defined]
    assert erf.exponent[1] == 0  # type: ignore[index]
    single = result([p[1] for p in profiles], dense=dense)
    assert math.isnan(single.level_size())
    assert single.std() == pytest.approx((math.nan,) * 2, nan_ok=True)


ERRORS: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "level of one": (lambda e: e.level_size(1), ValueError, "level must be at least 0 and below 1, got 1.0"),
    "level as text": (lambda e: e.level_size("a"), TypeError, "level must be a real number, got 'a'"),
    "reference": (lambda e: e.level_size(reference="middle"), ValueError, "reference must be one of 'peak', 'centre', got 'middle'"),
    "no mass": (lambda e: e.mass_size(0), ValueError, "fraction must be above 0 and at most 1, got 0.0"),
    "too much mass": (lambda e: e.area_ratio(1.5), ValueError, "fraction must be above 0 and at most 1, got 1.5"),
    "region": (lambda e: e.area_ratio(0.5, region="disc"), ValueError, "region must be one of 'box', 'sorted', got 'disc'"),
    "no map": (lambda e: e.area_ratio(0.5, of="map"), ValueError, r'area_ratio\(of="map"\) needs the input map, but .* unbounded plane'),
    "error of zero": (lambda e: e.halo(0), ValueError, "error must be above 0, got 0.0"),
    "norm": (lambda e: e.halo(norm="l1"), ValueError, "norm must be one of 'rms', 'worst', got 'l1'"),
    "axis": (lambda e: e.marginal(2), ValueError, "axis must be from -2 to 1, got 2"),
    "axis as float": (lambda e: e.cut(0.5), TypeError, "axis must be an integer, got 0.5"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_nonsense_is_refused(case: str) -> None:
    call, error, message = ERRORS[case]
    with pytest.raises(error, match=message):
        call(uniform(3))


def test_unknown_coverage_is_refused() -> None:
    cropped = result([np.ones(3)] * 2, receptive_field=field_of((9, 9), (-4, -4)), origin=(-1, -1))
    with pytest.raises(ValueError, match=r"needs the whole field \(-4, -4\) \.\.\. \(4, 4\), but the image begins at \(-1, -1\)"):
        cropped.coverage()
    known = result([np.ones(3)] * 2, receptive_field=field_of((9, 9), (-4, -4)), origin=(-1, -1), reach=[np.arange(9) % 2 == 0] * 2)
    assert known.coverage() == 25 / 81


def test_centre_outside_the_image_is_refused() -> None:
    aside = placed({"image": np.ones((3, 3))}, (3, 3), receptive_field=field_of((9, 9), (0, 0)), origin=(0, 0), reduction="square")
    with pytest.raises(ValueError, match=r'reference="centre": .* index \(4.0, 4.0\), lies outside the image of shape \(3, 3\)'):
        aside.level_size(reference="centre")
