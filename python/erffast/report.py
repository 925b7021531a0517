"""`analyze`: everything about a network on one page, as text, JSON, HTML or a picture."""

from __future__ import annotations

import json
import math
import numbers
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import geometry
from ._files import replace_file
from ._layer_table import Row, layer_rows
from ._page import page
from ._tables import Table, number, scientific, shortened
from .layers import Layer, Stack

if TYPE_CHECKING:
    from .analytic import Check
    from .result import ERF

FORMAT = 1  # of the JSON document; grows when a key changes its meaning
ERF_FACTS = ("unit", "input_size", "shape", "origin", "method", "assumptions", "reduction", "engine", "reason", "device")
NO_STD = "(no std: average pools that overlap add before they are squared, so that their variances do not add)"
NO_STD_YET = "(no std from the first skip connection on: it comes with graphs, in a later version)"
HALO_ERROR = 1e-3  # the relative output error for which the report names a margin
ROWS_SHOWN, HTML_ROWS_SHOWN = 40, 1000  # layer rows of a report, in a terminal and on a page


def analyze(model: Any, example: Any = None, **options: Any) -> Report:
    """Everything about a network's receptive fields: geometry, the variance ERF, its sizes, and checks against theory.

    Parameters
    ----------
    model : str or Layer
        A network in the text form of `parse`, or a `Stack`. PyTorch modules and ONNX files come in a later version.
    example : None
        An example input for a PyTorch module; a later version reads it.
    **options
        ``ndim`` for a text (2 by default), ``layer`` for the network up to one of its layers, and the options of
        `variance`: input_size, unit, window, tol, accuracy, engine, period, device, dtype, threads, progress.

    Returns
    -------
    Report

    Raises
    ------
    NotImplementedError
        For models whose front end comes later, and for skip connections.
    ValueError, TypeError, MemoryError, AccuracyError
        As `parse` and `variance` raise them.

    Examples
    --------
    >>> import erffast as ef
    >>> report = ef.analyze("conv3 * 20")
    >>> report.receptive_field.size
    (41, 41)
    """
    net = geometry.upto(as_network(model, example, options.pop("ndim", None)), options.pop("layer", None))
    from .analytic import check
    from .propagation import variance

    erf = variance(net, **options)
    return Report(net=net, erf=erf, checks=tuple(check(erf, net=net)))


def as_network(model: Any, example: Any = None, ndim: Any = None) -> Stack:
    """A model argument as a `Stack`; what is not one yet is refused by name."""
    if isinstance(model, PathLike) or (isinstance(model, str) and model.strip().lower().endswith(".onnx")):
        raise NotImplementedError(f"{os.fspath(model)}: ONNX models come in a later version; write the network as text or a Stack")
    if any(base.__module__.split(".")[0] == "torch" for base in type(model).__mro__):
        raise NotImplementedError("PyTorch modules come in a later version; write the network as text or a Stack")
    if example is not None:
        raise TypeError("example is an input for a PyTorch module; a text or a Stack takes none")
    if isinstance(model, str):
        from .frontends.text import parse

        return parse(model) if ndim is None else parse(model, ndim=ndim)
    if ndim is not None:
        raise TypeError("ndim belongs to a network written as text; a Stack has its own")
    if not isinstance(model, Layer):
        raise TypeError(f"model must be text such as 'conv3 * 20' or a Stack, got {type(model).__name__}")
    return geometry.as_stack(model)


