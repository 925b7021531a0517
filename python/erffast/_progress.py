"""Progress of long runs: a bar, or a callable of the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeAlias

Progress: TypeAlias = bool | Callable[[int, int], None] | None


class Meter:
    """What the engine calls with the (done, total) layers of a pass.

    One answer may take several passes (one per axis, and once more where the trimming was too coarse). They add up here, so
    that `done` never falls and ends at `total`.
    """

    def __init__(self, listen: Callable[[int, int], object]) -> None:
        self._listen = listen
        self._past = 0
        self._expected = 0

    def expect(self, layers: int) -> None:
        """More layers are to come."""
        self._expected += layers

    def __call__(self, done: int, total: int) -> None:
        self._listen(self._past + done, self._expected)

    def add(self, layers: int) -> None:
        """A pass is over."""
        self._past += layers
        self._listen(self._past, self._expected)


def meter(progress: Progress) -> AbstractContextManager[Meter | None]:
    """The meter that tells `progress`; None where nobody listens."""
    if progress is None or progress is False:
        return nullcontext()
    if progress is True:
        return _bar()
    if callable(progress):
        return nullcontext(Meter(progress))
    raise TypeError(f"progress must be None, a bool or a callable of (done, total), got {progress!r}")


@contextmanager
def _bar() -> Iterator[Meter]:
    from tqdm import tqdm

    with tqdm(unit=" layers", unit_scale=True, leave=False, delay=0.5) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield Meter(show)
