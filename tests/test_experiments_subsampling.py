"""The experiment on sub-sampling and dilation: its claims, its figures, and its measures of shape against known shapes."""

from __future__ import annotations

import numpy as np
import pytest

import erffast as ef
from erffast import analytic
from erffast.experiments import Findings, Run, subsampling

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def found(quick_run: Run) -> Findings:
    return subsampling.find(quick_run)


def test_every_claim_holds(found: Findings) -> None:
    assert [claim.name for claim in found.claims if not claim.holds] == []
    assert len({claim.name for claim in found.claims}) == len(found.claims) > 25


def test_networks_have_the_fields_of_the_paper() -> None:
    fields = {name: ef.receptive_field(ef.parse(text)).size[0] for name, text in subsampling.NETWORKS.items()}
    assert fields["dense"] == 31
    assert fields["dilated"] == 53
    assert all(len(ef.parse(text)) == 15 for text in subsampling.NETWORKS.values())


def test_words_and_tables_hold_the_numbers_found(found: Findings) -> None:
    assert "**Both are larger, as the paper says**" in found.words
    assert "TRF 207" in found.words
    assert [len(table.rows) for table in found.tables] == [5, len(subsampling.ROUNDS), 4]
    assert all(len(row) == len(table.header) for table in found.tables for row in table.rows)


def test_figures_are_drawn(found: Findings) -> None:
    figures = subsampling.draw(found)
    assert list(figures) == ["subsampling", "dilation", "comb"]
    assert [len(figure.axes) for figure in figures.values()] == [10, 3, 4]
    for figure in figures.values():
        figure.canvas.draw()


def test_combs_are_the_published_ones(found: Findings) -> None:
    """Three digits each, found by another program."""
    combs = {name: subsampling.comb(erf) for name, erf in found.shown["combs"].items()}
    assert list(combs.values()) == pytest.approx([0.205, 0.998, 0.836, 1.0], abs=1e-3)


def test_dilated_profile_is_as_flat_as_known(found: Findings) -> None:
    dilated = found.shown["exact"]["dilated"]
    assert subsampling.kurtosis(dilated) == pytest.approx(-0.71, abs=5e-3)
    assert subsampling.flatness(dilated) == pytest.approx(0.18, abs=5e-3)


@pytest.mark.parametrize("power", [1, 2, 4, 8])
def test_squareness_of_a_power_law(power: int) -> None:
    """exp(-|x|^p) has the level lines |x|^p + |y|^p = constant: a diamond, a circle, and ever more of a square."""
    x = np.arange(-4000, 4001) / 2000
    profile = np.exp(-(np.abs(x) ** power))
    assert subsampling.squareness(profile, 0.2) == pytest.approx(2 ** (0.5 - 1 / power), rel=1e-6)


@pytest.mark.parametrize("k", [-0.1, -0.05, 0.05])
def test_edgeworth_squareness_is_the_first_order(k: float) -> None:
    """Of a normal density with k / 24 of the fourth Hermite polynomial; what is left out is of the order of k^2."""
    x = np.arange(-4000, 4001) / 1000
    profile = analytic.edgeworth(x, std=1.0, excess_kurtosis=k)
    assert abs(subsampling.squareness(profile) - subsampling.edgeworth_squareness(k)) < k**2
    assert (subsampling.squareness(profile) > 1) == (k < 0)


@pytest.mark.parametrize(("text", "wanted"), [("conv2 * 3", 1.0), ("conv2:d3, conv2", 0.0), ("conv3:d2, conv3", 0.5)])
def test_comb_is_the_centre_over_the_largest_pixel(text: str, wanted: float) -> None:
    """Profiles 1 3 3 1, 1 1 0 1 1 and 1 1 2 1 2 1 1."""
    assert subsampling.comb(ef.variance(ef.parse(text))) == pytest.approx(wanted, abs=1e-12)
