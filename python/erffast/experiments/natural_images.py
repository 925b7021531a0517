"""Natural images as inputs, where the paper has noise.

Its critics ask for them. Photographs are unlike noise in two ways: neighbours are alike, and some places have more contrast than
others. Here random networks see crops of photographs, and beside them noise and constants.

- A chain of convolutions and ReLU without biases cannot tell in the mean: E g^2 is the same for every input that is not zero, at any
  width. Draws can: where all pixels are equal all gates of a channel are, and with one channel n of them are open together or not at all.
- tanh can: its gain falls where its input is far from 0, which is the photograph's mean. In wide networks the mean of g^2 for a given
  input follows (`_wide_limit`).
- A max-pool can: it looks where its window is largest, which in a smooth image is at a corner. For a normal field that is a probability
  that eight normal variables are negative at once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import analytic
from ..frontends.text import parse
from ..layers import Stack
from ..result import ERF
from ._findings import SIGMAS, Claim, Findings, Grid
from ._max_places import normal_windows, outer_share
from ._photographs import crops, photographs
from ._run import Run
from ._statistics import bootstrap, ratio, spread, total
from ._wide_limit import tanh_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

TITLE = "Natural images as inputs"
DEEP, NARROW, SMOOTH = 20, 5, 8  # layers of the wide and of the one-channel ReLU networks, and of the tanh ones
CHANNELS = 32
FAINT, STRONG = 0.3, 3.0  # contrast of the halves of half-lit noise
LOPSIDED = "the most lopsided crop"
CORRELATIONS = (0.5, 0.9, 0.99)
POOLED = "(conv3, relu, conv3, relu, maxpool3/2) * 3"


class Lopsided(NamedTuple):
    """A crop, and what networks make of it."""

    crop: Array  # [side, side]
    theory: Array  # E g^2 of the wide tanh network
    tanh: ERF  # draws
    relu: ERF


class Corner(NamedTuple):
    """What a 3x3 max-pool makes of one kind of input, rows and columns together."""

    correlation: float  # of neighbours
    variance: float  # of the largest value's place, per axis
    stderr: float


def find(run: Run) -> Findings:
    """The mean and the spread of ReLU networks, the lean of tanh networks, the corners of max-pools."""
    photos = photographs()
    some = list(photos.values())
    wide = _relu(run, some, DEEP, CHANNELS, run.either(300, 40))
    narrow = _relu(run, some, NARROW, 1, run.either(40_000, 10_000))
    tanh = _tanh(run, some)
    lopsided = _lopsided(run, some)
    corners = _corners(run, photos)
    pooled = _pooled(run, some)
    claims = [*_theorem(wide, DEEP), *_theorem(narrow, NARROW), *_dead(narrow), *tanh, *_lean(lopsided)]
    claims += [*_white_and_smooth(run), *_photographed(corners), *_pool_claims(pooled)]
    shown = {"wide": wide, "inputs": _examples(run, some), "lopsided": lopsided, "corners": corners}
    return Findings(claims, _words(claims, corners), shown, [_spreads(wide, narrow), _corner_table(corners)])


def _noise(run: Run, side: int, count: int, seed: int) -> Array:
    return np.random.default_rng((run.seed, seed)).standard_normal((count, 1, side, side))


def _relu(run: Run, photos: list[Array], layers: int, channels: int, draws: int) -> dict[str, ERF]:
    """Networks of their own for every kind of input."""
    net, side = parse(f"(conv3, relu) * {layers}"), analytic.field_size(3, layers)
    inputs = {"noise": "normal", "constant": "constant", "photographs": crops(photos, side, draws, run.seed)}
    return {
        name: run.simulate(net, draws=draws, channels=channels, inputs=given, seed=run.seed + k, keep_draws=True)
        for k, (name, given) in enumerate(inputs.items())
    }


# ------------------------------------------------------------------------------------------------ ReLU


def _theorem(drawn: dict[str, ERF], layers: int) -> list[Claim]:
    """Whatever the input, the mean of g^2 is that of the linear network.

    Its sum is left out for the deep networks: a few draws hold most of it, and the error of the mean of some hundred is not normal.
    """
    claims = []
    for name, draws in drawn.items():
        label = f"ReLU, {_size_of(layers)}, {name}"
        size, error = bootstrap(draws, spread)
        why = "sqrt(2 n / 3), for every input that is not zero, at any width"
        claims.append(Claim(f"{label}: std, px", size, error, theory=analytic.growth(3, layers), because=why))
        if layers == NARROW:
            mean, error = total(draws)
            why = "2 for every convolution, 1/2 for every gate but the last"
            claims.append(Claim(f"{label}: mean of the sum of g^2", mean, error, theory=2.0, because=why))
    return claims


def _size_of(layers: int) -> str:
    return f"{layers} layers, {CHANNELS} channels" if layers == DEEP else f"{layers} layers, 1 channel"


def _dead(narrow: dict[str, ERF]) -> list[Claim]:
    """Constant inputs: the gates of a layer are all open or all shut. Photographs lie between these and noise."""
    shares = {name: _share(erf.dead, erf.draws) for name, erf in narrow.items()}
    label = f"ReLU, {_size_of(NARROW)}"
    never = 1 - 2.0 ** (1 - NARROW)
    return [
        Claim(f"{label}, noise: share of dead draws", *shares["noise"]),
        Claim(
            f"{label}, constant: share of dead draws", *shares["constant"], theory=never, because="1 - 2^-4: all gates of a layer are one"
        ),
        Claim(
            f"{label}, photographs: share of dead draws",
            *shares["photographs"],
            theory=never,
            relation="<",
            because="a crop is not quite constant",
        ),
        Claim(
            f"{label}, photographs: share of dead draws over that of noise",
            *ratio(shares["photographs"], shares["noise"]),
            theory=1.0,
            relation=">",
            because="neighbours that are alike are shut together",
        ),
    ]


def _share(some: int, of: int) -> tuple[float, float]:
    """And its standard error."""
    return some / of, math.sqrt(some / of * (1 - some / of) / of)


def _spreads(wide: dict[str, ERF], narrow: dict[str, ERF]) -> Grid:
    """What differs from draw to draw."""
    rows = []
    for layers, drawn in ((DEEP, wide), (NARROW, narrow)):
        for name, draws in drawn.items():
            logarithms, centres, squares = _of_each(draws)
            row = (f"{draws.dead / draws.draws:.1%}", f"{logarithms.std(ddof=1):.2f}", f"{centres.std(axis=0, ddof=1).mean():.2f}")
            rows.append((f"{name}, {_size_of(layers)}", *row, f"{math.sqrt(squares.mean()):.2f}"))
    header = ("ReLU on", "dead draws", "std of the logarithm of the mass", "std of a draw's centre, px", "std of the mass in a draw, px")
    return Grid("What the input does change with ReLU: the spread between the draws that are not dead", header, rows)


def _of_each(draws: ERF) -> tuple[Array, Array, Array]:
    """Of the draws that are not dead: logarithms of the mass [draws], centres and variances [draws, axes]."""
    images = draws.image[draws.image.any(axis=(1, 2))]
    exponents = np.asarray(draws.exponent)[draws.image.any(axis=(1, 2))]
    masses = images.sum(axis=(1, 2))
    at = np.arange(images.shape[1], dtype=np.float64)
    lines = np.stack([images.sum(axis=2), images.sum(axis=1)], axis=1) / masses[:, None, None]
    centres = lines @ at
    return np.log(masses) + exponents * math.log(2), centres, lines @ (at * at) - centres**2


# ------------------------------------------------------------------------------------------------ tanh


def _tanh(run: Run, photos: list[Array]) -> list[Claim]:
    """Noise, photographs, and noise with more contrast in its right half: means over draws against the wide limit for the same inputs."""
    draws, side = run.either(800, 250), analytic.field_size(3, SMOOTH)
    light = np.where(np.arange(side) > SMOOTH, STRONG, FAINT)
    inputs = {
        "noise": _noise(run, side, draws, 1),
        "photographs": crops(photos, side, draws, run.seed + 1),
        "half-lit noise": _noise(run, side, draws, 2) * light,
    }
    claims = []
    for k, (name, given) in enumerate(inputs.items()):
        erf = run.simulate(_tanh_net(), draws=draws, channels=CHANNELS, scheme="lecun", inputs=given, seed=run.seed + k, keep_draws=True)
        theory = tanh_image(given[:, 0], SMOOTH, (0, 0)).sum(axis=0) / draws
        label, why = f"tanh, {SMOOTH} layers, {CHANNELS} channels, {name}", "the wide limit for the same inputs"
        # 8,000 draws tell 32 channels from the limit, by 1.5 % on noise, and their shape not
        mass = float(theory.sum())
        because = f"{why}; margin: 1 / channels"
        claims.append(Claim(f"{label}: mean of the sum of g^2", *total(erf), theory=mass, margin=mass / CHANNELS, because=because))
        if name == "half-lit noise":
            place = bootstrap(erf, lambda mean: mean.mean()[1])
            claims.append(Claim(f"{label}: centre's column, of 0 to {side - 1}", *place, theory=_centre(theory)[1], because=why))
        else:
            claims.append(Claim(f"{label}: std, px", *bootstrap(erf, spread), theory=_std(theory), because=why))
    return claims


def _tanh_net() -> Stack:
    return parse(f"(conv3, tanh) * {SMOOTH}")


def _centre(image: Array) -> Array:
    """Mean row and column of the mass."""
    share = image / image.sum()
    return np.array([np.arange(image.shape[axis]) @ share.sum(axis=1 - axis) for axis in (0, 1)])


def _std(image: Array) -> float:
    """Root mean square over the axes of the std."""
    share, centre = image / image.sum(), _centre(image)
    return math.sqrt(np.mean([np.square(np.arange(image.shape[axis]) - centre[axis]) @ share.sum(axis=1 - axis) for axis in (0, 1)]))


def _lopsided(run: Run, photos: list[Array]) -> Lopsided:
    """Of some crops that on which theory has the unit lean farthest, and networks that see it and nothing else."""
    side, draws = analytic.field_size(3, SMOOTH), run.either(800, 200)
    candidates = crops(photos, side, run.either(400, 100), run.seed + 2)[:, 0]
    images = tanh_image(candidates, SMOOTH, (0, 0))
    leans = [float(np.hypot(*(_centre(image) - SMOOTH))) for image in images]
    farthest = int(np.argmax(leans))
    crop = candidates[farthest]
    how: dict[str, Any] = {"draws": draws, "channels": CHANNELS, "inputs": crop[None, None], "keep_draws": True}
    tanh = run.simulate(_tanh_net(), scheme="lecun", seed=run.seed + 3, **how)
    relu = run.simulate(parse(f"(conv3, relu) * {SMOOTH}"), seed=run.seed + 4, **how)
    return Lopsided(crop, images[farthest], tanh, relu)


def _lean(found: Lopsided) -> list[Claim]:
    """Along the direction that theory has the centre move in; the field's middle counts as `SMOOTH`."""
    middle = np.full(2, float(SMOOTH))
    moved = _centre(found.theory) - middle
    along = moved / np.hypot(*moved)

    def place(mean: ERF) -> float:
        return float(SMOOTH + (np.array(mean.mean()) - middle) @ along)

    label = f"{LOPSIDED}: centre of the mass along the way of its lean, the field's middle being {SMOOTH}, px"
    theory = SMOOTH + float(np.hypot(*moved))
    return [
        Claim(f"tanh, {label}", *bootstrap(found.tanh, place), theory=theory, because="the wide limit for this crop"),
        Claim(f"ReLU, {label}", *bootstrap(found.relu, place), theory=float(SMOOTH), because="the theorem: no input moves it"),
    ]


