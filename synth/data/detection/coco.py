"""COCO: one JSON file of images, categories and annotations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from synth.data.decode import check_size, picture_size
from synth.data.detection.faults import FaultError, Faults, is_inside, is_number
from synth.data.detection.files import check_name, is_there
from synth.data.detection.polygons import Polygons
from synth.data.detection.rle import read_runs
from synth.data.detection.source import AnnotatedSource
from synth.data.files import ImageFile
from synth.data.objects import Annotation, Catalogue, Category, ImageRecord, Shape
from synth.errors import SourceError
from synth.text import some

HALF = 0.5
"""What is added to COCO's keypoints, which count pixels: the middle of pixel 0 lies at 0.5."""
_KNOWN = frozenset({"id", "image_id", "category_id", "bbox", "area", "segmentation", "iscrowd"})
_KNOWN |= {"keypoints", "num_keypoints", "difficult", "truncated", "pose"}
_OF_IMAGES = ("license", "coco_url", "flickr_url", "date_captured")
_BIGGEST = 2**53
_FARTHEST = 2**24
"""Pixels that a corner of a polygon may be away."""


def coco_file(folder: Path) -> Path | None:
    """The annotations of a folder as COCO, Roboflow or synth lays it out; SourceError for several."""
    named = [folder / "instances.json", folder / "_annotations.coco.json"]
    found = [path for path in named if path.is_file()]
    found = found or sorted((folder / "annotations").glob("instances*.json"))
    if len(found) > 1:
        raise SourceError(
            f"{folder} holds several files of annotations ({some([path.name for path in found])}). Name one, "
            f"for example {found[0]}."
        )
    return found[0] if found else None


def open_coco(path: Path, *, spec: str, skip_unreadable: bool = False) -> AnnotatedSource:
    """The images that a JSON file of COCO names, in its order.

    They lie beside the file, in ``images`` there or a level higher, or in the folder that the file is named
    after (``annotations/instances_val2017.json``: ``val2017``).

    Raises SourceError for a file that is none, and for entries that cannot be used, all at once (``Faults``).
    """
    content = _load(path)
    faults = Faults(path, skip=skip_unreadable)
    categories = _categories(content, faults)
    images, files = _images(content, path, faults)
    annotations = list(_annotations(content, categories, images, faults))
    licenses = tuple(one for one in _list(content, "licenses", faults, least=0) if isinstance(one, dict))
    catalogue = Catalogue(
        "coco", tuple(categories.values()), tuple(images.values()), tuple(annotations), licenses
    )
    return faults.source(spec, catalogue, files, nothing=f"{path} names no image that can be used.")


