"""A folder of images, and one of masks with the same names: the class of each pixel."""

from __future__ import annotations

from pathlib import Path

from synth.data.decode import EXTENSIONS, picture_size
from synth.data.detection.faults import FaultError, Faults
from synth.data.detection.source import AnnotatedSource
from synth.data.files import ImageFile
from synth.data.objects import Catalogue, ImageRecord
from synth.errors import SourceError
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
    return found if _pictures(found[0]) and _pictures(found[1]) else None


def open_masks(images: Path, masks: Path, *, spec: str, skip_unreadable: bool = False) -> AnnotatedSource:
    """The images with their masks, by name, whatever the suffixes.

    Raises SourceError for images without a mask and masks without an image, all at once.
    """
    faults = Faults(images.parent, skip=skip_unreadable)
    pictures, there = _pictures(images), _pictures(masks)
    records: list[ImageRecord] = []
    files: list[ImageFile] = []
    for stem in sorted(pictures.keys() | there.keys()):
        path = pictures.get(stem)
        with faults.of(f"{masks.name}/{there[stem].name}" if path is None else f"{images.name}/{path.name}"):
            if path is None:
                raise FaultError(f"is the mask of an image that is not in {images}")
            if stem not in there:
                raise FaultError(f"has no mask in {masks}")
            origin = path.relative_to(images.parent).as_posix()
            records.append(ImageRecord(origin, len(records) + 1, *picture_size(path), mask=there[stem]))
            files.append(ImageFile(origin, path, None))
    notes = faults.settle()
    if not files:
        raise SourceError(f"{images.parent} holds no image with a mask ({some(sorted(there), 3)}).")
    catalogue = Catalogue("masks", (), tuple(records), ())
    return AnnotatedSource(
        spec=spec,
        files=files,
        catalogue=catalogue,
        notes=notes,
        faults=faults.left_out,
        skip_unreadable=skip_unreadable,
    )


def _pictures(folder: Path) -> dict[str, Path]:
    """By stem; of two with one stem the first."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in EXTENSIONS and not path.name.startswith("."):
            found.setdefault(path.stem, path)
    return found