# ------------------------------------------------------------------------------------------------ max-pools


def _pooled_once(run: Run, windows: Array, seed: int) -> tuple[float, float]:
    """Mean variance per axis of the place of the largest of 3x3 values, and its standard error."""
    draws = run.simulate(parse("maxpool3"), draws=len(windows), inputs=windows, seed=run.seed + seed, keep_draws=True)
    shares = draws.image > 0
    outer = (shares[:, :, [0, 2]].any(axis=(1, 2)).astype(float) + shares[:, [0, 2]].any(axis=(1, 2))) / 2
    return float(outer.mean()), float(outer.std(ddof=1) / math.sqrt(len(outer)))


def _white_and_smooth(run: Run) -> list[Claim]:
    count = run.either(20_000, 3_000)
    cases = [("white", 0.0), *(("smooth", r) for r in CORRELATIONS), ("rough", CORRELATIONS[-1])]
    claims = []
    for k, (kind, r) in enumerate(cases):
        found, error = _pooled_once(run, normal_windows(kind, r, count, run.seed + k), k)
        label = "white noise" if kind == "white" else f"{kind} normal field, neighbours {r:g} alike"
        theory = 2 / 3 if kind == "white" else outer_share(kind, r)
        why = "(k² - 1) / 12" if kind == "white" else "orthant probabilities; margin: their error"
        margin = 0.0 if kind == "white" else 1e-3
        name = f"maxpool3, {label}: variance of the place per axis, px²"
        claims.append(Claim(name, found, error, theory=theory, margin=margin, because=why))
    return claims


