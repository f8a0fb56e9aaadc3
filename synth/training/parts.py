"""Which images are trained on, which are kept back to measure on, and what they look like in numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from synth.data import ImageSet, split_by_hash
from synth.data.scratch import chunk_of
from synth.training.recipe import Recipe


class Parts(NamedTuple):
    """``measured_on`` says what ``validation`` holds: where nothing can be kept back, the training images."""

    training: ImageSet
    validation: ImageSet
    measured_on: str


class Domains(NamedTuple):
    """What a training has: the parts of its images and, for a translator, those of the domain to get to."""

    source: Parts
    target: Parts | None = None

    def paired(self, recipe: Recipe) -> ImageSet | None:
        """Training images of the target that go into each batch, where there are any."""
        return None if self.target is None or not recipe.pairs_target else self.target.training

    def fewest(self, recipe: Recipe) -> int:
        """Training images of the smaller of those that go into each batch."""
        paired = self.paired(recipe)
        own = len(self.source.training)
        return own if paired is None else min(own, len(paired))

    @property
    def training_ids(self) -> tuple[str, ...]:
        """The content hashes of all images that are trained on, of both domains."""
        return self.source.training.ids + (() if self.target is None else self.target.training.ids)


def split_domains(images: ImageSet, target: ImageSet | None, share: float) -> Domains:
    """Keep ``share`` of each domain back, see ``split``."""
    return Domains(split(images, share), None if target is None else split(target, share))


def split(images: ImageSet, share: float) -> Parts:
    """Keep ``share`` of the images back, by content hash, but no class as a whole."""
    labels = None if images.labels is None else images.labels.numpy()
    parts = split_by_hash(images.ids, {"train": 1.0 - share, "validation": share}, labels)
    train, validation = parts["train"], parts["validation"]
    if labels is not None:
        alone = ~np.isin(labels[validation], labels[train])
        train = np.sort(np.concatenate([train, validation[alone]]))
        validation = validation[~alone]
    if not len(validation) or not len(train):  # of images that are all equal, both would be on one side
        return Parts(images, images, "training images, since none could be kept back")
    training = images.subset(train)
    return Parts(training, images.subset(validation), "validation images")


def pixel_statistics(images: Tensor) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel of uint8 [N, C, H, W], with 255 as 1.

    From counts of the 256 levels, part by part, so that no copy of all images is made.
    """
    levels = torch.arange(256, dtype=torch.float64) / 255.0
    counts = torch.zeros(images.shape[1], 256, dtype=torch.int64)
    step = chunk_of(images)
    for at in range(0, len(images), step):
        for channel, of_channel in enumerate(images[at : at + step].unbind(dim=1)):
            counts[channel] += torch.bincount(of_channel.flatten(), minlength=256)
    means, deviations = [], []
    for shares in counts.double() / counts.sum(dim=1, keepdim=True):
        mean = (shares * levels).sum()
        means.append(float(mean))
        deviations.append(float((shares * (levels - mean).square()).sum().sqrt()))
    return means, deviations
