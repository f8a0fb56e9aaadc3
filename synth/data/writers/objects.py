"""What the formats with objects share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from synth.batch import Batch
from synth.data.encode import Encoding
from synth.data.objects import Annotated, Catalogue
from synth.data.provenance import png_texts, sample_key, sample_records
from synth.errors import ConfigError, UsageError
from synth.text import plural

Record = dict[str, Any]


def annotated(batches: Sequence[Batch], encoding: Encoding) -> Iterator[tuple[str, bytes, Record, Annotated]]:
    """Key, encoded image, record and annotations of each sample.

    Raises UsageError for samples of which no objects or masks are known.
    """
    for batch in batches:
        if batch.annotations is None:
            raise UsageError(
                "These images have no objects or masks to write. Use imagefolder, webdataset or npz."
            )
        encoded = encoding.encode(batch.numpy(), png_texts(batch))
        for data, record, one in zip(encoded, sample_records(batch), batch.annotations, strict=True):
            yield sample_key(record["index"]), data, record, one


def catalogue_of(batches: Sequence[Batch]) -> Catalogue:
    """That of the source, which all batches share."""
    catalogue = batches[0].catalogue
    if catalogue is None:
        raise UsageError("These images have no objects or masks to write.")
    return catalogue


def own_mask(one: Annotated, row: int) -> np.ndarray | None:
    """bool [H, W], the pixels of an object; None where they are not known."""
    masks = None if one.objects is None else one.objects.masks
    return masks[row] if masks is not None and masks[row].any() else None


def check_layout(catalogue: Catalogue, layout: str) -> None:
    """Raise ConfigError where a data set has nothing to write in this layout."""
    if layout == "masks" and not all(one.mask is not None for one in catalogue.images):
        raise ConfigError(
            "The format masks needs the class of each pixel of all images: use coco, voc or yolo."
        )
    if layout in ("coco", "yolo") and not catalogue.categories:
        raise ConfigError(f"The format {layout} holds objects, and the source has none: use masks or voc.")


def losses(catalogue: Catalogue, layout: str) -> list[str]:
    """What is known in the source that this layout has no place for, as phrases for notes."""
    found = []
    flags = [one for one in catalogue.annotations if one.difficult or one.truncated or one.pose]
    crowds = sum(one.crowd for one in catalogue.annotations)
    points = sum(bool(one.keypoints) for one in catalogue.annotations)
    if catalogue.has_masks and layout in ("coco", "yolo"):
        found.append(f"the classes of pixels are left out, as {layout} has no place for them: voc has")
    if points and layout != "coco":
        found.append(f"the keypoints of {plural(points, 'object')} are left out: coco keeps them")
    if crowds and layout == "yolo":
        found.append(f"{plural(crowds, 'crowd')} {_is(crowds)} left out: coco keeps them")
    if crowds and layout == "voc":
        found.append(f"{plural(crowds, 'crowd')} {_is(crowds)} marked as difficult")
    if flags and layout == "yolo":
        found.append(
            f"what is said of {plural(len(flags), 'object')} (difficult, truncated, pose) is left out"
        )
    if catalogue.categories and layout == "masks":
        found.append("boxes are left out: coco, voc and yolo keep them")
    return found


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
