"""The parts of a split as folders: links to the source's files, or copies."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from synth.data.files import FileSource
from synth.data.png import encode_batch
from synth.data.source import Source
from synth.data.splits.make import Split
from synth.data.splits.manifest import Format, SampleRecord
from synth.data.writers.names import folder_names
from synth.errors import SourceError

ARRAYS = "data.npz"


def folder_of(record: SampleRecord) -> str:
    """The folder that a sample lies in, below the split's: its fold's, or its part's."""
    return record.part if record.fold is None else f"fold-{record.fold}"


def write_parts(form: Format, split: Split, source: Source, stage: Path, out: Path) -> list[SampleRecord]:
    """Write the parts below ``stage``, from where they are moved to ``out``; the records with their files."""
    writers: dict[str, Callable[[Split, Source, Path, Path], list[SampleRecord]]] = {
        "links": _link,
        "imagefolder": _copy,
        "npz": _arrays,
    }
    return writers[form](split, source, stage, out) if form in writers else split.records


def _link(split: Split, source: Source, stage: Path, out: Path) -> list[SampleRecord]:
    assert isinstance(source, FileSource)
    names = _file_names(split, source, None)
    for row, name in enumerate(names):
        content = source.file(row).content
        assert isinstance(content, Path)
        link = stage / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.abspath(content))
    return _with_files(split.records, names)


def _copy(split: Split, source: Source, stage: Path, out: Path) -> list[SampleRecord]:
    names = _file_names(split, source, ".png")
    encoded = source.each(lambda pixels: encode_batch(pixels[None], [{}])[0])
    for name, (_, data) in zip(names, encoded, strict=True):
        path = stage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return _with_files(split.records, names)


def _arrays(split: Split, source: Source, stage: Path, out: Path) -> list[SampleRecord]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, record in enumerate(split.records):
        rows[folder_of(record)].append(row)
    # Copies: a transform's argument is only lent.
    pixels = [(origin, image) for origin, image in source.each(np.copy)]
    shapes = {image.shape[:2] for _, image in pixels}
    if len(shapes) > 1:
        raise SourceError(
            f"The images of {source.info.spec} differ in size, and an array has one. Use --format links, "
            "imagefolder or manifest."
        )
    depth = max(image.shape[2] for _, image in pixels)
    for folder, chosen in rows.items():
        images = np.stack([np.broadcast_to(i, (*i.shape[:2], depth)) for i in (pixels[r][1] for r in chosen)])
        arrays = {"images": images, "ids": np.array([split.records[row].id for row in chosen])}
        if source.labels is not None and source.info.classes is not None:
            arrays |= {"labels": source.labels[chosen], "class_names": np.array(source.info.classes)}
        (stage / folder).mkdir()
        np.savez(stage / folder / ARRAYS, **arrays)  # type: ignore[arg-type]  # allow_pickle is no array
    return _with_files(split.records, [f"{folder_of(record)}/{ARRAYS}" for record in split.records])


def _file_names(split: Split, source: Source, suffix: str | None) -> list[str]:
    """``PART/CLASS/NAME`` for each sample, distinct, whatever the source's folders are called."""
    classes = source.info.classes
    folders = None if classes is None else dict(zip(classes, folder_names(classes), strict=True))
    taken: set[str] = set()
    names = []
    for record in split.records:
        path = PurePosixPath(record.origin)
        ending = path.suffix if suffix is None else suffix
        stem = path.name.removesuffix(path.suffix) if path.suffix else path.name
        where = folder_of(record) if folders is None else f"{folder_of(record)}/{folders[str(record.label)]}"
        name = f"{where}/{stem}{ending}"
        if name.casefold() in taken:
            name = f"{where}/{stem}-{len(taken)}{ending}"
        taken.add(name.casefold())
        names.append(name)
    return names


def _with_files(records: Sequence[SampleRecord], names: Sequence[str]) -> list[SampleRecord]:
    return [record.model_copy(update={"file": name}) for record, name in zip(records, names, strict=True)]
