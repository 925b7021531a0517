"""Units near the border of a map, which the paper's pictures never show.

Its critics expect their fields to have "a significantly different shape". With zero padding the mass of g^2 of a network with random
weights is a random walk that is lost when it steps over the border, one for each axis. So all about it is known: by reflection an exact
count of paths, sum_j T(x - s + 2 j N') - T(x + s + 2 + 2 j N') with T the trinomial coefficients and N' = N + 1 the map's side and one
(Feller, "An Introduction to Probability Theory and Its Applications", vol. 1, chapters III and XIV); for a unit in the corner of a wide
map a Rayleigh distribution; and when the walk has seen both borders, half a sine wave across the map, whatever the unit and the depth.

ReLU changes none of it. tanh does: the border's zeros make its inputs smaller and its gain larger (`_wide_limit`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import analytic
from ..frontends.text import parse
from ..propagation import variance
from ..result import ERF
from ._findings import Claim, Findings, Grid
from ._run import Run
from ._statistics import bootstrap, ratio, spread, total
from ._wide_limit import tanh_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

TITLE = "Units at the border"
SMALL, MAP, WIDE = 24, 32, 512  # sides of maps, in pixels
DEPTHS = (5, 20, 80, 320, 1000)
DISTANCES = (0, 1, 2, 4, 8, 16)  # of units from the border
RELU, TANH = 8, 6  # layers of the networks that are drawn
CHANNELS = 16


def find(run: Run) -> Findings:
    """Exact images against counted walks and their limits, then ReLU and tanh by simulation."""
    deep = {name: {n: _image(MAP, n, at) for n in DEPTHS} for name, at in _units(MAP).items()}
    near = {n: {d: _image(2 * MAP, n, (MAP, d)) for d in DISTANCES} for n in (5, 20, 80)}
    tanh, tanh_grid = _tanh(run)
    claims = [*_counted(), *_rayleigh(), *_sine(deep), *_relu(run), *tanh]
    return Findings(claims, _words(claims, near), {"deep": deep, "near": near}, [_distances(near), tanh_grid])


def _units(side: int) -> dict[str, tuple[int, int]]:
    return {"middle": (side // 2, side // 2), "edge": (side // 2, 0), "corner": (0, 0)}


def _image(side: int, layers: int, unit: tuple[int, int]) -> ERF:
    return variance(parse(f"conv3:p1 * {layers}"), input_size=side, unit=unit, window="full")


# ------------------------------------------------------------------------------------------------ theory


def walk(start: int, steps: int, side: int) -> Array:
    """Share of the three-way walks from `start` that are at each of `side` places after `steps` and have never left them.

    Exact integers: from all walks those are taken away that touch -1 or `side`, each counted as one from a mirror image of the start.
    """
    counts = analytic.coefficients(3, steps)

    def ways(distance: int) -> int:
        return counts[distance + steps] if abs(distance) <= steps else 0

    period = 2 * (side + 1)
    images = range(-(steps // period) - 2, steps // period + 3)
    kept = [sum(ways(x - start + j * period) - ways(x + start + 2 + j * period) for j in images) for x in range(side)]
    return np.array([one / 3**steps for one in kept])


def mean_and_std(shares: Array) -> tuple[float, float]:
    """Of a place, in pixels from the first."""
    found = analytic.tap_cumulants(shares)
    return found.mean, found.std


def sine(side: int) -> Array:
    """The walk's slowest mode between its borders, [side]: sin(pi (x + 1) / (side + 1)), which shrinks by `decay` a step."""
    return np.sin(np.pi * (np.arange(side) + 1) / (side + 1))


def decay(side: int) -> float:
    """(1 + 2 cos(pi / (side + 1))) / 3."""
    return (1 + 2 * math.cos(math.pi / (side + 1))) / 3


# ------------------------------------------------------------------------------------------------ exact images


