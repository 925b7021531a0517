"""Is an effective receptive field Gaussian, and what do random weights and nonlinearities change?

The paper shows fields of 3x3 networks with uniform weights, random weights, and random weights with ReLU, 5 to 40 layers deep, means of
20 draws; and of 20 layers with ReLU, tanh and sigmoid, means of 100. One channel, as in its theory. What its eyes judged is measured
here: distances to the best Gaussian, sizes with error bars, and for ReLU the theorem that the mean of g^2 has the linear network's shape
exactly, at one channel already.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from .. import analytic
from ..frontends.text import parse
from ..propagation import variance
from ..result import ERF
from ._findings import Claim, Findings, Grid
from ._run import Run
from ._statistics import bootstrap, folded, mean_of, spread, total

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Shapes: uniform, random and nonlinear networks"
DEPTHS = (5, 10, 20, 40)
TRINOMIALS = {5: 51, 10: 8953, 20: 377379369, 40: 934837217271732457}  # central coefficients of (1 + z + z^2)^n, OEIS A002426
ACTIVATIONS = ("relu", "tanh", "sigmoid")
WIDE = 32  # channels


def find(run: Run) -> Findings:
    """The three rows of networks, the three activations, and the theorem."""
    uniform = {n: variance(parse(f"conv3 * {n}")) for n in DEPTHS}
    random = {n: _drawn(run, f"conv3 * {n}", 20) for n in DEPTHS}
    relu = {n: _drawn(run, f"(conv3, relu) * {n}", 20) for n in DEPTHS}
    activations = {name: _drawn(run, f"(conv3, {name}) * 20", 100) for name in ("identity", *ACTIVATIONS)}
    wide = {name: _drawn(run, f"(conv3, {name}) * 20", 100, channels=WIDE) for name in ("identity", *ACTIVATIONS)}
    many, theorem = _theorem(run)
    typical = {"random": random, "random + ReLU": relu, "20 layers": activations}
    claims = [*_uniform(uniform), *theorem, *_wide(wide), _typical(many)]
    shown = {"uniform": uniform, "random": random, "relu": relu, "activations": activations, "wide": wide}
    return Findings(claims, _words(claims, relu, activations), shown, [_gaussian_table(uniform, typical, wide)])


def _drawn(run: Run, text: str, draws: int, channels: int = 1) -> ERF:
    return run.simulate(parse(text), draws=draws, channels=channels, keep_draws=True)


# ------------------------------------------------------------------------------------------------ claims


def _uniform(uniform: dict[int, ERF]) -> list[Claim]:
    """Exact images against exact integers, and their distance to the Gaussian against Edgeworth's."""
    claims = []
    for n, erf in uniform.items():
        peak = float(erf.image.max() / erf.image.sum())
        exact = (TRINOMIALS[n] / 3**n) ** 2
        claims.append(
            Claim(
                f"uniform, {n} layers: share of the centre pixel",
                peak,
                theory=exact,
                because="central trinomial coefficient / 3^n, squared",
            )
        )
    for n, erf in uniform.items():
        # at the centre the series gives 1 - 3/16/n per axis of the Gaussian's peak; what it leaves out is of order 1/n^2
        edgeworth = (1 - 3 / 16 / n) ** -2 - 1
        found = erf.fit()[0].max_deviation
        why = "Edgeworth, first order in 1/n; margin 0.2 / n^2"
        claims.append(
            Claim(
                f"uniform, {n} layers: largest distance to the Gaussian, of the peak",
                found,
                theory=edgeworth,
                margin=0.2 / n**2,
                because=why,
            )
        )
    return claims


