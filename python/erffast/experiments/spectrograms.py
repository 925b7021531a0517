"""Networks for spectrograms: other kernels, strides and borders along frequency than along time, and weight on the outside.

The paper's critics say that the field of a network for sound "doesn't necessarily have to be from a Gaussian towards the center": trained
ones look for peaks, troughs and cliffs, so that it "will have more weightage towards the outside". Three questions are in it.

- Anisotropic networks: each axis has its own sum of independent steps, ``std^2 = sum J^2 (k^2 - 1) / 12``, and frequency has borders.
- Random weights, larger at the outer taps: one layer may have a hole or a ring, two have their peak at the centre again, and since
  cumulants add, the excess kurtosis of n equal layers is that of one over n: every such field becomes a Gaussian.
- Trained weights have signs that agree. One step detector (-1, 0, 1) among any number of smoothing layers makes the gradient a difference
  of two shifted copies: zero at the centre at every depth, with peaks one std of the smoothing to each side.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import analytic
from ..frontends.text import parse
from ..layers import Conv, Stack
from ..propagation import gradient, variance
from ..result import ERF
from ._findings import Claim, Findings, Grid
from ._run import Run
from ._sound import BANDS, FRAMES, spectrogram
from ._statistics import bootstrap
from .borders import mean_and_std, walk

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

TITLE = "Spectrograms: anisotropic networks and weight on the outside"
CHANNELS = 16
# Text, and per axis (frequency, time) the taps and strides of its layers, written out by hand for the closed form.
NETS: dict[str, tuple[str, tuple[list[int], list[int]], tuple[list[int], list[int]]]] = {
    "3×9 kernels": ("(conv3x9, relu) * 6", ([3] * 6, [1] * 6), ([9] * 6, [1] * 6)),
    "time, then frequency": ("(conv1x9, relu) * 4, (conv5x1, relu) * 4", ([1] * 4 + [5] * 4, [1] * 8), ([9] * 4 + [1] * 4, [1] * 8)),
    "strides in time": ("(conv3, relu, conv3/1x2, relu) * 3, conv3", ([3] * 7, [1] * 7), ([3] * 7, [1, 2, 1, 2, 1, 2, 1])),
    "pools in frequency": (
        "(conv3x5, relu, maxpool2x1) * 3, conv3x5",
        ([3, 2, 3, 2, 3, 2, 3], [1, 2, 1, 2, 1, 2, 1]),
        ([5, 1, 5, 1, 5, 1, 5], [1] * 7),
    ),
}
POOLED = "pools in frequency"
LOW = 6  # layers of the network at the low bands
LOW_BANDS = (0, 4, 64)
OUTER = tuple(float(a * a) for a in range(-4, 5))  # tap variances with a hole in the middle
DEPTHS = (1, 2, 4, 8, 16, 32, 64)
STEPS = (1, 4, 16, 64)  # layers of the trained network, the step detector included


def find(run: Run) -> Findings:
    """Sizes per axis on a spectrogram, the low bands, and what becomes of outside weights with depth."""
    image = spectrogram()
    outer = {n: variance(_outer(n), window="full") for n in DEPTHS}
    trained = {n: _trained(n) for n in STEPS}
    anisotropic, rows = _anisotropic(run, image)
    low, fields = _low_bands(run, image)
    claims = [*anisotropic, *low, *_kurtosis(outer), *_steps(trained)]
    shown = {
        "spectrogram": image,
        "fields": fields,
        "outer": outer,
        "rings": {n: variance(Stack([Conv(9, tap_variance=ring())]) * n, window="full") for n in STEPS},
        "trained": trained,
    }
    header = ("network", "TRF, px", "std in frequency, px", "theory", "std in time, px", "theory")
    sizes = Grid(f"ReLU, {CHANNELS} channels, on the spectrogram: std per axis", header, rows)
    return Findings(claims, _words(claims, outer, trained), shown, [sizes, _outer_table(outer)])


# ------------------------------------------------------------------------------------------------ two axes


def _anisotropic(run: Run, image: Array) -> tuple[list[Claim], list[tuple[str, ...]]]:
    """Every axis by its own closed form: exact images, and draws that see the spectrogram."""
    claims, rows = [], []
    for k, (name, (text, *axes)) in enumerate(NETS.items()):
        net, theory = parse(text), [analytic.std_of_layers(kernels, strides=strides) for kernels, strides in axes]
        exact = variance(net).std()
        draws = run.simulate(
            net, draws=run.either(400, 80), channels=CHANNELS, inputs=image, seed=run.seed + k, unit=_middle(net), keep_draws=True
        )
        measured, errors = bootstrap(draws, lambda mean: np.array(mean.std()))
        for a, axis in enumerate(("frequency", "time")):
            why = "√Σ J² (k² − 1) / 12"
            claims.append(Claim(f"{name}, exact: std in {axis}, px", exact[a], theory=theory[a], because=why))
            likely = f"{why}, either tap of a pool as likely" if name == POOLED else why
            label = f"{name}, ReLU on the spectrogram: std in {axis}, px"
            claims.append(Claim(label, float(measured[a]), float(errors[a]), theory=theory[a], because=likely))
        shape = "×".join(str(side) for side in draws.receptive_field.size)
        cells = [cell for a in (0, 1) for cell in (f"{measured[a]:.2f} ± {errors[a]:.2f}", f"{theory[a]:.2f}")]
        rows.append((f"{name}: `{text}`", shape, *cells))
    return claims, rows


def _middle(net: Stack) -> tuple[int, int]:
    """The unit whose field lies in the middle of the spectrogram."""
    from ..geometry import receptive_field

    field = receptive_field(net)
    low, high = ((side - centre) / jump for side, centre, jump in zip((BANDS / 2, FRAMES / 2), field.centre, field.jump, strict=True))
    return int(low), int(high)


def _low_net() -> Stack:
    return parse(f"(conv3x9:p1x4, relu) * {LOW}")


def _low_bands(run: Run, image: Array) -> tuple[list[Claim], dict[int, ERF]]:
    """Units at low bands: a walk along frequency that is lost below band 0; time is far from its borders."""
    claims, fields = [], {}
    for k, band in enumerate(LOW_BANDS):
        unit = band, FRAMES * (k + 1) // 4
        fields[band] = variance(_low_net(), input_size=(BANDS, FRAMES), unit=unit)
        draws = run.simulate(
            _low_net(), draws=run.either(400, 80), channels=CHANNELS, inputs=image, unit=unit, seed=run.seed + 10 + k, keep_draws=True
        )
        mean, std = mean_and_std(walk(band, LOW, BANDS))
        why = "walks counted by reflection"
        label = f"{LOW} layers of 3×9 on {BANDS} bands, unit at band {band}"
        claims.append(Claim(f"{label}, exact: mean band", fields[band].mean()[0], theory=mean, because=why))
        found, error = bootstrap(draws, lambda mean: np.array([mean.mean()[0], mean.std()[0]]))
        claims.append(Claim(f"{label}, ReLU: mean band", float(found[0]), float(error[0]), theory=mean, because=why))
        claims.append(Claim(f"{label}, ReLU: std in frequency, px", float(found[1]), float(error[1]), theory=std, because=why))
    return claims, fields


# ------------------------------------------------------------------------------------------------ outside weights


def _outer(layers: int) -> Stack:
    return Stack([Conv(9, tap_variance=OUTER)], ndim=1) * layers


def ring() -> Array:
    """Tap variances [9, 9] of a ring: a Gaussian bump about radius 3.5, in pixels."""
    at = np.arange(9) - 4.0
    return np.asarray(np.exp(-np.square(np.hypot(at[:, None], at) - 3.5) / 0.5))


def excess_kurtosis(line: Array) -> float:
    """Of a distribution on 0, 1, 2, ...: fourth cumulant over the square of the variance."""
    return analytic.tap_cumulants(line).excess_kurtosis


def _kurtosis(outer: dict[int, ERF]) -> list[Claim]:
    """Tap variances a^2 for a = -4 .. 4: moments are sums of powers, 60, 708 and 9780."""
    second, fourth = 708 / 60, 9780 / 60
    one = fourth / second**2 - 3
    claims = []
    for n, erf in outer.items():
        why = "(m4 / m2² − 3) / n with m2 = 708 / 60, m4 = 9780 / 60"
        label = f"outside taps, {n} layer{'s' if n > 1 else ''}"
        claims.append(Claim(f"{label}: excess kurtosis", excess_kurtosis(erf.image), theory=one / n, because=why))
    why = "two layers of any symmetric profile: Σ v(a) v(a − x) is largest at x = 0 (Cauchy and Schwarz)"
    claims.append(Claim("outside taps, 2 layers: centre over peak", centre_over_peak(outer[2].image), theory=1.0, because=why))
    for n in DEPTHS[-3:]:
        line = outer[n].image / outer[n].image.sum()
        gaussian = 1 / math.sqrt(2 * math.pi * second * n)
        # at the centre Edgeworth's first term is 1 + (excess kurtosis) He4(0) / 24, He4(0) = 3; the next is of order 1 / n^2
        label = f"outside taps, {n} layers: centre over the Gaussian's peak"
        why = "Edgeworth, first order in 1 / n; margin 1 / n² and the ripple, ∫ |v̂|ⁿ beyond the first zero of v̂"
        margin = 1 / n**2 + ripple(n) / gaussian
        claims.append(Claim(label, float(line[len(line) // 2] / gaussian), theory=1 + one / n / 8, margin=margin, because=why))
    return claims


def ripple(layers: int) -> float:
    """The largest that frequencies beyond the first zero of the taps' transfer function can add to a pixel, of all mass.

    Edgeworth's series is about low frequencies. Taps that are large at the ends nearly are a comb, whose teeth many layers blur.
    """
    frequency = np.linspace(0, np.pi, 4001)
    taps = np.arange(-4, 5)
    transfer = np.cos(np.multiply.outer(frequency, taps)) @ np.array(OUTER) / sum(OUTER)
    first = int(np.argmax(transfer < 0))
    return float(np.mean(np.where(np.arange(len(frequency)) >= first, np.abs(transfer) ** layers, 0.0)))


def centre_over_peak(line: Array) -> float:
    """1 where the centre is the peak, 0 where it is a hole."""
    return float(line[len(line) // 2] / line.max())


def _outside(line: Array) -> float:
    """Share of the mass farther than one std from the mean; 0.317 for a Gaussian."""
    share, at = line / line.sum(), np.arange(len(line))
    mean = share @ at
    return float(share[np.abs(at - mean) > math.sqrt(share @ np.square(at - mean))].sum())


def _outer_table(outer: dict[int, ERF]) -> Grid:
    rows = [
        (
            str(n),
            f"{erf.std()[0]:.2f}",
            f"{excess_kurtosis(erf.image):+.3f}",
            f"{centre_over_peak(erf.image):.3f}",
            f"{_outside(erf.image):.3f}",
        )
        for n, erf in outer.items()
    ]
    header = ("layers", "std, px", "excess kurtosis", "centre over peak", "mass beyond one std (Gaussian: 0.317)")
    return Grid("Random layers of nine taps whose variances grow as the square of the distance, one axis", header, rows)


# ------------------------------------------------------------------------------------------------ trained


def _trained(layers: int) -> ERF:
    """The squared gradient of one step detector along frequency and uniform layers otherwise, 3x3."""
    step = np.multiply.outer([-1.0, 0.0, 1.0], np.ones(3))
    weights = [step, *[np.ones((3, 3))] * (layers - 1)]
    signed: Any = gradient(parse(f"conv3 * {layers}"), weights, window="full")
    return ERF.from_gradients(signed.image, axes="HW", reduction="square")


def _steps(trained: dict[int, ERF]) -> list[Claim]:
    claims = []
    for n, erf in trained.items():
        line = erf.image.sum(axis=1)
        counts = np.array(analytic.pmf(3, n - 1))
        exact = np.square(np.convolve(counts, [-1, 0, 1]))
        label = f"step detector and {n - 1} smoothing layers"
        claims.append(Claim(f"{label}: centre over peak", centre_over_peak(line), theory=0.0, because="T(x − 1) − T(x + 1) is odd"))
        std = mean_and_std(exact)[1]
        why = "trinomial coefficients, differences squared"
        claims.append(Claim(f"{label}: std across the step, px", mean_and_std(line)[1], theory=std, because=why))
    deepest = trained[STEPS[-1]]
    smoothing = analytic.growth(3, STEPS[-1] - 1)
    line = deepest.image.sum(axis=1)
    away = abs(int(np.argmax(line)) - len(line) // 2)
    label = f"step detector and {STEPS[-1] - 1} smoothing layers"
    why = "x² exp(−x² / std²): Gaussian limit; margin: half a pixel and 1 / n"
    claims.append(
        Claim(
            f"{label}: peaks from the centre, std of the smoothing",
            away / smoothing,
            theory=1.0,
            margin=0.5 / smoothing + 1 / STEPS[-1],
            because=why,
        )
    )
    wider = mean_and_std(line)[1] / (smoothing / math.sqrt(2))
    why = "√3, the Gaussian limit; margin 1 / n"
    claims.append(Claim(f"{label}: std over that of smoothing alone", wider, theory=math.sqrt(3), margin=1 / STEPS[-1], because=why))
    return claims


# ------------------------------------------------------------------------------------------------ words


def _words(claims: list[Claim], outer: dict[int, ERF], trained: dict[int, ERF]) -> str:
    sizes = [claim for claim in claims if "std in" in claim.name and "ReLU" in claim.name and "band" not in claim.name]
    low = [claim for claim in claims if "bands, unit" in claim.name]
    lowest = next(claim for claim in low if "band 0, ReLU: mean" in claim.name)
    kurtosis = [claim for claim in claims if "kurtosis" in claim.name]
    away, wider = claims[-2:]
    hole = {n: centre_over_peak(erf.image) for n, erf in outer.items()}
    beyond = {n: _outside(outer[n].image) for n in (1, 2, DEPTHS[-1])}
    zero = max(centre_over_peak(erf.image.sum(axis=1)) for erf in trained.values())
    return f"""**Each axis has its own size.** Kernels, strides and pools that differ between frequency and time make elliptic fields, and