def _counted() -> list[Claim]:
    """Twenty layers on 64 pixels, in the corner and at the edge."""
    side, layers = 2 * MAP, 20
    one = walk(0, layers, side)
    mean, std = mean_and_std(one)
    corner, edge = _image(side, layers, (0, 0)), _image(side, layers, (MAP, 0))
    why = "walks counted by reflection"
    label = f"{layers} layers, {side} px, unit"
    return [
        Claim(f"{label} in the corner: mean column, px", corner.mean()[1], theory=mean, because=why),
        Claim(f"{label} in the corner: std, px", corner.std()[1], theory=std, because=why),
        Claim(f"{label} in the corner: share lost over the border", corner.border, theory=1 - one.sum() ** 2, because=why),
        Claim(f"{label} at the edge: share lost over the border", edge.border, theory=1 - one.sum(), because=why),
        Claim(
            f"{label} at the edge: std along it, px",
            edge.std()[0],
            theory=analytic.growth(3, layers),
            because="sqrt(2 n / 3): no border met",
        ),
    ]


def _rayleigh() -> list[Claim]:
    """A thousand layers in the corner of a map so wide that the other borders are out of reach."""
    layers = 1000
    corner, free = _image(WIDE, layers, (0, 0)), analytic.growth(3, layers)
    label, why = f"{layers} layers, {WIDE} px, corner:", "Brownian motion; margin: a pixel's share, 1 / std"
    return [
        Claim(
            f"{label} mean over the std in the open", corner.mean()[1] / free, theory=math.sqrt(math.pi / 2), margin=1 / free, because=why
        ),
        Claim(
            f"{label} std over the std in the open", corner.std()[1] / free, theory=math.sqrt(2 - math.pi / 2), margin=1 / free, because=why
        ),
        Claim(
            f"{label} share that is not lost, a side",
            math.sqrt(1 - corner.border),
            theory=math.erf(1 / (free * math.sqrt(2))),
            margin=1 / free**3,
            because="Brownian motion a pixel from the border; margin: 1 / std³",
        ),
    ]


def _sine(deep: dict[str, dict[int, ERF]]) -> list[Claim]:
    """When both borders have been met the image forgets its unit and its depth."""
    layers, half = DEPTHS[-1], 500
    limit = mean_and_std(sine(MAP))[1]
    first, second, third = (1 + 2 * np.cos(np.pi * np.arange(1, 4) / (MAP + 1))) / 3
    even, odd = float((third / first) ** layers), float((second / first) ** layers)
    middle, corner = deep["middle"][layers], deep["corner"][layers]
    shallower = _image(MAP, half, _units(MAP)["middle"])
    lost = math.sqrt((1 - middle.border) / (1 - shallower.border))
    why = "half a sine wave; margin: what is left of the next mode"
    label = f"{layers} layers, {MAP} px"
    return [
        Claim(f"{label}, middle: std, px", spread(middle), theory=limit, margin=limit * odd, because=why),
        Claim(f"{label}, corner: std, px", spread(corner), theory=limit, margin=4 * limit * odd, because=why),
        Claim(
            f"{label}: share kept by {layers - half} more layers, an axis",
            lost,
            theory=decay(MAP) ** (layers - half),
            margin=float((third / first) ** half) + even,
            because="((1 + 2 cos(π / 33)) / 3)^500",
        ),
        Claim(
            f"{label}, middle: std over that in the open",
            spread(middle) / analytic.growth(3, layers),
            theory=1.0,
            relation="<",
            because="the map sets the width, and not the depth",
        ),
    ]


def _distances(near: dict[int, dict[int, ERF]]) -> Grid:
    rows = []
    for n, images in near.items():
        for distance, erf in images.items():
            mean, std = erf.mean()[1], erf.std()
            rows.append(
                (
                    str(n),
                    str(distance),
                    f"{mean - distance:+.2f}",
                    f"{std[1]:.2f}",
                    f"{std[0]:.2f}",
                    f"{erf.level_size():.1f}",
                    f"{erf.border:.1%}",
                )
            )
    header = (
        "layers",
        "distance from the border, px",
        "mean's shift, px",
        "std across, px",
        "std along, px",
        "level size, px",
        "lost over the border",
    )
    return Grid(f"Units before one border of a {2 * MAP} px map, conv3:p1, exact", header, rows)


