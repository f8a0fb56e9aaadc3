"""The store: a folder of artifacts, ``NAME/VERSION/``.

Inside ``NAME/``, hidden from readers: ``.lock`` (held while the name is changed), ``.publishing`` (an
artifact being written; stale if the lock is free), and an empty ``.removed-3`` for each version removed, so
that its number is never given to another generator. ``aliases.json`` is the only file that is ever replaced.
"""

from __future__ import annotations

import builtins
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from synth.artifacts.aliases import read_aliases, write_aliases
from synth.artifacts.artifact import Artifact
from synth.artifacts.card import ModelCard
from synth.artifacts.draft import MANIFEST_FILE, Draft
from synth.artifacts.files import (
    empty_folder,
    exclusive,
    make_folder,
    publish_folder,
    storage_errors,
    sync_folder,
)
from synth.artifacts.reference import Reference, check_alias, check_name, parse_version
from synth.errors import ArtifactError, ConfigError, NotFoundError, UsageError
from synth.home import store_folder
from synth.text import closest, some

_LOCK = ".lock"
_TEMPORARY = ".publishing"
_REMOVED = ".removed-"


@dataclass(frozen=True)
class Entry:
    """One version in the store: either its card, or what is wrong with it."""

    name: str
    version: int
    path: Path
    card: ModelCard | None
    error: str | None

    @property
    def reference(self) -> str:
        """``NAME@VERSION``."""
        return f"{self.name}@{self.version}"


