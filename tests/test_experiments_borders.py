"""The experiment on units at the border: its claims, its figures, and the counting of walks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from erffast.experiments import Findings, Run, borders


@pytest.fixture(scope="module")
def found(quick_run: Run) -> Findings:
    return borders.find(quick_run)


def test_what_is_claimed_holds(found: Findings) -> None:
    assert [claim.name for claim in found.claims if not claim.holds] == []
    assert sum(claim.theory is not None for claim in found.claims) == 12 + 9 + 6


def test_the_figures_are_drawn(found: Findings) -> None:
    figures = borders.draw(found)
    assert list(figures) == ["borders", "border_profiles"]
    assert [len(figure.axes) for figure in figures.values()] == [15, 3]
    for figure in figures.values():
        figure.canvas.draw()


@pytest.mark.parametrize("side", [1, 2, 5, 8])
def test_walks_are_those_that_never_leave(side: int) -> None:
    """Against the recursion itself, in exact fractions: three ways from every place, and what is outside is gone."""
    for start in range(side):
        places = [Fraction(int(at == start)) for at in range(side)]
        for steps in range(13):
            assert borders.walk(start, steps, side).tolist() == [float(place) for place in places]
            framed = [Fraction(0), *places, Fraction(0)]
            places = [sum(framed[at : at + 3], Fraction(0)) / 3 for at in range(side)]


@pytest.mark.parametrize("side", [2, 7, 32])
def test_half_a_sine_wave_is_the_slowest_mode(side: int) -> None:
    step = sum(np.eye(side, k=k) for k in (-1, 0, 1)) / 3
    assert step @ borders.sine(side) == pytest.approx(borders.decay(side) * borders.sine(side), abs=1e-14)
    assert np.linalg.eigvalsh(step).max() == pytest.approx(borders.decay(side), abs=1e-14)
    late = borders.walk(0, 40 * side * side, side) if side < 10 else borders.walk(side // 2, 2000, side)
    assert late / late.sum() == pytest.approx(borders.sine(side) / borders.sine(side).sum(), abs=1e-9)


def test_mean_and_std_of_a_place() -> None:
    mean, std = borders.mean_and_std(np.array([1.0, 0.0, 0.0, 3.0]))
    assert (mean, std) == pytest.approx((9 / 4, 3 * np.sqrt(3) / 4))