# ------------------------------------------------------------------------------------------------ draws


def _relu(run: Run) -> list[Claim]:
    """The theorem holds on maps: zeros beyond the border change no gate's symmetry."""
    net, draws = parse(f"(conv3:p1, relu) * {RELU}"), run.either(1_000, 400)
    claims = []
    for k, (name, unit) in enumerate(_units(SMALL).items()):
        erf = run.simulate(net, draws=draws, channels=CHANNELS, input_size=SMALL, unit=unit, seed=run.seed + k, keep_draws=True)
        rows, columns = (walk(at, RELU, SMALL) for at in unit)
        mean, std = mean_and_std(columns)
        label = f"ReLU, {RELU} layers, {SMALL} px, {CHANNELS} channels, {name}"
        why = "walks counted by reflection"
        claims.append(Claim(f"{label}: mean column, px", *bootstrap(erf, lambda image: image.mean()[1]), theory=mean, because=why))
        claims.append(Claim(f"{label}: std across, px", *bootstrap(erf, lambda image: image.std()[1]), theory=std, because=why))
        kept = 2.0 * rows.sum() * columns.sum()
        claims.append(Claim(f"{label}: mean of the sum of g^2", *total(erf), theory=kept, because="2, less what is lost over the border"))
    return claims


def _tanh(run: Run) -> tuple[list[Claim], Grid]:
    """Gains that are larger near the border, against the wide limit for the same inputs, and how much they make of it."""
    draws = run.either(800, 200)
    inputs = np.random.default_rng((run.seed, 1)).standard_normal((draws, 1, SMALL, SMALL))
    net = parse(f"(conv3:p1, tanh) * {TANH}")
    claims = []
    for k, (name, unit) in enumerate(_units(SMALL).items()):
        erf = run.simulate(
            net, draws=draws, channels=CHANNELS, scheme="lecun", inputs=inputs, unit=unit, seed=run.seed + 3 + k, keep_draws=True
        )
        theory = tanh_image(inputs[:, 0], TANH, unit, padding=1).mean(axis=0)
        label = f"tanh, {TANH} layers, {SMALL} px, {CHANNELS} channels, {name}"
        why = "the wide limit for the same inputs"
        # with 16 channels 12,000 draws tell the sum from the limit's, 1.7 % less at the edge; with 8 it is 1.8 %, with 64 nothing is seen
        claims.append(
            Claim(
                f"{label}: mean of the sum of g^2",
                *total(erf),
                theory=float(theory.sum()),
                margin=float(theory.sum()) / CHANNELS,
                because=f"{why}; margin: 1 / channels",
            )
        )
        place = bootstrap(erf, lambda image: image.mean()[1])
        claims.append(Claim(f"{label}: mean column, px", *place, theory=mean_and_std(theory.sum(axis=0))[0], because=why))
    return claims, _gain_table(inputs[:, 0])


def _gain_table(inputs: Array) -> Grid:
    rows = []
    for layers in (2, TANH, 12):
        let = {}
        for name, unit in _units(SMALL).items():
            image = tanh_image(inputs, layers, unit, padding=1).mean(axis=0)
            walks = [walk(at, layers, SMALL) for at in unit]
            let[name] = float(image.sum() / (walks[0].sum() * walks[1].sum())), *[mean_and_std(v)[0] for v in (image.sum(axis=0), walks[1])]
        middle = let["middle"][0]
        rows += [(str(layers), name, f"{gain / middle:.3f}", f"{mean:.2f}", f"{linear:.2f}") for name, (gain, mean, linear) in let.items()]
    header = ("layers", "unit", "mass let through, of the middle's", "mean column, px", "with equal gains, px")
    return Grid(f"tanh on a {SMALL} px map, the wide limit: what larger gains near the border add to what the border takes", header, rows)


# ------------------------------------------------------------------------------------------------ words


