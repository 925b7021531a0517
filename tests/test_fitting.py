"""Fitted models: parameters and distances against theory and against sums over every pixel."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest

from erffast import _pixels
from erffast.fitting import Fit, edgeworth_log, gaussian_log
from erffast.result import ERF
from samples import multiplied, pictured, result, uniform

BOTH = ("gaussian", "edgeworth")

# depth: centre per axis, Gaussian peak, Edgeworth peak
PEAKS = {
    5: (0.2098765, 0.2185097, 0.2103156),
    10: (0.1516198, 0.1545097, 0.1516126),
    20: (0.1082313, 0.1092548, 0.1082306),
    40: (0.0768928, 0.0772548, 0.0768927),
}


@pytest.mark.parametrize("n", PEAKS)
def test_peaks_of_the_models_of_a_uniform_stack(n: int) -> None:
    _, gaussian, edgeworth = PEAKS[n]
    normal, series = (f.parameters for f in uniform(n, ndim=1).fit(BOTH))
    assert normal["mean"] == pytest.approx([n], abs=1e-13)
    assert normal["covariance"] == pytest.approx(np.array([[2 * n / 3]]), rel=1e-13)
    # three equal taps: third cumulant 0, fourth -2/3 each; cumulants add
    assert series["kappa3"] == pytest.approx([0], abs=1e-11)
    assert series["kappa4"] == pytest.approx([-2 * n / 3], rel=1e-10)
    at = np.array([float(n)])
    std = math.sqrt(2 * n / 3)
    assert np.exp(gaussian_log(at, n, std)) == pytest.approx(gaussian, abs=5e-8)
    assert np.exp(edgeworth_log(at, n, std, 0, -2 * n / 3)) == pytest.approx(edgeworth, abs=5e-8)


@pytest.mark.parametrize("n", PEAKS)
@pytest.mark.parametrize("ndim", [1, 2])
def test_largest_deviation_of_a_uniform_stack_is_at_its_peak(n: int, ndim: int) -> None:
    centre, gaussian, _ = PEAKS[n]
    for dense in (False, True):
        (fitted,) = uniform(n, ndim=ndim, dense=dense).fit()
        # the printed digits of both peaks
        assert fitted.max_deviation == pytest.approx((gaussian / centre) ** ndim - 1, abs=2e-6)


def test_dilated_layers_make_a_flat_top_that_is_no_gaussian() -> None:
    """15 layers of which three are dilated 2, 4, 8: std 8, excess kurtosis -0.71, 18 % of the peak from the Gaussian."""
    profile = np.ones(1)
    for dilation in [1] * 12 + [2, 4, 8]:
        taps = np.zeros(2 * dilation + 1)
        taps[::dilation] = 1 / 3
        profile = np.convolve(profile, taps)
    normal, series = result([profile]).fit(BOTH)
    assert normal.parameters["std"] == pytest.approx([8], rel=1e-13)
    assert series.parameters["kappa4"] / 8**4 == pytest.approx([-0.71], abs=5e-3)
    # 18 % of the Gaussian's peak; a share of the image's own, lower one here
    assert normal.max_deviation * profile.max() / (1 / math.sqrt(2 * math.pi * 64)) == pytest.approx(0.18, abs=6e-3)


def test_distances_shrink_with_depth_and_with_a_better_model() -> None:
    for name in ("kl", "total_variation", "max_deviation"):
        distances = np.array([[getattr(f, name) for f in uniform(n).fit(BOTH)] for n in (5, 10, 20, 40, 80)])
        assert (np.diff(distances, axis=0) < 0).all(), name
        assert (distances[:, 1] < 0.2 * distances[:, 0]).all(), name
        assert (distances > 0).all(), name


def by_definition(erf: ERF, fitted: Fit) -> tuple[float, float, float]:
    """kl, total variation and largest deviation, from every pixel."""
    p = np.array(erf.image, dtype=np.float64)
    p = p**2 if erf.reduction == "signed" else p
    p /= p.sum()
    places = np.stack(np.indices(p.shape), axis=-1) + np.array(erf.origin)
    values = fitted.parameters
    if fitted.model == "gaussian":
        away = places - values["mean"]
        inverse = np.linalg.inv(values["covariance"])
        q = np.exp(-0.5 * np.einsum("...i,ij,...j", away, inverse, away)) / math.sqrt(np.linalg.det(2 * math.pi * values["covariance"]))
    else:
        q = np.ones(p.shape)
        for axis in range(p.ndim):
            s = values["std"][axis]
            z, g1, g2 = (places[..., axis] - values["mean"][axis]) / s, values["kappa3"][axis] / s**3, values["kappa4"][axis] / s**4
            he3, he4, he6 = z**3 - 3 * z, z**4 - 6 * z**2 + 3, z**6 - 15 * z**4 + 45 * z**2 - 15
            series = 1 + g1 / 6 * he3 + g2 / 24 * he4 + g1**2 / 72 * he6
            q *= np.exp(-(z**2) / 2) / (s * math.sqrt(2 * math.pi)) * np.maximum(series, 0)
    held = (p > 0) & (q > 0)
    kl = (p[held] * np.log(p[held] / q[held])).sum() + max(0, q.sum() - p[held].sum())
    return kl, (np.abs(p - q).sum() + max(0, 1 - q.sum())) / 2, np.abs(p - q).max() / p.max()


rng = np.random.default_rng(11)
PROFILES: dict[str, list[Any]] = {
    "1-D": [rng.random(19)],
    "2-D": [rng.random(16), rng.random(9)],
    "2-D lopsided": [np.exp(-np.arange(20.0)), np.arange(12.0) ** 2],
    "3-D": [rng.random(7), rng.random(4), rng.random(9)],
    "2-D narrow": [np.array([0.01, 1, 0.02]), np.array([0.3, 1, 0.3])],
    "2-D deep": [np.array(uniform(30).marginal())] * 2,
}


@pytest.mark.parametrize("case", PROFILES)
@pytest.mark.parametrize("model", BOTH)
def test_distances_by_definition(case: str, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = result(PROFILES[case], dense=True)
    (wanted,) = image.fit([model])
    assert (wanted.kl, wanted.total_variation, wanted.max_deviation) == pytest.approx(by_definition(image, wanted), rel=1e-9, abs=1e-13)
    monkeypatch.setattr(_pixels.Pixels, "_formed", None)  # forming the image would fail
    (got,) = result(PROFILES[case]).fit([model])
    for name in ("kl", "total_variation", "max_deviation"):
        assert getattr(got, name) == pytest.approx(getattr(wanted, name), rel=1e-9, abs=1e-13), name
    for name, values in wanted.parameters.items():
        assert got.parameters[name] == pytest.approx(values, rel=1e-10, abs=1e-9), name


def test_gaussian_of_an_image_has_a_covariance() -> None:
    y, x = np.indices((61, 61)) - 30
    tilted = pictured(np.exp(-(x**2 + y**2 - 1.2 * x * y) / 32), origin=(5, 7))
    (fitted,) = tilted.fit()
    # inverse covariance [[2, -1.2], [-1.2, 2]] / 32
    assert fitted.parameters["covariance"] == pytest.approx(np.linalg.inv(np.array([[2, -1.2], [-1.2, 2]]) / 32), rel=1e-4)
    assert fitted.parameters["mean"] == pytest.approx([35, 37])
    assert (fitted.kl, fitted.total_variation, fitted.max_deviation) == pytest.approx(by_definition(tilted, fitted), rel=1e-9)
    assert fitted.max_deviation < 1e-4


def test_blocks_of_rows_change_nothing() -> None:
    rng = np.random.default_rng(0)
    image = pictured(rng.random((1200, 350)))
    for fitted in image.fit(BOTH):
        assert (fitted.kl, fitted.total_variation, fitted.max_deviation) == pytest.approx(by_definition(image, fitted), rel=1e-9)


def test_signed_images_are_fitted_by_their_square() -> None:
    rng = np.random.default_rng(2)
    values = rng.standard_normal((9, 8))
    (signed,), (square,) = pictured(values, reduction="signed").fit(), pictured(values**2).fit()
    assert signed.kl == pytest.approx(square.kl, rel=1e-12)


def test_draws_are_fitted_one_by_one() -> None:
    rng = np.random.default_rng(4)
    profiles = [rng.random((3, 8)), rng.random((3, 11))]
    profiles[0][1] = 0
    for dense in (False, True):
        for together, model in zip(result(profiles, dense=dense).fit(BOTH), BOTH, strict=True):
            assert together.parameters["mean"].shape == (3, 2)
            assert np.isnan(together.kl).tolist() == [False, True, False]
            (alone,) = result([p[2] for p in profiles], dense=dense).fit([model])
            assert together.total_variation[2] == pytest.approx(alone.total_variation, rel=1e-13)
            assert together.parameters["std"][2] == pytest.approx(alone.parameters["std"], rel=1e-13)


@pytest.mark.parametrize("image", [np.eye(5), np.ones((1, 5)), np.ones((1, 1))], ids=["a diagonal", "a line", "a pixel"])
def test_what_has_no_width_has_no_distance(image: Any) -> None:
    (fitted,) = pictured(image).fit()
    assert math.isnan(fitted.kl)
    assert math.isnan(fitted.max_deviation)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_long_profiles_are_fitted_without_their_image(ndim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pixels.Pixels, "_formed", None)
    n = 10_000
    # the Edgeworth series is the true profile here, to 1/n^2: a closed form of 20,001 pixels
    x = np.arange(-n, n + 1, dtype=np.float64)
    std = math.sqrt(2 * n / 3)
    erf = result([np.exp(edgeworth_log(x, 0, std, 0, -2 * n / 3))] * ndim)
    start = time.perf_counter()
    normal, series = erf.fit(BOTH)
    assert time.perf_counter() - start < 5  # 0.05 s, in three axes 1 s: two million pairs
    # the deviation at the peak is 3 g2 / 24 an axis, g2 = -3/2 / n
    assert normal.max_deviation == pytest.approx(ndim * 4.5 / 24 / n, rel=1e-3)
    assert series.max_deviation == pytest.approx(0, abs=1e-8)


ERRORS = {
    "a text": ("gaussian", TypeError, r"models must be a sequence of names such as \('gaussian',\), got the text 'gaussian'"),
    "an unknown model": (["gauss"], ValueError, "models must be one of 'gaussian', 'edgeworth', .*'raised cosine', got 'gauss'"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_unknown_models_are_refused(case: str) -> None:
    models, error, message = ERRORS[case]
    with pytest.raises(error, match=message):
        uniform(3).fit(models)


def test_the_product_of_profiles_is_what_the_image_says() -> None:
    profiles = PROFILES["2-D"]
    np.testing.assert_allclose(result(profiles).image * 2.0 ** result(profiles).exponent, multiplied(profiles), rtol=1e-15)
