"""The sizes of an effective receptive field, each by its own name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import _validate as check
from .measures import Weights, box_half_width, box_indices, margins

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._pixels import Pixels
    from .geometry import ReceptiveField


class Sizes:
    """Everything that is measured on the mass of a result; `ERF` brings the pixels and where they are."""

    _pixels: Pixels
    origin: tuple[int, ...]
    receptive_field: ReceptiveField
    reduction: str
    lost: float
    unit: tuple[int, ...]
    input_size: tuple[int, ...] | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the image of one draw."""
        return self._pixels.shape

    @property
    def ndim(self) -> int:
        """Number of spatial axes."""
        return len(self.shape)

    @property
    def _reach(self) -> tuple[NDArray[np.bool_], ...] | None:
        """Per axis, which pixels of `field_box` are reached at all; None where that is not known."""
        return None

    @property
    def field_box(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """First and last pixel per axis of the unit's theoretical field, cut by the map; input coordinates."""
        return self.receptive_field.box(self.unit, self.input_size)

    @property
    def _centre(self) -> tuple[float, ...]:
        """Centre of the unit's theoretical field, as an index into the image."""
        field = self.receptive_field
        return tuple(c + j * u - o for c, j, u, o in zip(field.centre, field.jump, self.unit, self.origin, strict=True))

    # -------------------------------------------------------------------------------------------- weights

    @property
    def _energy_power(self) -> int:
        """Power of the image that is an energy g^2; half of it gives |g|."""
        return 1 if self.reduction == "square" else 2

    @property
    def _mass(self) -> list[Weights]:
        return self._pixels.weights(2 if self.reduction == "signed" else 1)

    def _each(self, measure: Callable[[Weights], Any], weights: list[Weights] | None = None) -> Any:
        """`measure` of each draw: its value, or arrays [draws] in place of each number."""
        values = [measure(w) for w in (self._mass if weights is None else weights)]
        if not self._pixels.has_draws:
            return values[0]
        return tuple(map(np.array, zip(*values, strict=True))) if isinstance(values[0], tuple) else np.array(values)

    # -------------------------------------------------------------------------------------------- sizes

    def mean(self) -> tuple[float, ...]:
        """Centre of mass, in input coordinates, per axis."""
        return self._each(lambda w: tuple(m + o for m, o in zip(w.mean, self.origin, strict=True)))  # type: ignore[no-any-return]

    def std(self) -> tuple[float, ...]:
        """Standard deviation of the mass in input pixels, per axis: the analysis' size."""
        return self._each(lambda w: w.std)  # type: ignore[no-any-return]

    def level_size(self, level: float = 0.0455, *, reference: Literal["peak", "centre"] = "peak") -> float:
        """Side of a square (root of a count) of as many pixels as lie above a level: the published experiments' size.

        Parameters
        ----------
        level : float
            Share of the reference, at least 0 and below 1. 0.0455 is 1 - 0.9545: for a 2-D Gaussian the contour encloses
            95.45 % of the mass, at 2.486 standard deviations. Pixels equal to the level to within rounding are not above it.
        reference : {"peak", "centre"}
            The largest mass of a pixel, or that of the pixel at the centre of the theoretical field (the mean of the pixels
            where it lies between some). With strides the centre can be far below the peak.

        Returns
        -------
        float
            In input pixels: the count, its square root or its cube root in 1, 2 or 3 axes.

        Raises
        ------
        ValueError
            If `level` is out of range, or the centre lies outside the image.
        """
        level = check.real(level, "level")
        if not 0 <= level < 1:
            raise ValueError(f"level must be at least 0 and below 1, got {level}")
        check.choice(reference, "reference", ("peak", "centre"))

        def size(weights: Weights) -> float:
            top = weights.peak if reference == "peak" else weights.level_at(*self._centre_pixels())
            return self._side(weights.count_above(top * level ** (1 / weights.power))) if top > 0 else math.nan

        return self._each(size)  # type: ignore[no-any-return]

    def mass_size(self, fraction: float = 0.9545) -> float:
        """Side of a square (root of a count) of the fewest pixels that hold `fraction` of the mass; 0 < fraction <= 1."""
        fraction = _fraction(fraction)
        return self._each(lambda w: self._side(w.count_holding(fraction)) if w.peak > 0 else math.nan)  # type: ignore[no-any-return]

    def area_ratio(self, fraction: float, *, region: Literal["box", "sorted"] = "box", of: Literal["map", "trf"] = "trf") -> float:
        """Share of the area that is needed to hold `fraction` of the mass.

        Parameters
        ----------
        fraction : float
            Of the image's mass, above 0 and at most 1.
        region : {"box", "sorted"}
            The smallest box of pixels at most some distance from the centre of the theoretical field in every axis, as far as
            it lies in the field; or the fewest pixels, wherever they are.
        of : {"trf", "map"}
            The area: `field_box`, or the input map.
        """
        fraction = _fraction(fraction)
        check.choice(region, "region", ("box", "sorted"))
        low, high = self.field_box
        area = math.prod(b - a + 1 for a, b in zip(low, high, strict=True))
        if check.choice(of, "of", ("map", "trf")) == "map":
            area = math.prod(self._map('area_ratio(of="map")'))

        def ratio(weights: Weights) -> float:
            if weights.peak == 0:
                return math.nan
            return (weights.count_holding(fraction) if region == "sorted" else self._box_pixels(weights, fraction)) / area

        return self._each(ratio)  # type: ignore[no-any-return]

    def ratio(self) -> float:
        """Level size over the side of the whole theoretical field (geometric mean of the sides), dimensionless."""
        return self.level_size() / self._side(math.prod(self.receptive_field.size))

    def halo(self, error: float = 1e-3, *, norm: Literal["rms", "worst"] = "rms") -> tuple[tuple[int, int], ...]:
        """Smallest margins such that cutting the input beyond them changes the output by at most `error`, relative.

        Each side may leave out its part of the energy, ``error**2 / (2 * ndim)``; so all sides may be cut together.

        Parameters
        ----------
        error : float
            Relative error of the output, above 0.
        norm : {"rms", "worst"}
            Root mean square over inputs of independent pixels; or the most that bounded inputs can do (from sums of |g|).

        Returns
        -------
        tuple of (before, after)
            Per axis, in input pixels from the unit's centre c: pixels below ``floor(c) - before`` and above ``ceil(c) + after``
            may be cut.

        Raises
        ------
        ValueError
            If the window has left out more than `error` allows to know.
        """
        error = check.real(error, "error")
        if error <= 0:
            raise ValueError(f"error must be above 0, got {error}")
        worst = check.choice(norm, "norm", ("rms", "worst")) == "worst"
        energy = self._pixels.weights(self._energy_power)
        weights = self._pixels.weights(self._energy_power / 2) if worst else energy
        losts = [self._lost_magnitude(e, w) for e, w in zip(energy, weights, strict=True)] if worst else [self.lost]
        allowed = (error if worst else error**2) / (2 * self.ndim) - max(losts)
        if allowed <= 0:
            raise ValueError(
                f"halo(error={error:g}, norm={norm!r}) asks for less than the window has left out "
                f"({max(losts):.2g} of the {'sum of |g|' if worst else 'energy'}, and each of {2 * self.ndim} sides may lose "
                f'{allowed + max(losts):.2g}); compute the ERF with window="full"'
            )

        def sides(weights: Weights) -> tuple[int, ...]:
            if weights.peak == 0:
                return (0,) * (2 * self.ndim)
            return tuple(side for part, c in zip(weights.parts, self._centre, strict=True) for side in margins(*part, c, allowed))

        flat = self._each(sides, weights)
        return tuple(zip(flat[::2], flat[1::2], strict=True))

    def coverage(self) -> float:
        """Share of the pixels of `field_box` that are reached at all; below 1 where dilations or strides leave holes.

        Raises ValueError where that is unknown: the window is smaller than the field and no reach was computed.
        """
        low, high = self.field_box
        area = math.prod(b - a + 1 for a, b in zip(low, high, strict=True))
        if self._reach is not None:
            return math.prod(int(r.sum()) for r in self._reach) / area
        first = [a - o for a, o in zip(low, self.origin, strict=True)]
        past = [b - o + 1 for b, o in zip(high, self.origin, strict=True)]
        if min(first) < 0 or any(b > n for b, n in zip(past, self.shape, strict=True)):
            raise ValueError(
                f"coverage() needs the whole field {low} ... {high}, but the image begins at {self.origin} with shape {self.shape}; "
                'use window="full"'
            )
        return self._each(lambda w: w.reached(first, past) / area)  # type: ignore[no-any-return]

    # -------------------------------------------------------------------------------------------- helpers

    def _side(self, count: float) -> float:
        """Side of a square (line, cube) of so many pixels."""
        return float((count, math.sqrt(count), math.cbrt(count))[self.ndim - 1])

    def _centre_pixels(self) -> tuple[list[int], list[int]]:
        """First and past-the-end index of the pixels nearest the centre of the field: one, or two where it lies between."""
        low = [math.ceil(c - 0.5) for c in self._centre]
        high = [math.floor(c + 0.5) + 1 for c in self._centre]
        if min(low) < 0 or any(b > n for b, n in zip(high, self.shape, strict=True)):
            raise ValueError(f'reference="centre": the field\'s centre, index {self._centre}, lies outside the image of shape {self.shape}')
        return low, high

    def _box_pixels(self, weights: Weights, fraction: float) -> int:
        """Pixels of the field within the distance of its centre that holds `fraction` of the mass."""
        half = box_half_width(weights, self._centre, fraction)
        field = [(a - o, b - a + 1) for a, b, o in zip(*self.field_box, self.origin, strict=True)]
        low, high = box_indices([n for _, n in field], [c - a for c, (a, _) in zip(self._centre, field, strict=True)], half)
        return math.prod(b - a for a, b in zip(low, high, strict=True))

    def _lost_magnitude(self, energy: Weights, magnitude: Weights) -> float:
        """A bound of the share of the sum of |g| outside the window, from the share of the energy there (Cauchy-Schwarz)."""
        low, high = self.field_box
        outside = math.prod(b - a + 1 for a, b in zip(low, high, strict=True)) - math.prod(self.shape)
        return math.sqrt(self.lost * energy.total * max(outside, 0)) / magnitude.total if magnitude.total > 0 else 0.0

    def _map(self, asked: str) -> tuple[int, ...]:
        if self.input_size is None:
            raise ValueError(f"{asked} needs the input map, but this ERF is on the unbounded plane; give input_size=")
        return self.input_size


def _fraction(value: Any) -> float:
    fraction = check.real(value, "fraction")
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be above 0 and at most 1, got {fraction}")
    return fraction
