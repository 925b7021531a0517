"""Dropout and skip connections: what they do to the shape of a field, and to its width.

The paper says that dropout does not change the Gaussian shape and that skip connections make the field smaller, without a number for
either. Dropout multiplies the mean of g^2 by 1 / (1 - rate) everywhere, and changes only how draws scatter. A residual block adds the
energies of its identity and of its branch, so that a chain of blocks is a mixture of plain chains of all lengths. Without norms, both hold
exactly at any width (flip the sign of a channel's weights: products of two different weights change sign, gates keep their law). With
batch norm the branches lose weight with depth, by mean-field theory (`mean_field.blocks`), which is for wide networks.

The network of the paper's segmentation experiment is measured as it stands before training: a 3x3 stem and a 3x3 convolution of stride 2
before each of four stages of (3, 4, 6, 3) blocks, the one with its theoretical field of 505.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import analytic
from ..frontends.text import parse
from ..geometry import receptive_field
from ..mean_field import branch_mixture
from ..result import ERF
from . import _path_theory as theory
from ._findings import Claim, Findings, Grid
from ._path_theory import KINDS
from ._run import Run
from ._statistics import bootstrap, folded, masses, mean_of, ratio, spread, total

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Dropout and skip connections"
RATES = (0.0, 0.1, 0.5, 0.8)
LAYERS = 8  # of the chains with dropout
BLOCKS, COURSE, FEW = 16, (1, 2, 4, 8, 16), (2, 8, 16)
HALVED = "scale0.7071067811865476"  # makes alpha 1 of the scheme "he", whose branches multiply E g^2 by 2
BODIES = {
    KINDS[0]: "conv3:same, relu, conv3:same, relu",
    KINDS[1]: f"residual(conv3:same, relu, conv3:same, {HALVED})",
    KINDS[2]: "residual(batchnorm, relu, conv3:same, batchnorm, relu, conv3:same)",
    KINDS[3]: "residual(conv3:same, batchnorm, relu, conv3:same, batchnorm), relu",
}
SKIPS = {  # body, scheme, alpha: None is a chain without skips
    "plain chain, ReLU": (BODIES[KINDS[0]], "he", None),
    "linear blocks, alpha 1": ("residual(conv3:same, conv3:same)", "lecun", 1.0),
    "ReLU blocks, alpha 1": (BODIES[KINDS[1]], "he", 1.0),
    "ReLU blocks as drawn, alpha 2": ("residual(conv3:same, relu, conv3:same)", "he", 2.0),
}
STAGED = (KINDS[1], KINDS[3])
PAPER: dict[str, Any] = {"paper": 100.0, "rounding": 5.0}  # "about 100" px
SCATTER = f"ReLU, {LAYERS} layers: scatter of log2 of the mass over draws, with dropout {RATES[-1]:g} minus without"


def find(run: Run) -> Findings:
    """Dropout, blocks without norms, blocks with batch norm, and the segmentation network."""
    dropped = {rate: _dropped(run, rate, "relu", seed) for seed, rate in enumerate(RATES)}
    linear = {rate: _dropped(run, rate, "identity", 10 + seed) for seed, rate in enumerate(RATES) if rate}
    skips = {name: _skip(run, name, 20 + seed) for seed, name in enumerate(SKIPS)}
    counts = FEW if run.quick else COURSE
    course = {kind: {n: _course(run, kind, n, 30 + 10 * k + i) for i, n in enumerate(counts)} for k, kind in enumerate(KINDS)}
    flat = {kind: _in_the_plane(run, kind, 80 + k) for k, kind in enumerate(KINDS[2:])}
    staged = {kind: _staged(run, kind, 90 + k) for k, kind in enumerate(STAGED[: run.either(2, 1)])}
    widths = {name: bootstrap(folded(draws), _sizes) for name, draws in skips.items()}
    claims = [*_dropout_claims(dropped, linear), *_skip_claims(widths), *_norm_claims(course, flat, run), *_stage_claims(staged, run)]
    shown = {"dropped": dropped, "skips": skips, "course": course, "staged": staged}
    return Findings(claims, _words(claims, dropped), shown, [_dropout_table(dropped), _width_table()])


def _sizes(erf: ERF) -> tuple[float, float, float]:
    """std, level size, share of the pixel in the middle."""
    middle = tuple(n // 2 for n in erf.image.shape)
    return spread(erf), float(erf.level_size()), float(erf.image[middle] / erf.image.sum())


# ------------------------------------------------------------------------------------------------ networks


def _dropped(run: Run, rate: float, activation: str, seed: int) -> ERF:
    """Convolution, activation, dropout, of the weight variance that keeps E g^2 without it."""
    layers = f"conv3, {activation}, dropout{rate}" if rate else f"conv3, {activation}"
    net, scheme = parse(f"({layers}) * {LAYERS}"), "he" if activation == "relu" else "lecun"
    draws, channels = run.either(600, 400), run.either(32, 16)
    return run.simulate(net, draws=draws, channels=channels, scheme=scheme, seed=run.seed + seed, keep_draws=True)


def _inputs(run: Run, kind: str, channels: int, side: int, ndim: int, seed: int) -> Any:
    """16 maps as they come to the first block: normal; for batch norm of variance 2, or behind a ReLU, as theory has it."""
    drawn = np.random.default_rng([run.seed, seed]).standard_normal((16, channels, *(side,) * ndim))
    return {KINDS[2]: math.sqrt(2) * drawn, KINDS[3]: np.maximum(drawn, 0)}.get(kind, drawn)


def _skip(run: Run, name: str, seed: int) -> ERF:
    """Sixteen blocks in two dimensions, on a map that just holds the field of its middle unit."""
    body, scheme, _ = SKIPS[name]
    channels = run.either(32, 16)
    inputs = _inputs(run, name, channels, analytic.field_size(3, 2 * BLOCKS), 2, seed)
    net, draws = parse(f"({body}) * {BLOCKS}"), run.either(80, 24)
    options = {"draws": draws, "channels": channels, "scheme": scheme, "inputs": inputs, "seed": run.seed + seed}
    return run.simulate(net, dtype="float32", keep_draws=True, **options)


def _side(run: Run, ndim: int) -> int:
    """Of maps for batch norm: statistics of as many pixels."""
    return run.either(256, 128) if ndim == 1 else run.either(40, 36)


def _width(run: Run, ndim: int) -> int:
    return run.either(64, 32) if ndim == 1 else run.either(32, 16)


def _course(run: Run, kind: str, blocks: int, seed: int) -> tuple[float, float]:
    """std^2 in one dimension, and its standard error."""
    return _blocks(run, kind, blocks, 1, run.either(200, 120), seed)


def _in_the_plane(run: Run, kind: str, seed: int) -> tuple[float, float]:
    """The same of eight blocks in two."""
    return _blocks(run, kind, 8, 2, run.either(60, 20), seed)


def _blocks(run: Run, kind: str, blocks: int, ndim: int, draws: int, seed: int) -> tuple[float, float]:
    net = parse(f"({BODIES[kind]}) * {blocks}", ndim=1 if ndim == 1 else 2)
    channels = _width(run, ndim)
    inputs = _inputs(run, kind, channels, _side(run, ndim), ndim, seed)
    options = {"draws": draws, "channels": channels, "inputs": inputs, "seed": run.seed + seed}
    drawn = run.simulate(net, dtype="float32", keep_draws=True, **options)
    found, error = bootstrap(drawn, lambda erf: spread(erf) ** 2)
    return float(found), float(error)


def staged_text(kind: str) -> str:
    """The segmentation network: TRF 505, an output for every 16 pixels."""
    after = "relu" if kind == KINDS[1] else "batchnorm, relu"
    stages = [f"conv3/2:p1, {after}, ({BODIES[kind]}) * {blocks}" for blocks in theory.STAGES]
    return f"conv3:same, {after}, {', '.join(stages)}"


def _staged(run: Run, kind: str, seed: int) -> ERF:
    """On a map of 512 x 512 pixels, whose middle unit sees no border."""
    net, channels = parse(staged_text(kind)), run.either(8, 4)
    inputs = np.random.default_rng([run.seed, seed]).standard_normal((1, channels, 512, 512))
    options = {"draws": run.either(24, 6), "channels": channels, "inputs": inputs, "seed": run.seed + seed}
    return run.simulate(net, dtype="float32", keep_draws=True, **options)


# ------------------------------------------------------------------------------------------------ claims


def _scatter(draws: ERF) -> tuple[float, float]:
    """Standard deviation over draws of log2 of their mass, and its standard error (nearly normal: a product over the layers)."""
    logs = np.log2(masses(draws))
    return float(logs.std(ddof=1)), float(logs.std(ddof=1) / math.sqrt(2 * (len(logs) - 1)))


def _dropout_claims(dropped: dict[float, ERF], linear: dict[float, ERF]) -> list[Claim]:
    claims = []
    for rate, draws in dropped.items():
        std, error = bootstrap(draws, spread)
        label, why = f"ReLU, {LAYERS} layers, {_rate(rate)}: std, px", "sqrt(2 n / 3), without dropout too"
        claims.append(Claim(label, float(std), float(error), theory=analytic.growth(3, LAYERS), because=why))
    for name, some in (("ReLU", dropped), ("linear", linear)):
        for rate, draws in some.items():
            # of n layers the last gate and the last dropout are left out, where the unit is probed
            gain = (2.0 if name == "ReLU" else 1.0) / (1 - rate) ** (LAYERS - 1)
            label = f"{name}, {LAYERS} layers, {_rate(rate)}: mean of the sum of g^2"
            claims.append(Claim(label, *total(draws), theory=gain, because="1 / (1 - rate) per layer"))
    (much, its_error), (none, error) = _scatter(dropped[RATES[-1]]), _scatter(dropped[0.0])
    return [*claims, Claim(SCATTER, much - none, math.hypot(its_error, error), theory=0.0, relation=">", because="masks are random too")]


def _rate(rate: float) -> str:
    return f"dropout {rate:g}" if rate else "no dropout"


def _skip_claims(widths: dict[str, Any]) -> list[Claim]:
    """Sixteen blocks: sizes and the share of the centre against the mixture, and against the plain chain."""
    claims = []
    for name, (measured, errors) in widths.items():
        image = theory.mixture(_skip_shares(name), 2)
        wanted = math.sqrt(theory.variance_of(_skip_shares(name))), theory.pictured(image).level_size(), float(image.max())
        why = "the plain chain" if SKIPS[name][2] is None else "binomial mixture of plain chains"
        what = "std, px", "level size, px", "share of the centre pixel"
        for size, value, error, number in zip(what, measured, errors, wanted, strict=True):
            claims.append(Claim(f"{name}, {BLOCKS} blocks: {size}", float(value), float(error), theory=number, because=why))
    ((plain, *_), (plain_error, *_)), ((std, *_), (error, *_)) = widths["plain chain, ReLU"], widths["ReLU blocks, alpha 1"]
    label, why = f"{BLOCKS} ReLU blocks, alpha 1: std over that of the plain chain", "the paper: smaller; theory: sqrt(1/2)"
    claims.append(Claim(label, *ratio((std, error), (plain, plain_error)), theory=1.0, relation="<", because=why))
    field = receptive_field(parse(f"({BODIES[KINDS[1]]}) * {BLOCKS}")).size[0]
    label = f"{BLOCKS} ReLU blocks: theoretical field, px"
    return [*claims, Claim(label, field, theory=analytic.field_size(3, 2 * BLOCKS), because="the plain chain's")]


def _skip_shares(name: str) -> Any:
    alpha = SKIPS[name][2]
    return theory.shares(KINDS[0], BLOCKS) if alpha is None else branch_mixture([alpha] * BLOCKS)


def _norm_claims(course: dict[str, Any], flat: dict[str, Any], run: Run) -> list[Claim]:
    """Widths against the mixtures, in one dimension and in two, and against unit branches."""
    claims = []
    for kind in KINDS:
        for blocks in (8, 16):
            found, error = course[kind][blocks]
            claims.append(_width_claim(f"{kind}, {blocks} blocks, 1-D: std^2, px^2", found, error, kind, blocks, run, 1))
    for kind, (found, error) in flat.items():
        claims.append(_width_claim(f"{kind}, 8 blocks, 2-D: std^2 per axis, px^2", found, error, kind, 8, run, 2))
    unit = theory.variance_of(theory.shares(KINDS[1], 16))
    for kind in KINDS[2:]:
        found, error = course[kind][16]
        label = f"{kind}, 16 blocks, 1-D: std^2 against unit branches, px^2"
        claims.append(Claim(label, found, error, theory=unit, relation="<", because="L sigma_F^2 / 2; branches lose weight with depth"))
    found, error = course[KINDS[3]][2]
    unit = theory.variance_of(theory.shares(KINDS[1], 2))
    label = f"{KINDS[3]}, 2 blocks, 1-D: std^2 against unit branches, px^2"
    why = "the first branches have more than the gain of the identity"
    return [*claims, Claim(label, found, error, theory=unit, relation=">", because=why)]


def _width_claim(name: str, found: float, error: float, kind: str, blocks: int, run: Run, ndim: int) -> Claim:
    wanted = theory.variance_of(theory.shares(kind, blocks))
    if kind in KINDS[:2]:
        return Claim(name, found, error, theory=wanted, because="2 L 2/3" if kind == KINDS[0] else "L sigma_F^2 / 2")
    # two norms a branch; 1 / variance is too large by 2 c / pixels in the mean, some c = 2 pixels per axis being correlated
    short = 1 / _width(run, ndim) + 4 * 2**ndim / _side(run, ndim) ** ndim
    why = "mean field, wide; margin 1 / channels, and what statistics of so many pixels miss"
    return Claim(name, found, error, theory=wanted, margin=short * wanted, because=why)


def _stage_claims(staged: dict[str, ERF], run: Run) -> list[Claim]:
    """The segmentation network; level sizes of few draws mean nothing."""
    field = receptive_field(parse(staged_text(KINDS[1]))).size[0]
    label = "segmentation network: theoretical field, px"
    claims = [Claim(label, field, theory=505.0, paper=505.0, because="1 + sum of 2 x jump over its convolutions")]
    for kind, draws in staged.items():
        shares = theory.stage_shares(kind)
        wanted = math.sqrt(theory.staged_variance(shares))
        found, error = bootstrap(_along(draws), spread)
        # a share 1 / channels of the variance is half of that of the size
        margin, why = (0.0, "mixtures of the stages") if kind == KINDS[1] else (wanted / 16, "mixtures, wide; margin 1 / (2 channels)")
        name = f"segmentation network untrained, {kind}"
        claims.append(Claim(f"{name}: std, px", float(found), float(error), theory=wanted, margin=margin, because=why))
        if not run.quick:
            level, off = bootstrap(folded(draws), ERF.level_size)
            size = theory.pictured(theory.segmentation_image(kind)).level_size()
            label, slack = f"{name}: level size, px", margin / wanted * size
            claims.append(Claim(label, float(level), float(off), theory=size, margin=slack, because=why, **PAPER))
    return claims


def _along(draws: ERF) -> ERF:
    """The mean of both marginals of each draw: enough for a std, and small."""
    images = np.ldexp(draws.image.astype(np.float64), np.asarray(draws.exponent)[:, None, None])
    return ERF.from_gradients(np.sqrt((images.sum(axis=1) + images.sum(axis=2)) / 2), axes="NW")


# ------------------------------------------------------------------------------------------------ tables and words


def _dropout_table(dropped: dict[float, ERF]) -> Grid:
    rows = []
    for rate, draws in dropped.items():
        found, once = mean_of(draws), mean_of(draws, normalise=True)
        mass = total(draws)[0]
        (scatter, _) = _scatter(draws)
        rows.append((f"{rate:g}", f"{spread(found):.2f}", f"{spread(once):.2f}", f"{mass:.4g}", f"{scatter:.2f}", str(draws.dead)))
    header = ("rate", "std, px", "std of the typical draw, px", "mean of the sum of g^2", "scatter of its log2 over draws", "dead draws")
    return Grid(f"Dropout in {LAYERS} layers with ReLU: the shape stays, the scatter grows", header, rows)


def _width_table() -> Grid:
    """Theory's, to where nothing is drawn."""
    rows = []
    for blocks in (1, 2, 4, 8, 16, 32):
        stds = [math.sqrt(theory.variance_of(theory.shares(kind, blocks))) for kind in KINDS]
        rows.append((str(blocks), str(analytic.field_size(3, 2 * blocks)), *[f"{std:.2f}" for std in stds]))
    return Grid("std of blocks of two 3-tap convolutions in theory, px", ("blocks", "TRF, px", *KINDS), rows)