class Store:
    """The folder of artifacts. Any number of stores, threads and processes may share one folder."""

    def __init__(self, root: Path | None = None) -> None:
        """``root``: the folder, by default the store in ``SYNTH_HOME``; it need not exist."""
        self.root = store_folder() if root is None else Path(root).expanduser()

    def publish(self, draft: Draft, name: str) -> Artifact:
        """Make ``draft`` the next version of ``name``: it appears whole and durably, or not at all.

        Publishers of one name wait for each other and get a version each.

        Raises:
            ConfigError: an artifact cannot be called ``name``.
            StorageError: the disk is full or cannot be written; no earlier version is touched.
        """
        folder = self.root / check_name(name)
        payload = draft.payload()
        with storage_errors(f"publish {name}", folder):
            make_folder(folder)
            with exclusive(folder / _LOCK):
                _sweep(folder)
                version = _next_version(folder)
                path = folder / str(version)
                described = draft.describe(name, version, payload)
                if draft.announce is not None:
                    draft.announce(f"{name}@{version}", json.loads(described[MANIFEST_FILE])["digest"])
                files = {**payload, **described}
                publish_folder(folder / _TEMPORARY, path, files)
        return self._open_version(name, version)

    def open(self, reference: str | Path) -> Artifact:
        """The artifact meant by NAME (its latest version), NAME@latest, NAME@3, NAME@ALIAS, or a path.

        A ``Path`` and text with a separator are paths. So is a bare word that names nothing in the store, but
        a folder with a manifest. ``find`` takes no paths.

        Raises:
            NotFoundError: there is no such name, version or folder.
            UsageError: the reference cannot be read.
            ArtifactError: what is there is damaged, foreign or of a newer schema.
        """
        if not _is_path(reference) and not self._only_a_folder(str(reference)):
            return self.find(str(reference))
        path = Path(reference).expanduser()
        if not os.path.isdir(path):  # unlike Path.is_dir, False for whatever cannot be a path
            raise NotFoundError(f"There is no folder {path}. Give the name or the folder of a model.")
        return Artifact.open(path)

    def find(self, reference: str) -> Artifact:
        """The artifact meant by NAME, NAME@latest, NAME@3 or NAME@ALIAS; raises as ``open`` does."""
        wanted = Reference.parse(reference)
        version = self._resolve(wanted)
        try:
            return self._open_version(wanted.name, version)
        except ArtifactError as error:
            others = [f"{wanted.name}@{other}" for other in self.versions(wanted.name) if other != version]
            if not others:
                raise
            raise ArtifactError(f"{error} Other versions: {some(others)}.") from error

    def list(self) -> builtins.list[Entry]:
        """Every version of every name, in order; a damaged one has its error instead of a card."""
        return [self._entry(name, version) for name in self.names() for version in self.versions(name)]

    def versions(self, name: str) -> builtins.list[int]:
        """The versions of a name in ascending order; empty where there is no such name."""
        try:
            folder = self.root / check_name(name)
        except ConfigError:
            return []
        with storage_errors("list versions", folder):
            numbers = [parse_version(child.name) for child in _children(folder) if child.is_dir()]
        return sorted(number for number in numbers if number is not None)

    def aliases(self, name: str) -> dict[str, int]:
        """Version by alias of a name; empty where it has none. ArtifactError if their file is damaged."""
        try:
            return read_aliases(self.root / check_name(name))
        except ConfigError:
            return {}

    def set_alias(self, reference: str, alias: str) -> str:
        """Let NAME@``alias`` mean the version that ``reference`` means now; returns that as ``NAME@VERSION``.

        Raises:
            NotFoundError: there is no such version.
            ConfigError: a version cannot have that alias.
            StorageError: the folder cannot be changed.
        """
        check_alias(alias)
        wanted = Reference.parse(reference)
        version = self._resolve(wanted)
        folder = self.root / wanted.name
        with storage_errors(f"set the alias {alias}", folder), exclusive(folder / _LOCK):
            write_aliases(folder, {**read_aliases(folder), alias: version})
        return f"{wanted.name}@{version}"

    def remove_alias(self, name: str, alias: str) -> None:
        """Forget an alias of ``name``; the version that it means stays.

        Raises NotFoundError if there is no such name or alias, StorageError if the folder cannot be changed.
        """
        self._resolve(Reference(name, None, pinned=False))
        folder = self.root / name
        with storage_errors(f"remove the alias {alias}", folder), exclusive(folder / _LOCK):
            aliases = read_aliases(folder)
            if alias not in aliases:
                raise NotFoundError(_no_alias(name, alias, aliases))
            del aliases[alias]
            write_aliases(folder, aliases)

    def remove(self, reference: str, *, all_versions: bool = False) -> builtins.list[str]:
        """Delete the version that ``reference`` means, and return what was removed as ``NAME@VERSION``.

        A bare name with several versions is refused unless ``all_versions``. The number of a removed version
        is not given out again.

        Raises:
            NotFoundError: there is no such name or version.
            UsageError: a path, or a bare name with several versions.
            StorageError: the folder cannot be changed.
        """
        if _is_path(reference):
            raise UsageError(f"Only models in the store are removed; delete the folder {reference} yourself.")
        wanted = Reference.parse(reference)
        if all_versions and wanted.pinned:
            raise UsageError(f"{reference} or all versions? To remove all, name {wanted.name!r} alone.")
        latest = self._resolve(wanted)
        doomed = self.versions(wanted.name)
        if len(doomed) > 1 and not wanted.pinned and not all_versions:
            raise UsageError(
                f"{wanted.name} has versions {some(doomed)}. "
                f"Say which one, as in {wanted.name}@{doomed[0]}, or ask for all."
            )
        if not all_versions:
            doomed = [latest]
        folder = self.root / wanted.name
        with storage_errors(f"remove {reference}", folder), exclusive(folder / _LOCK):
            aliases = read_aliases(folder)
            kept = {alias: version for alias, version in aliases.items() if version not in doomed}
            if kept != aliases:
                write_aliases(folder, kept)
            removed = [version for version in doomed if _hide(folder, version)]
            sync_folder(folder)
            _sweep(folder)
        if not removed:
            raise NotFoundError(f"{reference} was removed by someone else in the meantime.")
        return [f"{wanted.name}@{version}" for version in removed]

    def names(self) -> builtins.list[str]:
        """Names in the store that have a version, in order."""
        with storage_errors("list models", self.root):
            found = [child.name for child in _children(self.root) if child.is_dir()]
        return sorted(name for name in found if self.versions(name))

    def _resolve(self, wanted: Reference) -> int:
        """The version that is meant; NotFoundError, with what there is, where it does not exist."""
        versions = self.versions(wanted.name)
        if not versions:
            names = self.names()
            known = f"Models: {some(names)}." if names else "It is empty; make a model with synth train."
            hint = closest(wanted.name.lower(), names)
            raise NotFoundError(f"There is no model {wanted.name!r} in {self.root}{hint}. {known}")
        version = versions[-1] if wanted.version is None else wanted.version
        if wanted.alias is not None:
            aliases = self.aliases(wanted.name)
            if wanted.alias not in aliases:
                unknown = _no_alias(wanted.name, wanted.alias, aliases)
                raise NotFoundError(f"{unknown} Versions: {some(versions)}.")
            version = aliases[wanted.alias]
        if version not in versions:
            raise NotFoundError(
                f"{wanted.name} has no version {version} in {self.root}. Versions: {some(versions)}."
            )
        return version

    def _open_version(self, name: str, version: int) -> Artifact:
        artifact = Artifact.open(self.root / name / str(version))
        own = artifact.manifest.reference
        if own != f"{name}@{version}":
            raise ArtifactError(
                f"{artifact.path / MANIFEST_FILE} is that of {own}: the folder was copied or renamed. "
                "Move it back, or out of the store and open it by its path."
            )
        return artifact

    def _entry(self, name: str, version: int) -> Entry:
        path = self.root / name / str(version)
        try:
            return Entry(name, version, path, self._open_version(name, version).card, None)
        except ArtifactError as error:
            return Entry(name, version, path, None, str(error))

    def _only_a_folder(self, word: str) -> bool:
        return os.path.isfile(Path(word) / MANIFEST_FILE) and not self.versions(word.partition("@")[0])


def _no_alias(name: str, alias: str, aliases: dict[str, int]) -> str:
    known = f"Aliases: {some([*aliases])}." if aliases else "It has none."
    return f"{name} has no alias {alias!r}{closest(alias, aliases)}. {known}"


def _is_path(reference: str | Path) -> bool:
    separators = {os.sep, os.altsep or os.sep}
    return isinstance(reference, Path) or any(separator in reference for separator in separators)


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


def _next_version(folder: Path) -> int:
    """One more than every number in use, or used before. To be called with the lock held."""
    numbers = [parse_version(child.name.removeprefix(_REMOVED)) or 0 for child in _children(folder)]
    return max(numbers, default=0) + 1


def _hide(folder: Path, version: int) -> bool:
    """Take a version out of sight in one step; False where it is gone. To be called with the lock held."""
    try:
        os.rename(folder / str(version), folder / f"{_REMOVED}{version}")
    except FileNotFoundError:
        return False
    return True


def _sweep(folder: Path) -> None:
    """Delete what removals and publishers that were killed left over. To be called with the lock held."""
    if (folder / _TEMPORARY).exists():
        shutil.rmtree(folder / _TEMPORARY)
    for child in _children(folder):
        if child.name.startswith(_REMOVED):
            empty_folder(child)