def _theorem(run: Run) -> tuple[ERF, list[Claim]]:
    """One channel, five layers with ReLU: the mean of g^2 is that of the linear network but for a factor."""
    net = parse("(conv3, relu) * 5")
    many = _drawn(run, "(conv3, relu) * 5", run.either(40_000, 8_000))
    plain = variance(net)
    size, size_error = bootstrap(many, spread)
    level, level_error = bootstrap(many, ERF.level_size)
    why = "E g^2 of a ReLU chain is exactly the linear network's, any width"
    return many, [
        Claim("ReLU, 1 channel, 5 layers: std, px", size, size_error, theory=analytic.growth(3, 5), because=why),
        _level(level, level_error, plain, why),
        _total(many),
        _farthest_pixel(many, plain),
    ]


def _level(level: float, error: float, plain: ERF, why: str) -> Claim:
    """A count of pixels: where no resample moves one over the level the error is 0, and one pixel is what can be told."""
    size = plain.level_size()
    margin = size - math.sqrt(size**2 - 1)
    why = f"{why}; margin: a pixel of the {size**2:.0f}"
    return Claim("ReLU, 1 channel, 5 layers: level size, px", level, error, theory=size, margin=margin, because=why)


def _total(many: ERF) -> Claim:
    """The sum of g^2: 2 for each convolution of He's variance, 1/2 for each ReLU but the last, which is left out."""
    name, why = "ReLU, 1 channel, 5 layers: mean of the sum of g^2", "2^5 from the weights, 2^-4 from the gates"
    return Claim(name, *total(many), theory=2.0**5 / 2**4, because=why)


def _farthest_pixel(many: ERF, plain: ERF) -> Claim:
    """The pixel that is farthest from theory, in its own standard errors, of those above 5 % of the peak.

    Farther out few paths lead: the corner's g^2 is one product of squares, whose mean is ruled by draws too rare to be seen. Even near the
    centre a pixel of one channel is so skewed that its standard errors promise too much, at 8,000 draws in a quarter of all runs; the
    mean of its eight mirror images in the same draw is less so: of 500 runs of 8,000 draws one passed the limit, of 100 of 40,000 none.
    """
    theory = plain.image / plain.image.sum() * 2.0
    draws = folded(many)
    values = np.ldexp(draws.image, np.asarray(draws.exponent)[:, None, None])
    error = values.std(axis=0, ddof=1) / math.sqrt(len(values))
    near = theory > 0.05 * theory.max()
    farthest = float(np.abs((values.mean(axis=0) - theory) / error)[near].max())
    limit = float(stats.norm.isf(0.5e-3 / near.sum()))
    name = f"ReLU, 1 channel, 5 layers: farthest of the {near.sum()} pixels above 5 % of the peak, folded, standard errors"
    why = "normal deviates pass it once in 1000 runs; folded: the mean of eight mirror images"
    return Claim(name, farthest, theory=limit, relation="<", because=why)


def _wide(wide: dict[str, ERF]) -> list[Claim]:
    """32 channels, 20 layers: every activation has the linear shape in the wide limit."""
    claims = []
    for name, draws in wide.items():
        size, error = bootstrap(draws, spread)
        label = _named(name)
        why = "sqrt(2 n / 3)" if name in ("identity", "relu") else "sqrt(2 n / 3), the wide limit"
        claims.append(Claim(f"{label}, {WIDE} channels, 20 layers: std, px", size, error, theory=analytic.growth(3, 20), because=why))
    return claims


def _typical(many: ERF) -> Claim:
    size, error = bootstrap(many, spread, normalise=True)
    why = "each draw to unit mass first: draws of little mass are wider"
    return Claim(
        "ReLU, 1 channel, 5 layers: std of the typical draw, px", size, error, theory=analytic.growth(3, 5), relation=">", because=why
    )


# ------------------------------------------------------------------------------------------------ tables and words