def _words(claims: list[Claim], dropped: dict[float, ERF]) -> str:
    named = {claim.name: claim for claim in claims}
    kept = all(c.holds for c in claims if c.name.startswith(f"ReLU, {LAYERS} layers") and c.name.endswith("std, px"))
    shape = "leaves shape and size alone, as the paper says" if kept else "does not leave the size alone here: see the table"
    gain = all(c.holds for c in claims if "mean of the sum of g^2" in c.name)
    (less, _), (more, _) = _scatter(dropped[0.0]), _scatter(dropped[RATES[-1]])
    shrunk = named[f"{BLOCKS} ReLU blocks, alpha 1: std over that of the plain chain"]
    shrinks = "shrink the field, as the paper says" if shrunk.holds else "do not shrink the field beyond doubt"
    pre, post = (named[f"{kind}, 16 blocks, 1-D: std^2, px^2"] for kind in KINDS[2:])
    normed = [c for c in claims if c.name.startswith("batch norm") and c.relation == "=" and c.theory is not None]
    above = " Most measured numbers stand a little above theory's, which leaves out that statistics are of a few hundred pixels."
    above = above if sum(c.measured > (c.theory or 0) for c in normed) > 0.75 * len(normed) else ""
    unit, pre_norm, post_norm = (theory.variance_of(theory.shares(kind, 16)) for kind in KINDS[1:])
    wider = next(n for n in range(1, 17) if _narrower(n)) - 1
    deep, slow = (theory.variance_of(theory.shares(kind, 256)) for kind in KINDS[1:3])
    first = theory.shares(KINDS[3], 1)
    narrower = "" if all(c.holds for c in claims if c.name.endswith("16 blocks, 1-D: std^2 against unit branches, px^2")) else ", in theory"
    scatter = "grows" if named[SCATTER].holds else "should grow, which these draws do not show beyond doubt"
    return f"""**Dropout {shape}.** It multiplies the mean of g^2 by 1 / (1 - rate) in every layer,
{"exactly" if gain else "not exactly here"}, for linear chains and with ReLU, and everywhere alike. What {scatter} is the scatter of
draws: with a rate of {RATES[-1]:g} the sum of g^2 varies by a factor of {2**more:.1f} from draw to draw (one standard deviation), without
dropout by {2**less:.1f}.

**Skip connections {shrinks}**, and leave the theoretical field as it is: {BLOCKS} blocks of two
convolutions have {shrunk.measured:.3f} ± {shrunk.stderr:.3f} of the std of the plain chain. The image is a sum of plain chains of 0, 2,
4, ... convolutions with binomial shares: half of the branches are taken where a branch has the gain of the identity (alpha 1). So the peak
is higher and the tails are longer than a Gaussian's. Without norms this is exact at any width, with ReLU inside the branches too.

**Batch norm makes the field of many blocks narrower still{narrower}**, since what enters a block grows with depth and its norm divides
by that. Of std^2 = {unit:.2f} px^2 of sixteen blocks with unit branches, {post_norm:.2f} are left where a ReLU stands
behind each sum (measured {post.measured:.2f} ± {post.stderr:.2f}), and {pre_norm:.2f} where it stands inside the branch (measured
{pre.measured:.2f} ± {pre.stderr:.2f}). The latter grows as the logarithm of the depth only: {slow:.1f} px^2 after 256 blocks, where
unit branches have {deep:.0f}. Few blocks are another matter: the first branch behind a ReLU has {first[1] / first[0]:.1f} times the gain of
its identity, so that up to {wider} blocks are wider than with unit branches. The stages of the network below have at
most {max(theory.STAGES)}.{above}

{_stage_words(named)}"""


