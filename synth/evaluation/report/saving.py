"""A report on disk: ``report.json`` and ``report.html`` in a folder of their own."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydantic import ValidationError

from synth.artifacts.files import make_folder, publish_folder, replace_file, storage_errors
from synth.errors import NotFoundError, OutputExistsError, SourceError
from synth.evaluation.report.html import render_html
from synth.evaluation.report.model import SCHEMA, Report

JSON, HTML = "report.json", "report.html"


def check_out(out: Path, *, overwrite: bool) -> None:
    """Raise OutputExistsError where a report may not be written to ``out``; before hours are spent on it."""
    if out.exists() and not out.is_dir():
        raise OutputExistsError(f"{out} is a file. Name a folder that is new or empty.")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise OutputExistsError(
            f"{out} is not empty. Name another folder, or replace the report in it with --overwrite (other "
            "files stay)."
        )


def save_report(report: Report, out: Path, *, overwrite: bool = False) -> tuple[Path, Path]:
    """Write JSON and HTML into ``out``, whole or not at all; returns their paths.

    Raises:
        OutputExistsError: ``out`` holds something, and ``overwrite`` is not given. With it only a report's
            two files are replaced.
        StorageError: the disk is full or cannot be written.
    """
    check_out(out, overwrite=overwrite)
    folder = out.absolute()
    files = {JSON: to_json(report).encode(), HTML: render_html(report).encode()}
    with storage_errors("write the report", folder):
        make_folder(folder.parent)
        if folder.is_dir() and any(folder.iterdir()):
            for name, data in files.items():
                replace_file(folder / name, data)
        else:
            publish_folder(folder.with_name(f".{folder.name}.{os.getpid()}"), folder, files)
    return out / JSON, out / HTML


def to_json(report: Report) -> str:
    """The report as indented JSON."""
    return report.model_dump_json(indent=2) + "\n"


def load_report(path: Path) -> Report:
    """Read a ``report.json``, or the one in a folder.

    Raises NotFoundError where there is none, SourceError where it is damaged or of a newer schema.
    """
    file = path / JSON if path.is_dir() else path
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise NotFoundError(f"There is no report at {file}.") from None
    except (ValueError, RecursionError):
        raise SourceError(f"{file} is damaged: it is not JSON.") from None
    schema = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(schema, int) or content.get("kind") != "synth-report":
        raise SourceError(f"{file} is not a report of synth.")
    if schema > SCHEMA:
        raise SourceError(
            f"{file} has schema {schema}, newer than this synth knows ({SCHEMA}); update synth."
        )
    try:
        return Report.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SourceError(f"{file} is damaged ({where}: {first['msg']}).") from None
