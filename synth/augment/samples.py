"""Samples on their way through a pipeline: images of one shape, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from synth.augment.boxes import Boxes, Points
from synth.augment.keys import SampleId

__all__ = ["CHANNELS", "Boxes", "Points", "Samples"]

CHANNELS = (1, 2, 3, 4)


@dataclass(frozen=True, eq=False)
class Samples:
    """N samples of one shape.

    Attributes:
        images: uint8 [N, C, H, W], C from 1 to 4 (grey, grey and alpha, RGB, RGB and alpha).
        ids: of each sample; they decide its random numbers.
        labels: int64 [N] of class numbers, float32 [N, K] once mixed, or None.
        boxes, points: of all samples, or None.
        masks: integers [N, H, W], the class of each pixel, or None.
        classes: names of the classes that ``labels`` counts in, where they are known.
    """

    images: Tensor
    ids: tuple[SampleId, ...]
    labels: Tensor | None = None
    boxes: Boxes | None = None
    masks: Tensor | None = None
    points: Points | None = None
    classes: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return int(self.images.shape[0])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.images.shape[-2]), int(self.images.shape[-1])

    def with_images(self, images: Tensor) -> Samples:
        """With others in place of these, and all else as it is."""
        # In a quarter of the time that ``replace`` takes, which counts for single small images.
        made = object.__new__(Samples)
        made.__dict__.update(self.__dict__, images=images)
        return made

    def part(self, rows: slice) -> Samples:
        """Consecutive samples."""
        if self.labels is None and self.masks is None and self.boxes is None and self.points is None:
            return Samples(self.images[rows], self.ids[rows], classes=self.classes)
        at = torch.arange(len(self))[rows]
        # Views, where ``take`` would copy.
        return replace(
            self,
            images=self.images[rows],
            ids=self.ids[rows],
            labels=None if self.labels is None else self.labels[rows],
            masks=None if self.masks is None else self.masks[rows],
            boxes=None if self.boxes is None else self.boxes.of(at, len(self)),
            points=None if self.points is None else self.points.of(at, len(self)),
        )

    def take(self, rows: Tensor) -> Samples:
        """The samples of these rows, int64 [n], ascending."""
        return replace(
            self,
            images=self.images[rows],
            ids=tuple(self.ids[row] for row in rows.tolist()),
            labels=None if self.labels is None else self.labels[rows],
            masks=None if self.masks is None else self.masks[rows],
            boxes=None if self.boxes is None else self.boxes.of(rows, len(self)),
            points=None if self.points is None else self.points.of(rows, len(self)),
        )

    def with_rows(self, rows: Tensor, others: Samples) -> Samples:
        """These samples, with ``others`` of the same shape in place of those of ``rows``."""
        boxes, points = self.boxes, self.points
        if boxes is not None and others.boxes is not None:
            kept = boxes.select(~torch.isin(boxes.rows, rows))
            boxes = Boxes.concatenate([kept, replace(others.boxes, rows=rows[others.boxes.rows])])
        if points is not None and others.points is not None:
            rest = points.select(~torch.isin(points.rows, rows))
            points = Points.concatenate([rest, replace(others.points, rows=rows[others.points.rows])])
        masks = self.masks
        if masks is not None and others.masks is not None:
            masks = masks.index_copy(0, rows.to(masks.device), others.masks)
        images = self.images.index_copy(0, rows.to(self.images.device), others.images)
        return replace(self, images=images, masks=masks, boxes=boxes, points=points)

    @staticmethod
    def concatenate(parts: Sequence[Samples]) -> Samples:
        """Samples of one shape one after the other."""
        first = parts[0]
        if len(parts) == 1:
            return first
        starts, total = [], 0
        for part in parts:
            starts.append(total)
            total += len(part)
        boxes = [
            replace(part.boxes, rows=part.boxes.rows + start)
            for part, start in zip(parts, starts, strict=True)
            if part.boxes is not None
        ]
        points = [
            replace(part.points, rows=part.points.rows + start)
            for part, start in zip(parts, starts, strict=True)
            if part.points is not None
        ]
        labels = [part.labels for part in parts if part.labels is not None]
        masks = [part.masks for part in parts if part.masks is not None]
        return Samples(
            images=torch.cat([part.images for part in parts]),
            ids=tuple(one for part in parts for one in part.ids),
            labels=torch.cat(labels) if labels else None,
            boxes=Boxes.concatenate(boxes) if boxes else None,
            masks=torch.cat(masks) if masks else None,
            points=Points.concatenate(points) if points else None,
            classes=first.classes,
        )
