"""What belongs to an image in a training loop: read from the usual forms, and given back in the same one.

- a number, ``7`` or ``tensor(7)``: of its class; a pipeline that mixes makes shares of it, float32 [K];
- a tensor or array [H, W] or [1, H, W] of integers or bool, or a PIL image: a mask, the class of each pixel;
- a dictionary with any of ``KEYS``: ``boxes`` float [M, 4] of left, top, right and bottom in pixels,
  ``labels`` int64 [M] of boxes, ``masks`` [M, H, W] and numbers ``objects`` [M] of their objects, ``points``
  float [K, 2] and the objects ``owners`` [K] that they belong to (``kinds``, ``mirrors`` and ``seen`` as
  ``Points`` has them; ``seen`` is given back in any case, 0 for what left the image), ``mask`` [H, W],
  ``label``; mixing adds ``copies`` [M] and ``owner_copies`` [K], see ``Boxes.copies``;
- anything else stays as it is, but for lists, tuples and what has two dimensions or more: where images move,
  they are refused, as nobody knows what in them would have to move too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synth.augment import Boxes, Points, Samples
from synth.augment.keys import SampleId
from synth.errors import SourceError
from synth.integrations.values import as_label, as_mask, corners_of, is_of_torchvision, numbers, pixels, table
from synth.text import some

_OF_POINTS = {
    "owners": "objects",
    "kinds": "kinds",
    "mirrors": "mirrors",
    "seen": "seen",
    "owner_copies": "copies",
}
"""Keys of what is known of points, and what ``Points`` calls it."""
_OF_BOXES = ("labels", "masks", "objects", "copies")
KEYS = ("label", "boxes", "labels", "masks", "objects", "copies", "mask", "points", *_OF_POINTS, "image_id")
_MATRIX, _STACK = 2, 3


@dataclass(frozen=True, eq=False)
class Original:
    """One image before augmentation, with all that is known of it.

    Attributes:
        image: uint8 [C, H, W].
        id: decides its random numbers.
        target: as it was given, or None.
        label: number of its class, or shares float32 [K].
        boxes, mask, points: as ``Samples`` has them, of one sample; mask [H, W].
        channels: that a grey image is to have once it is augmented, where it was given with more.
    """

    image: Tensor
    id: SampleId
    target: Any = None
    label: int | Tensor | None = None
    boxes: Boxes | None = None
    mask: Tensor | None = None
    points: Points | None = None
    channels: int | None = None

    @property
    def kind(self) -> tuple[object, ...]:
        """Originals of equal kinds may be augmented together: of each, as much is known."""
        boxes = self.boxes
        return (
            self.image.shape,
            self.channels,
            self.label.shape if isinstance(self.label, Tensor) else type(self.label),
            None if boxes is None else tuple(getattr(boxes, name) is None for name in _OF_BOXES),
            None if self.mask is None else self.mask.dtype,
            None if self.points is None else tuple(one is None for one in self.points.about),
        )

    @property
    def unread(self) -> bool:
        """Whether the target may have places in the image that nobody has read."""
        if any(one is not None for one in (self.label, self.boxes, self.mask, self.points)):
            return False
        return isinstance(self.target, (list, tuple)) or (
            not isinstance(self.target, (str, bytes, Mapping)) and np.ndim(self.target) >= _MATRIX
        )


def read_target(target: Any, name: str) -> dict[str, Any]:
    """The fields of ``Original`` that follow from a target.

    Args:
        name: of the sample, for messages.

    Raises SourceError for keys or types that cannot be augmented.
    """
    if isinstance(target, Mapping):
        return {"target": target, **_of_mapping(target, name)}
    if is_of_torchvision(target, "BoundingBoxes"):
        return {"target": target, "boxes": _boxes(corners_of(target, name))}
    if (mask := as_mask(target)) is not None:
        return {"target": target, "mask": mask}
    return {"target": target, "label": as_label(target)}


def _of_mapping(target: Mapping[str, Any], name: str) -> dict[str, Any]:
    unknown = [key for key in target if key not in KEYS]
    if unknown:
        raise SourceError(
            f"The target of {name} has {some([repr(key) for key in unknown])}, and it is not known what "
            f"becomes of that when the image moves. Known: {', '.join(KEYS)}. Leave the others out."
        )
    found: dict[str, Any] = {}
    if "label" in target:
        found["label"] = as_label(target["label"])
    if "boxes" in target:
        corners = corners_of(target["boxes"], name)
        labels, objects, copies = (
            numbers(target, key, len(corners), name) for key in ("labels", "objects", "copies")
        )
        found["boxes"] = _boxes(corners, labels, pixels(target, len(corners), name), objects, copies)
    elif alone := [key for key in ("labels", "masks", "objects", "copies") if key in target]:
        raise SourceError(f"The target of {name} has {alone[0]} of objects and no boxes: give these, too.")
    if "mask" in target:
        found["mask"] = as_mask(target["mask"])
        if found["mask"] is None:
            raise SourceError(f"The mask of {name} is no picture of integers [H, W].")
    if "points" in target:
        places = table(target["points"], 2, f"The points of {name}")
        rows = torch.zeros(len(places), dtype=torch.int64)
        about = (numbers(target, key, len(places), name) for key in _OF_POINTS)
        found["points"] = Points(places, rows, *about)
    return found


def write_target(original: Original, made: Samples, row: int) -> Any:
    """The target of one augmented sample, in the form that it was given in."""
    target = original.target
    if isinstance(target, Mapping):
        return {**target, **_written(original, made, row)}
    if original.boxes is not None:
        assert made.boxes is not None
        return made.boxes.corners[made.boxes.rows == row]
    if original.mask is not None:
        return _mask(target, made, row)
    return target if original.label is None else _label(made, row)


def _written(original: Original, made: Samples, row: int) -> dict[str, Any]:
    written: dict[str, Any] = {}
    if original.label is not None:
        written["label"] = _label(made, row)
    if made.boxes is not None:
        boxes = made.boxes.select(made.boxes.rows == row)
        written["boxes"] = boxes.corners
        masks = boxes.masks
        if masks is not None and "masks" in original.target:
            masks = masks.to(torch.as_tensor(original.target["masks"]).dtype)
        of_boxes = {"labels": boxes.labels, "objects": boxes.objects, "copies": boxes.copies}
        for key, column in {**of_boxes, "masks": masks}.items():
            if column is not None:
                written[key] = column
    if made.masks is not None:
        # Of a source, it is known beside the target.
        written["mask"] = _mask(original.target.get("mask"), made, row)
    if made.points is not None:
        points = made.points.select(made.points.rows == row)
        written["points"] = points.places
        of_points = {key: getattr(points, name) for key, name in _OF_POINTS.items()}
        written |= {key: value for key, value in of_points.items() if value is not None}
    return written


def _mask(given: Any, made: Samples, row: int) -> Tensor:
    """In the form that it was given in: bool, or with a channel, if it was."""
    assert made.masks is not None
    mask = made.masks[row]
    if getattr(given, "dtype", None) in (torch.bool, np.dtype(bool)):
        mask = mask.bool()
    return mask[None] if getattr(given, "ndim", _MATRIX) == _STACK else mask


def _label(made: Samples, row: int) -> int | Tensor:
    assert made.labels is not None
    return made.labels[row] if made.labels.is_floating_point() else int(made.labels[row])


def stacked(originals: list[Original], classes: tuple[str, ...] | None) -> Samples:
    """Originals of one kind together."""
    first = originals[0]
    labels = None
    if isinstance(first.label, Tensor):
        labels = torch.stack([torch.as_tensor(one.label) for one in originals])
    elif first.label is not None:
        labels = torch.tensor([one.label for one in originals])
    boxes = [
        replace(one.boxes, rows=one.boxes.rows + row)
        for row, one in enumerate(originals)
        if one.boxes is not None
    ]
    points = [
        replace(one.points, rows=one.points.rows + row)
        for row, one in enumerate(originals)
        if one.points is not None
    ]
    masks = [one.mask for one in originals if one.mask is not None]
    return Samples(
        torch.stack([one.image for one in originals]),
        tuple(one.id for one in originals),
        labels=labels,
        boxes=Boxes.concatenate(boxes) if boxes else None,
        masks=torch.stack(masks) if masks else None,
        points=Points.concatenate(points) if points else None,
        classes=classes,
    )


def _boxes(
    corners: Tensor,
    labels: Tensor | None = None,
    masks: Tensor | None = None,
    objects: Tensor | None = None,
    copies: Tensor | None = None,
) -> Boxes:
    rows = torch.zeros(len(corners), dtype=torch.int64)
    return Boxes(corners, rows, labels, masks=masks, objects=objects, copies=copies)
