"""Operations whose pixels come from a trained model, by key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from synth.artifacts import Artifact
from synth.augment.keys import noise_key
from synth.augment.models import ModelOperation
from synth.augment.operation import LabelEffect, Meta, Need, Parameters, SampleOperation, Target
from synth.augment.samples import Samples
from synth.errors import ConfigError
from synth.labels import resolve_labels
from synth.sampling.load import load_outline
from synth.sampling.requests import check_parameters
from synth.sampling.rows import Rows
from synth.text import some

SEED = 0
"""Of all keys; the index is drawn, so that 63 bits of it tell samples apart."""


class _Keyed(ModelOperation, SampleOperation):
    """With a sampler's key: what is drawn for a sample is the index of an image."""

    extra_words: ClassVar[int] = 2
    fit: Literal["resize"] | None = Field(
        None, description="For images of another size than the model's; by default they are refused."
    )
    parameters: dict[str, float | str] = Field(
        default_factory=dict, description="The model's sampling parameters; defaults are filled in when read."
    )

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        return {**found, "index": noise_key(words)}

    def settle(self, artifact: Artifact) -> dict[str, Any]:
        known = load_outline(artifact).parameters
        return {"parameters": check_parameters(artifact.card, known, self.parameters)}

    def resized(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """uint8 [n, C, *size]; raises ConfigError where the size is another one and ``fit`` is not given."""
        if tuple(images.shape[-2:]) == size:
            return images
        if self.fit is None:
            height, width = images.shape[-2:]
            raise ConfigError(
                f"{self.id}: images of {height} x {width} do not fit {size[0]} x {size[1]} (height x width), "
                f"and {self.model} takes or makes one size alone. Say 'fit: resize', or bring samples to its "
                "size first, by resized_crop."
            )
        # One by one, as sums over several images at once may round otherwise.
        return torch.cat(
            [F.interpolate(one, size, mode="bilinear", antialias=True) for one in torch.split(images, 1)]
        )


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
        return replace(samples, images=self.resized(made, samples.size))

    def _labels(self, samples: Samples, index: Tensor, artifact: Artifact) -> Tensor | None:
        classes, counts = artifact.card.classes, artifact.manifest.training.class_counts
        if classes is not None and samples.labels is not None:
            return model_labels(self.id, self.model, samples, classes)
        shares = counts if counts and any(counts) else None
        return resolve_labels("any", classes=classes, index=index, seed=SEED, proportions=shares)


def model_labels(step: str, model: str, samples: Samples, classes: tuple[str, ...]) -> Tensor:
    """int64 [n]: the labels of samples in the classes of a model, by name where names are known.

    Raises ConfigError for labels that are shares, and for classes that the model does not have.
    """
    labels = samples.labels
    assert labels is not None
    if labels.is_floating_point() or labels.ndim != 1:
        raise ConfigError(f"{step}: {model} needs one class for each image, not shares of several.")
    if samples.classes is not None:
        missing = [name for name in samples.classes if name not in classes]
        if missing:
            raise ConfigError(
                f"{step}: {model} does not know the classes {some(missing)}. It knows {some(classes)}; "
                "rename those of the samples, or use a model of their classes."
            )
        return torch.tensor([classes.index(name) for name in samples.classes])[labels]
    if int(labels.min()) < 0 or int(labels.max()) >= len(classes):
        raise ConfigError(
            f"{step}: {model} has {len(classes)} classes, 0 to {len(classes) - 1}, and the labels go from "
            f"{int(labels.min())} to {int(labels.max())}. Use a model of the samples' classes."
        )
    return labels.long()
