"""What operations that move pixels share: images, masks, boxes and points go the same way."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from synth.augment.box_policy import moved
from synth.augment.boxes import Boxes, Points
from synth.augment.operation import Parameters, SampleOperation
from synth.augment.samples import Samples


class GeometricOperation(SampleOperation):
    """Moves pixels; boxes as ``synth.augment.box_policy`` says."""

    geometry: ClassVar[Literal["none", "moves", "resizes"]] = "moves"
    straight: ClassVar[bool] = True
    """Straight lines stay straight."""

    def apply(self, samples: Samples, parameters: Parameters) -> Samples:
        if samples.masks is None and samples.boxes is None and samples.points is None:
            return samples.with_images(self.images(samples.images, parameters))
        size = samples.size
        return replace(
            samples,
            images=self.images(samples.images, parameters),
            masks=None if samples.masks is None else self.masks(samples.masks[:, None], parameters)[:, 0],
            boxes=None if samples.boxes is None else self._boxes(samples.boxes, parameters, size),
            points=None if samples.points is None else self._points(samples.points, parameters, size),
        )

    @abstractmethod
    def images(self, images: Tensor, parameters: Parameters) -> Tensor:
        """uint8 [n, C, H', W'] of uint8 [n, C, H, W]."""

    @abstractmethod
    def masks(self, masks: Tensor, parameters: Parameters) -> Tensor:
        """Integers [n, C, H', W'] of [n, C, H, W], none of which is a mean of others."""

    @abstractmethod
    def places(self, places: Tensor, rows: Tensor, parameters: Parameters, size: tuple[int, int]) -> Tensor:
        """float32 [K, 2]: where places in pixels, each in the image of its row, come to lie."""

    def _points(self, points: Points, parameters: Parameters, size: tuple[int, int]) -> Points:
        places = self.places(points.places, points.rows, parameters, size)
        return (points.mirrored() if self.mirrors else points).moved(places, self.output_size(size))

    def _boxes(self, boxes: Boxes, parameters: Parameters, size: tuple[int, int]) -> Boxes:
        return moved(
            boxes,
            lambda places, rows: self.places(places, rows, parameters, size),
            None if boxes.masks is None else self._own_masks(boxes.masks, boxes.rows, parameters, size),
            self.output_size(size),
            straight=self.straight,
        )

    def _own_masks(
        self, masks: Tensor, rows: Tensor, parameters: Parameters, size: tuple[int, int]
    ) -> Tensor:
        """bool [M, H', W'] of [M, H, W]. Mirror images of objects, and what fills edges, are none of them."""
        values = {"edge": "constant", "mask_fill": 0}
        plain = self.model_copy(update={name: values[name] for name in values if hasattr(self, name)})
        result = masks.new_zeros((len(masks), *self.output_size(size)))
        for row in sorted(set(rows.tolist())):
            of_row = {name: column[row : row + 1] for name, column in parameters.items()}
            mine = rows == row
            # As the channels of one image, so that what moves the pixels is made once.
            result[mine] = plain.masks(masks[mine][None].to(torch.uint8), of_row)[0] > 0
        return result
