"""The hidden folder in which a data set grows until it is complete.

    OUT/.synth-partial/
        lock            held while a process works here
        plan.json       what was asked for; equal plans may be resumed
        header.json     what all samples share: model, classes, image shape
        data/           files as they will lie in OUT
        parts/          pieces of files that span shards
        shards/N.json   written once everything of shard N is on the disk
        manifest.json   written once the whole data set is: from here on only renames are left to do
        replaced/       the former data set, while the new one takes its place

A process may die at any point: before ``manifest.json`` the finished shards are kept, after it the next
one to open OUT carries the renames through.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from synth.batch import Batch
from synth.data.writers.files import flush, sync, write_atomically
from synth.data.writers.manifest import MANIFEST, DatasetFile, DatasetManifest, read_manifest
from synth.errors import NotFoundError, OutputExistsError, SourceError, StorageError
from synth.text import some

PARTIAL = ".synth-partial"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_Model = TypeVar("_Model", bound=_Record)


class PlanRecord(_Record):
    """``plan.json``."""

    created: datetime
    plan: dict[str, Any]


class Header(_Record):
    """``header.json``: what all samples of a data set have in common."""

    fingerprint: dict[str, str]
    seed: int
    parameters: dict[str, float | str]
    classes: list[str] | None
    channels: int
    height: int
    width: int

    @classmethod
    def of(cls, batch: Batch, *, own_sizes: bool = False) -> Self:
        """The header that this batch needs; height and width are 0 where images keep ``own_sizes``."""
        _, channels, height, width = batch.images.shape
        if own_sizes:
            height = width = 0
        return cls(
            fingerprint=batch.fingerprint.as_dict(),
            seed=batch.seed,
            parameters=dict(batch.parameters or {}),
            classes=None if batch.classes is None else list(batch.classes),
            channels=channels,
            height=height,
            width=width,
        )


class ShardRecord(_Record):
    """``shards/N.json``: one finished shard."""

    number: int
    count: int
    class_counts: list[int] | None
    files: list[DatasetFile]
    """In ``data``: final."""
    parts: list[DatasetFile]
    """In ``parts``: joined when the data set is finished."""


class Staging:
    """``OUT/.synth-partial`` of one output folder. Not thread-safe; one process at a time by its lock."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.path = out / PARTIAL
        self.data = self.path / "data"
        self.parts = self.path / "parts"
        self._shards = self.path / "shards"
        self._plan = self.path / "plan.json"
        self._header = self.path / "header.json"
        self._sealed = self.path / MANIFEST
        self._replaced = self.path / "replaced"
        self._lock: int | None = None
        self._made = False

    def lock(self) -> None:
        """Keep other processes out, making OUT if need be; OutputExistsError when one is at work here."""
        if self._lock is not None:
            return
        self._made = not self.out.exists()
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise OutputExistsError(
                f"Another process is writing to {self.out} now; wait for it, or choose another folder."
            ) from None
        except OSError as error:
            # Some cluster file systems have no locks. The lock only guards against an oversight.
            if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
                os.close(descriptor)
                raise
        self._lock = descriptor

    def release(self) -> None:
        """Let other processes in; what is staged stays."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def discard(self) -> None:
        """Remove what is staged, and OUT if it was made for this and is empty; let other processes in."""
        # Without a plan, whatever a crash leaves of the rest counts as nothing.
        self._plan.unlink(missing_ok=True)
        shutil.rmtree(self.path)
        if self._made and not any(self.out.iterdir()):
            self.out.rmdir()
        self.release()

    def start(self, plan: Mapping[str, Any]) -> PlanRecord:
        """Begin anew with this plan, dropping what was staged before."""
        self._plan.unlink(missing_ok=True)
        for entry in self.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()
        for folder in (self.data, self.parts, self._shards):
            folder.mkdir()
        record = PlanRecord(created=_now(), plan=dict(plan))
        write_atomically(self._plan, record.model_dump_json(indent=2))
        return record

    def plan(self) -> PlanRecord | None:
        """The plan of what is staged, or None."""
        return _load(PlanRecord, self._plan)

    def header(self) -> Header | None:
        """The header of what is staged, or None before the first shard."""
        return _load(Header, self._header)

    def set_header(self, header: Header) -> None:
        """Keep the header; once, before the first shard."""
        write_atomically(self._header, header.model_dump_json(indent=2))

    def shards(self) -> dict[int, ShardRecord]:
        """The finished shards by number; one that has lost a file is not finished."""
        found: dict[int, ShardRecord] = {}
        if not self._plan.exists():
            return found
        for path in sorted(self._shards.glob("*.json")):
            shard = _load(ShardRecord, path)
            if shard is not None and _whole(self.data, shard.files) and _whole(self.parts, shard.parts):
                found[shard.number] = shard
        return found

    def finish_shard(self, shard: ShardRecord) -> None:
        """Mark a shard as finished once its files are on the disk."""
        flush([self.data / file.path for file in shard.files])
        flush([self.parts / file.path for file in shard.parts])
        write_atomically(self._shards / f"{shard.number:06d}.json", shard.model_dump_json())

    @property
    def sealed(self) -> bool:
        """Whether the data set is complete and only has to be moved into place."""
        return self._sealed.exists()

    def seal(self, manifest: DatasetManifest) -> None:
        """Declare the data set complete; the files must be on the disk."""
        write_atomically(self._sealed, manifest.model_dump_json(indent=2))

    def publish(self) -> DatasetManifest:
        """Move the sealed data set into OUT, its manifest last; may be repeated after a crash.

        Raises:
            OutputExistsError: files that synth did not write are in the way.
        """
        manifest = read_manifest(self.path)
        self._retire()
        for entry in sorted(self.data.iterdir()):
            target = self.out / entry.name
            if os.path.lexists(target):
                raise OutputExistsError(
                    f"{target} is in the way of the new data set; move it elsewhere and run the same command "
                    "with --resume."
                )
            os.replace(entry, target)
        sync(self.out)
        self._plan.unlink(missing_ok=True)
        os.replace(self._sealed, self.out / MANIFEST)
        sync(self.out)
        self.discard()
        return manifest

    def _retire(self) -> None:
        """Move the former data set, if there is one, out of the way; its manifest first."""
        retiring = self._replaced / MANIFEST
        if (self.out / MANIFEST).exists():
            refuse_foreign(self.out)
            self._replaced.mkdir(exist_ok=True)
            os.replace(self.out / MANIFEST, retiring)
        if not retiring.exists():
            return
        for name in _top(read_manifest(self._replaced)):
            if os.path.lexists(self.out / name) and not os.path.lexists(self._replaced / name):
                os.replace(self.out / name, self._replaced / name)
        os.replace(retiring, self._replaced / "retired.json")


def _now() -> datetime:
    """The time, or that in SOURCE_DATE_EPOCH (reproducible-builds.org): then equal runs make equal files."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch.isdecimal() else datetime.now(UTC)


