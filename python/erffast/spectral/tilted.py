r"""Deep chains without negative taps, right pixel by pixel far into the tails, at the cost of a few narrow bands.

A spectrum keeps its errors relative to the largest pixel (`band`), so a pixel of 1e-20 of the peak drowns. But which pixel is the
largest can be chosen. For any r_y, r_x > 0 the chain whose taps are

    w~[a] = w[a] r_y**a_y r_x**a_x

has the image ``p~(x) = p(x) r_y**x_y r_x**x_x``: every path from the unit to the pixel x collects that factor, whatever its way
(exponential tilting: Esscher 1932; of sums of random variables, Daniels 1954; for transforms, Wilson & Keich 2016). Such a chain has no
negative taps either, so `band` certifies it; and where the tilt brings the mean of p~ to the pixels wanted, they are the large
ones. The window is cut into tiles of some standard deviations, each is computed with the tilt of its own, and the factors are taken
off: no pixel is further below the peak of its tile than a corner of the tile is, about e**2.

**Error of a pixel**, relative to itself: what `band` certifies of the tile's peak, times peak / pixel; the rounding of the tilted
taps, `TAP_ROUNDINGS` of each: a pixel is a sum of products of n taps, all positive, so n times that; the rounding of the factors. A tile
whose smallest pixel is not certain enough is cut in four.

A pixel that no path reaches is 0 in no tilt and would never be certain: chains that leave such pixels in the window are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

from ..chain import GAINS, Box, Chain
from ..cropping import SUMS
from ..errors import AccuracyError
from ..execution import Resources, reserve
from . import band
from .laws import families, positions
from .plan import Plan
from .transfer import Layers, Transfer, scaled, transfer
from .windows import Windows

Array = NDArray[np.float64]
Tilt = tuple[float, float]  # r_y, r_x

ROUNDOFF = 2.0**-53
POWER = 2.0  # roundings of the C library's pow: below one unit in the last place
TAP_ROUNDINGS = 2 * POWER + 2  # two powers, two products
FACTOR_ROUNDINGS = 2 * POWER + 6
HALF_TILE = 1.4  # standard deviations from the middle of a tile to its sides: corners are some e**2 below the peak
# A tile's pixels may be less certain than its peak by this factor, three times what the corners of a tile of a Gaussian are.
DECLINE = 24.0
# Aliases and frequencies left out, of the tile's peak: nothing beside the rounding of deep chains.
LEFT_OUT = 2.0**-6
TURNS = 4  # corrections of a tilt
OFF_CENTRE = 0.5  # standard deviations that the mean may lie beside the middle of the tile
LEAST_TILE = 4  # pixels
STEEPEST = 100.0  # logarithm of a tilt, from pixel to pixel and across any kernel: powers stay far from the range's ends
WORTH_ADDING = 1e-9  # what lies outside an automatic window is known well enough from the tails
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Untilted:
    """Pixels of a tile, the tilt taken off.

    Attributes
    ----------
    pixels : float64 [height, width]
        True values are pixel * 2**exponent.
    error : float
        Bound, relative to each pixel.
    """

    pixels: Array
    exponent: int
    error: float


def run_tilted(chain: Chain, *, box: Box | None, tol: float, resources: Resources) -> tuple[list[Tilted], Box]:
    """The image of a chain without negative taps, every pixel of the window certified relative to itself.

    Parameters
    ----------
    chain : Chain
        Of two axes and one channel, without borders (see `transfer.obstacle`).
    box : Box, optional
        First and last pixel of the window; None is the smallest that is certified to leave out at most `tol` of the mass of any
        draw.
    tol : float
        What the window may leave out of the mass, and the error wanted: aliases and dropped frequencies stay below it. Rounding comes
        on top, and is told in `Tilted.errors`.
    resources : Resources

    Returns
    -------
    outcomes : list of one Tilted
    crop : Box
        The window.

    Raises
    ------
    AccuracyError
        A pixel of the window cannot be certified: no path reaches it, or hardly one.
    MemoryError
        Before allocating.
    """
    parts = transfer(chain)
    singles = [_single(parts, draw) for draw in range(parts.draws)]
    plans = [Plan(families(single, 0, resources.threads)) for single in singles]
    crop = box or band.window(plans, parts.origin, tol)
    images = reserve((parts.draws, *(b - a + 1 for a, b in zip(*crop, strict=True))), "float64", resources.remedy)
    _require_reached(chain, crop)
    inner = band.moved(crop, parts.origin, -1)
    draws = [_Draw(single, plan, tol, resources) for single, plan in zip(singles, plans, strict=True)]
    drawn = [draw.fill(inner, image) for draw, image in zip(draws, images, strict=True)]
    exponents, errors = (np.array(values) for values in zip(*drawn, strict=True))
    outside = np.array([draw.outside(inner, image, *found) for draw, image, found in zip(draws, images, drawn, strict=True)])
    return [Tilted(images, crop, exponents, errors, outside)], crop


def _single(parts: Transfer, draw: int) -> Transfer:
    layers = (
        replace(layer, taps=np.ascontiguousarray(layer.taps[:, draw : draw + 1]) if layer.taps.shape[1] > 1 else layer.taps)
        for layer in parts.layers
    )
    return replace(parts, layers=tuple(layers), exponents=parts.exponents[draw : draw + 1])


def _require_reached(chain: Chain, crop: Box) -> None:
    """Refuse at once what is known beforehand; of what is not known here, no tile would be certain."""
    for mask, first, low, high in zip(chain.reach or (), chain.box[0], *crop, strict=False):
        if not mask[low - first : high - first + 1].all():
            raise AccuracyError('a spectrum cannot certify pixels that no path reaches; engine="direct" can')


class _Draw:
    """One draw, tile by tile. Pixels count from `Transfer.origin`."""

    def __init__(self, parts: Transfer, plan: Plan, tol: float, resources: Resources) -> None:
        self._parts, self._plan, self._resources = parts, plan, resources
        self._left_out = tol * LEFT_OUT
        # what a tile may be uncertain to: its rounding at the peak, and tol, times what its corners are below the peak
        self._allowed = DECLINE * (tol + 2 * plan.roundings * ROUNDOFF)
        self._taps = TAP_ROUNDINGS * sum(layer.count * len(layer.taps) for layer in parts.layers)
        # of the product of all kernels' totals
        self._totals = ROUNDOFF * sum(layer.count * layer.taps.size for layer in parts.layers)
        self._std = np.sqrt(np.diag(plan.certificate.covariance))

    def fill(self, box: Box, image: Array) -> tuple[int, float]:
        """Write a window; its exponent, and the largest error relative to a pixel."""
        tiles = sorted(_cut(box, 2 * HALF_TILE * self._std), key=self._distance)
        worst, exponent = 0.0, None
        while tiles:
            wanted = tiles.pop(0)
            tile = self._tile(wanted)
            if tile is None:
                tiles = [*self._quarters(wanted), *tiles]
                continue
            exponent = tile.exponent if exponent is None else exponent
            rows, columns = (slice(a - first, b - first + 1) for a, b, first in zip(*wanted, box[0], strict=True))
            np.ldexp(tile.pixels, tile.exponent - exponent, out=image[rows, columns])
            worst = max(worst, tile.error)
        image[image < TINY] = 0.0  # fewer digits than promised
        return exponent or 0, worst

    def _quarters(self, box: Box) -> Iterable[Box]:
        sides = [b - a + 1 for a, b in zip(*box, strict=True)]
        if max(sides) <= LEAST_TILE:
            place = ", ".join(str(a + o) for a, o in zip(box[0], self._parts.origin, strict=True))
            raise AccuracyError(f'pixels at ({place}) cannot be certified relative to themselves; engine="direct" can')
        return _cut(box, np.array([max(math.ceil(n / 2), LEAST_TILE) for n in sides]))

    def outside(self, box: Box, image: Array, exponent: int, error: float) -> float:
        """Bound on the share of the mass outside a window whose pixels are known: of what tails allow, and what the pixels leave."""
        bound = self._plan.outside(box)
        if bound < WORTH_ADDING:
            return bound
        mass = _mass(self._parts)
        with localcontext(GAINS):
            inside = float(Decimal(math.fsum(image.sum(axis=1))) * Decimal(2) ** exponent / mass)
        return min(bound, max(1 - inside * (1 - error - self._totals - SUMS), 0.0))

    def _distance(self, box: Box) -> float:
        return float(np.linalg.norm((_middle(box) - self._plan.mean) / (self._std + 1)))

    def _tile(self, box: Box) -> Untilted | None:
        """A tile, or None where some pixel of it is not certain enough."""
        found = self._tilted(_middle(box))
        if found is None:
            return None
        parts, plan, tilt = found
        (top, left), (bottom, right) = box
        pixels = np.empty((bottom - top + 1, right - left + 1))
        try:
            (account,), exponents = band.certified(parts, [plan], box, self._left_out, self._resources)
        except AccuracyError:
            return None
        certain = account.truncation + account.rounding
        largest, smallest = account.picture.write((top, left), 1.0, pixels)
        least = smallest / largest
        if not (least > 0 and certain < self._allowed * least):
            return None
        error = (certain / (least - certain) + (self._taps + FACTOR_ROUNDINGS) * ROUNDOFF) * (1 + 1e-6)
        exponent = _take_off(pixels, box, tilt)
        return Untilted(pixels, exponent + int(exponents[0] + parts.exponents[0]), error)

    def _tilted(self, middle: Array) -> tuple[Transfer, Plan, Tilt] | None:
        """The chain whose image has its mean near a pixel: the tilt of a Gaussian, corrected where it is not one."""
        theta = _tilt_for(self._plan, middle)
        for _ in range(TURNS):
            if np.abs(theta).max() > STEEPEST:
                return None
            tilt = math.exp(theta[0]), math.exp(theta[1])
            parts = _with_tilt(self._parts, tilt)
            if parts is None:
                return None
            plan = Plan(families(parts, 0, self._resources.threads))
            if (np.abs(middle - plan.mean) <= OFF_CENTRE * self._std + 1).all():
                return parts, plan, tilt
            theta = theta + _tilt_for(plan, middle)
        return None


def _mass(parts: Transfer) -> Decimal:
    """Of the image of one draw: the product of all kernels' totals, within a rounding per tap of each."""
    with localcontext(GAINS):
        mass = Decimal(2) ** int(parts.exponents[0])
        for layer in parts.layers:
            for total in layer.taps.sum(axis=(1, 2, 3)).tolist():
                mass *= Decimal(total) ** layer.count
    return mass


