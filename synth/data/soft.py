"""Soft labels: sources in which each image has a share of each class, as mixing makes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np

from synth.data.files import FileSource, ImageFile
from synth.data.sample import Sample, SourceInfo
from synth.data.source import ArraySource, Source
from synth.data.writers.manifest import MANIFEST, read_manifest
from synth.data.writers.names import METADATA
from synth.errors import NotFoundError, SourceError
from synth.text import plural, some

T = TypeVar("T")

_SLACK = 1e-3
"""By which shares may miss a sum of 1, as rounding makes them."""


class SoftSource:
    """A source without classes of its own, whose images have shares of classes.

    ``labels`` raises SourceError, so that nothing takes such images for unlabelled, or a share for a class.
    What can use shares asks ``shares_of``.

    Args:
        inner: the images.
        known: float32 [K] of each origin.
        classes: names of the K classes.
    """

    def __init__(
        self, inner: FileSource | ArraySource, known: Mapping[str, np.ndarray], classes: Sequence[str]
    ) -> None:
        self._inner, self._known, self._classes = inner, known, tuple(classes)

    @property
    def info(self) -> SourceInfo:
        found = self._inner.info
        return replace(found, classes=self._classes, notes=(*found.notes, "labels are shares of classes"))

    @property
    def ids(self) -> Sequence[str]:
        return self._inner.ids

    @property
    def labels(self) -> NoReturn:
        raise SourceError(
            f"The images of {self._inner.info.spec} have shares of several classes (soft labels), and one "
            "class for each is needed here. Train on the shares by synth train classifier, or in a loop by "
            "synth.integrations.torch.as_torch, which gives them; or augment the originals without 'batch'."
        )

    @property
    def shares(self) -> np.ndarray:
        """float32 [N, K], each row of which has the sum 1."""
        return np.stack([self._known[self._inner.origin(row)] for row in range(len(self))])

    def at_most(self) -> int:
        return self._inner.at_most()

    def __len__(self) -> int:
        return len(self._inner)

    def __getitem__(self, position: int) -> Sample:
        sample = self._inner[position]
        return replace(sample, shares=self._known[sample.origin])

    def each(self, transform: Callable[[np.ndarray], T]) -> Iterator[tuple[str, T]]:
        return self._inner.each(transform)

    def subset(
        self, expected: Mapping[str, str], *, spec: str, classes: Sequence[str] | None = None
    ) -> SoftSource:
        return SoftSource(self._inner.subset(expected, spec=spec), self._known, self._classes)


def shares_of(source: Source) -> np.ndarray | None:
    """float32 [N, K] where labels are shares of classes, else None."""
    return source.shares if isinstance(source, SoftSource) else None


def open_soft_folder(folder: Path, *, spec: str, skip_unreadable: bool = False) -> SoftSource | None:
    """The images that ``metadata.jsonl`` gives shares for; None where it gives none, or is not there.

    Raises SourceError where it is damaged, lacks an image's shares, or there is no manifest with the classes.
    """
    path = folder / METADATA
    try:
        with open(path, encoding="utf-8") as lines:
            first = next(lines, "")
            if "shares" not in _record(first, f"{path}, line 1"):
                return None
            records = [_record(line, f"{path}, line {at}") for at, line in enumerate((first, *lines), 1)]
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read: {error}.") from error
    lacking = [at for at, record in enumerate(records, 1) if not {"shares", "file_name"} <= record.keys()]
    if lacking:
        raise SourceError(
            f"{path} gives shares of classes for some images and not for all: line {lacking[0]} has none "
            f"({plural(len(lacking), 'line')}). Write the data set again."
        )
    try:
        classes = read_manifest(folder).classes
    except NotFoundError:
        classes = None
    if classes is None:
        raise SourceError(
            f"{path} gives shares of classes, whose names belong into {MANIFEST}, and are not there. Restore "
            "that file."
        )
    names = [str(record["file_name"]) for record in records]
    try:
        table = np.asarray([record["shares"] for record in records], dtype=np.float32)
    except (TypeError, ValueError):
        raise SourceError(f"{path}: shares are {len(classes)} numbers, one for each class.") from None
    inner = FileSource(
        spec=spec,
        kind="folder",
        files=[ImageFile(name, folder / name, None) for name in names],
        skip_unreadable=skip_unreadable,
    )
    shares = check_shares(table, len(names), len(classes), str(path))
    return SoftSource(inner, dict(zip(names, shares, strict=True)), classes)


def check_shares(table: np.ndarray, count: int, classes: int, where: str) -> np.ndarray:
    """float32 [count, classes]; SourceError where rows are no shares: from 0, with the sum 1."""
    if table.shape != (count, classes):
        raise SourceError(
            f"{where}: the shares of {count:,} images and {classes} classes are [{count}, {classes}], not "
            f"{[*table.shape]}."
        )
    bad = ~((table >= 0).all(axis=1) & (np.abs(table.sum(axis=1) - 1) <= _SLACK))
    if bad.any():
        row = int(bad.argmax())
        found = some([f"{one:g}" for one in table[row].tolist()])
        raise SourceError(
            f"{where}: the shares of image {row + 1} ({found}) are not numbers from 0 with the sum 1 "
            f"({bad.sum():,} such images). Write the data set again."
        )
    return table.astype(np.float32)


def _record(line: str, where: str) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise SourceError(f"{where}: this is no JSON object. Write the data set again.")
    return content
