"""Work that a thread does ahead of who needs it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import TypeVar

A = TypeVar("A")
R = TypeVar("R")

_PATIENCE_SECONDS = 5.0
"""How long to wait, when nothing more is wanted, for what is being made; then it is left to itself."""


def ahead(make: Callable[[A], R], wanted: Sequence[A], depth: int) -> Generator[R, None, None]:
    """``make`` of each in order, made by a thread that is at most ``depth`` ahead.

    What ``make`` raises is raised where its result would be. When the generator is closed, or the last result
    is taken, the thread ends.
    """
    made: SimpleQueue[tuple[R | None, BaseException | None]] = SimpleQueue()
    room, stop = Semaphore(depth), Event()

    def work() -> None:
        for one in wanted:
            room.acquire()
            if stop.is_set():
                return
            try:
                made.put((make(one), None))
            except BaseException as error:
                made.put((None, error))
                return

    # Not joined by a process that ends: a request that hangs must not hold it.
    thread = Thread(target=work, name="synth-ahead", daemon=True)
    thread.start()
    try:
        for _ in wanted:
            result, error = made.get()
            if error is not None:
                raise error
            room.release()
            yield result  # type: ignore[misc]
    finally:
        stop.set()
        room.release()
        thread.join(_PATIENCE_SECONDS)