def _tilt_for(plan: Plan, middle: Array) -> Array:
    """Logarithms of the tilt that moves the mean of a Gaussian; an axis of one pixel needs none."""
    return np.asarray(np.linalg.solve(plan.certificate.covariance + np.eye(2) * 1e-6, middle - plan.mean))


def _cut(box: Box, largest: Array) -> Iterator[Box]:
    """A box in tiles of equal sides, about, none longer than `largest`."""
    edges = []
    for low, high, most in zip(*box, largest, strict=True):
        count = math.ceil((high - low + 1) / max(most, LEAST_TILE))
        edges.append([low + (high - low + 1) * i // count for i in range(count + 1)])
    for top, bottom in zip(edges[0], edges[0][1:], strict=False):
        for left, right in zip(edges[1], edges[1][1:], strict=False):
            yield (top, left), (bottom - 1, right - 1)


def _middle(box: Box) -> Array:
    return np.add(*box, dtype=np.float64) / 2


def _with_tilt(parts: Transfer, tilt: Tilt) -> Transfer | None:
    """The chain with tilted taps; None where one of them might underflow."""
    layers, exponents = [], parts.exponents.copy()
    for layer in parts.layers:
        if any(abs(math.log(tilt[a])) * n * layer.spacing[a] > STEEPEST for a, n in enumerate(layer.taps.shape[2:])):
            return None
        factors = [
            np.array([math.pow(tilt[a], at) for at in positions(n, layer.spacing[a]).tolist()]) for a, n in enumerate(layer.taps.shape[2:])
        ]
        taps, shifts = scaled(layer.taps * np.multiply.outer(*factors))
        if ((taps < TINY) & (layer.taps > 0)).any():
            return None
        layers.append(Layers(taps, layer.spacing, layer.count))
        exponents = exponents + shifts.sum(axis=0) * layer.count
    return replace(parts, layers=tuple(layers), exponents=exponents)


def _take_off(pixels: Array, box: Box, tilt: Tilt) -> int:
    """Divide the pixels of a box by the factors of a tilt; returns the power of two that is left."""
    middle = [(a + b) // 2 for a, b in zip(*box, strict=True)]
    with localcontext(GAINS):
        common = Decimal(1)
        for r, at in zip(tilt, middle, strict=True):
            common /= Decimal(r) ** at
        exponent = int((common.ln() / Decimal(2).ln()).to_integral_value())
        rest = float(common / Decimal(2) ** exponent)
    rows, columns = (np.array([math.pow(r, at - i) for i in range(a, b + 1)]) for r, at, a, b in zip(tilt, middle, *box, strict=True))
    pixels *= (rest * rows)[:, None]
    pixels *= columns
    return exponent


class Tilted(Windows):
    """Windows of images, one per draw, every pixel certified relative to itself; with what `execution.Outcome` offers.

    Attributes
    ----------
    trimmed : float64 [draws]
        Share of the mass outside the window (a bound).
    errors, rounding : float64 [draws]
        Bound on the error of any pixel relative to itself.
    """

    def __init__(self, images: Array, box: Box, exponents: NDArray[np.int64], errors: Array, outside: Array) -> None:
        super().__init__(box, exponents)
        self._images: Array | None = images
        self.errors = self.rounding = errors
        self.trimmed = outside
        self.peaks = images.max(axis=(1, 2))
        self._marginals = [images.sum(axis=2 - axis) for axis in self.axes]

    def marginal(self, draw: int, axis: int) -> Array:
        """Mass of the window along an axis, in units of the peak."""
        return np.asarray(self._marginals[axis][draw] / self.peaks[draw])

    def write(self, box: Box, factors: Array) -> Array:
        """Pixels of a box inside the window times one factor per draw, [draws, *shape].

        The window is multiplied where it lies, for it may be large: it can be asked for once.
        """
        if self._images is None:
            raise RuntimeError("the pixels of this outcome were written already")
        rows, columns = (slice(box[0][a] - self._box[0][a], box[1][a] - self._box[0][a] + 1) for a in self.axes)
        pixels, self._images = self._images[:, rows, columns], None
        pixels *= factors[:, None, None]
        return pixels
