"""Class names as folder names that every system, torchvision and Hugging Face datasets read rightly."""

from __future__ import annotations

import re
from collections.abc import Sequence

from synth.data.writers.manifest import MANIFEST

METADATA = "metadata.jsonl"

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
# Hugging Face datasets takes a folder with one of these words for a split and drops all others. It looks
# for lower case only.
_SPLITS = re.compile(
    r"(?<![^-._ 0-9])(train|training|validation|valid|dev|val|test|testing|eval|evaluation)(?![^-._ 0-9])"
)
_MAX_BYTES = 200


def folder_names(classes: Sequence[str]) -> list[str]:
    """One folder name for each class: safe, visible, and distinct even where case does not count.

    A name that is safe already stays as it is; a clash gets the class number appended.
    """
    taken = {MANIFEST, METADATA}
    names = []
    for number, class_name in enumerate(classes):
        name = _safe(class_name)
        while name.casefold() in taken:
            name = f"{name}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


def _safe(class_name: str) -> str:
    name = _FORBIDDEN.sub("_", class_name)
    name = name.encode(errors="replace")[:_MAX_BYTES].decode(errors="ignore")
    name = re.sub(r"^\.+|[. ]+$", "_", name) or "_"
    name = _SPLITS.sub(lambda word: word.group().capitalize(), name)
    return f"_{name}" if _DEVICES.fullmatch(name) else name
