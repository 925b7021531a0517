"""Which function is an effective receptive field? Six others fitted beside the Gaussian.

The paper's critics: "They could fit different 2D-functions, including 2D-Gaussian, and show that 2D-Gaussian gives the best fit." Here they
are fitted: to exact images, which have no noise, by Kullback-Leibler divergence and total variation; to draws by their likelihood, each
model fitted to some draws and judged by the others.

What theory says of the exact images. The third cumulant of n uniform layers of three taps is zero and the excess kurtosis -3 / 2n per
axis, and to leading order the divergence from the Gaussian is the kurtosis squared over 48 per axis (Edgeworth), so 3 / 32 n^2 in two.
A box of width w convolved with a Gaussian has the fourth cumulant -w^4 / 120, n layers have -2 n / 3: with w = (80 n)^(1/4) they agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..fitting import CrossValidation, Fit, cross_validated
from ..frontends.text import parse
from ..propagation import variance
from ..result import ERF
from ._findings import Claim, Findings, Grid
from ._run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Functions: is it the Gaussian that fits best?"
MODELS = ("gaussian", "generalised gaussian", "box gaussian", "student-t", "raised cosine", "laplace")
DILATED = "conv3 * 12, conv3:d2, conv3:d4, conv3:d8"
NETWORKS = {
    "5 layers": "conv3 * 5",
    "20 layers": "conv3 * 20",
    "80 layers": "conv3 * 80",
    "2 layers of 9x9": "conv9 * 2",
    "12 layers, then dilations 2, 4, 8": DILATED,
    "5 layers of stride 2": "conv3/2 * 5",
}
DRAWN = {
    "20 layers": "(conv3, relu) * 20",
    "12 layers, then dilations 2, 4, 8": "(conv3, relu) * 12, conv3:d2, relu, conv3:d4, relu, conv3:d8",
}
CHANNELS = 32

Array = NDArray[np.float64]


def find(run: Run) -> Findings:
    """Fits to exact images, and to draws of ReLU networks that the models have not seen."""
    exact = {name: variance(parse(text), window="full") for name, text in NETWORKS.items()}
    fits = {name: dict(zip(MODELS, erf.fit(MODELS), strict=True)) for name, erf in exact.items()}
    draws = run.either(100, 40)
    judged = {
        name: cross_validated(run.simulate(parse(text), draws=draws, channels=CHANNELS, keep_draws=True), MODELS)
        for name, text in DRAWN.items()
    }
    claims = [*_exact(fits), *_best(fits), *_likelihoods(fits, judged)]
    return Findings(claims, _words(fits, judged), {"exact": exact, "fits": fits}, [_divergences(fits), _differences(judged, draws)])


# ------------------------------------------------------------------------------------------------ claims


def _exact(fits: dict[str, dict[str, Fit]]) -> list[Claim]:
    """Theory's divergence of the Gaussian, and its box."""
    claims = []
    for n in (20, 80):
        wanted = 3 / 32 / n**2
        why = "kurtosis squared / 48 per axis; margin: 3 / n of it, the next order"
        claims.append(
            Claim(
                f"{n} layers: divergence of the Gaussian, nats",
                fits[f"{n} layers"]["gaussian"].kl,
                theory=wanted,
                margin=3 / n * wanted,
                because=why,
            )
        )
    for n in (20, 80):
        wanted = (80 * n) ** 0.25
        width = float(np.mean(fits[f"{n} layers"]["box gaussian"].parameters["width"]))
        why = "equal fourth cumulants, (80 n)^(1/4); margin: 1 / sqrt n of it, for the sixth"
        claims.append(Claim(f"{n} layers: width of the box, px", width, theory=wanted, margin=wanted / n**0.5, because=why))
    return claims


