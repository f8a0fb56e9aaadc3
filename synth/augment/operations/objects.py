"""Operations on objects by their pixels: pasted into other images, or erased."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from synth.augment.box_policy import tight
from synth.augment.boxes import Boxes, Points, belonging
from synth.augment.distributions import Distribution, Within
from synth.augment.kernels.noise import halves
from synth.augment.keys import noise_key
from synth.augment.objects import BACKGROUND, objects_of
from synth.augment.operation import (
    ALL,
    LabelEffect,
    Meta,
    MixingOperation,
    Need,
    Operation,
    Parameters,
    SampleOperation,
    Target,
)
from synth.augment.operations.mixing import shared
from synth.augment.samples import Samples
from synth.errors import SourceError

_SHARE = Within(0, 1)
Classes = Annotated[tuple[int, ...], Field(min_length=1, strict=False)]  # of a list, as JSON has it


class _OnObjects(Operation):
    extra_words: ClassVar[int] = 2
    share: Annotated[Distribution, _SHARE] = Field(
        _SHARE.read(0.5), description="Of the objects; each is chosen or not by itself."
    )
    classes: Classes | None = Field(None, description="Only objects of these, by number.")

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        return {**found, "key": noise_key(words)}


class CopyPaste(_OnObjects, MixingOperation):
    """Objects of the partner, at least one, in the same place (Ghiasi et al., arXiv 2012.07177).

    Boxes that they cover become those of what is still seen. Masks of classes go with the pixels; where these
    are all that is known, all pixels of a class are one object. Keypoints come with their objects, and are
    hidden under those pasted. Labels are shared by the area pasted.
    """

    name: ClassVar[str] = "copy_paste"
    needs: ClassVar[frozenset[Need]] = frozenset({"partner", "objects"})

    def mix(self, samples: Samples, partners: Sequence[Samples], parameters: Parameters) -> Samples:
        (other,) = partners
        objects = objects_of(other)
        chosen = objects.chosen(parameters["key"], parameters["share"], self.classes, least=1)
        pasted = objects.shown(chosen, len(samples))
        boxes, masks, points = samples.boxes, samples.masks, samples.points
        theirs = None
        if boxes is not None and other.boxes is not None and objects.boxes is not None:
            theirs = other.boxes.select(objects.boxes[chosen])
            boxes = Boxes.concatenate([_covered(boxes, pasted), theirs])
        if points is not None and other.points is not None:
            brought = other.points.select(_belong(other.points, theirs))
            points = Points.concatenate([_hidden(points, pasted), brought])
        if masks is not None and other.masks is not None:
            masks = torch.where(pasted, other.masks, masks)
        area = pasted.sum((1, 2)).to(torch.float32) / pasted[0].numel()
        return replace(
            samples,
            images=torch.where(pasted[:, None], other.images, samples.images),
            labels=shared(samples.labels, other.labels, 1 - area),
            boxes=boxes,
            masks=masks,
            points=points,
        )


class MaskDropout(_OnObjects, SampleOperation):
    """Objects erased, with their boxes, keypoints, and pixels in masks.

    Pixels that belong to another object as well stay. Images with a class of their own are refused, since it
    may be that of what was erased.
    """

    name: ClassVar[str] = "mask_dropout"
    targets: ClassVar[frozenset[Target]] = ALL - {"label"}
    needs: ClassVar[frozenset[Need]] = frozenset({"objects"})
    label_effect: ClassVar[LabelEffect] = "drop"
    extra_words: ClassVar[int] = 4
    fill: Annotated[int, Field(ge=0, le=255)] | Literal["mean", "noise"] = Field(
        "mean", description="A value of 0 to 255, the mean of the rest of the image, or noise."
    )
    mask_fill: int = Field(BACKGROUND, ge=0, le=2**24, description="The class of erased pixels in masks.")

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        return {**super().refine(found, words[:, :2], meta), "noise": noise_key(words[:, 2:])}

    def apply(self, samples: Samples, parameters: Parameters) -> Samples:
        objects = objects_of(samples)
        chosen = objects.chosen(parameters["key"], parameters["share"], self.classes)
        hole = objects.shown(chosen, len(samples)) & ~objects.shown(~chosen, len(samples))
        boxes, points = samples.boxes, samples.points
        erased = None
        if boxes is not None and objects.boxes is not None:
            keep = torch.ones(len(boxes), dtype=torch.bool)
            keep[objects.boxes[chosen]] = False
            boxes, erased = boxes.select(keep), boxes.select(~keep)
        if points is not None:
            points = points.select(~_belong(points, erased))
        return replace(
            samples,
            images=torch.where(
                hole[:, None], self._filling(samples.images, hole, parameters), samples.images
            ),
            boxes=boxes,
            points=points,
            masks=None if samples.masks is None else samples.masks.masked_fill(hole, self.mask_fill),
        )

    def _filling(self, images: Tensor, hole: Tensor, parameters: Parameters) -> Tensor:
        """uint8, as ``images`` [n, C, H, W] or to be spread over it."""
        if self.fill == "noise":
            field = halves(parameters["noise"], images[0].numel()) >> 8
            return torch.from_numpy(field.astype(np.uint8)).reshape(images.shape).to(images.device)
        if self.fill == "mean":
            rest = ~hole[:, None]
            rest = rest | ~rest.any(-1, keepdim=True).any(-2, keepdim=True)  # all, where nothing is left
            count = rest.sum((2, 3), keepdim=True)
            total = (images * rest).sum((2, 3), keepdim=True)
            return ((total + count // 2) // count).to(torch.uint8)
        return images.new_full((1, 1, 1, 1), self.fill)


def _belong(points: Points, boxes: Boxes | None) -> Tensor:
    """bool [K]: which keypoints are of one of these objects; SourceError where that is not known."""
    if not len(points):
        return torch.zeros(0, dtype=torch.bool)
    if points.objects is None or boxes is None or boxes.objects is None:
        raise SourceError(
            "It is not known to which object each keypoint belongs, and objects are pasted or erased: give "
            "Points and Boxes the numbers of objects ('objects'), or leave keypoints out."
        )
    return belonging(points, boxes)


def _hidden(points: Points, pasted: Tensor) -> Points:
    """Those under ``pasted``, bool [N, H, W], as not to be seen any more."""
    height, width = pasted.shape[1:]
    x, y = points.places.unbind(1)
    across, down = x.clamp(0, width - 1).long(), y.clamp(0, height - 1).long()
    under = pasted.to(points.rows.device)[points.rows, down, across]
    return replace(points, seen=torch.where(under, points.visibility.clamp(max=1), points.visibility))


def _covered(boxes: Boxes, pasted: Tensor) -> Boxes:
    """The boxes of what is still seen of objects under ``pasted``, bool [N, H, W]."""
    if boxes.masks is None or not len(boxes):
        return boxes
    left = boxes.masks & ~pasted[boxes.rows]
    before, after = boxes.masks.sum((1, 2)), left.sum((1, 2))
    return replace(
        boxes,
        corners=torch.where((after < before)[:, None], tight(left), boxes.corners),
        visible=boxes.seen * torch.where(before > 0, after / before.clamp(min=1), 1.0),
        masks=left,
    )
