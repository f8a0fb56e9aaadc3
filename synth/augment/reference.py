"""The page of all operations, made of what they declare."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from synth.augment.operation import MixingOperation
from synth.augment.schema import pipeline_schema
from synth.augment.table import OPERATIONS, operation_type

_COMMON = ("operation", "id", "probability", "digest")
_HEAD = """\
How pipelines are written is told in [Augmentation](augment.md). Every operation has an `id` and a
`probability` besides its parameters, and each parameter may be `{search: [...]}`. *Drawn* ones take a number,
a range, or a distribution.

- **Carries**: what is right after it. Samples that have anything else are refused.
- **Geometry**: `moves` pixels, and boxes, masks and points with them, or `resizes` the image, too.
- **Labels**: `preserve`; `mix` to shares; `condition`: they decide what is made; `pseudo`: a model gives
  them; `drop`: they go with what they were of.
- **Needs**: a `partner` (then it stands under `batch`), `objects` whose pixels are known, a `model` of the
  store, its `gradients`, or `labels`.
"""


def operations_page(made_by: str) -> str:
    """The whole page, in Markdown."""
    schemas: dict[str, Any] = pipeline_schema()["$defs"]
    lines = [f"# Operations\n\n{made_by}\n", _HEAD, *_overview(schemas)]
    for name in OPERATIONS:
        lines += _section(name, schemas[name])
    return "\n".join(lines)


def _overview(schemas: dict[str, Any]) -> Iterator[str]:
    yield "| operation | carries | geometry | labels | needs |\n| --- | --- | --- | --- | --- |"
    for name in OPERATIONS:
        known = schemas[name]["x-synth"]
        needs = ", ".join(known["needs"])
        carries = "all" if len(known["targets"]) == 5 else ", ".join(known["targets"])
        link = f"[{name}](#{name.replace('@', '')})"
        yield f"| {link} | {carries} | {known['geometry']} | {known['labels']} | {needs} |"
    yield ""


def _section(name: str, schema: dict[str, Any]) -> Iterator[str]:
    stage = " Stands under `batch`." if issubclass(operation_type(name), MixingOperation) else ""
    yield f"## {name}\n\n{schema['description']}{stage}\n"
    fields = {field: about for field, about in schema["properties"].items() if field not in _COMMON}
    if fields:
        yield "| parameter | values | default | meaning |\n| --- | --- | --- | --- |"
    for field, about in fields.items():
        required = field in schema["required"]
        default = "(required)" if required else f"`{json.dumps(about.get('default'))}`"
        yield f"| `{field}` | {_values(about)} | {default} | {_cell(about['description'])} |"
    if fields:
        yield ""


def _values(about: dict[str, Any]) -> str:
    choices = [one for one in about["anyOf"] if "$ref" not in one]
    if any("uniform" in one.get("properties", ()) for one in choices):
        return f"drawn: {_one(choices[0])}"
    return " or ".join(dict.fromkeys(map(_one, choices)))


def _one(schema: dict[str, Any]) -> str:
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        pair = schema.get("prefixItems")
        return f"two of {_one(pair[0])}" if pair else f"list of {_one(schema.get('items', {}))}"
    if schema.get("type") in ("number", "integer"):
        kind = {"number": "number", "integer": "whole number"}[schema["type"]]
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        if low is None and high is None:
            return kind
        return f"{kind} from {low:g}" if high is None else f"{kind}, {low:g} to {high:g}"
    kind = str(schema.get("type", "any"))
    return {"null": "none", "object": "mapping", "string": "text"}.get(kind, kind)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
