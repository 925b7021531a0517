"""The experiments of Luo et al. (2016), repeated, and the questions of their critics answered.

One module per experiment. Each has a `TITLE`, `find(run)`, which measures and returns `Findings`, and `draw(findings)`, which returns its
figures by name. `reproduce` does them all and writes a report.

>>> import erffast as ef
>>> found = ef.experiments.shapes.find(ef.experiments.Run(quick=True))
>>> found.claims[0].against_theory
'agrees'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._findings import Claim as Claim
from ._findings import Findings as Findings
from ._findings import Grid as Grid
from ._reproduce import EXPERIMENTS as EXPERIMENTS
from ._reproduce import reproduce as reproduce
from ._run import Run as Run

if TYPE_CHECKING:
    from . import borders as borders
    from . import functions as functions
    from . import growth as growth
    from . import initialisation as initialisation
    from . import natural_images as natural_images
    from . import paths as paths
    from . import shapes as shapes
    from . import single_draws as single_draws
    from . import spectrograms as spectrograms
    from . import subsampling as subsampling

__all__ = ["EXPERIMENTS", "Claim", "Findings", "Grid", "Run", "reproduce", *EXPERIMENTS]


def __getattr__(name: str) -> Any:
    if name in EXPERIMENTS:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
