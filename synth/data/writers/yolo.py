"""YOLO: ``images``, ``labels`` and ``data.yaml``.

Where the source knows the pixels of objects, each is written as one outline along the edges of its pixels,
and a box as the outline of its corners, since readers take a file for one or the other. Otherwise all are
boxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import yaml

from synth.batch import Batch
from synth.data.detection.polygons import Polygons, joined, outlines_of
from synth.data.detection.yolo import CONFIG, IMAGES, LABELS
from synth.data.encode import Encoding
from synth.data.objects import Annotated, Annotation, Catalogue
from synth.data.writers.files import describe, flush, write_file
from synth.data.writers.manifest import DatasetFile
from synth.data.writers.objects import annotated, catalogue_of, own_mask
from synth.data.writers.staging import Header, ShardRecord, Staging

_HEAD = "data.yaml"


def write_shard(
    staging: Staging, number: int, batches: Sequence[Batch], encoding: Encoding
) -> tuple[list[DatasetFile], list[DatasetFile]]:
    """The images and labels of one shard; the head of ``data.yaml`` as a part."""
    catalogue = catalogue_of(batches)
    files = []
    for key, data, _, one in annotated(batches, encoding):
        files.append(write_file(staging.data, f"{IMAGES}/{key}.{encoding.suffix}", data))
        text = "".join(f"{line}\n" for line in _lines(one, catalogue))
        files.append(write_file(staging.data, f"{LABELS}/{key}.txt", text.encode()))
    names = {place: category.name for place, category in enumerate(catalogue.categories)}
    head = yaml.safe_dump({"train": IMAGES, "names": names}, sort_keys=False, allow_unicode=True)
    return files, [write_file(staging.parts, f"{number:06d}.{_HEAD}", head.encode())]


def finish(staging: Staging, header: Header, shards: Sequence[ShardRecord]) -> list[DatasetFile]:
    """``data.yaml``, without a part ``val``: augmented images are nothing to judge by."""
    head = (staging.parts / f"{shards[0].number:06d}.{_HEAD}").read_bytes()
    note = b"# Made by synth. Add val: a folder of real images that none of these was made from.\n"
    (staging.data / CONFIG).write_bytes(note + head)
    flush([staging.data / CONFIG])
    return [describe(staging.data, CONFIG)]


def _lines(one: Annotated, catalogue: Catalogue) -> Iterator[str]:
    objects = one.objects
    if objects is None:
        return
    height, width = one.size
    sides = np.array([width, height])
    for row, (number, label) in enumerate(
        zip(objects.numbers.tolist(), objects.labels.tolist(), strict=True)
    ):
        known = catalogue.annotations[number]
        if known.crowd:
            continue
        corners = known.box if one.unchanged[row] else objects.boxes[row].astype(np.float64)
        first, last = np.asarray(corners[:2]) / sides, np.asarray(corners[2:]) / sides
        values = np.concatenate([(first + last) / 2, last - first])
        if catalogue.has_pixels:
            mask, outline = own_mask(one, row), _outline(known, sides) if one.unchanged[row] else None
            if outline is not None:
                values = outline
            elif mask is not None:
                values = joined(outlines_of(mask)) / sides
            else:
                values = np.array([first, [last[0], first[1]], last, [first[0], last[1]]])
        yield " ".join([str(label), *(f"{value:.8g}" for value in values.reshape(-1).tolist())])


def _outline(one: Annotation, sides: np.ndarray) -> np.ndarray | None:
    """float64 [P, 2], shares of the sides, where an object has one outline, all inside of the image."""
    if not isinstance(one.shape, Polygons) or len(one.shape.outlines) != 1:
        return None
    shares = one.shape.outlines[0] / sides
    return shares if ((shares >= 0) & (shares <= 1)).all() else None
