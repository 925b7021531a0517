"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any


def replace_file(path: str | PathLike[str], write: Callable[[Path], Any]) -> None:
    """Let `write` make a new file beside `path`, then rename it to `path`: nobody ever sees half a file."""
    target = Path(os.path.realpath(path))  # a link keeps pointing where it did
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder of {os.fspath(path)!r} does not exist")
    part = target.with_name(f".{target.name}.{os.getpid()}-{os.urandom(4).hex()}.part")
    try:
        write(part)
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
