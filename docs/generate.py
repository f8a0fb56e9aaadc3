"""Write docs/cli.md from the command line itself: ``make docs``. A test checks that it is current."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from synth.cli.app import app

PAGE = Path(__file__).with_name("cli.md")
_INTRODUCTION = """\
# Command line

<!-- Made by docs/generate.py (make docs); do not edit. -->

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed at run time, 2 usage or
configuration, 130 interrupted. `SYNTH_HOME` (default `~/.synth`) holds models, runs and caches;
`SYNTH_DEBUG=1` adds the traceback to an error.
"""


def page() -> str:
    """The whole page, in Markdown; it depends on the commands alone, and not on the terminal."""
    root = typer.main.get_command(app)
    return "\n".join([_INTRODUCTION, *_sections(root, "synth")])


def _sections(command: Any, path: str) -> Iterator[str]:
    children = getattr(command, "commands", {})
    if not children:
        yield from _section(command, path)
    for name, child in children.items():
        yield from _sections(child, f"{path} {name}")


def _section(command: Any, path: str) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = [path, *(_argument(p) for p in arguments), *(_option(p) for p in options if p.required)]
    yield f"## {path}\n"
    yield f"    {' '.join(usage)}{' [OPTIONS]' if any(not p.required for p in options) else ''}\n"
    yield f"{(command.help or '').strip()}\n"
    if arguments or options:
        yield "| argument or option | meaning | default |\n| --- | --- | --- |"
        for parameter in arguments:
            yield _row(_argument(parameter), parameter)
        for parameter in options:
            yield _row(_option(parameter), parameter)
        yield ""


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    return name if parameter.required else f"[{name}]"


def _option(parameter: Any) -> str:
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return names if parameter.is_flag else f"{names} {parameter.metavar or parameter.name.strip('_').upper()}"


def _row(name: str, parameter: Any) -> str:
    default = parameter.default
    if isinstance(getattr(parameter, "show_default", None), str):
        default = parameter.show_default
    silent = parameter.required or default is None or default is False or default == ()
    shown = "" if silent else f"`{default}`"
    meaning = (parameter.help or "").replace("|", "\\|")
    return f"| `{name}` | {meaning} | {shown} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
