"""Objects and keypoints on their way through a pipeline, of all samples of a batch together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Boxes:
    """The objects of all samples of a batch, M in all: a box each, and what else is known of them.

    Attributes:
        corners: float32 [M, 4], x and y of the upper left and of the lower right corner in pixels; pixel i
            lies between i and i + 1.
        rows: int64 [M], in which sample each one is, ascending.
        labels: int64 [M], class of each one, or None.
        visible: float32 [M], the share of it that is still inside of the image.
        masks: bool [M, H, W], the pixels of each one; none is set where they are not known. None where they
            are not known of any.
        objects: int64 [M], the number of each one in its data set, or None. It stays the same whatever
            becomes of the object, and whichever sample it is pasted into.
        copies: int64 [M], tells apart those of one object that mixing brings into one sample; None where
            nothing is mixed.
    """

    corners: Tensor
    rows: Tensor
    labels: Tensor | None = None
    visible: Tensor | None = None
    masks: Tensor | None = None
    objects: Tensor | None = None
    copies: Tensor | None = None

    def __len__(self) -> int:
        return int(self.corners.shape[0])

    @property
    def seen(self) -> Tensor:
        """float32 [M]: ``visible``, where all are known."""
        return torch.ones(len(self)) if self.visible is None else self.visible

    def select(self, keep: Tensor) -> Boxes:
        """Those at these positions or of this mask."""
        return Boxes(
            self.corners[keep],
            self.rows[keep],
            None if self.labels is None else self.labels[keep],
            None if self.visible is None else self.visible[keep],
            None if self.masks is None else self.masks[keep],
            None if self.objects is None else self.objects[keep],
            None if self.copies is None else self.copies[keep],
        )

    def of(self, rows: Tensor, count: int) -> Boxes:
        """Those of these samples of ``count``, int64 [n], whose places there become their rows."""
        keep, place = _kept(self.rows, rows, count)
        return replace(self.select(keep), rows=place[self.rows[keep]])

    @staticmethod
    def concatenate(parts: Sequence[Boxes]) -> Boxes:
        """All of them, sorted by row; those of a row stay in their order.

        Masks have one size. Labels and numbers are known of all parts that have boxes, or of none.
        """
        parts = [part for part in parts if len(part)] or parts[:1]
        whole = Boxes(
            torch.cat([part.corners for part in parts]),
            torch.cat([part.rows for part in parts]),
            _joined([part.labels for part in parts]),
            torch.cat([part.seen for part in parts]),
            _joined(_with_blank([part.masks for part in parts], [len(part) for part in parts])),
            _joined([part.objects for part in parts]),
            _joined([part.copies for part in parts]),
        )
        return whole.select(torch.argsort(whole.rows, stable=True))


@dataclass(frozen=True, eq=False)
class Points:
    """Keypoints of all samples of a batch, K in all.

    The middle of the upper left pixel is (0.5, 0.5). Points that leave the image stay here, not labelled.

    Attributes:
        places: float32 [K, 2], x and y in pixels.
        rows: int64 [K], in which sample each one is, ascending.
        objects: int64 [K], the number of the object that each one belongs to, as in ``Boxes``; or None.
        kinds, mirrors: int64 [K], which point of its object each one is, and which it is in a mirror image (a
            left eye is a right one there); or None.
        seen: int64 [K], 0 for those that are not labelled, 1 for those that are hidden and 2 for those to be
            seen; None: all are to be seen.
        copies: int64 [K], which of its object's copies each one belongs to, as in ``Boxes``; or None.
    """

    places: Tensor
    rows: Tensor
    objects: Tensor | None = None
    kinds: Tensor | None = None
    mirrors: Tensor | None = None
    seen: Tensor | None = None
    copies: Tensor | None = None

    def __len__(self) -> int:
        return int(self.places.shape[0])

    def select(self, keep: Tensor) -> Points:
        """Those at these positions or of this mask."""
        about = (None if one is None else one[keep] for one in self.about)
        return Points(self.places[keep], self.rows[keep], *about)

    def moved(self, places: Tensor, size: tuple[int, int]) -> Points:
        """Those in other places, float32 [K, 2], of an image of this height and width.

        One that leaves it is not labelled from then on, also where a later operation brings its place back,
        as its pixels do not come back.
        """
        inside = ((places >= 0) & (places <= torch.tensor([size[1], size[0]]))).all(1)
        return replace(self, places=torch.nan_to_num(places, nan=-1.0), seen=self.visibility * inside)

    @property
    def visibility(self) -> Tensor:
        """int64 [K]: ``seen``, where all are known."""
        return torch.full((len(self),), 2) if self.seen is None else self.seen

    def mirrored(self) -> Points:
        """What they are in a mirror image, in the same places."""
        if self.kinds is None or self.mirrors is None:
            return self
        return replace(self, kinds=self.mirrors, mirrors=self.kinds)

    @property
    def about(self) -> tuple[Tensor | None, ...]:
        """What is known of each besides its place: objects, kinds, mirrors, seen, copies."""
        return self.objects, self.kinds, self.mirrors, self.seen, self.copies

    def of(self, rows: Tensor, count: int) -> Points:
        """Those of these samples of ``count``, int64 [n], whose places there become their rows."""
        keep, place = _kept(self.rows, rows, count)
        return replace(self.select(keep), rows=place[self.rows[keep]])

    @staticmethod
    def concatenate(parts: Sequence[Points]) -> Points:
        """All of them, sorted by row; those of a row stay in their order."""
        parts = [part for part in parts if len(part)] or parts[:1]
        whole = Points(
            torch.cat([part.places for part in parts]),
            torch.cat([part.rows for part in parts]),
            *(_joined(columns) for columns in zip(*(part.about for part in parts), strict=True)),
        )
        return whole.select(torch.argsort(whole.rows, stable=True))


def belonging(points: Points, boxes: Boxes) -> Tensor:
    """bool [K]: which points are of one of these objects, of which both know the numbers."""
    count = len(points)
    if not count or not len(boxes):
        return torch.zeros(count, dtype=torch.bool)
    assert points.objects is not None
    assert boxes.objects is not None
    _, numbers = torch.unique(torch.cat([points.objects, boxes.objects]), return_inverse=True)
    copies = torch.cat(
        [torch.zeros_like(one.rows) if one.copies is None else one.copies for one in (points, boxes)]
    )
    keys = torch.cat([points.rows, boxes.rows]) * (1 + copies.max()) + copies
    keys = keys * (1 + numbers.max()) + numbers
    return torch.isin(keys[:count], keys[count:])


def _joined(columns: Sequence[Tensor | None]) -> Tensor | None:
    known = [column for column in columns if column is not None]
    if known and len(known) < len(columns):
        raise ValueError("Labels, masks and numbers of objects are known of all parts, or of none.")
    return torch.cat(known) if known else None


def _with_blank(masks: Sequence[Tensor | None], counts: Sequence[int]) -> Sequence[Tensor | None]:
    """With masks of no pixel where some parts have none."""
    known = next((one for one in masks if one is not None), None)
    if known is None:
        return masks
    return [
        known.new_zeros((count, *known.shape[1:])) if one is None else one
        for one, count in zip(masks, counts, strict=True)
    ]


def _kept(there: Tensor, rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    place = torch.full((count,), -1, dtype=torch.int64)
    place[rows] = torch.arange(len(rows))
    return place[there] >= 0, place
