"""``split.json`` and ``split.jsonl``: a split as a whole, and a line for each sample."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from synth.data.splits.rule import SplitRule
from synth.errors import NotFoundError, SourceError
from synth.text import closest

SCHEMA = 1
"""Raised when an older synth could misread a newer split."""
MANIFEST = "split.json"
SAMPLES = "split.jsonl"

_HEAD = 4096
Format = Literal["manifest", "links", "imagefolder", "npz"]

_FOLD = re.compile(r"(not-)?fold-([1-9][0-9]*)")


def _inside(path: str | None) -> str | None:
    if path is not None:
        parts = PurePosixPath(path)
        if not parts.parts or parts.is_absolute() or ".." in parts.parts:
            raise ValueError(f"{path!r} does not lie inside the split")
    return path


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SampleRecord(_Record):
    """One line of ``split.jsonl``."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Content hash."""
    origin: str
    """What the source calls the sample: the path below its folder, or ``file.npz[17]``."""
    part: str
    fold: int | None = None
    """1 to the number of folds, in the part that is folded."""
    label: str | None = None
    """Class name."""
    group: str | None = None
    near: int | None = None
    """Samples of one number are near-duplicates, directly or by way of others."""
    file: Annotated[str | None, AfterValidator(_inside)] = None
    """Link or copy, below the split's folder."""


class PartSummary(_Record):
    """How much a part or fold holds."""

    name: str
    count: int
    class_counts: dict[str, int] | None
    groups: int | None = None
    """Distinct groups; None where there are none."""


class SourceRecord(_Record):
    """What was split."""

    spec: str
    """As the user wrote it."""
    location: str
    """The same from every working folder."""
    relative: str | None
    """From the split's folder, for when both were moved; None for a built-in set."""
    count: int
    classes: list[str] | None


class SplitManifest(_Record):
    """``split.json``."""

    kind: Literal["synth-split"] = "synth-split"
    schema_version: int = SCHEMA
    software: str
    created: AwareDatetime | datetime
    source: SourceRecord
    rule: SplitRule
    digest: str
    """SHA-256 over the rule and the place of every sample: equal digests are equal splits."""
    format: Format
    parts: list[PartSummary]
    folds: list[PartSummary]
    near_duplicates: int | None
    """Samples that have a near-duplicate; None where these were not looked for."""
    notes: list[str]

    @property
    def names(self) -> list[str]:
        """All that can be opened: parts, folds, and what remains without a fold."""
        folds = [fold.name for fold in self.folds]
        return [*(part.name for part in self.parts), *folds, *(f"not-{name}" for name in folds)]

    def choose(self, name: str, records: Sequence[SampleRecord]) -> list[SampleRecord]:
        """The samples of a part, of ``fold-K``, or of ``not-fold-K``: all folds but that.

        Raises NotFoundError for a name that the split does not have.
        """
        if name not in self.names:
            raise NotFoundError(
                f"There is no part {name!r} in the split{closest(name, self.names)}. It has: "
                f"{', '.join(self.names)}."
            )
        match = _FOLD.fullmatch(name)
        if match is None:
            return [record for record in records if record.part == name]
        number, inverse = int(match[2]), match[1] is not None
        return [
            record for record in records if record.fold is not None and (record.fold == number) != inverse
        ]


def read_split(path: str | Path) -> tuple[SplitManifest, list[SampleRecord]]:
    """A split by its folder or its ``split.json``.

    Raises:
        NotFoundError: nothing is there.
        SourceError: what is there is damaged, no split, or of a newer schema.
    """
    path = Path(path).expanduser()
    manifest = _read_manifest(path / MANIFEST if path.is_dir() else path)
    samples = (path if path.is_dir() else path.parent) / SAMPLES
    try:
        lines = samples.read_text(encoding="utf-8").splitlines()
        records = [SampleRecord.model_validate_json(line) for line in lines]
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise SourceError(f"{samples} is missing or damaged. Split again with --overwrite.") from error
    if len(records) != manifest.source.count:
        raise SourceError(
            f"{samples} has {len(records)} lines instead of {manifest.source.count}. Split again with "
            "--overwrite."
        )
    return manifest, records


def is_split(path: Path) -> bool:
    """Whether this is a ``split.json``, or a folder with one."""
    file = path / MANIFEST if path.is_dir() else path
    if file.suffix.lower() != ".json" or not file.is_file():
        return False
    try:
        with file.open("rb") as opened:
            # Files of other things may be large: what this is stands at the beginning.
            if file.name != MANIFEST and b'"synth-split"' not in opened.read(_HEAD):
                return False
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return file.name == MANIFEST
    return isinstance(content, dict) and content.get("kind") == "synth-split"


def _read_manifest(path: Path) -> SplitManifest:
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"There is no split at {path}. Make one with synth split.") from None
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read, or is not JSON. Split again with --overwrite.") from error
    if not isinstance(content, dict) or content.get("kind") != "synth-split":
        raise SourceError(f"{path} is not a split of synth. Give the split.json that synth split writes.")
    schema = content.get("schema_version")
    if isinstance(schema, int) and schema > SCHEMA:
        raise SourceError(
            f"{path} has schema {schema}, newer than this synth knows ({SCHEMA}); update synth."
        )
    try:
        return SplitManifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SourceError(
            f"{path} is damaged ({where}: {first['msg']}). Split again with --overwrite."
        ) from None
