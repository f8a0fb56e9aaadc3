"""Pascal VOC: an XML file of each image, and pictures of the class and the object of each pixel.

Coordinates count pixels from 1, and the last is part of the box: 1 to 1 is one pixel wide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from synth.data.decode import check_size, picture_size
from synth.data.detection.faults import FaultError, Faults, is_inside
from synth.data.detection.files import check_name, is_picture, is_there
from synth.data.detection.source import AnnotatedSource
from synth.data.files import ImageFile
from synth.data.objects import Annotation, Catalogue, Category, Corners, ImageRecord
from synth.errors import NotFoundError
from synth.text import closest, plural, some

ANNOTATIONS, IMAGES, SETS = "Annotations", "JPEGImages", "ImageSets/Main"
CLASSES, INSTANCES = "SegmentationClass", "SegmentationObject"
_MOST_BYTES = 2**24


def is_voc(folder: Path) -> bool:
    """Whether it holds ``Annotations`` and ``JPEGImages``."""
    return (folder / ANNOTATIONS).is_dir() and (folder / IMAGES).is_dir()


def open_voc(
    folder: Path, *, spec: str, part: str | None = None, skip_unreadable: bool = False
) -> AnnotatedSource:
    """The annotated images of a folder, by name; those of ``ImageSets/Main/PART.txt`` where a part is named.

    Raises SourceError for entries that cannot be used (see ``Faults``), all at once; NotFoundError for a part
    that is not there.
    """
    faults = Faults(folder, skip=skip_unreadable)
    pictures: dict[str, list[Path]] = {}
    for path in sorted(filter(is_picture, (folder / IMAGES).iterdir())):
        pictures.setdefault(path.stem, []).append(path)
    everything = sorted(path.stem for path in (folder / ANNOTATIONS).glob("*.xml"))
    stems = everything if part is None else _of_part(folder, part, everything, faults)
    images: list[ImageRecord] = []
    files: list[ImageFile] = []
    annotations: list[Annotation] = []
    taken: dict[Path, str] = {}
    names: dict[str, int] = {}
    for stem in stems:
        called = f"{ANNOTATIONS}/{stem}.xml"
        with faults.of(called):
            root = _parse(folder / called)
            _add_names(root, names)
            picture = _picture(root, stem, folder, pictures)
            if picture in taken:
                raise FaultError(f"is of {picture.name}, and so is {taken[picture]}")
            taken[picture] = called
            size = _size(root, picture)
            masks = [folder / kind / f"{stem}.png" for kind in (CLASSES, INSTANCES)]
            kept = [path if path.is_file() else None for path in masks]
            place = len(images)
            # The whole path, since pictures in sub-folders may have one name.
            origin = picture.relative_to(folder).as_posix()
            check_name(origin)
            images.append(ImageRecord(origin, place + 1, *size, kept[0], kept[1]))
            files.append(ImageFile(origin, picture, None))
            for one in _objects(root, called, place, size, names, faults):
                annotations.append(replace(one, id=len(annotations) + 1))
    bare = [] if part is not None else _bare(pictures, set(stems), taken)
    for stem in sorted(set(everything).difference(stems)):
        # A class has one number in all parts, whichever of them have objects of it.
        with suppress(FaultError):
            _add_names(_parse(folder / ANNOTATIONS / f"{stem}.xml"), names)
    order = {name: place for place, name in enumerate(sorted(names))}
    by_number = {number: order[name] for name, number in names.items()}
    catalogue = Catalogue(
        "voc",
        tuple(Category(name, place + 1) for name, place in order.items()),
        tuple(images),
        tuple(replace(one, label=by_number[one.label]) for one in annotations),
    )
    notes = [f"{plural(len(bare), 'image')} without an XML file ignored: {some(bare, 3)}"] if bare else []
    nothing = f"{folder} holds no annotated image that can be used."
    return faults.source(spec, catalogue, files, notes, nothing=nothing)


def _bare(pictures: Mapping[str, list[Path]], stems: set[str], taken: Mapping[Path, str]) -> list[str]:
    """The names of pictures that no XML file is of."""
    return [
        path.name
        for stem, found in pictures.items()
        for path in found
        # One that is called like an XML file may be what this is of, where it has a fault.
        if path not in taken and (stem not in stems or any(one in taken for one in found))
    ]


def _of_part(folder: Path, part: str, stems: list[str], faults: Faults) -> list[str]:
    parts = sorted(path.stem for path in (folder / SETS).glob("*.txt"))
    if part not in parts:
        raise NotFoundError(
            f"{folder}: there is no part {part!r}{closest(part, parts)}. Parts: {some(parts) or 'none'}."
        )
    lines = (folder / SETS / f"{part}.txt").read_text(encoding="utf-8-sig", errors="replace").split("\n")
    there = set(stems)
    # In lists of one class, a number behind the name says whether the image shows it.
    wanted = [
        line if line in there else re.sub(r"\s+(-1|0|1)$", "", line) for line in map(str.strip, lines) if line
    ]
    for stem in wanted:
        if stem not in there:
            faults.add(f"{SETS}/{part}.txt", f"names {stem:.80}, which has no file in {ANNOTATIONS}")
    return sorted(there.intersection(wanted))


def _parse(path: Path) -> Element:
    """The root of a file; documents that define a type, and so entities, are refused unread."""
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse_type
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise FaultError(f"has more than {_MOST_BYTES // 2**20} MiB")
        parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as error:
        raise FaultError(f"is not XML ({error})") from None
    except OSError as error:
        raise FaultError(f"cannot be read ({error.strerror})") from error
    root = builder.close()
    if root.tag != "annotation":
        raise FaultError(f"is of {root.tag:.40}, not of an annotation")
    return root


def _refuse_type(*_: object) -> None:
    raise FaultError("defines a document type, which annotations do not need")


def _picture(root: Element, stem: str, folder: Path, pictures: Mapping[str, list[Path]]) -> Path:
    """The file that ``filename`` names, or the one that is called like the XML."""
    name = (root.findtext("filename") or "").strip()
    if name and not is_inside(name):
        raise FaultError(f"has the file name {name!r:.80}, which does not lie in {IMAGES}")
    if name and is_there(folder / IMAGES / name):
        return folder / IMAGES / name
    found = pictures.get(stem, [])
    if not found:
        raise FaultError(f"is of {name or stem:.80}, which is not in {folder / IMAGES}")
    if len(found) > 1:
        raise FaultError(f"is of one of {some([path.name for path in found])}: say which in its filename")
    return found[0]


def _size(root: Element, picture: Path) -> tuple[int, int]:
    """Height and width, from the picture's header where the file has none, or zeros."""
    given = [(root.findtext(f"size/{name}") or "0").strip() for name in ("height", "width")]
    if given == ["0", "0"]:
        return picture_size(picture)
    if not all(one.isascii() and one.isdecimal() and 0 < len(one) < 9 and int(one) for one in given):
        raise FaultError(f"has the size {given[1]:.20} x {given[0]:.20} (width x height)")
    height, width = map(int, given)
    check_size(width, height)
    return height, width


