"""What commands print on stdout, and how they read what several of them take."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from synth.errors import ConfigError

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
