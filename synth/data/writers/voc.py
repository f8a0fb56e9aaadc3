"""Pascal VOC: ``JPEGImages``, ``Annotations``, and pictures of the class and the object of each pixel.

Coordinates are whole pixels that count from 1, the last of which is inside. An object that was cut off is
truncated. A picture of objects has one for each pixel: where they overlap, the smaller is shown.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

import numpy as np

from synth.batch import Batch
from synth.data.detection.pictures import with_palette
from synth.data.detection.voc import ANNOTATIONS, CLASSES, IMAGES, INSTANCES
from synth.data.encode import Encoding
from synth.data.objects import Annotated, Catalogue
from synth.data.writers.files import write_file
from synth.data.writers.manifest import DatasetFile
from synth.data.writers.objects import annotated, catalogue_of, own_mask
from synth.data.writers.staging import Header, ShardRecord, Staging

_WHOLE = 0.999
"""Share of an object from which on nothing of it counts as cut off."""


def write_shard(
    staging: Staging, number: int, batches: Sequence[Batch], encoding: Encoding
) -> tuple[list[DatasetFile], list[DatasetFile]]:
    """All files of the images of one shard."""
    catalogue = catalogue_of(batches)
    files = []
    for batch in batches:
        depth = batch.images.shape[1]
        for key, data, record, one in annotated([batch], encoding):
            name = f"{key}.{encoding.suffix}"
            files.append(write_file(staging.data, f"{IMAGES}/{name}", data))
            pictures = dict(_pictures(one))
            text = _document(name, record["seed"], one, catalogue, depth, segmented=bool(pictures))
            files.append(write_file(staging.data, f"{ANNOTATIONS}/{key}.xml", text.encode()))
            for folder, values in pictures.items():
                files.append(write_file(staging.data, f"{folder}/{key}.png", _encoded(values)))
    return files, []


def finish(staging: Staging, header: Header, shards: Sequence[ShardRecord]) -> list[DatasetFile]:
    """Nothing: each image has its own files."""
    return []


def _document(
    name: str, seed: int, one: Annotated, catalogue: Catalogue, depth: int, *, segmented: bool
) -> str:
    height, width = one.size
    origin = escape(f"{one.record.origin}, seed {seed}, copy {one.copy}")
    return "".join(
        [
            "<annotation>\n",
            f"\t<folder>{IMAGES}</folder>\n\t<filename>{name}</filename>\n",
            f"\t<source>\n\t\t<database>synth</database>\n\t\t<image>{origin}</image>\n\t</source>\n",
            f"\t<size>\n\t\t<width>{width}</width>\n\t\t<height>{height}</height>\n"
            f"\t\t<depth>{depth}</depth>\n\t</size>\n",
            f"\t<segmented>{int(segmented)}</segmented>\n",
            *_objects(one, catalogue),
            "</annotation>\n",
        ]
    )


def _objects(one: Annotated, catalogue: Catalogue) -> Iterator[str]:
    if one.objects is None:
        return
    for row, (number, label) in enumerate(
        zip(one.objects.numbers.tolist(), one.objects.labels.tolist(), strict=True)
    ):
        known = catalogue.annotations[number]
        corners = known.box if one.unchanged[row] else one.objects.boxes[row].tolist()
        box = _pixels(corners)
        ends = "".join(
            f"\t\t\t<{end}>{value}</{end}>\n"
            for end, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        )
        yield (
            f"\t<object>\n\t\t<name>{escape(catalogue.categories[label].name)}</name>\n"
            f"\t\t<pose>{escape(known.pose or 'Unspecified')}</pose>\n"
            f"\t\t<truncated>{int(known.truncated or one.visible[row] < _WHOLE)}</truncated>\n"
            f"\t\t<difficult>{int(known.difficult or known.crowd)}</difficult>\n"
            f"\t\t<bndbox>\n{ends}\t\t</bndbox>\n\t</object>\n"
        )


def _pixels(corners: Sequence[float]) -> tuple[int, int, int, int]:
    """The first and last columns and rows of a box, which count from 1, as xmin, ymin, xmax, ymax."""
    first = [
        min(round(begin), math.ceil(end) - 1) for begin, end in zip(corners[:2], corners[2:], strict=True)
    ]
    last = [max(round(end), begin + 1) for begin, end in zip(first, corners[2:], strict=True)]
    return first[0] + 1, first[1] + 1, last[0], last[1]


def _pictures(one: Annotated) -> Iterator[tuple[str, np.ndarray]]:
    """Of the classes, as in the source or counted from 1 in the order of the categories, and of objects."""
    masks = None if one.objects is None else [own_mask(one, row) for row in range(len(one.objects))]
    known = [(row, mask) for row, mask in enumerate(masks or ()) if mask is not None]
    objects = np.zeros(one.size, dtype=np.int64)
    for row, mask in sorted(known, key=lambda pair: -int(pair[1].sum())):
        objects[mask] = row + 1
    if one.mask is not None:
        yield CLASSES, one.mask
    elif known and one.objects is not None:
        yield CLASSES, np.concatenate([[0], one.objects.labels + 1])[objects]
    if known:
        yield INSTANCES, objects


def _encoded(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    with_palette(values).save(buffer, format="PNG")
    return buffer.getvalue()
