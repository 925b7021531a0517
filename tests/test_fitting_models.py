"""The models beside the Gaussian: parameters of images drawn from them, densities of SciPy, sums over every pixel, limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import integrate, special, stats

from erffast import _pixels
from erffast.fitting import Fit
from erffast.result import ERF
from samples import multiplied, pictured, result, uniform

MODELS = ("gaussian", "edgeworth", "generalised gaussian", "student-t", "box gaussian", "laplace", "raised cosine")
ELLIPTICAL = ("generalised gaussian", "student-t", "laplace")
DISTANCES = ("kl", "total_variation", "max_deviation", "log_likelihood")
LEFT_OUT = 1e-11  # nats: elliptical models leave out 1e-13 of the mass
SCATTER = {1: np.array([[36.0]]), 2: np.array([[30.0, 8.0], [8.0, 20.0]]), 3: np.diag([9.0, 12.0, 8.0]) + 2.0}


def places(shape: tuple[int, ...]) -> Any:
    return np.stack(np.indices(shape), axis=-1).astype(np.float64)


def squared_radius(shape: tuple[int, ...], centre: Any, scatter: Any) -> Any:
    away = places(shape) - centre
    return np.einsum("...i,ij,...j", away, np.linalg.inv(scatter), away)


def ball(ndim: int) -> float:
    """Surface of the unit ball."""
    return {1: 2.0, 2: 2 * math.pi, 3: 4 * math.pi}[ndim]


def box(x: Any, mean: float, width: float, sigma: float) -> Any:
    """By quadrature over the box, in pieces of the length of sigma."""
    grid, weights = np.polynomial.legendre.leggauss(20)
    pieces = max(1, math.ceil(width / sigma))
    starts = mean - width / 2 + width / pieces * (np.arange(pieces) + 0.5)
    nodes = (starts[:, None] + width / pieces / 2 * grid).ravel()
    return stats.norm.pdf(np.asarray(x)[..., None], nodes, sigma) @ np.tile(weights / 2 / pieces, pieces)


def cosine(x: Any, mean: float, half: float) -> Any:
    return stats.cosine.pdf(x, loc=mean, scale=half / math.pi)


# ------------------------------------------------------------------------------------------------ parameters are found again

WINDOW = {1: (401,), 2: (161, 151), 3: (51, 53, 49)}


@pytest.mark.parametrize("ndim", WINDOW)
@pytest.mark.parametrize("b", [1.0, 1.5, 2.0, 3.0])
def test_generalised_gaussians_are_found_again(ndim: int, b: float) -> None:
    centre = np.array(WINDOW[ndim]) // 2
    scatter = SCATTER[ndim] * {1.0: 0.25 if ndim < 3 else 0.1, 1.5: 1, 2.0: 1, 3.0: 2}[b]
    image = np.exp(-(squared_radius(WINDOW[ndim], centre, scatter) ** (b / 2)))
    # The sum over pixels is not the integral: by one part in a hundred for a cusp with a scale of three pixels, by a few in a million for
    # b = 1.5 and 3, whose derivatives jump. Where parameters hardly change the likelihood, that moves them by more.
    bound = {1.0: 1e-2, 1.5: 1e-3, 2.0: 1e-6, 3.0: 5e-4}[b]
    (fitted,) = pictured(image, origin=(5,) * ndim).fit(["generalised gaussian"])
    assert fitted.parameters["shape"] == pytest.approx(b, rel=bound)
    assert fitted.parameters["scatter"] == pytest.approx(scatter, rel=bound, abs=bound)
    assert fitted.parameters["mean"] == pytest.approx(centre + 5, abs=1e-6 if b > 1 else 1e-3)
    spread = special.gamma((ndim + 2) / b) / special.gamma(ndim / b) / ndim
    assert fitted.parameters["std"] == pytest.approx(np.sqrt(np.diag(scatter) * spread), rel=bound)
    assert abs(fitted.kl) < bound


@pytest.mark.parametrize("ndim", WINDOW)
@pytest.mark.parametrize("nu", [10.0, 30.0])
def test_students_t_is_found_again(ndim: int, nu: float) -> None:
    centre = np.array(WINDOW[ndim]) / 2 - 0.3
    scatter = SCATTER[ndim] * (0.3 if ndim == 3 else 1)
    image = stats.multivariate_t(centre, scatter, nu).pdf(places(WINDOW[ndim])).reshape(WINDOW[ndim])
    missing = abs(1 - image.sum())  # beyond the window
    (fitted,) = pictured(image, origin=(0,) * ndim).fit(["student-t"])
    bound = 1e-5 + 300 * missing
    assert fitted.parameters["degrees"] == pytest.approx(nu, rel=bound)
    assert fitted.parameters["scatter"] == pytest.approx(scatter, rel=bound, abs=bound)
    assert fitted.parameters["mean"] == pytest.approx(centre, abs=1e-5)
    assert fitted.parameters["std"] == pytest.approx(np.sqrt(np.diag(scatter) * nu / (nu - 2)), rel=bound)
    assert bound < 3e-3


@pytest.mark.parametrize("ndim", WINDOW)
def test_laplace_densities_are_found_again(ndim: int) -> None:
    centre, scatter = np.array(WINDOW[ndim]) // 2, SCATTER[ndim] * (0.25 if ndim < 3 else 0.05)
    (fitted,) = pictured(np.exp(-np.sqrt(squared_radius(WINDOW[ndim], centre, scatter)))).fit(["laplace"])
    assert fitted.parameters["scatter"] == pytest.approx(scatter, rel=1e-2, abs=1e-4)  # the cusp: its sum over pixels is not its integral
    assert fitted.parameters["mean"] == pytest.approx(centre - 3, abs=1e-6)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_boxes_convolved_with_a_gaussian_are_found_again(ndim: int, dense: bool) -> None:
    given = [(20.3, 14.0, 2.5), (24.0, 20.0, 1.5), (22.7, 8.0, 3.0)][:ndim]
    x = np.arange(48.0)
    (fitted,) = result([box(x, *values) for values in given], dense=dense, origin=(2,) * ndim).fit(["box gaussian"])
    mean, width, sigma = (np.array(column) for column in zip(*given, strict=True))
    assert fitted.parameters["mean"] == pytest.approx(mean + 2, abs=1e-6)
    assert fitted.parameters["width"] == pytest.approx(width, rel=2e-5)
    assert fitted.parameters["sigma"] == pytest.approx(sigma, rel=2e-5)
    assert fitted.parameters["std"] == pytest.approx(np.sqrt(sigma**2 + width**2 / 12), rel=1e-6)
    assert abs(fitted.kl) < 1e-8


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_raised_cosines_are_found_again(ndim: int, dense: bool) -> None:
    given = [(30.3, 25.2), (28.0, 20.7), (29.1, 27.0)][:ndim]
    (fitted,) = result([cosine(np.arange(60.0), *values) for values in given], dense=dense, origin=(0,) * ndim).fit(["raised cosine"])
    mean, half = (np.array(column) for column in zip(*given, strict=True))
    # the second derivative jumps at the ends: sums over pixels are off by some 1e-6
    assert fitted.parameters["mean"] == pytest.approx(mean, abs=1e-4)
    assert fitted.parameters["half_width"] == pytest.approx(half, rel=1e-5)
    assert fitted.parameters["std"] == pytest.approx(half * math.sqrt(1 / 3 - 2 / math.pi**2), rel=1e-5)
    assert fitted.total_variation < 1e-5
    assert fitted.kl < 1e-5  # no mass lies beyond it


def test_laplace_in_one_axis_is_the_best_of_a_grid() -> None:
    """The likelihood has a kink at every pixel; and a rugged profile has none of a model's symmetries."""
    x = np.arange(80.0)
    profile = np.exp(-np.abs(x - 33.4) / 9) * np.random.default_rng(3).random(80)
    share = profile / profile.sum()
    (fitted,) = result([profile], origin=(0,)).fit(["laplace"])
    divergences = []
    for mean in np.arange(30, 37, 0.01):
        for scale in np.arange(6, 13, 0.1):
            log_q = stats.laplace.logpdf(x, mean, scale)
            divergences.append((share * (np.log(share) - log_q)).sum() + max(0, np.exp(log_q).sum() - 1))
    assert fitted.kl <= min(divergences) + 1e-9
    assert fitted.kl >= min(divergences) - 1e-4


