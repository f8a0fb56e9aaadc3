"""How artifacts are named: NAME, NAME@latest, NAME@3, NAME@stable."""

from __future__ import annotations

import re
from dataclasses import dataclass

from synth.errors import ConfigError, UsageError

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
_RULE = "1 to 64 lower-case letters, digits, dots, underscores or hyphens, beginning with a letter or digit"
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_ALIAS = re.compile(r"[a-z][a-z0-9._-]{0,63}")
_LATEST = "latest"


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


def check_alias(alias: str) -> str:
    """Return ``alias`` if a version may be called so; otherwise ConfigError."""
    if alias == _LATEST:
        raise ConfigError("'latest' always means the newest version; choose another alias, as in 'stable'.")
    if not _ALIAS.fullmatch(alias):
        raise ConfigError(
            f"A version cannot have the alias {alias!r}. An alias is 1 to 64 lower-case letters, digits, "
            "dots, underscores or hyphens, beginning with a letter; try 'stable'."
        )
    return alias


@dataclass(frozen=True)
class Reference:
    """A name and what follows its ``@``: a version or an alias; ``pinned`` unless it is a bare name."""

    name: str
    version: int | None
    """None: the latest, or what the alias means."""
    pinned: bool
    alias: str | None = None

    @staticmethod
    def parse(text: str) -> Reference:
        """Read NAME, NAME@latest, NAME@VERSION or NAME@ALIAS; UsageError for anything else."""
        name, at, wanted = text.partition("@")
        version = parse_version(wanted)
        if not at or version is not None or wanted == _LATEST:
            return Reference(name, version, bool(at))
        if not _ALIAS.fullmatch(wanted):
            raise UsageError(
                f"Cannot read the model reference {text!r}; write NAME, NAME@latest, NAME@3 or NAME@ALIAS."
            )
        return Reference(name, None, True, wanted)

    def __str__(self) -> str:
        """As it is written; a bare name for the latest version."""
        wanted = self.alias if self.version is None else str(self.version)
        return self.name if wanted is None else f"{self.name}@{wanted}"
