"""The memory of answers: a budget of bytes, so that clients that do not read cannot fill the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from synth.errors import OverloadError


class Memory:
    """What answers may take together, from their acceptance to the last byte sent; for one event loop.

    Not counted is what a client left behind that went away: the batch that the engine is at, at most.
    """

    def __init__(self, limit: int) -> None:
        """``limit``: bytes."""
        self.limit = limit
        self.used = 0
        """Bytes that are held at this moment."""

    @contextmanager
    def reserve(self, size: int) -> Iterator[Reservation]:
        """Hold ``size`` bytes for as long as the block runs.

        Raises OverloadError if there is not so much left.
        """
        if self.used + size > self.limit:
            raise OverloadError(
                f"The answers that are being made and sent take {self.used:,} of {self.limit:,} bytes, and "
                f"this one may take {size:,}. Try again later, or ask for fewer images."
            )
        reservation = Reservation(self)
        reservation.resize(size)
        try:
            yield reservation
        finally:
            reservation.resize(0)

    def _add(self, size: int) -> None:
        self.used += size


class Reservation:
    """Bytes that one answer holds."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._size = 0

    def resize(self, size: int) -> None:
        """Hold ``size`` bytes from now on: fewer once it is known what is needed."""
        self._memory._add(size - self._size)
        self._size = size
