"""One part of a split as a source."""

from __future__ import annotations

from pathlib import Path

from synth.data.files import FileSource, ImageFile
from synth.data.npz import open_npz
from synth.data.source import Source, check_unchanged
from synth.data.splits.manifest import MANIFEST, SampleRecord, SplitManifest, is_split, read_split
from synth.data.splits.parts import ARRAYS, folder_of
from synth.errors import NotFoundError, SourceError
from synth.text import some


def split_of(spec: str) -> tuple[Path, str] | None:
    """``DIR/split.json:PART``, ``DIR:PART`` or ``DIR/PART`` as the split's folder or file and the part's
    name.

    None where that is no split, or ``DIR/PART`` is no part of it.
    """
    base, separator, part = spec.rpartition(":")
    if separator and is_split(path := Path(base).expanduser()):
        return path, part
    path = Path(spec).expanduser()
    if is_split(path.parent) and path.name in read_split(path.parent)[0].names:
        return path.parent, path.name
    return None


def level_of(spec: str) -> int:
    """How often what ``spec`` names was split: 0 for a source that is no part of a split."""
    found = split_of(spec)
    return 0 if found is None else read_split(found[0])[0].rule.level + 1


def refuse_whole(path: Path) -> SourceError:
    """What to answer where a split was given, and no part of it."""
    manifest, _ = read_split(path)
    file = path / MANIFEST if path.is_dir() else path
    return SourceError(
        f"{path} is a split. Name one of its parts, for example {file}:{manifest.names[0]}. "
        f"It has: {some(manifest.names, 20)}."
    )


def open_part(path: Path, part: str, *, spec: str, skip_unreadable: bool = False) -> Source:
    """The samples of one part, with the classes of the whole source.

    Copies and links are read where they are; otherwise the source is opened again. A sample that is not what
    was split raises SourceError in the first pass over the samples.

    Raises:
        NotFoundError: no such part, or the source is not where it was.
        SourceError: a damaged split, an empty part, or samples that are gone or changed.
    """
    manifest, records = read_split(path)
    chosen = manifest.choose(part, records)
    if not chosen:
        raise SourceError(
            f"The part {part!r} of {path} is empty. Split with other fractions, or more samples."
        )
    folder = path if path.is_dir() else path.parent
    classes = manifest.source.classes
    if manifest.format == "npz":
        return _open_arrays(folder, chosen, spec, manifest)
    if manifest.format == "manifest":
        whole = _open_source(manifest, folder, skip_unreadable)
        return whole.subset({one.origin: one.id for one in chosen}, spec=spec, classes=classes)
    files = [ImageFile(str(one.file), folder / str(one.file), one.label) for one in chosen]
    return FileSource(
        spec=spec,
        kind="folder",
        files=files,
        skip_unreadable=skip_unreadable,
        classes=classes,
        expected={str(one.file): one.id for one in chosen},
    )


def _open_source(manifest: SplitManifest, folder: Path, skip_unreadable: bool) -> Source:
    from synth.data.open import open_source

    places = [manifest.source.location]
    if manifest.source.relative is not None:
        places.append(str(folder / manifest.source.relative))
    for place in places:
        try:
            return open_source(place, skip_unreadable=skip_unreadable)
        except NotFoundError:
            continue
    raise NotFoundError(
        f"The source of the split in {folder} is not there any more: {manifest.source.location}. Move it "
        "back, or split again where it is now; --format imagefolder makes copies."
    )


def _open_arrays(folder: Path, chosen: list[SampleRecord], spec: str, manifest: SplitManifest) -> Source:
    """``not-fold-K`` and a folded part lie in several files; they are read as one array each."""
    import numpy as np

    from synth.data.source import ArraySource

    pieces = []
    for name in dict.fromkeys(folder_of(record) for record in chosen):
        file = folder / name / ARRAYS
        if not file.is_file():
            raise SourceError(f"{file} is missing. Restore it, or split again with --overwrite.")
        piece = open_npz(file, spec=spec)
        if not isinstance(piece, ArraySource):
            raise SourceError(f"{file} was changed. Split again with --overwrite.")
        pieces.append(piece)
    order = sorted(
        chosen, key=lambda record: list(dict.fromkeys(map(folder_of, chosen))).index(folder_of(record))
    )
    images = np.concatenate([piece._images for piece in pieces])
    classes = manifest.source.classes
    labels = None
    if classes is not None:
        labels = np.array([classes.index(str(record.label)) for record in order], dtype=np.int64)
    if len(images) != len(order):
        raise SourceError(f"The arrays in {folder} were changed. Split again with --overwrite.")
    source = ArraySource(
        spec=spec, kind="npz", images=images, labels=labels, classes=classes, origin=f"{spec} {ARRAYS}"
    )
    check_unchanged(
        {str(row): record.id for row, record in enumerate(order)},
        {str(row): name for row, name in enumerate(source.ids)},
        spec,
    )
    return source
