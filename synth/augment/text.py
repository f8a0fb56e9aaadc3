"""Pipelines as text, in YAML or JSON: read so that there is one meaning, whoever reads it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from synth.errors import ConfigError
from synth.text import repeated

_DEEPEST = 64
"""Lists and mappings in each other; they are read by functions that call themselves."""
_TOO_DEEP = f"lists and mappings lie in each other more than {_DEEPEST} deep"
_SURROGATE = re.compile("[\ud800-\udfff]")
_YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_text(text: str, what: str, *, aliases: bool = True) -> Any:
    """The plain values that a text stands for.

    Args:
        what: the text is called in messages.
        aliases: whether parts may be said once and meant several times. A few lines of those can stand for
            more than any memory holds, so that no stranger may use them.

    Raises ConfigError where it is neither YAML nor JSON, or a key is there twice.
    """
    try:
        return check_plain(_parsed(text, aliases=aliases), what)
    except RecursionError:
        raise ConfigError(f"{what}: {_TOO_DEEP}.") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ConfigError(f"{what} is neither YAML nor JSON: {error}.") from error


def _parsed(text: str, *, aliases: bool) -> Any:
    if text.lstrip().startswith("{"):
        # YAML has nearly all of JSON, but for tabs.
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(text, object_pairs_hook=_once)
    _check_shape(text, aliases)
    return yaml.load(text, _Loader)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if (twice := repeated(name for name, _ in pairs)) is not None:
        raise ValueError(f"the key {twice!r} is there twice")
    return dict(pairs)


def check_plain(values: Any, what: str, depth: int = 0) -> Any:
    """``values``, of lists, mappings, texts and numbers, as they were given.

    Raises ConfigError for values that lie too deep in each other, texts with lone surrogates, which no digest
    can be of, and whole numbers beyond 64 bits, which nothing takes.
    """
    if depth > _DEEPEST:
        raise ConfigError(f"{what}: {_TOO_DEEP}.")
    if isinstance(values, str) and _SURROGATE.search(values):
        raise ConfigError(f"{what} holds {values!r}, which is no text: half of a pair of code units.")
    if isinstance(values, int) and abs(values) >= 2**64:
        raise ConfigError(f"{what} holds a whole number of more than 64 bits.")
    if isinstance(values, Mapping):
        for name, value in values.items():
            check_plain(name, what, depth + 1)
            check_plain(value, what, depth + 1)
    elif isinstance(values, (list, tuple)):
        for value in values:
            check_plain(value, what, depth + 1)
    return values


def _check_shape(text: str, aliases: bool) -> None:
    """Raise YAMLError for what is to be found out before values are made of a text."""
    deep = 0
    for event in yaml.parse(text, _YAML):
        if isinstance(event, yaml.AliasEvent) and not aliases:
            raise yaml.YAMLError("aliases are not taken here, write it out")
        deep += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if deep > _DEEPEST:
            raise yaml.YAMLError(_TOO_DEEP)


class _Loader(_YAML):  # type: ignore[misc]
    """Plain values alone, and no key twice."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (LookupError, AttributeError):
            # Of a tag such as !!int that a text has which is none.
            raise yaml.constructor.ConstructorError(
                None, None, f"{node.value!r} is no {node.tag.rpartition(':')[2]}", node.start_mark
            ) from None

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [
            key
            for key, _ in node.value
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge"
        ]
        if (twice := repeated(key.value for key in keys)) is not None:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice!r} is there twice", node.start_mark
            )
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    # As YAML 1.2 and JSON have them: PyYAML takes 1e-3 for a text, as there is no point in it.
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)
