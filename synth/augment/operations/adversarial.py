"""Adversarial operations: images changed, within a radius, so that a classifier of the store errs."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from synth.artifacts import Artifact
from synth.augment.adversarial import ThreatModel, check_radius, fgsm, pgd, rays
from synth.augment.distributions import Distribution, Within
from synth.augment.keys import noise_key
from synth.augment.models import ModelOperation
from synth.augment.operation import Meta, Need, Parameters, SampleOperation
from synth.augment.operations.fitting import model_labels
from synth.augment.samples import Samples
from synth.errors import ConfigError, UsageError

_BUCKET = 4


class _Attack(ModelOperation, SampleOperation):
    """What all have: the classifier, whose classes labels are matched with by name, and the threat."""

    needs: ClassVar[frozenset[Need]] = frozenset({"model", "labels", "gradients"})
    extra_words: ClassVar[int] = 2
    eps: Annotated[Distribution, Within(0, 1000)] = Field(
        Within(0, 1000).read(8 / 255), description="Radius of the attack, in pixels of 0 to 1."
    )
    norm: Literal["linf", "l2"] = Field(
        "linf",
        description="Of the radius: the greatest change of a value, or the root of the sum of squares.",
    )

    @model_validator(mode="after")
    def _radius(self) -> Self:
        try:
            check_radius(self.eps.ends[1])
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        return {**found, "key": noise_key(words)}

    @property
    def needs_labels(self) -> bool:
        return True

    def settle(self, artifact: Artifact) -> dict[str, Any]:
        if artifact.manifest.family != "classifier":
            raise UsageError(
                f"{artifact.manifest.reference} is of the family {artifact.manifest.family} and tells no "
                "classes. Make a classifier: synth train classifier --data SOURCE --name NAME."
            )
        return {}

    def apply(self, samples: Samples, parameters: Parameters) -> Samples:
        manifest = self.artifact().manifest
        self.check_channels(samples, manifest.image.channels)
        size = manifest.image.height, manifest.image.width
        if samples.size != size:
            raise ConfigError(
                f"{self.id}: {self.model} is for images of {size[0]} x {size[1]}, and these have "
                f"{samples.size[0]} x {samples.size[1]} (height x width). Bring them to its size first, by "
                "resized_crop."
            )
        labels = model_labels(self.id, self.model, samples, tuple(manifest.classes or ()))
        threat = ThreatModel(torch.from_numpy(parameters["eps"].astype(np.float64)), norm=self.norm)
        keys = torch.from_numpy(parameters["key"].astype(np.int64))
        # The network lies on the CPU; samples of a pipeline may lie elsewhere.
        made = self.attack(_InBuckets(self.network()), samples.images.cpu(), labels, threat, keys)
        return replace(samples, images=made.to(samples.images.device))

    @abstractmethod
    def attack(
        self, network: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, keys: Tensor
    ) -> Tensor:
        """uint8 [n, C, H, W] in the ball around uint8 ``images``; ``keys`` int64 [n]."""


class Fgsm(_Attack):
    """One step along the sign of the gradient (Goodfellow et al., arXiv 1412.6572)."""

    name: ClassVar[str] = "fgsm"
    random_start: bool = Field(
        False, description="Begin at a random place of the ball (Wong et al., arXiv 2001.03994)."
    )
    step_size: float | None = Field(
        None, gt=0, description="In pixels of 0 to 1; by default eps, or 1.25 eps from a random start."
    )

    def attack(
        self, network: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, keys: Tensor
    ) -> Tensor:
        start = keys if self.random_start else None
        found = fgsm(network, threat.pixels(images), labels, threat, step_size=self.step_size, keys=start)
        return threat.images(found, images)


class Pgd(_Attack):
    """Several steps, each followed by a projection into the ball (Madry et al., arXiv 1706.06083)."""

    name: ClassVar[str] = "pgd"
    steps: int = Field(10, ge=1, le=10_000, description="Gradient steps.")
    step_size: float | None = Field(
        None, gt=0, description="In pixels of 0 to 1; by default 2.5 eps / steps."
    )
    random_start: bool = Field(True, description="Begin at a random place of the ball.")
    restarts: int = Field(1, ge=1, le=1000, description="Random starts, of which the worst one is taken.")
    loss: Literal["cross_entropy", "margin"] = Field(
        "cross_entropy", description="What is raised; margin: of the best wrong class over the right one."
    )

    @property
    def passes(self) -> tuple[int, int]:
        return self.steps * self.restarts, 0

    @model_validator(mode="after")
    def _starts(self) -> Pgd:
        if self.restarts > 1 and not self.random_start:
            raise ValueError("restarts begin at random places: leave 'random_start: false' out")
        return self

    def attack(
        self, network: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, keys: Tensor
    ) -> Tensor:
        found = pgd(
            network,
            threat.pixels(images),
            labels,
            threat,
            steps=self.steps,
            step_size=self.step_size,
            restarts=self.restarts,
            keys=keys if self.random_start else None,
            loss=self.loss,
            originals=images,
        )
        return threat.images(found, images)


class RayS(_Attack):
    """By the classifier's decisions alone, without gradients (Chen and Gu, arXiv 2006.12792)."""

    name: ClassVar[str] = "rays"
    needs: ClassVar[frozenset[Need]] = frozenset({"model", "labels"})
    queries: int = Field(200, ge=1, le=1_000_000, description="How often it is asked about an image at most.")

    @property
    def passes(self) -> tuple[int, int]:
        return 0, self.queries

    def attack(
        self, network: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, keys: Tensor
    ) -> Tensor:
        return rays(network, images, labels, threat, queries=self.queries, keys=keys)


class _InBuckets(nn.Module):
    """Runs a network on four images at a time, whatever their number: libraries order sums by the size of a
    batch, and so an image's logits and gradients are the same to the last bit in any company."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        parts = []
        for at in range(0, len(inputs), _BUCKET):
            part = inputs[at : at + _BUCKET]
            full = F.pad(part, (0, 0, 0, 0, 0, 0, 0, _BUCKET - len(part)))
            parts.append(self.network(full)[: len(part)])
        return torch.cat(parts)