def _add_names(root: Element, names: dict[str, int]) -> None:
    """Number the classes of a file that have none yet."""
    for name in filter(None, map(_name, root.findall("object"))):
        names.setdefault(name, len(names))


def _name(found: Element) -> str:
    return (found.findtext("name") or "").strip()


def _objects(
    root: Element, called: str, image: int, size: tuple[int, int], names: dict[str, int], faults: Faults
) -> Iterator[Annotation]:
    """The objects of a file; labels are numbers of ``names``."""
    for number, found in enumerate(root.findall("object"), start=1):
        entry = f"{called}: object {number}"
        with faults.of(entry):
            name = _name(found)
            if not name:
                raise FaultError("has no name")
            left, top, right, bottom = _numbers(found)
            # Told in the file's own numbers, since the box below would say it otherwise.
            if right < left or bottom < top:
                raise FaultError(f"has an inverted box, from {left:g}, {top:g} to {right:g}, {bottom:g}")
            box = faults.box(entry, (left - 1, top - 1, right, bottom), *size)
            if box is not None:
                yield Annotation(
                    image,
                    0,
                    names[name],
                    box,
                    instance=number,
                    difficult=_flag(found, "difficult"),
                    truncated=_flag(found, "truncated"),
                    pose=(found.findtext("pose") or "").strip(),
                )


def _numbers(found: Element) -> Corners:
    ends = [found.findtext(f"bndbox/{end}") for end in ("xmin", "ymin", "xmax", "ymax")]
    try:
        left, top, right, bottom = (float(one or "") for one in ends)
    except ValueError:
        raise FaultError("has no bndbox of four numbers: xmin, ymin, xmax, ymax") from None
    return left, top, right, bottom


def _flag(found: Element, name: str) -> bool:
    return (found.findtext(name) or "").strip() in ("1", "true", "True")
