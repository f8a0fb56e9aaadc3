"""The catalog: what the store held when it was last looked at, kept in memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from synth.artifacts import Artifact, Entry, Store
from synth.artifacts.reference import Reference
from synth.errors import ArtifactError, NotFoundError, UsageError
from synth.text import some

Files = tuple[tuple[str, int, int], ...]
"""Name, size in bytes and time of change in nanoseconds of each file in a folder."""


@dataclass(frozen=True)
class Version:
    """One version as it was found; opened, or with what is wrong with it."""

    entry: Entry
    artifact: Artifact | None
    stamp: int | Files
    """Time at which the folder was changed; of a damaged version all its files, for it may be repaired."""


@dataclass(frozen=True)
class Snapshot:
    """The store at one moment."""

    versions: Mapping[str, Mapping[int, Version]] = field(default_factory=dict)
    """By name and number, both ascending."""
    aliases: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By name and alias, as far as their files can be read."""

    def only_name(self) -> str:
        """The name that is meant where none is given; raises where there is none, or several."""
        names = [name for name, versions in self.versions.items() if _makes_images(versions)]
        if not names:
            raise NotFoundError(
                "The store has no models yet. Make one: synth train vae --data fashion-mnist --name fashion"
            )
        if len(names) > 1:
            raise UsageError(f"Say which model; there are several: {some(names)}.")
        return names[0]

    def find(self, wanted: Reference) -> Version | None:
        """What a reference means; None if that is not here."""
        versions = self.versions.get(wanted.name, {})
        number = wanted.version
        if wanted.alias is not None:
            number = self.aliases.get(wanted.name, {}).get(wanted.alias, 0)
        elif number is None:
            number = max(versions, default=0)
        return versions.get(number)


class Catalog:
    """Looks at the store when told to. For any thread; ``snapshot`` and hits of ``find`` touch no disk."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self.snapshot = Snapshot()

    def refresh(self) -> Snapshot:
        """Look at the store again: manifests are read only where a folder is new or has changed.

        Raises StorageError if the store cannot be read; the last snapshot stays.
        """
        with self._lock:
            before = self.snapshot.versions
            versions: dict[str, dict[int, Version]] = {}
            for name in self._store.names():
                known = before.get(name, {})
                versions[name] = {
                    number: self._version(name, number, known.get(number))
                    for number in self._store.versions(name)
                }
            self.snapshot = Snapshot(versions, {name: self._aliases(name) for name in versions})
            return self.snapshot

    def find(self, wanted: Reference) -> Artifact:
        """The artifact that a reference means; the store is looked at if the snapshot does not have it.

        Raises NotFoundError, or ArtifactError if it is damaged; both say what else there is.
        """
        version = self.snapshot.find(wanted) or self.refresh().find(wanted)
        if version is None or version.artifact is None:
            return self._store.find(str(wanted))  # it knows best what to say, and may have been repaired
        return version.artifact

    def _version(self, name: str, number: int, known: Version | None) -> Version:
        path = self._store.root / name / str(number)
        if known is not None and known.stamp == _stamp(path, known.artifact is None):
            return known
        changed = _stamp(path, False)
        try:
            artifact = self._store.find(f"{name}@{number}")
        except (ArtifactError, NotFoundError) as error:  # NotFoundError: removed at this moment
            files = file_states(path)
            return Version(Entry(name, number, path, None, str(error)), None, files)
        return Version(Entry(name, number, path, artifact.card, None), artifact, changed)

    def _aliases(self, name: str) -> dict[str, int]:
        try:
            return self._store.aliases(name)
        except ArtifactError:  # told to whoever asks for one
            return {}


def _makes_images(versions: Mapping[int, Version]) -> bool:
    """Whether a name may be asked for images: not where its latest version is another kind of model."""
    latest = versions[max(versions)].artifact
    return latest is None or latest.makes_images


def file_states(folder: Path) -> Files:
    """Of all files in a folder; while these stay, so does what is wrong with it."""
    try:
        states = [(file.name, file.stat()) for file in sorted(folder.iterdir())]
    except (FileNotFoundError, NotADirectoryError):  # removed, perhaps at this moment
        return ()
    return tuple((name, state.st_size, state.st_mtime_ns) for name, state in states)


def _stamp(path: Path, thorough: bool) -> int | Files:
    if thorough:
        return file_states(path)
    try:
        return path.stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return 0