def _words(claims: list[Claim], near: dict[int, dict[int, ERF]]) -> str:
    by_name = {claim.name: claim for claim in claims}
    rayleigh = by_name[f"{DEPTHS[-1]} layers, {WIDE} px, corner: std over the std in the open"]
    deep = by_name[f"{DEPTHS[-1]} layers, {MAP} px, middle: std, px"]
    lost = by_name[f"20 layers, {2 * MAP} px, unit in the corner: share lost over the border"]
    relu = [claim for claim in claims if claim.name.startswith("ReLU")]
    tanh = [claim for claim in claims if claim.name.startswith("tanh")]
    sums = {
        name: by_name[f"tanh, {TANH} layers, {SMALL} px, {CHANNELS} channels, {name}: mean of the sum of g^2"] for name in _units(SMALL)
    }
    kept = {name: math.prod(walk(at, TANH, SMALL).sum() for at in unit) for name, unit in _units(SMALL).items()}
    over = {name: ratio((sums[name].measured, sums[name].stderr), (sums["middle"].measured, sums["middle"].stderr)) for name in sums}
    more = {
        name: f"{kept['middle'] / kept[name] * value - 1:.0%} ± {kept['middle'] / kept[name] * error:.0%}"
        for name, (value, error) in over.items()
    }
    counted = [claim for claim in claims if "reflection" in claim.because and not claim.stderr]
    felt = next(d for d in range(MAP) if mean_and_std(walk(d, 80, 2 * MAP))[1] > 0.95 * analytic.growth(3, 80)) / analytic.growth(3, 80)
    first, far = near[20][0], near[20][DISTANCES[-1]]
    return f"""**The critics are right: near a border the field has another shape, and it is known.** Zero padding takes away what steps
over the border. After 20 layers a unit in the corner has lost {lost.measured:.1%} of its mass; at the edge the mean of its field lies
{first.mean()[1]:.2f} px inside, and across the border it is {first.std()[1]:.2f} px wide where units in the open have {far.std()[1]:.2f}.
{sum(claim.holds for claim in counted)} of {len(counted)} numbers of the images equal counts of paths by reflection to 12 digits. In
the corner of a wide map the limit is not a Gaussian but a Rayleigh distribution, {rayleigh.measured:.3f} times as wide as in the open
({rayleigh.theory:.3f} in the limit): however deep, the √n law holds with another factor. A unit loses more than 5 % of its width where
the border is nearer than {felt:.1f} std.

**A network deeper than its map is wide forgets where its unit is.** On {MAP} px the field of every unit tends to half a sine wave across
the map, {deep.theory:.2f} px wide; at {DEPTHS[-1]} layers the middle unit has {deep.measured:.2f} px, where in the open it had
{analytic.growth(3, DEPTHS[-1]):.1f}. Depth then only makes the gradient smaller.

**ReLU leaves all this exact** ({sum(claim.holds for claim in relu)} of {len(relu)} numbers agree with the counts, at {CHANNELS} channels).
**tanh does not:** the zeros beyond the border make its inputs smaller and its gain larger there. With {TANH} layers a unit at the edge
lets through {more["edge"]} more than equal gains would, one in the corner {more["corner"]}; {sum(claim.holds for claim in tanh)} of
{len(tanh)} numbers agree with the wide limit that has these gains place by place."""


# ------------------------------------------------------------------------------------------------ figures


def draw(found: Findings) -> dict[str, Figure]:
    """Images on a map that they outgrow, and the curves behind them."""
    return {"borders": _maps(found.shown["deep"]), "border_profiles": _curves(found.shown["deep"], found.shown["near"])}


def _maps(deep: dict[str, dict[int, ERF]]) -> Figure:
    from ._figures import grid

    note = (
        f"conv3:p1, the whole map of {MAP} × {MAP} px; root of the mass, linear from 0 to its peak; outline: 0.0455 of the peak's mass; "
        "cross: the unit; kept: mass not lost over the border"
    )
    figure, cell = grid([f"{n} layers" for n in DEPTHS], list(deep), note)
    for r, images in enumerate(deep.values()):
        for c, erf in enumerate(images.values()):
            _on_map(cell(r, c), erf)
    return figure


