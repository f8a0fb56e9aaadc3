"""Augmentation as a transform, for pipelines that are there already."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import Tensor

from synth.augment import Pipeline
from synth.errors import SourceError, UsageError
from synth.integrations.augmenter import Augmenter
from synth.integrations.originals import NoOriginals, original_of_image
from synth.integrations.torch.epoch import Epoch
from synth.text import some


class AugmentTransform:
    """For ``torchvision.transforms``: a PIL image, uint8 [C, H, W] or [N, C, H, W] to the same, augmented."""

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
        self._augmenter = Augmenter(NoOriginals(), pipeline)
        self._epoch = Epoch()

    def set_epoch(self, epoch: int) -> None:
        """Augment anew from the next image on."""
        self._epoch.set(epoch)

    def __call__(self, images: Any) -> Any:
        """Raises SourceError for anything but images of 8 bits."""
        epoch = self._epoch.get()
        if isinstance(images, Image.Image):
            (made,) = self._augmenter.of([original_of_image(images, "The transform")], epoch)
            pixels = made.permute(1, 2, 0).numpy()
            return Image.fromarray(pixels[..., 0] if len(made) == 1 else pixels)
        if not isinstance(images, Tensor) or images.ndim not in (3, 4) or images.dtype != torch.uint8:
            raise SourceError(
                "The transform takes PIL images, and tensors of uint8, [C, H, W] or [N, C, H, W]. Put any "
                "scaling to floats after it."
            )
        batch = images if images.ndim == 4 else images[None]
        originals = [original_of_image(one, "The transform") for one in batch.cpu()]
        together = torch.stack(self._augmenter.of(originals, epoch)).to(images.device)
        return together if images.ndim == 4 else together[0]


def as_transform(pipeline: Pipeline) -> AugmentTransform:
    """A transform, to be put first where images are still the originals: their content is their key."""
    return AugmentTransform(pipeline)
