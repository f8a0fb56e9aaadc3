"""YOLO: a text file of each image, a line for each object, all lengths as shares of the image's.

``CLASS X Y WIDTH HEIGHT`` is a box by its middle, ``CLASS X Y X Y X Y ...`` an outline. ``data.yaml`` names
the classes and the folders of each part; the labels of ``images/a/b.jpg`` are ``labels/a/b.txt``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from synth.data.decode import picture_size
from synth.data.detection.faults import FaultError, Faults
from synth.data.detection.files import check_name, is_picture
from synth.data.detection.polygons import Polygons
from synth.data.detection.source import AnnotatedSource
from synth.data.files import ImageFile
from synth.data.objects import Annotation, Catalogue, Category, ImageRecord
from synth.errors import NotFoundError, SourceError
from synth.text import closest, plural, some

CONFIG = "data.yaml"
IMAGES, LABELS = "images", "labels"
_CLASSES = "classes.txt"
_PARTS = ("train", "val", "test")
_SLACK = 0.01
"""Share of a side by which outlines may leave the image, as those do that are drawn by hand."""
_MOST_BYTES = 2**26


def is_yolo(folder: Path) -> bool:
    """Whether it holds ``data.yaml``, or ``images`` and ``labels`` with text files."""
    if (folder / CONFIG).is_file():
        return True
    labels = folder / LABELS
    return (folder / IMAGES).is_dir() and labels.is_dir() and next(labels.rglob("*.txt"), None) is not None


def open_yolo(
    folder: Path, *, spec: str, part: str | None = None, skip_unreadable: bool = False
) -> AnnotatedSource:
    """The images of a part (``train`` where none is named), by path.

    Raises SourceError for entries that cannot be used (see ``Faults``), all at once; NotFoundError for a part
    that is not there.
    """
    faults = Faults(folder, skip=skip_unreadable)
    config = _config(folder)
    names = _names(config, folder)
    chosen, notes = _part(config, folder, part)
    images: list[ImageRecord] = []
    files: list[ImageFile] = []
    annotations: list[Annotation] = []
    bare = 0
    for path in _pictures(chosen, folder, faults):
        origin = path.relative_to(folder).as_posix()
        labels = folder / _labels_of(origin)
        with faults.of(origin):
            check_name(origin)
            height, width = picture_size(path)
            place = len(images)
            images.append(ImageRecord(origin, place + 1, height, width))
            files.append(ImageFile(origin, path, None))
            bare += not labels.is_file()
            for one in _objects(labels, folder, place, (height, width), len(names), faults):
                # Numbered here, since files do not know of each other.
                annotations.append(replace(one, id=len(annotations) + 1))
    if bare:
        notes.append(f"{plural(bare, 'image')} without a file of labels: no objects in them")
    catalogue = Catalogue(
        "yolo",
        tuple(Category(name, number) for number, name in enumerate(names)),
        tuple(images),
        tuple(annotations),
    )
    nothing = f"{folder} holds no image that can be used in {some([str(one) for one in chosen])}."
    return faults.source(spec, catalogue, files, notes, nothing=nothing)


def _config(folder: Path) -> Mapping[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SourceError(f"{path} cannot be read as YAML ({error}).") from None
    if not isinstance(content, dict):
        raise SourceError(f"{path} must map 'names' to the classes, and 'train' to a folder of images.")
    if "kpt_shape" in content:
        raise SourceError(f"{path} is of keypoints ('kpt_shape'), which are read from COCO only.")
    return content


def _names(config: Mapping[str, Any], folder: Path) -> list[str]:
    """The classes in the order of their numbers."""
    found = config.get("names")
    for path in (folder / _CLASSES, folder / LABELS / _CLASSES):
        if found is None and path.is_file():
            lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
            found = [line.strip() for line in lines if line.strip()]
    if isinstance(found, dict):
        if sorted(found, key=str) != sorted(range(len(found)), key=str):
            raise SourceError(f"{folder / CONFIG}: the names' numbers are not 0 to {len(found) - 1}.")
        found = [found[number] for number in range(len(found))]
    # YAML reads a class called 7, or no, as another type.
    names = [str(name) for name in found] if isinstance(found, list) else []
    if not names or len(set(names)) < len(names):
        raise SourceError(
            f"{folder}: the classes have no names, or two the same one. Give {CONFIG} 'names', a list of "
            "the classes in the order of their numbers."
        )
    if config.get("nc", len(names)) != len(names):
        raise SourceError(f"{folder / CONFIG}: 'nc' is {config['nc']!r}, and there are {len(names)} names.")
    return names


def _part(config: Mapping[str, Any], folder: Path, part: str | None) -> tuple[list[Path], list[str]]:
    """The folders of a part, or lists of images, and notes."""
    parts = [name for name in _PARTS if config.get(name)]
    if not parts:
        if part is not None:
            raise NotFoundError(f"{folder}: there is no part {part!r}, as no {CONFIG} names any.")
        return [folder / IMAGES], []
    chosen = part or parts[0]
    if chosen not in parts:
        raise NotFoundError(
            f"{folder}: there is no part {part!r}{closest(chosen, parts)}. Parts: {some(parts)}."
        )
    entries = config[chosen] if isinstance(config[chosen], list) else [config[chosen]]
    try:
        places = [_place(entry, config.get("path"), folder) for entry in entries]
    except FaultError as error:
        raise SourceError(f"{folder / CONFIG} {error}.") from None
    others = [name for name in parts if name != chosen and config[name] != config[chosen]]
    hint = ", ".join(f"{folder}:{name}" for name in others)
    return places, [] if part or not others else [f"part {chosen} alone; there are {hint} as well"]


def _place(entry: object, path: object, folder: Path) -> Path:
    """Where a folder, list or image lies that is named, inside of the data set; FaultError where it does not.

    What lies behind a symbolic link is called as the link says, since its labels are looked for by that name.
    """
    bare = PurePosixPath(str(entry))
    # Exported files say ../train/images, as from a folder that nobody else has.
    steps = [step for step in bare.parts if step not in ("..", "/")]
    heads = [folder / str(path)] if isinstance(path, str) else []
    root, home = folder.resolve(), os.path.normpath(folder)
    reason = "is not there"
    for head in (*heads, folder):
        for found in (head / bare, head.joinpath(*steps)):
            try:
                real = found.resolve(strict=True)
            except (OSError, RuntimeError, ValueError):  # not there, a link to itself, no name of a file
                continue
            named = Path(os.path.normpath(found))
            within = named.is_relative_to(home) and named.resolve() == real
            if real.is_relative_to(root):
                return folder / (named.relative_to(home) if within else real.relative_to(root))
            reason = f"is a link that leads out of {folder}" if within else f"does not lie in {folder}"
    raise FaultError(f"names {str(entry)!r:.80}, which {reason}")


def _pictures(places: list[Path], folder: Path, faults: Faults) -> list[Path]:
    found: set[Path] = set()
    for place in places:
        if place.is_file():
            found.update(_listed(place, folder, faults))
        else:
            found.update(filter(is_picture, place.rglob("*")))
    return sorted(found)


def _listed(file: Path, folder: Path, faults: Faults) -> Iterator[Path]:
    """The images that a list names, one a line."""
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            with faults.of(f"{file.relative_to(folder).as_posix()}:{number}"):
                path = _place(line.strip(), None, folder)
                if not path.is_file():
                    raise FaultError(f"names {line.strip()!r:.80}, which is no file")
                yield path


def _labels_of(origin: str) -> PurePosixPath:
    """``a/labels/b.txt`` of ``a/images/b.jpg``."""
    parts = list(PurePosixPath(origin).with_suffix(".txt").parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == IMAGES:
            parts[place] = LABELS
            break
    return PurePosixPath(*parts)


def _objects(
    path: Path, folder: Path, image: int, size: tuple[int, int], count: int, faults: Faults
) -> Iterator[Annotation]:
    if not path.is_file():
        return
    called = path.relative_to(folder).as_posix()
    if path.stat().st_size > _MOST_BYTES:
        raise FaultError(f"has labels of more than {_MOST_BYTES // 2**20} MiB ({called})")
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            entry = f"{called}:{number}"
            with faults.of(entry):
                label, values = _line(line, count)
                shape = None
                if len(values) == 4:
                    middle, half = values[:2], values[2:] / 2
                    ends = np.concatenate([middle - half, middle + half])
                else:
                    outline = values.reshape(-1, 2) * [size[1], size[0]]
                    shape = Polygons((outline,))
                    ends = np.concatenate([values.reshape(-1, 2).min(0), values.reshape(-1, 2).max(0)])
                left, top, right, bottom = (ends * [size[1], size[0], size[1], size[0]]).tolist()
                box = faults.box(entry, (left, top, right, bottom), *size)
                if box is not None:
                    yield Annotation(image, 0, label, box, shape)


def _line(line: str, count: int) -> tuple[int, np.ndarray]:
    """Class number and shares, float64."""
    words = line.split()
    try:
        label = int(words[0])
        values = np.asarray([float(word) for word in words[1:]])
    except ValueError:
        raise FaultError(f"is not a class and numbers ({line.strip():.60})") from None
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        raise FaultError(f"has {len(values)} numbers: a box has 4, an outline 6, 8, 10 and so on")
    if not 0 <= label < count:
        raise FaultError(f"has the class {label}; there are 0 to {count - 1}")
    if len(values) == 4 and (values[2:] < 0).any():
        raise FaultError("has a box of negative size")
    if not ((values >= -_SLACK) & (values <= 1 + _SLACK)).all():
        raise FaultError(f"has numbers that are no shares of 0 to 1 ({line.strip():.60})")
    return label, values
