"""What warm-up found, kept in ``SYNTH_HOME/cache/tuning`` from one process to the next."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from synth.home import home
from synth.sampling.tuning import Tuning

Key = dict[str, str | int | bool]
"""All that the measurements depend on: model, device, precision, versions."""


class Kept(BaseModel):
    """One entry of the cache."""

    model_config = ConfigDict(frozen=True)

    model: str
    """Reference of the model, for people; two names may share one digest and so one entry."""
    key: Key
    tuning: Tuning


def read(key: Key) -> Tuning | None:
    """What was found under this key; None where there is nothing, or nothing that can be used."""
    kept = _read(_file(key))
    return None if kept is None or kept.key != key else kept.tuning


def write(model: str, key: Key, tuning: Tuning) -> None:
    """Keep a tuning. A cache that cannot be written costs a warm-up, and is no error."""
    path = _file(key)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(Kept(model=model, key=key, tuning=tuning).model_dump_json())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()


def entries() -> list[Kept]:
    """Everything that is kept, by model."""
    found = [_read(path) for path in sorted(_folder().glob("*.json"))]
    return sorted((kept for kept in found if kept is not None), key=lambda kept: kept.model)


def _folder() -> Path:
    return home() / "cache" / "tuning"


def _file(key: Key) -> Path:
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return _folder() / f"{name}.json"


def _read(path: Path) -> Kept | None:
    try:
        return Kept.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
