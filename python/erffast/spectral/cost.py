"""What engines are expected to cost: coarse, for choosing between them.

An engine's time is a sum of amounts of work, each times a constant. The constants stand in `costs.json`: ``python benchmarks/costs.py``
measures them by running every engine on chains of many sizes. They are never measured by the package itself, and are the same for
every machine and instruction set: the engines differ in their last bits, which must not depend on what a clock said. Only ratios
count, and those of two engines differ less between machines than their times.
"""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..chain import Chain
from ..spreads import sides
from .signed import first_periods
from .transfer import transfer

Array = NDArray[np.float64]
Work: TypeAlias = dict[str, float]  # amounts by name, of which `costs.json` has the seconds

COSTS = Path(__file__).with_name("costs.json")
TILES = 36.0  # of a window as wide as `WIDTH`
WHOLE = 1e30  # standard deviations: the whole support
WIDTH = 15.0  # standard deviations that a trimmed image, or a window, is wide


def band_pays(chain: Chain) -> bool:
    """Whether the band-limited engine is expected to take less time than the direct engine.

    Parameters
    ----------
    chain : Chain
        Two axes, without negative taps. The cost of all draws grows alike.
    """
    if _most_seconds(chain, 1.0) <= seconds("band", {"start": 1.0}):
        return False
    return seconds("band", band_work(chain)) < seconds("layers", layers_work(chain, WIDTH, 1.0))


def tilts_pay(chain: Chain) -> bool:
    """Whether tiles of tilted chains are expected to take less time than the direct engine, for a window.

    Parameters
    ----------
    chain : Chain
        Two axes, without negative taps. The cost of all draws grows alike.
    """
    tiles = seconds("tiles", tiles_work(chain))
    return tiles < _most_seconds(chain, 1.0) and tiles < seconds("layers", layers_work(chain, WIDTH, 1.0))


def layers_pay(chain: Chain, *, separable: bool) -> bool:
    """Whether a signed chain is expected to take less time layer by layer than as a product of transfer functions.

    Parameters
    ----------
    separable : bool
        Each axis is run by itself.
    """
    if separable:
        return seconds("lines", lines_work(chain)) < seconds("line product", line_product_work(chain))
    draws = float(chain.draws or 1)
    if _most_seconds(chain, draws) < seconds("product", {"start": 1.0}):
        return True
    return seconds("layers", layers_work(chain, WHOLE, draws)) < seconds("product", product_work(chain))


def seconds(engine: str, work: Work) -> float:
    """Expected time of an engine's work."""
    each: dict[str, float] = _table()["seconds"][engine]
    return sum(each[name] * amount for name, amount in work.items())


@functools.cache
def _table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(COSTS.read_text(encoding="utf-8"))
    return found


# ------------------------------------------------------------------------------------------------ work


def layers_work(chain: Chain, width: float, draws: float) -> Work:
    """Of the direct engine, on images up to `width` standard deviations wide."""
    area = np.ones(chain.layers)
    for axis in range(chain.ndim):
        area *= sides(chain, axis, width)
    taps = np.concatenate([np.full(step.count, math.prod(step.kernel), dtype=float) for step in chain.steps])
    return {"start": 1.0, "layer": chain.layers * draws, "multiply-add": float((area * taps).sum()) * draws}


def _most_seconds(chain: Chain, draws: float) -> float:
    """A bound of what `layers_work` takes, without a look at the kernels: every layer as wide as the last. It settles all small chains."""
    most = math.prod(chain.field.size) * _taps(chain)
    return seconds("layers", {"start": 1.0, "layer": chain.layers * draws, "multiply-add": most * draws})


def lines_work(chain: Chain) -> Work:
    """Of the direct engine on each axis by itself."""
    work = 0.0
    for axis in range(chain.ndim):
        taps = np.concatenate([np.full(step.count, float(step.kernel[axis])) for step in chain.steps])
        work += float((sides(chain, axis, WHOLE) * taps).sum())
    axes, draws = float(chain.ndim), float(chain.draws or 1)
    return {"start": axes, "layer": axes * chain.layers * draws, "multiply-add": work * draws}


def product_work(chain: Chain) -> Work:
    """Of a product of transfer functions, with its inverse transform."""
    found = transfer(chain)
    frequencies = float(sum(height * (width // 2 + 1) for height, width in first_periods(found)))
    rows = float(sum(len(layer.taps) * max(1, layer.taps.shape[3] // 2) for layer in found.layers))
    spacings = float(len({layer.spacing for layer in found.layers} - {(1, 1)}))
    draws = float(found.draws)
    work = {"start": 1.0, "draw": draws, "layer": chain.layers * draws, "frequency": frequencies}
    return work | {"frequency and layer": frequencies * rows, "frequency and spacing": frequencies * spacings}


def line_product_work(chain: Chain) -> Work:
    """Of a product of transfer functions of each axis by itself."""
    axes, draws = float(chain.ndim), float(chain.draws or 1)
    frequencies = sum(float(sides(chain, axis, WHOLE)[-1]) for axis in range(chain.ndim)) / 2 * draws
    work = {"start": axes, "layer": axes * chain.layers * draws, "frequency": frequencies}
    return work | {"frequency and layer": frequencies * chain.layers}


def band_work(chain: Chain) -> Work:
    """Of a band of frequencies, with its bounds and the pixels of a window."""
    window = float(sides(chain, 0, WIDTH)[-1] * sides(chain, 1, WIDTH)[-1])
    return {"start": 1.0, "tap": _taps(chain), "pixel": window}


def tiles_work(chain: Chain) -> Work:
    """Of the tiles of a window, each with a tilted chain, its bounds and its band."""
    return {"start": 1.0, "tile": TILES, "tile and tap": TILES * _taps(chain)}


def _taps(chain: Chain) -> float:
    """Of all layers."""
    return float(sum([step.count * math.prod(step.kernel) for step in chain.steps]))
