"""Put a split on disk: complete, or not at all; nothing that synth did not write is touched."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import get_args

from synth import __version__
from synth.data.builtin import BUILTINS
from synth.data.detection.source import AnnotatedSource
from synth.data.source import Source
from synth.data.splits.make import Split
from synth.data.splits.manifest import (
    MANIFEST,
    SAMPLES,
    Format,
    SampleRecord,
    SourceRecord,
    SplitManifest,
    read_split,
)
from synth.data.splits.parts import write_parts
from synth.data.writers.files import storage_errors, sync, write_atomically
from synth.errors import ConfigError, OutputExistsError, ResumeError, SourceError, SynthError, UsageError
from synth.text import closest, plural, some

PARTIAL = ".synth-partial"
FORMATS = ("auto", *get_args(Format))


def check_output(out: Path, split_rule: object, *, resume: bool, overwrite: bool) -> SplitManifest | None:
    """The split that is in ``out`` already and may be brought up to date or replaced, or None.

    Raises:
        OutputExistsError: ``out`` holds a split and neither is asked for, or something else.
        ResumeError: the split there has another rule than the one to go on with.
        UsageError: both ``resume`` and ``overwrite``.
    """
    if resume and overwrite:
        raise UsageError("Use either --resume, to go on, or --overwrite, to start again; not both.")
    if not out.exists():
        return None
    if not out.is_dir():
        raise OutputExistsError(f"{out} is a file; choose a folder for the output.")
    former = _former(out)
    foreign = sorted(_files(out) - _known(out, former))
    if foreign:
        raise OutputExistsError(
            f"{out} holds files that synth split did not write: {some(foreign, 5)}. They are never "
            "deleted: move them elsewhere, or choose another folder."
        )
    if former is None:
        return None
    if not (resume or overwrite):
        raise OutputExistsError(
            f"{out} holds a split of {plural(former[0].source.count, 'sample')}: bring it up to date with "
            "--resume, replace it with --overwrite, or choose another folder."
        )
    if resume and former[0].rule != split_rule:
        raise ResumeError(
            f"The split in {out} was made by another rule "
            f"({former[0].rule.model_dump_json(exclude_none=True)}). "
            "Repeat the first command to bring it up to date, or replace it with --overwrite."
        )
    return former[0]


def write_split(
    split: Split,
    source: Source,
    out: str | Path,
    *,
    location: str,
    format: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
) -> SplitManifest:
    """Write ``split.json`` and ``split.jsonl`` into the folder ``out``, and the parts in the given format.

    Args:
        split: of ``source``.
        source: read once more for copies, and not at all for links.
        out: new, empty, or a split that ``resume`` or ``overwrite`` allows.
        location: the source, so that it means the same from every working folder.
        format: ``manifest``: these two files alone, parts are read from the source. ``links``: a folder for
            each part with symbolic links to the source's files, for other programs. ``imagefolder``, ``npz``:
            copies without loss. ``auto``: links where the source has files, otherwise the manifest.
        resume: bring the split there up to date; its rule must be equal.
        overwrite: replace the split there.

    Raises:
        OutputExistsError, ResumeError, UsageError: see ``check_output``.
        ConfigError: an unknown format, or links to a source without files.
        StorageError: the disk is full or refuses the write.
    """
    out = Path(out)
    chosen = check_format(format, source)
    former = check_output(out, split.rule, resume=resume, overwrite=overwrite)
    with storage_errors(out):
        stage = out / PARTIAL
        shutil.rmtree(stage, ignore_errors=True)
        made = not out.exists()
        stage.mkdir(parents=True)
        try:
            records = write_parts(chosen, split, source, stage, out)
            manifest = _describe(split, source, out, location, chosen, _moves(out, former, records))
            write_atomically(stage / SAMPLES, "".join(f"{one.model_dump_json()}\n" for one in records))
            write_atomically(stage / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
            _publish(stage, out)
        except BaseException:
            if (stage / MANIFEST).exists() or not stage.exists():
                raise  # in the middle of the renames: what is staged tells the next run what is ours
            shutil.rmtree(stage)
            if made and not any(out.iterdir()):
                out.rmdir()
            raise
    return manifest


def check_format(name: str, source: Source) -> Format:
    """The format that ``name`` means for this source; ConfigError where there is none."""
    if name not in FORMATS:
        raise ConfigError(
            f"A split cannot be written as {name!r}{closest(name, FORMATS)}. Formats: {', '.join(FORMATS)}."
        )
    if isinstance(source, AnnotatedSource) and name not in ("auto", "manifest"):
        raise ConfigError(
            f"{source.info.spec} has objects or masks, which copies and links of its images would lose. Use "
            "--format manifest, whose parts keep them."
        )
    linkable = _linkable(source)
    if name == "auto":
        return "links" if linkable else "manifest"
    if name == "links" and not linkable:
        raise ConfigError(
            f"{source.info.spec} holds no files to link to. Use --format imagefolder or npz for copies, or "
            f"manifest."
        )
    return name  # type: ignore[return-value]  # one of FORMATS


def _linkable(source: Source) -> bool:
    from synth.data.files import FileSource

    if not isinstance(source, FileSource) or isinstance(source, AnnotatedSource):
        return False
    return len(source) > 0 and isinstance(source.file(0).content, Path)


def _describe(
    split: Split, source: Source, out: Path, location: str, form: Format, moves: Sequence[str]
) -> SplitManifest:
    info = source.info
    base = location.rpartition(":")[0]
    builtin = location in BUILTINS or base in BUILTINS
    return SplitManifest(
        software=f"synth {__version__}",
        created=datetime.now(UTC),
        source=SourceRecord(
            spec=info.spec,
            location=location,
            relative=None if builtin else os.path.relpath(location, out.absolute()),
            count=len(split.records),
            classes=None if info.classes is None else list(info.classes),
        ),
        rule=split.rule,
        digest=split.digest,
        format=form,
        parts=split.parts,
        folds=split.folds,
        near_duplicates=split.near_duplicates,
        notes=[*info.notes, *split.notes, *moves],
    )


def _moves(out: Path, former: SplitManifest | None, records: Sequence[SampleRecord]) -> list[str]:
    """What became of the samples of the former split."""
    if former is None:
        return []
    before = {record.id: (record.part, record.fold) for record in read_split(out)[1]}
    now = {record.id: (record.part, record.fold) for record in records}
    notes = []
    if new := len(now.keys() - before.keys()):
        notes.append(f"{plural(new, 'sample')} are new since the former split")
    if gone := len(before.keys() - now.keys()):
        notes.append(f"{plural(gone, 'sample')} of the former split are gone")
    moved = Counter(
        (_place(before[name]), _place(now[name]))
        for name in before.keys() & now.keys()
        if before[name] != now[name]
    )
    notes += [
        f"{plural(count, 'sample')} moved from {old} to {new}" for (old, new), count in sorted(moved.items())
    ]
    return notes


def _place(place: tuple[str, int | None]) -> str:
    return place[0] if place[1] is None else f"fold-{place[1]}"


def _publish(stage: Path, out: Path) -> None:
    """Remove the former split's files, then move the new ones in, ``split.json`` last."""
    former = _former(out)
    if former is not None:
        # Kept until the end: should this be cut short, it tells what is ours.
        shutil.copyfile(out / SAMPLES, stage / f"former-{SAMPLES}")
        (out / MANIFEST).unlink()
    for name in sorted(_listed(out / SAMPLES) | _listed(stage / f"former-{SAMPLES}")):
        (out / name).unlink(missing_ok=True)
        _remove_empty(out, PurePosixPath(name).parent)
    entries = [
        entry for entry in sorted(stage.iterdir()) if entry.name not in (MANIFEST, f"former-{SAMPLES}")
    ]
    for entry in entries:
        if entry.is_dir() and (out / entry.name).is_dir():
            raise OutputExistsError(
                f"{out / entry.name} is in the way; move it elsewhere, and run this again."
            )
        os.replace(entry, out / entry.name)
    os.replace(stage / MANIFEST, out / MANIFEST)
    sync(out)
    shutil.rmtree(stage)


