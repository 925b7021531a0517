"""Measures of non-negative weights over pixels: moments, counts and shares. Positions here are indices into the weights.

Weights come in two forms with the same methods. `Dense` holds an image; `Product` holds one factor per axis, and the image
is their outer product. A product is measured without being formed: the pixels of a row above a threshold are counted by one
binary search in the sorted other factor, so 20,001 x 20,001 pixels take a millisecond. Sums are NumPy's, not BLAS's: a dot product
of more than 10,000 entries wakes BLAS's threads, which cost 30 ms where they slept.

Ties. Symmetric images hold many pixels of equal value whose last bits differ by rounding. A pixel within a relative `tie` of
a threshold counts as equal to it, far above rounding and far below any difference of interest, so that both forms, and
images that differ by rounding, give the same counts.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BLOCK = 1 << 17  # pixels worked on at a time: 1 MiB of float64 stays in cache, and no second image is allocated
FEW = 1 << 12  # products that are sorted rather than searched: 0.1 ms
TIE = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 1e-6}


class Weights(ABC):
    """The weights ``|value|**power`` of one image."""

    shape: tuple[int, ...]
    power: float

    @cached_property
    @abstractmethod
    def sums(self) -> tuple[Array, ...]:
        """Per axis, the weights summed over the other axes, in float64; each to a scale of its own."""

    @property
    @abstractmethod
    def total(self) -> float:
        """Sum of all weights."""

    @property
    @abstractmethod
    def peak(self) -> float:
        """Largest absolute value (not its power)."""

    @abstractmethod
    def level_at(self, low: Sequence[int], high: Sequence[int]) -> float:
        """The absolute value whose weight is the mean weight over ``low <= pixel < high``."""

    @abstractmethod
    def reached(self, low: Sequence[int], high: Sequence[int]) -> int:
        """Number of pixels in ``low <= pixel < high`` that are not zero."""

    @abstractmethod
    def count_above(self, threshold: float) -> int:
        """Number of pixels whose absolute value lies above `threshold`, ties not counted."""

    @abstractmethod
    def count_holding(self, fraction: float) -> int:
        """Smallest number of pixels that hold `fraction` of the total."""

    @abstractmethod
    def outside(self, low: Sequence[int], high: Sequence[int]) -> float:
        """Share of the total outside the box ``low <= pixel < high``; summed, never a difference, so small shares are right."""

    @cached_property
    def parts(self) -> tuple[tuple[int, Array], ...]:
        """Per axis, the first index that is reached and the marginal from there to the last one: deep fields are mostly zeros."""
        return tuple((first, _shares(s[first:past])) for s in self.sums for first, past in [support(s)])

    @property
    def marginals(self) -> tuple[Array, ...]:
        """`sums`, each divided by its total; zero where all weights are."""
        out = tuple(np.zeros(n) for n in self.shape)
        for whole, (first, part) in zip(out, self.parts, strict=True):
            whole[first : first + len(part)] = part
        return out

    @cached_property
    def mean(self) -> tuple[float, ...]:
        """Centre of mass, as an index per axis; NaN where all weights are zero."""
        if self.peak == 0:
            return (math.nan,) * len(self.shape)
        # about the middle of the window: symmetric weights give it without rounding
        middles = [(n - 1) / 2 for n in self.shape]
        return tuple(c + float((m * _distances(first, m, c)).sum()) for c, (first, m) in zip(middles, self.parts, strict=True))

    @cached_property
    def std(self) -> tuple[float, ...]:
        """Standard deviation per axis; NaN where all weights are zero."""
        spreads = [(m * np.square(_distances(first, m, c))).sum() for c, (first, m) in zip(self.mean, self.parts, strict=True)]
        return tuple(map(math.sqrt, spreads))


def support(values: NDArray[np.floating]) -> tuple[int, int]:
    """First and past-the-end index of what is not zero at both ends of a line; of one entry where all are."""
    reached = values != 0
    first = int(reached.argmax())
    return first, max(len(values) - int(reached[::-1].argmax()), first + 1) if reached[first] else 1


def _shares(sums: Array) -> Array:
    total = float(sums.sum())
    return sums / total if total > 0 else sums


def _distances(first: int, part: Array, centre: float) -> Array:
    """Of the indices of a part from `centre`."""
    return np.arange(first, first + len(part), dtype=np.float64) - centre


class Dense(Weights):
    """Weights of an image [*shape], float32 or float64, of any sign."""

    def __init__(self, values: NDArray[np.floating], power: float = 1) -> None:
        self.values, self.power, self.shape = values, power, values.shape
        self._tie = TIE[values.dtype]

    def weigh(self, part: NDArray[np.floating]) -> Array:
        """The weights of a part of the image, in float64."""
        sizes: Array = np.abs(part, dtype=np.float64)
        return sizes if self.power == 1 else np.sqrt(sizes) if self.power == 0.5 else np.square(sizes)

    def blocks(self, values: NDArray[np.floating] | None = None) -> Iterator[tuple[int, Array]]:
        """(first row, weights) of blocks of whole rows that cover the image, or a part of it."""
        values = self.values if values is None else values
        step = max(1, BLOCK * len(values) // max(values.size, 1))
        for start in range(0, len(values), step):
            yield start, self.weigh(values[start : start + step])

    @cached_property
    def sums(self) -> tuple[Array, ...]:
        first, rest = np.empty(self.shape[0]), np.zeros(self.shape[1:])
        for start, weights in self.blocks():
            first[start : start + len(weights)] = weights.reshape(len(weights), -1).sum(axis=1)
            rest += weights.sum(axis=0)
        return (first,) if rest.ndim == 0 else (first, *Dense(rest).sums)

    @property
    def total(self) -> float:
        return float(self.sums[0].sum())

    @cached_property
    def peak(self) -> float:
        return float(max(self.values.max(), -self.values.min()))

    def _box(self, low: Sequence[int], high: Sequence[int]) -> NDArray[np.floating]:
        return self.values[tuple(map(slice, low, high))]

    def level_at(self, low: Sequence[int], high: Sequence[int]) -> float:
        return _power_mean(self._box(low, high), self.power)

    def reached(self, low: Sequence[int], high: Sequence[int]) -> int:
        return int(np.count_nonzero(self._box(low, high)))

    def count_above(self, threshold: float) -> int:
        threshold *= 1 + self._tie
        return int(np.count_nonzero(self.values > threshold) + np.count_nonzero(self.values < -threshold))

    def count_holding(self, fraction: float) -> int:
        allowed = (1 - fraction) * self.total * (1 + self._tie)
        floor = allowed / self.values.size  # all weights at or below it hold at most `allowed` together: they need no sorting
        small, large = 0.0, []
        for _, weights in self.blocks():
            above = weights > floor
            small += weights[~above].sum()
            large.append(weights[above])
        kept = np.sort(np.concatenate(large))
        dropped = np.searchsorted(small + np.cumsum(kept), allowed, side="right")
        return max(1, len(kept) - int(dropped))

    def outside(self, low: Sequence[int], high: Sequence[int]) -> float:
        if any(a >= b for a, b in zip(low, high, strict=True)):
            return 1.0
        inner, total = self.values, 0.0
        for axis, (a, b) in enumerate(zip(low, high, strict=True)):
            turned = np.moveaxis(inner, axis, 0)
            total += sum(w.sum() for slab in (turned[:a], turned[b:]) for _, w in self.blocks(slab))
            inner = np.moveaxis(turned[a:b], 0, axis)
        return float(total / self.total)


class Product(Weights):
    """Weights of the outer product of one profile per axis, each float64 [length], of any sign."""

    def __init__(self, profiles: Sequence[Array], power: float = 1) -> None:
        self.profiles, self.power, self.shape = tuple(p if p.min() >= 0 else np.abs(p) for p in profiles), power, tuple(map(len, profiles))
        self._tie = TIE[np.dtype(np.float64)]

    @cached_property
    def sums(self) -> tuple[Array, ...]:
        return self.profiles if self.power == 1 else tuple(p**self.power for p in self.profiles)

    @cached_property
    def total(self) -> float:
        return math.prod(float(s.sum()) for s in self.sums)

    @cached_property
    def _reached(self) -> list[Array]:
        """The entries of each profile that are not zero."""
        held = (p[first:past] for p in self.profiles for first, past in [support(p)])
        return [p if p.all() else p[p > 0] for p in held]

    @cached_property
    def _tails(self) -> list[tuple[int, Array, Array]]:
        """Per axis, where its part begins, and the shares of its first and of its last entries; summed from the small ends."""
        return [(first, _cumulated(part), _cumulated(part[::-1])) for first, part in self.parts]

    @cached_property
    def peak(self) -> float:
        return math.prod(float(p.max()) for p in self.profiles)

    def level_at(self, low: Sequence[int], high: Sequence[int]) -> float:
        return math.prod(_power_mean(p[a:b], self.power) for p, a, b in zip(self.profiles, low, high, strict=True))

    def reached(self, low: Sequence[int], high: Sequence[int]) -> int:
        return math.prod(int(np.count_nonzero(p[a:b])) for p, a, b in zip(self.profiles, low, high, strict=True))

    def count_above(self, threshold: float) -> int:
        factors = self._reached
        pixels = math.prod(map(len, factors))
        if threshold == 0 or pixels == 0:
            return pixels
        threshold *= 1 + self._tie
        return pixels - _Pairs(factors, threshold).upto(threshold)[0]

    def count_holding(self, fraction: float) -> int:
        factors = [p if self.power == 1 else p**self.power for p in self._reached]
        pixels = math.prod(map(len, factors))
        allowed = (1 - fraction) * self.total * (1 + self._tie)
        if allowed <= 0 or pixels == 0:
            return pixels
        # Bisection for the weight at which the pixels up to it hold `allowed`. All weights up to allowed / pixels hold less.
        low, high = allowed / pixels, 2 * math.prod(float(f.max()) for f in factors)
        pairs = _Pairs(factors, low)
        (dropped, mass), above = pairs.upto(low), pixels
        while above - dropped > FEW and high > low * (1 + 1e-13):
            middle = math.sqrt(low * high)
            found, held = pairs.upto(middle)
            if held <= allowed:
                low, dropped, mass = middle, found, held
            else:
                high, above = middle, found
        if above - dropped <= FEW:
            dropped += int(np.searchsorted(mass + np.cumsum(pairs.between(low, high)), allowed, side="right"))
        else:  # pixels of one weight: as many of them as still fit
            dropped += max(0, min(above - dropped, int((allowed - mass) / high)))
        return max(1, pixels - dropped)

    def outside(self, low: Sequence[int], high: Sequence[int]) -> float:
        share = 0.0
        for n, (first, before, after), a, b in zip(self.shape, self._tails, low, high, strict=True):
            beyond = float(_entry(before, a - first) + _entry(after, first + len(before) - 1 - b)) if 0 <= a < b <= n else 1.0
            share += beyond * (1 - share)
        return share


def _cumulated(values: Array) -> Array:
    """Sums of the first 0, 1, 2, ... values."""
    return np.concatenate([[0.0], np.cumsum(values)])


def _entry(sums: Array, index: int) -> float:
    return float(sums[min(max(index, 0), len(sums) - 1)])


class _Pairs:
    """All products of one entry from each factor, counted and summed up to a threshold of at least `floor`.

    Factors are positive. Two sorted lists stand for the products above `floor`; what can never reach it is only counted and
    summed. Three axes are folded to two by multiplying out the shorter ones where the product can still pass `floor`.
    """

    def __init__(self, factors: Sequence[Array], floor: float) -> None:
        parts = sorted((np.sort(f) for f in factors), key=len)
        self.count, self.mass = 0, 0.0
        while len(parts) > 2:
            first, second, *others = parts
            reach = floor / math.prod(float(f[-1]) for f in others)
            count, mass = _upto(first, second, reach)
            self.count += count * math.prod(map(len, others))
            self.mass += mass * math.prod(float(f.sum()) for f in others)
            parts = sorted([_products_above(first, second, reach), *others], key=len)
        rows, columns = parts if len(parts) == 2 else (np.ones(1), parts[0])
        if len(rows) == 0 or len(columns) == 0:
            self._rows, self._columns = np.empty(0), np.ones(1)
        else:
            self._rows = self._pruned(rows, columns, floor)
            self._columns = self._pruned(columns, self._rows, floor) if len(self._rows) else columns
        self._cumulated = _cumulated(self._columns)

    def _pruned(self, part: Array, other: Array, floor: float) -> Array:
        """`part` without the entries that stay at or below `floor` with any entry of `other`."""
        cut = int(np.searchsorted(part * other[-1], floor, side="right"))
        self.count += cut * len(other)
        self.mass += float(part[:cut].sum() * other.sum())
        return part[cut:]

    def upto(self, threshold: float) -> tuple[int, float]:
        """Number and sum of the products at or below `threshold`."""
        count, mass = _upto(self._rows, self._columns, threshold, self._cumulated)
        return self.count + count, self.mass + mass

    def between(self, low: float, high: float) -> Array:
        """The products above `low` and up to `high`, both at least `floor`, ascending."""
        return _products_above(self._rows, self._columns, low, high)


def _upto(rows: Array, columns: Array, threshold: float, cumulated: Array | None = None) -> tuple[int, float]:
    """Number and sum of the products of two factors (`columns` ascending) at or below `threshold`."""
    if cumulated is None:
        cumulated = _cumulated(columns)
    counts = _counts(rows, columns, threshold)
    return int(counts.sum()), float((rows * cumulated[counts]).sum())


def _counts(rows: Array, columns: Array, threshold: float) -> NDArray[np.int64]:
    """Per row, the number of products at or below `threshold`."""
    with np.errstate(over="ignore"):  # an infinite quotient is above every column, as it should be
        return np.searchsorted(columns, threshold / rows, side="right")


def _products_above(rows: Array, columns: Array, low: float, high: float = math.inf) -> Array:
    """The products of two factors (`columns` ascending) above `low` and up to `high`, ascending."""
    first = _counts(rows, columns, low)
    counts = _counts(rows, columns, high) - first
    ends = np.cumsum(counts)
    index = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts - first, counts)
    products: Array = np.repeat(rows, counts) * columns[index]
    return np.sort(products)


def _power_mean(values: NDArray[np.floating], power: float) -> float:
    """The absolute value whose power is the mean power of `values`; scaled first, so that no square underflows."""
    sizes = np.abs(values, dtype=np.float64)
    largest = float(sizes.max())
    return largest and largest * float(np.mean((sizes / largest) ** power)) ** (1 / power)


def box_half_width(weights: Weights, centre: Sequence[float], fraction: float) -> float:
    """Smallest h such that the pixels with ``|index - centre| <= h`` in every axis hold `fraction` of the total.

    `centre` is an index per axis and may lie between pixels. NaN where all weights are zero.
    """
    if weights.peak == 0:
        return math.nan
    allowed = (1 - fraction) * (1 + TIE[np.dtype(np.float64)])
    furthest = math.ceil(max(max(c, n - c) for n, c in zip(weights.shape, centre, strict=True))) + 1
    # pixels stand at whole distances from the first one above a centre, and from the first one below
    beginnings = {start for c in centre for start in (math.ceil(c) - c, c - math.floor(c))}

    def least(beginning: float) -> float:
        first, last = 0, furthest
        while first < last:
            middle = (first + last) // 2
            if weights.outside(*box_indices(weights.shape, centre, beginning + middle)) <= allowed:
                last = middle
            else:
                first = middle + 1
        return beginning + first

    return min(map(least, beginnings))


def box_indices(shape: Sequence[int], centre: Sequence[float], half: float) -> tuple[list[int], list[int]]:
    """First and past-the-end index of the pixels of `shape` with ``|index - centre| <= half``."""
    half += 1e-9  # centres like 1/3 are rounded; distances differ by at least the rational's denominator, far more than this
    low = [min(n, max(0, math.ceil(c - half))) for n, c in zip(shape, centre, strict=True)]
    high = [min(n, max(0, math.floor(c + half) + 1)) for n, c in zip(shape, centre, strict=True)]
    return low, high


def margins(first: int, part: Array, centre: float, allowed: float) -> tuple[int, int]:
    """Smallest whole margins before and after `centre` (an index) with at most `allowed` of the mass beyond each.

    Before: the pixels below ``floor(centre) - margin``; after: those above ``ceil(centre) + margin``. The mass is that of `part`,
    whose entries stand from `first` on.
    """
    before = first + int(np.searchsorted(np.cumsum(part), allowed, side="right"))
    after = first + len(part) - 1 - int(np.searchsorted(np.cumsum(part[::-1]), allowed, side="right"))
    return max(0, math.floor(centre) - before), max(0, after - math.ceil(centre))
