"""The settings of a server: flags, then ``SYNTH_*`` environment variables, then these defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from synth.errors import ConfigError
from synth.home import store_folder


class ServerSettings(BaseSettings):
    """Every field may be set as ``SYNTH_<NAME>`` in the environment."""

    model_config = SettingsConfigDict(env_prefix="SYNTH_", frozen=True, env_ignore_empty=True)

    store: Path = Field(default_factory=store_folder)
    """Folder of artifacts; it need not exist yet."""
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    """0 takes any free port."""
    allow_remote: bool = False
    """Listen on addresses that other machines can reach."""
    device: str = "auto"
    precision: Literal["auto", "32", "bf16", "16"] = "auto"
    max_images_per_request: int = Field(default=4096, ge=1)
    max_response_bytes: int = Field(default=256 * 2**20, ge=1)
    """Raw pixels of one answer: count x height x width x channels."""
    max_bytes_in_flight: int = Field(default=2 * 2**30, ge=1)
    """Memory of all answers that are waited for, made, encoded or sent: at the most several times their raw
    pixels. Further requests are refused with 503."""
    max_body_bytes: int = Field(default=2**20, ge=1)
    queue_limit: int = Field(default=64, ge=1)
    """Requests that are waiting or running; further ones are refused with 503."""
    max_loaded_models: int = Field(default=4, ge=1)
    """Model versions kept on the device; the one unused for longest goes first."""
    drain_seconds: float = Field(default=30.0, ge=0)
    """At shutdown, how long accepted requests may take to finish."""


def load_settings(**flags: Any) -> ServerSettings:
    """Settings from flags (None: not given), environment and defaults.

    Raises:
        ConfigError: a value is out of range or of the wrong type; the message names flag and variable.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return ServerSettings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        place = f"--{name.replace('_', '-')}" if name in given else f"SYNTH_{name.upper()}"
        raise ConfigError(f"{place} is {first['input']!r}: {first['msg']}.") from None
