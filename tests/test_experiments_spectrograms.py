"""The experiment on spectrograms: its claims, its figures, the sound, and what it says of taps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from erffast.experiments import Findings, Run, spectrograms
from erffast.experiments._sound import BANDS, FRAMES, RATE, mel_filters, spectrogram


@pytest.fixture(scope="module")
def found(quick_run: Run) -> Findings:
    return spectrograms.find(quick_run)


def test_what_is_claimed_holds(found: Findings) -> None:
    assert [claim.name for claim in found.claims if not claim.holds] == []
    assert sum(claim.theory is not None for claim in found.claims) == 16 + 9 + 11 + 10


def test_the_figures_are_drawn(found: Findings) -> None:
    figures = spectrograms.draw(found)
    assert list(figures) == ["spectrograms", "spectrograms_outside", "spectrograms_depth"]
    assert [len(figure.axes) for figure in figures.values()] == [1, 8, 3]
    for figure in figures.values():
        figure.canvas.draw()


def test_the_spectrogram() -> None:
    image = spectrogram()
    assert image.shape == (BANDS, FRAMES)
    assert np.isfinite(image).all()
    assert abs(image.mean()) < 1e-12
    assert abs(image.std() - 1) < 1e-12
    assert np.array_equal(image, spectrogram())
    assert image[:, 42].min() > image[:, 55].max() - 4  # a click is loud in all bands


def test_mel_filters() -> None:
    filters = mel_filters(BANDS, 513)
    assert filters.shape == (BANDS, 513)
    assert (filters >= 0).all()
    assert filters.sum(axis=1) == pytest.approx(1)
    centres = filters @ np.linspace(0, RATE / 2, 513)
    assert (np.diff(centres) >= 0).all()
    mel = 2595 * np.log10(1 + centres / 700)
    step = 2595 * np.log10(1 + RATE / 1400) / (BANDS + 1)
    assert mel[40:] == pytest.approx(step * np.arange(41, BANDS + 1), abs=0.3 * step)  # below, a bin is wider than a triangle


def test_outside_taps_and_the_ring_are_what_they_are_called() -> None:
    line = np.array(spectrograms.OUTER)
    assert (line.argmin(), line.min(), line.sum()) == (4, 0.0, 60.0)
    assert spectrograms.excess_kurtosis(np.array([1.0, 4, 6, 4, 1])) == pytest.approx(-2 / 4)  # binomial: (1 - 6 p q) / (n p q)
    ring = spectrograms.ring()
    assert ring.shape == (9, 9)
    assert np.array_equal(ring, ring[::-1])
    assert np.array_equal(ring, ring.T)
    assert ring[4, 4] < 1e-6 * ring.max()
    assert spectrograms.centre_over_peak(np.array([2.0, 1.0, 4.0])) == 0.25


@pytest.mark.parametrize("layers", [2, 8, 16, 32])
def test_the_ripple_bounds_what_low_frequencies_leave_out(layers: int) -> None:
    taps = np.array(spectrograms.OUTER) / 60
    line = np.ones(1)
    for _ in range(layers):
        line = np.convolve(line, taps)
    frequency = (np.arange(40_000) + 0.5) * (math.pi / 40_000)
    transfer = np.cos(np.multiply.outer(frequency, np.arange(-4, 5))) @ taps
    low = np.where(np.arange(len(frequency)) < np.argmax(transfer < 0), transfer**layers, 0).mean()
    left = abs(line[len(line) // 2] - low)
    assert left <= 1.001 * spectrograms.ripple(layers)
    assert left >= 0.999 * spectrograms.ripple(layers)  # all layers even: nothing cancels


@pytest.mark.parametrize("layers", [1, 4, 16])
def test_a_step_detector_among_smoothing_layers(layers: int) -> None:
    rows, columns = np.array([-1.0, 0.0, 1.0]), np.ones(3)
    for _ in range(layers - 1):
        rows, columns = np.convolve(rows, np.ones(3)), np.convolve(columns, np.ones(3))
    exact = np.square(np.multiply.outer(rows, columns))
    image = spectrograms._trained(layers).image
    assert image / image.max() == pytest.approx(exact / exact.max(), abs=1e-13)