def _gaussian_table(uniform: dict[int, ERF], typical: dict[str, Any], wide: dict[str, ERF]) -> Grid:
    """Distances to the Gaussian of the same mean and covariance."""
    rows = [_row(f"uniform, {n} layers", erf) for n, erf in uniform.items()]
    for label, some in typical.items():
        for key, draws in some.items():
            name = f"{label}, {key} layers, 1 channel" if isinstance(key, int) else f"{_named(key)}, {label}, 1 channel"
            rows.append(_row(f"{name}, mean of {draws.draws}", mean_of(draws, normalise=True), draws.dead))
    for key, draws in wide.items():
        rows.append(
            _row(
                f"{_named(key)}, 20 layers, {WIDE} channels, mean of {draws.draws}",
                mean_of(draws, normalise=True),
            )
        )
    header = ("network", "std, px", "level size, px", "total variation to the Gaussian", "largest distance, of the peak", "dead draws")
    return Grid("How Gaussian: draws of unit mass, against the Gaussian of the same mean and covariance", header, rows)


def _named(activation: str) -> str:
    return "linear" if activation == "identity" else activation


def _row(name: str, erf: ERF, dead: int = 0) -> tuple[str, ...]:
    (fit,) = erf.fit()
    return name, f"{spread(erf):.2f}", f"{erf.level_size():.1f}", f"{fit.total_variation:.3f}", f"{fit.max_deviation:.3f}", str(dead)


def _words(claims: list[Claim], relu: dict[int, ERF], activations: dict[str, ERF]) -> str:
    by_name = {claim.name: claim for claim in claims}
    theorem = by_name["ReLU, 1 channel, 5 layers: mean of the sum of g^2"]
    dead = ", ".join(f"{erf.dead} of {erf.draws} at {n} layers" for n, erf in relu.items())
    nearest = {name: mean_of(erf, normalise=True).fit()[0].total_variation for name, erf in activations.items()}
    ranked = " < ".join(f"{name} {value:.2f}" for name, value in sorted(nearest.items(), key=lambda item: item[1]))
    return f"""**Uniform weights: Gaussian, and how fast.** The image is an outer product of trinomial coefficients; its largest distance
to the Gaussian falls as 3 / 8n of the peak, 1.9 % at 20 layers. This reproduces without any doubt, since nothing is random.

**Random weights: Gaussian in the mean over draws, not in any one draw.** Theory gives E g^2, and wide networks ({WIDE} channels)
keep to it within their error bars with every activation. With the single channel of the paper's theory, 20 draws are far from a
Gaussian: see the total variation below, 0 for equal and 1 for disjoint shapes. The paper's pictures look smoother than its method
makes them with one channel.

**ReLU at one channel.** The mean of g^2 equals the linear network's exactly (for independent symmetric weights without biases);
measured total {theorem.measured:.3f} ± {theorem.stderr:.3f} of 2. What ReLU changes is the spread between draws: some are dead
({dead}; probed before the last ReLU, after which half of the rest were), and a few hold most of the mass. The paper blames these for
shapes less Gaussian; so it is, and the mean of more draws mends it.

**Smooth activations are more Gaussian-like** at one channel and 100 draws, as the paper says; total variation to the Gaussian:
{ranked}."""


# ------------------------------------------------------------------------------------------------ figures


def draw(found: Findings) -> dict[str, Figure]:
    """The paper's two figures."""
    from ._figures import maps

    shown = found.shown
    rows = [list(shown["uniform"].values())]
    rows += [[mean_of(erf, normalise=True) for erf in shown[name].values()] for name in ("random", "relu")]
    layers = maps(rows, columns=[f"{n} layers" for n in DEPTHS], names=("uniform", "random", "random + ReLU"))
    linear = variance(parse("conv3 * 20"))
    columns = ("theory", "linear", *ACTIVATIONS)
    narrow = [linear, *(mean_of(erf, normalise=True) for erf in shown["activations"].values())]
    wide = [None, *(mean_of(erf, normalise=True) for erf in shown["wide"].values())]
    return {"shapes": layers, "activations": maps([narrow, wide], columns=columns, names=("1 channel", f"{WIDE} channels"))}
