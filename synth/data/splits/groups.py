"""Which samples belong together: read from a file, or from their paths."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from synth.errors import ConfigError, NotFoundError, SourceError
from synth.text import plural, some

RULES = (
    "parent (the folder that a file is in), prefix:TEXT (the file's name up to TEXT), regex:PATTERN (what "
    "its first group finds in the path), or a file: .csv with the columns file and group, .json {file: "
    "group}, .jsonl with file and group, .txt with one group a line in the samples' order"
)
"""What ``--groups`` takes, for messages and help."""


def read_groups(rule: str, origins: Sequence[str]) -> list[str | None]:
    """The group of each sample, None where it has none.

    Args:
        rule: see ``RULES``.
        origins: what the source calls the samples.

    Raises:
        ConfigError: a rule that cannot be understood.
        NotFoundError: a file that does not exist.
        SourceError: a file that cannot be read, or that fits no sample.
    """
    kind, _, value = rule.partition(":")
    if rule == "parent":
        return [_parent(origin) for origin in origins]
    if kind == "prefix" and value:
        return [_prefix(origin, value) for origin in origins]
    if kind == "regex" and value:
        return _matches(value, origins)
    return _from_file(Path(rule).expanduser(), origins)


def _parent(origin: str) -> str | None:
    folder = str(PurePosixPath(origin).parent)
    return None if folder == "." else folder


def _prefix(origin: str, separator: str) -> str | None:
    name = PurePosixPath(origin).name
    return name.partition(separator)[0] if separator in name else None


def _matches(pattern: str, origins: Sequence[str]) -> list[str | None]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"--groups regex:{pattern} is not a regular expression ({error}).") from None
    found = [compiled.search(origin) for origin in origins]
    if origins and not any(found):
        raise SourceError(
            f"--groups regex:{pattern} fits no sample; they are called {some(origins, 3)}. Change the "
            f"pattern."
        )
    return [None if match is None else match[1 if compiled.groups else 0] for match in found]


def _from_file(path: Path, origins: Sequence[str]) -> list[str | None]:
    if not path.is_file():
        raise NotFoundError(f"There is no file {path} with groups. --groups takes {RULES}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        suffix = path.suffix.lower()
        if suffix == ".txt":
            return _lines(path, text, len(origins))
        if suffix == ".json":
            table = {str(name): group for name, group in json.loads(text).items()}
        elif suffix == ".jsonl":
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
            table = {str(row.get("file", row.get("file_name"))): row["group"] for row in rows}
        elif suffix == ".csv":
            table = {row["file"]: row["group"] for row in csv.DictReader(text.splitlines())}
        else:
            raise ConfigError(f"{path} has an unknown suffix. --groups takes {RULES}.")
    except (OSError, UnicodeDecodeError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise SourceError(
            f"The groups in {path} cannot be read ({error}). --groups takes {RULES}."
        ) from error
    found = [table.get(origin) for origin in origins]
    if origins and all(group is None for group in found):
        raise SourceError(
            f"{path} names none of the samples; they are called {some(origins, 3)}. Use these names."
        )
    return [None if group in (None, "") else str(group) for group in found]


def _lines(path: Path, text: str, count: int) -> list[str | None]:
    groups = [line.strip() or None for line in text.splitlines()]
    if len(groups) != count:
        raise SourceError(
            f"{path} has {plural(len(groups), 'line')} for {plural(count, 'sample')}; give one for each."
        )
    return groups
