"""Models judged by draws that they were not fitted to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import _validate as check
from .._pixels import require_memory
from ..measures import Array, Dense
from .distances import information
from .fits import fit_one, log_values, names_of
from .models import MODELS

if TYPE_CHECKING:
    from ..result import ERF

DISTRIBUTIONS = tuple(name for name, model in MODELS.items() if model.distribution)
FEWER = "fewer draws, or a smaller window=, need less"


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """How likely draws are under models fitted to other draws.

    Attributes
    ----------
    models : tuple of str
    log_likelihood : float64 [models, draws]
        Of each draw, per unit of its mass, in nats: sum of ``p log q`` over its pixels, less what q sums to beyond 1 (see `Fit`), q fitted
        to the mean of the draws of the other folds. -inf where a draw has mass outside a model; NaN for draws that are zero.
    difference : float64 [models]
        Mean over draws of the log-likelihood less the Gaussian's.
    stderr : float64 [models]
        Standard error of `difference`: the standard deviation over draws, over the root of their number; NaN where a difference is
        infinite. Folds share most of what they are fitted to, which this leaves out.
    """

    models: tuple[str, ...]
    log_likelihood: NDArray[np.float64]
    difference: NDArray[np.float64]
    stderr: NDArray[np.float64]

    @property
    def best(self) -> str:
        """The model under which the draws are likeliest."""
        return self.models[int(np.argmax(np.nan_to_num(self.difference, nan=-np.inf, neginf=-np.inf)))]


def cross_validated(erf: ERF, models: Sequence[str] = DISTRIBUTIONS, *, folds: int = 5) -> CrossValidation:
    """Models fitted to the mean of some draws and judged by the others.

    Parameters
    ----------
    erf : ERF
        That holds its draws, as those of ``simulate(..., keep_draws=True)``. Each is brought to unit mass first: the typical draw counts,
        not the largest. Draws that are zero everywhere are left out.
    models : sequence of str
        Distributions among the models of `ERF.fit`, that is, all but "edgeworth". Default: all of these.
    folds : int
        Parts that the draws are shared out to: the i-th draw that is not zero goes to part ``i % folds``. At least 2, at most one a draw.

    Returns
    -------
    CrossValidation

    Raises
    ------
    ValueError
        Where the ERF holds no draws, `folds` is out of range or a model is no distribution.
    MemoryError
        Before allocating, where the draws do not fit.
    """
    names = names_of(models)
    for name in names:
        if name not in DISTRIBUTIONS:
            raise ValueError(f"models must be distributions to have a likelihood, which {name!r} is not")
    draws, alive = _shares(erf)
    folds = check.integer(folds, "folds", least=2)
    if folds > len(draws):
        raise ValueError(f"folds must be at most the number of draws that are not zero, {len(draws)}, got {folds}")
    compared = list(dict.fromkeys(["gaussian", *names]))
    found = np.full((len(compared), len(alive)), np.nan)
    fold_of = np.arange(len(draws)) % folds
    for fold in range(folds):
        others = Dense(draws[fold_of != fold].mean(axis=0))
        for row, name in zip(found, compared, strict=True):
            row[np.flatnonzero(alive)[fold_of == fold]] = _likelihoods(others, name, draws[fold_of == fold])
    differences = found[:, alive] - found[0, alive]
    scatter = [np.std(d, ddof=1) / math.sqrt(len(d)) if np.isfinite(d).all() else math.nan for d in differences]
    asked = [compared.index(name) for name in names]
    return CrossValidation(tuple(names), found[asked], differences.mean(axis=1)[asked], np.array(scatter)[asked])


def _shares(erf: ERF) -> tuple[Array, NDArray[np.bool_]]:
    """The draws that are not zero, [draws, *shape], each of unit mass; and which those are."""
    if not erf._pixels.has_draws:
        raise ValueError(f"erf must hold its draws, as with keep_draws=True, got one image ({erf.draws} draws)")
    alive = np.array([weights.peak > 0 for weights in erf._mass])
    # the draws, and of a fold and of the others one copy
    require_memory(2 * 8 * erf.held * math.prod(erf.shape), f"the mass of {erf.held} draws", FEWER)
    power = erf._mass[0].power
    shares = [Dense(image, power) for image, used in zip(erf.image, alive, strict=True) if used]
    return np.array([draw.weigh(draw.values) / draw.total for draw in shares]).reshape(-1, *erf.shape), alive


def _likelihoods(others: Dense, name: str, draws: Array) -> list[float]:
    """Log-likelihood of each draw under one model fitted to the mean of the others."""
    parameters = fit_one(others, name, (0,) * draws[0].ndim).parameters
    log_q = log_values(name, parameters, draws[0].shape)
    beyond = max(0.0, float(np.exp(log_q).sum()) - 1)
    return [information(p, log_q, distribution=True).likelihood - beyond if not np.isnan(log_q).any() else math.nan for p in draws]