def _on_map(ax: Axes, erf: ERF) -> None:
    from ..plotting import _style

    root = np.sqrt(erf.on_map())
    root = root / root.max()
    ax.imshow(root, cmap=_style.SEQUENTIAL, vmin=0, vmax=1, interpolation="nearest")
    ax.contour(root, levels=[0.0455**0.5], colors="white", linewidths=0.9)
    ax.plot(erf.unit[1], erf.unit[0], "+", color=_style.GAUSSIAN, markersize=8, markeredgewidth=1.6)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_color(_style.EDGE)
    std = " × ".join(dict.fromkeys(f"{value:.1f}" for value in erf.std()))
    text = f"std {std} px, kept {100 * (1 - erf.border):.3g} %"
    ax.text(0, -0.02, text, transform=ax.transAxes, fontsize=_style.SMALL - 1.5, color=_style.MUTED, va="top")


def _curves(deep: dict[str, dict[int, ERF]], near: dict[int, dict[int, ERF]]) -> Figure:
    from ..plotting import _style
    from ._figures import COLORS, head, legend, panels

    figure, (profile, growth, shift) = panels(3)
    for color, (n, erf) in zip(COLORS, deep["corner"].items(), strict=False):
        line = erf.on_map().sum(axis=0)
        profile.plot(np.arange(MAP), line / line.sum(), color=color, label=f"{n} layers", linewidth=1.4)
    limit = sine(MAP) / sine(MAP).sum()
    profile.plot(np.arange(MAP), limit, color=_style.INK, linestyle=":", linewidth=1.6, label="half a sine wave")
    head(profile, f"Unit in the corner of {MAP} px", x="column, px", y="share of the mass")
    legend(profile)

    depths = np.unique(np.geomspace(1, 4000, 40).astype(int))
    places = {"middle": MAP // 2, "corner": 0}
    for color, (name, at) in zip(COLORS, places.items(), strict=False):
        growth.plot(depths, [mean_and_std(walk(at, int(n), MAP))[1] for n in depths], color=color, label=f"{name}, {MAP} px")
    growth.plot(depths, np.sqrt(2 * depths / 3), color=_style.MUTED, linestyle=(0, (4, 2)), linewidth=1, label="in the open, √(2n/3)")
    rayleigh = math.sqrt(2 - math.pi / 2)
    growth.plot(
        depths, rayleigh * np.sqrt(2 * depths / 3), color=_style.MUTED, linestyle=(0, (1, 2)), linewidth=1.2, label="one border, × 0.655"
    )
    growth.axhline(mean_and_std(sine(MAP))[1], color=_style.INK, linestyle=":", linewidth=1.6, label="half a sine wave")
    growth.set_xscale("log")
    growth.set_yscale("log")
    growth.set_ylim(0.4, 40)
    head(growth, "Width against depth", x="layers", y="std, px")
    legend(growth)

    for color, (n, images) in zip(COLORS, near.items(), strict=False):
        stds = [mean_and_std(walk(d, n, 2 * MAP))[1] / math.sqrt(2 * n / 3) for d in range(MAP)]
        scaled = np.arange(MAP) / math.sqrt(2 * n / 3)
        shift.plot(scaled, stds, color=color, label=f"{n} layers")
        places_of_units = [d / math.sqrt(2 * n / 3) for d in images]
        shift.plot(places_of_units, [erf.std()[1] / math.sqrt(2 * n / 3) for erf in images.values()], "o", color=color, markersize=4)
    shift.plot([], [], "o", color=_style.MUTED, markersize=4, label="images (lines: walks)")
    shift.axhline(rayleigh, color=_style.MUTED, linestyle=(0, (1, 2)), linewidth=1.2)
    shift.set_xlim(-0.1, 4)
    head(
        shift,
        "How far a border is felt",
        x="distance from the border, std in the open",
        y="std across, of that in the open",
    )
    legend(shift, loc="lower right", bbox_to_anchor=(1.0, 0.06))
    return figure