# ------------------------------------------------------------------------------------------------ densities

rng = np.random.default_rng(5)
RUGGED = {1: rng.random(29) * uniform(14, ndim=1).image, 2: rng.random((23, 21)), 3: rng.random((9, 11, 7))}
RUGGED[2] *= np.exp(-(squared_radius((23, 21), [10, 9], [[16.0, 5], [5, 12]]) ** 0.8))


def densities(fitted: Fit, at: Any) -> Any:
    """What SciPy has for the parameters of a fit, at positions [..., ndim]."""
    found, ndim = fitted.parameters, at.shape[-1]
    if fitted.model == "gaussian":
        return stats.multivariate_normal(found["mean"], found["covariance"]).pdf(at)
    if fitted.model == "student-t":
        nu = float(found["degrees"])
        return stats.multivariate_t(found["mean"], found["scatter"], nu, allow_singular=False).pdf(at)
    if fitted.model in ELLIPTICAL:
        b = float(found.get("shape", 1.0))
        away = at - found["mean"]
        radius = np.sqrt(np.einsum("...i,ij,...j", away, np.linalg.inv(found["scatter"]), away))
        integral = ball(ndim) * integrate.quad(lambda r: r ** (ndim - 1) * math.exp(-(r**b)), 0, np.inf)[0]
        return np.exp(-(radius**b)) / integral / math.sqrt(np.linalg.det(found["scatter"]))
    one: Callable[..., Any] = box if fitted.model == "box gaussian" else cosine
    names = ("width", "sigma") if fitted.model == "box gaussian" else ("half_width",)
    axes = [one(at[..., axis], found["mean"][axis], *(found[name][axis] for name in names)) for axis in range(ndim)]
    return np.prod(axes, axis=0)


