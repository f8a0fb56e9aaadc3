"""The loader: brings models into memory and out of it, on the thread that owns the device."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from synth.artifacts import Artifact
from synth.errors import ArtifactError, OverloadError, SynthError
from synth.sampling.planner import Planner
from synth.serving.catalog import Files, file_states
from synth.serving.residency import Key, Residency, Resident, key_of

OpenGenerator = Callable[[Artifact], Planner]
"""Loads an artifact on the device and warms it up."""

_RETRY_SECONDS = 30.0
"""After a failure that the artifact is not to blame for, such as a device without memory."""

_log = logging.getLogger(__name__)


class Call(Protocol):
    """Runs a function on the thread that owns the device; raises what it raises, or OverloadError."""

    def __call__(self, function: Callable[[], Any], /) -> Awaitable[Any]: ...


@dataclass(frozen=True)
class _Failure:
    message: str
    files: Files
    until: float
    """By the monotonic clock: when to try again even though the files have not changed."""


class Loader:
    """For one event loop, except ``failure`` and ``loading``."""

    def __init__(self, open_generator: OpenGenerator, call: Call, max_bytes: int) -> None:
        self._open_generator = open_generator
        self._call = call
        self.residency = Residency(max_bytes, self._let_go)
        self._loads: dict[Key, asyncio.Task[Resident]] = {}
        self._failures: dict[Path, _Failure] = {}
        self._drained: list[Resident] = []
        self._freeing: set[asyncio.Task[None]] = set()

    def load(self, artifact: Artifact, keep: Collection[Resident] = ()) -> Awaitable[Resident]:
        """Load and warm up, once for all who wait; it goes on if those who wait are cancelled.

        ``keep``: models that must not make room for it. Raises what the task raises: ArtifactError,
        ModelBudgetError, and whatever else loading may.
        """
        key = key_of(artifact)
        if key not in self._loads:
            task = asyncio.create_task(self._load(artifact, keep))
            self._loads[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        return asyncio.shield(self._loads[key])

    def loading(self, key: Key) -> bool:
        """Whether it is being loaded."""
        return key in self._loads

    def failure(self, path: Path) -> str | None:
        """Why the artifact in a folder could not be loaded the last time, unless it has changed since."""
        failure = self._failures.get(path)
        return failure.message if failure is not None and failure.files == file_states(path) else None

    def note(self, artifact: Artifact, error: BaseException) -> None:
        """Let ``failure`` tell of an error; loading may be tried again at any time."""
        self._failures.setdefault(artifact.path, _Failure(str(error), file_states(artifact.path), 0.0))

    async def stop(self) -> None:
        """Wait for nothing more."""
        tasks = [*self._loads.values(), *self._freeing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _load(self, artifact: Artifact, keep: Collection[Resident]) -> Resident:
        files = await asyncio.to_thread(file_states, artifact.path)
        failure = self._failures.get(artifact.path)
        if failure is not None and failure.files == files and time.monotonic() < failure.until:
            raise ArtifactError(failure.message)
        self.residency.expect(artifact, keep)
        try:
            sampler = await self._on_device(artifact)
            resident = self.residency.add(artifact, sampler, keep)
        except OverloadError:  # no fault of the model's
            raise
        except ArtifactError as error:
            self._failures[artifact.path] = _Failure(str(error), files, math.inf)
            raise
        except Exception as error:  # a defect, or a device in trouble: it must not be tried at each request
            self._failures[artifact.path] = _Failure(
                _unforeseen(artifact, error), files, time.monotonic() + _RETRY_SECONDS
            )
            raise
        finally:
            self.residency.forget(artifact)
        self._failures.pop(artifact.path, None)
        return resident

    async def _on_device(self, artifact: Artifact) -> Planner:
        drained = self._take_drained()

        def open_it() -> Planner:
            _free(drained)  # first, since it may need their memory
            return self._open_generator(artifact)

        sampler: Planner = await self._call(open_it)
        return sampler

    def _ended(self, key: Key, task: asyncio.Task[Resident]) -> None:
        del self._loads[key]
        if not task.cancelled():
            task.exception()  # looked at, for those who waited may have gone

    def _let_go(self, resident: Resident) -> None:
        self._drained.append(resident)
        task = asyncio.create_task(self._free_drained())
        self._freeing.add(task)
        task.add_done_callback(self._freeing.discard)

    async def _free_drained(self) -> None:
        drained = self._take_drained()
        if drained:
            with contextlib.suppress(OverloadError):  # the process ends, and its memory with it
                await self._call(lambda: _free(drained))

    def _take_drained(self) -> list[Resident]:
        drained, self._drained = self._drained, []
        return drained


def _free(residents: list[Resident]) -> None:
    for resident in residents:
        if resident.sampler is not None:
            resident.sampler.close()
            resident.sampler = None


def _unforeseen(artifact: Artifact, error: Exception) -> str:
    if isinstance(error, SynthError):
        return str(error)
    _log.error("%s cannot be loaded", artifact.manifest.reference, exc_info=error)
    return f"{artifact.manifest.reference} cannot be loaded; the server's log says why. It is tried again."
