"""Small helpers for messages that people read."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable, Sequence


def closest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the most similar known word, or an empty string."""
    found = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def some(names: Sequence[object], limit: int = 10) -> str:
    """The first names, and how many more there are: ``a, b, c and 4 more``."""
    shown = ", ".join(str(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def brief(error: Exception) -> str:
    """The beginning of an error's text, on one line; that of torch goes on for pages."""
    return textwrap.shorten(str(error), 200, placeholder=" ...")


def plural(count: int, noun: str) -> str:
    """``1 image``, ``2 images``, ``1,234 boxes``."""
    ending = "es" if noun.endswith("x") else "s"
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}{ending}"


def repeated(names: Iterable[str]) -> str | None:
    """The first name that was there before; None where each is there once."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
