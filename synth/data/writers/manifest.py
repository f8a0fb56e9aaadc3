"""``manifest.json`` of a generated data set: what it holds, how it was asked for, and every file's digest."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from synth.errors import NotFoundError, SourceError

SCHEMA = 1
"""Raised when an older synth could misread a newer manifest."""

MANIFEST = "manifest.json"


def _inside(path: str) -> str:
    parts = PurePosixPath(path)
    if not parts.parts or parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"{path!r} does not lie inside the data set")
    return path


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatasetFile(_Record):
    """One file of the data set."""

    path: Annotated[str, AfterValidator(_inside)]
    """Relative to the data set's folder, with forward slashes."""
    sha256: str
    bytes: int


class DatasetManifest(_Record):
    """See the module's docstring."""

    kind: Literal["synth-dataset"] = "synth-dataset"
    schema_version: int = SCHEMA
    synthetic: Literal[True] = True
    software: str
    format: str
    count: int = Field(ge=1)
    classes: list[str] | None
    class_counts: list[int] | None
    """Samples per class, in the order of ``classes``; None without classes, and of shares."""
    plan: dict[str, Any]
    """The request: model, seed, labels, parameters and all else that decides the files."""
    fingerprint: dict[str, str]
    files: list[DatasetFile]
    """All files except this manifest."""
    created: datetime


def read_manifest(folder: Path) -> DatasetManifest:
    """The manifest of a finished data set.

    Raises:
        NotFoundError: the folder has no manifest.json.
        SourceError: manifest.json is damaged, not of a data set, or of a newer schema.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise NotFoundError(f"{folder} holds no finished data set: there is no {MANIFEST}.") from None
    except ValueError:
        raise SourceError(f"{path} is damaged: it is not JSON.") from None
    if not isinstance(content, dict) or content.get("kind") != "synth-dataset":
        raise SourceError(f"{path} is not the manifest of a synth data set.")
    schema = content.get("schema_version")
    if isinstance(schema, int) and schema > SCHEMA:
        raise SourceError(
            f"{path} has schema {schema}, newer than this synth knows ({SCHEMA}); update synth."
        )
    try:
        return DatasetManifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SourceError(f"{path} is damaged ({where}: {first['msg']}).") from None
