"""``instances.json``, as COCO lays it out, and ``images``.

Ids are those of the source: copy k of an image or annotation has the source's id, plus k times one more than
the largest. Objects that mixing brought from elsewhere get ids after all of those. Where an object did not
change, its segmentation and area are written as they were; otherwise the segmentation is its pixels as runs,
and the area their number.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from synth import __version__
from synth.batch import Batch
from synth.data.detection.coco import HALF
from synth.data.detection.rle import runs_of
from synth.data.encode import Encoding
from synth.data.objects import Annotated, Catalogue, Category
from synth.data.writers.files import describe, flush, write_file
from synth.data.writers.manifest import DatasetFile
from synth.data.writers.objects import annotated, catalogue_of, own_mask
from synth.data.writers.staging import Header, ShardRecord, Staging

FILE = "instances.json"
_HEAD, _IMAGES, _ANNOTATIONS = "head.json", "images.jsonl", "annotations.jsonl"
_DIGITS = 3
"""Of lengths in pixels: more than float32 knows of large images."""


def write_shard(
    staging: Staging, number: int, batches: Sequence[Batch], encoding: Encoding
) -> tuple[list[DatasetFile], list[DatasetFile]]:
    """The images of one shard, and the lines of its images and annotations as parts."""
    catalogue = catalogue_of(batches)
    files, images, annotations = [], [], []
    for key, data, record, one in annotated(batches, encoding):
        name = f"{key}.{encoding.suffix}"
        files.append(write_file(staging.data, f"images/{name}", data))
        image = one.record.id + one.copy * catalogue.image_ids
        height, width = one.size
        about = {"id": image, "file_name": name, "height": height, "width": width, **one.record.more}
        images.append(_line({**about, "source": one.record.origin, "synth": record}))
        annotations += [_line(entry) for entry in _annotations(one, image, catalogue)]
    head = _line(
        {
            "info": {"description": "Made by synth", "version": __version__},
            "licenses": [dict(one) for one in catalogue.licenses],
            "categories": [_category(one) for one in catalogue.categories],
            "next": _copies(batches) * catalogue.annotation_ids,
        }
    )
    parts = ((_HEAD, head), (_IMAGES, "".join(images)), (_ANNOTATIONS, "".join(annotations)))
    return files, [write_file(staging.parts, f"{number:06d}.{name}", text.encode()) for name, text in parts]


def finish(staging: Staging, header: Header, shards: Sequence[ShardRecord]) -> list[DatasetFile]:
    """``instances.json``."""
    head = json.loads((staging.parts / f"{shards[0].number:06d}.{_HEAD}").read_bytes())
    free = head.pop("next")
    with open(staging.data / FILE, "w", encoding="utf-8") as joined:
        joined.write(json.dumps(head, ensure_ascii=False)[:-1])
        for name, key in ((_IMAGES, "images"), (_ANNOTATIONS, "annotations")):
            joined.write(f',\n"{key}": [')
            for place, line in enumerate(_lines(staging, shards, name)):
                entry = json.loads(line)
                if entry["id"] is None:
                    entry["id"], free = free, free + 1
                    line = _line(entry)
                joined.write((",\n" if place else "\n") + line.rstrip("\n"))
            joined.write("\n]")
        joined.write("}\n")
    flush([staging.data / FILE])
    return [describe(staging.data, FILE)]


def _lines(staging: Staging, shards: Sequence[ShardRecord], name: str) -> Iterator[str]:
    for shard in shards:
        with open(staging.parts / f"{shard.number:06d}.{name}", encoding="utf-8") as part:
            yield from part


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"


def _copies(batches: Sequence[Batch]) -> int:
    return int((batches[0].parameters or {}).get("copies", 1))


def _category(one: Category) -> dict[str, Any]:
    found: dict[str, Any] = {"id": one.id, "name": one.name, "supercategory": one.supercategory}
    if one.keypoints:
        found |= {"keypoints": list(one.keypoints), "skeleton": [list(line) for line in one.skeleton]}
    return found


def _annotations(one: Annotated, image: int, catalogue: Catalogue) -> Iterator[dict[str, Any]]:
    objects = one.objects
    if objects is None:
        return
    own = set(catalogue.by_image[catalogue.places[one.record.origin]])
    points = _points(one)
    for row, (number, label) in enumerate(
        zip(objects.numbers.tolist(), objects.labels.tolist(), strict=True)
    ):
        known = catalogue.annotations[number]
        same, mask = bool(one.unchanged[row]), own_mask(one, row)
        left, top, right, bottom = known.box if same else map(float, objects.boxes[row])
        digits = 2 * _DIGITS if same else _DIGITS
        entry: dict[str, Any] = {
            # Pasted a second time, it is another object.
            "id": known.id + one.copy * catalogue.annotation_ids if number in own else None,
            "image_id": image,
            "category_id": catalogue.categories[label].id,
            "bbox": [round(value, digits) for value in (left, top, right - left, bottom - top)],
            "area": round((right - left) * (bottom - top), digits) if mask is None else int(mask.sum()),
            "segmentation": [] if mask is None else runs_of(mask).plain(),
            "iscrowd": int(known.crowd),
        }
        own.discard(number)
        if same and known.shape is not None:
            entry["segmentation"] = known.shape.plain()
        if same and known.area is not None:
            entry["area"] = known.area
        if known.keypoints:
            entry |= _keypoints(points.get(row, []), len(known.keypoints))
        entry |= {name: 1 for name in ("difficult", "truncated") if getattr(known, name)}
        entry |= {"pose": known.pose} if known.pose else {}
        yield entry


_Point = tuple[int, float, float, int]
"""Kind, x, y, and visibility."""


def _points(one: Annotated) -> dict[int, list[_Point]]:
    """By the place of their object."""
    found: dict[int, list[_Point]] = {}
    points = None if one.objects is None else one.objects.points
    if points is not None:
        rows = zip(
            one.owners.tolist(),
            points.kinds.tolist(),
            points.places.tolist(),
            points.seen.tolist(),
            strict=True,
        )
        for owner, kind, (x, y), seen in rows:
            found.setdefault(owner, []).append((kind, x, y, seen))
    return found


def _keypoints(points: list[_Point], count: int) -> dict[str, Any]:
    """Those of an object by their kinds."""
    values: list[float] = [0] * (3 * count)
    for kind, x, y, seen in points:
        values[3 * kind : 3 * kind + 3] = [round(x - HALF, _DIGITS), round(y - HALF, _DIGITS), seen]
    return {"keypoints": values, "num_keypoints": sum(seen > 0 for seen in values[2::3])}
