"""Wider initial profiles, and nine taps that need not lie on a grid: what initialisation and sparse connections can gain.

The paper proposes to initialise kernels with less weight at the centre and more outside, and to connect units sparsely to a larger area at
the same cost, "not grid-like". Both change the variance of one layer's taps, and variances add, so how much they gain is known before
anything is drawn: ``std^2`` is the sum of the layers' tap variances.

- The family ``v(a) ~ exp(theta (2a / (k - 1) - 1)^2)`` per axis has the largest entropy of all profiles of its variance. Its mass on
  the pixels of one residue modulo k - 1 is a discrete Fourier sum of the taps, to the power n: that is its comb.
- At its end, all variance on the end taps, it gains ``sqrt(3 (k - 1) / (k + 1))`` and reaches every (k - 1)-th pixel per axis. One layer
  ``[1, 2, .., 2, 1]``, uniform over k - 1 pixels convolved with two, fills every residue alike.
- Of N pixels of a window, nine taken at random without replacement have 8/9 N/(N - 1) of the window's variance in the mean (Cochran,
  Sampling Techniques, chapter 2).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import analytic
from ..layers import Activation, Conv, Layer, Stack
from ..propagation import variance
from ..result import ERF
from ._findings import Claim, Findings, Grid
from ._profiles import gain, reached, repaired_gain, ripple, ripple_of, tap_variances
from ._run import Run
from ._statistics import bootstrap, mean_of, spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Initialisation: wider profiles, and sparse connections of equal cost"
LAYERS = 20
KERNELS = (3, 5, 7)
THETAS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, math.inf)
DEPTHS = (5, 10, 20, 40, 80)
DEEP = (80, 160, 320, 640)
CHANNELS = 16
TURNS = "dilated by 1, 2, 3 in turn"
SPARSE_LAYERS = 12  # a multiple of the cycle 1, 2, 3
WINDOWS = (5, 7, 9)
# The 3x3 networks of the picture.
PROFILES = {"uniform": 0.0, "theta 1": 1.0, "theta 2": 2.0, "theta 4": 4.0, "end taps": math.inf}

Array: TypeAlias = NDArray[np.float64]


def find(run: Run) -> Findings:
    """Exact images of every profile, some simulated, and the ways to spend nine taps."""
    by_theta = {k: {theta: _exact(_wide(k, theta, LAYERS)) for theta in THETAS} for k in KERNELS}
    by_depth = {n: {theta: _exact(_wide(3, theta, n)) for theta in THETAS} for n in DEPTHS}
    deep = {theta: {n: _exact(_wide(3, theta, n)) for n in DEEP} for theta in (0.0, 2.0)}
    repaired = {k: _exact(_repaired(k, LAYERS)) for k in KERNELS}
    draws = {name: _simulated(run, net, k) for k, (name, net) in enumerate(_profiles().items())}
    spent = nine_taps(run.seed)
    ways = {name: _exact(Stack(layers)) for name, layers in spent.items()}
    sparse = _simulated(run, Stack(spent[_random(7)]), len(draws))
    claims = [*_claims_profiles(by_theta), *_claims_ends(by_theta, by_depth, repaired), *_claims_rate(deep)]
    claims += [*_claims_drawn(draws), *_claims_sparse(spent, ways, sparse)]
    tables = [_profile_table(by_theta, repaired), _depth_table(by_depth), _ways_table(spent, ways)]
    shown: dict[str, Any] = {"profiles": {name: _exact(net) for name, net in _profiles().items()}, "draws": draws}
    shown |= {"by_depth": by_depth, "deep": deep, "ways": ways, "sparse": sparse}
    return Findings(claims, _words(claims, by_depth), shown, tables)


# ------------------------------------------------------------------------------------------------ networks


def _wide(kernel: int, theta: float, n: int) -> Stack:
    return Stack([Conv(kernel, tap_variance=analytic.wide_tap_variance(kernel, theta, ndim=2))]) * n


def _repaired(kernel: int, n: int) -> Stack:
    """n - 1 layers of end taps and one trapezoid."""
    ends, filling = analytic.end_taps(kernel), analytic.trapezoid(kernel)
    return Stack([Conv(kernel, tap_variance=np.outer(filling, filling))]) + Stack([Conv(kernel, tap_variance=np.outer(ends, ends))]) * (
        n - 1
    )


def _hollow() -> Stack:
    """3 x 3 without the centre tap."""
    taps = np.ones((3, 3))
    taps[1, 1] = 0
    return Stack([Conv(3, tap_variance=taps)]) * LAYERS


def _profiles() -> dict[str, Stack]:
    """The networks of the picture, by name."""
    return {name: _wide(3, theta, LAYERS) for name, theta in PROFILES.items()} | {"repaired": _repaired(3, LAYERS)}


def nine_taps(seed: int) -> dict[str, list[Layer]]:
    """Layers of nine taps each, by name: on grids, and at random places of a window, others in every layer."""
    grids = {"dense 3x3": (1,), "dilated by 2": (2,), "dilated by 3": (3,), "dilated by 4": (4,), TURNS: (1, 2, 3)}
    found: dict[str, list[Layer]] = {
        name: [Conv(3, dilation=cycle[i % len(cycle)]) for i in range(SPARSE_LAYERS)] for name, cycle in grids.items()
    }
    for side in WINDOWS:
        rng = np.random.default_rng([seed, side])
        found[_random(side)] = [Conv(side, tap_variance=_places(rng, side)) for _ in range(SPARSE_LAYERS)]
    return found


def _random(side: int) -> str:
    return f"random in {side}x{side}"


def _places(rng: np.random.Generator, side: int) -> Array:
    taps = np.zeros(side * side)
    taps[rng.choice(side * side, 9, replace=False)] = 1
    return taps.reshape(side, side)


def _exact(net: Stack) -> ERF:
    return variance(net, window="full")


def _simulated(run: Run, net: Stack, k: int) -> ERF:
    """With a ReLU after every layer; draws that have nothing in common with those of other k."""
    layers = [part for layer in net for part in (layer, Activation("relu"))]
    return run.simulate(Stack(layers), draws=run.either(400, 80), channels=CHANNELS, keep_draws=True, seed=run.seed + k)


# ------------------------------------------------------------------------------------------------ claims


def _claims_profiles(by_theta: dict[int, dict[float, ERF]]) -> list[Claim]:
    claims = []
    for k, theta in ((3, 1.0), (3, 1.5), (3, 2.0), (5, 2.0), (7, 2.0)):
        found = spread(by_theta[k][theta]) / analytic.growth(k, LAYERS)
        claims.append(
            Claim(f"k = {k}, theta {theta:g}: gain in std", found, theory=gain(k, theta), because="variance of the taps, sum by sum")
        )
    for theta in (1.0, 1.5, 2.0):
        centre = 1 / (1 + 2 * math.exp(theta))
        name = f"k = 3, theta {theta:g}, {LAYERS} layers: ripple of even and odd pixels"
        why = "(1 - 2 c)^n, c the share of the centre tap"
        claims.append(Claim(name, ripple(by_theta[3][theta], 2), theory=(1 - 2 * centre) ** LAYERS, because=why))
    hollow = spread(_exact(_hollow())) / analytic.growth(3, LAYERS)
    claims.append(Claim("3x3 without its centre tap: gain in std", hollow, theory=math.sqrt(9 / 8), because="6/8 instead of 6/9 per axis"))
    return claims


def _claims_ends(by_theta: dict[int, dict[float, ERF]], by_depth: dict[int, dict[float, ERF]], repaired: dict[int, ERF]) -> list[Claim]:
    claims = []
    for k in KERNELS:
        uniform, ends = analytic.growth(k, LAYERS), by_theta[k][math.inf]
        why = "sqrt(3 (k - 1) / (k + 1)), the largest there is"
        best = math.sqrt(3 * (k - 1) / (k + 1))
        claims.append(Claim(f"k = {k}, end taps: gain in std", spread(ends) / uniform, theory=best, because=why))
        share = ((LAYERS + 1) / (LAYERS * (k - 1) + 1)) ** 2
        name = f"k = {k}, end taps, {LAYERS} layers: share of the field's pixels reached"
        claims.append(Claim(name, reached(ends), theory=share, because="n + 1 of n (k - 1) + 1 per axis"))
        name = f"k = {k}, end taps and one trapezoid, {LAYERS} layers"
        why = "variances add"
        claims.append(Claim(f"{name}: gain in std", spread(repaired[k]) / uniform, theory=repaired_gain(k, LAYERS), because=why))
        claims.append(Claim(f"{name}: share reached", reached(repaired[k]), theory=1.0, because="every residue has a path"))
        why = "every residue has the same mass; margin: rounding"
        claims.append(Claim(f"{name}: ripple", ripple(repaired[k], k - 1), theory=0.0, margin=1e-12, because=why))
    n = DEPTHS[-1]
    sizes = {theta: by_depth[n][theta].level_size() for theta in (0.0, math.inf)}
    why = "the gain in std over the two pixels between taps; margin: a pixel of the size"
    claims.append(
        Claim(
            f"k = 3, end taps, {n} layers: gain in level size",
            sizes[math.inf] / sizes[0.0],
            theory=math.sqrt(1.5) / 2,
            margin=1 / sizes[0.0],
            because=why,
        )
    )
    return claims


def _claims_rate(deep: dict[float, dict[int, ERF]]) -> list[Claim]:
    claims = []
    for theta, some in deep.items():
        label = f"k = 3, theta {theta:g}, {DEEP[0]} to {DEEP[-1]} layers: slope of the"
        claims.append(Claim(f"{label} std", _slope(some, spread), theory=0.5, because="a constant factor, not a rate"))
        why = "a constant factor, not a rate; margin: half a pixel along the outline of the shallowest"
        margin = 0.5 / some[DEEP[0]].level_size()
        claims.append(Claim(f"{label} level size", _slope(some, ERF.level_size), theory=0.5, margin=margin, because=why))
    return claims


def _slope(some: dict[int, ERF], size: Any) -> float:
    return float(np.polynomial.polynomial.polyfit(np.log(list(some)), np.log([size(erf) for erf in some.values()]), 1)[1])


def _claims_drawn(draws: dict[str, ERF]) -> list[Claim]:
    theory = {name: gain(3, theta) for name, theta in PROFILES.items()} | {"repaired": repaired_gain(3, LAYERS)}
    claims = []
    for name, some in draws.items():
        size, error = bootstrap(some, spread)
        why = "E g^2 of a ReLU chain is exactly the linear one's"
        label = f"simulated with ReLU, {CHANNELS} channels, {LAYERS} layers, {name}: std, px"
        claims.append(Claim(label, size, error, theory=theory[name] * analytic.growth(3, LAYERS), because=why))
    size, error = bootstrap(draws["theta 4"], _alternation)
    label = f"simulated with ReLU, {CHANNELS} channels, {LAYERS} layers, theta 4: even minus odd columns' mass"
    claims.append(Claim(label, size, error, theory=ripple_of(3, 4, LAYERS), because="as without ReLU"))
    return claims


def _alternation(erf: ERF) -> float:
    """Mass of the columns at even distances from the centre less that of the others: a ripple with its sign."""
    shares = erf.marginal()
    return float(shares[(len(shares) // 2) % 2 :: 2].sum() * 2 - 1)


def _claims_sparse(spent: dict[str, list[Layer]], ways: dict[str, ERF], sparse: ERF) -> list[Claim]:
    claims = []
    for name, erf in ways.items():
        total = math.sqrt(tap_variances(spent[name]).sum(axis=0).mean())
        why = "sum of the variances of the taps' places"
        claims.append(Claim(f"nine taps, {name}, {SPARSE_LAYERS} layers: std, px", spread(erf), theory=total, because=why))
    for side in WINDOWS:
        each = tap_variances(spent[_random(side)]).mean(axis=1)
        expected = (side**2 - 1) / 12 * 8 / 9 * side**2 / (side**2 - 1)
        error = float(each.std(ddof=1) / math.sqrt(len(each)))
        why = "8/9 N/(N - 1) of the window's variance"
        claims.append(
            Claim(f"nine taps, random in {side}x{side}: variance of a layer, px^2", float(each.mean()), error, theory=expected, because=why)
        )
    for side, dilation in zip(WINDOWS, (2, 3, 4), strict=True):
        apart = [ways[name].fit()[0].total_variation for name in (_random(side), f"dilated by {dilation}")]
        why = f"that of the grid in the same {side}x{side} window"
        name = f"nine taps, random in {side}x{side}: total variation to the Gaussian"
        claims.append(Claim(name, apart[0], theory=apart[1], relation="<", because=why))
    size, error = bootstrap(sparse, spread)
    name = f"simulated with ReLU, {CHANNELS} channels, {SPARSE_LAYERS} layers, nine taps random in 7x7: std, px"
    total = math.sqrt(tap_variances(spent[_random(7)]).sum(axis=0).mean())
    claims.append(Claim(name, size, error, theory=total, because="as without ReLU"))
    return claims


# ------------------------------------------------------------------------------------------------ tables and words


def _named(theta: float) -> str:
    return "end taps" if math.isinf(theta) else f"{theta:g}"


def _profile_table(by_theta: dict[int, dict[float, ERF]], repaired: dict[int, ERF]) -> Grid:
    rows: list[list[str]] = [[_named(theta), *(_cell(by_theta[k], by_theta[k][theta], k) for k in KERNELS)] for theta in THETAS]
    rows.append(["end taps, one trapezoid", *(_cell(by_theta[k], repaired[k], k) for k in KERNELS)])
    title = f"{LAYERS} layers: gain in std / gain in level size / ripple"
    return Grid(title, ("theta", *(f"k = {k}" for k in KERNELS)), rows)


def _cell(some: dict[float, ERF], erf: ERF, kernel: int) -> str:
    uniform = some[0.0]
    return f"{spread(erf) / spread(uniform):.3f} / {erf.level_size() / uniform.level_size():.3f} / {ripple(erf, kernel - 1):.1%}"


def _depth_table(by_depth: dict[int, dict[float, ERF]]) -> Grid:
    rows = []
    for theta in THETAS[1:]:
        cells = [f"{some[theta].level_size() / some[0.0].level_size():.3f} / {ripple(some[theta], 2):.1%}" for some in by_depth.values()]
        rows.append([_named(theta), *cells])
    return Grid("k = 3: gain in level size / ripple, by depth", ("theta", *(f"{n} layers" for n in by_depth)), rows)


def _ways_table(spent: dict[str, list[Layer]], ways: dict[str, ERF]) -> Grid:
    rows = []
    for name, erf in ways.items():
        per_layer = tap_variances(spent[name]).mean()
        (fit,) = erf.fit()
        rows.append(
            (
                *(name, str(9 * SPARSE_LAYERS), str(erf.receptive_field.size[0]), f"{spread(erf):.2f}", f"{erf.level_size():.1f}"),
                *(f"{reached(erf):.0%}", f"{fit.total_variation:.3f}", f"{fit.max_deviation:.2f}", str(math.ceil(100 / per_layer))),
            )
        )
    header = ("nine taps", "taps in all", "TRF, px", "std, px", "level size, px", "field reached")
    title = f"Nine taps a layer, {SPARSE_LAYERS} layers"
    return Grid(title, (*header, "total variation to the Gaussian", "largest distance, of the peak", "layers to a std of 10 px"), rows)


def _words(claims: list[Claim], by_depth: dict[int, dict[float, ERF]]) -> str:
    return "\n\n".join([_on_factor(claims), _on_comb(claims, by_depth), _on_sparse(claims)])


def _measured(claims: list[Claim], name: str) -> float:
    (found,) = (claim.measured for claim in claims if claim.name == name)
    return found


def _on_factor(claims: list[Claim]) -> str:
    ends = _measured(claims, "k = 3, end taps: gain in std")
    rate = _measured(claims, f"k = 3, theta 2, {DEEP[0]} to {DEEP[-1]} layers: slope of the level size")
    hollow = _measured(claims, "3x3 without its centre tap: gain in std")
    return f"""**Wider initial profiles gain a constant factor, and not much of one.** No 3x3 profile is more than {ends:.3f} times as