def finished_in(out: Path) -> DatasetManifest | None:
    """The finished data set in ``out``; OutputExistsError when its manifest.json is of another kind."""
    try:
        return read_manifest(out)
    except NotFoundError:
        return None
    except SourceError as error:
        raise OutputExistsError(f"{out} is not empty: {error} Choose another folder.") from None


def refuse_foreign(out: Path) -> None:
    """Raise OutputExistsError when ``out`` holds anything besides a data set of synth and what is staged."""
    former = finished_in(out)
    known = {MANIFEST, *(file.path for file in former.files)} if former else set()
    foreign = sorted(_files(out) - known)
    if foreign:
        raise OutputExistsError(
            f"{out} holds files that synth did not write: {some(foreign, 5)}. They are never deleted: "
            "move them elsewhere, or choose another folder."
        )


def _files(out: Path) -> set[str]:
    """Everything under ``out`` that is not a plain folder, as relative paths, staging folder excluded."""
    found: set[str] = set()
    for folder, folders, files in os.walk(out):
        here = Path(folder)
        if here == out and PARTIAL in folders:
            folders.remove(PARTIAL)
        links = [name for name in folders if (here / name).is_symlink()]
        found.update((here / name).relative_to(out).as_posix() for name in [*files, *links])
    return found


def _top(manifest: DatasetManifest) -> list[str]:
    return sorted({PurePosixPath(file.path).parts[0] for file in manifest.files})


def _whole(root: Path, files: list[DatasetFile]) -> bool:
    return all(
        (root / file.path).is_file() and (root / file.path).stat().st_size == file.bytes for file in files
    )


def _load(model: type[_Model], path: Path) -> _Model | None:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return model.model_validate_json(text)
    except ValidationError:
        raise StorageError(
            f"{path} is damaged; start again with --overwrite, or in another folder."
        ) from None
