"""From what the user wrote to a source."""

from __future__ import annotations

import os
from pathlib import Path

from synth.data.builtin import BUILTINS, PARTS, open_builtin
from synth.data.detection.coco import open_coco
from synth.data.detection.find import open_annotated
from synth.data.folder import LAYOUTS, open_folder
from synth.data.npz import open_npz
from synth.data.soft import open_soft_folder
from synth.data.source import Source
from synth.data.splits.manifest import is_split
from synth.data.splits.open import open_part, refuse_whole, split_of
from synth.errors import NotFoundError, SourceError
from synth.text import closest


def open_source(spec: str | Path, *, skip_unreadable: bool = False) -> Source:
    """Open real images.

    Args:
        spec: a folder (of class folders, or flat), an ``.npz`` file, a folder with ``data.npz`` and
            ``manifest.json`` as written by ``synth generate --format npz``, or the name of a built-in data
            set; a file of COCO annotations, or a folder as COCO, Pascal VOC or YOLO lays it out, or of images
            and masks (``synth.data.detection``). ``DIR/split.json:PART`` or ``DIR/PART`` is a part of a split
            that ``synth split`` wrote to DIR. ``NAME:test`` and ``file.npz:test`` are the test part,
            ``DIR:val`` is one of VOC or YOLO. The name of a built-in set wins over a folder of that name:
            write ``./mnist``, or give a Path, for the folder.
        skip_unreadable: leave out files that cannot be decoded, and annotations that cannot be used, and note
            them, instead of raising.

    Raises:
        NotFoundError: nothing is there; names what is near.
        SourceError: what is there is empty, or no known source. Files are decoded later, so unreadable ones
            show when samples or ids are asked for.
    """
    text = str(spec)
    base, _, part = text.rpartition(":")
    if isinstance(spec, str):
        if text in BUILTINS:
            return open_builtin(text, part="train", spec=text)
        if base in BUILTINS:
            return open_builtin(base, part=_check_part(part, text), spec=text)
    found = split_of(text)
    if found is not None:
        return open_part(*found, spec=text, skip_unreadable=skip_unreadable)
    path = Path(text).expanduser()
    if path.exists():
        return _open_path(path, text, skip_unreadable)
    if base.lower().endswith(".npz") and (file := Path(base).expanduser()).is_file():
        return open_npz(file, spec=text, part=_check_part(part, text))
    if part and (folder := Path(base).expanduser()).is_dir():
        annotated = open_annotated(folder, spec=text, part=part, skip_unreadable=skip_unreadable)
        if annotated is not None:
            return annotated
    raise _not_found(text, path)


def _open_path(path: Path, spec: str, skip_unreadable: bool) -> Source:
    if is_split(path):
        raise refuse_whole(path)
    if path.is_dir():
        if (path / "data.npz").is_file() and (path / "manifest.json").is_file():
            return open_npz(path / "data.npz", spec=spec)
        soft = open_soft_folder(path, spec=spec, skip_unreadable=skip_unreadable)
        annotated = soft or open_annotated(path, spec=spec, skip_unreadable=skip_unreadable)
        return annotated or open_folder(path, spec=spec, skip_unreadable=skip_unreadable)
    if path.suffix.lower() == ".json":
        return open_coco(path, spec=spec, skip_unreadable=skip_unreadable)
    if path.suffix.lower() == ".npz":
        return open_npz(path, spec=spec)
    raise SourceError(f"{path} is not a source. {LAYOUTS}.")


def _check_part(part: str, spec: str) -> str:
    if part not in PARTS:
        raise NotFoundError(f"{spec}: there is no part {part!r}{closest(part, PARTS)}. Parts: train, test.")
    return part


def _not_found(spec: str, path: Path) -> NotFoundError:
    siblings = []
    if path.parent.is_dir():
        siblings = [os.path.join(os.path.dirname(spec), entry.name) for entry in path.parent.iterdir()]
    hint = closest(spec, [*siblings, *BUILTINS])
    return NotFoundError(
        f"There is no folder or file {spec!r}{hint}. Built-in data sets: {', '.join(BUILTINS)}."
    )
