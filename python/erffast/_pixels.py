"""The pixels of a result: an image, or one profile per axis whose outer product is the image, with a power of two per draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .measures import Array, Dense, Product, Weights

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
SMALLER = 'every size, marginal() and cut() work without the image; a smaller window=, or dtype="float32", needs less'


class Pixels:
    """Normalised pixels: true values are ``image * 2**exponents`` and the peak of every draw is in [0.5, 1), or 0.

    Who knows the largest absolute values of each array given, [draws], hands them over as `tops`: nothing is checked then. An image
    may then be one on a GPU (`_cuda.DeviceImage`): it is copied to the host when its pixels are first asked for.

    Attributes
    ----------
    profiles : tuple of float64 arrays, or None
        One per axis, [length] or [draws, length]; the image is their outer product times ``2**shifts``.
    shifts, exponents : int64 [draws]
    rescaled : int64 [draws]
        The power of two by which the values given were multiplied.
    peaks : float64 [draws]
        Largest absolute value of the image.
    shape : tuple of int
        Of the image of one draw.
    """

    def __init__(
        self,
        image: Any,
        profiles: Sequence[NDArray[Any]] | None,
        *,
        dtype: str,
        exponent: Any,
        ndim: int,
        signed: bool,
        tops: Sequence[Array] | None = None,
    ) -> None:
        if (image is None) == (profiles is None):
            raise ValueError(f"an ERF takes either an image or profiles, got {'neither' if image is None else 'both'}")
        given = [image] if image is not None else list(profiles or ())
        if tops is None:
            extra = _leading_axes(given, ndim, is_image=image is not None)
            tops = [_peaks(p, extra, "image" if image is not None else f"profiles[{axis}]", signed) for axis, p in enumerate(given)]
        else:
            extra = len(given[0].shape) - (1 if image is None else ndim)
        self.has_draws = extra == 1
        self._image: NDArray[Any] | None = None
        self.dtype: np.dtype[Any]
        self.shape: tuple[int, ...]
        self.profiles: tuple[Array, ...] | None = None
        if image is not None:
            self.dtype, self.shape = np.dtype(image.dtype), image.shape[extra:]
        else:
            self.profiles = tuple([frozen(np.asarray(p, dtype=np.float64)) for p in given])
            self.dtype, self.shape = np.dtype(dtype), tuple([p.shape[-1] for p in given])
        self._tops, self._given_exponent = tops, np.array(exponent, dtype=np.int64)
        self._on_device = image if hasattr(image, "to_host") and not self.rescaled.any() else None
        if image is not None and self._on_device is None:
            host = image.to_host() if hasattr(image, "to_host") else image
            self._image = frozen(np.ascontiguousarray(self.scaled(host)))
        self._weights: dict[float, list[Weights]] = {}

    @cached_property
    def _largest(self) -> tuple[Array, NDArray[np.int64]]:
        """Mantissas in [0.5, 1) and powers of two of the largest absolute values, [draws]."""
        # rounded as the image is or will be, for rounding can carry a peak over a power of two
        rounded = math.prod(self._tops[1:], start=self._tops[0]).astype(self.dtype, copy=False).astype(np.float64, copy=False)
        mantissas, powers = np.frexp(rounded)
        return mantissas, powers.astype(np.int64)

    @property
    def peaks(self) -> Array:
        return self._largest[0]

    @property
    def rescaled(self) -> NDArray[np.int64]:
        return -self._largest[1]

    @cached_property
    def exponents(self) -> NDArray[np.int64]:
        peaks, powers = self._largest
        return np.where(peaks > 0, self._given_exponent + powers, 0)

    @property
    def shifts(self) -> NDArray[np.int64]:
        return np.zeros_like(self.rescaled) if self.profiles is None else self.rescaled

    def scaled(self, values: NDArray[Any]) -> NDArray[Any]:
        """`values`, to the scale the pixels were given in, at the scale of the image; [draws, *shape] or [*shape]."""
        return times_power(values, self._per_draw(self.rescaled)) if self.rescaled.any() else values

    @property
    def draws(self) -> int:
        return len(self._tops[0])

    @property
    def image(self) -> NDArray[Any]:
        """[*shape] or [draws, *shape], read-only; formed, or copied from a GPU, when first asked for."""
        if self._image is None:
            self._image = frozen(self._formed() if self._on_device is None else self._on_device.to_host())
        return self._image

    def on_device(self) -> Any:
        """The image on the GPU, formed there from profiles when first asked for; None where it is on the host only."""
        from . import _devices

        forms = self.profiles is not None and len(self.shape) == 2 and _devices.available_devices()["cuda"] == "ready"
        if self._on_device is None and forms:
            native = _devices.native("cuda")
            _devices.require_memory(native, self.draws * math.prod(self.shape) * self.dtype.itemsize, "the image", SMALLER)
            form = native.outer_image_f32 if self.dtype == np.float32 else native.outer_image_f64
            image = form(*(np.atleast_2d(p) for p in self.profiles or ()), np.asarray(self.shifts))
            self._on_device = image if self.has_draws else image.reshaped(self.shape)
        return self._on_device

    def __getstate__(self) -> dict[str, Any]:
        """A copy elsewhere has the image on the host."""
        if self._on_device is None:
            return vars(self)
        return vars(self) | {"_on_device": None, "_image": self._image if self.profiles is not None else self.image}

    def _formed(self, powers: Any = 0) -> NDArray[Any]:
        """A new image from the profiles, times ``2**powers``: the one place where it is multiplied out."""
        from . import _backend

        assert self.profiles is not None
        shape = (self.draws, *self.shape) if self.has_draws else self.shape
        require_memory(math.prod(shape) * self.dtype.itemsize, f"the image of {' x '.join(map(str, shape))} pixels", SMALLER)
        shifts: Any = self.shifts if self.has_draws else self.shifts[0]
        image: NDArray[Any] = _backend.outer(self.profiles, shifts, self.dtype.name, power=powers)
        return image

    def weights(self, power: float) -> list[Weights]:
        """Per draw, the pixels' absolute values to `power` as weights; kept, because marginals are used again and again."""
        if power not in self._weights:
            self._weights[power] = [self._weights_of_draw(d, power) for d in range(self.draws)]
        return self._weights[power]

    def _weights_of_draw(self, draw: int, power: float) -> Weights:
        if self.profiles is not None:
            return Product([p[draw] if self.has_draws else p for p in self.profiles], power)
        return Dense(self.image[draw] if self.has_draws else self.image, power)

    def line(self, draw: int, axis: int, pixel: Sequence[int]) -> NDArray[Any]:
        """The line of the image along `axis` through `pixel` (indices), without forming the image."""
        if self.profiles is None:
            place: tuple[Any, ...] = tuple(slice(None) if a == axis else i for a, i in enumerate(pixel))
            return np.array(self.image[(draw, *place) if self.has_draws else place])
        parts = [p[draw] if self.has_draws else p for p in self.profiles]
        values: NDArray[Any] = np.ldexp(np.ones(1), self.shifts[draw])
        for a, (part, i) in enumerate(zip(parts, pixel, strict=True)):
            values = values * (part if a == axis else part[i])
        return values.astype(self.dtype)

    def root(self, stderr: NDArray[Any] | None) -> dict[str, Any]:
        """The root of non-negative pixels, and its standard error to first order, as arguments of `ERF`."""
        powers = self.exponents + self.shifts
        odd = powers % 2  # goes into the values, for the exponent is halved
        out: dict[str, Any] = {"exponent": (powers - odd) // 2}
        if self.profiles is None:
            out["image"] = np.sqrt(times_power(self.image, self._per_draw(odd)))
        else:
            first = times_power(self.profiles[0], odd[:, None] if self.has_draws else odd[0])
            out["profiles"] = [np.sqrt(p) for p in (first, *self.profiles[1:])]
            out["dtype"] = self.dtype.name
        if stderr is not None:
            # d sqrt(v) = dv / (2 sqrt(v)); a mean of squares is zero only where every draw is, and so is its error
            scaled, root = times_power(stderr, self._per_draw(odd)), out["image"]
            out["stderr"] = np.divide(scaled, 2 * root, out=np.zeros_like(scaled), where=root > 0)
        return out

    def true_values(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """``image * 2**exponents`` in `dtype`; OverflowError where a peak is beyond its range."""
        work = dtype if dtype.kind == "f" else np.dtype(np.float64)
        with np.errstate(over="ignore"):
            peaks = np.ldexp(self.peaks.astype(work), self.exponents)
        lost = ~np.isfinite(peaks) | ((peaks == 0) & (self.peaks > 0))
        if lost.any():
            draw = int(np.argmax(lost))
            which = f" of draw {draw}" if self.has_draws else ""
            raise OverflowError(
                f"the peak{which}, {self.peaks[draw]:.3g} * 2**{self.exponents[draw]}, is beyond the range of {work}; "
                "use log10(), or image and exponent"
            )
        require_memory(self.draws * math.prod(self.shape) * work.itemsize, "the array of true values", SMALLER)
        if self.profiles is not None and dtype == self.dtype:  # written once, at its true scale
            return self._formed(self.exponents if self.has_draws else self.exponents[0])
        return times_power(self.image.astype(work, copy=False), self._per_draw(self.exponents)).astype(dtype, copy=False)

    def _per_draw(self, powers: NDArray[np.int64]) -> Any:
        """Powers of two [draws], shaped to scale the image."""
        return powers.reshape((-1,) + (1,) * len(self.shape)) if self.has_draws else powers[0]

    def log10(self) -> NDArray[np.floating]:
        """Logarithm to base 10 of the true absolute values, float64; -inf where zero."""
        count = self.draws * math.prod(self.shape)
        require_memory(8 * count, "log10() of the image", SMALLER)
        powers = ((self.exponents + self.shifts) * math.log10(2)).reshape((-1,) + (1,) * len(self.shape))
        logs: NDArray[np.floating]
        if self.profiles is None:
            logs = np.abs(self.image, dtype=np.float64).reshape(self.draws, *self.shape)
            with np.errstate(divide="ignore"):
                np.log10(logs, out=logs)
            logs += powers
        else:  # a sum of logarithms: it does not underflow where the product would
            logs = powers
            for axis, profile in enumerate(self.profiles):
                with np.errstate(divide="ignore"):
                    part = np.log10(np.abs(profile)).reshape(self.draws, -1)
                logs = logs + np.expand_dims(part, [1 + a for a in range(len(self.shape)) if a != axis])
        return logs if self.has_draws else logs[0]


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only view: results keep measures computed from their arrays."""
    view = array.view()
    view.flags.writeable = False
    return view


def times_power(values: NDArray[Any], powers: Any) -> NDArray[Any]:
    """``values * 2**powers``, exact, a new array."""
    limits = np.finfo(values.dtype)
    if np.min(powers) < limits.minexp or np.max(powers) >= limits.maxexp:
        return np.asarray(np.ldexp(values, powers))
    return np.asarray(values * np.ldexp(np.ones((), dtype=values.dtype), powers))  # the factor is a number: ten times as fast


def require_memory(needed: int, what: str, remedy: str) -> None:
    """Raise MemoryError before `needed` bytes are allocated, where they are not there."""
    from . import _backend

    _backend.require_memory(needed, what, remedy)


def _leading_axes(arrays: Sequence[NDArray[Any]], ndim: int, *, is_image: bool) -> int:
    """1 where the image, or every profile, has a draws axis, else 0."""
    name, own = ("image", ndim) if is_image else ("profiles", 1)
    shapes = [np.shape(a) for a in arrays]
    if not all(isinstance(a, np.ndarray) and a.dtype in FLOATS for a in arrays):
        kinds = [str(a.dtype) if isinstance(a, np.ndarray) else type(a).__name__ for a in arrays]
        raise TypeError(f"{name} must be float32 or float64 arrays, got {', '.join(kinds)}")
    extra = {len(s) - own for s in shapes}
    draws = {s[0] for s in shapes if len(s) > own}
    if len(arrays) != (1 if is_image else ndim) or len(extra) != 1 or extra - {0, 1} or len(draws) > 1:
        wanted = f"[*shape] or [draws, *shape] with {ndim} axes" if is_image else f"{ndim} arrays, all [length] or all [draws, length]"
        raise ValueError(f"{name} must be {wanted}, got {', '.join(map(str, shapes)) or 'none'}")
    if any(0 in s for s in shapes):
        raise ValueError(f"{name} must hold at least one pixel and one draw, got {', '.join(map(str, shapes))}")
    return extra.pop()


def _peaks(values: NDArray[Any], leading: int, name: str, signed: bool) -> Array:
    """Per draw, the largest absolute value; refuses what is not finite, and negative values where there must be none."""
    axes = tuple(range(leading, values.ndim))
    largest, smallest = values.max(axis=axes), values.min(axis=axes)
    peaks: Array = np.array(np.maximum(largest, -smallest), dtype=np.float64, ndmin=1)
    if not math.isfinite(peaks.max()):
        raise ValueError(f"{name} must be finite, got {peaks[~np.isfinite(peaks)][0]} in draw {int(np.argmin(np.isfinite(peaks)))}")
    if not signed and smallest.min() < 0:
        raise ValueError(f'{name} must not be negative (reduction="signed" is for signed values), got {np.min(smallest)}')
    return peaks
