"""The memory of uploads and answers: a budget of bytes, so that slow clients cannot fill the machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from synth.errors import OverloadError


class Memory:
    """What uploads and answers may take together, until the last byte is sent; for any thread.

    Not counted is what a client left behind that went away: the batch that the engine is at, at most.
    """

    def __init__(self, limit: int) -> None:
        """``limit``: bytes."""
        self.limit = limit
        self.used = 0
        """Bytes that are held at this moment."""
        self._lock = threading.Lock()

    @contextmanager
    def reserve(self, size: int) -> Iterator[Reservation]:
        """Hold ``size`` bytes for as long as the block runs.

        Raises OverloadError if there is not so much left.
        """
        reservation = Reservation(self)
        reservation.grow(size)
        try:
            yield reservation
        finally:
            reservation.resize(0)

    def _take(self, size: int) -> None:
        with self._lock:
            if self.used + size > self.limit:
                raise OverloadError(
                    f"What is being received, made and sent takes {self.used:,} of {self.limit:,} bytes, and "
                    f"this may take {size:,} more. Try again later, or with fewer images."
                )
            self.used += size

    def _give(self, size: int) -> None:
        with self._lock:
            self.used -= size


class Reservation:
    """Bytes that one upload, image or answer holds; for one thread at a time."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._size = 0

    def grow(self, size: int) -> None:
        """Hold ``size`` bytes more; raises OverloadError if there is not so much left."""
        self._memory._take(size)
        self._size += size

    def resize(self, size: int) -> None:
        """Hold ``size`` bytes from now on: fewer once it is known what is needed."""
        self._memory._give(self._size - size)
        self._size = size