@dataclass(frozen=True, repr=False, eq=False)
class Report:
    """What `analyze` found.

    Attributes
    ----------
    net : Stack
        The network, up to the layer asked for.
    erf : ERF
        Its variance ERF.
    checks : tuple of Check
        Theory against measurement.
    receptive_field : ReceptiveField
        The theoretical receptive field.
    rows : tuple of Row
        The layer table: a run of equal layers, or a repeated block, is one row.
    sizes : dict
        std, level_size, mass_size and their amplitude_ versions, ratio, mean, halo; lengths in input pixels.
    accounts : dict
        border, lost and error, whether the last two are bounds, and how they are meant (accuracy).
    """

    net: Stack
    erf: ERF
    checks: tuple[Check, ...] = field(default=())

    @cached_property
    def receptive_field(self) -> geometry.ReceptiveField:
        return geometry.receptive_field(self.net)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        return tuple(layer_rows(self.net))

    @cached_property
    def sizes(self) -> dict[str, Any]:
        power, amplitude = self.erf, self.erf.amplitude()
        return {
            "std": power.std(),
            "amplitude_std": amplitude.std(),
            "level_size": power.level_size(),
            "amplitude_level_size": amplitude.level_size(),
            "mass_size": power.mass_size(),
            "amplitude_mass_size": amplitude.mass_size(),
            "ratio": power.ratio(),
            "amplitude_ratio": amplitude.ratio(),
            "mean": power.mean(),
            "halo": _halo(power),
        }

    @property
    def accounts(self) -> dict[str, Any]:
        return _named(self.erf, "border", "lost", "lost_is_bound", "error", "error_is_bound", "accuracy")

    @property
    def holds(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)

    # ------------------------------------------------------------------ plain text
    @property
    def title(self) -> str:
        return shortened(str(self.net), 90)

    @property
    def summary(self) -> str:
        """One line: how deep, how many axes, on what map, which unit."""
        layers = f"{len(self.net):,} layer{'s' * (len(self.net) != 1)}"
        size = self.erf.input_size
        where = "on the unbounded plane" if size is None else f"on a map of {_sides(size)}"
        return f"{layers}, {self.net.ndim}-D, {where}, unit {self.erf.unit}"

    def tables(self, *, rows: int | None = ROWS_SHOWN) -> list[Table]:
        """The report's tables, in order."""
        return [self._sizes_table(), self._result_table(), layer_table(self.rows, most=rows), check_table(self.checks)]

    def table(self, *, rows: int | None = ROWS_SHOWN) -> str:
        """The layer table as plain text.

        Parameters
        ----------
        rows : int or None
            At most this many rows: of a longer table the middle is left out and said so. None: all of them.
        """
        return layer_table(self.rows, most=rows).as_text()

    def __repr__(self) -> str:
        return self.as_text()

    def as_text(self, *, rows: int | None = ROWS_SHOWN) -> str:
        """The whole report as plain text, up to 100 columns wide."""
        head = f"{self.title}\n{self.summary}"
        return "\n\n".join([head, *(table.as_text() for table in self.tables(rows=rows))])

    def _sizes_table(self) -> Table:
        if self.erf.dead:
            none = "the image is zero everywhere: no pixel of the map changes this unit, its paths all end in padding"
            return Table("Sizes, in input pixels", (none,), [], left=(0,))
        sizes, root = self.sizes, {1: "number", 2: "square root", 3: "cube root"}[self.net.ndim]
        measured: list[tuple[str, Callable[[Any], str], str, str]] = [
            ("std", number, "std", "one standard deviation along each axis"),
            ("level size", number, "level_size", f"{root} of pixels above 4.55 % of the peak"),
            ("mass size", number, "mass_size", f"{root} of pixels that hold 95.45 % of the mass"),
            ("level size / field", _percent, "ratio", "how little of the theoretical field counts"),
        ]
        rows = [(name, show(sizes[key]), show(sizes[f"amplitude_{key}"]), meaning) for name, show, key, meaning in measured]
        rows.append(("theoretical field", number(self.receptive_field.size), "", "the pixels that can change the unit at all"))
        rows.append(("halo", _margins(sizes["halo"]), "", f"margin for an output error of {_percent(HALO_ERROR)} (RMS)"))
        return Table("Sizes, in input pixels", ("", "power E[g^2]", "its root", ""), rows, left=(0, 3))

    def _result_table(self) -> Table:
        erf = self.erf
        of = "each pixel" if erf.accuracy == "pixel" else "the peak"
        rows = [
            ("peak", f"{scientific(erf.log10_peak())}, in an image of {_sides(erf.shape)} px at {erf.origin}"),
            ("method", f"{erf.method}; engine {erf.engine} on {erf.device}, {erf.dtype}"),
            *((("assumes" if i == 0 else ""), text) for i, text in enumerate(erf.assumptions)),
            ("border", f"{_percent(erf.border)} of the mass leaves through the padding"),
            ("lost", f"{_bounded(erf.lost, erf.lost_is_bound)} of the mass lies outside the image"),
            ("error", f"{_bounded(erf.error, erf.error_is_bound)}, relative to {of}"),
        ]
        return Table("Variance ERF", ("", ""), rows, left=(0, 1))

    # ------------------------------------------------------------------ files
    def plot(self, path: str | PathLike[str]) -> None:
        """Write the full figure (.png, .svg or .pdf). Needs matplotlib: ``pip install "erffast[plot]"``."""
        from .plotting import save_picture

        save_picture(self.erf, path, title=self.title)

    def to_json(self) -> str:
        """The report as strict JSON: no NaN or Infinity, the peak as its logarithm to base 10."""
        from . import __version__

        erf, fields = self.erf, self.receptive_field
        document = {
            "format": FORMAT,
            "erffast": __version__,
            "network": {"text": str(self.net), "ndim": self.net.ndim, "layers": len(self.net)},
            "receptive_field": _named(fields, "size", "jump", "start", "centre", "aligned"),
            "erf": _named(erf, *ERF_FACTS) | {"dtype": str(erf.dtype), "log10_peak": erf.log10_peak()},
            "sizes": self.sizes,
            "accounts": self.accounts,
            "layers": [_named(row, "text", "depth", "layers", "jump", "size", "start", "std") for row in self.rows],
            "checks": [_named(check, "name", "expected", "measured", "bound", "holds", "source") for check in self.checks],
        }
        return json.dumps(plain(document), allow_nan=False, indent=2) + "\n"

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write one self-contained page; the picture is inside it where matplotlib is installed."""
        std, size = number(self.sizes["std"]), number(self.receptive_field.size)
        description = f"Maps and profiles of the effective receptive field: std {std} px, theoretical field {size} px"
        tables = self.tables(rows=HTML_ROWS_SHOWN)
        write_text(path, page(self.title, self.summary, tables, picture=self._png(), description=description))

    def _png(self) -> bytes | None:
        """The picture, None without matplotlib."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "erf.png")
            try:
                self.plot(file)
            except ImportError:
                return None
            return file.read_bytes()