def _corners(run: Run, photos: dict[str, Array]) -> dict[str, Corner]:
    count = run.either(4_000, 600)
    found = {}
    for k, (name, photo) in enumerate(photos.items()):
        variance, error = _pooled_once(run, crops([photo], 3, count, run.seed + 10 + k), k)
        correlation = float((photo[1:] * photo[:-1]).mean() + (photo[:, 1:] * photo[:, :-1]).mean()) / 2
        found[name] = Corner(correlation, variance, error)
    return found


def _mean_corner(corners: dict[str, Corner]) -> tuple[float, float]:
    """Over the photographs, with the error that the draws leave."""
    errors = [corner.stderr for corner in corners.values()]
    return float(np.mean([corner.variance for corner in corners.values()])), math.hypot(*errors) / len(errors)


def _photographed(corners: dict[str, Corner]) -> list[Claim]:
    """Photographs have grain and edges: between noise and fields that are smooth."""
    mean = _mean_corner(corners)
    smooth = float(np.mean([outer_share("smooth", corner.correlation) for corner in corners.values()]))
    label = "maxpool3, mean over the photographs: variance of the place per axis"
    return [
        Claim(f"{label}, px²", *mean),
        Claim(f"{label}, over that in white noise", *ratio(mean, (2 / 3, 0.0)), theory=1.0, relation=">", because="neighbours are alike"),
        Claim(
            f"{label}, over that in smooth normal fields whose neighbours are as alike",
            *ratio(mean, (smooth, 0.0)),
            theory=1.0,
            relation="<",
            because="grain and edges: what is not smooth turns within a window",
        ),
    ]


