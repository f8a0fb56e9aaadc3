"""Leaves of a specification that are left open for a search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def searchable(values: Any, path: str = "") -> list[tuple[str, Any]]:
    """(path, choices) of all leaves ``{search: ...}``, such as ``sample[0].degrees``."""
    if isinstance(values, Mapping):
        if set(values) == {"search"}:
            return [(path, values["search"])]
        inner = [(f"{path}.{name}" if path else str(name), value) for name, value in values.items()]
    elif isinstance(values, list):
        inner = [(f"{path}[{place}]", value) for place, value in enumerate(values)]
    else:
        return []
    return [leaf for name, value in inner for leaf in searchable(value, name)]


def with_chosen(values: Any, chosen: Mapping[str, Any], path: str = "") -> Any:
    """``values`` with the leaves of these paths replaced by what was chosen for them."""
    if path in chosen:
        return chosen[path]
    if isinstance(values, Mapping):
        return {
            name: with_chosen(value, chosen, f"{path}.{name}" if path else str(name))
            for name, value in values.items()
        }
    if isinstance(values, list):
        return [with_chosen(value, chosen, f"{path}[{place}]") for place, value in enumerate(values)]
    return values
