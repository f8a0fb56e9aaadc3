"""What commands print on stdout, and how they read what several of them take."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from synth.errors import ConfigError, OutputExistsError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def print_json(value: Any) -> None:
    """One JSON document on stdout, indented; ``value`` holds plain JSON types."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns on stdout, whatever the width of the terminal, so that nothing is cut off."""
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]
    for line in (head, *rows):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_fields(fields: Sequence[tuple[str, str]]) -> None:
    """``name  value`` lines on stdout."""
    width = max(len(name) for name, _ in fields)
    for name, value in fields:
        typer.echo(f"{name.ljust(width)}  {value}".rstrip())


def parse_size(text: str | None) -> tuple[int, int] | None:
    """``32`` or ``32x48`` as (height, width) in pixels; ConfigError for anything else."""
    if text is None:
        return None
    height, _, width = text.lower().partition("x")
    try:
        size = int(height), int(width or height)
    except ValueError:
        size = (0, 0)
    if min(size) < 1:
        raise ConfigError(f"--size {text!r} is no size: write a number of pixels, or HEIGHTxWIDTH.")
    return size


def require_free(out: Path | None, name: str, overwrite: bool) -> None:
    """Raise OutputExistsError where the folder holds something; ``overwrite`` lets the file ``name`` be."""
    if out is None or not out.exists():
        return
    if not out.is_dir():
        raise OutputExistsError(f"{out} is a file; choose a folder for the output.")
    there = sorted(entry.name for entry in out.iterdir())
    if there and not (overwrite and there == [name]):
        hint = "replace it with --overwrite, or choose" if there == [name] else "choose"
        raise OutputExistsError(f"{out} is not empty ({', '.join(there[:5])}): {hint} another folder.")
