"""API keys: who may use a server. The file holds digests alone; nobody can get a secret back from it.

A key is ``sk_<id>_<secret>``: a public id of 12 hexadecimal digits, and 32 random bytes. The digest is one
plain SHA-256. Slow hashes (bcrypt, argon2) protect what people choose and attackers can guess; 256 random
bits cannot be guessed, and a slow hash would only let strangers spend the server's time.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from limits import parse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from synth.artifacts.files import exclusive, make_folder, replace_file, storage_errors
from synth.errors import ConfigError, NotFoundError, SynthError
from synth.home import home
from synth.text import closest, some

_ABSENT = hashlib.sha256(b"no key has this digest").hexdigest()
"""Compared with where there is no such id, so that the time taken does not tell whether there is."""
_LONGEST_TOKEN = 128

_State = tuple[int, int, int]


class KeyFileError(SynthError):
    """The file of keys cannot be trusted or read. Nobody is let in until it can."""

    exit_code = 2
    status = 503
    code = "unusable-keys"
    title = "The keys cannot be read"


class Key(BaseModel):
    """One key, without its secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    name: str = Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the whole token, hexadecimal."""
    created: datetime
    rate: str | None = None
    """Requests, as in ``100/minute``; None: as the server's settings say."""
    quota: int | None = Field(default=None, ge=0)
    """Images in a day; None: as the server's settings say."""

    @field_validator("rate")
    @classmethod
    def _known_rate(cls, value: str | None) -> str | None:
        return None if value is None else check_rate(value)


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid")

    schema_version: int = Field(default=1, ge=1, le=1)
    keys: list[Key] = []


def check_rate(value: str) -> str:
    """``value`` if it is one rate such as ``100/minute``; raises ValueError with an example if not."""
    try:
        item = parse(value)
    except ValueError:
        raise ValueError(f"{value!r} is no rate; write it as in 100/minute, 5/second or 2000/hour") from None
    if item.amount < 1 or item.multiples < 1:
        raise ValueError(f"{value!r} is no rate: nothing would ever be allowed")
    return value


class KeyFile:
    """``SYNTH_HOME/keys.json``: read again whenever it changes, so that a revoked key stops at once."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or home() / "keys.json"
        self._state: _State | None = None
        self._keys: dict[str, Key] = {}

    def exists(self) -> bool:
        """Whether there is a file, with keys or without: a server asks for keys as soon as there is one."""
        return os.path.lexists(self.path)

    def keys(self) -> dict[str, Key]:
        """All keys by id; none without a file. To be changed by nobody.

        Raises KeyFileError if the file is damaged, or may be read or written by others than its owner.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._state, self._keys = None, {}
            return self._keys
        except OSError as error:
            raise KeyFileError(f"{self.path} cannot be read: {error.strerror}.") from None
        state = (found.st_mtime_ns, found.st_size, found.st_ino)
        self._check_mode(found.st_mode)
        if state != self._state:
            self._keys = self._read()
            self._state = state
        return self._keys

    def find(self, token: str) -> Key | None:
        """The key that ``token`` is, or None; takes the same time for wrong ids and wrong secrets."""
        _, _, rest = token.partition("sk_")
        key = self.keys().get(rest.partition("_")[0])
        # Anything may come out of a header: what ASCII cannot carry is no token.
        given = hashlib.sha256(token[:_LONGEST_TOKEN].encode("utf-8", "replace")).hexdigest()
        right = hmac.compare_digest(given, key.digest if key is not None else _ABSENT)
        return key if right and len(token) <= _LONGEST_TOKEN else None

    def create(self, name: str, *, rate: str | None = None, quota: int | None = None) -> tuple[Key, str]:
        """A new key and its token, which is kept nowhere: whoever asked must write it down.

        Raises:
            ConfigError: the name is taken or unusable, or the rate or quota is none.
            KeyFileError, StorageError: the file cannot be read or written.
        """
        number = secrets.token_hex(6)
        token = f"sk_{number}_{secrets.token_urlsafe(32)}"
        digest = hashlib.sha256(token.encode()).hexdigest()
        try:
            key = Key(id=number, name=name, digest=digest, created=datetime.now(UTC), rate=rate, quota=quota)
        except ValidationError as error:
            first = error.errors()[0]
            message = first["msg"].removeprefix("Value error, ")
            raise ConfigError(f"The {first['loc'][0]} of the key is {first['input']!r}: {message}.") from None
        with self._changing() as keys:
            if any(other.name == name for other in keys.values()):
                raise ConfigError(
                    f"There is a key {name!r} already; choose another name, or revoke it first."
                )
            keys[key.id] = key
        return key, token

    def revoke(self, wanted: str) -> Key:
        """Remove the key of this name or id; servers refuse it from their next request on.

        Raises NotFoundError if there is none, and what ``create`` raises for the file.
        """
        with self._changing() as keys:
            for key in keys.values():
                if wanted in (key.id, key.name):
                    return keys.pop(key.id)
            names = [key.name for key in keys.values()]
            known = f"Keys: {some(names)}." if names else "There are no keys."
            raise NotFoundError(f"There is no key {wanted!r}{closest(wanted, names)}. {known}")

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Key]]:
        """The keys, written back once the block ends without an error; one writer at a time."""
        with storage_errors("keep the keys", self.path.parent):
            make_folder(self.path.parent)
            lock = self.path.with_name(self.path.name + ".lock")
            with exclusive(lock):
                keys = dict(self.keys())
                yield keys
                content = _Content(keys=list(keys.values())).model_dump_json(indent=2)
                replace_file(self.path, content.encode() + b"\n", private=True)

    def _read(self) -> dict[str, Key]:
        remedy = "Restore it, or remove it and make new keys with synth keys create."
        try:
            content = _Content.model_validate_json(self.path.read_bytes())
        except OSError as error:
            raise KeyFileError(f"{self.path} cannot be read: {error.strerror}.") from None
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(step) for step in first["loc"]) or "the file"
            raise KeyFileError(f"{self.path} is damaged at {place}: {first['msg']}. {remedy}") from None
        return {key.id: key for key in content.keys}

    def _check_mode(self, mode: int) -> None:
        if stat.S_IMODE(mode) & 0o077:
            raise KeyFileError(
                f"{self.path} may be read or written by others (mode {stat.S_IMODE(mode):04o}). If nobody "
                f"else has changed it: chmod 600 {self.path}"
            )