@pytest.mark.parametrize("ndim", RUGGED)
@pytest.mark.parametrize("model", [m for m in MODELS if m != "edgeworth"])
def test_values_are_the_densities_of_scipy(ndim: int, model: str) -> None:
    erf = pictured(RUGGED[ndim], origin=(7,) * ndim)
    (fitted,) = erf.fit([model])
    wanted = densities(fitted, places(erf.shape) + 7).reshape(erf.shape)
    np.testing.assert_allclose(fitted.image_on(erf), wanted, rtol=1e-8, atol=1e-13 * wanted.max())
    assert fitted.free_parameters == len(independent(fitted))


def independent(fitted: Fit) -> list[float]:
    """Every number of a fit that the others do not give."""
    out: list[float] = []
    for name, values in fitted.parameters.items():
        if name in ("covariance", "scatter"):
            out += list(values[np.triu_indices(len(values))])
        elif name != "std" or fitted.model == "edgeworth":
            out += list(np.ravel(values))
    return out


def test_one_axis_is_scipys_own() -> None:
    erf = pictured(RUGGED[1], origin=(0,))
    x = np.arange(29.0)
    general, t, laplace = erf.fit(["generalised gaussian", "student-t", "laplace"])
    mean, scale = general.parameters["mean"][0], math.sqrt(general.parameters["scatter"][0, 0])
    np.testing.assert_allclose(general.image_on(erf), stats.gennorm.pdf(x, general.parameters["shape"], mean, scale), rtol=1e-10)
    mean, scale = laplace.parameters["mean"][0], math.sqrt(laplace.parameters["scatter"][0, 0])
    np.testing.assert_allclose(laplace.image_on(erf), stats.laplace.pdf(x, mean, scale), rtol=1e-10)
    mean, scale = t.parameters["mean"][0], math.sqrt(t.parameters["scatter"][0, 0])
    np.testing.assert_allclose(t.image_on(erf), stats.t.pdf(x, t.parameters["degrees"], mean, scale), rtol=1e-10)


