"""Uniform 3-tap profiles at any depth, where exact integers would take hours: the coefficients of ``((1 + x + x^2) / 3)^n``.

Two checks that complement each other. The recurrence ``(j+1) a[j+1] = (n-j) a[j] + (2n-j+1) a[j-1]`` (differentiate the logarithm)
holds a pixel to its neighbours, every pixel relative to itself, but lets a slow drift pass. At single places the coefficient is
known: tilt the taps by ``t^a`` so that the mean lies on the place, where a sum of waves loses no digits, and take the tilt back.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .truths import LEAST_NORMAL, LONG, relative_error

PLACES = 40  # on each side of the centre
FARTHEST = 36.0  # standard deviations: exp(-36**2 / 2) is the smallest normal number
PERIOD = 14.0  # standard deviations: what folds is below exp(-14**2 / 2)


def identity_error(profile: NDArray[Any], n: int) -> float:
    """Largest relative violation of the recurrence by a profile [2 n + 1]; infinite where its length is another."""
    if profile.shape != (2 * n + 1,):
        return math.inf
    return max(_one_half(profile, n), _one_half(profile[::-1], n))


def _one_half(profile: NDArray[Any], n: int) -> float:
    a, j = profile[: n + 1].astype(LONG), np.arange(1, n)
    wanted = ((n - j) * a[1:-1] + (2 * n - j + 1) * a[:-2]) / (j + 1)
    shown = a[:-2] > LEAST_NORMAL
    return float(np.abs(a[2:][shown] / wanted[shown] - 1).max(initial=0))


def places_error(profile: NDArray[Any], n: int) -> float:
    """Largest relative error of a profile [2 n + 1] at some places from the centre to where doubles end."""
    if profile.shape != (2 * n + 1,):
        return math.inf
    away = np.unique(np.linspace(0, min(n - 1, FARTHEST * math.sqrt(n * 2 / 3)), PLACES).astype(np.int64))
    places = np.concatenate([n - away, n + away])
    right = np.array([trinomial_at(n, int(place)) for place in places])
    return relative_error(profile[places], right)


def trinomial_at(n: int, place: int) -> float:
    """Coefficient `place` of ``((1 + x + x^2) / 3)^n``, 0 < place < 2 n, in long double; 0 below the smallest double."""
    mean = LONG(place) / n
    t = (mean - 1 + np.sqrt((1 - mean) ** 2 + 4 * mean * (2 - mean))) / (2 * (2 - mean))  # (t + 2 t^2) / (1 + t + t^2) = mean
    total = 1 + t + t * t
    taps = np.array([1, t, t * t]) / total
    period = math.ceil(PERIOD * math.sqrt(n * float((taps * (np.arange(3) - mean) ** 2).sum()))) + 1
    angles = 2 * LONG(np.pi) * np.arange(period) / period
    angles = np.where(angles > np.pi, angles - 2 * LONG(np.pi), angles)
    response = sum(tap * np.exp(1j * angles * (a - mean)) for a, tap in enumerate(taps))
    tilted = np.real(np.exp(n * np.log(response))).sum() / period
    return float(tilted * np.exp(n * np.log(total / 3) - place * np.log(t)))