wide as the uniform one, at any depth; to leave out the centre tap, the simplest reading of the paper's proposal, gains {hollow:.3f}. The
size still grows as the square root of the depth: slope {rate:.3f} at theta 2. The rate that the paper deplores is untouched."""


def _on_comb(claims: list[Claim], by_depth: dict[int, dict[float, ERF]]) -> str:
    best = {n: max(THETAS, key=lambda theta: some[theta].level_size()) for n, some in by_depth.items()}
    ranked = ", ".join(f"{theta:g} at {n}" for n, theta in best.items())
    top = max(some[best[n]].level_size() / some[0.0].level_size() for n, some in by_depth.items())
    ripples = [_measured(claims, f"k = 3, theta {theta:g}, {LAYERS} layers: ripple of even and odd pixels") for theta in (1.0, 2.0)]
    size = _measured(claims, f"k = 3, end taps, {DEPTHS[-1]} layers: gain in level size")
    mended = _measured(claims, f"k = 3, end taps and one trapezoid, {LAYERS} layers: gain in std")
    drawn = [claim for claim in claims if claim.name.startswith("simulated")]
    relu = "ReLU changes none of this." if all(claim.holds for claim in drawn) else "Not all draws with ReLU bear this out."
    return f"""**The last of that factor is paid for with a comb.** At {LAYERS} layers even and odd pixels differ by {ripples[0]:.2%}
