"""One network against the mean of many: which single models have a Gaussian effective receptive field, thousands of layers deep.

The paper warns that its convergence is "in distribution": of the mean over random weights, with no promise for any single model. Here
single draws of linear networks, up to 10,000 layers of distinct random kernels and 100,000 of one, are held against the limit. Their
gradients are exact to the error that `gradient` reports, which stands beside them.

Theory. *Positive weights*: the layers' kernels, each of sum 1, are steps of a random walk, so g is the distribution of a sum of
independent steps and Edgeworth's series gives its distance to a Gaussian (Feller, An Introduction to Probability Theory, volume II,
chapter XVI). The mean over draws is exactly the uniform stack, as the mean of a normalised kernel is uniform. *Signed weights*: the
spectrum of g is a product of independent transfer functions w(f), sums of three waves with normal weights. The mean of log |w(f)|^2 is
largest where w(f) is a circular complex normal number, E w(f)^2 = 0, which in 1-D is at wavelengths of 6 and 3 pixels; there it is
log 3 - gamma. So log |g|^2 loses Euler's gamma a layer against log E|g|^2, and a deep draw is a wave of one of these lengths under an
envelope. Around its frequency the zeros of n transfer functions lie some 1 / sqrt(n) apart, on the scale of the envelope's own spectrum:
that shape stays random at any depth. *Wide networks*: the gradient at a pixel of one input channel tends to a normal number, whose
square no width makes smooth.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import analytic
from ..result import ERF
from . import _single
from ._findings import Claim, Findings, Grid
from ._run import Run
from ._single import NEAR, TOL, Array, Batch, mean_error, rms_error
from ._statistics import bootstrap, first_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Single draws: which single models are Gaussian"
SAMPLE = 100  # layers of the networks that are drawn often
# By axes: how many draws of networks of so many layers.
SIGNED: dict[_single.Axes, dict[int, int]] = {1: {10: 1000, SAMPLE: 1000, 1000: 200, 10_000: 30}, 2: {10: 200, 150: 150, 1000: 6, 3000: 1}}
POSITIVE: dict[_single.Axes, dict[int, int]] = {
    1: {10: 1000, SAMPLE: 1000, 1000: 300, 10_000: 60},
    2: {10: 200, 150: 100, 1000: 6, 3000: 1},
}
MOST: dict[_single.Axes, int] = {1: 1000, 2: 150}
REPEATED = (10, 100, 1000, 10_000, 100_000)
NARROW = {1: 2000, 4: 2000, 32: 1000}  # draws by channels
FEWER = 400  # of them in a quick run: what 32 channels add to the std is then 8 standard errors


def find(run: Run) -> Findings:
    """Signed and positive draws against depth, networks of more channels, and means of more and more draws."""
    signed = [_single.signed_batch(run, *what) for what in _counts(run, SIGNED)]
    positive = [_single.positive_batch(run, *what) for what in _counts(run, POSITIVE)]
    repeated = [_single.one_kernel(run, n) for n in REPEATED]
    narrow = {c: _simulated(run, SAMPLE, c, run.either(draws, FEWER)) for c, draws in NARROW.items()}
    wide = _channels(run)
    steps = _steps(run)
    claims = [*_claims_signed(signed, narrow), *_claims_positive(run, positive, steps), *_claims_repeated(run, repeated)]
    claims += _claims_channels(run, wide)
    shown: dict[str, Any] = {"signed": signed, "positive": positive, "repeated": repeated, "wide": wide}
    shown |= {"means": _means(narrow, steps), "examples": _examples(run), "lines": _lines(run)}
    tables = [_depths_table(signed, positive), _repeated_table(repeated), _channels_table(wide, narrow)]
    return Findings(claims, _words(claims, signed, positive), shown, tables)


def _counts(run: Run, full: dict[_single.Axes, dict[int, int]]) -> list[tuple[int, _single.Axes, int]]:
    """Layers, axes and draws; a quick run takes a fifth of the draws, 80 in 1-D at least, and no networks deeper than `MOST`."""
    all_of_it = [(n, ndim, draws) for ndim, some in full.items() for n, draws in some.items()]
    return (
        [(n, ndim, max(draws // 5, 80 if ndim == 1 else 1)) for n, ndim, draws in all_of_it if n <= MOST[ndim]] if run.quick else all_of_it
    )


# ------------------------------------------------------------------------------------------------ draws


def _simulated(run: Run, n: int, channels: int, draws: int, *, inputs: int = 1) -> ERF:
    """Linear networks of several channels; the values of the input do not matter to a linear network, its channels do."""
    options: dict[str, Any] = {} if inputs == 1 else {"inputs": np.zeros((inputs, 2 * n + 1))}
    seed = run.seed + channels + inputs  # draws of their own for each network
    return run.simulate(_single.stack(n, 1), draws=draws, channels=channels, keep_draws=True, seed=seed, **options)


def _channels(run: Run) -> dict[int, tuple[Array, Array]]:
    """Ten layers, by channels: total variation of single draws to the limit, seen by one input channel and by all."""
    found = {}
    for c in (16, 32, 64, 128) if run.quick else (16, 32, 64, 128, 256):
        draws = run.either(300, 100)
        found[c] = _single.to_limit(_simulated(run, 10, c, draws), 10), _single.to_limit(_simulated(run, 10, c, draws, inputs=c), 10)
    return found


def _steps(run: Run) -> ERF:
    """Positive draws, with g as the mass."""
    return _single.as_mass(_single.draws_of(_single.weights_of(run, "positive", SAMPLE, 1, run.either(2000, 400))))


def _means(narrow: dict[int, ERF], steps: ERF) -> dict[str, list[tuple[int, float]]]:
    """Total variation to the limit of means of more and more draws."""
    some = {f"signed, {_channels_of(c)}": erf for c, erf in narrow.items()} | {"positive, 1 channel": steps}
    return {name: _single.means_to_limit(erf, SAMPLE) for name, erf in some.items()}


def _examples(run: Run) -> dict[str, list[ERF]]:
    """Single draws in two dimensions for the picture."""
    depths = (10, 50, 150) if run.quick else (10, 150, 1000, 3000)
    signed, positive = ([_single.draws_of(_single.weights_of(run, kind, n, 2, 1)) for n in depths] for kind in ("signed", "positive"))
    rows = {"signed": signed, "signed, smoothed": [_single.smoothed(erf) for erf in signed], "positive": positive}
    return {name: [first_of(erf) for erf in row] for name, row in rows.items()}


def _lines(run: Run) -> dict[str, Array]:
    """Three draws in one dimension, 1000 layers: shares [3, pixels]; of g^2 where weights are signed, of g where they are positive."""
    signed, positive = (_single.draws_of(_single.weights_of(run, kind, 1000, 1, 3)) for kind in ("signed", "positive"))
    return {"signed": signed.marginal(), "positive": _single.as_mass(positive).marginal()}


# ------------------------------------------------------------------------------------------------ claims


def _claims_signed(signed: list[Batch], narrow: dict[int, ERF]) -> list[Claim]:
    lines = {batch.layers: batch for batch in signed if batch.ndim == 1}
    draws = narrow[1]
    label, limit = f"signed, {SAMPLE} layers, 1-D", analytic.growth(3, SAMPLE)
    width, centre = rms_error(np.array(draws.std()[0])), rms_error(np.array(draws.mean()[0]) - SAMPLE)
    claims = [
        Claim(f"{label}: std of one draw, px", *width, theory=limit, relation="<", because="a draw is narrower than the mean over draws"),
        Claim(f"{label}: wandering of its centre, px", *centre),
    ]
    for c, erf in narrow.items():
        name = f"{label}, {_channels_of(c)}: std of the mean of draws of unit mass, px"
        size = bootstrap(erf, lambda mean: mean.std()[0], normalise=True)
        claims.append(Claim(name, *size, theory=limit, relation=">", because="the mean of g^2: draws of little mass wander farther"))
    deep = lines[max(lines)]
    claims.append(_same_shape(lines[SAMPLE], deep))
    loss, error = mean_error(2 * math.log(10) * deep.norm / deep.layers)
    why = "Euler's gamma, as the layers grow; margin: pi / sqrt(6 n), the spread of log |w(f)|^2"
    name = f"signed, {deep.layers} layers, 1-D: log of |g|^2 over its mean, per layer"
    claims.append(Claim(name, loss, error, theory=-float(np.euler_gamma), margin=math.pi / math.sqrt(6 * deep.layers), because=why))
    claims += [_no_faster(lines[SAMPLE], deep), _waves(deep)]
    (plane,) = (batch for batch in signed if batch.ndim == 2 and batch.layers == 150)
    median, error = _single.median_error(plane.norm)
    name = "signed, 150 layers, 2-D: log10 of the median |g| over its root mean square"
    claims.append(Claim(name, median, error))
    return claims


def _same_shape(shallow: Batch, deep: Batch) -> Claim:
    (first, first_error), (last, last_error) = mean_error(shallow.apart), mean_error(deep.apart)
    error = last / first * math.hypot(first_error / first, last_error / last)
    name = f"signed, 1-D: total variation to a draw's own Gaussian, {deep.layers} layers over {shallow.layers}"
    return Claim(name, last / first, error, theory=1.0, because="all lengths of a draw scale as sqrt(n): its shape stays random")


def _no_faster(shallow: Batch, deep: Batch) -> Claim:
    """The envelope: averaged over the wave, and still the distance does not fall as it does for one repeated positive kernel."""
    expected = shallow.smooth.mean() * math.sqrt(shallow.layers / deep.layers)
    name = f"signed, {deep.layers} layers, 1-D: total variation to its own Gaussian, averaged over 6 pixels"
    why = f"1/sqrt(n) from {shallow.layers} layers on, as where the central limit theorem holds"
    return Claim(name, *mean_error(deep.smooth), theory=float(expected), relation=">", because=why)


def _waves(deep: Batch) -> Claim:
    name = f"signed, {deep.layers} layers, 1-D: energy within {NEAR:g} rad/px of the wavelengths 6 and 3 px"
    why = "what an even spectrum has there: such waves prevail"
    return Claim(name, *mean_error(deep.near), theory=4 * NEAR / math.pi, relation=">", because=why)


def _claims_positive(run: Run, positive: list[Batch], steps: ERF) -> list[Claim]:
    lines = [batch for batch in positive if batch.ndim == 1]
    means = [mean_error(batch.apart) for batch in lines]
    rate = _single.slope([b.layers for b in lines], [m for m, _ in means], [e for _, e in means])
    why = "Edgeworth; distinct kernels: random signs let skewness fall as 1/n, not 1/sqrt(n); margin: the next order at 10 layers"
    claims = [Claim("positive, 1-D: slope of total variation against depth", *rate, theory=-1.0, margin=0.01, because=why)]
    deep = lines[-1]
    kernels = _single.weights_of(run, "positive", deep.layers, 1, len(deep.std))
    second, third, fourth = _single.cumulants_of(kernels)
    expected = np.array([_single.edgeworth_variation(t / s**1.5, f / s**2) for s, t, f in zip(second, third, fourth, strict=True)])
    error = mean_error(deep.apart - expected)[1]
    name = f"positive, {deep.layers} layers, 1-D: mean total variation of a draw to its own Gaussian"
    why = "Edgeworth, from the cumulants of the same kernels; margin: 1/sqrt(n) of it"
    margin = expected.mean() / math.sqrt(deep.layers)
    claims.append(Claim(name, float(deep.apart.mean()), error, theory=float(expected.mean()), margin=margin, because=why))
    name = f"positive, {deep.layers} layers, 1-D, first draw: std, px"
    why = "sum of the layers' variances; margin: what the window leaves out"
    one = math.sqrt(second[0])
    claims.append(Claim(name, float(deep.std[0]), theory=one, margin=100 * TOL * one, because=why))
    moving = _single.wandering(3)
    sample = next(batch for batch in lines if batch.layers == SAMPLE)
    label = f"positive, {SAMPLE} layers, 1-D"
    for what, values, theory in (("std of one draw", sample.std, 2 / 3 - moving), ("wandering of its centre", sample.centre, moving)):
        why = "law of total variance; E[w^2 / sum^2] by an integral"
        claims.append(Claim(f"{label}: {what}, px", *rms_error(values), theory=math.sqrt(SAMPLE * theory), because=why))
    size = bootstrap(steps, lambda mean: mean.std()[0], normalise=True)
    why = "the mean of draws of unit sum is the uniform stack, exactly"
    claims.append(Claim(f"{label}: std of the mean of draws, px", *size, theory=analytic.growth(3, SAMPLE), because=why))
    return claims


def _claims_repeated(run: Run, repeated: list[tuple[int, float, float, float]]) -> list[Claim]:
    found = analytic.tap_cumulants(_single.kernel_of(run))
    deep, std, *_ = repeated[-1]
    late = repeated[1:]
    depths, apart = [n for n, *_ in late], [tv for _, _, tv, _ in late]
    theory = [_single.edgeworth_variation(found.skewness / math.sqrt(n), found.excess_kurtosis / n) for n in depths]
    rates = [_single.slope(depths, values, [0.0] * len(late))[0] for values in (apart, theory)]
    return [
        Claim(
            f"positive, one kernel in all layers, {late[0][0]} to {deep}: slope of total variation",
            rates[0],
            theory=rates[1],
            margin=0.01,
            because="Edgeworth: -1/2 for skewness alone, of which this kernel has more or less; margin: the next order at 100 layers",
        ),
        Claim(
            f"positive, one kernel in all of {deep} layers: total variation to its Gaussian",
            apart[-1],
            theory=theory[-1],
            margin=theory[-1] / math.sqrt(deep),
            because="Edgeworth; margin: 1/sqrt(n) of it",
        ),
        Claim(
            f"positive, one kernel in all of {deep} layers: std, px",
            std,
            theory=math.sqrt(deep) * found.std,
            margin=1e-7 * std,
            because="sqrt(n) times one kernel's; margin: the window leaves out 1e-9",
        ),
    ]


def _claims_channels(run: Run, wide: dict[int, tuple[Array, Array]]) -> list[Claim]:
    several = [mean_error(all_inputs) for _, all_inputs in wide.values()]
    rate = _single.slope(list(wide), [m for m, _ in several], [e for _, e in several])
    widest = max(wide)
    floor = _single.speckle(analytic.pmf(3, 10), 1, seed=run.seed)
    why = "1/sqrt(C): each pixel sums C squares; margin: first order in n/C, at most 0.6 here"
    return [
        Claim("10 layers, C channels, all inputs: slope of total variation to the limit", *rate, theory=-0.5, margin=0.05, because=why),
        Claim(
            f"10 layers, {widest} channels, one input channel: total variation to the limit",
            *mean_error(wide[widest][0]),
            theory=floor,
            margin=floor * 5 / widest,
            because="squares of independent normal numbers; margin: half of n/C",
        ),
    ]


# ------------------------------------------------------------------------------------------------ tables and words


def _depths_table(signed: list[Batch], positive: list[Batch]) -> Grid:
    rows = [_row("signed, g²", batch) for batch in signed] + [_row("positive, g", batch) for batch in positive]
    header = ("weights, mass", "layers", "draws", "std of one draw", "wandering of the centre", "side of half of the mass")
    apart = ("total variation to its Gaussian", "averaged over 6 px")
    title = "Single draws of one channel; lengths as shares of the limit's std (for the side: of the Gaussian's)"
    return Grid(title, (*header, *apart, "median log10 of the norm", "largest error, of the peak"), rows)


def _row(name: str, batch: Batch) -> tuple[str, ...]:
    half = 2 * 0.67449 if batch.ndim == 1 else math.sqrt(2 * math.pi * math.log(2))
    std, centre = (math.sqrt(np.square(v).mean()) / batch.limit for v in (batch.std, batch.centre))
    signed = not np.isnan(batch.norm).any()
    norm, smooth = (f"{np.median(batch.norm):.1f}", f"{batch.smooth.mean():.2g}") if signed else ("", "")
    side = f"{batch.half.mean() / batch.limit / half:.2f}"
    return (
        *(f"{name}, {batch.ndim}-D", f"{batch.layers:,}", str(len(batch.std)), f"{std:.2f}", f"{centre:.2f}", side),
        *(f"{batch.apart.mean():.2g}", smooth, norm, f"{batch.error:.0e}"),
    )


def _repeated_table(repeated: list[tuple[int, float, float, float]]) -> Grid:
    rows = [(f"{n:,}", f"{std:.2f}", f"{apart:.2g}", f"{error:.0e}") for n, std, apart, error in repeated]
    return Grid("One positive kernel in all layers, 1-D", ("layers", "std, px", "total variation to its Gaussian", "error"), rows)


def _channels_table(wide: dict[int, tuple[Array, Array]], narrow: dict[int, ERF]) -> Grid:
    rows = [(f"10 layers, {c} channels", *(f"{m:.3f} ± {e:.3f}" for m, e in map(mean_error, both))) for c, both in wide.items()]
    for c, erf in narrow.items():
        value, error = mean_error(_single.to_limit(erf, SAMPLE))
        rows.append((f"{SAMPLE} layers, {_channels_of(c)}", f"{value:.3f} ± {error:.3f}", ""))
    title = "Total variation of single draws of signed weights to the limit, 1-D"
    return Grid(title, ("network", "one input channel", "as many input channels"), rows)


def _words(claims: list[Claim], signed: list[Batch], positive: list[Batch]) -> str:
    line = [batch for batch in signed if batch.ndim == 1]
    deep, sample = line[-1], next(batch for batch in line if batch.layers == SAMPLE)
    errors = max(batch.error for batch in (*signed, *positive))
    parts = [_on_positive(claims, [batch for batch in positive if batch.ndim == 1][-1]), _on_signed(claims, sample, deep)]
    parts += [_on_means(claims, sample.limit), _on_channels(claims)]
    failed = "; ".join(claim.name for claim in claims if not claim.holds)
    doubts = f" Not borne out in this run: {failed}." if failed else ""
    return "\n\n".join([*parts, f"All gradients here are right to {errors:.0e} of their peak, as `gradient` reports.{doubts}"])


def _claim(claims: list[Claim], part: str) -> Claim:
    """The one whose name has this part."""
    (found,) = (claim for claim in claims if part in claim.name)
    return found


def _on_positive(claims: list[Claim], deep: Batch) -> str:
    wander = math.sqrt(np.square(deep.centre).mean() / np.square(deep.std).mean())
    fall = _claim(claims, "slope of total variation against depth").measured
    return f"""**Positive weights: every single deep model is a Gaussian, but not the same one.** The distance of a draw to its own
