"""What every source can do, and the source whose images are in memory already."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np

from synth.data.pixels import canonical, content_id
from synth.data.sample import Sample, SourceInfo
from synth.errors import SourceError
from synth.text import plural, some

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

    def subset(
        self, expected: Mapping[str, str], *, spec: str, classes: Sequence[str] | None = None
    ) -> Source:
        """The samples of these origins, in this order, as a source called ``spec``.

        Args:
            expected: origin -> id. A sample with another content makes the pass over the subset raise
                SourceError.
            classes: the names that labels count in; by default those of this source.

        Raises:
            SourceError: an origin is not there any more.
        """
        ...


class ArraySource:
    """A source over an array in memory.

    Args:
        images: uint8 [N, H, W, 1 or 3].
        labels: int64 [N] of class numbers, or None.
        classes: names of the classes; None exactly when ``labels`` is.
        origin: what the images come from; sample i is called ``origin[i]``, in a subset too.
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
        self._rows: tuple[int, ...] | None = None
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
        return Sample(image, label, known or content_id(image), self.origin(row))

    def subset(
        self, expected: Mapping[str, str], *, spec: str, classes: Sequence[str] | None = None
    ) -> ArraySource:
        rows = {f"{self._origin}[{row}]": row for row in range(len(self))}
        chosen = [rows[origin] for origin in require_origins(expected, rows, self._info.spec)]
        ids = [self.ids[row] for row in chosen]
        check_unchanged(expected, dict(zip(expected, ids, strict=True)), self._info.spec)
        part = ArraySource(
            spec=spec,
            kind=self._info.kind,
            images=self._images[chosen],
            labels=None if self._labels is None else self._labels[chosen],
            classes=self._info.classes,
            origin=self._origin,
            notes=self._info.notes,
        )
        part._ids, part._rows = tuple(ids), tuple(chosen)
        return part

    def each(self, transform: Callable[[np.ndarray], T]) -> Iterator[tuple[str, T]]:
        for row, image in enumerate(self._images):
            yield self.origin(row), transform(canonical(image))

    def origin(self, row: int) -> str:
        """What the sample of a row, from 0, is called."""
        return f"{self._origin}[{row if self._rows is None else self._rows[row]}]"


def require_origins(expected: Mapping[str, str], there: Mapping[str, object], spec: str) -> list[str]:
    """The expected origins; SourceError where some are not there."""
    missing = [origin for origin in expected if origin not in there]
    if missing:
        raise SourceError(
            f"{plural(len(missing), 'sample')} of the split of {spec} are not there any more: "
            f"{some(missing, 5)}. Restore them, or split again with --overwrite."
        )
    return list(expected)


def check_unchanged(expected: Mapping[str, str], found: Mapping[str, str], spec: str) -> None:
    """Raise SourceError where a sample found has another id than is expected of its origin."""
    changed = [origin for origin, name in found.items() if expected[origin] != name]
    if changed:
        raise SourceError(
            f"{plural(len(changed), 'sample')} of {spec} changed since the split: {some(changed, 5)}. "
            "Restore them, or split again with --overwrite."
        )


def row_number(position: int, count: int) -> int:
    """A sequence index as 0 to count - 1; negative ones count from the end. IndexError when out of range."""
    row = operator.index(position)
    if not -count <= row < count:
        raise IndexError(f"sample {row} of a source of {count}")
    return row % count
