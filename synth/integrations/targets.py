"""What belongs to an image in a training loop: read from the usual forms, and given back in the same one.

7, tensor(7)                       the number of its class; a pipeline that mixes makes shares of it
tensor [H, W], a PIL image         a mask of integers, the class of each pixel
{"boxes": ..., "labels": ...}      any of ``KEYS``: boxes float [M, 4] of left, top, right, bottom in pixels,
                                   labels int64 [M] and masks [M, H, W] of boxes, mask, points float [K, 2],
                                   label; objects int64 [M] and owners int64 [K], the numbers of the objects
anything else                      stays as it is
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from synth.augment import Boxes, Points, Samples
from synth.augment.keys import SampleId
from synth.data import Sample
from synth.errors import SourceError
from synth.text import some

KEYS = ("label", "boxes", "labels", "masks", "objects", "mask", "points", "owners", "image_id")
_MATRIX = 2


@dataclass(frozen=True, eq=False)
class Original:
    """One image before augmentation, with all that is known of it.

    Attributes:
        image: uint8 [C, H, W].
        id: decides its random numbers.
        target: as it was given, or None.
        label: number of its class, or shares float32 [K].
        boxes, box_labels, box_masks, objects, mask, points, owners: as ``Samples`` has them.
    """

    image: Tensor
    id: SampleId
    target: Any = None
    label: int | Tensor | None = None
    boxes: Tensor | None = None
    box_labels: Tensor | None = None
    box_masks: Tensor | None = None
    objects: Tensor | None = None
    mask: Tensor | None = None
    points: Tensor | None = None
    owners: Tensor | None = None

    @property
    def kind(self) -> tuple[object, ...]:
        """Originals of equal kinds may be augmented together."""
        known = (
            self.boxes,
            self.box_labels,
            self.box_masks,
            self.objects,
            self.mask,
            self.points,
            self.owners,
        )
        return (self.image.shape, type(self.label), *(one is not None for one in known))


def read_target(target: Any, name: str) -> dict[str, Any]:
    """The fields of ``Original`` that follow from a target.

    Args:
        name: of the sample, for messages.

    Raises SourceError for keys or types that cannot be augmented.
    """
    if isinstance(target, Mapping):
        return {"target": target, **_of_mapping(target, name)}
    if _is_of_torchvision(target, "BoundingBoxes"):
        return {"target": target, "boxes": _corners(target)}
    if (mask := _as_mask(target)) is not None:
        return {"target": target, "mask": mask}
    return {"target": target, "label": _as_label(target)}


def _of_mapping(target: Mapping[str, Any], name: str) -> dict[str, Any]:
    unknown = [key for key in target if key not in KEYS]
    if unknown:
        raise SourceError(
            f"The target of {name} has {some([repr(key) for key in unknown])}, and it is not known what "
            f"becomes of that when the image moves. Known: {', '.join(KEYS)}. Leave the others out."
        )
    found: dict[str, Any] = {}
    if "label" in target:
        found["label"] = _as_label(target["label"])
    if "boxes" in target:
        found["boxes"] = _corners(target["boxes"])
        if "labels" in target:
            found["box_labels"] = torch.as_tensor(target["labels"], dtype=torch.int64)
        if "masks" in target:
            found["box_masks"] = torch.as_tensor(target["masks"]).as_subclass(Tensor) > 0
        if "objects" in target:
            found["objects"] = torch.as_tensor(target["objects"], dtype=torch.int64)
    if "mask" in target:
        found["mask"] = _as_mask(target["mask"])
        if found["mask"] is None:
            raise SourceError(f"The mask of {name} is no picture of integers [H, W].")
    if "points" in target:
        found["points"] = torch.as_tensor(target["points"], dtype=torch.float32).reshape(-1, 2)
        if "owners" in target:
            found["owners"] = torch.as_tensor(target["owners"], dtype=torch.int64)
    return found


def read_sample(sample: Sample) -> dict[str, Any]:
    """The fields of ``Original`` that follow from the objects and the mask of a sample, if any are known.

    The target is a mask alone, or a dictionary of ``KEYS``.
    """
    objects = sample.objects
    if objects is None:
        mask = None if sample.mask is None else torch.from_numpy(sample.mask)
        return {} if mask is None else {"target": mask, "mask": mask}
    known = {
        "boxes": objects.boxes,
        "labels": objects.labels,
        "masks": objects.masks,
        "objects": objects.numbers,
        "points": objects.points,
        "owners": objects.owners,
        "mask": sample.mask,
    }
    target = {key: torch.from_numpy(value) for key, value in known.items() if value is not None}
    return {"target": target, **_of_mapping(target, sample.origin)}


def write_target(original: Original, made: Samples, row: int) -> Any:
    """The target of one augmented sample, in the form that it was given in."""
    target = original.target
    if isinstance(target, Mapping):
        return {**target, **_written(original, made, row)}
    if original.boxes is not None:
        assert made.boxes is not None
        return made.boxes.corners[made.boxes.rows == row]
    if original.mask is not None:
        assert made.masks is not None
        return made.masks[row]
    return target if original.label is None else _label(made, row)


def _written(original: Original, made: Samples, row: int) -> dict[str, Any]:
    written: dict[str, Any] = {}
    if original.label is not None:
        written["label"] = _label(made, row)
    if made.boxes is not None:
        boxes = made.boxes.select(made.boxes.rows == row)
        of_boxes = {"boxes": boxes.corners, "labels": boxes.labels, "objects": boxes.objects}
        written |= {key: value for key, value in of_boxes.items() if value is not None}
        if boxes.masks is not None:
            given = original.target["masks"]
            written["masks"] = boxes.masks.to(given.dtype if isinstance(given, Tensor) else torch.bool)
    if made.masks is not None:
        written["mask"] = made.masks[row]
    if made.points is not None:
        points = made.points.select(made.points.rows == row)
        written["points"] = points.places
        if points.objects is not None:
            written["owners"] = points.objects
    return written


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
    boxes = points = None
    if first.boxes is not None:
        corners, rows = _ragged([one.boxes for one in originals])
        boxes = Boxes(
            corners,
            rows,
            _joined([one.box_labels for one in originals]),
            masks=_joined([one.box_masks for one in originals]),
            objects=_joined([one.objects for one in originals]),
        )
    if first.points is not None:
        places = _ragged([one.points for one in originals])
        points = Points(*places, _joined([one.owners for one in originals]))
    return Samples(
        torch.stack([one.image for one in originals]),
        tuple(one.id for one in originals),
        labels=labels,
        boxes=boxes,
        masks=None
        if first.mask is None
        else torch.stack([one.mask for one in originals if one.mask is not None]),
        points=points,
        classes=classes,
    )


def _joined(parts: list[Tensor | None]) -> Tensor | None:
    known = [part for part in parts if part is not None]
    return torch.cat(known) if known else None


def _ragged(parts: list[Tensor | None]) -> tuple[Tensor, Tensor]:
    """All of them, and int64 of which part each row is from."""
    known = [part for part in parts if part is not None]
    counts = torch.tensor([len(part) for part in known])
    return torch.cat(known), torch.repeat_interleave(torch.arange(len(known)), counts)


def _corners(boxes: Any) -> Tensor:
    if _is_of_torchvision(boxes, "BoundingBoxes"):
        from torchvision.transforms.v2.functional import convert_bounding_box_format

        boxes = convert_bounding_box_format(boxes, new_format="XYXY").as_subclass(Tensor)
    return torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4)


def _as_label(value: Any) -> int | Tensor | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, Tensor):
        if value.ndim == 0 and not value.is_floating_point() and value.dtype != torch.bool:
            return int(value)
        if value.ndim == 1 and value.is_floating_point():
            return value.to(torch.float32)
    return None


def _as_mask(value: Any) -> Tensor | None:
    if isinstance(value, Image.Image):
        value = np.asarray(value)
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value.copy())
    if _is_of_torchvision(value, "Mask"):
        value = value.as_subclass(Tensor)
        value = value[0] if value.ndim > _MATRIX and len(value) == 1 else value
    if not isinstance(value, Tensor) or value.ndim != _MATRIX:
        return None
    return None if value.is_floating_point() or value.dtype == torch.bool else value


def _is_of_torchvision(value: object, name: str) -> bool:
    """Whoever has such a value has loaded torchvision, which takes seconds; nobody else needs it."""
    loaded = sys.modules.get("torchvision.tv_tensors")
    return loaded is not None and isinstance(value, getattr(loaded, name))
