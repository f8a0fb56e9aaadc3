"""``Range``: a part of an answer (RFC 9110, 14)."""

from __future__ import annotations

import re

from synth.errors import UsageError

_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))", re.IGNORECASE)


class RangeError(UsageError):
    """The answer has no such part."""

    status = 416
    code = "range-not-satisfiable"
    title = "There is no such part"

    def __init__(self, size: int) -> None:
        super().__init__(f"The answer has {size:,} bytes, and none of those asked for.")
        self.size = size


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """(start, stop) of the bytes asked for; None: all of them.

    What is no range of bytes, or several at once, is passed over, as servers may. RangeError where there is
    nothing at that place.
    """
    match = _RANGE.fullmatch((header or "").strip())
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        start, stop = max(0, size - int(suffix)), size
    else:
        start, stop = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < int(first):
            return None
    if start >= stop:
        raise RangeError(size)
    return start, stop
