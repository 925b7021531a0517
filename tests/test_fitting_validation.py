"""Models judged by draws that they were not fitted to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from erffast.fitting import CrossValidation, cross_validated
from erffast.result import ERF
from samples import pictured, result, uniform

PLACES = np.stack(np.indices((41, 41)), axis=-1) - 20.0


def sampled(density: Any, draws: int, counts: int, seed: int) -> ERF:
    """Draws of so many counts each from a density on the pixels, every draw of another scale."""
    rng = np.random.default_rng(seed)
    images = rng.multinomial(counts, (density / density.sum()).ravel(), size=draws).reshape(draws, *density.shape).astype(np.float64)
    return pictured(images * 10.0 ** rng.uniform(-9, 9, (draws, 1, 1)), draws=True)


RADIUS = np.sqrt(np.einsum("...i,ij,...j", PLACES, [[0.08, 0.01], [0.01, 0.06]], PLACES))
DENSITIES = {
    "gaussian": np.exp(-(RADIUS**2) / 2),
    "student-t": stats.multivariate_t([0, 0], [[6.0, 1], [1, 5]], 4).pdf(PLACES),
    "generalised gaussian": np.exp(-((RADIUS / 2) ** 4)),
    "raised cosine": np.prod(np.where(np.abs(PLACES) < 15, 1 + np.cos(np.pi / 15 * PLACES), 0), axis=-1),
}
COMPARED = ("gaussian", "generalised gaussian", "student-t", "laplace")


@pytest.mark.parametrize("model", ["student-t", "generalised gaussian"])
def test_draws_pick_the_model_they_come_from(model: str) -> None:
    found = cross_validated(sampled(DENSITIES[model], 20, 2000, seed=1), COMPARED)
    assert found.best == model
    at = COMPARED.index(model)
    assert found.difference[at] > 5 * found.stderr[at]
    # what is to be expected: the divergence of the Gaussian of the same covariance
    (normal,), (own,) = (pictured(DENSITIES[model]).fit([name]) for name in ("gaussian", model))
    assert found.difference[at] == pytest.approx(normal.kl - own.kl, abs=4 * found.stderr[at] + 1e-3)


def test_more_parameters_do_not_win_where_the_gaussian_is_right() -> None:
    found = cross_validated(sampled(DENSITIES["gaussian"], 20, 2000, seed=2), COMPARED)
    assert found.difference[0] == 0
    assert found.stderr[0] == 0
    assert abs(found.difference[1]) < 4 * found.stderr[1] + 1e-3
    assert found.difference[3] < -10 * found.stderr[3]


def test_likelihoods_by_definition() -> None:
    erf = sampled(DENSITIES["student-t"], 7, 300, seed=3)
    found = cross_validated(erf, ["laplace", "box gaussian"], folds=3)
    shares = erf.image / erf.image.sum(axis=(1, 2), keepdims=True)
    wanted = np.empty((3, 7))
    for row, name in zip(wanted, ["gaussian", "laplace", "box gaussian"], strict=True):
        for fold in range(3):
            held = np.arange(7) % 3 == fold
            (fitted,) = pictured(shares[~held].mean(axis=0)).fit([name])
            q = fitted.image_on(erf)
            row[held] = (shares[held] * np.log(q)).sum(axis=(1, 2)) - max(0, q.sum() - 1)
    assert found.models == ("laplace", "box gaussian")
    np.testing.assert_allclose(found.log_likelihood, wanted[1:], rtol=1e-10)
    differences = wanted[1:] - wanted[0]
    np.testing.assert_allclose(found.difference, differences.mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(found.stderr, differences.std(axis=1, ddof=1) / math.sqrt(7), rtol=1e-9)


def test_mass_outside_a_model_is_infinitely_unlikely() -> None:
    found = cross_validated(sampled(DENSITIES["gaussian"], 6, 5000, seed=4), ["raised cosine", "gaussian"])
    assert found.best == "gaussian"
    assert found.difference[0] == -math.inf
    assert math.isnan(found.stderr[0])


def test_zero_draws_are_left_out_and_scale_does_not_count() -> None:
    erf = sampled(DENSITIES["student-t"], 8, 400, seed=5)
    images = np.insert(np.asarray(erf) * 3.0, [2, 8], 0, axis=0)
    wanted, found = cross_validated(erf, COMPARED), cross_validated(pictured(images, draws=True), COMPARED)
    assert np.isnan(found.log_likelihood).all(axis=0).tolist() == [False] * 2 + [True] + [False] * 6 + [True]
    alive = ~np.isnan(found.log_likelihood[0])
    np.testing.assert_allclose(found.log_likelihood[:, alive], wanted.log_likelihood, rtol=1e-8)
    np.testing.assert_allclose(found.difference, wanted.difference, rtol=1e-6, atol=1e-9)


def both(profiles: list[Any], **options: Any) -> list[CrossValidation]:
    return [cross_validated(result(profiles, dense=dense, **options), folds=2) for dense in (False, True)]


def test_profiles_and_images_agree() -> None:
    rng = np.random.default_rng(6)
    product, dense = both([np.array(uniform(6, ndim=1).image) * (0.5 + rng.random((5, 13))) for _ in range(2)])
    np.testing.assert_allclose(product.log_likelihood, dense.log_likelihood, rtol=1e-8)
    assert len(product.models) == 6


def test_signed_draws_are_judged_by_their_square() -> None:
    values = np.random.default_rng(7).standard_normal((6, 9, 8))
    signed, square = (
        cross_validated(pictured(v, draws=True, reduction=r), COMPARED) for v, r in ((values, "signed"), (values**2, "square"))
    )
    np.testing.assert_allclose(signed.log_likelihood, square.log_likelihood, rtol=1e-7)


DRAWS = sampled(DENSITIES["gaussian"], 4, 50, seed=8)
REFUSED = {
    "a mean": (
        lambda: cross_validated(uniform(3)),
        ValueError,
        r"erf must hold its draws, as with keep_draws=True, got one image \(1 draws\)",
    ),
    "an Edgeworth series": (
        lambda: cross_validated(DRAWS, ["edgeworth"]),
        ValueError,
        "models must be distributions .* which 'edgeworth' is not",
    ),
    "a text": (lambda: cross_validated(DRAWS, "laplace"), TypeError, "models must be a sequence of names"),
    "one fold": (lambda: cross_validated(DRAWS, folds=1), ValueError, "folds must be at least 2, got 1"),
    "more folds than draws": (lambda: cross_validated(DRAWS, folds=5), ValueError, "folds must be at most .* 4, got 5"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_judged_is_refused(case: str) -> None:
    call, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        call()


def test_draws_are_asked_for_memory_first(monkeypatch: pytest.MonkeyPatch) -> None:
    erf = result([np.ones((40, 300)), np.ones((40, 300))])
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", "20M")
    with pytest.raises(MemoryError, match=r"the mass of 40 draws needs .*; fewer draws"):
        cross_validated(erf)
