"""Folders of images: sub-folders as classes, or a flat folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from synth.data.decode import EXTENSIONS
from synth.data.files import FileSource, ImageFile
from synth.errors import SourceError
from synth.text import plural, some

LAYOUTS = (
    "A source is a folder with one sub-folder of images for each class, a folder of "
    "images without sub-folders (no labels), an .npz file, a file or folder of COCO, Pascal VOC or YOLO, or "
    "the name of a built-in data set; images are "
    f"{', '.join(sorted(suffix[1:] for suffix in EXTENSIONS))}"
)
"""What is accepted, for messages; without a full stop."""

# With a letter for the domain, as data sets for translation have it: trainA, testB.
_PART = re.compile(r"(train|training|val|valid|validation|dev|test|testing|holdout)[AB]?", re.IGNORECASE)


@dataclass
class _Listing:
    """What lies under a folder: images directly in it, those below each sub-folder, and all the rest."""

    top: list[str] = field(default_factory=list)
    below: dict[str, list[str]] = field(default_factory=dict)
    other: list[str] = field(default_factory=list)


def open_folder(
    folder: Path, *, spec: str, kind: str = "folder", skip_unreadable: bool = False
) -> FileSource:
    """The images of a folder, sorted by class and path.

    Sub-folders are classes, with images at any depth below them; without sub-folders that hold images the
    folder is flat and has no labels, nor has one with a single class. Hidden files, and those whose suffix is
    not an image's, are ignored and noted.

    Raises:
        SourceError: no image at all, images both at the top and in sub-folders, sub-folders that are the
            parts of a data set (train, test) and not classes, or a folder that cannot be listed.
    """
    listing = _list(folder)
    classes = sorted(name for name, images in listing.below.items() if images)
    _check_layout(listing, classes, folder)
    files = [ImageFile(path, folder / path, None) for path in sorted(listing.top)]
    files += [
        ImageFile(path, folder / path, name) for name in classes for path in sorted(listing.below[name])
    ]
    return FileSource(
        spec=spec, kind=kind, files=files, notes=_notes(listing, classes), skip_unreadable=skip_unreadable
    )


def _check_layout(listing: _Listing, classes: Sequence[str], folder: Path) -> None:
    if not listing.top and not classes:
        there = f"only {some(sorted(listing.other))}" if listing.other else "no files"
        arrays = sorted(name for name in listing.other if name.endswith(".npz"))
        hint = f"Name the file: {folder / arrays[0]}. " if arrays else ""
        raise SourceError(f"There are no images in {folder} ({there}). {hint}{LAYOUTS}.")
    if listing.top and classes:
        raise SourceError(
            f"{folder} holds {plural(len(listing.top), 'image')} at the top ({some(sorted(listing.top), 3)}) "
            f"and class folders ({some(classes, 3)}). Choose one layout: move every image into a class "
            "folder, or keep all at the top and move the sub-folders elsewhere."
        )
    if classes and all(_PART.fullmatch(name) for name in classes):
        raise SourceError(
            f"The sub-folders of {folder} ({some(classes)}) are the parts of a data set and not classes. "
            f"Name one part, for example {folder / classes[0]}."
        )


def _notes(listing: _Listing, classes: Sequence[str]) -> list[str]:
    notes = []
    if listing.top:
        notes.append("no class folders: treated as unlabelled")
    elif len(classes) == 1:
        notes.append(f"only one class folder ({classes[0]}): treated as unlabelled")
    empty = sorted(name for name, images in listing.below.items() if not images)
    if empty:
        notes.append(f"{plural(len(empty), 'sub-folder')} without images ignored: {some(empty)}")
    if listing.other:
        notes.append(f"{plural(len(listing.other), 'other file')} ignored: {some(sorted(listing.other))}")
    return notes


def _list(folder: Path) -> _Listing:
    listing = _Listing()
    for entry in _entries(folder):
        if entry.is_dir():
            if entry.name.startswith("."):
                continue
            images = listing.below[entry.name] = []
            for path in _walk(Path(entry.path), f"{entry.name}/", (_identity(folder), _identity(entry.path))):
                (images if _is_image(path) else listing.other).append(path)
        else:
            (listing.top if _is_image(entry.name) else listing.other).append(entry.name)
    return listing


def _walk(folder: Path, prefix: str, parents: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """Paths of all files below a folder; links are followed, except back into a parent."""
    for entry in _entries(folder):
        if not entry.is_dir():
            yield prefix + entry.name
        elif not entry.name.startswith(".") and (own := _identity(entry.path)) not in parents:
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", (*parents, own))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Folders, files and links (broken ones show as unreadable later); never pipes, sockets or devices."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if entry.is_dir() or entry.is_file() or entry.is_symlink()]
    except OSError as error:
        raise SourceError(f"Cannot list {folder}: {error.strerror}. Check its permissions.") from error


def _identity(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _is_image(path: str) -> bool:
    name = path.rpartition("/")[2]
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in EXTENSIONS
