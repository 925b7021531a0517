"""Tables for people: one description, written as aligned plain text or as accessible HTML."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """A caption, a heading for each column (may be empty) and rows of text.

    `left` marks the columns that are aligned left; numbers stand right. `skipped` is a line shown in place of the rows
    before which it stands, (index, text). `notes` are lines below.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Sequence[int] = (0,)
    skipped: tuple[int, str] | None = None
    notes: Sequence[str] = field(default=())

    def as_text(self, width: int = 100) -> str:
        """Caption, heading and rows, columns aligned; the last column is wrapped where the line would be longer than `width`."""
        lines = [self.header, *self.rows] if any(self.header) else list(self.rows)
        if not lines:
            return self.caption
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        room = max(20, width - 2 - sum(w + 2 for w in widths[:-1]))
        out = [self.caption] if self.caption else []
        skip_at = self.skipped[0] + len(lines) - len(self.rows) if self.skipped else -1
        for index, line in enumerate(lines):
            if index == skip_at and self.skipped:
                out.append(f"  {self.skipped[1]}")
            out.extend(self._line(line, widths, room))
        return "\n".join([*out, *(f"  {note}" for note in self.notes)])

    def _line(self, cells: Sequence[str], widths: Sequence[int], room: int) -> list[str]:
        padded = [c.ljust(w) if i in self.left else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        last = textwrap.wrap(cells[-1], room, break_long_words=False) if len(padded[-1]) > room else [padded[-1]]
        start = "  " + "".join(cell + "  " for cell in padded[:-1])
        return [((start if i == 0 else " " * len(start)) + part).rstrip() for i, part in enumerate(last or [""])]

    def as_html(self) -> str:
        """One ``<table>`` with a caption and scoped headings."""
        parts = [f"<table>\n<caption>{html.escape(self.caption)}</caption>"]
        if any(self.header):
            cells = "".join(f'<th scope="col"{self._class(i)}>{html.escape(cell)}</th>' for i, cell in enumerate(self.header))
            parts.append(f"<thead><tr>{cells}</tr></thead>")
        parts.append("<tbody>")
        for index, row in enumerate(self.rows):
            if self.skipped and index == self.skipped[0]:
                parts.append(f'<tr><td class="text" colspan="{len(row)}">{html.escape(self.skipped[1])}</td></tr>')
            parts.append(f"<tr>{''.join(self._cell(i, cell) for i, cell in enumerate(row))}</tr>")
        parts.append("</tbody>\n</table>")
        parts.extend(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return "\n".join(parts)

    def _cell(self, column: int, text: str) -> str:
        # Leading blanks are the depth of a nested layer; HTML would drop them.
        indent = "\u2003" * ((len(text) - len(text.lstrip())) // 2)
        shown = indent + html.escape(text.lstrip())
        if column == 0:
            return f'<th scope="row"{self._class(column)}>{shown}</th>'
        return f"<td{self._class(column)}>{shown}</td>"

    def _class(self, column: int) -> str:
        return ' class="text"' if column in self.left else ""


def number(value: Any, digits: int = 4) -> str:
    """A number for people: `digits` significant ones, "-" for none, tuples as 3 x 5 (3 where all axes agree)."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, tuple | list):
        shown = [number(item, digits) for item in value]
        return shown[0] if len(set(shown)) == 1 else " x ".join(shown)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**12 else ("-" if value < 0 else "") + scientific(math.log10(abs(value)), digits)
    value = float(value)
    if 1000 <= abs(value) < 1e7:
        return f"{value:,.1f}" if value % 1 else f"{value:,.0f}"
    return f"{value:.{digits}g}"


def scientific(log10: float, digits: int = 3) -> str:
    """10**log10 in scientific notation, also far outside the range of floats."""
    if not math.isfinite(log10):
        return "0" if log10 < 0 else number(log10)
    exponent = math.floor(log10)
    mantissa = f"{10 ** (log10 - exponent):.{digits - 1}f}"
    if mantissa.startswith("10"):  # 9.999 was rounded up
        mantissa, exponent = f"{1:.{digits - 1}f}", exponent + 1
    return f"{mantissa}e{exponent:+03d}"


def shortened(text: str, length: int) -> str:
    """`text`, its middle left out where it is longer than `length`."""
    if len(text) <= length:
        return text
    tail = (length - 5) // 3
    return f"{text[: length - 5 - tail].rstrip()} ... {text[-tail:].lstrip()}"
