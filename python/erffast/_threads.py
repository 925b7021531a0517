"""Work in Python shared out to threads that end with the call: what they call releases the interpreter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def share(work: Callable[[T], None], items: Iterable[T], threads: int) -> None:
    """Every item worked on by one of `threads` threads, the calling one among them; all others have ended when this returns."""
    pending, lock = iter(list(items)), threading.Lock()
    failed: list[BaseException] = []

    def some() -> None:
        try:
            while not failed:
                with lock:
                    item = next(pending, None)
                if item is None:
                    return
                work(item)
        except BaseException as exc:  # Ctrl-C too: the other threads stop after their item
            failed.append(exc)

    others = [threading.Thread(target=some) for _ in range(threads - 1)]
    for thread in others:
        thread.start()
    some()
    for thread in others:
        while thread.is_alive():
            try:
                thread.join()
            except KeyboardInterrupt as exc:
                failed.append(exc)
    if failed:
        raise failed[0]