def _corner_table(corners: dict[str, Corner]) -> Grid:
    rows = [
        (
            name,
            f"{corner.correlation:.3f}",
            f"{corner.variance:.3f} ± {corner.stderr:.3f}",
            f"{outer_share('smooth', corner.correlation):.3f}",
            f"{outer_share('rough', corner.correlation):.3f}",
        )
        for name, corner in corners.items()
    ]
    header = ("photograph", "correlation of neighbours", "variance per axis, px²", "smooth normal field", "rough normal field")
    return Grid("Where the largest of 3×3 pixels lies: 2/3 for white noise, 1 where it is always a corner", header, rows)


def _pooled(run: Run, photos: list[Array]) -> dict[str, ERF]:
    net, draws = parse(POOLED), run.either(600, 80)
    side = 43
    inputs = {"noise": _noise(run, side, draws, 5), "photographs": crops(photos, side, draws, run.seed + 5)}
    return {
        name: run.simulate(net, draws=draws, channels=16, inputs=given, seed=run.seed + k, keep_draws=True)
        for k, (name, given) in enumerate(inputs.items())
    }


def _pool_claims(pooled: dict[str, ERF]) -> list[Claim]:
    """Three stages of two convolutions and a pool, 1, 2 and 4 pixels apart: between places all alike likely and corners alone."""
    jumps = np.array([1, 2, 4])
    likely, corner = (math.sqrt(np.sum(jumps**2) * (2 * 2 / 3 + pool)) for pool in (2 / 3, 1))
    claims, sizes = [], {}
    for name, draws in pooled.items():
        sizes[name] = bootstrap(draws, spread)
        why = "a pool's places equally likely; margin: its corners alone"
        label = f"six ReLU convolutions, three maxpool3/2, 16 channels, {name}: std, px"
        claims.append(Claim(label, *sizes[name], theory=likely, margin=corner - likely, because=why))
    both = ratio(sizes["photographs"], sizes["noise"])
    claims.append(Claim("the same: std on photographs over that on noise", *both))
    return claims


# ------------------------------------------------------------------------------------------------ words


