"""Samples on their way through a pipeline: images of one shape, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from synth.augment.keys import SampleId
from synth.errors import SourceError
from synth.text import plural

CHANNELS = (1, 2, 3, 4)
_SLACK = 0.5
"""Pixels by which a box or point may leave its image, as rounding elsewhere makes it; it is clipped."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of all samples of a batch.

    Attributes:
        corners: float32 [M, 4], x and y of the upper left and of the lower right corner in pixels; pixel i
            lies between i and i + 1.
        rows: int64 [M], in which sample each one is, ascending.
        labels: int64 [M], class of each one, or None.
        visible: float32 [M], the share of its area that is still inside of the image.
    """

    corners: Tensor
    rows: Tensor
    labels: Tensor | None = None
    visible: Tensor | None = None

    def __len__(self) -> int:
        return int(self.corners.shape[0])

    def select(self, keep: Tensor) -> Boxes:
        """Those at these positions or of this mask."""
        return Boxes(
            self.corners[keep],
            self.rows[keep],
            None if self.labels is None else self.labels[keep],
            None if self.visible is None else self.visible[keep],
        )

    @staticmethod
    def concatenate(parts: Sequence[Boxes]) -> Boxes:
        """All of them, sorted by row; those of a row stay in their order."""
        labels = [part.labels for part in parts if part.labels is not None]
        shares = [torch.ones(len(part)) if part.visible is None else part.visible for part in parts]
        rows = torch.cat([part.rows for part in parts])
        whole = Boxes(
            torch.cat([part.corners for part in parts]),
            rows,
            torch.cat(labels) if labels else None,
            torch.cat(shares),
        )
        return whole.select(torch.argsort(rows, stable=True))


@dataclass(frozen=True, eq=False)
class Points:
    """Keypoints of all samples: float32 [K, 2] of x and y in pixels, and int64 [K] of rows, ascending.

    The middle of the upper left pixel is (0.5, 0.5). Points may leave the image; they are never dropped.
    """

    places: Tensor
    rows: Tensor


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

    def part(self, rows: slice) -> Samples:
        """Consecutive samples."""
        at = torch.arange(len(self))[rows]
        # Views, where ``take`` would copy.
        return replace(
            self,
            images=self.images[rows],
            ids=self.ids[rows],
            labels=None if self.labels is None else self.labels[rows],
            masks=None if self.masks is None else self.masks[rows],
            boxes=None if self.boxes is None else _boxes_of(self.boxes, at, len(self)),
            points=None if self.points is None else _points_of(self.points, at, len(self)),
        )

    def take(self, rows: Tensor) -> Samples:
        """The samples of these rows, int64 [n], ascending."""
        return replace(
            self,
            images=self.images[rows],
            ids=tuple(self.ids[row] for row in rows.tolist()),
            labels=None if self.labels is None else self.labels[rows],
            masks=None if self.masks is None else self.masks[rows],
            boxes=None if self.boxes is None else _boxes_of(self.boxes, rows, len(self)),
            points=None if self.points is None else _points_of(self.points, rows, len(self)),
        )

    def with_rows(self, rows: Tensor, others: Samples) -> Samples:
        """These samples, with ``others`` of the same shape in place of those of ``rows``."""
        boxes, points = self.boxes, self.points
        if boxes is not None and others.boxes is not None:
            kept = boxes.select(~torch.isin(boxes.rows, rows))
            boxes = Boxes.concatenate([kept, replace(others.boxes, rows=rows[others.boxes.rows])])
        if points is not None and others.points is not None:
            stay = ~torch.isin(points.rows, rows)
            at = torch.cat([points.rows[stay], rows[others.points.rows]])
            places = torch.cat([points.places[stay], others.points.places])
            order = torch.argsort(at, stable=True)
            points = Points(places[order], at[order])
        masks = self.masks
        if masks is not None and others.masks is not None:
            masks = masks.index_copy(0, rows, others.masks)
        images = self.images.index_copy(0, rows, others.images)
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
            (part.points.places, part.points.rows + start)
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
            points=Points(torch.cat([p for p, _ in points]), torch.cat([r for _, r in points]))
            if points
            else None,
            classes=first.classes,
        )


def checked(samples: Samples) -> Samples:
    """``samples`` with boxes clipped that leave their image by rounding; what cannot be used is refused.

    Raises:
        SourceError: images of another type or number of channels; masks of another size; boxes that are not
            numbers, inverted, of no area, or outside of their image; points that are not numbers or outside.
    """
    images = samples.images
    if images.dtype != torch.uint8:
        raise SourceError(
            f"Images to augment are uint8, 0 to 255, not {str(images.dtype).removeprefix('torch.')}. Scale "
            "16-bit and floating-point images to 8 bits first, as synth.open_source does."
        )
    if images.ndim != 4 or images.shape[1] not in CHANNELS or images.numel() == 0:
        raise SourceError(
            f"Images to augment are [N, C, H, W] with 1 to 4 channels and at least one pixel, not "
            f"{[*images.shape]}."
        )
    if len(samples.ids) != len(samples):
        raise SourceError(f"{len(samples.ids)} ids were given for {plural(len(samples), 'image')}.")
    for name, values in (("labels", samples.labels), ("masks", samples.masks)):
        if values is not None and len(values) != len(samples):
            raise SourceError(f"{len(values)} {name} were given for {plural(len(samples), 'image')}.")
    if samples.masks is not None:
        _check_masks(samples.masks, samples.size)
    points = samples.points
    if points is not None:
        bad = ~torch.isfinite(points.places).all(1) | _outside(points.places, samples.size)
        if bool(bad.any()):
            raise _at_fault(samples, points.rows, points.places, bad, "keypoint", "a place inside")
    if samples.boxes is None:
        return samples
    return replace(samples, boxes=_checked_boxes(samples, samples.boxes))


def _check_masks(masks: Tensor, size: tuple[int, int]) -> None:
    if masks.ndim != 3 or masks.is_floating_point() or masks.is_complex():
        raise SourceError(f"Masks are integers [N, H, W], not {masks.dtype} {[*masks.shape]}.")
    if tuple(masks.shape[1:]) != size:
        raise SourceError(
            f"The masks are {masks.shape[1]} x {masks.shape[2]} and their images {size[0]} x {size[1]} "
            "(height x width). Give each image a mask of its own size."
        )


def _checked_boxes(samples: Samples, boxes: Boxes) -> Boxes:
    corners = boxes.corners
    if corners.ndim != 2 or corners.shape[1] != 4 or len(boxes.rows) != len(boxes):
        raise SourceError(f"Boxes are [M, 4] with a row for each, not {[*corners.shape]}.")
    if boxes.labels is not None and len(boxes.labels) != len(boxes):
        raise SourceError(f"{len(boxes.labels)} labels were given for {plural(len(boxes), 'box')}es.")
    bad = ~torch.isfinite(corners).all(1)
    if bool(bad.any()):
        raise _at_fault(samples, boxes.rows, corners, bad, "box", "four numbers")
    inverted = (corners[:, 2] < corners[:, 0]) | (corners[:, 3] < corners[:, 1])
    if bool(inverted.any()):
        raise _at_fault(
            samples, boxes.rows, corners, inverted, "box", "left, top, right, bottom in this order"
        )
    outside = _outside(corners[:, :2], samples.size) | _outside(corners[:, 2:], samples.size)
    if bool(outside.any()):
        raise _at_fault(samples, boxes.rows, corners, outside, "box", "a box inside")
    height, width = samples.size
    limit = torch.tensor([width, height, width, height], dtype=corners.dtype)
    corners = torch.minimum(corners.clamp(min=0), limit).to(torch.float32)
    flat = (corners[:, 2] <= corners[:, 0]) | (corners[:, 3] <= corners[:, 1])
    if bool(flat.any()):
        raise _at_fault(samples, boxes.rows, boxes.corners, flat, "box", "a box of some area")
    return Boxes(corners, boxes.rows, boxes.labels, torch.ones(len(boxes)))


def _outside(places: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = size
    limit = torch.tensor([width, height], dtype=places.dtype) + _SLACK
    return ((places < -_SLACK) | (places > limit)).any(1)


def _at_fault(
    samples: Samples, rows: Tensor, values: Tensor, bad: Tensor, noun: str, wanted: str
) -> SourceError:
    first = int(torch.nonzero(bad)[0])
    height, width = samples.size
    given = ", ".join(f"{value:g}" for value in values[first].tolist())
    return SourceError(
        f"Sample {samples.ids[int(rows[first])]} has a {noun} ({given}) and needs {wanted} of its {height} x "
        f"{width} (height x width) pixels; {int(bad.sum())} in all. Mend it, or leave it out."
    )


def _boxes_of(boxes: Boxes, rows: Tensor, count: int) -> Boxes:
    keep, place = _kept(boxes.rows, rows, count)
    return replace(boxes.select(keep), rows=place[boxes.rows[keep]])


def _points_of(points: Points, rows: Tensor, count: int) -> Points:
    keep, place = _kept(points.rows, rows, count)
    return Points(points.places[keep], place[points.rows[keep]])


def _kept(there: Tensor, rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    place = torch.full((count,), -1, dtype=torch.int64)
    place[rows] = torch.arange(len(rows))
    return place[there] >= 0, place
