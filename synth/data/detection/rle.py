"""COCO's run-length encoding: runs of pixels down the columns, the first of them outside of the object.

``counts`` are a list of numbers, or a text: the differences to the run before last (from the fourth on), in
groups of five bits from the least on, where bit 5 says that there are more and bit 4 of the last is the sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from synth.data.detection.faults import FaultError

_LONGEST = 12
"""Groups of five bits that fit into a number of 64 bits."""


@dataclass(frozen=True, eq=False)
class Runs:
    """The pixels of an object as runs, int64 [n], which fill an image of ``height`` x ``width``."""

    counts: np.ndarray
    height: int
    width: int
    compressed: bool = True
    """How its data set has it."""

    def mask(self, height: int, width: int) -> np.ndarray:
        """bool [height, width], which is the size of the runs."""
        assert (height, width) == (self.height, self.width)
        inside = np.arange(len(self.counts)) % 2 == 1
        return np.repeat(inside, self.counts).reshape(width, height).T

    def plain(self) -> dict[str, Any]:
        """As COCO's ``segmentation``."""
        counts = compress(self.counts) if self.compressed else self.counts.tolist()
        return {"size": [self.height, self.width], "counts": counts}


def runs_of(mask: np.ndarray) -> Runs:
    """The runs of a mask, bool [H, W]."""
    height, width = mask.shape
    flat = np.concatenate([[False], mask.T.reshape(-1), [False]])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], changes, [mask.size]]))
    # The closing zero stands only where the object does not end in the last pixel.
    return Runs(counts if counts[-1] or len(counts) == 1 else counts[:-1], height, width)


def read_runs(segmentation: dict[str, Any], height: int, width: int) -> Runs:
    """The runs of a ``segmentation`` in an image of that size; FaultError with what is wrong."""
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise FaultError(f"has runs of an image of {_size(size)}, not {height} x {width}")
    compressed = isinstance(counts, str)
    if isinstance(counts, str):
        found = decompress(counts)
    elif isinstance(counts, list) and all(type(one) is int and 0 <= one <= height * width for one in counts):
        found = np.asarray(counts, dtype=np.int64)
    else:
        raise FaultError("has runs whose counts are neither whole numbers from 0 nor a text")
    # Against overflow of the sum, each is looked at by itself first.
    if len(found) == 0 or found.min() < 0 or found.max() > height * width or found.sum() != height * width:
        raise FaultError(f"has runs that do not add up to {height} x {width} pixels")
    return Runs(found, height, width, compressed)


def decompress(text: str) -> np.ndarray:
    """int64 [n] of a text; FaultError where it is none."""
    try:
        codes = np.frombuffer(text.encode("ascii"), dtype=np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        raise FaultError("has runs in foreign letters") from None
    if len(codes) == 0 or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise FaultError("has runs whose text is damaged or cut short")
    last = np.flatnonzero(codes & 32 == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    if (last - first).max() >= _LONGEST:
        raise FaultError("has runs with numbers that are too long")
    place = np.arange(len(codes)) - np.repeat(first, last - first + 1)
    numbers = np.add.reduceat((codes & 31) << (5 * place), first)
    numbers -= np.where(codes[last] & 16, np.int64(1) << (5 * (last - first + 1)), 0)
    for start in (1, 2):
        numbers[start::2] = np.cumsum(numbers[start::2])
    return numbers


def compress(counts: np.ndarray) -> str:
    """The text of runs, int64 [n]."""
    differences = counts.copy()
    differences[3:] -= counts[1:-2]
    codes = []
    for number in differences.tolist():
        more = True
        while more:
            group = number & 31
            number >>= 5
            more = number != (-1 if group & 16 else 0)
            codes.append(48 + (group | 32 if more else group))
    return bytes(codes).decode("ascii")


def _size(size: object) -> str:
    return " x ".join(map(str, size)) if isinstance(size, list) and len(size) == 2 else f"{size!r:.40}"
