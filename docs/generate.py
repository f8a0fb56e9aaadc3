"""Write docs/cli.md, api.md and operations.md from the program itself: ``make docs``. A test checks them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

from synth.augment.reference import operations_page
from synth.cli.app import app
from synth.serving import ServerSettings, create_app
from synth.serving.documentation import COMMON_HEADERS
from synth.serving.problem_table import MEANINGS, examples

_MADE = "<!-- Made by docs/generate.py (make docs); do not edit. -->"
_COMMAND_LINE = f"""\
# Command line

{_MADE}

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed at run time, 2 usage or
configuration, 130 interrupted. `SYNTH_HOME` (default `~/.synth`) holds models, runs and caches;
`SYNTH_DEBUG=1` adds the traceback to an error.
"""


_API = f"""\
# HTTP API

{_MADE}

In short what a server tells at `/openapi.json`; at `/docs` it can be tried out. How to run one is told in
[Serving](serving.md).
"""


def command_line() -> str:
    """The whole page, in Markdown; it depends on the commands alone, and not on the terminal."""
    root = typer.main.get_command(app)
    return "\n".join([_COMMAND_LINE, *_sections(root, "synth")])


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
    return f"| `{name}` | {_cell(parameter.help)} | {shown} |"


def api() -> str:
    """The whole page, in Markdown; it depends on the application alone."""
    with tempfile.TemporaryDirectory() as store:
        # Nothing is opened to describe it, and no device is needed.
        description = create_app(ServerSettings(store=Path(store)), open_generator=_no_generator).openapi()
    lines = [_API, f"{description['info']['description']}\n", *_everywhere(description)]
    for tag in description["tags"]:
        lines += [f"## {tag['name'].capitalize()}\n", f"{tag['description']}\n"]
        for path, item in description["paths"].items():
            for method, operation in item.items():
                if tag["name"] in operation["tags"]:
                    lines += _operation(f"{method.upper()} {path}", operation)
    return "\n".join([*lines, *_schemas(description), *_problems()])


def _no_generator(artifact: object) -> Any:
    raise NotImplementedError


def _everywhere(description: dict[str, Any]) -> Iterator[str]:
    yield "## Headers of every answer\n\n| header | meaning |\n| --- | --- |"
    for name, about in COMMON_HEADERS.items():
        yield f"| `{name}` | {_cell(about)} |"
    yield ""
    yield "## Keys\n\n| send | meaning |\n| --- | --- |"
    for scheme in description["components"]["securitySchemes"].values():
        send = f"{scheme['name']}: KEY" if scheme["type"] == "apiKey" else "Authorization: Bearer KEY"
        yield f"| `{send}` | {_cell(scheme['description'])} |"
    yield ""


def _operation(name: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}\n\n{operation['description']}\n"
    parameters = operation.get("parameters", ())
    if parameters:
        yield "| parameter | in | type | meaning |\n| --- | --- | --- | --- |"
        for one in parameters:
            kind, about = _type(one["schema"]), _cell(one.get("description"))
            yield f"| `{one['name']}` | {one['in']} | {kind} | {about} |"
        yield ""
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Body: {_type(content['schema'])}, as `{media_type}`.\n"
    yield "| status | answer | meaning |\n| --- | --- | --- |"
    for status, answer in operation["responses"].items():
        kinds = [
            f"`{media_type}`: {_type(content['schema'])}"
            if "$ref" in content["schema"]
            else f"`{media_type}`"
            for media_type, content in answer.get("content", {}).items()
        ]
        if int(status) < 400:
            meaning = _cell(answer["description"]).replace("Successful Response", "")
            yield f"| {status} | {', '.join(kinds)} | {meaning} |"
    failures = [status for status in operation["responses"] if int(status) >= 400]
    yield f"| {', '.join(failures)} | [problem](#problems) | |\n"
    headers = {
        name: header
        for status, answer in operation["responses"].items()
        if int(status) < 400
        for name, header in answer.get("headers", {}).items()
        if name not in COMMON_HEADERS
    }
    if headers:
        yield "| header of the answer | meaning |\n| --- | --- |"
    for name, header in headers.items():
        yield f"| `{name}` | {_cell(header['description'])} |"
    if headers:
        yield ""


def _schemas(description: dict[str, Any]) -> Iterator[str]:
    yield "## Types\n"
    for name, schema in sorted(description["components"]["schemas"].items()):
        yield f"### {name}\n\n{schema.get('description', '')}\n"
        if not schema.get("properties"):
            continue
        yield "| field | type | default | meaning |\n| --- | --- | --- | --- |"
        for field, about in schema["properties"].items():
            default = f"`{json.dumps(about['default'])}`" if "default" in about else ""
            if field in schema.get("required", ()):
                default = "(required)"
            yield f"| `{field}` | {_type(about)} | {default} | {_cell(about.get('description'))} |"
        yield ""


def _problems() -> Iterator[str]:
    yield "## Problems\n\n| status | meaning | codes |\n| --- | --- | --- |"
    for status, meaning in MEANINGS.items():
        codes = ", ".join(f"`{code}`" for code in examples(status))
        yield f"| {status} | {meaning} | {codes} |"
    yield ""


def _type(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " or ".join(f"`{json.dumps(value)}`" for value in values)
    if choices := schema.get("anyOf", schema.get("oneOf")):
        return " or ".join(dict.fromkeys(_type(one) for one in choices))
    if schema.get("type") == "array":
        items = schema.get("items") or {"anyOf": schema.get("prefixItems", [])}
        return f"list of {_type(items)}" if items != {"anyOf": []} else "list"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    bounds = [f"{sign} {schema[key]:,}" for key, sign in _BOUNDS.items() if key in schema]
    return " ".join([str(schema.get("type", "any")), *bounds])


_BOUNDS = {"minimum": ">=", "maximum": "<="}


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def operations() -> str:
    """The whole page, in Markdown; it depends on the operations alone."""
    return operations_page(_MADE)


PAGES: dict[str, Callable[[], str]] = {"cli.md": command_line, "api.md": api, "operations.md": operations}

if __name__ == "__main__":
    for name, make in PAGES.items():
        path = Path(__file__).with_name(name)
        path.write_text(make(), encoding="utf-8")
        print(path)