Gaussian falls as n to the power {fall:.2f}, to {deep.apart.mean():.1e} at {deep.layers:,} layers. Theory says 1/n, faster than the
1/sqrt(n) of one kernel used in all layers, the paper's assumption, because distinct kernels lean to random sides. Where the Gaussian
lies is random: its centre wanders by {wander:.2f} of its width at that depth, as at any, and only the mean over draws is centred and as
wide as theory says."""


def _on_signed(claims: list[Claim], sample: Batch, deep: Batch) -> str:
    wander = math.sqrt(np.square(deep.centre).mean() / np.square(deep.std).mean())
    envelope = _claim(claims, "averaged over 6 pixels").holds
    settles = "does not vanish with depth" if envelope else "cannot be told from one that vanishes with depth"
    return f"""**Signed weights, one channel: no single model is Gaussian, at any depth.** A deep draw is a wave 3 or 6 pixels long under
an envelope: at {deep.layers:,} layers {deep.near.mean():.1%} of its energy lies within {NEAR:g} radians per pixel of these waves.
The wave alone puts 1/pi of the mass elsewhere than a Gaussian has it. Measured: a total variation of {sample.apart.mean():.2f} at
{SAMPLE} layers and {deep.apart.mean():.2f} at {deep.layers:,}. Averaged over 6 pixels the envelope is left, {sample.smooth.mean():.3f}
and {deep.smooth.mean():.3f}, a distance that {settles}. Its centre wanders by {wander:.1f} times its width, and its size is a matter of
luck: the median of |g| at {deep.layers:,} layers is 1e{np.median(deep.norm):.0f} of its root mean square. The paper's remark is right, and
depth does not help."""


def _on_means(claims: list[Claim], limit: float) -> str:
    means = {c: _claim(claims, f"1-D, {_channels_of(c)}: std") for c in NARROW}
    typical = ", ".join(f"{claim.measured:.1f} px at {_channels_of(c)}" for c, claim in means.items())
    return f"""**Many draws do not help a narrow network.** The mean of g² is ruled by draws too rare to be seen. Draws of unit mass are