with theta 1 and by {ripples[1]:.1%} with theta 2. Beyond, pixels fall below the level and the level size falls too, with all variance on
the end taps to {size:.2f} of the uniform network's. Of the values tried, the largest level size is had at theta {ranked} layers, at most
{top:.2f} times the uniform one. One layer of another kind mends it: {LAYERS - 1} layers of end taps and one trapezoid reach every pixel
alike and are {mended:.3f} times as wide. {relu}"""


def _on_sparse(claims: list[Claim]) -> str:
    apart = [claim for claim in claims if claim.name.endswith("total variation to the Gaussian")]
    grid = "They leave no comb" if all(claim.holds for claim in apart) else "Not all of them leave less of a comb"
    names = ("dense 3x3", "dilated by 3", TURNS, _random(7))
    dense, dilated, turns, random = (_measured(claims, f"nine taps, {name}, {SPARSE_LAYERS} layers: std, px") for name in names)
    nearest = max(claim.measured for claim in apart)
    return f"""**Sparse connections gain more, for the same cost.** Nine taps at random places in 7x7 pixels, others in every layer, have
a std of {random:.1f} px after {SPARSE_LAYERS} layers, against {dense:.1f} px side by side and {dilated:.1f} px on a grid dilated by 3.
{grid} (at most {nearest:.3f} of the mass lies elsewhere than the Gaussian has it), where a constant dilation reaches one pixel in its
square, however deep. Grids that take turns do nearly as well: dilations 1, 2, 3, in the same window, give {turns:.1f} px without a
comb. The paper's guess is right, then, but off the grid is no better in kind than dilations that differ: each layer adds its variance,
and the square root law stays."""


# ------------------------------------------------------------------------------------------------ figures


def draw(found: Findings) -> dict[str, Figure]:
    """Profiles beside simulations, what they gain, and the ways to spend nine taps."""
    from ._figures import maps
    from ._initialisation_figures import curves

    shown = found.shown
    profiles, draws = shown["profiles"], shown["draws"]
    simulated = [mean_of(draws[name]) for name in profiles]
    columns = [name.replace("theta", "θ =") for name in profiles]
    pictures = maps([list(profiles.values()), simulated], columns=columns, names=("exact", f"ReLU, mean of {draws['uniform'].draws}"))
    ways, random = shown["ways"], [_random(side) for side in WINDOWS]
    grids = [ways[name] for name in ("dense 3x3", "dilated by 2", "dilated by 3", "dilated by 4", TURNS)]
    columns = ["window 3x3", *(f"window {side}x{side}" for side in WINDOWS), "dilated 1, 2, 3 in turn"]
    views = [0.62 * ways[random[-1]].receptive_field.size[0]] * len(columns)
    nine = maps([grids, [None, *(ways[name] for name in random), None]], columns=columns, names=("on a grid", "at random"), views=views)
    return {"initialisation": pictures, "initialisation_gains": curves(shown), "nine_taps": nine}
