"""Residency: which models are in memory, under a budget of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from types import TracebackType

import torch

from synth.artifacts import Artifact
from synth.errors import OverloadError
from synth.machine import available_memory
from synth.sampling.planner import Planner

Key = tuple[str, str]
"""NAME@VERSION and digest: a version whose folder was replaced is another one."""

_UNKNOWN_MEMORY = 8 * 2**30


class ModelBudgetError(OverloadError):
    """A model does not fit beside those that are in use."""

    code = "model-budget"
    title = "There is no room for the model"


@dataclass(eq=False)
class Resident:
    """A loaded version."""

    artifact: Artifact
    sampler: Planner | None
    """None once it was let go of."""
    bytes: int
    leases: int = 0
    pinned: bool = False
    """Somebody asked for this very version: a newer one does not make it go."""

    @property
    def key(self) -> Key:
        """By which it is found."""
        return key_of(self.artifact)


class Lease:
    """A model that stays loaded until ``close``. A context manager; to be closed on the registry's loop."""

    def __init__(self, residency: Residency, resident: Resident) -> None:
        assert resident.sampler is not None
        self.artifact: Artifact = resident.artifact
        self.sampler: Planner = resident.sampler
        self._residency = residency
        self._resident: Resident | None = resident
        resident.leases += 1

    def close(self) -> None:
        """Give it back; a second time does nothing."""
        if self._resident is not None:
            self._resident.leases -= 1
            self._residency.freed(self._resident)
            self._resident = None
            del self.sampler

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass
class Residency:
    """Loaded models, least recently used first. For one event loop; it loads and frees nothing itself."""

    max_bytes: int
    _let_go: Callable[[Resident], None]
    """Is told of each model that was taken out and that nobody uses any more."""
    _residents: OrderedDict[Key, Resident] = field(default_factory=OrderedDict)
    _coming: dict[Key, int] = field(default_factory=dict)
    """Bytes kept for models that are being loaded."""
    _measured: dict[str, int] = field(default_factory=dict)
    """Bytes by digest, of what has been loaded at some time: a better forecast than the file's size."""
    _retired: set[Resident] = field(default_factory=set)

    @property
    def used_bytes(self) -> int:
        """Of what is loaded, is being loaded, or was replaced and is still in use."""
        loaded = sum(resident.bytes for resident in (*self._residents.values(), *self._retired))
        return loaded + sum(self._coming.values())

    def get(self, key: Key) -> Resident | None:
        """The loaded model, which is now the one most recently used."""
        if key in self._residents:
            self._residents.move_to_end(key)
        return self._residents.get(key)

    def peek(self, key: Key) -> Resident | None:
        """The loaded model, for those who only look."""
        return self._residents.get(key)

    def residents(self) -> list[Resident]:
        """All that are loaded."""
        return list(self._residents.values())

    def expect(self, artifact: Artifact, keep: Collection[Resident] = ()) -> None:
        """Make room for a model that is about to be loaded, of others than those in use or in ``keep``.

        Raises ModelBudgetError if that does not suffice; nothing has been taken out then.
        """
        size = self._measured.get(artifact.manifest.digest, artifact.manifest.weights.bytes)
        self._make_room(artifact, size, keep)
        self._coming[key_of(artifact)] = size

    def forget(self, artifact: Artifact) -> None:
        """It was not loaded after all."""
        self._coming.pop(key_of(artifact), None)

    def add(self, artifact: Artifact, sampler: Planner, keep: Collection[Resident] = ()) -> Resident:
        """Take in what was loaded; raises ModelBudgetError if it turned out too large."""
        self.forget(artifact)
        self._measured[artifact.manifest.digest] = sampler.memory_bytes
        resident = Resident(artifact, sampler, sampler.memory_bytes)
        try:
            self._make_room(artifact, resident.bytes, keep)
        except ModelBudgetError:
            self._let_go(resident)
            raise
        self._residents[resident.key] = resident
        return resident

    def retire(self, resident: Resident) -> None:
        """Give it to nobody any more, and let it go once nobody uses it."""
        if self._residents.pop(resident.key, None) is not None:
            self._retired.add(resident)
            self.freed(resident)

    def freed(self, resident: Resident) -> None:
        """A lease on it has ended."""
        if resident.leases == 0 and resident in self._retired:
            self._retired.discard(resident)
            self._let_go(resident)

    def _make_room(self, artifact: Artifact, size: int, keep: Collection[Resident]) -> None:
        idle = [one for one in self._residents.values() if one.leases == 0 and one not in keep]
        missing = self.used_bytes + size - self.max_bytes
        going: list[Resident] = []
        for resident in idle:
            if missing > 0:
                going.append(resident)
                missing -= resident.bytes
        if missing > 0:
            raise ModelBudgetError(
                f"{artifact.manifest.reference} needs {size / 1e6:,.1f} MB, and models that are in use leave "
                f"too little of the {self.max_bytes / 1e6:,.1f} MB for all. Try again later, or start the "
                "server with a higher SYNTH_MAX_MODEL_BYTES."
            )
        for resident in going:
            self.retire(resident)


def key_of(artifact: Artifact) -> Key:
    """By which a version is known while it is loaded."""
    return artifact.manifest.reference, artifact.manifest.digest


def default_model_bytes(device: torch.device) -> int:
    """Half of the memory that can be had now; of an accelerator, 80 %."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free * 0.8)
    return (available_memory() or _UNKNOWN_MEMORY) // 2
