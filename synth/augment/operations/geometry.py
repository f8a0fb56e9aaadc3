"""What operations that move pixels share: images, masks, boxes and points go the same way."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from synth.augment.operation import Parameters, SampleOperation
from synth.augment.samples import Boxes, Points, Samples

_EDGE_POINTS = 9
"""That stand for each side of a box where straight lines do not stay straight."""


class GeometricOperation(SampleOperation):
    """Moves pixels. A box becomes the smallest upright one around what it was, cut off at the edges."""

    geometry: ClassVar[Literal["none", "moves", "resizes"]] = "moves"
    straight: ClassVar[bool] = True
    """Straight lines stay straight."""

    def apply(self, samples: Samples, parameters: Parameters) -> Samples:
        size = samples.size
        return replace(
            samples,
            images=self.images(samples.images, parameters),
            masks=None if samples.masks is None else self.masks(samples.masks[:, None], parameters)[:, 0],
            boxes=None if samples.boxes is None else self._boxes(samples.boxes, parameters, size),
            points=None
            if samples.points is None
            else Points(
                self.places(samples.points.places, samples.points.rows, parameters, size), samples.points.rows
            ),
        )

    @abstractmethod
    def images(self, images: Tensor, parameters: Parameters) -> Tensor:
        """uint8 [n, C, H', W'] of uint8 [n, C, H, W]."""

    @abstractmethod
    def masks(self, masks: Tensor, parameters: Parameters) -> Tensor:
        """Integers [n, 1, H', W'] of [n, 1, H, W], none of which is a mean of others."""

    @abstractmethod
    def places(self, places: Tensor, rows: Tensor, parameters: Parameters, size: tuple[int, int]) -> Tensor:
        """float32 [K, 2]: where places in pixels, each in the image of its row, come to lie."""

    def _boxes(self, boxes: Boxes, parameters: Parameters, size: tuple[int, int]) -> Boxes:
        if not len(boxes):
            return boxes
        steps = torch.linspace(0, 1, 2 if self.straight else _EDGE_POINTS)
        ends = torch.zeros_like(steps), torch.ones_like(steps)
        x = torch.cat([steps, steps, *ends])
        y = torch.cat([*ends, steps, steps])
        left, top, right, bottom = boxes.corners.unbind(1)
        around = torch.stack(
            [left[:, None] + (right - left)[:, None] * x, top[:, None] + (bottom - top)[:, None] * y], dim=-1
        )
        moved = self.places(
            around.reshape(-1, 2), boxes.rows.repeat_interleave(len(x)), parameters, size
        ).reshape(len(boxes), -1, 2)
        whole = torch.cat([moved.amin(1), moved.amax(1)], dim=1)
        return clipped(boxes, whole, self.output_size(size))


def clipped(boxes: Boxes, whole: Tensor, size: tuple[int, int]) -> Boxes:
    """``boxes`` moved to the corners ``whole``, float32 [M, 4], and cut off at the edges of an image."""
    height, width = size
    limit = torch.tensor([width, height, width, height], dtype=whole.dtype)
    inside = torch.minimum(whole.clamp(min=0), limit)
    share = _area(inside) / _area(whole).clamp(min=1e-9)
    seen = torch.ones(len(boxes)) if boxes.visible is None else boxes.visible
    return replace(boxes, corners=inside, visible=seen * share)


def _area(corners: Tensor) -> Tensor:
    sides = (corners[:, 2:] - corners[:, :2]).clamp(min=0)
    return sides[:, 0] * sides[:, 1]
