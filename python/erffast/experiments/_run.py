"""One run of the experiments: how much to draw, and the parts that are finished.

A part is what one call of `simulate` returned. It is kept in a file named by everything that it depends on, so that a run that was
interrupted goes on where it stopped, and no part is taken for another.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np

from .. import storage
from .._about import __version__
from .._progress import Progress
from ..layers import Layer
from ..result import ERF
from ..simulation import simulate


class Run:
    """Where parts are kept, and how they are computed.

    Parameters
    ----------
    parts : path-like, optional
        A folder, which is made; None keeps nothing.
    quick : bool
        Fewer draws and smaller networks.
    seed : int
        Of everything that is drawn.
    executor : concurrent.futures.Executor, optional
        Takes the draws of each part; the bits do not depend on it.
    threads : int
        0: all.
    progress : None, bool or callable
        Of the part under way.
    """

    def __init__(
        self,
        parts: str | Path | None = None,
        *,
        quick: bool = False,
        seed: int = 0,
        executor: Executor | None = None,
        threads: int = 0,
        progress: Progress = None,
    ) -> None:
        self.parts = None if parts is None else Path(parts)
        self.quick, self.seed = quick, seed
        self._how: dict[str, Any] = {"executor": executor, "threads": threads, "progress": progress}
        if self.parts is not None:
            self.parts.mkdir(parents=True, exist_ok=True)

    def either(self, full: int, quick: int) -> int:
        """A count for the whole run, or that of the quick one."""
        return quick if self.quick else full

    def simulate(self, net: Layer, **options: Any) -> ERF:
        """`erffast.simulate` with this run's seed, or what it returned before."""
        options = {"seed": self.seed, **options}
        if self.parts is None:
            return simulate(net, **options, **self._how)
        path = self.parts / f"{_key(net, options)}.npz"
        if path.exists():
            try:
                return ERF.load(path)
            except ValueError:
                pass  # damaged from outside, or of a newer version: made again
        erf = simulate(net, **options, **self._how)
        erf.save(path)
        return erf


def _key(net: Layer, options: dict[str, Any]) -> str:
    """A name for everything that a part depends on."""
    about = {"version": __version__, "net": storage.layer_to_json(net), **{name: _plain(value) for name, value in options.items()}}
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:24]


def _plain(value: Any) -> Any:
    """An option as JSON has it; arrays by their bytes."""
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
