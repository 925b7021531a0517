"""Signed chains: the whole product at all frequencies, and one inverse transform.

**Period.** The image of a signed draw is far more compact than its support: its energy lies within some twelve standard
deviations. A period that holds it needs a fraction of the frequencies; what would lie outside wraps around. The period starts
at 25 standard deviations of the energy, and is enlarged until the values at the seam, opposite the energy's centre, are below
the tolerance. For random draws the largest value there equals the error of wrapping within a factor of 2 (1000 layers, periods of
512 to 768 pixels, seams of 1e-7 to 4e-15); tails that meet beyond the seam made it up to 6.4 times, so `SEAM_SHARE` times it is
reported. A part of the image that lies whole periods away would fold onto the rest without touching the seam; frequencies between
the grid's tell (`probe.folded`), and so does the spread of the energy, known without regard to the period. All of this samples: an
estimate. ``period="full"`` takes the whole support and leaves nothing to wrap.

**Error.** At frequencies drawn in proportion to the energy, and at others taken evenly, the product is repeated in double-double
arithmetic (`probe.on_grid`); the root mean square of the relative difference is that of the image, by Parseval's theorem. The
largest error of a pixel was .3 to .7 of it, relative to the peak, over stacks of 20 to 1000 layers of normal 3 x 3 and 5 x 5
kernels against long double; `ERROR_SHARE` times it is reported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .. import _backend, _core, _fft
from .._threads import share
from ..chain import Box, Chain
from ..errors import AccuracyError
from ..execution import Resources, normalising
from ..separability import expected_deviation
from . import device, probe
from .host import HostImage
from .image import Answer, Tile, TiledOutcome
from .period import Array, Image, Shape, spectra
from .transfer import Transfer, transfer

ERROR_SHARE = 1.5  # reported error / measured relative error of the energy
TRANSFORM_ERROR = 8 * 2.0**-53  # of the inverse transform and the last scaling, of the peak: measured 1e-16 .. 5e-16
SEAM_SHARE = 8.0  # reported error / largest value at the seam: tails that meet beyond it were up to 1.6 times the fourfold
FIRST_PERIOD = 25.0  # standard deviations of the energy
LEAST_PERIOD = 12.0  # below this a period cannot be trusted, whatever its seam
ENLARGED = 1.25
COMPACT = 0.4  # of the whole support's pixels: a period with more costs as much, for what wraps around it must be looked for
# Replacing kernels by products of factors: reported error / what their deviations, in largest taps, add up to.
FACTOR_SHARE = 4.0
# Several draws are transformed together as long as that takes no more: enough work for all threads, and what malloc uses again.
BATCH_BYTES = 2**25
# Taps times pixels of a batch that a thread takes for itself, some 30 ms: a thread other than the main one does not see Ctrl-C.
BATCH_WORK = 2**31
POWER = 4000  # taps that take as long as a kernel's power
WRITTEN = HostImage(np.empty((0, 0)))  # pixels that are kept no longer


@dataclass(frozen=True)
class Period:
    """What a run on one period found for one draw."""

    tile: Tile
    wrapped: float  # estimated error / peak of what wraps around
    spread: tuple[float, float]  # standard deviation of the energy per axis, input pixels


def run_signed(
    chain: Chain,
    tol: float,
    period: str,
    dtype: str,
    resources: Resources,
    *,
    box: Box | None = None,
    scale: float = 1.0,
    factors: Sequence[tuple[Array, ...]] | None = None,
) -> list[TiledOutcome]:
    """The image of a signed chain; with `factors`, kernels per axis, one profile for each axis.

    Chains without negative taps can be run so too: pixels that rounding leaves below 0 are then 0. The images of others are
    written as they are found, and not kept.

    Parameters
    ----------
    tol : float
        Error / peak allowed; half of it may be caused by wrapping around the period.
    period : "auto" or "full"
    dtype : str
        Of what is written; the arithmetic is float64.
    box : Box, optional
        What will be written; needed unless there are no negative taps, or `factors`.
    scale : float
        Multiplies the image there, before it is brought to a peak in [0.5, 1).
    """
    if factors is None:
        axes = tuple(range(chain.ndim))
        if box is not None and not chain.non_negative:
            found = transfer(chain)
            return [_run(found, axes, tol, period, dtype, resources, Answer(found.draws, box, axes, dtype, resources), scale)]
        outcome = _run(transfer(chain), axes, tol, period, dtype, resources)
        if chain.non_negative:
            for tile in outcome.tiles:
                tile.image.clip()
        return [outcome]
    replaced = FACTOR_SHARE * expected_deviation(chain.steps, factors) / chain.ndim
    outcomes = []
    for axis in range(chain.ndim):
        outcome = _run(transfer(chain, axis=axis, factors=factors), (axis,), tol / chain.ndim, period, "float64", resources)
        outcome.errors = outcome.errors + replaced
        outcomes.append(outcome)
    return outcomes


def _run(
    found: Transfer,
    axes: tuple[int, ...],
    tol: float,
    period: str,
    dtype: str,
    resources: Resources,
    answer: Answer | None = None,
    scale: float = 1.0,
) -> TiledOutcome:
    """Every draw on a period of its own, so that a draw does not depend on the others; equal periods are run together.

    Images are kept unless there is an `answer` to write them to.
    """
    draws = _Draws(found, tol, period, answer, scale)
    if answer is not None:
        resources = resources._replace(memory=resources.memory - answer.held)
    while draws.pending:
        shape = min(draws.pending.values())
        alike = [draw for draw, other in draws.pending.items() if other == shape]
        each = 8 * shape[0] * shape[1] if answer is None else answer.each
        if resources.native is _core:
            count, sharing = _batch(found, len(draws.pending), len(alike), shape, each, resources)
        else:
            count, sharing = _device_batch(found, len(draws.pending), len(alike), shape, each, answer is not None, resources), 1
        own = resources._replace(threads=resources.threads // sharing)
        batches = [alike[i : i + count] for i in range(0, len(alike), count)]
        for together in [batches] if sharing > 1 else [[batch] for batch in batches]:
            share(lambda batch, shape=shape, own=own: draws.run(batch, shape, own), together, sharing)  # type: ignore[misc]
            draws.require_accuracy()
    return TiledOutcome([draws.tiles[d] for d in range(found.draws)], axes, dtype, resources, answer)


class _Draws:
    """Draws on their way; different ones may be run at once.

    Attributes
    ----------
    pending : dict
        The period tried next, of each draw without a tile.
    tiles : dict
    """

    def __init__(self, found: Transfer, tol: float, period: str, answer: Answer | None, scale: float) -> None:
        first = [_full(found)] * found.draws if period == "full" else first_periods(found)
        self.pending: dict[int, Shape] = dict(enumerate(first))
        self.tiles: dict[int, Tile] = {}
        self._found, self._tol, self._answer, self._scale = found, tol, answer, scale
        self._refused: dict[int, float] = {}  # errors above the tolerance

    def run(self, batch: list[int], shape: Shape, resources: Resources) -> None:
        """Some draws on one period."""
        done = {}
        for draw, result in zip(batch, _on_period(self._found, shape, batch, self._tol, resources), strict=True):
            error = result.tile.error
            if error > self._tol:
                self._refused[draw] = error
            elif result.wrapped <= min(self._tol / 2, self._tol - error):
                done[draw] = replace(result.tile, error=error + result.wrapped)
                del self.pending[draw]
            else:
                self.pending[draw] = _larger(self._found, shape, result.spread)
        if self._answer is not None:
            factors = [normalising(tile.peak, self._scale)[0] for tile in done.values()]
            self._answer.put(list(done), list(done.values()), factors, resources.threads)
            done = {draw: replace(tile, image=WRITTEN) for draw, tile in done.items()}
        self.tiles.update(done)

    def require_accuracy(self) -> None:
        """Of several draws that are not accurate the first is named, whichever was known first."""
        if self._refused:
            error = self._refused[min(self._refused)]
            raise AccuracyError(
                f"rounding of the product of transfer functions is measured at {error:.1e} of the peak, above tol={self._tol:.1e}; "
                f"allow that with tol={2 * error:.0e}"
            )


# ------------------------------------------------------------------------------------------------ periods


def _full(found: Transfer) -> Shape:
    """A period without wrapping."""
    multiple, (height, width) = found.common_spacing, found.size
    return 1 if height == 1 else _fft.good_size(height, multiple[0]), _fft.good_size(max(width, 2), multiple[1])


def first_periods(found: Transfer) -> list[Shape]:
    """Per draw, the period tried first: 25 standard deviations of the energy, or what holds the whole support."""
    return [_limited(found, [FIRST_PERIOD * s + 16 for s in spread]) for spread in found.expected_spread.tolist()]


def _limited(found: Transfer, wanted: Sequence[float]) -> Shape:
    """Periods of at least the wanted lengths, and no longer than the support needs; all of that where it is little more."""
    full, multiple = _full(found), found.common_spacing
    sides = [f if w >= f else min(f, _fft.good_size(math.ceil(w), m)) for f, w, m in zip(full, wanted, multiple, strict=True)]
    return (sides[0], sides[1]) if sides[0] * sides[1] < COMPACT * full[0] * full[1] else full


def _larger(found: Transfer, shape: Shape, spread: tuple[float, float]) -> Shape:
    return _limited(found, [max(n * ENLARGED, FIRST_PERIOD * s) for n, s in zip(shape, spread, strict=True)])


def _batch(found: Transfer, pending: int, alike: int, shape: Shape, each: int, resources: Resources) -> tuple[int, int]:
    """How many draws are transformed together, and how many threads take batches of their own; images take `each` bytes.

    All threads work on one batch, unless draws are short and many: then no thread waits for another between the stages of a draw.
    MemoryError where not even one draw fits beside all images.
    """
    pixels = shape[0] * shape[1]
    kept, working = each * pending, (8 + 2 + 8) * pixels  # images; spectrum, its exponents, what a transform needs
    working += _beside(found, pixels)
    limit = _backend.require_memory(kept + working, _named(found, shape, pending), resources.remedy)
    threads, taps = resources.threads, [len(layer.taps) * layer.taps[0, 0].size for layer in found.layers]
    work = pixels * sum(POWER + n if layer.count > 1 else n for layer, n in zip(found.layers, taps, strict=True))
    own = min(BATCH_BYTES // 2, (limit - kept) // threads) // working
    own = min(own, BATCH_WORK // work, alike // (4 * threads))
    if own > 0 and threads > 1 and alike * work > BATCH_WORK // 8 and resources.meter is None:
        return own, threads
    return max(1, min(alike, min(BATCH_BYTES, limit - kept) // working)), 1


def _device_batch(found: Transfer, pending: int, alike: int, shape: Shape, each: int, written: bool, resources: Resources) -> int:
    """How many draws a GPU takes together; images are kept there, unless they are `written` or the host transforms."""
    pixels, what = shape[0] * shape[1], _named(found, shape, pending)
    working, kept = device.bytes_for(shape) + (8 + 2) * pixels + _beside(found, pixels), 0
    if device.on_host(resources.native):
        _backend.require_memory(each * pending + (8 + 8) * pixels, what, resources.remedy)
    else:
        working, kept = working + (8 + 16) * pixels, 0 if written else each * pending  # images, and what cuFFT works in
    limit = resources.require(kept + working, what)
    return max(1, min(alike, min(device.BATCH_BYTES, limit - kept) // working))


def _beside(found: Transfer, pixels: int) -> int:
    """Bytes of a factor computed apart, and of logarithms of the product."""
    return (8 + 2 + 4) * pixels if any(layer.count > 1 or layer.spacing != (1, 1) for layer in found.layers) else 0


def _named(found: Transfer, shape: Shape, pending: int) -> str:
    """A period for people."""
    what = f"a period of {shape[0]} x {shape[1]} pixels" if found.size[0] > 1 else f"a period of {shape[1]} pixels"
    return f"{what}{f' for {pending} draws' if pending > 1 else ''}"


# ------------------------------------------------------------------------------------------------ one period


def _on_period(found: Transfer, shape: Shape, draws: list[int], tol: float, resources: Resources) -> list[Period]:
    some = len(draws) < found.draws
    layers = [
        (np.ascontiguousarray(taps[:, draws]) if some and taps.shape[1] > 1 else taps, spacing, count)
        for taps, spacing, count in found.native()
    ]
    work = sum(len(taps) for taps, _, _ in layers) * len(draws)
    if resources.meter is not None:
        resources.meter.expect(work)
    half = spectra(layers, shape, len(draws), resources)
    if resources.meter is not None:
        resources.meter.add(work)
    energy = probe.on_grid(layers, shape, half, resources.threads)
    wraps = any(n < whole for n, whole in zip(shape, found.size, strict=True))
    seen = [half.blocks(i) for i in range(len(draws))] if wraps else []
    made = half.inverse()
    peaks, totals = made.peaks.tolist(), made.energies.sum(axis=1).tolist()
    errors, spreads = energy.errors.tolist(), energy.spreads.tolist()
    powers = (half.exponents + found.exponents[draws]).tolist()
    periods = []
    for i in range(len(draws)):
        image, spread = made.images[i], (spreads[i][0], spreads[i][1])
        low, wrapped = found.low, 0.0
        if wraps and peaks[i] > 0:
            low, seam = _placed(found, image, peaks[i], made.energies[i], energy.centres[i], spread)
            wrapped = SEAM_SHARE * seam
        error = ERROR_SHARE * errors[i] + TRANSFORM_ERROR
        tile = Tile(image, found.origin, low, powers[i], peaks[i], totals[i], error)
        if wraps and peaks[i] > 0 and wrapped <= tol:  # the seam says nothing of what has folded far from it
            mine = [(taps[:, i : i + 1] if taps.shape[1] > 1 else taps, spacing, count) for taps, spacing, count in layers]
            native = replace(tile, exponent=int(half.exponents[i]))
            wrapped += probe.folded(mine, native, seen[i], errors[i], tol, resources.threads)
        periods.append(Period(tile, wrapped, spread))
    return periods


def _placed(found: Transfer, image: Image, peak: float, energies: Array, centre: Array, spread: tuple[float, float]) -> tuple[Shape, float]:
    """Where the image on its period begins, and its largest value at the seams, relative to the peak; 0 where none can fold.

    `energies` are those of the rows.
    """
    low, worst = [], 0.0
    for axis in (0, 1):
        n = image.shape[axis]
        if n >= found.size[axis]:
            low.append(found.low[axis])
            continue
        profile = energies if axis == 0 else image.column_energies()
        start = _opposite(profile, found.origin[axis], found.origin[axis] + float(centre[axis]))
        low.append(start)
        seam = image.seam(axis, start - found.origin[axis], _seam_width(found, axis)) / peak
        worst = max(worst, seam if n >= LEAST_PERIOD * spread[axis] else 1.0)
    return (low[0], low[1]), worst


def _opposite(energy: Array, origin: int, expected: float) -> int:
    """The input coordinate half a period before the energy's centre.

    The centre is the circular mean of the energy along an axis; `expected`, known without regard to the period, tells which of its
    repetitions is meant.
    """
    n = len(energy)
    angle = np.angle(energy @ np.exp(2j * np.pi * np.arange(n) / n))
    circular = origin + float(angle) * n / (2 * np.pi)
    centre = circular + n * round((expected - circular) / n)
    first: int = math.floor(centre - n / 2)
    return first


def _seam_width(found: Transfer, axis: int) -> int:
    """Wide enough not to fall between the teeth of a comb."""
    widest = max((layer.spacing[axis] for layer in found.layers if layer.taps.shape[2 + axis] > 1), default=1)
    return max(3, min(widest, found.size[axis]))
