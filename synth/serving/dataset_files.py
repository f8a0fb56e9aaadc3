"""The files of a finished data set: what its manifest names, and nothing else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from synth.data.writers import DatasetFile, DatasetManifest
from synth.data.writers.manifest import MANIFEST, read_manifest
from synth.errors import NotFoundError, StorageError
from synth.text import closest

MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".tar": "application/x-tar",
    ".npz": "application/x-npz",
}
UNKNOWN = "application/octet-stream"


@dataclass(frozen=True)
class StoredFile:
    """One file on the disk, as the manifest describes it."""

    path: Path
    size: int
    etag: str
    media_type: str

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` to before ``stop``; StorageError where they are not there."""
        try:
            # The last part of the path is never a link, whoever may have put one there.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW)
            with os.fdopen(descriptor, "rb") as file:
                file.seek(start)
                content = file.read(stop - start)
        except OSError as error:
            raise StorageError(
                f"{self.path} cannot be read: {error.strerror}. The data set is damaged."
            ) from error
        if len(content) != stop - start:
            raise StorageError(f"{self.path} has become shorter. The data set is damaged.")
        return content


@dataclass(frozen=True)
class DatasetFiles:
    """A finished data set in a folder."""

    folder: Path
    manifest: DatasetManifest
    by_path: dict[str, DatasetFile]

    @staticmethod
    def open(folder: Path) -> DatasetFiles:
        """Raises NotFoundError without a finished data set, and SourceError if its manifest is damaged."""
        try:
            status = (folder / MANIFEST).stat()
        except OSError:
            return _open(folder, (0, 0, 0))  # which says what is wrong
        return _open(folder, (status.st_ino, status.st_mtime_ns, status.st_size))

    def find(self, name: str) -> StoredFile:
        """The file that the manifest names so, letter for letter; NotFoundError for any other name."""
        file = self.by_path.get(name)
        if file is None:
            folder = str(PurePosixPath(name).parent)
            near = [path for path in self.by_path if str(PurePosixPath(path).parent) == folder]
            raise NotFoundError(
                f"The data set has no file {name[:200]!r}{closest(name[:200], near[:1_000])}. "
                "GET /v1/datasets/ID lists its files."
            )
        kind = MEDIA_TYPES.get(PurePosixPath(name).suffix, UNKNOWN)
        return StoredFile(self.folder / file.path, file.bytes, f'"{file.sha256[:32]}"', kind)


@lru_cache(maxsize=8)
def _open(folder: Path, stamp: tuple[int, int, int]) -> DatasetFiles:
    """Parsed once for many requests: the manifest of a million images has 150 MB."""
    manifest = read_manifest(folder)
    return DatasetFiles(folder, manifest, {file.path: file for file in manifest.files})
