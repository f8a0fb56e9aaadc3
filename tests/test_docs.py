"""Documents that can go stale."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


@pytest.mark.parametrize("name", ["cli.md", "api.md", "operations.md"])
def test_the_generated_references_are_current(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")  # they must not depend on the terminal
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    assert (ROOT / "docs" / name).read_text() == generate["PAGES"][name](), "run make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_synth_command_shown_is_understood(page: Path) -> None:
    """The verbs and options of commands in code blocks and inline code exist."""
    import typer

    from synth.cli.app import app

    root = typer.main.get_command(app)
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), flags=re.DOTALL):
        for line in re.findall(r"^synth (.*)$", block.replace("\\\n", " "), flags=re.MULTILINE):
            words = line.split("#")[0].removesuffix("&").split()
            command = root.commands[words[0]]
            while hasattr(command, "commands"):
                words = words[1:]
                command = command.commands[words[0]]
            known = {option for parameter in command.params for option in parameter.opts}
            assert {word for word in words if word.startswith("--")} <= known, line
