"""What a picture shows of a result: the mean over draws as a share of its peak, cropped and reduced.

A separable result stays in its factors until a crop of it is asked for, and a crop is block-averaged factor by factor:
the image of a deep network (20001 x 20001 for ten thousand layers) is never formed. No matplotlib here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..result import ERF

Floats: TypeAlias = NDArray[np.float64]
Edges: TypeAlias = tuple[tuple[float, float], ...]  # per axis, before the first pixel and after the last
AXIS_NAMES = {1: ("position",), 2: ("row", "column"), 3: ("depth", "row", "column")}


@dataclass(frozen=True)
class Crop:
    """Part of a plane: values as shares of the peak, and the edges of the outermost pixels (before, after) per axis."""

    values: Floats  # [*shape]
    edges: Edges
    block: int = 1  # side of the blocks of pixels that were averaged; 1: none were
    spread: tuple[int, ...] = ()  # sides to which each reached pixel was enlarged, where only every few are reached


@dataclass(frozen=True)
class Field:
    """A non-empty array over input pixels, in factors or formed, with its peak.

    factors: per axis [draws, length]; the values are the sum over draws of the outer products. Or image: [*shape].
    """

    origin: tuple[int, ...]
    names: tuple[str, ...]
    factors: tuple[Floats, ...] | None
    image: NDArray[np.floating] | None
    peak: float

    @property
    def ndim(self) -> int:
        return len(self.origin)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.image.shape if self.image is not None else tuple(f.shape[1] for f in self.factors or ())

    def largest(self, axis: int) -> Floats:
        """[length]: for each place along `axis` the largest share of the peak there (of draws in factors: a bound of it)."""
        if self.image is not None:
            others = tuple(a for a in range(self.ndim) if a != axis)
            largest = np.maximum(self.image.max(axis=others), -self.image.min(axis=others))
            return np.asarray(largest / (self.peak or 1.0), dtype=np.float64)
        assert self.factors is not None
        return _bound(self.factors, axis) / (self.peak or 1.0)

    def box(self, level: float) -> tuple[tuple[int, int], ...]:
        """(first, last) input coordinate per axis of the pixels with at least `level` of the peak; everything if there are none."""
        found = []
        for axis in range(self.ndim):
            above = np.flatnonzero(self.largest(axis) >= level)
            first, last = (above[0], above[-1]) if above.size else (0, self.shape[axis] - 1)
            found.append((self.origin[axis] + int(first), self.origin[axis] + int(last)))
        return tuple(found)

    def lattice(self, axis: int) -> tuple[int, int]:
        """(first, step): the pixels reached along `axis` are all at ``first + i * step``; step 1 is the rule."""
        reached = np.flatnonzero(self.largest(axis))
        step = int(np.gcd.reduce(np.diff(reached), initial=0)) or 1
        return (int(reached[0]) % step if reached.size else 0), step

    def crop(self, edges: Edges, *, most: int, dense: int | None = None) -> Crop:
        """The pixels within `edges` (input coordinates), averaged in blocks so that no axis has more than `most` entries.

        dense: where an axis has more entries and only every few of them are reached (equal dilations), each that is reached is
        enlarged until they meet: single pixels far apart would not be seen.
        """
        ranges = []
        for (low, high), origin, length in zip(edges, self.origin, self.shape, strict=True):
            first = min(max(0, int(np.ceil(low)) - origin), length)
            ranges.append((first, max(first, min(length, int(np.floor(high)) + 1 - origin))))
        steps = (1,) * self.ndim
        if dense is not None and max(b - a for a, b in ranges) > dense:
            phases, steps = zip(*map(self.lattice, range(self.ndim)), strict=True)
            ranges = [(a + (phase - a) % step, b) for (a, b), phase, step in zip(ranges, phases, steps, strict=True)]
        counts = [-(-(b - a) // step) if b > a else 0 for (a, b), step in zip(ranges, steps, strict=True)]
        block = max(1, *(-(-count // most) for count in counts))
        # Whole blocks only: at most block - 1 of more than `most` blocks' pixels are left out at the far edge.
        counts = [count // block * block for count in counts]
        taken = tuple(slice(a, a + count * step, step) for (a, _), count, step in zip(ranges, counts, steps, strict=True))
        if self.image is not None:
            values = _block_mean(self.image[taken], block, range(self.ndim))
        else:
            assert self.factors is not None
            values = _outer([_block_mean(f[:, part], block, [1]) for f, part in zip(self.factors, taken, strict=True)])
        starts = [o + part.start - step / 2 for o, part, step in zip(self.origin, taken, steps, strict=True)]
        at = tuple((start, start + count * step) for start, count, step in zip(starts, counts, steps, strict=True))
        return Crop(values / (self.peak or 1.0), at, block, steps if max(steps) > 1 else ())

    def plane(self, axes: tuple[int, int], through: tuple[int, ...]) -> Field:
        """The two `axes` at the input coordinates `through` of the third."""
        (fixed,) = (a for a in range(3) if a not in axes)
        at = through[fixed] - self.origin[fixed]
        image = None if self.image is None else np.take(self.image, at, axis=fixed)
        factors = None
        if self.factors is not None:
            first, second = (self.factors[a] for a in axes)
            factors = (first * self.factors[fixed][:, at : at + 1], second)
        return Field(tuple(self.origin[a] for a in axes), tuple(self.names[a] for a in axes), factors, image, self.peak)


@dataclass(frozen=True)
class Shown:
    """One result as it is drawn: its values, what they are called, and what was done to them."""

    field: Field
    quantity: str
    signed: bool
    power: bool
    note: str  # ", mean of 20 draws" or nothing
    mass: str  # what the sizes weigh with

    @property
    def label(self) -> str:
        return f"{self.quantity}, share of the peak{self.note}"

    @property
    def floor(self) -> float:
        """Where a logarithmic scale is cut: beyond, the picture shows distance and not the ERF."""
        return 1e-8 if self.power else 1e-4


def shown(erf: ERF) -> Shown:
    """The mean of the draws of `erf`. Signed draws cancel in a mean: of these the mean square is shown."""
    several = erf.held > 1
    squared = several and erf.reduction == "signed"
    factors, image = None, None
    if erf.separable:
        factors = _weighted_factors(erf, squared)
        peak = _peak_of_factors(factors)
    else:
        image = _summed_image(erf, squared) if several else np.asarray(erf.image).reshape(erf.shape)
        peak = float(max(image.max(), -image.min()))
    note = f", mean of {erf.draws} draws" if erf.draws > 1 else ""
    power = squared or erf.reduction == "square"
    signed = erf.reduction == "signed" and not several
    quantity = _quantity(erf, squared)
    mass = "g²" if erf.reduction == "signed" else quantity.split(" ")[-1] if erf.reduction != "positive" else quantity
    return Shown(Field(tuple(erf.origin), AXIS_NAMES[erf.ndim], factors, image, peak), quantity, signed, power, note, mass)


def draw_weights(erf: ERF) -> Floats:
    """[draws]: the share of each draw in the mass of the mean."""
    power = 2 if erf.reduction == "signed" else 1
    totals = np.array([weights.total for weights in erf._mass]) * _scales(erf) ** power
    return np.asarray(totals / (totals.sum() or 1.0), dtype=np.float64)


def _quantity(erf: ERF, squared: bool) -> str:
    expected = erf.method in ("exact", "mean-field", "simulated")
    if squared:
        return "power g²"
    return {
        "square": "power E[g²]" if expected else "power g²",
        "rms": "amplitude √E[g²]" if expected else "amplitude |g|",
        "abs": "amplitude |g|",
        "positive": "positive part of g",
        "signed": "gradient g",
    }[erf.reduction]


def _scales(erf: ERF) -> Floats:
    """[draws]: what the pixels (or the product of the profiles) of each draw are to be multiplied by to be comparable.

    The scale of the largest draw is 1; true exponents may be beyond any float.
    """
    pixels = erf._pixels
    exponents = pixels.exponents - pixels.exponents.max(where=pixels.peaks > 0, initial=np.iinfo(np.int64).min // 2)
    scales: Floats = np.ldexp(1.0, np.clip(exponents, -1100, 0).astype(np.int32))
    return np.ldexp(scales, pixels.shifts.astype(np.int32))


def _weighted_factors(erf: ERF, squared: bool) -> tuple[Floats, ...]:
    """The profiles as [draws, length] each, with the scale of each draw on the first axis."""
    profiles = [np.atleast_2d(p) for p in erf._profiles or ()]
    profiles[0] = profiles[0] * _scales(erf)[:, None]
    if squared:
        profiles = [p**2 for p in profiles]
    return tuple(profiles)


def _summed_image(erf: ERF, squared: bool) -> Floats:
    """The sum of the draws: as a share of its peak it is their mean."""
    total = np.zeros(erf.shape)
    for draw, scale in zip(np.asarray(erf.image), _scales(erf), strict=True):
        values = draw * scale
        total += values**2 if squared else values
    return total


def _bound(factors: tuple[Floats, ...], axis: int) -> Floats:
    """[length]: no value at a place along `axis` is larger than this; equal to the largest one where there is one draw."""
    others = np.prod([np.abs(f).max(axis=1) for a, f in enumerate(factors) if a != axis], axis=0)
    return np.asarray((np.abs(factors[axis]) * np.reshape(others, (-1, 1))).sum(axis=0), dtype=np.float64)


def _peak_of_factors(factors: tuple[Floats, ...]) -> float:
    """The peak of the sum over draws. Only places that could hold it are formed: those whose bound reaches a value met."""
    met = 0.0
    for draw in range(len(factors[0])):
        at = [int(np.abs(f[draw]).argmax()) for f in factors]
        met = max(met, abs(float(np.prod([f[:, i] for f, i in zip(factors, at, strict=True)], axis=0).sum())))
    kept = [f[:, _bound(factors, axis) >= met * (1 - 1e-12)] for axis, f in enumerate(factors)]
    return float(np.abs(_outer(kept)).max(initial=0.0)) if len(factors[0]) > 1 else met


def _outer(factors: list[Floats]) -> Floats:
    """[*lengths]: the sum over draws of the outer products of the factors."""
    return np.asarray(np.einsum({1: "za->a", 2: "za,zb->ab", 3: "za,zb,zc->abc"}[len(factors)], *factors, optimize=True))


def _block_mean(array: NDArray[np.floating], block: int, axes: range | list[int]) -> Floats:
    """The mean of blocks of `block` entries along `axes`, whose lengths are multiples of it."""
    if block == 1:
        return array.astype(np.float64)
    for axis in axes:
        shape = array.shape
        array = array.reshape(*shape[:axis], shape[axis] // block, block, *shape[axis + 1 :]).mean(axis=axis + 1, dtype=np.float64)
    return np.asarray(array, dtype=np.float64)