def _narrower(blocks: int) -> bool:
    """Whether norms behind sums make this many blocks narrower than unit branches."""
    unit, normed = (theory.variance_of(theory.shares(kind, blocks)) for kind in (KINDS[1], KINDS[3]))
    return normed < unit


def _stage_words(named: dict[str, Claim]) -> str:
    texts, of_field, above, stds = [], [], [], []
    for kind in STAGED:
        shares = theory.stage_shares(kind)
        size = theory.pictured(theory.segmentation_image(kind)).level_size()
        claim = named.get(f"segmentation network untrained, {kind}: level size, px")
        measured = "" if claim is None else f" (measured {claim.measured:.0f} ± {claim.stderr:.0f})"
        texts.append(f"{size:.0f} px with {kind}{measured}")
        of_field.append(f"{100 * size / 505:.0f} %")
        above.append(f"{size - 100:+.0f} %")
        stds.append(f"{4 * math.sqrt(theory.staged_variance(shares)):.0f}")
    return f"""**The segmentation network before training** has, in theory, a level size of {" and of ".join(texts)}:
{" and ".join(of_field)} of its theoretical field of 505. This is the paper's point, and its order of magnitude; the diameter of about 100
that it reads off a picture is not the number, from which these differ by {" and ".join(above)}; where the table says that it agrees,
the standard error allows it. The paper does not say what stands inside its blocks, nor where it takes the diameter: four standard
deviations would be {" and ".join(stds)} px."""


def draw(found: Findings) -> dict[str, Figure]:
    """Dropout's draws; path lengths, profiles and widths; the segmentation network."""
    from . import _path_figures as figures

    shown = found.shown
    return {
        "dropout": figures.dropout(shown["dropped"]),
        "skips": figures.skips(shown["skips"], shown["course"]),
        "segmentation": figures.segmentation(shown["staged"]),
    }