@pytest.mark.parametrize("ndim", RUGGED)
@pytest.mark.parametrize("model", MODELS)
def test_distances_are_sums_over_every_pixel(ndim: int, model: str) -> None:
    erf = pictured(RUGGED[ndim])
    (fitted,) = erf.fit([model])
    p, q = RUGGED[ndim] / RUGGED[ndim].sum(), fitted.image_on(erf)
    held = q > 0
    beyond = max(0.0, q.sum() - p[held].sum())
    if held.all() or model == "edgeworth":
        likelihood = (p[held] * np.log(q[held])).sum() - beyond
        assert fitted.log_likelihood == pytest.approx(likelihood, rel=1e-11)
        assert fitted.kl == pytest.approx((p[held] * np.log(p[held])).sum() - likelihood, rel=1e-9)
    else:
        assert (fitted.kl, fitted.log_likelihood) == (math.inf, -math.inf)
    assert fitted.total_variation == pytest.approx((np.abs(p - q).sum() + max(0, 1 - q.sum())) / 2, rel=1e-11)
    assert fitted.max_deviation == pytest.approx(np.abs(p - q).max() / p.max(), rel=1e-11)


# ------------------------------------------------------------------------------------------------ the criterion

RANGE = np.arange(41.0)
IMAGES = {
    "a uniform stack": np.array(uniform(20).image),
    "a flat top": multiplied([box(RANGE, 20.2, 16, 3), box(RANGE, 19.9, 12, 2)]),
    "heavy tails": stats.multivariate_t([30.2, 29], [[4.0, 0], [0, 3]], 3).pdf(places((61, 60))),
    "a cusp": np.exp(-(squared_radius((61, 60), [30.4, 29], [[4.0, 0], [0, 3]]) ** 0.4)),
    "noise": np.random.default_rng(8).random((24, 31)) ** 4,
    "two lumps": np.exp(-squared_radius((41, 41), [15, 20], np.eye(2) * 30)) + np.exp(-squared_radius((41, 41), [27, 20], np.eye(2) * 9)),
    "a peak of one pixel": np.array(uniform(20).image) + 3.0 * (squared_radius((41, 41), [20, 20], np.eye(2)) == 0),
    "a narrow ridge": np.exp(-(np.subtract(*np.indices((9, 8))) ** 2) * 10.0),
    "two by two": np.array([[1.0, 2.0], [2.0, 1.5]]),
    "three by three": np.ones((3, 3)),
}


@pytest.mark.parametrize("case", IMAGES)
def test_what_contains_a_model_is_no_worse(case: str) -> None:
    kl = {f.model: f.kl for f in pictured(IMAGES[case]).fit(MODELS)}
    assert kl["generalised gaussian"] <= kl["gaussian"] + LEFT_OUT
    assert kl["generalised gaussian"] <= kl["laplace"] + LEFT_OUT
    assert kl["student-t"] <= kl["gaussian"] + LEFT_OUT
    product = sum(f.kl for axis in range(2) for f in result([pictured(IMAGES[case]).marginal(axis)]).fit(["gaussian"]))
    boxes = sum(f.kl for axis in range(2) for f in result([pictured(IMAGES[case]).marginal(axis)]).fit(["box gaussian"]))
    assert boxes <= product + 1e-12
    assert all(value >= -1e-12 for value in kl.values())


