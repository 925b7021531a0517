"""The one door to SciPy's optimiser for smooth functions with derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from ..measures import Array

Objective: TypeAlias = Callable[[Array], tuple[float, Array]]


def least(objective: Objective, start: Array, limits: Sequence[tuple[float, float]]) -> tuple[float, Array]:
    """The least value found from a start, never above that of the start, and where it is, within limits for each parameter.

    BFGS: its few small products wake no threads, where L-BFGS-B spends ten times the function's own time in waking them. Beyond a
    limit the function goes on as a constant.
    """
    from scipy.optimize import minimize

    low, high = np.array(limits).T

    def limited(values: Array) -> tuple[float, Array]:
        value, gradient = objective(np.clip(values, low, high))
        return value, np.where((low < values) & (values < high), gradient, 0.0)

    found = minimize(limited, start, jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 300})
    return float(found.fun), np.clip(found.x, low, high)
