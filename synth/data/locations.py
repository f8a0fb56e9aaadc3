"""What the user wrote for a source, so that it means the same from every working folder."""

from __future__ import annotations

from pathlib import Path

from synth.data.builtin import BUILTINS


def absolute_spec(source: str | Path) -> str:
    """``source`` with an absolute path; names of built-in data sets as they are."""
    text = str(source)
    base, _, part = text.rpartition(":")
    if isinstance(source, str) and (text in BUILTINS or base in BUILTINS):
        return text
    if Path(text).expanduser().exists() or not base:
        return str(Path(text).expanduser().absolute())
    return f"{Path(base).expanduser().absolute()}:{part}"
