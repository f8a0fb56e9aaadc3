"""Operations whose pixels come from a trained model, by key."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from synth.artifacts import Artifact
from synth.artifacts.preservation import check_drift, drift_of
from synth.augment.distributions import Distribution, Within
from synth.augment.keys import noise_key
from synth.augment.operation import LabelEffect, Meta, Need, Parameters, SampleOperation, Target
from synth.augment.operations.fitting import FittingOperation, model_labels
from synth.augment.samples import Samples
from synth.errors import UsageError
from synth.families import generates, require_translator
from synth.labels import resolve_labels
from synth.models.per_row import PerRowProgram, takes_strengths
from synth.models.program import PictureParameter
from synth.sampling import Sampler
from synth.sampling.load import load_outline
from synth.sampling.requests import check_parameters
from synth.sampling.rows import Rows
from synth.sampling.sizes import LEAST_SIDE

SEED = 0
"""Of all keys; the index is drawn, so that 63 bits of it tell samples apart."""


class _Keyed(FittingOperation, SampleOperation):
    """With a sampler's key: what is drawn for a sample is the index of an image."""

    extra_words: ClassVar[int] = 2
    parameters: dict[str, float | str] = Field(
        default_factory=dict, description="The model's sampling parameters; defaults are filled in when read."
    )

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        return {**found, "index": noise_key(words)}

    def settle(self, artifact: Artifact) -> dict[str, Any]:
        known = load_outline(artifact).parameters
        return {"parameters": check_parameters(artifact.card, known, self.parameters)}


class Generate(_Keyed):
    """The image of a generator in place of the sample's, conditioned on its label.

    It is the one that a sampler makes of seed 0, the recorded index and the label, in mode exact. Samples
    without labels get a class by key; without classes, none with labels can be replaced.
    """

    name: ClassVar[str] = "generate"
    targets: ClassVar[frozenset[Target]] = frozenset({"image", "label"})
    needs: ClassVar[frozenset[Need]] = frozenset({"model", "labels"})
    label_effect: ClassVar[LabelEffect] = "condition"
    probability: float = Field(0.5, ge=0, le=1, description="Share of the samples that are replaced.")

    def settle(self, artifact: Artifact) -> dict[str, Any]:
        artifact.require_generator()
        return super().settle(artifact)

    def loses(self, artifact: Artifact) -> frozenset[Target]:
        return frozenset({"label"}) if artifact.card.classes is None else frozenset()

    def apply(self, samples: Samples, parameters: Parameters) -> Samples:
        sampler = self.sampler()
        self.check_channels(samples, sampler.card.image.channels)
        index = torch.from_numpy(parameters["index"].astype(np.int64))
        labels = self._labels(samples, index, sampler.artifact)
        made = sampler.run(Rows.of(SEED, index, labels), "exact", self.parameters)
        return replace(samples, images=self.fitted(made, samples.size).to(samples.images.device))

    def _labels(self, samples: Samples, index: Tensor, artifact: Artifact) -> Tensor | None:
        classes, counts = artifact.card.classes, artifact.manifest.training.class_counts
        if classes is not None and samples.labels is not None:
            return model_labels(self.id, self.model, samples, classes)
        shares = counts if counts and any(counts) else None
        return resolve_labels("any", classes=classes, index=index, seed=SEED, proportions=shares)


