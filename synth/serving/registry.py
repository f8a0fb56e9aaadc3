"""The registry: which models the server has, and those of them that are loaded."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from synth.artifacts import Artifact, Entry, Store
from synth.errors import ArtifactError, NotFoundError, UsageError
from synth.sampling import Generator
from synth.text import some

OpenGenerator = Callable[[Artifact], Generator]
"""Loads an artifact on the device."""


@dataclass(frozen=True)
class _Failure:
    message: str
    files: tuple[tuple[str, int, int], ...]
    """Name, size and time of each file of the artifact: while they stay, so does the failure."""


class Registry:
    """Models are looked up in the store at each request, so that a new version is there at once.

    ``entries`` and ``find`` may be called on any thread, ``generator`` on the engine's alone: that is why no
    model is ever loaded twice at the same time, or dropped while it is in use.
    """

    def __init__(self, store: Store, open_generator: OpenGenerator, *, max_loaded: int) -> None:
        self._store = store
        self._open_generator = open_generator
        self._max_loaded = max_loaded
        self._loaded: OrderedDict[tuple[str, str], Generator] = OrderedDict()
        self._bytes: dict[str, int] = {}
        self._failures: dict[Path, _Failure] = {}

    def entries(self, name: str | None = None) -> list[Entry]:
        """Every version in the store, or of one name; those that failed to load are told as damaged.

        Raises NotFoundError if there is no model of that name.
        """
        found = [self._judged(entry) for entry in self._store.list() if name in (None, entry.name)]
        if name is not None and not found:
            artifact = self._store.find(name)  # knows best what to say
            raise NotFoundError(f"{name!r} is no name of a model; ask for {artifact.manifest.name!r}.")
        return found

    def find(self, reference: str | None) -> Artifact:
        """The artifact that NAME, NAME@latest or NAME@3 means; None means the only model of the store.

        Raises:
            NotFoundError: there is no such model.
            UsageError: the reference cannot be read, or is needed because there are several models.
            ArtifactError: the artifact is damaged.
        """
        return self._store.find(self._only_name() if reference is None else reference)

    def generator(self, artifact: Artifact) -> Generator:
        """The loaded generator of an artifact, loading it if need be. For the engine's thread alone.

        Raises ArtifactError if it cannot be loaded; it is not tried again until its files change.
        """
        key = (artifact.manifest.reference, artifact.manifest.digest)
        if key not in self._loaded:
            self._loaded[key] = self._load(artifact)
            self._bytes[key[0]] = artifact.manifest.weights.bytes
        self._loaded.move_to_end(key)
        while len(self._loaded) > self._max_loaded:
            self._loaded.popitem(last=False)
        return self._loaded[key]

    @property
    def loaded(self) -> dict[str, int]:
        """Bytes of the weights of each loaded model, by NAME@VERSION."""
        return {reference: self._bytes[reference] for reference, _ in list(self._loaded)}

    @property
    def cold(self) -> dict[str, str]:
        """References to be preloaded that are not warm yet, each with the reason."""
        return {}

    def _load(self, artifact: Artifact) -> Generator:
        failure = self._failure(artifact.path)
        if failure is not None:
            raise ArtifactError(failure.message)
        files = _file_states(artifact.path)
        try:
            return self._open_generator(artifact)
        except ArtifactError as error:
            self._failures[artifact.path] = _Failure(str(error), files)
            raise

    def _failure(self, path: Path) -> _Failure | None:
        """What was found wrong at the last try to load, unless the files have changed since."""
        failure = self._failures.get(path)
        return failure if failure is not None and failure.files == _file_states(path) else None

    def _judged(self, entry: Entry) -> Entry:
        failure = self._failure(entry.path)
        if entry.error is not None or failure is None:
            return entry
        return dataclasses.replace(entry, error=failure.message)

    def _only_name(self) -> str:
        names = sorted({entry.name for entry in self._store.list()})
        if not names:
            raise NotFoundError(
                "The store has no models yet. Make one: synth train vae --data fashion-mnist --name fashion"
            )
        if len(names) > 1:
            raise UsageError(f"Say which model; there are several: {some(names)}.")
        return names[0]


def _file_states(folder: Path) -> tuple[tuple[str, int, int], ...]:
    try:
        states = [(file.name, file.stat()) for file in sorted(folder.iterdir())]
    except FileNotFoundError:  # removed, perhaps at this moment
        return ()
    return tuple((name, state.st_size, state.st_mtime_ns) for name, state in states)