# ---------------------------------------------------------------------------------------------- tables


def layer_table(rows: Sequence[Row], *, most: int | None = ROWS_SHOWN) -> Table:
    """Layer rows as a table; of more than `most` the middle is left out, and a line says so."""
    skipped, shown = None, list(rows)
    if most is not None and len(rows) > max(most, 2):
        first = max(most, 2) // 2
        last = max(most, 2) - first
        shown = [*rows[:first], *rows[-last:]]
        skipped = (first, f"... {len(rows) - first - last:,} rows left out ...")
    cells = [
        (f"{row.layers:,}", "  " * row.depth + shortened(row.text, 44), number(row.jump), number(row.size), number(row.std))
        for row in shown
    ]
    caption = "Layers: jump, theoretical field and std so far, in input pixels, away from borders"
    notes = [NO_STD] if any(row.std is None and not row.skips for row in shown) else []
    notes += [NO_STD_YET] if any(row.skips for row in shown) else []
    return Table(caption, ("layers", "layer", "jump", "field", "std"), cells, left=(1,), skipped=skipped, notes=notes)


def check_table(checks: Sequence[Check]) -> Table:
    """Checks as a table."""
    failed = sum(not check.holds for check in checks)
    cells = [
        ("holds" if check.holds else "FAILS", check.name, number(check.expected, 6), number(check.measured, 6), number(check.bound, 3))
        for check in checks
    ]
    if not checks:
        return Table("Checks: theory has none for this network", (), ())
    caption = f"Checks: {failed} of {len(checks)} FAIL" if failed else f"Checks: all {len(checks)} hold"
    return Table(caption, ("", "quantity", "expected", "measured", "bound"), cells, left=(0, 1))


def _sides(values: tuple[int, ...]) -> str:
    return " x ".join(f"{value}" for value in values)


def _percent(share: float) -> str:
    return f"{number(100 * share, 3)} %"


def _bounded(share: float, is_bound: bool) -> str:
    return "0" if share == 0 and is_bound else f"{'at most' if is_bound else 'about'} {number(share, 2)}"


def _margins(halo: tuple[tuple[int, int], ...] | None) -> str:
    """Per axis one number, or before+after where they differ."""
    if halo is None:
        return "-"
    return number(tuple(number(before) if before == after else f"{before}+{after}" for before, after in halo))


def _halo(erf: ERF) -> tuple[tuple[int, int], ...] | None:
    """The margin for `HALO_ERROR`, None where the window has lost too much to know it."""
    try:
        return erf.halo(HALO_ERROR)
    except ValueError:
        return None


def _named(thing: Any, *names: str) -> dict[str, Any]:
    """The attributes of `thing` by name."""
    return {name: getattr(thing, name) for name in names}


# ---------------------------------------------------------------------------------------------- files


def plain(value: Any) -> Any:
    """`value` in the types of JSON; numbers that are not finite become null."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)


def write_text(path: str | PathLike[str], text: str) -> None:
    """Write a text file whole or not at all; to a device or a pipe, such as /dev/stdout, directly."""
    target = Path(path)
    if target.exists() and not target.is_file():
        target.write_text(text, encoding="utf-8")
        return
    replace_file(path, lambda file: file.write_text(text, encoding="utf-8"))