class TranslateDomain(_Keyed):
    """The image as a translator makes it: into another domain, or a variation of it.

    Labels stay, which relies on what was measured when the model was made (``synth.artifacts.preservation``);
    so do boxes, masks and points where places were found to stay.
    """

    name: ClassVar[str] = "translate_domain"
    direction: Literal["a_to_b", "b_to_a"] | None = Field(
        None, description="Of models that know two; kept among the parameters."
    )
    strength: Annotated[Distribution, Within(0, 10)] | None = Field(
        None, description="Of models that have one; by default theirs."
    )
    allow_label_drift: bool = Field(
        False, description="Also with a model that was not found to keep what labelled images show."
    )

    def settle(self, artifact: Artifact) -> dict[str, Any]:
        card, outline = artifact.card, load_outline(artifact)
        self.check_family(artifact)
        for parameter in outline.parameters:
            if isinstance(parameter, PictureParameter) and self.parameters.get(parameter.name):
                raise UsageError(
                    f"{card.reference} takes pictures as {parameter.name}, which a pipeline cannot hold."
                )
        given = {**self.parameters, **({} if self.direction is None else {"direction": self.direction})}
        values = check_parameters(card, outline.parameters, given)
        strength = self.strength
        if strength is None and "strength" in values:
            strength = Within(0, 10).read(values["strength"])
        elif strength is not None:
            if "strength" in self.parameters:
                raise UsageError("strength is given twice: leave it out of 'parameters'.")
            for end in strength.ends:
                check_parameters(card, outline.parameters, {**given, "strength": end})
        values.pop("strength", None)
        check_drift(card, values, allow=self.allow_label_drift)
        return {"parameters": values, "direction": None, "strength": strength}

    def check_family(self, artifact: Artifact) -> None:
        """Raise UsageError where the model makes no images from images."""
        require_translator(artifact.manifest.family, artifact.card.reference)

    def asks_labels(self, artifact: Artifact) -> bool:
        return artifact.card.classes is not None

    def loses(self, artifact: Artifact) -> frozenset[Target]:
        unknown = generates(artifact.manifest.family)  # drift_of asks those for labels alone
        if self.allow_label_drift or not (unknown or drift_of(artifact.card, self.parameters, "geometry")):
            return frozenset()
        return frozenset({"boxes", "masks", "points"})

    def apply(self, samples: Samples, parameters: Parameters) -> Samples:
        sampler = self.sampler()
        image, classes = sampler.card.image, sampler.card.classes
        self.check_channels(samples, image.channels)
        labels = None
        if classes is not None:
            labels = model_labels(self.id, self.model, samples, classes)
        free = sampler.any_size and min(samples.size) >= LEAST_SIDE
        images = samples.images.cpu()
        taken = images if free else self.fitted(images, (image.height, image.width))
        index = torch.from_numpy(parameters["index"].astype(np.int64))
        rows = Rows.of(SEED, index, labels, taken)
        strength = None
        if "strength" in parameters:
            strength = torch.from_numpy(parameters["strength"].astype(np.float32))
        made = self._made(rows, strength, sampler)
        return replace(samples, images=self.fitted(made, samples.size).to(samples.images.device))

    def _made(self, rows: Rows, strength: Tensor | None, sampler: Sampler) -> Tensor:
        """uint8 [n, C, H, W]; ``strength`` is float32 [n]."""
        if strength is None:
            return sampler.run(rows, "exact", self.parameters)
        if takes_strengths(sampler.parameters):
            core, given = self.core(PerRowProgram), strength[:, None]
            return core.run(replace(rows, given=given), "exact", {**core.defaults, **self.parameters})
        # It decides how many steps there are, so that only equal ones are run together.
        assert rows.images is not None
        made = torch.empty_like(rows.images)
        for value in np.unique(strength.numpy()).tolist():
            places = torch.nonzero(strength == value)[:, 0]
            values = {**self.parameters, "strength": value}
            made[places] = sampler.run(rows.of_places(places), "exact", values)
        return made


class Style(TranslateDomain):
    """The image in a random style by key (Jackson et al., "Style augmentation", arXiv 1809.05375).

    ``parameters`` may hold ``spread``: how far styles are from the mean of the collection.
    """

    name: ClassVar[str] = "style"
    probability: float = Field(0.5, ge=0, le=1, description="Share of the samples that it is applied to.")
    strength: Annotated[Distribution, Within(0, 1)] | None = Field(
        Within(0, 1).read(0.5), description="0 is the image's own style, 1 another one entirely."
    )

    def check_family(self, artifact: Artifact) -> None:
        if artifact.manifest.family != "style":
            raise UsageError(
                f"{artifact.card.reference} is of the family {artifact.manifest.family} and knows no styles: "
                "use a model that synth train style made, or translate_domain."
            )
