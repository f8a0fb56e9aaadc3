"""What every source can do, and the source whose images are in memory already."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import numpy as np

from synth.data.pixels import canonical, content_id
from synth.data.sample import Sample, SourceInfo

T = TypeVar("T")


class Source(Protocol):
    """Real samples in a fixed order, decoded when asked for.

    A source is used from one thread at a time; it decodes in threads of its own.

    ``info`` and ``ids`` are properties: ids are computed at first use, by one pass over all samples, and
    kept. That pass adds what it found to ``info.notes``; ``each`` is such a pass too.
    """

    @property
    def info(self) -> SourceInfo:
        """Description of the whole, with the notes known so far."""
        ...

    @property
    def ids(self) -> Sequence[str]:
        """Content hash of each sample, hexadecimal SHA-256 (``synth.data.pixels.content_id``)."""
        ...

    @property
    def labels(self) -> np.ndarray | None:
        """int64 [N], class numbers; None where the source has no classes."""
        ...

    def __len__(self) -> int: ...

    def at_most(self) -> int:
        """No fewer than ``len``, and known without decoding anything."""
        ...

    def __getitem__(self, position: int) -> Sample:
        """One sample; IndexError beyond the end, UnreadableError where its file cannot be decoded."""
        ...

    def each(self, transform: Callable[[np.ndarray], T]) -> Iterator[tuple[str, T]]:
        """(origin, ``transform(pixels)``) of all samples in order, each decoded exactly once.

        ``transform`` takes canonical pixels (uint8 [H, W, C], not to be changed) and may run in several
        threads. When the iterator is exhausted, ``ids``, ``labels`` and ``info`` cost nothing more.

        Raises:
            UnreadableError: at the end, naming all files that cannot be decoded.
        """
        ...


class ArraySource:
    """A source over an array in memory.

    Args:
        images: uint8 [N, H, W, 1 or 3].
        labels: int64 [N] of class numbers, or None.
        classes: names of the classes; None exactly when ``labels`` is.
        origin: what the images come from; sample i is called ``origin[i]``.
        notes: what the user should know.
    """

    def __init__(
        self,
        *,
        spec: str,
        kind: str,
        images: np.ndarray,
        labels: np.ndarray | None,
        classes: Sequence[str] | None,
        origin: str,
        notes: Sequence[str] = (),
    ) -> None:
        self._images = images
        self._labels = None if labels is None else labels.astype(np.int64)
        self._origin = origin
        self._ids: tuple[str, ...] | None = None
        self._info = SourceInfo(
            spec, kind, len(images), None if classes is None else tuple(classes), tuple(notes)
        )

    @property
    def info(self) -> SourceInfo:
        return self._info

    @property
    def ids(self) -> Sequence[str]:
        if self._ids is None:
            self._ids = tuple(content_id(canonical(image)) for image in self._images)
        return self._ids

    @property
    def labels(self) -> np.ndarray | None:
        return self._labels

    def at_most(self) -> int:
        return len(self)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, position: int) -> Sample:
        row = row_number(position, len(self))
        image = canonical(self._images[row]).copy()
        known = None if self._ids is None else self._ids[row]
        label = None if self._labels is None else int(self._labels[row])
        return Sample(image, label, known or content_id(image), f"{self._origin}[{row}]")

    def each(self, transform: Callable[[np.ndarray], T]) -> Iterator[tuple[str, T]]:
        for row, image in enumerate(self._images):
            yield f"{self._origin}[{row}]", transform(canonical(image))


def row_number(position: int, count: int) -> int:
    """A sequence index as 0 to count - 1; negative ones count from the end. IndexError when out of range."""
    row = operator.index(position)
    if not -count <= row < count:
        raise IndexError(f"sample {row} of a source of {count}")
    return row % count
