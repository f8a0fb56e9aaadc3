"""The JSON Schema of pipelines (draft 2020-12), made of the operations themselves.

Editors complete and check specifications by it. What it cannot say (ids that come twice, flips of chiral
classes, ranges that begin with their upper end) is told by ``read_specification``.
"""

from __future__ import annotations

from typing import Any, get_args

from pydantic.json_schema import models_json_schema

from synth.augment.distributions import Distribution
from synth.augment.operation import MixingOperation, Need, Operation, Target
from synth.augment.specification import KINDS, Kind
from synth.augment.table import OPERATIONS, full_name, operation_type

_REFERENCE = "#/$defs/{model}"
_SEARCH = {"$ref": "#/$defs/search"}
_MEANINGS: dict[Kind, str] = {
    "one_of": "One of these steps, each equally often; a flip by default has a probability of 0.5 besides.",
    "some_of": "Some of these steps, in their order.",
    "sequence": "All of these steps, one after the other.",
}


def pipeline_schema() -> dict[str, Any]:
    """The schema of a specification, ready for JSON."""
    kinds = {name: operation_type(name) for name in OPERATIONS}
    mixing = [name for name, kind in kinds.items() if issubclass(kind, MixingOperation)]
    single = [name for name in kinds if name not in mixing]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Augmentation pipeline of synth",
        "type": "object",
        "properties": {
            "version": {"const": 1, "default": 1, "description": "Of this format."},
            "sample": _steps("step", "What is done to each sample, in this order."),
            "batch": _steps("mix", "What mixes samples with partners of the data set, after that."),
            "chiral": _open(
                {
                    "type": "array",
                    "items": {"type": "string"},
                    "default": [],
                    "description": "Classes whose mirror images belong to others: flips are refused.",
                }
            ),
            "min_visible": _share(0.0, "Boxes of whose area less is left inside of the image are dropped."),
            "min_area": _number(0.0, 2**32, "Boxes of fewer square pixels are dropped."),
            "min_side": _number(0.0, 2**32, "Boxes that are narrower or lower, in pixels, are dropped."),
        },
        "additionalProperties": False,
        "anyOf": [
            {"required": [stage], "properties": {stage: {"minItems": 1}}} for stage in ("sample", "batch")
        ],
        "$defs": {
            "search": {
                "type": "object",
                "properties": {"search": {"type": "array", "minItems": 1}},
                "required": ["search"],
                "additionalProperties": False,
                "description": "Left open: synth tune chooses one of these.",
            },
            "step": _any([_named(single), *single, *KINDS, "search"]),
            "mix": _any([_named(mixing), *mixing, "search"]),
            **{kind: _group(kind) for kind in KINDS},
            **_operations(kinds),
        },
    }


def _operations(kinds: dict[str, type[Operation]]) -> dict[str, Any]:
    """By full name; and what they refer to."""
    references, found = models_json_schema(
        [(kind, "validation") for kind in kinds.values()], ref_template=_REFERENCE
    )
    definitions: dict[str, Any] = found["$defs"]
    own = {
        name: definitions.pop(references[kind, "validation"]["$ref"].rpartition("/")[2])
        for name, kind in kinds.items()
    }
    return {name: _operation(name, kinds[name], schema) for name, schema in own.items()} | definitions


def _operation(name: str, kind: type[Operation], schema: dict[str, Any]) -> dict[str, Any]:
    fields = {field: _open(about) for field, about in schema["properties"].items()}
    for field, about in kind.model_fields.items():
        if isinstance(about.default, Distribution):
            fields[field]["default"] = about.default.plain()
    fields["id"]["default"] = name.partition("@")[0]
    return {
        **schema,
        "title": name,
        "properties": {"operation": {"enum": _names(name)}, **fields},
        "required": ["operation", *schema.get("required", ())],
        "x-synth": facts(kind),
    }


def facts(kind: type[Operation]) -> dict[str, Any]:
    """What an operation declares, ready for JSON: ``targets``, ``geometry``, ``labels``, ``needs``."""
    return {
        "targets": [name for name in get_args(Target) if name in kind.targets],
        "geometry": kind.geometry,
        "labels": kind.label_effect,
        "needs": [name for name in get_args(Need) if name in kind.needs],
    }


def _group(kind: Kind) -> dict[str, Any]:
    fields = {
        kind: {**_steps("step", _MEANINGS[kind]), "minItems": 1},
        "id": {"type": "string", "minLength": 1, "description": "By default its kind, numbered in its list."},
        "probability": _share(1.0, "Share of the samples that it is applied to."),
    }
    fields["within"] = _within()
    if kind == "some_of":
        number = {"type": "integer", "minimum": 0}
        pair = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
        about = "How many; or the least and the most."
        fields["count"] = {"anyOf": [number, pair, _SEARCH], "default": 1, "description": about}
    return {"type": "object", "properties": fields, "required": [kind], "additionalProperties": False}


def _within() -> dict[str, Any]:
    numbers = {"type": "array", "items": {"type": "integer"}, "minItems": 1}
    about = "Of the objects, each chosen by key."
    chosen = {
        "type": "object",
        "properties": {
            "classes": {"anyOf": [numbers, {"type": "null"}, _SEARCH], "description": "Of the objects."},
            "share": _share(1.0, about),
        },
        "additionalProperties": False,
    }
    return {
        "anyOf": [{"enum": ["objects", "background"]}, chosen, _SEARCH],
        "description": "Where alone the steps show: in objects, all or some, or in the background.",
    }


def _steps(items: str, about: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/$defs/{items}"}, "description": about}


def _any(members: list[Any]) -> dict[str, Any]:
    """Schemas, or names of definitions."""
    return {
        "anyOf": [one if isinstance(one, dict) else {"$ref": f"#/$defs/{one}"} for one in members],
    }


def _named(names: list[str]) -> dict[str, Any]:
    """An operation with its defaults, as those have that need nothing."""
    return {
        "enum": [
            known
            for name in names
            if not any(field.is_required() for field in operation_type(name).model_fields.values())
            for known in _names(name)
        ],
        "description": "An operation with its defaults.",
    }


def _names(name: str) -> list[str]:
    """``rotate@1``, and ``rotate`` where that is the newest."""
    bare = name.partition("@")[0]
    return [name, bare] if full_name(bare) == name else [name]


def _share(default: float, about: str) -> dict[str, Any]:
    return _number(default, 1, about)


def _number(default: float, most: float, about: str) -> dict[str, Any]:
    return _open({"type": "number", "minimum": 0, "maximum": most, "default": default, "description": about})


_ABOUT = ("title", "description", "default", "examples")


def _open(schema: dict[str, Any]) -> dict[str, Any]:
    """The same, or left to a search."""
    about = {key: value for key, value in schema.items() if key in _ABOUT}
    rest = {key: value for key, value in schema.items() if key not in _ABOUT}
    options = rest["anyOf"] if set(rest) == {"anyOf"} else [rest]
    return {"anyOf": [*options, _SEARCH], **about}
