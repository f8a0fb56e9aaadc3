"""How artifacts are named: NAME, NAME@latest, NAME@3."""

from __future__ import annotations

import re
from dataclasses import dataclass

from synth.errors import ConfigError, UsageError

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
_RULE = "1 to 64 lower-case letters, digits, dots, underscores or hyphens, beginning with a letter or digit"
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


def check_name(name: str) -> str:
    """Return ``name`` if artifacts may be called so; otherwise ConfigError, with a name that would do."""
    if re.fullmatch(NAME_PATTERN, name):
        return name
    better = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).lstrip("._-")[:64].rstrip("._-")
    hint = f"; try {better!r}" if better else ""
    raise ConfigError(f"A model cannot be called {name!r}{hint}. A name is {_RULE}.")


def parse_version(text: str) -> int | None:
    """The version number that a folder name or reference writes (1, 2, ...), or None."""
    return int(text) if _VERSION.fullmatch(text) else None


@dataclass(frozen=True)
class Reference:
    """A name and what follows its ``@``: a version, or None; ``pinned`` unless it is a bare name."""

    name: str
    version: int | None
    """None: the latest."""
    pinned: bool

    @staticmethod
    def parse(text: str) -> Reference:
        """Read NAME, NAME@latest or NAME@VERSION; UsageError for anything else after the ``@``."""
        name, at, wanted = text.partition("@")
        version = parse_version(wanted)
        if at and version is None and wanted != "latest":
            raise UsageError(f"Cannot read the model reference {text!r}; write NAME, NAME@latest or NAME@3.")
        return Reference(name, version, bool(at))
