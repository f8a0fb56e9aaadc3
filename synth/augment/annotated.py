"""Samples of sources with their objects and masks, into a pipeline and out of it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from synth.augment.boxes import Boxes, Points
from synth.augment.samples import Samples
from synth.data.objects import Annotated, ImageRecord, Keypoints, Objects
from synth.data.sample import Sample

_ABOUT_POINTS = ("owners", "kinds", "mirrors", "seen")


def with_annotations(samples: Samples, originals: Sequence[Sample]) -> Samples:
    """``samples`` with what the originals, one for each, know of their objects and pixels.

    Originals of one batch know the same kinds of things, see ``kind_of``.
    """
    pixels = [one.mask for one in originals if one.mask is not None]
    if pixels:
        samples = replace(samples, masks=torch.from_numpy(np.stack(pixels)))
    objects = [one.objects for one in originals if one.objects is not None]
    if not objects:
        return samples
    rows = torch.arange(len(objects))
    masks = [one.masks for one in objects if one.masks is not None]
    boxes = Boxes(
        torch.from_numpy(np.concatenate([one.boxes for one in objects])),
        rows.repeat_interleave(torch.tensor([len(one) for one in objects])),
        torch.from_numpy(np.concatenate([one.labels for one in objects])),
        masks=torch.from_numpy(np.concatenate(masks)) if masks else None,
        objects=torch.from_numpy(np.concatenate([one.numbers for one in objects])),
    )
    known = [one.points for one in objects if one.points is not None]
    if not known:
        return replace(samples, boxes=boxes)
    points = Points(
        torch.from_numpy(np.concatenate([one.places for one in known])),
        rows.repeat_interleave(torch.tensor([len(one) for one in known])),
        *(torch.from_numpy(np.concatenate([getattr(one, name) for one in known])) for name in _ABOUT_POINTS),
    )
    return replace(samples, boxes=boxes, points=points)


def kind_of(sample: Sample) -> tuple[object, ...]:
    """Samples of equal kinds can be augmented together."""
    mask = None if sample.mask is None else sample.mask.dtype
    return (sample.image.shape, mask, sample.objects is not None)


def annotations_of(made: Samples, row: int, original: Sample, record: ImageRecord, copy: int) -> Annotated:
    """What is known of the augmented sample of a row, the copy of this number of an original."""
    mask = None if made.masks is None else made.masks[row].numpy()
    if made.boxes is None or original.objects is None:
        nothing = np.zeros(0, dtype=np.int64)
        return Annotated(record, copy, made.size, None, nothing, np.zeros(0), nothing.astype(bool), mask)
    boxes = made.boxes.select(made.boxes.rows == row)
    assert boxes.labels is not None
    assert boxes.objects is not None
    points = made.points
    if points is not None:
        points = points.select((points.rows == row) & (points.visibility > 0))
    objects = Objects(
        boxes.corners.numpy(),
        boxes.labels.numpy(),
        boxes.objects.numpy(),
        None if boxes.masks is None else boxes.masks.numpy(),
        None if points is None else _keypoints(points),
    )
    same = _unchanged(objects, original.objects) & (made.size == (record.height, record.width))
    return Annotated(record, copy, made.size, objects, _owners(points, boxes), boxes.seen.numpy(), same, mask)


def _owners(points: Points | None, boxes: Boxes) -> np.ndarray:
    """int64 [K]: the place among the boxes of a sample of that of each of its points."""
    places = {one: place for place, one in enumerate(_copies(boxes))}
    found = [] if points is None else [places[one] for one in _copies(points)]
    return np.asarray(found, dtype=np.int64)


def _copies(parts: Boxes | Points) -> list[tuple[int, int]]:
    """The object of each, and which copy of it."""
    assert parts.objects is not None
    copies = torch.zeros_like(parts.objects) if parts.copies is None else parts.copies
    return list(zip(parts.objects.tolist(), copies.tolist(), strict=True))


def _keypoints(points: Points) -> Keypoints:
    columns = (points.objects, points.kinds, points.mirrors, points.seen)
    return Keypoints(points.places.numpy(), *(one.numpy() for one in columns if one is not None))


def _unchanged(made: Objects, before: Objects) -> np.ndarray:
    """bool [M]: which objects have the box and pixels that they had."""
    places = {number: place for place, number in enumerate(before.numbers.tolist())}
    same = np.zeros(len(made), dtype=bool)
    for row, number in enumerate(made.numbers.tolist()):
        place = places.pop(number, None)  # one that is pasted a second time is another
        if place is not None:
            same[row] = bool((made.boxes[row] == before.boxes[place]).all()) and (
                made.masks is None
                or before.masks is None
                or bool((made.masks[row] == before.masks[place]).all())
            )
    return same
