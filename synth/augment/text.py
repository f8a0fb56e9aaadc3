"""Pipelines as text, in YAML or JSON: read so that there is one meaning, whoever reads it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import yaml

from synth.errors import ConfigError


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
                return _unicode(json.loads(text, object_pairs_hook=_once))
        return _unicode(yaml.load(text, _Loader if aliases else _PlainLoader))
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{what} is neither YAML nor JSON: {error}.") from error


def _unicode(values: Any) -> Any:
    """``values``; raises UnicodeEncodeError, a ValueError, for lone surrogates, which no digest can be of."""
    if isinstance(values, str):
        values.encode()
    elif isinstance(values, (list, dict)):
        for one in values.items() if isinstance(values, dict) else values:
            _unicode(list(one) if isinstance(one, tuple) else one)
    return values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return found


class _Loader(yaml.SafeLoader):
    """Plain values alone, and no key twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} is there twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


class _PlainLoader(_Loader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not taken here, write it out")
        return super().compose_node(parent, index)
