"""Mixing: each sample with a partner of the same data set, and their labels in the same shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from synth.augment.distributions import Distribution, Within
from synth.augment.keys import unit
from synth.augment.operation import Meta, MixingOperation, Parameters, Target, column, require
from synth.augment.samples import Samples


class Mixup(MixingOperation):
    """The weighted mean of two images (Zhang et al., arXiv 1710.09412)."""

    name: ClassVar[str] = "mixup"
    targets: ClassVar[frozenset[Target]] = frozenset({"image", "label"})
    weight: Annotated[Distribution, Within(0, 1)] = Field(
        Within(0, 1).read([0, 1]), description="Of the sample itself; the paper's is {beta: [0.2, 0.2]}."
    )

    def mix(self, samples: Samples, partners: Sequence[Samples], parameters: Parameters) -> Samples:
        (other,) = partners
        weight = column(parameters["weight"], samples.images)
        # Two products and a sum, each rounded by itself, are the same in a batch of any size.
        images = samples.images.float() * weight + other.images.float() * (1 - weight)
        return replace(
            samples,
            images=images.round().clamp(0, 255).to(torch.uint8),
            labels=shared(samples.labels, other.labels, weight),
        )


class Cutmix(MixingOperation):
    """A rectangle of the partner in the same place (Yun et al., arXiv 1905.04899).

    Labels are shared by the area that is really pasted; in masks, each pixel has the class of its image.
    """

    name: ClassVar[str] = "cutmix"
    targets: ClassVar[frozenset[Target]] = frozenset({"image", "label", "masks"})
    area: Annotated[Distribution, Within(0, 1)] = Field(
        Within(0, 1).read([0, 1]), description="Of the rectangle before the image's edges cut it off."
    )
    extra_words: ClassVar[int] = 2

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        limit = np.array([meta.size[1], meta.size[0]])
        sides = np.round(np.sqrt(found["area"])[:, None] * limit).astype(np.int64)
        first = np.floor(unit(words) * limit).astype(np.int64) - sides // 2
        ends = [np.clip(first, 0, limit), np.clip(first + sides, 0, limit)]
        return {"box": np.concatenate(ends, axis=1)}

    def refuse(self, parameters: Parameters, meta: Meta) -> None:
        first, last = parameters["box"][:, :2], parameters["box"][:, 2:]
        require({"box": first}, "box", 0, last)
        require({"box": last}, "box", 0, np.array([meta.size[1], meta.size[0]]))

    def mix(self, samples: Samples, partners: Sequence[Samples], parameters: Parameters) -> Samples:
        (other,) = partners
        height, width = samples.size
        box = torch.from_numpy(parameters["box"])[:, :, None, None].to(samples.images.device)
        x = torch.arange(width, device=box.device)
        y = torch.arange(height, device=box.device)[:, None]
        inside = (x >= box[:, 0]) & (x < box[:, 2]) & (y >= box[:, 1]) & (y < box[:, 3])
        masks = samples.masks
        if masks is not None and other.masks is not None:
            masks = torch.where(inside, other.masks, masks)
        pasted = inside.sum((1, 2)).to(torch.float32) / (height * width)
        return replace(
            samples,
            images=torch.where(inside[:, None], other.images, samples.images),
            labels=shared(samples.labels, other.labels, 1 - pasted),
            masks=masks,
        )


def shared(own: Tensor | None, other: Tensor | None, weight: Tensor) -> Tensor | None:
    """float32 [n, K]: ``weight`` [n] or [n, 1, 1, 1] of one's own shares, and the rest of the other's."""
    if own is None or other is None:
        return None
    share = weight.reshape(-1, 1).to(own.device)
    return own * share + other * (1 - share)