def _load(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise SourceError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is not JSON ({error}).") from None
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= content.keys():
        raise SourceError(
            f"{path} is no file of COCO annotations: that is an object with the lists 'images', "
            "'annotations' and 'categories'."
        )
    return content


def _list(content: Mapping[str, Any], name: str, faults: Faults, least: int = 1) -> list[Any]:
    found = content.get(name)
    found = [] if found is None else found
    if not isinstance(found, list) or len(found) < least:
        raise faults.unsafe(name, f"must be a list of {least} or more")
    return found


def _entries(content: Mapping[str, Any], name: str, faults: Faults) -> Iterator[tuple[str, dict[str, Any]]]:
    """What to call each entry of a list, and the entry; ids are there once each."""
    seen = set()
    singular = {"images": "image", "annotations": "annotation", "categories": "category"}[name]
    for place, entry in enumerate(_list(content, name, faults, least=0 if name == "annotations" else 1)):
        number = entry.get("id") if isinstance(entry, dict) else None
        if type(number) is not int or not 0 <= number < _BIGGEST:
            faults.add(f"{name}[{place}]", "has no 'id', a whole number from 0")
        elif number in seen:
            if name != "annotations":
                raise faults.unsafe(f"{singular} {number}", "is there twice: nobody can tell which is meant")
            faults.add(f"{singular} {number}", "is there twice")
        else:
            seen.add(number)
            yield f"{singular} {number}", entry


def _categories(content: Mapping[str, Any], faults: Faults) -> dict[int, Category]:
    found: dict[int, Category] = {}
    names = set()
    for called, entry in _entries(content, "categories", faults):
        name, points = entry.get("name"), entry.get("keypoints", [])
        if not isinstance(name, str) or not name.strip() or not name.isprintable() or name in names:
            raise faults.unsafe(called, f"has the name {name!r:.80}, which cannot be read, or is there twice")
        if not isinstance(points, list) or not all(isinstance(one, str) for one in points):
            raise faults.unsafe(called, "has keypoints that are no list of names")
        names.add(name)
        skeleton = entry.get("skeleton", [])
        lines = (
            tuple(tuple(one) for one in skeleton if isinstance(one, list))
            if isinstance(skeleton, list)
            else ()
        )
        parent = entry.get("supercategory")
        found[entry["id"]] = Category(
            name, entry["id"], parent if isinstance(parent, str) else "", tuple(points), lines
        )
    return found


def _images(
    content: Mapping[str, Any], path: Path, faults: Faults
) -> tuple[dict[int, ImageRecord], list[ImageFile]]:
    records: dict[int, ImageRecord] = {}
    files: list[ImageFile] = []
    names: dict[str, int] = {}
    root: Path | None = None
    for called, entry in _entries(content, "images", faults):
        name = entry.get("file_name")
        if not isinstance(name, str) or not is_inside(name):
            raise faults.unsafe(
                called, f"has the file name {name!r:.80}, which does not lie in the images' folder"
            )
        called = f"{called} ({name})"
        if name in names:
            faults.add(called, f"is listed before, as image {names[name]}")
            continue
        names[name] = entry["id"]
        root = root or next((one for one in _roots(path) if is_there(one / name)), None)
        if root is None or not is_there(root / name):
            faults.add(
                called,
                f"is not on the disk (looked in {some([*map(str, [root] if root else _roots(path))])})",
            )
            continue
        with faults.of(called):
            check_name(name)
            size = _size(entry, root / name)
            more = {key: entry[key] for key in _OF_IMAGES if key in entry}
            records[entry["id"]] = ImageRecord(name, entry["id"], *size, more=more)
            files.append(ImageFile(name, root / name, None))
    return records, files


def _roots(path: Path) -> list[Path]:
    """Where images may lie, the likeliest first."""
    here, above = path.parent, path.parent.parent
    part = re.sub(r"^(instances|person_keypoints|captions)_", "", path.stem)
    return [here / "images", here, above / "images", above / part, above / "images" / part, above]


def _size(entry: Mapping[str, Any], file: Path) -> tuple[int, int]:
    """Height and width, from the file's header where the entry has none."""
    if "height" not in entry and "width" not in entry:
        return picture_size(file)
    height, width = entry.get("height"), entry.get("width")
    if type(height) is not int or type(width) is not int or height < 1 or width < 1:
        raise FaultError(f"has the size {width!r:.20} x {height!r:.20} (width x height)")
    check_size(width, height)
    return height, width


def _annotations(
    content: Mapping[str, Any],
    categories: Mapping[int, Category],
    images: Mapping[int, ImageRecord],
    faults: Faults,
) -> Iterator[Annotation]:
    places = {number: place for place, number in enumerate(images)}
    labels = {number: place for place, number in enumerate(categories)}
    listed = {one["id"] for one in content["images"] if isinstance(one, dict) and type(one.get("id")) is int}
    for called, entry in _entries(content, "annotations", faults):
        image, category = entry.get("image_id"), entry.get("category_id")
        if type(image) is not int or image not in listed:
            faults.add(called, f"is of the image {image!r:.40}, which is not in 'images'")
        elif image not in images:
            faults.mend(called, "annotations of images that are left out are, too")
        elif type(category) is not int or category not in categories:
            faults.add(called, f"has the category {category!r:.40}, which is not in 'categories'")
        else:
            for key in entry.keys() - _KNOWN:
                faults.mend(called, f"annotations have a {key!r}, which is not carried on")
            with faults.of(called):
                one = _annotation(called, entry, images[image], categories[category], faults)
                if one is not None:
                    yield replace(one, image=places[image], label=labels[category])


def _annotation(
    called: str, entry: Mapping[str, Any], image: ImageRecord, category: Category, faults: Faults
) -> Annotation | None:
    """None, and a note, for a box without area."""
    given = entry.get("bbox")
    if not isinstance(given, list) or len(given) != 4 or not all(map(is_number, given)):
        raise FaultError(f"has the bbox {given!r:.60}, not four numbers: left, top, width, height")
    left, top, width, height = given
    if width < 0 or height < 0:
        raise FaultError(f"has a bbox of negative size, {width:g} x {height:g}")
    shape = _shape(entry.get("segmentation"), image)
    points = _keypoints(entry.get("keypoints"), image, category)
    box = faults.box(called, (left, top, left + width, top + height), image.height, image.width)
    if box is None:
        return None
    return Annotation(
        0,
        entry["id"],
        0,
        box,
        shape,
        keypoints=points,
        crowd=bool(entry.get("iscrowd")),
        # As Pascal VOC has them, and as synth writes them.
        difficult=bool(entry.get("difficult")),
        truncated=bool(entry.get("truncated")),
        pose=pose if isinstance(pose := entry.get("pose"), str) else "",
        area=float(entry["area"]) if is_number(entry.get("area")) else None,
    )


def _shape(segmentation: object, image: ImageRecord) -> Shape | None:
    if segmentation is None or segmentation == []:
        return None
    if isinstance(segmentation, dict):
        return read_runs(segmentation, image.height, image.width)
    if not isinstance(segmentation, list):
        raise FaultError("has a segmentation that is neither a list of polygons nor runs")
    outlines = []
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) % 2 or not all(map(is_number, polygon)):
            raise FaultError("has a polygon that is not x, y, x, y and so on")
        if len(polygon) < 6:
            raise FaultError("has a polygon of fewer than three corners")
        if max(map(abs, polygon)) > _FARTHEST:
            raise FaultError(f"has a polygon that is far outside of its image, at {max(polygon, key=abs):g}")
        outlines.append(np.asarray(polygon, dtype=np.float64).reshape(-1, 2))
    return Polygons(tuple(outlines))


def _keypoints(
    values: object, image: ImageRecord, category: Category
) -> tuple[tuple[float, float, int], ...]:
    if values is None or values == []:
        return ()
    if not isinstance(values, list) or len(values) % 3 or not all(map(is_number, values)):
        raise FaultError("has keypoints that are not x, y, visibility and so on")
    if category.keypoints and len(values) != 3 * len(category.keypoints):
        raise FaultError(f"has {len(values) // 3} keypoints, and its category {len(category.keypoints)}")
    points = []
    for x, y, seen in zip(values[::3], values[1::3], values[2::3], strict=True):
        if seen not in (0, 1, 2):
            raise FaultError(f"has a keypoint of the visibility {seen:g}, which is 0, 1 or 2")
        if seen and not (0 <= x + HALF <= image.width and 0 <= y + HALF <= image.height):
            raise FaultError(f"has a keypoint outside of its image, at {x:g}, {y:g}")
        points.append((x + HALF, y + HALF, int(seen)))
    return tuple(points)