@pytest.mark.parametrize("case", [c for c in IMAGES if " by " not in c and "ridge" not in c])
@pytest.mark.parametrize("model", ["generalised gaussian", "student-t", "laplace", "box gaussian"])
def test_no_neighbour_has_less_divergence(case: str, model: str) -> None:
    erf = pictured(IMAGES[case], origin=(0, 0))
    (fitted,) = erf.fit([model])
    p = IMAGES[case] / IMAGES[case].sum()

    def divergence(parameters: dict[str, Any]) -> float:
        q = Fit(model, parameters, 0, 0, 0, 0, 0).image_on(erf)
        return float((p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum() + max(0, q.sum() - 1))

    # on a pixel a cusp is dearer than beside it, and a symmetric image keeps it there
    cusped = model == "laplace" or float(fitted.parameters.get("shape", 2.0)) < 1.1
    slack = 1e-5 if (case, model) == ("noise", "box gaussian") else 1e-9  # there its sum just reaches 1, at a kink of the divergence
    best = divergence(fitted.parameters)
    assert best == pytest.approx(fitted.kl, abs=LEFT_OUT)
    for name in ("mean", "scatter", "shape", "degrees", "width", "sigma"):
        values = fitted.parameters.get(name)
        if values is None or not np.isfinite(values).all() or (name == "mean" and cusped):
            continue
        for index in np.ndindex(values.shape):
            for step in (-1e-2, 1e-2):
                moved = values.copy()
                scale = (
                    np.sqrt(np.diag(fitted.parameters["scatter"]).max())
                    if name == "mean" and "scatter" in fitted.parameters
                    else values[index]
                )
                moved[index] += step * scale
                if name == "scatter":
                    moved[index[::-1]] = moved[index]
                if (moved >= 0).all() or name in ("mean", "scatter"):
                    assert divergence(fitted.parameters | {name: moved}) >= best - slack, (name, index, step)


def test_limits_are_the_gaussian_itself() -> None:
    """A flat top is farther from every t than from their limit; a cusp is from every box."""
    (t,), (normal,) = pictured(IMAGES["a flat top"]).fit(["student-t"]), pictured(IMAGES["a flat top"]).fit()
    assert t.parameters["degrees"] == math.inf
    assert t.parameters["scatter"] == pytest.approx(normal.parameters["covariance"], rel=1e-10)
    boxed, normal = pictured(IMAGES["a cusp"]).fit(["box gaussian", "gaussian"])
    assert boxed.parameters["width"].tolist() == [0, 0]
    assert boxed.parameters["sigma"] == pytest.approx(normal.parameters["std"], rel=1e-12)


def test_the_best_model_is_the_one_the_image_was_drawn_from() -> None:
    drawn_from = {"box gaussian": "a flat top", "student-t": "heavy tails", "generalised gaussian": "a cusp"}
    for model, case in drawn_from.items():
        kl = {f.model: f.kl for f in pictured(IMAGES[case]).fit([m for m in MODELS if m != "edgeworth"])}
        assert min(kl, key=lambda name: kl[name]) == model


# ------------------------------------------------------------------------------------------------ forms of an image


@pytest.mark.parametrize("model", MODELS)
def test_fits_do_not_depend_on_scale_or_place(model: str) -> None:
    image = RUGGED[2]
    (wanted,), (scaled,), (moved,) = (
        erf.fit([model])
        for erf in (pictured(image, origin=(0, 0)), pictured(image * 3e-200, origin=(0, 0)), pictured(image, origin=(-40, 1000)))
    )
    for name in DISTANCES:
        assert getattr(scaled, name) == pytest.approx(getattr(wanted, name), rel=1e-8)
        assert getattr(moved, name) == getattr(wanted, name)
    for name, values in wanted.parameters.items():
        assert scaled.parameters[name] == pytest.approx(values, rel=1e-5)
        assert moved.parameters[name] == pytest.approx(values + ([-40, 1000] if name == "mean" else 0), rel=1e-12)


@pytest.mark.parametrize("model", ELLIPTICAL)
def test_zeros_around_an_image_change_nothing(model: str) -> None:
    image = IMAGES["a flat top"]
    around = np.pad(image, ((300, 11), (5, 400)))
    (wanted,), (got,) = pictured(image, origin=(300, 5)).fit([model]), pictured(around, origin=(0, 0)).fit([model])
    for name, values in wanted.parameters.items():
        assert got.parameters[name] == pytest.approx(values, rel=1e-6, abs=1e-9), name
    assert got.log_likelihood == pytest.approx(wanted.log_likelihood, rel=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_products_are_fitted_as_their_images(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    profiles = [np.convolve(box(RANGE, 20.2, 10, 2), [1, 2, 4, 1]), box(RANGE, 18.0, 5, 3)]
    (wanted,) = result(profiles, dense=True).fit([model])
    monkeypatch.setattr(_pixels.Pixels, "_formed", None)  # forming the image would fail
    (got,) = result(profiles).fit([model])
    for name in DISTANCES:
        assert getattr(got, name) == pytest.approx(getattr(wanted, name), rel=1e-6, abs=1e-6), name
    for name, values in wanted.parameters.items():
        assert got.parameters[name] == pytest.approx(values, rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize("model", MODELS)
def test_float32_images(model: str) -> None:
    (wanted,), (got,) = pictured(RUGGED[2]).fit([model]), pictured(RUGGED[2].astype(np.float32)).fit([model])
    assert got.kl == pytest.approx(wanted.kl, rel=1e-5)
    assert got.parameters["std"] == pytest.approx(wanted.parameters["std"], rel=1e-4)


@pytest.mark.parametrize("dense", [False, True])
def test_draws_are_fitted_one_by_one(dense: bool) -> None:
    rng = np.random.default_rng(4)
    profiles = [rng.random((3, 8)) + 0.2, rng.random((3, 11)) + 0.2]
    profiles[0][1] = 0
    erf = result(profiles, dense=dense)
    for together in erf.fit(MODELS):
        (alone,) = result([p[2] for p in profiles], dense=dense).fit([together.model])
        for name in DISTANCES:
            assert np.isnan(getattr(together, name)).tolist() == [False, True, False]
            assert getattr(together, name)[2] == pytest.approx(getattr(alone, name), rel=1e-12)
        for name, values in alone.parameters.items():
            assert together.parameters[name].shape == (3, *values.shape)
        shown = together.image_on(erf)
        assert np.isnan(shown[1]).all()
        np.testing.assert_allclose(shown[2], alone.image_on(erf), rtol=1e-12)


DEGENERATE = {
    "a pixel": np.ones((1, 1)),
    "a line": np.ones((1, 5)),
    "nothing": np.zeros((3, 4)),
    "a point": np.eye(9)[4:5].repeat(3, axis=0) * [[0], [1], [0]],
}


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("model", MODELS)
def test_what_has_no_width_has_no_distance(case: str, model: str) -> None:
    erf = pictured(DEGENERATE[case])
    (fitted,) = erf.fit([model])
    assert all(math.isnan(getattr(fitted, name)) for name in DISTANCES)
    assert np.isnan(fitted.image_on(erf)).all()


@pytest.mark.parametrize("model", MODELS)
def test_what_is_far_narrower_than_a_pixel_has_moments_only(model: str) -> None:
    (fitted,) = pictured(np.array([1e-6, 1.0, 1e-7, 0, 1e-290])).fit([model])
    assert fitted.parameters["mean"] == pytest.approx([-2], abs=1e-5)
    assert math.isnan(fitted.kl) == (model not in ("gaussian", "edgeworth"))


@pytest.mark.parametrize("model", ELLIPTICAL)
def test_a_diagonal_has_no_ellipse(model: str) -> None:
    (fitted,) = pictured(np.eye(5)).fit([model])
    assert math.isnan(fitted.kl)
    assert fitted.parameters["mean"] == pytest.approx([-1, -1])


def test_long_profiles_are_asked_for_memory_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", "1G")
    x = np.arange(-2000, 2001.0)
    erf = result([np.exp(-(x**2) / 2 / 300**2)] * 2)
    assert erf.fit(["box gaussian", "raised cosine"])[0].parameters["std"] == pytest.approx([300, 300], rel=1e-6)
    monkeypatch.setenv("ERFFAST_MEMORY_LIMIT", "200M")
    with pytest.raises(MemoryError, match=r"fitting to 4001 x 4001 pixels needs .*; fit \"gaussian\", \"edgeworth\""):
        erf.fit(["laplace"])


def test_values_on_another_window() -> None:
    small: ERF = pictured(RUGGED[2], origin=(7, 7))
    large = pictured(np.ones((60, 50)), origin=(-10, -6))
    for fitted in small.fit(MODELS):
        np.testing.assert_allclose(fitted.image_on(large)[17:40, 13:34], fitted.image_on(small), rtol=1e-9, atol=1e-300)
    with pytest.raises(ValueError, match="erf must have 2 axes, as what the model was fitted to, got one with 1"):
        fitted.image_on(pictured(RUGGED[1]))
