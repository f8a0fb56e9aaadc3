"""The registry: hands out loaded models, and replaces them when the store has newer ones."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Literal

from synth.artifacts import Artifact, Entry, Store
from synth.artifacts.reference import Reference
from synth.errors import NotFoundError, StorageError
from synth.models.program import AnyParameter
from synth.serving.catalog import Catalog, Snapshot
from synth.serving.loader import Call, Loader, OpenGenerator
from synth.serving.residency import Lease, ModelBudgetError, Resident, key_of

Status = Literal["loaded", "loading", "failed", "available"]

ALL = "*"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelState:
    """What is known of one version besides its card."""

    status: Status
    error: str | None
    bytes: int | None
    """Memory it takes, if it is loaded."""
    leases: int
    """Requests that use it at this moment."""
    aliases: tuple[str, ...]
    parameters: tuple[AnyParameter, ...] | None = None
    """That requests may set, if it is loaded."""
    any_size: bool | None = None
    """Whether it translates images of any size, if it is loaded."""


class Registry:
    """All methods are for one event loop, except ``find`` and ``entries``, which are for any thread.

    NAME and NAME@ALIAS may come to mean another version. As long as the old one is loaded they go on meaning
    it until the new one is loaded and warm; requests then get the new one, and the old one is let go of when
    the last request that uses it has ended, unless it was asked for as NAME@VERSION.
    """

    def __init__(
        self,
        store: Store,
        open_generator: OpenGenerator,
        call: Call,
        *,
        max_bytes: int,
        watch_seconds: float = 1.0,
        preload: Sequence[str] = (),
    ) -> None:
        """``preload``: references that are loaded from ``start`` on, and without which it is not warm.

        ALL is the latest version of every name, as far as they can be loaded and the memory goes.
        """
        self._catalog = Catalog(store)
        self._loader = Loader(open_generator, call, max_bytes)
        self._residency = self._loader.residency
        self._watch_seconds = watch_seconds
        self._serving: dict[str, Resident] = {}
        """What each moving reference, NAME or NAME@ALIAS, means now. Those evicted since do not count."""
        self._replacing: set[str] = set()
        self._cold: dict[str, str] = dict.fromkeys(preload, "it is being loaded")
        self._tasks: set[asyncio.Task[None]] = set()
        self._trouble = ""

    def start(self) -> None:
        """Begin to watch the store, and to load what is to be preloaded. Once the engine takes calls."""
        self._background(self._watch())

    async def stop(self) -> None:
        """End all that goes on in the background. Leases may still be given back while the loop runs."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loader.stop()

    @property
    def cold(self) -> dict[str, str]:
        """References to be preloaded that are not warm yet, each with the reason."""
        return dict(self._cold)

    async def lease(self, reference: str | None) -> Lease:
        """The loaded model that NAME, NAME@3 or NAME@ALIAS means; None means the only one of the store.

        It is loaded if need be, once for all who wait for it, and stays until the lease is closed. Without
        disk access if it is loaded.

        Raises:
            NotFoundError, UsageError: as ``find``.
            ArtifactError: it cannot be loaded; not tried again until its files change, or, where they are not
                to blame, for a while.
            ModelBudgetError: the models in use leave no room for it.
        """
        wanted = self._parse(reference)
        if wanted is None:
            wanted = await asyncio.to_thread(self._parse_anew, reference)
        resident = self._loaded(wanted)
        while resident is None:  # it may be evicted again before its turn comes
            artifact = await asyncio.to_thread(self._catalog.find, wanted)
            artifact.require_images()
            if self._residency.get(key_of(artifact)) is None:
                await self._loader.load(artifact)
            resident = self._residency.get(key_of(artifact))
        if wanted.version is None:
            resident = self._served(str(wanted)) or resident  # who came first decides
            self._serving[str(wanted)] = resident
        else:
            resident.pinned = True
        return Lease(self._residency, resident)

    def find(self, reference: str | None) -> Artifact:
        """The artifact that a reference means at this moment; the disk is touched only if it is not known.

        Raises:
            NotFoundError: there is no such model.
            UsageError: the reference cannot be read, or is needed because there are several models; or it is
                that of a model that makes no images.
            ArtifactError: the artifact is damaged.
        """
        wanted = self._parse(reference) or self._parse_anew(reference)
        serving = self._served(str(wanted))
        artifact = serving.artifact if serving is not None else self._catalog.find(wanted)
        artifact.require_images()
        return artifact

    def entries(self, name: str | None = None) -> list[Entry]:
        """Every version in the store, or of one name, as it is now; with the error of those that failed.

        Raises NotFoundError if there is no model of that name, StorageError if the store cannot be read.
        """
        versions = self._catalog.refresh().versions
        if name is not None and name not in versions:
            artifact = self._catalog.find(Reference.parse(name))  # knows best what to say
            raise NotFoundError(f"{name!r} is no name of a model; ask for {artifact.manifest.name!r}.")
        shown = [name] if name is not None else list(versions)
        return [self._judged(one.entry) for each in shown for one in versions[each].values()]

    def state(self, entry: Entry) -> ModelState:
        """Whether a version is loaded, and what uses it."""
        aliases = self._catalog.snapshot.aliases.get(entry.name, {})
        named = tuple(alias for alias, version in aliases.items() if version == entry.version)
        key = (entry.reference, "" if entry.card is None else entry.card.digest)
        resident = self._residency.peek(key)
        if resident is not None:
            sampler = resident.sampler
            parameters, any_size = (None, None) if sampler is None else (sampler.parameters, sampler.any_size)
            return ModelState("loaded", None, resident.bytes, resident.leases, named, parameters, any_size)
        status: Status = "available" if entry.error is None else "failed"
        return ModelState("loading" if self._loader.loading(key) else status, entry.error, None, 0, named)

    @property
    def loaded(self) -> dict[str, int]:
        """Bytes of memory of each loaded version, by NAME@VERSION."""
        return {one.artifact.manifest.reference: one.bytes for one in self._residency.residents()}

    def serving(self, name: str) -> str | None:
        """``NAME@VERSION`` of the loaded version that NAME means now; None if it is not loaded."""
        resident = self._served(name)
        return None if resident is None else resident.artifact.manifest.reference

    async def refresh(self) -> None:
        """Look at the store, and begin to replace the models of which it has newer versions."""
        snapshot = await asyncio.to_thread(self._catalog.refresh)
        for reference, resident in list(self._serving.items()):
            self._follow(reference, resident, snapshot)
        for resident in self._residency.residents():
            version = snapshot.find(Reference.parse(resident.artifact.manifest.reference))
            artifact = resident.artifact if version is None else version.artifact
            if version is None or (artifact is not None and key_of(artifact) != resident.key):
                resident.pinned = False  # it is in the store no more
                self._retire(resident)

    def _parse(self, reference: str | None) -> Reference | None:
        """None if that takes a look at the store."""
        if reference is not None:
            return Reference.parse(reference)
        snapshot = self._catalog.snapshot
        return Reference.parse(snapshot.only_name()) if snapshot.versions else None

    def _parse_anew(self, reference: str | None) -> Reference:
        return Reference.parse(self._catalog.refresh().only_name() if reference is None else reference)

    def _served(self, moving: str) -> Resident | None:
        """What NAME or NAME@ALIAS means, if that is loaded."""
        resident = self._serving.get(moving)
        return None if resident is None else self._residency.peek(resident.key)

    def _loaded(self, wanted: Reference) -> Resident | None:
        """What a reference means, if that is loaded, now the one most recently used; no disk is touched."""
        serving = self._served(str(wanted)) if wanted.version is None else None
        if serving is not None:
            return self._residency.get(serving.key)
        version = self._catalog.snapshot.find(wanted)
        if version is None or version.artifact is None:
            return None
        return self._residency.get(key_of(version.artifact))

    def _follow(self, moving: str, resident: Resident, snapshot: Snapshot) -> None:
        """Have what a moving reference means replaced, if the store has something else for it."""
        version = snapshot.find(Reference.parse(moving))
        if version is None or self._residency.peek(resident.key) is not resident:
            del self._serving[moving]
            self._retire(resident)
            return
        new = version.artifact
        if new is None or not new.makes_images or moving in self._replacing:
            return
        if key_of(new) != resident.key:
            self._replacing.add(moving)
            self._background(self._replace(moving, resident, new))

    async def _replace(self, moving: str, old: Resident, artifact: Artifact) -> None:
        try:
            if self._residency.peek(key_of(artifact)) is None:
                # The old one goes on serving, so it cannot make room.
                loading = self._loader.load(artifact, keep=[old])
                [outcome] = await asyncio.gather(loading, return_exceptions=True)
                if isinstance(outcome, ModelBudgetError):
                    self._loader.note(artifact, outcome)
            new = self._residency.peek(key_of(artifact))
            if new is not None:
                self._serving[moving] = new
                self._retire(old)
        finally:
            self._replacing.discard(moving)

    def _retire(self, resident: Resident) -> None:
        """Let go of a model that nobody can ask for but by its version, unless somebody has."""
        if not resident.pinned and all(other is not resident for other in self._serving.values()):
            self._residency.retire(resident)

    async def _watch(self) -> None:
        while True:
            try:
                await self.refresh()
                await self._warm()
                self._trouble = ""
            except StorageError as error:
                if str(error) != self._trouble:  # once, not each second
                    _log.warning("The store cannot be watched: %s", error)
                self._trouble = str(error)
            await asyncio.sleep(self._watch_seconds)

    async def _warm(self) -> None:
        """Try to load what is to be preloaded and is not loaded yet."""
        references = [reference for reference in self._cold if reference != ALL]
        outcomes = await asyncio.gather(*map(self.lease, references), return_exceptions=True)
        for reference, outcome in zip(references, outcomes, strict=True):
            if isinstance(outcome, Lease):
                outcome.close()
                del self._cold[reference]
            else:
                self._cold[reference] = str(outcome)
        if ALL in self._cold:
            for name in self._catalog.snapshot.versions:
                await self._warm_if_possible(name)
            del self._cold[ALL]

    async def _warm_if_possible(self, name: str) -> None:
        version = self._catalog.snapshot.find(Reference.parse(name))
        artifact = None if version is None else version.artifact
        if artifact is None or not artifact.makes_images or self._residency.peek(key_of(artifact)):
            return
        loading = self._loader.load(artifact, keep=self._residency.residents())
        [outcome] = await asyncio.gather(loading, return_exceptions=True)
        if isinstance(outcome, Resident):
            self._serving.setdefault(name, outcome)
        else:
            _log.warning("%s was not loaded at the start: %s", artifact.manifest.reference, outcome)

    def _judged(self, entry: Entry) -> Entry:
        failure = None if entry.error is not None else self._loader.failure(entry.path)
        return entry if failure is None else dataclasses.replace(entry, error=failure)

    def _background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
