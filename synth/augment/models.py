"""Operations that own a model: which one, what it must be able to do, and how it gets into a process.

A reference is resolved when the specification is read. From then on the operation holds ``NAME@VERSION`` and
the digest of that artifact, so that specifications of equal digests have the same weights. It travels into
other processes as the folder's path; each loads the model once, when it first needs it. Models are run on
the CPU, in float32 and in mode ``exact``, so that samples depend neither on their batch nor on the process.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from pydantic import Field, PrivateAttr
from torch import nn

from synth.artifacts import Artifact, Store
from synth.augment.operation import Need, Operation, Target
from synth.augment.samples import Samples
from synth.augment.specification import Group, Specification, Step
from synth.errors import ArtifactError, ConfigError, SynthError, UsageError
from synth.sampling import Sampler
from synth.sampling.core import Core
from synth.sampling.load import load_model, load_network
from synth.sampling.prepare import prepare

_MODELS = 8
"""Most models that a process keeps loaded."""


class ModelOperation(Operation):
    """Has a model; to be combined with ``SampleOperation`` or ``MixingOperation``."""

    needs: ClassVar[frozenset[Need]] = frozenset({"model"})

    model: str = Field(
        description="NAME, NAME@latest, NAME@3 or NAME@ALIAS in the store; NAME@VERSION once it was read."
    )
    digest: str = Field(
        "", description="SHA-256 of the model, filled in when it was read; a model of another one is refused."
    )
    _folder: Path | None = PrivateAttr(None)
    _lost: frozenset[Target] = PrivateAttr(frozenset())
    _asks: bool = PrivateAttr(False)

    @abstractmethod
    def settle(self, artifact: Artifact) -> dict[str, Any]:
        """Values of fields that only the model decides, such as defaults of its parameters.

        Raises UsageError where the model cannot do what the operation is there for.
        """

    def loses(self, artifact: Artifact) -> frozenset[Target]:
        """Which of ``targets`` would be wrong after that model."""
        return frozenset()

    def asks_labels(self, artifact: Artifact) -> bool:
        """Whether that model cannot do without the class of each image."""
        return False

    @property
    def needs_labels(self) -> bool:
        return self._asks

    @property
    def carries(self) -> frozenset[Target]:
        return self.targets - self._lost

    def resolved(self, store: Store) -> Self:
        """The operation with the exact version that its reference means now.

        Raises ConfigError where there is none, it is damaged, another than was recorded, or cannot do it.
        """
        try:
            artifact = store.find(self.model)
            found, reference = artifact.manifest.digest, artifact.manifest.reference
            if self.digest not in ("", found):
                raise UsageError(
                    f"{reference} has the digest {found[:12]}..., and the pipeline was made with "
                    f"{self.digest[:12]}...: get that model, or leave 'digest' out."
                )
            settled = self.settle(artifact)
        except SynthError as error:
            raise ConfigError(f"{self.id}: {error}") from error
        changed = self.model_copy(update={**settled, "model": reference, "digest": found})
        changed._folder, changed._lost = artifact.path.absolute(), changed.loses(artifact)
        changed._asks = changed.asks_labels(artifact)
        return changed

    def artifact(self) -> Artifact:
        """The model on disk, opened once; ArtifactError where it is no longer what it was."""
        return _opened(self._place(), self.digest)

    def sampler(self) -> Sampler:
        """The model, loaded to generate or translate."""
        return _sampler(self._place(), self.digest)

    def core(self, program: Callable[[Any], Any]) -> Core:
        """The model under a ``synth.models.program.Program`` that is made of its family's."""
        return _core(self._place(), self.digest, program)

    def network(self) -> nn.Module:
        """The network alone, float32 on the CPU and frozen, for models that make no images."""
        return _network(self._place(), self.digest)

    def check_channels(self, samples: Samples, channels: int) -> None:
        """Raise ConfigError where images have another number of channels than the model's."""
        if samples.images.shape[1] != channels:
            raise ConfigError(
                f"{self.id}: {self.model} is for images with {channels} channels, and these have "
                f"{samples.images.shape[1]}. Use a model that was trained on such images."
            )

    def _place(self) -> Path:
        if self._folder is None:
            raise UsageError(f"{self.name} has no model yet: read the pipeline with Pipeline.read.")
        return self._folder


def with_models(found: Specification, store: Store | None = None) -> Specification:
    """The specification with all models resolved in ``store``, by default that of SYNTH_HOME.

    Raises ConfigError, see ``ModelOperation.resolved``.
    """
    place = store or Store()
    batch = tuple(step.resolved(place) if isinstance(step, ModelOperation) else step for step in found.batch)
    return replace(found, sample=_resolved(found.sample, place), batch=batch)


def _resolved(steps: tuple[Step, ...], store: Store) -> tuple[Step, ...]:
    done: list[Step] = []
    for step in steps:
        if isinstance(step, Group):
            step = replace(step, steps=_resolved(step.steps, store))
        elif isinstance(step, ModelOperation):
            step = step.resolved(store)
        done.append(step)
    return tuple(done)


@lru_cache(maxsize=_MODELS)
def _sampler(folder: Path, digest: str) -> Sampler:
    return Sampler(_opened(folder, digest), device="cpu", precision="32", warmup_seconds=0.0)


@lru_cache(maxsize=_MODELS)
def _core(folder: Path, digest: str, program: Callable[[Any], Any]) -> Core:
    model = load_model(_opened(folder, digest))
    changed = replace(model, program=lambda network: program(model.program(network)))
    return prepare(changed, torch.device("cpu"), "32")[0]


@lru_cache(maxsize=_MODELS)
def _network(folder: Path, digest: str) -> nn.Module:
    return load_network(_opened(folder, digest))


@lru_cache(maxsize=_MODELS)
def _opened(folder: Path, digest: str) -> Artifact:
    artifact = Artifact.open(folder)
    if artifact.manifest.digest != digest:
        raise ArtifactError(
            f"{folder} holds another model than when the pipeline was read. Read the pipeline again."
        )
    return artifact
