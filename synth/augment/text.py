"""Pipelines as text, in YAML or JSON: read so that there is one meaning, whoever reads it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import yaml

from synth.errors import ConfigError
from synth.text import repeated

_MOST_BITS = 2**12
"""Of a whole number: longer ones mean nothing, and Python refuses to write those of some digits more."""
_MOST_DEEP = 100
"""Lists and mappings in each other; they are read by functions that call themselves."""
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
        if text.lstrip().startswith("{"):
            # YAML has nearly all of JSON, but for tabs.
            with contextlib.suppress(json.JSONDecodeError):
                return _usable(json.loads(text, object_pairs_hook=_once))
        _check_shape(text, aliases)
        return _usable(yaml.load(text, _Loader))
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{what} is neither YAML nor JSON: {error}.") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if (twice := repeated(name for name, _ in pairs)) is not None:
        raise ValueError(f"the key {twice!r} is there twice")
    return dict(pairs)


def _usable(values: Any) -> Any:
    """``values``; raises ValueError for what no message or digest could hold.

    That are lone surrogates (UnicodeEncodeError is a ValueError), and whole numbers of thousands of digits.
    """
    if isinstance(values, str):
        values.encode()
    elif isinstance(values, int) and values.bit_length() > _MOST_BITS:
        raise ValueError(f"a whole number has more than {_MOST_BITS:,} bits")
    elif isinstance(values, (list, tuple, dict)):
        for one in values.items() if isinstance(values, dict) else values:
            _usable(one)
    return values


def _check_shape(text: str, aliases: bool) -> None:
    """Raise YAMLError for what is to be found out before values are made of a text."""
    deep = 0
    for event in yaml.parse(text, _YAML):
        if isinstance(event, yaml.AliasEvent) and not aliases:
            raise yaml.YAMLError("aliases are not taken here, write it out")
        deep += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if deep > _MOST_DEEP:
            raise yaml.YAMLError(f"lists and mappings lie in each other more than {_MOST_DEEP} deep")


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
