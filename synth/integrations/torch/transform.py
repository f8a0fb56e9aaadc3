"""Augmentation as a transform, for pipelines that are there already."""

from __future__ import annotations

import torch
from torch import Tensor

from synth.augment import Pipeline, Samples
from synth.errors import SourceError, UsageError
from synth.integrations.originals import key_of
from synth.integrations.torch.epoch import Epoch
from synth.text import some


class AugmentTransform:
    """For ``torchvision.transforms``: uint8 [C, H, W] or [N, C, H, W] to the same, augmented."""

    def __init__(self, pipeline: Pipeline) -> None:
        if pipeline.specification.batch:
            raise UsageError(
                "A transform sees one image and no data set to take partners from: use as_torch for a "
                "pipeline that mixes, or leave out its 'batch'."
            )
        blind = [step.id for step in pipeline.specification.operations() if "labels" in step.needs]
        if blind:
            raise UsageError(
                f"A transform sees images without their labels, which {some(blind)} cannot do without: use "
                "as_torch."
            )
        self._pipeline = pipeline
        self._epoch = Epoch()

    def set_epoch(self, epoch: int) -> None:
        """Augment anew from the next image on."""
        self._epoch.set(epoch)

    def __call__(self, images: Tensor) -> Tensor:
        """Raises SourceError for anything but images of uint8."""
        if not isinstance(images, Tensor) or images.ndim not in (3, 4) or images.dtype != torch.uint8:
            raise SourceError(
                "The transform takes tensors of uint8, [C, H, W] or [N, C, H, W]. Put "
                "torchvision.transforms.v2.ToImage() before it, and any scaling to floats after it."
            )
        batch = images if images.ndim == 4 else images[None]
        ids = tuple(key_of(one) for one in batch.cpu())
        made = self._pipeline.run(Samples(batch, ids), self._epoch.get()).images
        return made if images.ndim == 4 else made[0]


def as_transform(pipeline: Pipeline) -> AugmentTransform:
    """A transform, to be put first where images are still the originals: their content is their key."""
    return AugmentTransform(pipeline)
