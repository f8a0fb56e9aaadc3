"""A data set as one tar, any part of which can be read without making the whole."""

from __future__ import annotations

import hashlib
import tarfile
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from synth.data.writers.manifest import MANIFEST, read_manifest
from synth.errors import StorageError

_PLAIN_NAME = 100
_PLAIN_SIZE = 8**11
"""Longer names and larger files need further blocks in front of them."""


@dataclass(frozen=True)
class _Member:
    name: str
    size: int

    @property
    def plain(self) -> bool:
        return len(self.name) <= _PLAIN_NAME and self.name.isascii() and self.size < _PLAIN_SIZE

    def header(self) -> bytes:
        info = tarfile.TarInfo(self.name)  # of nobody, at no time, so that equal data sets are equal bytes
        info.size = self.size
        return info.tobuf(tarfile.PAX_FORMAT)

    def length(self) -> int:
        header = tarfile.BLOCKSIZE if self.plain else len(self.header())
        return header + self.size + _padding(self.size)


class DatasetArchive:
    """An uncompressed tar of a finished data set, its members sorted by name; a function of the files alone.

    Attributes:
        size: of the archive in bytes.
        etag: a strong entity tag; equal tags mean equal bytes.
    """

    def __init__(self, folder: Path) -> None:
        """Raises NotFoundError without a finished data set, and SourceError if its manifest is damaged."""
        manifest = read_manifest(folder)
        content = (folder / MANIFEST).read_bytes()
        members = [_Member(file.path, file.bytes) for file in manifest.files]
        self._members = sorted([*members, _Member(MANIFEST, len(content))], key=lambda member: member.name)
        self._folder = folder
        self._offsets = [0, *accumulate(member.length() for member in self._members)]
        end = 2 * tarfile.BLOCKSIZE
        self.size = self._offsets[-1] + end + -(self._offsets[-1] + end) % tarfile.RECORDSIZE
        # The manifest holds the digest of every other file.
        self.etag = f'"{hashlib.sha256(b"synth-tar-1" + content).hexdigest()[:32]}"'

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` to before ``stop``; StorageError where a file is gone or too short."""
        return b"".join(self._chunks(start, stop))

    def _chunks(self, start: int, stop: int) -> Iterator[bytes]:
        first = bisect_right(self._offsets, start) - 1
        for member, offset in zip(self._members[first:], self._offsets[first:], strict=False):
            if offset >= stop:
                return
            yield from self._member(member, start - offset, stop - offset)
        yield _zeros(self._offsets[-1], self.size, start, stop)

    def _member(self, member: _Member, start: int, stop: int) -> Iterator[bytes]:
        """From the header of a member on; ``start`` may lie before it and ``stop`` after it."""
        header = member.header()
        yield header[max(start, 0) : stop]
        yield self._content(member, max(start - len(header), 0), min(stop - len(header), member.size))
        end = len(header) + member.size
        yield _zeros(end, end + _padding(member.size), start, stop)

    def _content(self, member: _Member, start: int, stop: int) -> bytes:
        if start >= stop:
            return b""
        path = self._folder / member.name
        try:
            with path.open("rb") as file:
                file.seek(start)
                content = file.read(stop - start)
        except OSError as error:
            raise StorageError(
                f"{path} cannot be read: {error.strerror}. The data set is damaged."
            ) from error
        if len(content) != stop - start:
            raise StorageError(f"{path} has become shorter. The data set is damaged.")
        return content


def _padding(size: int) -> int:
    return -size % tarfile.BLOCKSIZE


def _zeros(begin: int, end: int, start: int, stop: int) -> bytes:
    return bytes(max(0, min(end, stop) - max(begin, start)))
