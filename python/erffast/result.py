"""The effective receptive field as a result: an image with its exponent, position and accounts, and every size of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _validate as check
from ._pixels import Pixels, frozen, require_memory
from ._sizes import Sizes
from .geometry import ReceptiveField

if TYPE_CHECKING:
    from .fitting import Fit
    from .resampling import Bootstrap

Reach: TypeAlias = Sequence[NDArray[np.bool_]]
Method: TypeAlias = Literal["exact", "mean-field", "simulated", "measured", "surrogate"]
Reduction: TypeAlias = Literal["signed", "abs", "square", "rms", "positive"]

METHODS = ("exact", "mean-field", "simulated", "measured", "surrogate")
REDUCTIONS = ("signed", "abs", "square", "rms", "positive")
STATE = (
    *("origin", "receptive_field", "unit", "input_size", "method", "assumptions", "reduction", "border", "lost", "error"),
    *("lost_is_bound", "error_is_bound", "accuracy", "engine", "reason", "device", "dead", "nonfinite", "averaged", "stderr"),
)


class ERF(Sizes):
    """The effective receptive field of one unit: how much each input pixel counts.

    Results come from `variance`, `gradient` and their like, or from `ERF.from_gradients`; they are not changed afterwards and
    their arrays are read-only. The value of a pixel is ``image * 2.0**exponent``. Where a result has draws, each draw has its
    exponent, and every measure is an array [draws].

    Measures weigh a pixel by its *mass*: the image, or the square of a signed image. So a "square" image is measured as
    E[g^2], and `amplitude()`, about sqrt(2) wider, as its root. Measures of an image that is zero everywhere are NaN.
    A product of profiles, one per axis, is measured without being formed.

    Parameters
    ----------
    image : ndarray [*shape] or [draws, *shape], optional
        float32 or float64, finite; not negative unless `reduction` is "signed".
    profiles : sequence of ndarray, optional
        Instead of an image: one float64 array [length] or [draws, length] per axis; the image is their outer product.
    dtype : {"float64", "float32"}
        Of the image formed from profiles.
    exponent : int or int64 array [draws]
        True values are the image, or the product of the profiles, times ``2**exponent``. The pixels are brought to a peak in
        [0.5, 1) and the exponent with them.
    origin : tuple of int
        Input coordinate of the image's first pixel.
    receptive_field : ReceptiveField
        The theoretical field; `unit` says of which unit the image is.
    method : {"exact", "mean-field", "simulated", "measured", "surrogate"}
    assumptions : sequence of str
        What the method took for granted, in words.
    reduction : {"signed", "abs", "square", "rms", "positive"}
        What of the gradient the image holds.
    border, lost : float
        Shares of the energy g^2, whatever the reduction, that left through padding and outside the window.
    error : float
        Numerical error, relative to the peak or (`accuracy` "pixel") to each pixel.
    lost_is_bound, error_is_bound : bool
        Whether `lost` and `error` are upper bounds, or estimates.
    engine, device : str
    reason : str
        Why this engine was taken, in one sentence.
    dead, nonfinite : int
        Number of draws that are zero everywhere, and of draws left out because they were not finite.
    averaged : int
        Number of draws that the image is the mean of; 1 where it holds its draws.
    stderr : ndarray, optional
        Standard error of the image, of its shape, to the scale of the image given.
    unit : tuple of int
    input_size : tuple of int, optional
        Size of the input map; None is the unbounded plane.
    reach : sequence of bool arrays, optional
        Per axis, which pixels of `field_box` are reached at all; the reached set is their product. Or what gives them when asked.
    tops : sequence of float64 arrays [draws], optional
        The largest absolute value of the image, or of each profile, where that is known; the values are then not checked.
    """

    def __init__(
        self,
        *,
        image: Any = None,
        profiles: Sequence[NDArray[Any]] | None = None,
        dtype: Literal["float64", "float32"] = "float64",
        exponent: int | NDArray[np.int64] = 0,
        origin: Sequence[int],
        receptive_field: ReceptiveField,
        method: Method,
        assumptions: Sequence[str] = (),
        reduction: Reduction,
        border: float = 0.0,
        lost: float = 0.0,
        error: float = 0.0,
        lost_is_bound: bool = True,
        error_is_bound: bool = True,
        accuracy: Literal["pixel", "peak"] = "pixel",
        engine: str,
        reason: str = "",
        device: str = "cpu",
        dead: int = 0,
        nonfinite: int = 0,
        averaged: int = 1,
        stderr: NDArray[Any] | None = None,
        unit: Sequence[int],
        input_size: Sequence[int] | None = None,
        reach: Reach | Callable[[], Reach] | None = None,
        tops: Sequence[NDArray[np.float64]] | None = None,
    ) -> None:
        check.choice(method, "method", METHODS)
        check.choice(reduction, "reduction", REDUCTIONS)
        check.choice(accuracy, "accuracy", ("pixel", "peak"))
        self.origin = tuple(map(int, origin))
        signed = reduction == "signed"
        self._pixels = Pixels(image, profiles, dtype=dtype, exponent=exponent, ndim=len(self.origin), signed=signed, tops=tops)
        self.receptive_field = receptive_field
        self.method, self.assumptions, self.reduction = method, tuple(assumptions), reduction
        self.border, self.lost, self.error = float(border), float(lost), float(error)
        self.lost_is_bound, self.error_is_bound, self.accuracy = bool(lost_is_bound), bool(error_is_bound), accuracy
        self.engine, self.reason, self.device = engine, str(reason), device
        self.dead, self.nonfinite, self.averaged = int(dead), int(nonfinite), int(averaged)
        if stderr is not None and (image is None or stderr.shape != image.shape):
            raise ValueError(f"stderr must have the shape of the image, got {stderr.shape}")
        self.stderr = None if stderr is None else frozen(self._pixels.scaled(stderr))
        self.unit = tuple(map(int, unit))
        self.input_size = None if input_size is None else tuple(map(int, input_size))
        self._reach_given = reach

    # -------------------------------------------------------------------------------------------- the image

    @property
    def image(self) -> NDArray[Any]:
        """The pixels, [*shape] or [draws, *shape], peak in [0.5, 1), read-only; formed when first asked for.

        Raises MemoryError, before allocating, where a product of profiles is too large to be formed.
        """
        return self._pixels.image

    @property
    def device_image(self) -> Any:
        """The pixels where they were computed: for results of a GPU an array there, which torch and CuPy take as it is.

        An object with DLPack and ``__cuda_array_interface__``, complete, shared and not to be written to, as in
        ``torch.from_dlpack(erf.device_image)``. `image` is its copy on the host, made when first asked for. It is `image` itself for
        results of the CPU, in one and in three dimensions, of another dtype than the arithmetic's, of the spectral engine where it
        certifies each pixel or the host transforms, and for copies: what was loaded, unpickled or copied deeply.
        """
        held = self._pixels.on_device() if self.device == "cuda" else None
        return self.image if held is None else held

    @property
    def exponent(self) -> int | NDArray[np.int64]:
        """Power of two of the true values, an array [draws] where the image has draws; 0 for an image of zeros."""
        return frozen(self._pixels.exponents) if self._pixels.has_draws else int(self._pixels.exponents[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the image, formed or not."""
        return self._pixels.dtype

    @property
    def draws(self) -> int:
        """Number of draws that the image holds, or is the mean of."""
        return self._pixels.draws if self._pixels.has_draws else self.averaged

    @property
    def held(self) -> int:
        """Number of draws that the image holds, the length of its draws axis; 1 without one."""
        return self._pixels.draws

    @property
    def separable(self) -> bool:
        """Whether the result is kept as one profile per axis."""
        return self._profiles is not None

    @property
    def _profiles(self) -> tuple[NDArray[np.float64], ...] | None:
        return self._pixels.profiles

    # -------------------------------------------------------------------------------------------- other views

    def marginal(self, axis: int = -1) -> NDArray[Any]:
        """The mass summed over the other axes, as shares of the total: float64 [length] or [draws, length]; zeros if all is."""
        axis = self._axis(axis)
        return np.array(self._each(lambda w: w.marginals[axis]))

    def cut(self, axis: int = -1) -> NDArray[Any]:
        """The line of the image along `axis` through the pixel nearest the mean: [length] or [draws, length], scale of `image`."""
        axis = self._axis(axis)
        lines = []
        for draw, weights in enumerate(self._mass):
            pixel = [0 if math.isnan(m) else math.floor(m + 0.5) for m in weights.mean]
            lines.append(self._pixels.line(draw, axis, pixel))
        return np.array(lines) if self._pixels.has_draws else lines[0]

    def log10(self) -> NDArray[Any]:
        """Logarithm to base 10 of the true absolute values, exponent included: float64, -inf where zero."""
        return self._pixels.log10()

    def log10_peak(self) -> float:
        """Logarithm to base 10 of the true peak, exponent included, [draws] where the image has draws; -inf if all is zero."""
        with np.errstate(divide="ignore"):
            logs = np.log10(self._pixels.peaks) + self._pixels.exponents * math.log10(2)
        return logs if self._pixels.has_draws else float(logs[0])

    def _peak(self, draw: int = 0) -> tuple[float, int]:
        """The true peak of a draw as (mantissa, power of two): exact where its logarithm would not be."""
        return float(self._pixels.peaks[draw]), int(self._pixels.exponents[draw])

    def amplitude(self) -> ERF:
        """The root of a "square" image, as reduction "rms": what published pictures show, about sqrt(2) wider."""
        if self.reduction != "square":
            raise ValueError(f'amplitude() is the root of an image of reduction "square", but this one is "{self.reduction}"')
        state = {**self._state(), **self._pixels.root(self.stderr), "reduction": "rms"}
        # a relative error halves in the root; an error against the peak may stand where the image is zero
        state["error"] = self.error if self.accuracy == "pixel" else math.sqrt(self.error)
        return type(self)(**state)

    def mean_of_draws(self, *, normalise: bool = False) -> ERF:
        """The mean of the draws that this image holds, as `simulate` forms it without ``keep_draws``.

        Parameters
        ----------
        normalise : bool
            Bring each draw to unit mass first (inside the window), and leave out those that are zero everywhere, which else
            count as zeros. The mean of "signed" draws is that of g, each then of unit energy; of "rms" draws the root of the mean of
            their squares.

        Returns
        -------
        ERF
            With the standard error of each pixel, `stderr`. True values of draws may be any powers of two apart.

        Raises
        ------
        ValueError
            Where the image holds no draws.
        """
        from .resampling import mean_of_draws

        return mean_of_draws(self, normalise=bool(normalise))

    def bootstrap(self, measure: str | Callable[[ERF], Any], *, resamples: int = 200, seed: int = 0, normalise: bool = False) -> Bootstrap:
        """How uncertain a size of the mean of draws is: its standard error, by taking draws again and again, with replacement.

        Parameters
        ----------
        measure : callable or {"mean", "std", "level_size", "mass_size", "ratio"}
            A function of an ERF that returns a number, a tuple or an array, as ``lambda erf: erf.fit()[0].kl``; or a method's name.
        resamples : int
            At least 2. The standard error is itself uncertain by about ``1 / sqrt(2 * resamples)``, 5 % of 200.
        seed : int
            From 0 to 2**62. Resample number r of n draws is a function of (seed, r, n).
        normalise : bool
            As in `mean_of_draws`.

        Returns
        -------
        Bootstrap
            ``estimate``, of the mean of all draws; ``stderr``; and ``values`` [resamples, ...]. Where few large draws rule the mean, as
            in narrow deep networks, resamples know no more of the larger ones to come than the draws do, and the standard error is
            too small: ``normalise=True``, or many more draws.

        Raises
        ------
        ValueError
            Where the image holds fewer than two draws.
        TypeError
            Where `measure` does not return numbers.
        MemoryError
            Before anything is allocated: all draws are held once more, in float64.
        """
        from .resampling import bootstrap

        return bootstrap(self, measure, resamples=resamples, seed=seed, normalise=bool(normalise))

    def fit(self, models: Sequence[str] = ("gaussian",)) -> list[Fit]:
        """Models fitted to the mass, one `Fit` per model, with their distances and images; see `erffast.fitting`.

        Parameters
        ----------
        models : sequence of str
            - "gaussian": the mean and covariance of the mass, which is the maximum-likelihood fit.
            - "edgeworth": per axis also the third and fourth cumulant, axes taken as independent.
            - "generalised gaussian", ``exp(-(r/a)^b)`` of the Mahalanobis radius r, b fitted: 2 is the Gaussian, more is flatter.
            - "student-t": elliptical, the degrees of freedom fitted; infinitely many are the Gaussian.
            - "laplace", ``exp(-r/a)``: elliptical, the generalised Gaussian of shape 1; in one axis the two-sided exponential. (The
              product of one such per axis has contours like diamonds and is another function, as is the Laplace distribution of
              probability theory in two axes, which is infinite at its centre.)
            - "box gaussian": along each axis a box convolved with a Gaussian, the difference of two error functions.
            - "raised cosine", ``1 + cos(pi x / s)`` up to ``|x| = s``: along each axis, fitted by total variation.

            All but the last and "edgeworth" by least Kullback-Leibler divergence of the model from the mass, which is maximum likelihood.
            "box gaussian", "raised cosine" and "edgeworth" are products of functions along the axes, the others turn with the mass. In
            one, two or three axes.

        Raises
        ------
        MemoryError
            Where profiles are too long to be multiplied out, which the generalised Gaussian, Student's t and Laplace models ask for.
        """
        from .fitting import fit, stacked

        fits = fit(self._mass, models, self.origin)
        return [stacked(f) if self._pixels.has_draws else f[0] for f in fits]

    def plot(self, ax: Any = None, *, log: bool = False) -> Any:
        """A heat map with the theoretical field and the level contour; returns the matplotlib axes."""
        from .plotting import plot_erf

        return plot_erf(self, ax, log=log)

    def on_map(self) -> NDArray[Any]:
        """The image embedded in the whole input map, zeros elsewhere: [*map] or [draws, *map].

        Scaled as `image` is: true values are these times ``2.0**exponent``.

        Raises ValueError where there is no map; the part of an image beyond the map is cut.
        """
        size = self._map("on_map()")
        lead = (self.draws,) if self._pixels.has_draws else ()
        require_memory(math.prod(lead + size) * self.dtype.itemsize, "on_map()", "crop the image instead: image and origin say where it is")
        out = np.zeros(lead + size, dtype=self.dtype)
        low = [min(max(o, 0), n) for o, n in zip(self.origin, size, strict=True)]
        high = [max(min(o + m, n), a) for a, o, m, n in zip(low, self.origin, self.shape, size, strict=True)]
        target: Any = (..., *map(slice, low, high))
        source: Any = (..., *(slice(a - o, b - o) for a, b, o in zip(low, high, self.origin, strict=True)))
        if all(a < b for a, b in zip(low, high, strict=True)):
            out[target] = self.image[source]
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """True values, a new array; OverflowError where the peak is beyond the range of the dtype."""
        if copy is False:
            raise ValueError("copy=False cannot be had: true values are the image scaled, which takes a copy; use .image and .exponent")
        return self._pixels.true_values(self.dtype if dtype is None else np.dtype(dtype))

    def __repr__(self) -> str:
        from ._summary import summary

        return summary(self)

    # -------------------------------------------------------------------------------------------- coming and going

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything to one file (NumPy's npz, no pickle) at exactly `path`, whole or not at all; profiles stay profiles."""
        from .storage import save

        save(path, self._state(), self._pixels)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a file written by `save`; ValueError where it is no such file, is damaged, or has a newer format."""
        from .storage import load

        return cls(**load(path))

    @classmethod
    def from_gradients(
        cls,
        gradients: ArrayLike,
        *,
        axes: str = "NCHW",
        reduction: Reduction = "square",
        origin: Any = None,
        receptive_field: ReceptiveField | None = None,
    ) -> Self:
        """An ERF from the gradients of one unit with respect to its inputs, from any framework.

        Parameters
        ----------
        gradients : array_like
            Finite float32 or float64 (integers are converted), axes in the order of `axes`.
        axes : str
            One letter per axis: N draws (kept; one ERF holds them all), C channels (reduced), and one to three of D H W T
            (kept, in this order).
        reduction : {"square", "abs", "signed", "rms", "positive"}
            Over channels: sum of g^2, sum of |g|, sum of g, root of the sum of g^2, sum of max(g, 0).
        origin : tuple of int, optional
            Input coordinate of the first pixel. None: zero, and the gradients span the whole input map.
        receptive_field : ReceptiveField, optional
            That of the unit (as unit 0). None: the extent of the gradients.

        Returns
        -------
        ERF
            float64, ``method="measured"``; draws without any gradient are kept and counted in ``dead``.
        """
        from ._gradients import reduced

        check.choice(reduction, "reduction", REDUCTIONS)
        image, exponents, draws = reduced(gradients, axes, reduction)
        size = image.shape[draws:]
        place = (0,) * len(size) if origin is None else check.per_axis(check.integers(origin, "origin"), len(size), "origin")
        if receptive_field is None:
            centre = tuple(o + (n - 1) / 2 for o, n in zip(place, size, strict=True))
            receptive_field = ReceptiveField(size=size, jump=(1,) * len(size), start=place, centre=centre)
        elif len(receptive_field.size) != len(size):
            raise ValueError(f"receptive_field has {len(receptive_field.size)} axes, but the gradients have {len(size)} ({axes!r})")
        return cls(
            image=image,
            exponent=exponents,
            origin=place,
            receptive_field=receptive_field,
            method="measured",
            reduction=reduction,
            engine="given gradients",
            unit=(0,) * len(size),
            input_size=size if origin is None else None,
            dead=int(np.count_nonzero(~image.any(axis=tuple(range(draws, image.ndim))))),
        )

    # -------------------------------------------------------------------------------------------- helpers

    @cached_property
    def _reach(self) -> tuple[NDArray[np.bool_], ...] | None:
        found = self._reach_given() if callable(self._reach_given) else self._reach_given
        return None if found is None else tuple(frozen(np.asarray(r, dtype=bool)) for r in found)

    def _state(self) -> dict[str, Any]:
        """The constructor's arguments, without the pixels."""
        return {name: getattr(self, name) for name in STATE} | {"reach": self._reach}

    def _axis(self, axis: int) -> int:
        axis = check.integer(axis, "axis")
        if not -self.ndim <= axis < self.ndim:
            raise ValueError(f"axis must be from {-self.ndim} to {self.ndim - 1}, got {axis}")
        return axis % self.ndim