def _remove_empty(out: Path, folder: PurePosixPath) -> None:
    while folder.parts and (out / folder).is_dir() and not any((out / folder).iterdir()):
        (out / folder).rmdir()
        folder = folder.parent


def _former(out: Path) -> tuple[SplitManifest, list[SampleRecord]] | None:
    if not (out / MANIFEST).exists():
        return None
    try:
        return read_split(out)
    except (SourceError, UsageError) as error:
        raise OutputExistsError(f"{out} is not empty: {error} Choose another folder.") from None


def _known(out: Path, former: tuple[SplitManifest, list[SampleRecord]] | None) -> set[str]:
    known = {MANIFEST, SAMPLES} if former or (out / PARTIAL).is_dir() else set()
    for listing in (out / SAMPLES, out / PARTIAL / SAMPLES, out / PARTIAL / f"former-{SAMPLES}"):
        known |= _listed(listing)
    return known


def _listed(samples: Path) -> set[str]:
    """The files that a ``split.jsonl`` names; none where it cannot be read."""
    try:
        lines = samples.read_text(encoding="utf-8").splitlines()
        return {name for line in lines if (name := SampleRecord.model_validate_json(line).file)}
    except (OSError, ValueError, SynthError):
        return set()


def _files(out: Path) -> set[str]:
    """Everything below ``out`` that is not a plain folder; what is staged does not count."""
    found: set[str] = set()
    for folder, folders, files in os.walk(out):
        here = Path(folder)
        if here == out and PARTIAL in folders:
            folders.remove(PARTIAL)
        links = [name for name in folders if (here / name).is_symlink()]
        found.update((here / name).relative_to(out).as_posix() for name in [*files, *links])
    return found