def _words(claims: list[Claim], corners: dict[str, Corner]) -> str:
    by_name = {claim.name: claim for claim in claims}
    theorem = [claim for claim in claims if claim.name.startswith("ReLU") and ("std, px" in claim.name or "sum of g^2" in claim.name)]
    kept = sum(claim.holds for claim in theorem)
    kinds = ("noise", "constant", "photographs")
    dead = {name: by_name[f"ReLU, {_size_of(NARROW)}, {name}: share of dead draws"].measured for name in kinds}
    tanh, relu = (claim for claim in claims if LOPSIDED in claim.name)
    label = f"tanh, {SMOOTH} layers, {CHANNELS} channels"
    mass = {name: by_name[f"{label}, {name}: mean of the sum of g^2"] for name in ("noise", "photographs")}
    size = {name: by_name[f"{label}, {name}: std, px"] for name in ("noise", "photographs")}
    wide = [claim for claim in claims if claim.name.startswith("tanh")]
    place, over_noise, over_smooth = (claim for claim in claims if "mean over the photographs" in claim.name)
    low, high = (pick(corner.correlation for corner in corners.values()) for pick in (min, max))
    wider = claims[-1]
    apart = abs(wider.measured - 1) / wider.stderr
    smooth = place.measured / over_smooth.measured
    rough = float(np.mean([outer_share("rough", corner.correlation) for corner in corners.values()]))
    nearer = "rough" if abs(place.measured - rough) < abs(place.measured - smooth) else "smooth"
    differs = "a difference" if apart > SIGMAS else "no difference that these draws could tell"
    return f"""**ReLU: the input does not matter in the mean.** For chains of convolutions and ReLU without biases the mean of g² is the
same for every input, and {kept} of {len(theorem)} numbers measured on noise, on constants and on photographs agree with it. The paper's
choice of random inputs costs it nothing there. What the input changes is the spread between draws. With one channel and constant inputs
all gates of a layer are open or shut together: {dead["constant"]:.1%} of the draws of {NARROW} layers are dead, of those on noise
{dead["noise"]:.1%}, of those on photographs {dead["photographs"]:.1%}; the few that live carry the mass of all.

**tanh: the field shuns what stands out.** The gain of tanh falls where its input is far from 0: in the black and the white of a
photograph, whose mean grey is 0. So a field leans away from them, in {LOPSIDED} by {tanh.measured - SMOOTH:.2f} ± {tanh.stderr:.2f} px
of its {2 * SMOOTH + 1} px, in theory {(tanh.theory or 0) - SMOOTH:.2f}; with ReLU
by {relu.measured - SMOOTH:+.2f} ± {relu.stderr:.2f}. In the mean over many crops the size is nearly that on noise,
{size["photographs"].measured:.2f} ± {size["photographs"].stderr:.2f} px against {size["noise"].measured:.2f} ±
{size["noise"].stderr:.2f}; but photographs, in most places fainter than noise of the same variance, let through
{mass["photographs"].measured / mass["noise"].measured:.1f} times its mass. {sum(claim.holds for claim in wide)} of {len(wide)} numbers
agree with the wide limit. It has to count that a weight of the first layer on a strong pixel decides on the gate it stands behind.

**Max-pools look at the rims of their windows, on photographs a little more than on noise.** Pixels of the photographs correlate with
their neighbours by {low:.2f} to {high:.2f}. The place of the largest of 3×3 has a variance of {place.measured:.3f} ± {place.stderr:.3f}
px² per axis, where white noise has {place.measured / over_noise.measured:.3f}. Smooth normal fields whose neighbours are as alike would
have {smooth:.2f}, for there the largest is mostly in a corner, and rough ones, whose differences from one pixel to the next are nearly
independent, {rough:.2f}: photographs are the {nearer} sort. In a network of six convolutions and three pools the std on photographs is
{wider.measured:.3f} ± {wider.stderr:.3f} times that on noise, {differs}."""


# ------------------------------------------------------------------------------------------------ figures


def _examples(run: Run, photos: list[Array]) -> dict[str, Array]:
    side = analytic.field_size(3, DEEP)
    return {
        "noise": _noise(run, side, 1, 9)[0, 0],
        "constant": np.ones((side, side)),
        "photographs": crops(photos, side, 1, run.seed)[0, 0],  # what the first draw sees
    }


def draw(found: Findings) -> dict[str, Figure]:
    """Three kinds of input and their fields, a field that leans, and the corners of max-pools."""
    from ._natural_figures import leaning, pools, three_inputs

    shown = found.shown
    deep = (
        f"{DEEP} layers of conv3 and ReLU, {CHANNELS} channels; root of the mass,\n"
        "linear from 0 to its peak; outline: 0.0455 of the peak's mass"
    )
    smooth = (
        f"{SMOOTH} layers of conv3, {CHANNELS} channels; grey: the photograph's mean, 0; black and white: far from it. "
        "Cross: the field's middle; dot: the mean of the mass"
    )
    return {
        "natural_images": three_inputs(shown["inputs"], shown["wide"], deep),
        "natural_images_tanh": leaning(shown["lopsided"], smooth),
        "natural_images_pools": pools(shown["corners"]),
    }
