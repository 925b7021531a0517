"""Work in Python shared out to threads that end with the call: what they call releases the interpreter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def share(work: Callable[[T], None], items: Iterable[T], threads: int) -> None:
    """Every item worked on by one of `threads` threads, the calling one among them; all others have ended when this returns."""
    waiting = list(items)
    pending, lock = iter(waiting), threading.Lock()
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

    others = []
    try:
        for _ in range(min(threads, len(waiting)) - 1):
            thread = threading.Thread(target=some)
            thread.start()
            others.append(thread)
    except BaseException as exc:  # no more threads are to be had: those begun end before this is told
        failed.append(exc)
    some()
    for thread in others:
        while thread.is_alive():
            try:
                thread.join()
            except KeyboardInterrupt as exc:
                failed.append(exc)
    if failed:
        raise failed[0]
