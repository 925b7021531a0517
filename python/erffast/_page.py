"""The HTML page of a report: one file, no scripts, nothing fetched, light and dark, readable without the picture."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

from ._tables import Table


def page(title: str, summary: str, tables: Sequence[Table], *, picture: bytes | None, description: str) -> str:
    """The page; `picture` is a PNG, None where matplotlib is missing, and `description` says in words what it shows."""
    return _PAGE.format(
        title=html.escape(title),
        summary=html.escape(summary),
        picture=_figure(picture, description),
        tables="\n".join(table.as_html() for table in tables),
    )


def _figure(picture: bytes | None, description: str) -> str:
    if picture is None:
        return '<p>The picture is left out: it needs matplotlib (pip install "erffast[plot]").</p>'
    data = base64.b64encode(picture).decode("ascii")
    return f'<figure><img alt="{html.escape(description)}" src="data:image/png;base64,{data}"></figure>'


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - receptive fields</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; overflow-wrap: anywhere; margin-bottom: 0; }}
img {{ max-width: 100%; height: auto; background: #fff; }}
figure {{ margin: 1.5rem 0; }}
table {{ border-collapse: collapse; margin: 2rem 0 0; }}
caption {{ text-align: left; font-weight: 600; padding-bottom: .3rem; }}
th, td {{ padding: .15rem .8rem; text-align: right; font-variant-numeric: tabular-nums; font-weight: normal; }}
th.text, td.text {{ text-align: left; }}
thead th {{ border-bottom: 1px solid; }}
tbody tr:nth-child(even) {{ background: color-mix(in srgb, currentColor 6%, transparent); }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{summary}</p>
{picture}
{tables}
</main>
</body>
</html>
"""
