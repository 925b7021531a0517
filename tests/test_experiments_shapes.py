"""The experiment on shapes: claims whose errors are not normal, at other seeds and where theory would be wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

import erffast as ef
from erffast.experiments import shapes

NET = "(conv3, relu) * 5"


@pytest.mark.parametrize("seed", range(3, 9))
def test_the_farthest_pixel_is_near_at_other_seeds(seed: int) -> None:
    """Unfolded, two of these six sets of draws are beyond the limit that one in 1000 should pass."""
    draws = ef.simulate(ef.parse(NET), draws=8_000, seed=seed, keep_draws=True)
    assert shapes._farthest_pixel(draws, ef.variance(ef.parse(NET))).holds


def test_the_farthest_pixel_tells_another_shape() -> None:
    draws = ef.simulate(ef.parse(NET), draws=8_000, keep_draws=True)
    other = ef.variance(ef.Stack([*[ef.Conv(3)] * 4, ef.Conv(3, tap_variance=np.outer([1, 8, 1], [1, 8, 1]))]))
    assert not shapes._farthest_pixel(draws, other).holds


def test_a_level_size_is_right_to_a_pixel() -> None:
    plain = ef.variance(ef.parse("conv3 * 5"))
    pixels = round(plain.level_size() ** 2)
    found = [shapes._level(math.sqrt(pixels + off), 0.0, plain, "").holds for off in (-2, -1, 0, 1, 2)]
    assert found == [False, True, True, True, False]
    assert np.isclose(plain.level_size() ** 2, pixels)
