"""A folder of images, and one of masks with the same names: the class of each pixel."""

from __future__ import annotations

from pathlib import Path

from synth.data.decode import picture_size
from synth.data.detection.faults import FaultError, Faults
from synth.data.detection.files import check_name, is_picture, pictures_by_name
from synth.data.detection.source import AnnotatedSource
from synth.data.files import ImageFile
from synth.data.objects import Catalogue, ImageRecord
from synth.text import some

_IMAGES = ("images", "image")
_MASKS = ("masks", "mask", "labels", "label")


def masks_folders(folder: Path) -> tuple[Path, Path] | None:
    """The folders of images and masks below a folder, where it holds nothing else."""
    there = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    images = [name for name in there if name in _IMAGES]
    masks = [name for name in there if name in _MASKS]
    if len(there) != 2 or not images or not masks:
        return None
    found = folder / images[0], folder / masks[0]
    # A label of text belongs to another layout.
    return found if all(any(is_picture(path) for path in one.rglob("*")) for one in found) else None


def open_masks(images: Path, masks: Path, *, spec: str, skip_unreadable: bool = False) -> AnnotatedSource:
    """The images with their masks, by their paths in the two folders, whatever the suffixes.

    Raises SourceError for images without a mask, masks without an image, and two of one name, all at once.
    """
    faults = Faults(images.parent, skip=skip_unreadable)
    pictures, there = (_first_ones(folder, faults) for folder in (images, masks))
    records: list[ImageRecord] = []
    files: list[ImageFile] = []
    for name in sorted(pictures.keys() | there.keys()):
        path = pictures.get(name)
        origin = (path or there[name]).relative_to(images.parent).as_posix()
        with faults.of(origin):
            check_name(origin)
            if path is None:
                raise FaultError(f"is the mask of an image that is not in {images}")
            if name not in there:
                raise FaultError(f"has no mask in {masks}")
            records.append(ImageRecord(origin, len(records) + 1, *picture_size(path), mask=there[name]))
            files.append(ImageFile(origin, path, None))
    catalogue = Catalogue("masks", (), tuple(records), ())
    nothing = f"{images.parent} holds no image with a mask ({some(sorted(there), 3)})."
    return faults.source(spec, catalogue, files, nothing=nothing)


def _first_ones(folder: Path, faults: Faults) -> dict[str, Path]:
    """By their paths without the suffixes; what follows of one name is a fault."""
    found = {}
    for name, (first, *others) in pictures_by_name(folder).items():
        found[name] = first
        for path in others:
            entry = path.relative_to(folder.parent).as_posix()
            faults.add(entry, f"is called as {first.name} is, but for the suffix")
    return found
