"""Imports: lazy at the front door, and one-way inside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import synth

ROOT = Path(__file__).parents[1]


def test_import_synth_loads_no_library() -> None:
    code = "import synth, sys; print([n for n in ('torch', 'numpy', 'pydantic', 'PIL') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize("name", synth.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(synth, name) is not None
    assert name in dir(synth)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Samplr'"):
        _ = synth.Samplr  # type: ignore[attr-defined]


@pytest.mark.parametrize("link", ["models", "training", "serving"])
def test_the_links_at_the_top_show_the_parts_of_the_package(link: str) -> None:
    assert (ROOT / link).is_symlink()
    assert (ROOT / link).resolve() == ROOT / "synth" / link


def test_imports_point_one_way() -> None:
    checked = subprocess.run(
        [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports_command as c; c()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout
