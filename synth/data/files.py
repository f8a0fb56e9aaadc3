"""A source whose samples are encoded image files: of a folder, or members of an archive."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from synth.data.decode import decode
from synth.data.pixels import content_id
from synth.data.sample import Sample, SourceInfo
from synth.data.source import check_unchanged, require_origins, row_number
from synth.errors import UnreadableError
from synth.machine import worker_threads
from synth.text import plural, some

T = TypeVar("T")
A = TypeVar("A")

_MOST_THREADS = 8
_NAMED = 10


@dataclass(frozen=True)
class ImageFile:
    """An encoded picture: what to call it, its path or bytes, and the name of its class (None: no class)."""

    origin: str
    content: Path | bytes
    class_name: str | None


@dataclass(frozen=True)
class _Result(Generic[T]):
    value: T
    id: str
    changes: tuple[str, ...]


class FileSource:
    """Samples from encoded image files; see ``Source``.

    Class numbers count the sorted class names of the files. Fewer than two classes mean no labels.

    With ``skip_unreadable`` the files that cannot be decoded are left out and noted. Since only decoding
    tells which they are, the first use of anything that depends on their number decodes all files once.
    """

    def __init__(
        self,
        *,
        spec: str,
        kind: str,
        files: Sequence[ImageFile],
        notes: Sequence[str] = (),
        skip_unreadable: bool = False,
        classes: Sequence[str] | None = None,
        expected: Mapping[str, str] | None = None,
    ) -> None:
        """``classes``: the names that labels count in, even if only some have files. ``expected``: origin ->
        id;
        the pass that finds another id raises SourceError."""
        self._spec = spec
        self._kind = kind
        self._skip = skip_unreadable
        self._fixed = None if classes is None else tuple(classes)
        self._expected = expected
        self._left_out: tuple[tuple[str, str], ...] = ()
        self._notes = tuple(notes)
        self._ids: tuple[str, ...] | None = None
        self._use(files)

    def _use(self, files: Sequence[ImageFile]) -> None:
        self._files = tuple(files)
        found = sorted({file.class_name for file in files if file.class_name is not None})
        names = list(self._fixed or found)
        self._classes = tuple(names) if len(names) > 1 else None
        number = {name: position for position, name in enumerate(names)}
        numbers = [number[file.class_name] for file in files if file.class_name is not None]
        self._labels = np.array(numbers, dtype=np.int64) if self._classes else None

    @property
    def info(self) -> SourceInfo:
        self._settle()
        return SourceInfo(self._spec, self._kind, len(self._files), self._classes, self._notes)

    @property
    def ids(self) -> Sequence[str]:
        if self._ids is None:
            for _ in self.each(lambda pixels: None):
                pass
        assert self._ids is not None
        return self._ids

    @property
    def labels(self) -> np.ndarray | None:
        self._settle()
        return self._labels

    @property
    def unreadable(self) -> tuple[tuple[str, str], ...]:
        """(origin, reason) of the files that were left out, known after the first pass."""
        self._settle()
        return self._left_out

    def file(self, position: int) -> ImageFile:
        """The file of one sample."""
        self._settle()
        return self._files[position]

    def origin(self, row: int) -> str:
        """What the sample of a row, from 0, is called."""
        return self.file(row).origin

    def subset(
        self, expected: Mapping[str, str], *, spec: str, classes: Sequence[str] | None = None
    ) -> FileSource:
        by_origin = {file.origin: file for file in self._files}
        return FileSource(
            spec=spec,
            kind=self._kind,
            files=[by_origin[origin] for origin in require_origins(expected, by_origin, self._spec)],
            skip_unreadable=self._skip,
            classes=classes,
            expected=expected,
        )

    def at_most(self) -> int:
        return len(self._files)

    def __len__(self) -> int:
        self._settle()
        return len(self._files)

    def __getitem__(self, position: int) -> Sample:
        self._settle()
        row = row_number(position, len(self._files))
        file = self._files[row]
        try:
            pixels = decode(file.content).pixels
        except UnreadableError as error:
            raise self._unreadable([(file, str(error))]) from error
        known = None if self._ids is None else self._ids[row]
        label = None if self._labels is None else int(self._labels[row])
        return Sample(pixels, label, known or content_id(pixels), file.origin)

    def each(self, transform: Callable[[np.ndarray], T]) -> Iterator[tuple[str, T]]:
        def work(file: ImageFile) -> _Result[T] | UnreadableError:
            try:
                decoded = decode(file.content)
            except UnreadableError as error:
                return error
            return _Result(transform(decoded.pixels), content_id(decoded.pixels), decoded.changes)

        readable: list[ImageFile] = []
        ids: list[str] = []
        changes: Counter[str] = Counter()
        failures: list[tuple[ImageFile, str]] = []
        for file, result in zip(self._files, _in_threads(work, self._files), strict=True):
            if isinstance(result, UnreadableError):
                failures.append((file, str(result)))
                continue
            readable.append(file)
            ids.append(result.id)
            changes.update(result.changes)
            if self._skip or not failures:
                yield file.origin, result.value
        # Once the samples are counted, none may be lost without a word.
        if failures and not (self._skip and readable and self._ids is None):
            raise self._unreadable(failures)
        if self._ids is None:
            self._finish(readable, ids, changes, failures)

    def _settle(self) -> None:
        """Find out how many files there are, where that is not known yet."""
        if self._skip and self._ids is None:
            _ = self.ids

    def _finish(
        self,
        readable: Sequence[ImageFile],
        ids: Sequence[str],
        changes: Counter[str],
        failures: Sequence[tuple[ImageFile, str]],
    ) -> None:
        """Keep what a whole pass found out."""
        notes = [f"{change}: {plural(count, 'image')}" for change, count in sorted(changes.items())]
        if failures:
            before = {file.class_name for file in self._files}
            self._use(readable)
            notes.append(f"{plural(len(failures), 'unreadable file')} left out: {_list_failures(failures)}")
            lost = sorted(name for name in before - {file.class_name for file in readable} if name)
            if lost:
                notes.append(f"no readable image is left in class {some(lost)}")
        self._check_expected(readable, ids)
        self._ids = tuple(ids)
        self._notes += tuple(notes)
        self._left_out = tuple((file.origin, reason) for file, reason in failures)

    def _check_expected(self, files: Sequence[ImageFile], ids: Sequence[str]) -> None:
        if self._expected is not None:
            found = {file.origin: name for file, name in zip(files, ids, strict=True)}
            check_unchanged(self._expected, found, self._spec)

    def _unreadable(self, failures: Sequence[tuple[ImageFile, str]]) -> UnreadableError:
        remedy = "Fix or remove them, or leave them out with --skip-unreadable."
        if len(failures) == len(self._files):
            remedy = "No readable image is left: fix the files, or name another source."
        return UnreadableError(
            f"{len(failures):,} of {plural(len(self._files), 'image file')} in {self._spec} cannot be read: "
            f"{_list_failures(failures)}. {remedy}"
        )


def _list_failures(failures: Sequence[tuple[ImageFile, str]]) -> str:
    return some([f"{file.origin} {reason}" for file, reason in failures], _NAMED)


def _in_threads(function: Callable[[A], T], items: Iterable[A]) -> Iterator[T]:
    """``map`` in several threads, in order, never far ahead of the consumer, so that memory stays bounded."""
    threads = min(_MOST_THREADS, worker_threads())
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 4 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
