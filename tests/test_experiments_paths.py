"""The experiment on dropout and skip connections: its claims, its figures, and its images in theory."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import signal

import erffast as ef
from erffast import analytic
from erffast.experiments import Findings, Run, _statistics, paths
from erffast.experiments import _path_theory as theory
from erffast.mean_field import branch_mixture

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def found(quick_run: Run) -> Findings:
    return paths.find(quick_run)


def test_every_claim_holds(found: Findings) -> None:
    assert [claim.name for claim in found.claims if not claim.holds] == []
    assert len({claim.name for claim in found.claims}) == len(found.claims) > 35


def test_segmentation_network_has_the_field_of_the_paper() -> None:
    for kind in paths.STAGED:
        where = ef.receptive_field(ef.parse(paths.staged_text(kind)))
        assert (where.size, where.jump) == ((505, 505), (16, 16))


def test_words_and_tables_hold_the_numbers_found(found: Findings) -> None:
    assert "leaves shape and size alone, as the paper says" in found.words
    assert "shrink the field, as the paper says" in found.words
    assert [len(table.rows) for table in found.tables] == [len(paths.RATES), 6]
    assert all(len(row) == len(table.header) for table in found.tables for row in table.rows)


def test_figures_are_drawn(found: Findings) -> None:
    figures = paths.draw(found)
    assert {name: len(figure.axes) for name, figure in figures.items()} == {"dropout": 8, "skips": 3, "segmentation": 2}
    for figure in figures.values():
        figure.canvas.draw()


@pytest.mark.parametrize("ndim", [1, 2])
def test_mixture_is_the_power_of_the_blocks_kernel(ndim: int) -> None:
    """(delta + alpha u * u) / (1 + alpha), convolved with itself block by block."""
    alpha, blocks = 0.5, 5
    tent = np.array([1, 2, 3, 2, 1]) / 9
    branch = tent if ndim == 1 else np.multiply.outer(tent, tent)
    kernel = alpha * branch
    kernel[(2,) * ndim] += 1
    wanted = np.ones((1,) * ndim)
    for _ in range(blocks):
        wanted = signal.convolve(wanted, kernel / (1 + alpha), method="direct")
    image = theory.mixture(branch_mixture([alpha] * blocks), ndim)
    assert image == pytest.approx(wanted, abs=1e-15)
    at = np.arange(image.shape[0]) - image.shape[0] // 2
    along = image if ndim == 1 else image.sum(axis=0)
    wide = analytic.residual_variance(blocks, branch_variance=theory.BRANCH, branch_gain=alpha)
    assert float(along @ at**2) == pytest.approx(wide, rel=1e-12)
    assert theory.variance_of(branch_mixture([alpha] * blocks)) == pytest.approx(wide, rel=1e-12)


def test_staged_image_of_plain_stages_is_that_of_a_chain() -> None:
    """With every branch taken the stages are a chain, which variance() knows."""
    stages = [np.eye(n + 1)[n] for n in (1, 2)]
    exact = ef.variance(ef.parse("conv3, conv3/2, conv3 * 2, conv3/2, conv3 * 4"), window="full")
    wanted = np.asarray(exact)
    image = theory.staged_image(stages)
    assert image.shape == wanted.shape
    assert image / image.sum() == pytest.approx(wanted / wanted.sum(), abs=1e-12 * wanted.max() / wanted.sum())
    assert math.sqrt(theory.staged_variance(stages)) == pytest.approx(exact.std()[0], rel=1e-12)
    assert theory.pictured(image).level_size() == exact.level_size()


def test_staged_image_has_the_staged_variance() -> None:
    for kind in paths.STAGED:
        shares = theory.stage_shares(kind)
        image = theory.staged_image(shares)
        assert image.shape == (505, 505)
        at = np.arange(505) - 252
        assert float(image.sum(axis=0) @ at**2) / image.sum() == pytest.approx(theory.staged_variance(shares), rel=1e-9)


def test_masses_are_the_sums_of_the_draws(found: Findings) -> None:
    draws = found.shown["dropped"][0.0]
    assert _statistics.masses(draws) == pytest.approx(np.asarray(draws).sum(axis=(1, 2)), rel=1e-14)
