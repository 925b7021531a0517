r"""The band-limited engine: deep chains without negative taps, right to a certified share of the peak.

The spectrum of such an image falls like a Gaussian, so that of millions of frequencies some thousand count; all others are
dropped, unseen, with a certificate. The image is the distribution of a sum of random steps (`laws`); its mass is 1 in what
follows, P is its spectrum and B >= \|P\| the bound of `certificate`. A pixel of the window is computed as

    1 / N  sum over the frequencies f kept of  P~(f) exp(i f . x),

N the pixels of the period and P~ the product as computed. Four things lie between that and the true pixel, each with its bound.

**Aliasing.** A period of n pixels shows ``sum over j of p(x + j n)``. A pixel of the window [low, high] then gets mass from
``low + n`` or beyond, or from ``high - n`` or before, along one axis at least. `chernoff` bounds these masses, and the period is
taken so large that the four together are below a quarter of the tolerance.

**The band.** What is dropped is at most ``1 / N  sum over the frequencies dropped of B``. The band is widened until this too is
below a quarter.

**Rounding of the product.** Layer p has a transfer function of modulus at most ``exp(-s_p / 2)``; computed, it is off by at most c
roundings u = 2**-53 (`plan.transfer_roundings`), as no partial sum of it exceeds its mass, 1. The other layers together have the
modulus ``exp((s_p - S) / 2)`` at most, or 1; as computed, each of them is larger by a factor of ``1 + c u exp(s / 2)`` at most, and
s <= 1. So, replacing one of the n layers after the other by what is computed,

    \|P~ - P\|  <=  n c u  exp(2 n c u)  min(1, exp((max s_p - S) / 2)).

At low frequencies s_p is almost 0 (`Certificate.kept`). Summed over the band and divided by N this is some n c u of the peak, and
so are the bounds of deep chains. Roundings do not conspire: the true error is a hundredth of it or less.

**Rounding of the synthesis.** `synthesis.rounding`.

The taps are taken as given, and their totals as they add up exactly. The mass is needed only as a factor of these bounds; it is
taken from P~(0). The peak, relative to which the error is told, is the largest pixel of the window less its error. It is only
known afterwards: a guess plans the period and the band, and where it was too high they are planned again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _backend, _core
from ..chain import Box, Chain
from ..errors import AccuracyError
from ..execution import Resources, require_image, require_on_device, reserve, reserve_on_device
from .certificate import Shape
from .laws import families
from .plan import Plan
from .synthesis import Picture, rounding
from .transfer import Transfer, transfer
from .windows import Windows

Array = NDArray[np.float64]

ROUNDOFF = 2.0**-53
# What the native product sets to zero, for it is 2**-90 of the largest, sums up to less.
NEGLECTED = 2.0**-88
GUESSES = 5  # of the peak; each uses what the last one showed


@dataclass(frozen=True)
class Account:
    """What is certain of one draw, at the working scale of its pixels.

    Attributes
    ----------
    picture : Picture
    absolute : float
        Bound on the error of any pixel.
    truncation, rounding : float
        Bounds on the error of any pixel from aliases and dropped frequencies, and from rounding; relative to the largest pixel
        seen, less its own error.
    outside : float
        Bound on the share of the mass outside the window.
    log_peak : float
        Logarithm of that least peak as a share of the mass; where no pixel is certain, a guess far below the last one.
    """

    picture: Picture
    absolute: float
    truncation: float
    rounding: float
    outside: float
    log_peak: float


def run_band(chain: Chain, *, box: Box | None, tol: float, resources: Resources) -> tuple[list[Certified], Box]:
    """The image of a chain without negative taps, from the few frequencies that count.

    Parameters
    ----------
    chain : Chain
        Of two axes and one channel, without borders (see `transfer.obstacle`).
    box : Box, optional
        First and last pixel of the window; None is the smallest that is certified to leave out at most `tol` of the mass of any
        draw.
    tol : float
        Dropped frequencies and aliases may add up to half of it to a pixel, relative to the peak of the window. Rounding comes on
        top, and is told in `Certified.bound`.
    resources : Resources

    Returns
    -------
    outcomes : list of one Certified
    crop : Box
        The window.

    Raises
    ------
    AccuracyError
        The window has no pixel that stands out from rounding.
    MemoryError
        Before allocating.
    """
    parts = transfer(chain)
    plans = [Plan(families(parts, draw, resources.threads)) for draw in range(parts.draws)]
    crop = box or window(plans, parts.origin, tol)
    _require_answer((parts.draws, *_sides(crop)), resources)
    accounts, exponents = certified(parts, plans, moved(crop, parts.origin, -1), tol, resources)
    return [Certified(crop, parts.origin, accounts, exponents + parts.exponents, resources)], crop


def _sides(box: Box) -> tuple[int, int]:
    height, width = (b - a + 1 for a, b in zip(*box, strict=True))
    return height, width


def _require_answer(shape: tuple[int, int, int], resources: Resources) -> None:
    """MemoryError where the pixels do not fit where they will be made."""
    if resources.native is _core:
        require_image(shape, "float64", resources.remedy)
    else:
        require_on_device(shape, "float64", resources)


def window(plans: Sequence[Plan], origin: tuple[int, int], tol: float) -> Box:
    """The box around the windows of all draws."""
    boxes = [plan.window(tol) for plan in plans]
    low, high = (tuple(int(n) for n in f([b[i] for b in boxes], axis=0)) for i, f in enumerate((np.min, np.max)))
    return moved((low, high), origin, 1)


def moved(box: Box, origin: tuple[int, int], sign: int) -> Box:
    low, high = (tuple(n + sign * o for n, o in zip(corner, origin, strict=True)) for corner in box)
    return low, high


def certified(
    parts: Transfer, plans: Sequence[Plan], box: Box, tol: float, resources: Resources
) -> tuple[list[Account], NDArray[np.int64]]:
    """The accounts of all draws; with a smaller peak expected where the one found shows that too much was left out."""
    for plan in plans:
        plan.guess_peak(box)
    for _ in range(GUESSES):
        accounts, exponents = _attempt(parts, plans, box, tol, resources)
        unsure = [(plan, account) for plan, account in zip(plans, accounts, strict=True) if account.truncation > tol / 2]
        if not unsure:
            return accounts, exponents
        for plan, account in unsure:
            plan.log_peak = account.log_peak
    least = math.exp(min(account.log_peak for _, account in unsure))
    raise _too_faint(least, least * tol)


def _attempt(parts: Transfer, plans: Sequence[Plan], box: Box, tol: float, resources: Resources) -> tuple[list[Account], NDArray[np.int64]]:
    """One product and what it shows, for the peaks expected now."""
    shape = _largest(plan.period(box, tol / 16) for plan in plans)
    bands = [plan.band(shape, tol / 4) for plan in plans]
    band = _largest(kept for kept, _ in bands)
    values, exponents = _product(parts, shape, band, resources)
    accounts = []
    for plan, (_, dropped), spectrum in zip(plans, bands, values, strict=True):
        picture = Picture(spectrum, shape, band, box, resources.threads, resources.native)
        truncation = plan.aliases(box, shape) + dropped
        accounts.append(_account(plan, picture, float(spectrum[0, 0].real), truncation, box, shape, band))
    return accounts, exponents


def _largest(pairs: Iterable[Shape]) -> Shape:
    rows, columns = zip(*pairs, strict=True)
    return max(rows), max(columns)


def _product(parts: Transfer, shape: Shape, band: Shape, resources: Resources) -> tuple[NDArray[np.complex128], NDArray[np.int64]]:
    """The product of all transfer functions on a band, [draws, 2 K_y + 1, K_x + 1], and its exponents."""
    frequencies = parts.draws * (2 * band[0] + 1) * (band[1] + 1)
    # twice for the working copy of the synthesis, once for the bounds
    _backend.require_memory(3 * 16 * frequencies, f"a spectrum of {2 * band[0] + 1} x {band[1] + 1} frequencies", resources.remedy)
    work = parts.draws * sum(len(layers.taps) for layers in parts.layers)
    if resources.meter is not None:
        resources.meter.expect(work)
    values, exponents = resources.native.spectrum(
        parts.native(), shape, band, parts.draws, resources.threads, resources.memory, resources.meter
    )
    if resources.meter is not None:
        resources.meter.add(work)
    return values, exponents


def _account(plan: Plan, picture: Picture, total: float, truncation: float, box: Box, shape: Shape, band: Shape) -> Account:
    """Bounds for one draw. `total` is the computed mass, `truncation` a bound on what was left out, as a share of it."""
    share = plan.roundings * ROUNDOFF
    # the computed mass is within `share` of the true one
    mass = total * (1 + 2 * share)
    growth = math.exp(min(2 * share, 700.0))
    product = share * growth * plan.certificate.kept(shape, band) / (float(shape[0]) * shape[1])
    rounded = mass * (product + NEGLECTED) + rounding(band) * picture.size
    left_out = mass * truncation
    seen, least = picture.sample
    least_peak = seen - rounded - left_out
    _check_sign(least, rounded + left_out)
    if seen <= 2 * rounded:
        raise _too_faint(seen / mass, rounded / mass)
    if least_peak <= 0:  # what was left out hides the pixels: take them for much smaller than thought
        return Account(picture, math.inf, math.inf, math.inf, 1.0, plan.log_peak - 10.0)
    pixels = len(picture.marginals[0]) * len(picture.marginals[1])
    inside = (float(picture.marginals[0].sum()) - 2 * pixels * (rounded + left_out)) / mass
    outside = min(plan.outside(box), max(1 - inside, 0.0), 1.0)
    return Account(picture, rounded + left_out, left_out / least_peak, rounded / least_peak, outside, math.log(least_peak / mass))


def _check_sign(least: float, error: float) -> None:
    if least < -error:
        raise ArithmeticError(f"a pixel of {least:.3e} is below 0 by more than its error can be, {error:.3e}")


def _too_faint(share: float, uncertain: float) -> AccuracyError:
    return AccuracyError(
        f"the largest pixel of the window, {max(share, 0.0):.1e} of the mass, does not stand out from what a spectrum is certain to, "
        f'{uncertain:.1e}; accuracy="pixel" keeps such pixels, and a window nearer to the mass has others'
    )


class Certified(Windows):
    """Windows of images computed in a band, one per draw, with what `execution.Outcome` offers for chains without negative taps.

    Attributes
    ----------
    peaks : float64 [draws]
        The largest pixel seen so far: of a sample of the window, until it is written.
    tops : float64 [draws]
        Largest pixels as they were written.
    trimmed : float64 [draws]
        Share of the mass outside the window (a bound).
    truncation, rounding, errors : float64 [draws]
        Bounds on the error of any pixel relative to the peak: from aliases and dropped frequencies, from rounding, and both.
    bound : float
        The largest of `errors`.
    """

    def __init__(
        self, box: Box, origin: tuple[int, int], accounts: Sequence[Account], exponents: NDArray[np.int64], resources: Resources
    ) -> None:
        super().__init__(box, exponents)
        self._origin = origin
        self._accounts = accounts
        self._resources = resources
        self.peaks = self._each(lambda a: a.picture.sample[0])
        self.tops = np.zeros(self.draws)
        self.trimmed = self._each(lambda a: a.outside)
        self.truncation = self._each(lambda a: a.truncation)
        self.rounding = self._each(lambda a: a.rounding)
        self.errors = self.truncation + self.rounding
        self.bound = float(self.errors.max())

    def _each(self, value: Callable[[Account], float]) -> Array:
        return np.array([value(account) for account in self._accounts])

    def marginal(self, draw: int, axis: int) -> Array:
        """Mass of the window along an axis, in units of the peak."""
        return np.asarray(np.maximum(self._accounts[draw].picture.marginals[axis], 0.0) / self.peaks[draw])

    def write(self, box: Box, factors: Array) -> Any:
        """Pixels of a box inside the window times one factor per draw, [draws, *shape]: they are computed here.

        Those of a GPU stay there (`_cuda.DeviceImage`).
        """
        shape, (top, left) = (self.draws, *_sides(box)), moved(box, self._origin, -1)[0]
        stays = self._resources.native is not _core
        out: Any = reserve_on_device(shape, "float64", self._resources) if stays else reserve(shape, "float64", self._resources.remedy)
        for draw, (account, factor) in enumerate(zip(self._accounts, factors.tolist(), strict=True)):
            if factor == 0:
                continue
            picture, size = account.picture, abs(factor)
            largest, least = picture.put((top, left), factor, out, draw) if stays else picture.write((top, left), factor, out[draw])
            _check_sign(least, size * account.absolute)
            self.peaks[draw] = max(self.peaks[draw], largest / size)
            self.tops[draw] = max(largest, 0.0)
        return out
