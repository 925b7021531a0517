"""Sub-sampling and dilation: how much wider, where strides stand, why dilated fields look square, and the comb of strided kernels.

The paper sets 15 dense 3x3 layers beside the same with three of them strided by 2, and with three of them dilated by 2, 4 and 8. It does
not say which three are strided: here they stand first, spread out, and last. It asks why the dilated field is rectangular, and says that
after strides or growing dilations "many more layers are needed to see the Gaussian shape": both are measured on exact images.

Level lines of an outer product of Gaussians are circles. What makes them square is a flat top: to first order in the excess kurtosis k of
a profile (Edgeworth), the line at the share c of the peak reaches 1 + k ln(c) / 24 times as far along the diagonal as along the axes.
Strides of odd kernels leave a comb besides: their taps meet every second pixel once and the others twice.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import analytic
from ..frontends.text import parse
from ..geometry import receptive_field
from ..layers import Activation, Layer, Stack
from ..propagation import variance
from ..result import ERF
from ._findings import Claim, Findings, Grid
from ._run import Run
from ._statistics import bootstrap, folded, mean_of, spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Sub-sampling and dilation"
DENSE, DILATED = "conv3 * 15", "conv3 * 12, conv3:d2, conv3:d4, conv3:d8"
FIRST, SPREAD, LAST = "conv3/2 * 3, conv3 * 12", "(conv3 * 4, conv3/2) * 3", "conv3 * 12, conv3/2 * 3"
NETWORKS = {"dense": DENSE, "strided first": FIRST, "strided spread": SPREAD, "strided last": LAST, "dilated": DILATED}
COMBS = {
    "three 3x3 stride 2 first": FIRST,
    "four layers before each 3x3 stride 2": SPREAD,
    "7x7 and 3x3 stride 2, then 20 layers": "conv7/2, conv3/2, conv3 * 20",
    "three 2x2 pools first": "maxpool2 * 3, conv3 * 12",
}
LEVEL = 0.0455
ROUNDS = (1, 2, 3, 4, 6, 9, 10, 15, 20)
DRAWS = {"strided first": 100}  # its input is 207 pixels wide
COMBED = ("strided first",)

Array = NDArray[np.float64]


def find(run: Run) -> Findings:
    """The five networks, exact and drawn; rounds of dilations; combs."""
    exact = {name: variance(parse(text), window="full") for name, text in NETWORKS.items()}
    drawn = {name: _drawn(run, name, seed) for seed, name in enumerate(NETWORKS)}
    measured = {name: bootstrap(folded(draws), _sizes) for name, draws in drawn.items()}
    rounds = {m: variance(_rounds(m), window="full") for m in ROUNDS}
    combs = {name: variance(parse(text), window="full") for name, text in COMBS.items()}
    claims = [*_closed_forms(exact), *_larger(measured), *_sampled(exact, measured), *_squares(rounds), *_teeth(combs)]
    tables = [_network_table(exact), _round_table(rounds), _comb_table(combs)]
    shown = {"exact": exact, "drawn": drawn, "rounds": rounds, "combs": combs}
    return Findings(claims, _words(claims, exact, rounds, combs), shown, tables)


def _drawn(run: Run, name: str, seed: int) -> ERF:
    """Random weights and ReLU. The input has as many channels as the layers, so that g^2 is a sum of many."""
    layers = [part for layer in parse(NETWORKS[name]) for part in (layer, Activation("relu"))]
    channels = 16 if run.quick or name in DRAWS else 32
    shape = (1, channels, *receptive_field(Stack(layers)).size)
    inputs = np.random.default_rng([run.seed, seed]).standard_normal(shape)  # the theorem holds for any input that is not zero
    draws = run.either(DRAWS.get(name, 200), 20)
    return run.simulate(Stack(layers), draws=draws, channels=channels, inputs=inputs, seed=run.seed + seed, keep_draws=True)


def _sizes(erf: ERF) -> tuple[float, float]:
    return spread(erf), float(erf.level_size())


def _rounds(times: int) -> Layer:
    return parse(f"conv3 * 12, (conv3:d2, conv3:d4, conv3:d8) * {times}")


# ------------------------------------------------------------------------------------------------ measures


def kurtosis(erf: ERF) -> float:
    """Excess kurtosis of the profile, measured on its pixels."""
    return analytic.tap_cumulants(_profile(erf)).excess_kurtosis


def squareness(profile: Array, level: float = LEVEL) -> float:
    """How far the line at `level` of the centre of an outer product of two profiles reaches along the diagonal, over that along an axis.

    1 for a circle, sqrt 2 for a square. `profile` [2 m + 1], symmetric; between pixels its logarithm is taken as linear.
    """
    return math.sqrt(2) * _reach(profile, math.sqrt(level)) / _reach(profile, level)


def _reach(profile: Array, level: float) -> float:
    """From the centre to where a profile has fallen to `level` of it for good."""
    half = np.log(profile[profile.size // 2 :] / profile[profile.size // 2])
    last = int(np.nonzero(half >= math.log(level))[0][-1])
    return float(last + (half[last] - math.log(level)) / (half[last] - half[last + 1]))


def edgeworth_squareness(excess_kurtosis: float, level: float = LEVEL) -> float:
    """`squareness` to first order in the excess kurtosis k of the profile, ``1 + k ln(level) / 24``.

    On the axis -r^2/2 + k (r^4 - 6 r^2) / 24 = ln(level), on the diagonal the same with half of the fourth power (Edgeworth's series).
    """
    return 1 + excess_kurtosis * math.log(level) / 24


def flatness(erf: ERF) -> float:
    """Largest distance of the profile to the Gaussian of its std, over the Gaussian's peak."""
    profile = _profile(erf)
    x = np.arange(profile.size) - (profile.size - 1) / 2
    normal = analytic.gaussian(x, std=spread(erf))
    return float(np.abs(profile - normal).max() / normal.max())


def comb(erf: ERF) -> float:
    """Centre over largest pixel of the profile; the mean of two centres where there is none."""
    profile = _profile(erf)
    return float(profile[(profile.size - 1) // 2 : profile.size // 2 + 1].mean() / profile.max())


def _profile(erf: ERF) -> Array:
    """The marginal, as shares."""
    profile = np.asarray(erf.marginal(), dtype=np.float64)
    return np.asarray(profile / profile.sum())


# ------------------------------------------------------------------------------------------------ claims


def _closed_forms(exact: dict[str, ERF]) -> list[Claim]:
    why = "sqrt(sum of (2/3) (jump x dilation)^2)"
    claims = [Claim(f"{name}: std, px", spread(erf), theory=_growth(NETWORKS[name]), because=why) for name, erf in exact.items()]
    unrolled = variance(parse("conv3, conv3:d2, conv3:d4, conv3:d8 * 12"), window="full").image
    apart = float(np.abs(exact["strided first"].image / unrolled - 1).max())
    name = "strided first against dilations 1, 2, 4 and 8 in twelve layers: largest relative difference of a pixel"
    same = Claim(name, apart, theory=1e-12, relation="<", because="the same sums; rounding errors only")
    why = "fourth cumulants -(2/3) (jump x dilation)^4 and variances add"
    flat = Claim("dilated: excess kurtosis", kurtosis(exact["dilated"]), theory=_theory(DILATED).excess_kurtosis, because=why)
    return [*claims, same, flat]


def _growth(text: str) -> float:
    """The closed form, from kernels, strides and dilations as plain numbers."""
    kernels, strides, dilations, _ = zip(*(layer.geometry(1) for layer in parse(text, ndim=1)), strict=True)  # type: ignore[attr-defined]
    return analytic.std_of_layers([k for (k,) in kernels], strides=[s for (s,) in strides], dilations=[d for (d,) in dilations])


def _theory(net: str | Layer) -> analytic.Cumulants:
    found = analytic.cumulants(parse(net) if isinstance(net, str) else net, axis=0)
    assert isinstance(found, analytic.Cumulants)
    return found


def _larger(measured: dict[str, Any]) -> list[Claim]:
    """What the paper says of both: larger. Networks are drawn independently, so that relative errors add by squares."""
    (_, dense), (_, dense_error) = measured["dense"]
    claims = []
    for name, ((_, level), (_, error)) in measured.items():
        if name != "dense":
            ratio = level / dense
            off = ratio * math.hypot(error / level, dense_error / dense)
            label = f"{name}, random + ReLU: level size over that of the dense network"
            claims.append(Claim(label, float(ratio), float(off), theory=1.0, relation=">", because="the paper: significantly larger"))
    return claims


def _sampled(exact: dict[str, ERF], measured: dict[str, Any]) -> list[Claim]:
    """E g^2 of chains with ReLU is the exact image, for any width and input."""
    claims = []
    for name, ((std, level), (std_error, level_error)) in measured.items():
        size = exact[name].level_size()
        claims.append(
            Claim(
                f"{name}, random + ReLU: std, px",
                float(std),
                float(std_error),
                theory=_theory(NETWORKS[name]).std,
                because="the linear network's, exactly",
            )
        )
        why = "the exact image's; draws folded by their eight symmetries"
        claims.append(Claim(f"{name}, random + ReLU: level size, px", float(level), float(level_error), theory=float(size), because=why))
    return claims


def _squares(rounds: dict[int, ERF]) -> list[Claim]:
    """Dilated rounds turn round as Edgeworth says, and need many layers to be as Gaussian as the dense network."""
    claims = []
    for m in (9, 20):
        k = _theory(_rounds(m)).excess_kurtosis
        claims.append(
            Claim(
                f"{m} rounds of dilations 2, 4, 8: excess of the level line's reach on the diagonal",
                squareness(_profile(rounds[m])) - 1,
                theory=edgeworth_squareness(k) - 1,
                margin=k**2,
                because="Edgeworth, first order in the kurtosis k; margin k^2",
            )
        )
    square = squareness(_profile(rounds[1]))
    claims.append(
        Claim(
            "one round of dilations 2, 4, 8: reach of the level line on the diagonal over that on the axes",
            square,
            theory=squareness(analytic.profile(parse(DENSE))),
            relation=">",
            because="the dense network's; 1 for a circle, 1.414 for a square",
        )
    )
    return [*claims, _needed(rounds)]


def _needed(rounds: dict[int, ERF]) -> Claim:
    """Layers until the image is as near to its Gaussian as that of the dense network."""
    dense = variance(parse(DENSE)).fit()[0].max_deviation
    found = next(m for m in range(1, 30) if variance(_rounds(m)).fit()[0].max_deviation <= dense)
    wanted = next(m for m in range(1, 30) if abs(_theory(_rounds(m)).excess_kurtosis) <= abs(_theory(DENSE).excess_kurtosis))
    return Claim(
        "layers with rounds of dilations 2, 4, 8 that are as near to a Gaussian as 15 dense ones",
        12 + 3 * found,
        theory=12 + 3 * wanted,
        margin=3,
        because="as many as give the same kurtosis; margin one round, since distance goes with kurtosis to first order only",
    )


def _teeth(combs: dict[str, ERF]) -> list[Claim]:
    why = "the layers' taps convolved one by one"
    return [
        Claim(f"{name}: centre over maximum, per axis", comb(erf), theory=analytic.comb(parse(COMBS[name])), because=why)
        for name, erf in combs.items()
    ]


# ------------------------------------------------------------------------------------------------ tables and words


def _dense_layers(net: str | Layer) -> float:
    """The number of equal 3x3 layers with the same kurtosis, -1.5 / n."""
    return -1.5 / _theory(net).excess_kurtosis


def _network_table(exact: dict[str, ERF]) -> Grid:
    rows = []
    for name, erf in exact.items():
        text = NETWORKS[name]
        trf = receptive_field(parse(text)).size[0]
        level, centre = (erf.level_size(reference=of) for of in ("peak", "centre"))
        sizes = str(trf), f"{spread(erf):.2f}", f"{level:.1f}", f"{centre:.1f}"
        rows.append((name, f"`{text}`", *sizes, f"{_theory(text).excess_kurtosis:.2f}", f"{_dense_layers(text):.1f}"))
    sized = "TRF, px", "std, px", "level size, of the peak", "of the centre"
    header = ("15 layers", "network", *sized, "excess kurtosis", "as n dense layers")
    return Grid("Exact images, and how many dense 3x3 layers are as Gaussian", header, rows)


def _round_table(rounds: dict[int, ERF]) -> Grid:
    rows = []
    for m, erf in rounds.items():
        k = _theory(_rounds(m)).excess_kurtosis
        (fit,) = erf.fit()
        found = f"{squareness(_profile(erf)):.3f}", f"{edgeworth_squareness(k):.3f}", f"{fit.max_deviation:.3f}"
        rows.append((str(m), str(12 + 3 * m), f"{spread(erf):.2f}", f"{k:.3f}", *found))
    found = "diagonal / axis", "Edgeworth", "largest distance to the Gaussian, of the peak"
    header = ("rounds", "layers", "std, px", "excess kurtosis", *found)
    return Grid("12 dense layers and rounds of dilations 2, 4, 8: from square to round", header, rows)


def _comb_table(combs: dict[str, ERF]) -> Grid:
    rows = []
    for name, erf in combs.items():
        level, centre = (erf.level_size(reference=of) for of in ("peak", "centre"))
        rows.append((name, f"{comb(erf):.3f}", f"{spread(erf):.2f}", f"{level:.1f}", f"{centre:.1f}"))
    header = ("network", "centre / maximum, per axis", "std, px", "level size, of the peak", "of the centre")
    return Grid("The comb, and what it does to level sizes", header, rows)


def _words(claims: list[Claim], exact: dict[str, ERF], rounds: dict[int, ERF], combs: dict[str, ERF]) -> str:
    larger = [claim for claim in claims if claim.relation == ">" and "over that of the dense" in claim.name]
    all_larger = "Both are larger, as the paper says" if all(claim.holds for claim in larger) else "Not all are larger beyond doubt"
    times = ", ".join(f"{claim.name.split(',')[0]} {claim.measured:.1f}" for claim in larger)
    std = {name: spread(erf) for name, erf in exact.items()}
    trf = {name: receptive_field(parse(text)).size[0] for name, text in NETWORKS.items()}
    needed = next(claim for claim in claims if claim.name.startswith("layers with rounds"))
    teeth = {name: comb(erf) for name, erf in combs.items()}
    worst = min(teeth, key=lambda name: teeth[name])
    level, centre = (combs[worst].level_size(reference=of) for of in ("peak", "centre"))
    return f"""**{all_larger}**: level sizes in units of the dense network's, random weights and ReLU: {times}. How much a stride
gives depends on where it stands, since it stretches only what comes after it: the same three strides make a std of
{std["strided first"]:.1f} px (TRF {trf["strided first"]}) at the beginning and {std["strided last"]:.1f} px (TRF {trf["strided last"]}) at
the end. The paper does not say where its three are. Strides and dilations are one thing, pixel for pixel: three strided layers first
equal a network without strides whose later layers are dilated.

**Why the dilated field is rectangular.** Three layers dilated by 2, 4 and 8 reach every second pixel of a span of 29, each by one to three
ways, without any trend over the middle: nearly a box. The twelve dense layers, of std {analytic.growth(3, 12):.1f} px, only fill
the gaps and soften its edges, so that the profile keeps a flat top (excess kurtosis {kurtosis(exact["dilated"]):.2f}, up to
{100 * flatness(exact["dilated"]):.0f} % of the peak away from its Gaussian). An outer product of flat-topped profiles has square level
lines; only an outer product of Gaussians is round. The level line
reaches {squareness(_profile(rounds[1])):.3f} times as far along the diagonal as along an axis (circle 1, square {math.sqrt(2):.3f}).

**How many more layers.** Kurtosis falls as one over the number of equal layers. The dilated network is as Gaussian as
{_dense_layers(DILATED):.1f} dense layers, the one strided at the end as {_dense_layers(LAST):.1f}, that strided first as
{_dense_layers(FIRST):.1f} (but for its comb). It takes {needed.measured:g} layers, with the dilations 2, 4, 8 repeated, to come as near
to a Gaussian as 15 dense ones: what the paper says in words, in a number.

**The comb.** A kernel of three taps and stride 2 meets every second pixel twice and the others once. Strided layers at the very
beginning leave that in the image: per axis, the centre has {teeth[worst]:.3f} of the largest pixel, and in the plane the square of it.
Sizes above a level of the *centre*, as the paper defines them, then count {centre:.0f} px instead of {level:.0f} px of the *peak*. A
few dense layers before each stride, or even kernels, remove it."""


# ------------------------------------------------------------------------------------------------ figures


def draw(found: Findings) -> dict[str, Figure]:
    """The paper's figure; why the dilated field is square; the comb."""
    from ._figures import maps

    exact, drawn = found.shown["exact"], found.shown["drawn"]
    columns = [f"{name}, TRF {erf.field_box[1][0] - erf.field_box[0][0] + 1}" for name, erf in exact.items()]
    rows = [list(exact.values()), [mean_of(draws) for draws in drawn.values()]]
    fields = maps(rows, columns=columns, names=("exact", "random + ReLU"), averaged=[8 if name in COMBED else 1 for name in exact])
    return {"subsampling": fields, "dilation": _dilation(found.shown["rounds"]), "comb": _combs(found.shown["combs"])}


def _dilation(rounds: dict[int, ERF]) -> Figure:
    from ._figures import COLORS, panels

    figure, (top, lines, course) = panels(3)
    _flat_top(top, _profile(rounds[1]))
    _level_lines(lines, rounds, COLORS)
    _course(course, rounds)
    return figure


def _flat_top(ax: Any, whole: Array) -> None:
    """What the profile is made of."""
    from ._figures import COLORS, head, legend

    box = analytic.profile(parse("conv3:d2, conv3:d4, conv3:d8"))
    at, wide = np.arange(box.size) - box.size // 2, np.arange(whole.size) - whole.size // 2
    ax.vlines(at[box > 0], 0, box[box > 0], color=COLORS[-1], linewidth=1.1, label="dilated 2, 4, 8 alone")
    ax.plot(at[box > 0], box[box > 0], "o", color=COLORS[-1], markersize=2.5)
    ax.plot(wide, whole, color=COLORS[0], linewidth=1.8, label="with 12 dense layers")
    std = math.sqrt(float(whole @ wide**2))
    fine = np.linspace(wide[0], wide[-1], 400)
    ax.plot(fine, analytic.gaussian(fine, std=std), color=COLORS[1], linewidth=1.3, linestyle="--", label=f"Gaussian, std {std:.1f} px")
    ax.set_ylim(0, 1.5 * box.max())
    head(ax, "A box, softened: flat top", x="input pixel along one axis", y="share of the mass")
    legend(ax, loc="upper left")


def _level_lines(ax: Any, rounds: dict[int, ERF], colors: Any) -> None:
    """A quadrant, in units of each image's std."""
    from ._figures import head, legend

    shown = [m for m in (1, 2, 9) if m in rounds]
    for m, color in zip(shown, colors, strict=False):
        profile = _profile(rounds[m])
        half = profile[profile.size // 2 :] / profile[profile.size // 2]
        at = np.arange(half.size) / spread(rounds[m])
        ax.contour(at, at, np.log(np.multiply.outer(half, half)), levels=[math.log(LEVEL)], colors=[color], linestyles="solid")
        ax.plot([], [], color=color, label=f"{12 + 3 * m} layers, {m} round{'s' if m > 1 else ''}")
    angle, radius = np.linspace(0, math.pi / 2, 200), math.sqrt(-2 * math.log(LEVEL))
    ax.plot(radius * np.cos(angle), radius * np.sin(angle), color=colors[-1], linewidth=1.1, linestyle="--", label="Gaussian")
    ax.set_xlim(0, 3.4)
    ax.set_ylim(0, 3.4 * 2.8 / 3.6)
    ax.set_aspect("equal")
    head(ax, "Level lines: a quadrant", x="distance from the centre, std", y="distance from the centre, std")
    legend(ax, loc="lower left")


def _course(ax: Any, rounds: dict[int, ERF]) -> None:
    from ._figures import COLORS, head, legend

    layers = [12 + 3 * m for m in rounds]
    ax.plot(layers, [squareness(_profile(erf)) for erf in rounds.values()], "o", color=COLORS[0], markersize=4, label="measured")
    every = np.arange(1, max(rounds) + 1)
    line = [edgeworth_squareness(_theory(_rounds(int(m))).excess_kurtosis) for m in every]
    ax.plot(12 + 3 * every, line, color=COLORS[1], linewidth=1.3, label="Edgeworth, from the kurtosis")
    dense = squareness(analytic.profile(parse(DENSE)))
    ax.axhline(dense, color=COLORS[-1], linewidth=1.0, linestyle="--", label="15 dense layers")
    ax.set_ylim(0.99, 1.2)
    head(ax, "From square to round", x="layers: 12 dense, the rest in rounds of dilations 2, 4, 8", y="level line: diagonal / axis")
    legend(ax, loc="upper right")


def _combs(combs: dict[str, ERF]) -> Figure:
    from ._figures import COLORS, head, panels

    figure, axes = panels(len(combs), width=4.4, height=1.9, columns=2)
    for ax, (name, erf) in zip(axes, combs.items(), strict=True):
        profile = _profile(erf)
        at = np.arange(profile.size) - (profile.size - 1) / 2
        ax.bar(at, 100 * profile, width=1.0, color=COLORS[0], linewidth=0)
        ax.axhline(100 * LEVEL * profile.max(), color=COLORS[1], linewidth=1.0, linestyle="--")
        ax.set_xlim(-2.9 * spread(erf), 2.9 * spread(erf))
        text = f"centre / maximum\n{comb(erf):.3f}"
        ax.text(0.98, 0.94, text, transform=ax.transAxes, ha="right", va="top", fontsize=8.5, color="#202124")
        head(ax, name, x="input pixel from the centre (dashed: 0.0455 of the maximum)", y="share of the mass, %")
    return figure