the closed form per axis gives their sizes: {sum(claim.holds for claim in sizes)} of {len(sizes)} measured with ReLU on a spectrogram (a
voice, chirps, clicks) agree. What the spectrogram shows does not matter, as for every input of a ReLU chain. Frequency is an axis with
borders: at band 0 the mean of the field lies at band {lowest.measured:.2f} ± {lowest.stderr:.2f}, and {sum(claim.holds for claim in low)}
of {len(low)} numbers agree with counted walks.

**More weight outside than at the centre: possible in shallow random networks, not in deep ones.** One layer whose outer taps are the
largest has its hole: the centre has {hole[1]:.2g} of the peak, and {beyond[1]:.0%} of the mass lies beyond one std, where a Gaussian has
{math.erfc(0.5**0.5):.0%}. Two layers of any symmetric profile have their peak at the centre again, here with {beyond[2]:.0%} of the mass
outside; after {DEPTHS[-1]} it is {beyond[DEPTHS[-1]]:.0%}. The excess kurtosis falls as 1/n exactly
({sum(claim.holds for claim in kurtosis)} of {len(kurtosis)} depths), as it does for any profile, since cumulants add.

**In trained networks it is possible at any depth.** The theory is about independent weights. One layer that detects a step, with opposite
signs on its two sides, leaves {zero:.2g} of the peak at the centre however many smoothing layers join it, and two peaks
{away.measured:.2f} std of the smoothing from it; the field is {wider.measured:.2f} times as wide as without the detector. So the critics
are right about shallow and about trained networks, and the paper about deep random ones."""


# ------------------------------------------------------------------------------------------------ figures


def draw(found: Findings) -> dict[str, Figure]:
    """Fields on the spectrogram, holes that fill and holes that stay, and how fast they fill."""
    shown = found.shown
    return {
        "spectrograms": _fields(shown["spectrogram"], shown["fields"]),
        "spectrograms_outside": _holes(shown["rings"], shown["trained"]),
        "spectrograms_depth": _depth(shown["outer"], shown["trained"]),
    }


def _fields(image: Array, fields: dict[int, ERF]) -> Figure:
    from ..plotting import _figures, _style
    from ._figures import COLORS, legend

    figure = _style.new_figure(8.4, 3.4)
    ax = _figures.panel(figure, 0.75, 0.78, 7.5, 2.3, f"Three units on a spectrogram, {LOW} layers of 3×9")
    extent = (-0.5, FRAMES - 0.5, -0.5, BANDS - 0.5)
    ax.imshow(image, cmap="gray_r", origin="lower", extent=extent, aspect="auto", vmin=-2, vmax=3)
    for color, (band, erf) in zip(COLORS, fields.items(), strict=False):
        mass = erf.on_map()
        ax.contour(mass / mass.max(), levels=[0.0455], colors=[color], linewidths=1.6)
        (low, first), (high, last) = erf.field_box
        across = [first - 0.5, last + 0.5, last + 0.5, first - 0.5, first - 0.5]
        ax.plot(across, [low - 0.5, low - 0.5, high + 0.5, high + 0.5, low - 0.5], color=color, linewidth=0.9, linestyle=(0, (4, 2)))
        ax.plot(erf.unit[1], erf.unit[0], "+", color=color, markersize=7, markeredgewidth=1.5, label=f"unit at band {band}", clip_on=False)
    ax.set_xlim(-0.5, FRAMES - 0.5)
    ax.set_ylim(-0.5, BANDS - 0.5)
    _style.plain_axes(ax)
    ax.set_xlabel("frame, 10 ms", fontsize=_style.TICK, color=_style.INK)
    ax.set_ylabel("mel band", fontsize=_style.TICK, color=_style.INK)
    legend(ax, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncol=3, borderaxespad=0.2)
    note = "dark: loud; solid: 0.0455 of the peak of E g²; dashed: theoretical field, which padding lets reach below band 0"
    figure.text(0.75 / 8.4, 0.08 / 3.4, note, fontsize=_style.SMALL - 1.5, color=_style.MUTED)
    return figure


def _holes(rings: dict[int, ERF], trained: dict[int, ERF]) -> Figure:
    from ._figures import grid, heat_map

    note = (
        "root of the mass, linear from 0 to its peak; outline: 0.0455 of the peak's mass; six std across, or the theoretical field (dashed)"
    )
    figure, cell = grid([f"{n} layer{'s' if n > 1 else ''}" for n in STEPS], ("random: ring of taps", "trained: a step"), note)
    for r, images in enumerate((rings, trained)):
        for c, erf in enumerate(images.values()):
            heat_map(cell(r, c), erf, min(max(erf.receptive_field.size) + 2, 6 * max(erf.std())))
    return figure


def _depth(outer: dict[int, ERF], trained: dict[int, ERF]) -> Figure:
    from ..plotting import _style
    from ._figures import COLORS, head, legend, panels

    figure, (lines, kurtosis, steps) = panels(3)
    for color, n in zip(COLORS, DEPTHS[:5], strict=False):
        line, std = outer[n].image / outer[n].image.sum(), outer[n].std()[0]
        at = (np.arange(len(line)) - len(line) // 2) / std
        lines.plot(at, line * std, color=color, label=f"{n} layer{'s' if n > 1 else ''}", linewidth=1.3, marker="o", markersize=2)
    at = np.linspace(-3.5, 3.5, 141)
    gaussian = np.exp(-at * at / 2) / math.sqrt(2 * math.pi)
    lines.plot(at, gaussian, color=_style.INK, linestyle=":", linewidth=1.6, label="Gaussian")
    lines.set_xlim(-3.5, 3.5)
    head(lines, "Random, outer taps the largest", x="distance from the centre, std", y="density of E g², per std")
    legend(lines)

    depths = np.array(DEPTHS)
    second, fourth = 708 / 60, 9780 / 60
    kurtosis.plot(depths, -(fourth / second**2 - 3) / depths, color=COLORS[0], label="theory, 1.83 / n")
    kurtosis.plot(depths, [-excess_kurtosis(outer[n].image) for n in DEPTHS], "o", color=COLORS[0], markersize=4, label="exact images")
    kurtosis.plot(depths, 1.2 * 82 / 80 / depths, color=_style.MUTED, linestyle=(0, (4, 2)), linewidth=1, label="equal taps, 1.23 / n")
    kurtosis.set_xscale("log", base=2)
    kurtosis.set_yscale("log")
    head(kurtosis, "How fast a hole is forgotten", x="layers", y="− excess kurtosis")
    legend(kurtosis)

    for color, (n, erf) in zip(COLORS, trained.items(), strict=False):
        line = erf.image.sum(axis=1) / erf.image.sum()
        std = max(analytic.growth(3, n - 1), 1.0)
        places = (np.arange(len(line)) - len(line) // 2) / std
        steps.plot(places, line * std, color=color, label=f"{n} layer{'s' if n > 1 else ''}", linewidth=1.3, marker="o", markersize=2)
    limit = 2 * at * at * np.exp(-at * at) / math.sqrt(math.pi)
    steps.plot(at, limit, color=_style.INK, linestyle=":", linewidth=1.6, label="x² exp(−x²)")
    steps.set_xlim(-3.5, 3.5)
    head(steps, "Trained, one step detector", x="distance from the centre, std of the smoothing", y="density of g², per std")
    legend(steps)
    return figure
