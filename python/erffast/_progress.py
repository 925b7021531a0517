"""Progress of long runs: a bar, or a callable of the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Progress: TypeAlias = None | bool | Callable[[int, int], None]


@contextmanager
def reporter(progress: Progress) -> Iterator[Callable[[int, int], object] | None]:
    """What the engine calls with (done, total) layers; None where nobody listens."""
    if progress is None or progress is False:
        yield None
    elif progress is True:
        from tqdm import tqdm

        with tqdm(unit=" layers", unit_scale=True, leave=False, delay=0.5) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield show
    elif callable(progress):
        yield progress
    else:
        raise TypeError(f"progress must be None, a bool or a callable of (done, total), got {progress!r}")
