"""Names for versions: ``NAME@stable``, kept in ``NAME/aliases.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from synth.artifacts.files import replace_file
from synth.errors import ArtifactError

ALIASES_FILE = "aliases.json"

_REMEDY = "Delete it, and set the aliases anew."
_ALIASES = TypeAdapter(dict[str, int])


def read_aliases(folder: Path) -> dict[str, int]:
    """Version by alias, in order of the aliases; empty where none was given.

    Raises ArtifactError where the file is not what ``write_aliases`` writes.
    """
    path = folder / ALIASES_FILE
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ArtifactError(f"Cannot read {path}: {error.strerror}. {_REMEDY}") from error
    try:
        return dict(sorted(_ALIASES.validate_json(content, strict=True).items()))
    except ValidationError as error:
        raise ArtifactError(f"{path} is not an object of aliases and versions. {_REMEDY}") from error


def write_aliases(folder: Path, aliases: Mapping[str, int]) -> None:
    """Replace the aliases of the name whose folder it is: durably, and all at once. Raises OSError."""
    replace_file(folder / ALIASES_FILE, (json.dumps(dict(aliases), indent=2, sort_keys=True) + "\n").encode())
