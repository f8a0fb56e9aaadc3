"""Picture files of data sets: which there are, and whether one is there."""

from __future__ import annotations

from pathlib import Path

from synth.data.decode import EXTENSIONS
from synth.data.detection.faults import FaultError


def is_picture(path: Path) -> bool:
    """Whether a file counts as an image, by its name."""
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


def check_name(name: str) -> None:
    """Raise FaultError for a name that no text can hold, and so none of what is written of it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise FaultError("has a name that is not UTF-8: rename it") from None


def is_there(path: Path) -> bool:
    """Whether it is a file; one that no file can be called is not there."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def pictures_by_name(folder: Path) -> dict[str, list[Path]]:
    """The pictures in a folder and its sub-folders, by their paths there without the suffixes."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if is_picture(path) and not any(part.startswith(".") for part in inner.parts):
            found.setdefault(inner.with_suffix("").as_posix(), []).append(path)
    return found