wider in the mean than theory ({limit:.1f} px at {SAMPLE} layers): {typical}. The square of that is the sum of the squares of a draw's own
width and its wandering."""


def _on_channels(claims: list[Claim]) -> str:
    rate, floor = _claim(claims, "10 layers, C channels").measured, _claim(claims, "one input channel").measured
    return f"""**Wide networks, seen through all their input channels, are Gaussian one by one:** the distance to the limit falls with the
number of channels C to the power {rate:.2f}. Seen through one channel of an image they are not, however wide: the gradient at each pixel
is a normal number, its square speckled, and {floor:.2f} of the mass lies elsewhere. Means over draws, units or neighbouring pixels smooth
this."""


def _channels_of(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"


# ------------------------------------------------------------------------------------------------ figures


def draw(found: Findings) -> dict[str, Figure]:
    """Single draws as maps, and how far they are from the limit."""
    from ._figures import maps
    from ._single_figures import curves

    shown = found.shown
    depths = [(erf.receptive_field.size[0] - 1) // 2 for erf in shown["examples"]["signed"]]
    views = [min(2 * n + 3, math.ceil(9 * analytic.growth(3, n))) for n in depths]
    rows, names = list(shown["examples"].values()), list(shown["examples"])
    note = "root of the mass; outline: 0.0455 of its peak; dashed: theoretical field; smoothed: averaged over 6 px"
    pictures = maps(rows, columns=[f"{n:,} layers" for n in depths], names=names, views=views, bare=(0,), note=note)
    return {"single_draws": pictures, "single_draws_distance": curves(shown)}
