"""The experiment on photographs: its claims, its figures, and the theory that it brings along."""

from __future__ import annotations

import socket
from typing import Any

import numpy as np
import pytest

pytest.importorskip("skimage")

from erffast.experiments import Findings, Run, natural_images
from erffast.experiments._max_places import normal_windows, outer_share
from erffast.experiments._photographs import FILES, crops, photographs
from erffast.experiments._wide_limit import _Moments, tanh_image
from erffast.mean_field import activation_moments


@pytest.fixture(scope="module")
def found(quick_run: Run) -> Findings:
    return natural_images.find(quick_run)


def test_what_is_claimed_holds(found: Findings) -> None:
    assert [claim.name for claim in found.claims if not claim.holds] == []
    assert sum(claim.theory is not None for claim in found.claims) == 9 + 3 + 8 + 7 + 2


def test_the_figures_are_drawn(found: Findings) -> None:
    figures = natural_images.draw(found)
    assert list(figures) == ["natural_images", "natural_images_tanh", "natural_images_pools"]
    assert [len(figure.axes) for figure in figures.values()] == [9, 4, 1]
    for figure in figures.values():
        figure.canvas.draw()
    names = [text.get_text() for text in figures["natural_images_pools"].axes[0].texts]
    assert sorted(names) == sorted(FILES)


# ------------------------------------------------------------------------------------------------ photographs


def test_photographs_come_from_the_package_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    from skimage.data import _fetchers

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("something was to be fetched")

    monkeypatch.setattr(socket, "socket", never)
    monkeypatch.setattr(_fetchers, "_fetch", never)
    found = photographs()
    assert list(found) == list(FILES)
    for photo in found.values():
        assert photo.ndim == 2
        assert min(photo.shape) >= 300
        assert abs(photo.mean()) < 1e-12
        assert abs(photo.std() - 1) < 1e-12
        assert not (photo[1:] == photo[:-1]).any()  # a max-pool would take the first of equal ones
    again = photographs()
    assert all(np.array_equal(found[name], again[name]) for name in FILES)


def test_a_photograph_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILES, "cat", "not_there.png")
    with pytest.raises(FileNotFoundError, match=r"not_there\.png is not there"):
        photographs()


def test_crops_are_cut_out_of_the_photographs() -> None:
    photos = [np.arange(12.0).reshape(3, 4), 100 + np.arange(30.0).reshape(6, 5)]
    some = crops(photos, 3, 200, 1)
    assert some.shape == (200, 1, 3, 3)
    assert np.array_equal(some, crops(photos, 3, 200, 1))
    corners = set()
    for crop in some[:, 0]:
        photo = photos[int(crop[0, 0] >= 100)]
        ((top, left),) = np.argwhere(photo == crop[0, 0])
        assert np.array_equal(crop, photo[top : top + 3, left : left + 3])
        corners.add((photo.shape, top, left))
    assert len(corners) == 2 + 4 * 3  # every place


# ------------------------------------------------------------------------------------------------ the wide limit


def test_moments_of_tanh_are_those_of_the_mean_field() -> None:
    moments = _Moments(3.0)
    for q in (0.01, 0.3, 1.0, 4.0, 8.9):
        assert (moments.second(np.array(q)), moments.gain(np.array(q))) == pytest.approx(activation_moments("tanh", q), abs=2e-5)
        z = np.random.default_rng(0).standard_normal(10**6)
        passed = (1 - np.tanh(np.sqrt(q) * z) ** 2) ** 2 * (z * z - 1)
        assert moments.bend(np.array(q)) == pytest.approx(passed.mean(), abs=5 * passed.std() / 1000)


@pytest.mark.parametrize("padding", [0, 1])
def test_two_tanh_layers_are_right_at_any_width(padding: int) -> None:
    """With two layers one channel is as good as many: its second convolution alone makes the paths independent."""
    rng = np.random.default_rng(2)
    inputs = rng.standard_normal((1, 5, 5)) * np.array([0.3, 0.3, 1.0, 3.0, 3.0])
    unit = (1, 1) if padding else (0, 0)
    found = tanh_image(inputs, 2, unit, padding=padding)[0]
    weights = rng.standard_normal((200_000, 3, 3)) / 3
    padded = np.pad(inputs[0], padding)
    expected, variance = np.zeros_like(padded), np.zeros_like(padded)
    for i in range(3):
        for j in range(3):
            row, column = unit[0] + i - padding, unit[1] + j - padding  # of the map between
            patch = padded[row : row + 3, column : column + 3]
            gate = 1 - np.tanh(np.einsum("nij,ij->n", weights, patch)) ** 2
            passed = np.square(weights * gate[:, None, None]) / 9
            expected[row : row + 3, column : column + 3] += passed.mean(axis=0)
            variance[row : row + 3, column : column + 3] += passed.var(axis=0) / len(weights)
    inner = slice(padding, padding + 5)
    expected, variance = expected[inner, inner], variance[inner, inner]
    assert (np.abs(found - expected) <= 5 * np.sqrt(variance) + 1e-5 * expected).all()
    without = tanh_image(inputs * 1e-9, 2, unit, padding=padding)[0]
    assert np.abs(without - expected).max() > 100 * np.sqrt(variance).max()  # tanh was felt


def test_faint_inputs_leave_tanh_linear() -> None:
    inputs = 1e-9 * np.random.default_rng(3).standard_normal((2, 9, 9))
    line = np.array([1, 4, 10, 16, 19, 16, 10, 4, 1]) / 81  # (1 + z + z^2)^4
    for image in tanh_image(inputs, 4, (0, 0)):
        assert image == pytest.approx(np.multiply.outer(line, line), rel=1e-6)


# ------------------------------------------------------------------------------------------------ max-pools


def test_where_the_largest_of_a_normal_field_lies() -> None:
    published = {0.5: 0.73, 0.9: 0.87, 0.99: 0.96}
    for correlation, share in published.items():
        assert outer_share("smooth", correlation) == pytest.approx(share, abs=0.005)
    for kind in ("smooth", "rough"):
        assert outer_share(kind, 0.0) == pytest.approx(2 / 3, abs=3e-4)
    assert outer_share("smooth", 0.9999) > 0.99
    # neighbours nearly alike: rows and columns are walks of two steps, whose middle is largest once in four times
    assert outer_share("rough", 0.9999) == pytest.approx(3 / 4, abs=5e-4)


@pytest.mark.parametrize(("kind", "correlation"), [("smooth", 0.8), ("rough", 0.8), ("rough", 0.3)])
def test_normal_windows(kind: str, correlation: float) -> None:
    count = 100_000
    windows = normal_windows(kind, correlation, count, 4)[:, 0]
    far = correlation ** (4 if kind == "smooth" else 2)
    for apart, expected in [((0, 1), correlation), ((1, 0), correlation), ((0, 2), far), ((1, 1), correlation**2), ((0, 0), 1.0)]:
        found = (windows[:, 0, 0] * windows[:, apart[0], apart[1]]).mean()
        assert found == pytest.approx(expected, abs=5 * np.sqrt(2 / count))
    columns = windows.reshape(count, 9).argmax(axis=1) % 3
    share = (columns != 1).mean()
    assert share == pytest.approx(outer_share(kind, correlation), abs=5 * np.sqrt(share * (1 - share) / count) + 5e-4)