def _best(fits: dict[str, dict[str, Fit]]) -> list[Claim]:
    """Which models lie farther than the Gaussian from plain stacks, and which nearer to the dilated one."""
    claims = []
    for name in ("20 layers", "80 layers"):
        gaussian = fits[name]["gaussian"]
        for model in ("laplace", "raised cosine"):
            why = "that of the Gaussian: what falls slower or ends is farther"
            claim = Claim(
                f"{name}: total variation of the {model}",
                fits[name][model].total_variation,
                theory=gaussian.total_variation,
                relation=">",
                because=why,
            )
            claims.append(claim)
        degrees = float(fits[name]["student-t"].parameters["degrees"])
        claims.append(
            Claim(
                f"{name}: 1 / degrees of freedom of Student's t",
                1 / degrees,
                theory=0.0,
                because="tails lighter than a Gaussian's: its limit is best",
            )
        )
    name = "12 layers, then dilations 2, 4, 8"
    ratio = fits[name]["box gaussian"].kl / fits[name]["gaussian"].kl
    claims.append(
        Claim(
            f"{name}: divergence of the box Gaussian, of the Gaussian's",
            ratio,
            theory=0.1,
            relation="<",
            because="a flat top is no Gaussian: a tenth at most",
        )
    )
    return claims


def _likelihoods(fits: dict[str, dict[str, Fit]], judged: dict[str, CrossValidation]) -> list[Claim]:
    """A draw's log-likelihood is linear in its mass: its mean is that of E g^2, known exactly."""
    margin = 2e-3  # models fitted to 4/5 of the draws lie off the exact ones: a second order of their parameters' errors
    why = "difference of the exact image's divergences; margin: fits to finite draws"
    claims = []
    for name, found in judged.items():
        for model, difference, error in zip(found.models, found.difference, found.stderr, strict=True):
            wanted = fits[name]["gaussian"].kl - fits[name][model].kl
            if np.isfinite(wanted) and abs(wanted) > margin:  # what is less no number of draws here can tell
                label = f"{name}, ReLU: log-likelihood of the {model} over the Gaussian, nats"
                claims.append(Claim(label, difference, error, theory=wanted, margin=margin, because=why))
    return claims


# ------------------------------------------------------------------------------------------------ tables and words


def _divergences(fits: dict[str, dict[str, Fit]]) -> Grid:
    rows = []
    for name, some in fits.items():
        best = min(some.values(), key=lambda fit: float(fit.kl)).model
        rows.append((name, *(_pair(fit, bold=model == best) for model, fit in some.items())))
    return Grid("Exact images: divergence in nats (total variation); the least is bold", ("network", *MODELS), rows)


def _pair(fit: Fit, *, bold: bool) -> str:
    kl = "∞" if np.isinf(fit.kl) else f"{float(fit.kl):.1e}".replace("e-0", "e-")
    text = f"{kl} ({float(fit.total_variation):.3f})"
    return f"**{text}**" if bold else text


def _differences(judged: dict[str, CrossValidation], draws: int) -> Grid:
    rows = [
        (name, *(_signed(d, e) for d, e in zip(found.difference, found.stderr, strict=True)), _likeliest(found))
        for name, found in judged.items()
    ]
    title = f"ReLU, {CHANNELS} channels, {draws} draws: log-likelihood of unseen draws less the Gaussian's, nats"
    return Grid(title, ("network", *MODELS, "likeliest"), rows)


def _likeliest(found: CrossValidation) -> str:
    """The best model where it is told apart from the Gaussian, by four standard errors."""
    best = found.models.index(found.best)
    told = found.difference[best] > 4 * found.stderr[best]
    return found.best if told else "gaussian, as far as can be told"


def _signed(value: float, error: float) -> str:
    if not np.isfinite(value):
        return "-∞"
    return "0" if value == 0 else f"{value:+.4f} ± {error:.4f}"


