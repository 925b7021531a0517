"""Running a chain natively: what is handed to the engine, what comes back.

The direct engine runs all axes in one image; the separable engine runs one image of height 1 per axis. Either way an
`Outcome` answers for some axes: marginal mass, trimming and rounding accounts, and pixels written out once the crop is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _backend, _core, _devices
from ._progress import Meter
from .chain import Box, Chain, Step
from .spreads import least_side

# Unit roundoff of the arithmetic "extended", double-double, as an estimate wants it: the low part's. (A bound for one sum is
# 2**-103; with that, estimates were 260 to 2200 times the errors of 18 chains on which double-double fails, and never below.) Its
# answers are rounded to float64 once more, at the end.
EXTENDED_ROUNDOFF = 2.0**-106

Array = NDArray[np.float64]
LARGE_PAGE = 2**21  # bytes
FARTHEST = 2.0**62  # pixels along an axis that are told


class Resources(NamedTuple):
    """What a run may use."""

    threads: int
    memory: int  # bytes, on the device
    meter: Meter | None
    remedy: str  # what would fit, for MemoryError
    native: Any = _core  # module of the device

    def require(self, needed: int, what: str) -> int:
        """MemoryError, before anything is allocated, where `needed` bytes do not fit the device; returns what would."""
        return _devices.require_memory(self.native, needed, what, self.remedy)


class Outcome:
    """Images of some axes, one per draw, at the engine's working scale.

    Attributes
    ----------
    axes : tuple of int
    peaks, exponents : arrays [draws]
        True values are pixel * 2**exponent; the peak of |pixel|.
    border, trimmed, rounding : arrays [draws]
        Shares of the mass lost at borders and left out by trimming (a bound); relative rounding error (a bound for
        non-negative chains).
    written_peaks, tops : arrays [draws]
        Once pixels are written, the peak times the factor of each draw, and the largest absolute value of what was written.
    """

    def __init__(self, images: Any, axes: tuple[int, ...], dtype: str, resources: Resources) -> None:
        self.axes = axes
        self.dtype = dtype
        self._resources = resources
        self._images = images
        self._rects: list[list[int]] = images.rects().tolist()  # first row and column, height, width
        self.peaks: Array = images.peaks()
        self._alive: list[bool] = [peak > 0 for peak in self.peaks.tolist()]
        self.exponents: NDArray[np.int64] = images.exponents()
        self.border: Array = images.borders()
        self.trimmed: Array = images.trimmed()
        self.rounding: Array = images.rounding()
        self._factors: Array | float = 1.0
        self.tops: Array = self.peaks

    def along(self, axis: int) -> Outcome:
        """The same images, for another axis."""
        other = object.__new__(Outcome)
        vars(other).update(vars(self), axes=(axis,))
        return other

    @property
    def draws(self) -> int:
        return len(self.peaks)

    @property
    def written_peaks(self) -> Array:
        return np.asarray(self.peaks * self._factors)

    def alive(self, draw: int) -> bool:
        return self._alive[draw]

    def span(self, draw: int, axis: int) -> tuple[int, int]:
        """First and last pixel along an axis."""
        native, rect = self._native(axis), self._rects[draw]
        return rect[native], rect[native] + rect[native + 2] - 1

    def marginal(self, draw: int, axis: int) -> Array:
        """Mass along an axis, in units of the peak; from the first pixel of `span`."""
        return np.asarray(self._images.mass(draw, self._native(axis)))

    def margins(self, draw: int, axis: int, share: float) -> tuple[int, int]:
        """How many pixels from the first and from the last of `span` hold at most `share` of the mass each."""
        leading, trailing = self._images.margins(draw, self._native(axis), share)
        return leading, trailing

    def least(self, draw: int, box: Box) -> float:
        """The smallest positive pixel of a box, in units of the peak."""
        sides = []
        for native in (0, 1):
            low, n = self._rects[draw][native], self._rects[draw][native + 2]
            axis = self._axis(native)
            first, last = (low, low + n - 1) if axis is None else (box[0][axis], box[1][axis])
            begin = min(max(first - low, 0), n)
            sides += [begin, max(begin, min(last + 1 - low, n))]
        return float(self._images.least(draw, *sides))

    def energies(self) -> Array:
        """Per draw, the sum of (pixel / peak)**2."""
        return np.asarray(self._images.energies())

    def write(self, box: Box, factors: Array) -> Any:
        """Pixels of a box times one factor per draw: [draws, *shape of these axes]; images of a GPU stay there (`_cuda.DeviceImage`)."""
        (first, last), axes = box, self.axes
        if len(axes) == 2 and self._resources.native is not _core:
            return self._written_on_device(first, last, factors)
        out = reserve((self.draws, *[last[a] - first[a] + 1 for a in axes]), self.dtype, self._resources.remedy, self._resources.memory)
        self._factors = factors
        if len(axes) == 2:
            self.tops = self._images.write(out, first[axes[0]], first[axes[1]], factors)
        else:
            self.tops = self._images.write(out[:, None], self._rects[0][0], first[axes[0]], factors)
        return out

    def _written_on_device(self, first: tuple[int, ...], last: tuple[int, ...], factors: Array) -> Any:
        height, width = (last[a] - first[a] + 1 for a in self.axes)
        require_on_device((self.draws, height, width), self.dtype, self._resources)
        self._factors = factors
        image, self.tops = self._images.written(height, width, first[self.axes[0]], first[self.axes[1]], factors)
        return image

    def _native(self, axis: int) -> int:
        return self.axes.index(axis) + 2 - len(self.axes)

    def _axis(self, native: int) -> int | None:
        index = native - 2 + len(self.axes)
        return self.axes[index] if index >= 0 else None


def reserve(shape: tuple[int, ...], dtype: str, remedy: str, granted: int = 0) -> NDArray[Any]:
    """Zeros for images [draws, *sides]; MemoryError with the remedy where they do not fit. Pages never written cost nothing.

    `granted`: bytes that the run was given when it began; a small image needs no second look.

    Large images begin on a large page and have room to the end of one. NumPy asks for such pages, but where it does not begin on one
    the ends are ordinary: 850 of them cost an image of 37 MB 1 ms of 5.
    """
    count, each = math.prod(shape), np.dtype(dtype).itemsize
    if count * each > min(granted, _backend.UNASKED):
        require_image(shape, dtype, remedy)
    if count * each < 2 * LARGE_PAGE:
        return np.zeros(shape, dtype=dtype)
    page = LARGE_PAGE // each
    room = np.zeros(page + -(-count // page) * page, dtype=dtype)
    begin = -room.ctypes.data % LARGE_PAGE // each
    return room[begin : begin + count].reshape(shape)


def require_image(shape: tuple[int, ...], dtype: str, remedy: str) -> None:
    """MemoryError with the remedy where images [draws, *sides] do not fit."""
    needed = math.prod(shape) * np.dtype(dtype).itemsize
    if needed > (limit := _backend.memory_limit(needed)):
        draws = f" for {shape[0]} draws" if shape[0] > 1 else ""
        raise _backend.shortage(needed, limit, f"an image of {' x '.join(map(str, shape[1:]))} pixels{draws}", remedy)


def require_on_device(shape: tuple[int, int, int], dtype: str, resources: Resources) -> None:
    """MemoryError with the remedy where images [draws, rows, columns] do not fit a GPU."""
    draws, height, width = shape
    needed = math.prod(shape) * np.dtype(dtype).itemsize
    resources.require(needed, f"an image of {height} x {width} pixels{f' for {draws} draws' if draws > 1 else ''}")


def reserve_on_device(shape: tuple[int, int, int], dtype: str, resources: Resources) -> Any:
    """Zeros for images [draws, rows, columns] on a GPU (`_cuda.DeviceImage`); MemoryError where they do not fit."""
    require_on_device(shape, dtype, resources)
    made = resources.native.new_image_f32 if dtype == "float32" else resources.native.new_image_f64
    return made(*shape)


def normalising(peak: float, scale: float) -> tuple[float, int]:
    """What brings pixels times `scale` to a peak in [0.5, 1), `scale` included, and the power of two taken out; 0 for zeros."""
    shift = math.frexp(peak * scale)[1]
    return math.ldexp(scale, -shift) if peak > 0 else 0.0, shift


def run_direct(chain: Chain, *, dtype: str, trim: float, resources: Resources) -> list[Outcome]:
    """The whole chain in one image.

    Parameters
    ----------
    dtype : "float32", "float64" or "extended"
        The arithmetic. "extended" computes in double-double numbers, with a unit roundoff of `EXTENDED_ROUNDOFF`, and answers in
        float64; it takes about four times the time and twice the memory of "float64".
    trim : float
        Share of the mass that may be left out by trimming; 0 for signed chains.
    """
    kernels = [step.kernels for step in chain.steps]
    if resources.meter is not None:
        resources.meter.expect(_work(chain))
    return [_propagate(chain, kernels, tuple(range(chain.ndim)), dtype, trim, resources)]


def run_separable(chain: Chain, factors: Sequence[tuple[Array, ...]], *, trim: float, resources: Resources) -> list[Outcome]:
    """One 1-D chain per axis, in float64; of axes that are alike, as those of square kernels, one is run for all."""
    if resources.meter is not None:
        resources.meter.expect(_work(chain) * chain.ndim)
    outcomes: list[Outcome] = []
    for axis in range(chain.ndim):
        twin = next((o for o in outcomes if _alike(chain, factors, o.axes[0], axis)), None)
        if twin is None:
            kernels = [f[axis][:, :, None, None] for f in factors]
            outcomes.append(_propagate(chain, kernels, (axis,), "float64", trim, resources))
        else:
            outcomes.append(twin.along(axis))
            if resources.meter is not None:
                resources.meter.add(_work(chain))
    return outcomes


def _alike(chain: Chain, factors: Sequence[tuple[Array, ...]], one: int, other: int) -> bool:
    """Whether two axes have the same chain, to the last bit of every tap."""
    if chain.unit[one] != chain.unit[other]:
        return False
    for step, kernels in zip(chain.steps, factors, strict=True):
        described = step.stride, step.dilation, step.before, step.growth, step.extent or chain.unit
        if any(values[one] != values[other] for values in described) or kernels[one].tobytes() != kernels[other].tobytes():
            return False
        if step.scales is not None and not np.array_equal(step.scales[one], step.scales[other]):
            return False
    return True


def _stored(dtype: str) -> str:
    """Of taps and answers."""
    return "float64" if dtype == "extended" else dtype


def _work(chain: Chain) -> int:
    """What progress counts: layers times draws."""
    return chain.layers * (chain.draws or 1)


def _run(step: Step, kernels: Array, axes: Sequence[int], *, exact: bool) -> tuple[Any, ...]:
    """One run for the engine, with one value for each of the axes."""

    def picked(values: tuple[int, ...]) -> tuple[int, ...]:
        return values if len(axes) == len(values) else (values[axes[0]],)

    scale = None
    if step.gate is not None:
        scale = step.gate.reshape(-1, step.gate.shape[-1])
    elif step.scales is not None:
        scale = _outer_scale([step.scales[a] for a in axes], [step.kernel[a] for a in axes], exact=exact)
    return (
        kernels,
        picked(step.stride),
        picked(step.dilation),
        picked(step.before),
        None if step.extent is None else picked(step.extent),
        picked(step.growth),
        step.count,
        step.shared,
        step.groups,
        scale,
    )


def _outer_scale(sides: list[Array], kernel: list[int], *, exact: bool) -> Array:
    """The product of the factors along one or two axes, [rows, columns]; if exact, [high and low parts, rows, columns].

    The factors are ratios k / m of the pixels of a window and those that count, or their squares, rounded. Ratios with
    denominators up to k**2 are too far apart for a float to confuse them, so the exact ones can be told.
    """
    if len(sides) == 1:
        sides, kernel = [np.ones(1), *sides], [1, *kernel]
    if not exact:
        return np.multiply.outer(*sides)
    from fractions import Fraction

    (rows, i), (columns, j) = (np.unique(side, return_inverse=True) for side in sides)  # a few: windows at a border, and all others
    r, c = ([Fraction(v).limit_denominator(k * k) for v in values] for values, k in zip((rows, columns), kernel, strict=True))
    products = [[a * b for b in c] for a in r]
    high = np.array(products, dtype=np.float64)
    low = np.array([[p - Fraction(h) for p, h in zip(*row, strict=True)] for row in zip(products, high, strict=True)], dtype=np.float64)
    return np.stack([high, low])[:, i[:, None], j]


def _propagate(chain: Chain, kernels: Sequence[Array], axes: tuple[int, ...], dtype: str, trim: float, resources: Resources) -> Outcome:
    native_unit = (0, *[chain.unit[a] for a in axes])[-2:]
    draws = chain.draws or 1
    limit = resources.memory
    if trim > 0 and (chain.bounded or any(step.kernels.shape[2:4] != (1, 1) for step in chain.steps)):
        trim = 0.0  # a map is small by itself, and its border takes mass unevenly; with channels the mass is not one number
    if trim == 0:
        _require_memory(chain, axes, dtype, draws, resources)
    elif math.prod([chain.field.size[a] for a in axes]) > max(limit, _backend.UNASKED):
        _require_spread(chain, axes, dtype, trim, resources)
    runs = [_run(step, taps, axes, exact=dtype == "extended") for step, taps in zip(chain.steps, kernels, strict=True)]
    try:
        images = getattr(resources.native, _backend.PROPAGATE[dtype])(
            runs, native_unit, chain.channels, draws, chain.non_negative, trim, resources.threads, limit, resources.meter
        )
    except MemoryError as exc:
        needed = _backend.readable_bytes(2 * exc.args[0]) if exc.args and isinstance(exc.args[0], int) else "more"
        available = f"{_backend.readable_bytes(limit)} are available{_devices.where(resources.native)}"
        raise MemoryError(f"the two working images need {needed}, and {available}; {resources.remedy}") from None
    if resources.meter is not None:
        resources.meter.add(_work(chain))
    return Outcome(images, axes, _stored(dtype), resources)


def _require_spread(chain: Chain, axes: tuple[int, ...], dtype: str, trim: float, resources: Resources) -> None:
    """Two working images of what trimming must leave.

    Strided fields are larger than any memory; without this, minutes would pass before that was found out.
    """
    sides = [max(1, math.ceil(min(least_side(chain, axis, trim), FARTHEST))) for axis in axes]
    needed = 2 * math.prod(sides) * np.dtype(_stored(dtype)).itemsize
    resources.require(needed, f"an image of {' x '.join(map(str, sides))} pixels and more, one standard deviation a side,")


def _require_memory(chain: Chain, axes: tuple[int, ...], dtype: str, draws: int, resources: Resources) -> None:
    """Two working images a thread that runs alone, and two at least on a GPU; the draws' images, and the answer."""
    working = 1
    for axis in axes:
        sides = [chain.field.size[axis]]
        if chain.input_size is not None and chain.bounded:
            extents = [s.extent[axis] + s.dilation[axis] * (s.kernel[axis] - 1) for s in chain.steps if s.extent is not None]
            extents += [s.extent[axis] + (s.count - 1) * s.growth[axis] for s in chain.steps if s.extent is not None]
            sides.append(max(extents))
        working *= min(sides)
    channels = max(s.groups * s.kernels.shape[3] for s in chain.steps)
    # a GPU takes as many draws at a time as there is room for
    alone = resources.threads if draws > 1 and resources.native is _core else 1
    answer = draws * working
    images = 2 * (2 if dtype == "extended" else 1) * max(channels, chain.channels) * alone
    needed = (images * working + (answer if draws > 1 else 0) + answer) * np.dtype(_stored(dtype)).itemsize
    box = " x ".join(str(chain.field.size[a]) for a in axes)
    resources.require(int(needed), f"a receptive field of {box} pixels{f' for {draws} draws' if draws > 1 else ''}")
