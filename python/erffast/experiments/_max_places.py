"""Where the largest of 3x3 values of a normal field lies: what a max-pool does to smooth inputs."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
EVALUATIONS = 10_000  # of an integral over eight variables; the shares are right to some 2e-4


@cache
def outer_share(kind: str, correlation: float) -> float:
    """Probability that the largest of 3x3 values of a normal field lies in an outer column: the variance of its column, px^2.

    The field's correlation is r^(distance^2), "smooth", or r^(|rows| + |columns|), "rough", with r that of neighbours. By symmetry a
    corner, an edge and the middle stand for all nine; each is largest where eight differences are negative (integrals as in Genz 1992,
    which are scaled to add up to 1).
    """
    from scipy.stats import multivariate_normal

    at = np.array([(i, j) for i in range(3) for j in range(3)], dtype=np.float64)
    apart = np.abs(at[:, None] - at[None])
    covariance = np.power(correlation, np.square(apart).sum(axis=-1) if kind == "smooth" else apart.sum(axis=-1))
    chances = []
    for place in (0, 1, 4):
        differences = np.delete(np.eye(9), place, axis=0) - np.eye(9)[place]
        among = differences @ covariance @ differences.T
        law = multivariate_normal(np.zeros(8), among, allow_singular=True, maxpts=EVALUATIONS, seed=0)
        chances.append(float(law.cdf(np.zeros(8))))
    corner, edge, middle = chances
    return (4 * corner + 2 * edge) / (4 * corner + 4 * edge + middle)


def normal_windows(kind: str, correlation: float, count: int, seed: int) -> Array:
    """3x3 windows of a normal field, [count, 1, 3, 3]; kinds as in `outer_share`: products of one correlation per axis."""
    at = np.arange(3)
    apart = np.abs(at[:, None] - at[None]).astype(np.float64)
    values, vectors = np.linalg.eigh(np.power(correlation, apart**2 if kind == "smooth" else apart))
    root = vectors * np.sqrt(np.maximum(values, 0))
    white = np.random.default_rng(seed).standard_normal((count, 1, 3, 3))
    return np.asarray(root @ white @ root.T)