def _words(fits: dict[str, dict[str, Fit]], judged: dict[str, CrossValidation]) -> str:
    plain, dilated = fits["20 layers"], fits["12 layers, then dilations 2, 4, 8"]
    shape = float(plain["generalised gaussian"].parameters["shape"])
    apart = {model: plain[model].total_variation / plain["gaussian"].total_variation for model in ("laplace", "raised cosine")}
    likeliest = "; ".join(f"{name}: {_likeliest(some)}" for name, some in judged.items())
    return f"""**For plain stacks the Gaussian it is.** At 20 layers its total variation from the exact image is
{plain["gaussian"].total_variation:.4f}, its divergence {plain["gaussian"].kl:.1e} nats; the Laplace density and the raised cosine are
{apart["laplace"]:.0f} and {apart["raised cosine"]:.0f} times as far. Student's t finds no heavy tail and returns to the Gaussian; the
generalised Gaussian's exponent is {shape:.2f}, where 2 is the Gaussian. The box convolved with a Gaussian comes nearer still, as it must: a
stack is a sum of boxes, and this model keeps one of them.

**Where few wide boxes rule the sum it is not.** With dilations of 2, 4 and 8 the top is flat: the box Gaussian
({dilated["box gaussian"].kl:.1e} nats) is {dilated["gaussian"].kl / dilated["box gaussian"].kl:.0f} times nearer than the Gaussian
({dilated["gaussian"].kl:.1e}). Two layers of 9x9 are a triangle, which the raised cosine draws best. Strides leave a comb that no smooth
function is.

**Draws.** Likelihoods of draws that the models were not fitted to differ from the Gaussian's by what the exact images say. Likeliest are:
{likeliest}. The raised cosine has no likelihood: draws reach beyond it."""


# ------------------------------------------------------------------------------------------------ figures


def draw(found: Findings) -> dict[str, Figure]:
    """Profiles beside the models, and how far each is."""
    from . import _figures

    figure, axes = _figures.panels(3, width=3.5, height=3.0)
    exact, fits = found.shown["exact"], found.shown["fits"]
    for ax, name in zip(axes, ("20 layers", "12 layers, then dilations 2, 4, 8"), strict=False):
        _profile(ax, exact[name], fits[name])
        _figures.head(ax, name, x="pixels from the centre", y="mass along the centre's row, ‰ a pixel")
    _figures.legend(axes[0], loc="upper right", fontsize=6.5)
    _distances(axes[2], fits)
    _figures.head(axes[2], "Distance of each model", x="total variation, 0 to 1")
    return {"functions": figure}


def _profile(ax: Axes, erf: ERF, fits: dict[str, Fit]) -> None:
    """The row through the centre, and every model's."""
    from ..plotting import _style
    from ._figures import COLORS

    middle = erf.shape[0] // 2
    x = np.arange(erf.shape[1]) - middle
    near = np.abs(x) <= 3.5 * erf.std()[1]
    share = erf.image[middle] / erf.image.sum()
    ax.plot(x[near], 1000 * share[near], "o", color=_style.INK, markersize=3, label="exact", zorder=3)
    for color, (model, fit) in zip(COLORS, fits.items(), strict=False):
        dashes = (0, (3, 3)) if model == "student-t" else "-"  # lies on the Gaussian
        ax.plot(x[near], 1000 * fit.image_on(erf)[middle][near], color=color, linewidth=1.2, linestyle=dashes, label=model)
    ax.set_ylim(0)


def _distances(ax: Axes, fits: dict[str, dict[str, Fit]]) -> None:
    """A line of points for each model, a colour for each network."""
    from ..plotting import _style
    from ._figures import COLORS, legend

    rows = range(len(MODELS), 0, -1)
    for color, (name, some) in zip(COLORS, fits.items(), strict=False):
        ax.plot([float(fit.total_variation) for fit in some.values()], rows, "o", color=color, markersize=5, label=name)
    ax.set_xscale("log")
    ax.set_xlim(1e-4, 1)
    ax.set_yticks(rows, [model.replace(" ", "\n") for model in MODELS], fontsize=_style.SMALL - 2)
    ax.grid(axis="y", color=_style.NOTHING, linewidth=0.6)
    ax.set_axisbelow(True)
    legend(ax, fontsize=6, loc="lower left")
