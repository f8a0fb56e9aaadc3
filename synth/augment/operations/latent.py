"""Mixing in the latent space of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from synth.artifacts import Artifact
from synth.augment.distributions import Distribution, Within
from synth.augment.operation import MixingOperation, Need, Parameters, Target
from synth.augment.operations.fitting import FittingOperation, model_shares
from synth.augment.operations.mixing import shared
from synth.augment.samples import Samples
from synth.errors import UsageError
from synth.models.vae_between import BetweenProgram, pack
from synth.sampling.rows import Rows


class Interpolate(FittingOperation, MixingOperation):
    """What lies between a sample and a partner, decoded from the mean of their latents.

    Labels become shares by the same weights, and the decoder is told of classes in these shares. It needs a
    family that turns images into latents and back: ``vae``.
    """

    name: ClassVar[str] = "interpolate"
    targets: ClassVar[frozenset[Target]] = frozenset({"image", "label"})
    needs: ClassVar[frozenset[Need]] = frozenset({"model", "partner"})
    weight: Annotated[Distribution, Within(0, 1)] = Field(
        Within(0, 1).read([0.5, 1]), description="Of the sample itself."
    )

    def settle(self, artifact: Artifact) -> dict[str, Any]:
        family, reference = artifact.manifest.family, artifact.card.reference
        if family != "vae":
            raise UsageError(
                f"{reference} is of the family {family} and has no latents of given images: use a model that "
                "synth train vae made."
            )
        return {}

    def asks_labels(self, artifact: Artifact) -> bool:
        return bool(artifact.card.classes)

    def mix(self, samples: Samples, partners: Sequence[Samples], parameters: Parameters) -> Samples:
        (other,) = partners
        core = self.core(BetweenProgram)
        image, classes = core.model.image, self.artifact().card.classes or ()
        self.check_channels(samples, image.channels)
        weight = torch.from_numpy(parameters["weight"]).float()
        own, others = (self.fitted(one.images, (image.height, image.width)) for one in (samples, other))
        given = pack(weight, others, *(self._shares(one, classes) for one in (samples, other)))
        index = torch.arange(len(samples))  # nothing is drawn by it
        rows = Rows(index, index, images=own, given=given)
        made = core.run(rows, "exact", core.defaults)
        return replace(
            samples,
            images=self.fitted(made, samples.size),
            labels=shared(samples.labels, other.labels, weight),
        )

    def _shares(self, samples: Samples, classes: tuple[str, ...]) -> Tensor:
        if not classes:
            return torch.zeros(len(samples), 0)
        return model_shares(self.id, self.model, samples, classes)
