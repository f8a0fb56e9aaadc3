"""What samples must be before anything is done to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from synth.augment.box_policy import clipped
from synth.augment.boxes import Boxes, Points
from synth.augment.samples import CHANNELS, Samples
from synth.errors import SourceError
from synth.text import plural

_MASKS = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_GREATEST = 2**24
"""Class that a mask may have: masks are resampled in float32, which tells no greater ones apart."""
_SLACK = 0.5
"""Pixels by which a box or point may leave its image, as rounding elsewhere makes it; it is clipped."""


def checked(samples: Samples) -> Samples:
    """``samples`` with boxes and points clipped that leave their image by rounding; what is wrong is refused.

    Raises:
        SourceError: images of another type or number of channels; masks of another size; boxes that are not
            numbers, inverted, of no area, or outside of their image; points that are not numbers or outside.
    """
    images = samples.images
    if images.dtype != torch.uint8:
        raise SourceError(
            f"Images to augment are uint8, 0 to 255, not {_name(images.dtype)}. Scale "
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
    if samples.points is not None:
        samples = replace(samples, points=_checked_points(samples, samples.points))
    if samples.boxes is None:
        return samples
    return replace(samples, boxes=_checked_boxes(samples, samples.boxes))


def _checked_points(samples: Samples, points: Points) -> Points:
    if points.places.ndim != 2 or points.places.shape[1] != 2:
        raise SourceError(f"Keypoints are [K, 2], not {[*points.places.shape]}.")
    names = ("objects", "kinds", "mirrors", "seen", "copies")
    _check_columns(samples, "keypoint", points, dict(zip(names, points.about, strict=True)))
    bad = ~torch.isfinite(points.places).all(1)
    bad |= _outside(points.places, samples.size) & (points.visibility > 0)
    if bool(bad.any()):
        raise _at_fault(samples, points.rows, points.places, bad, "keypoint", "a place inside")
    # Rounding does not make one leave that is to be seen.
    inside = clipped(points.places.repeat(1, 2), samples.size)[:, :2]
    places = torch.where((points.visibility > 0)[:, None], inside, points.places)
    return replace(points, places=places, seen=points.visibility)


def _check_columns(
    samples: Samples, noun: str, parts: Boxes | Points, columns: Mapping[str, Tensor | None]
) -> None:
    """Each part has a value of each column, and the row of a sample that is there."""
    for name, column in {"rows": parts.rows, **columns}.items():
        if column is not None and len(column) != len(parts):
            raise SourceError(f"{len(column)} {name} were given for {plural(len(parts), noun)}.")
    lost = (parts.rows < 0) | (parts.rows >= len(samples))
    if bool(lost.any()):
        row = int(parts.rows[lost][0])
        raise SourceError(f"A {noun} has the row {row}, and there {_are(len(samples))}.")


def _are(count: int) -> str:
    return f"{'is' if count == 1 else 'are'} {plural(count, 'sample')}"


def _check_masks(masks: Tensor, size: tuple[int, int]) -> None:
    if masks.ndim != 3 or masks.dtype not in _MASKS:
        known = ", ".join(map(_name, _MASKS))
        raise SourceError(
            f"Masks are integers [N, H, W] of one of the types {known}, not {_name(masks.dtype)} "
            f"{[*masks.shape]}. Convert them first."
        )
    if masks.dtype in (torch.int32, torch.int64) and bool((masks.abs() > _GREATEST).any()):
        raise SourceError(
            f"Masks have class numbers of up to 2**24 = {_GREATEST:,}, and these go from "
            f"{int(masks.min()):,} to {int(masks.max()):,}: number the classes anew, from 0."
        )
    if tuple(masks.shape[1:]) != size:
        raise SourceError(
            f"The masks are {masks.shape[1]} x {masks.shape[2]} and their images {size[0]} x {size[1]} "
            "(height x width). Give each image a mask of its own size."
        )


def _check_own_masks(masks: Tensor, count: int, size: tuple[int, int]) -> None:
    if masks.dtype != torch.bool or tuple(masks.shape) != (count, *size):
        raise SourceError(
            f"The masks of boxes are bool {[count, *size]}, one of the image's size for each box, not "
            f"{_name(masks.dtype)} {[*masks.shape]}."
        )


def _checked_boxes(samples: Samples, boxes: Boxes) -> Boxes:
    corners = boxes.corners
    if corners.ndim != 2 or corners.shape[1] != 4:
        raise SourceError(f"Boxes are [M, 4], not {[*corners.shape]}.")
    columns = {"labels": boxes.labels, "objects": boxes.objects, "copies": boxes.copies}
    _check_columns(samples, "box", boxes, columns)
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
    corners = clipped(corners, samples.size).to(torch.float32)
    flat = (corners[:, 2] <= corners[:, 0]) | (corners[:, 3] <= corners[:, 1])
    if bool(flat.any()):
        raise _at_fault(samples, boxes.rows, boxes.corners, flat, "box", "a box of some area")
    if boxes.masks is not None:
        _check_own_masks(boxes.masks, len(boxes), samples.size)
    return replace(boxes, corners=corners, visible=torch.ones(len(boxes)))


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


def _name(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")
