"""The settings of a server: flags, then ``SYNTH_*`` environment variables, then these defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import SettingsConfigDict

from synth.errors import ConfigError
from synth.home import home, store_folder
from synth.jobs.settings import JobSettings
from synth.serving.access_log import LogForm
from synth.serving.keys import check_rate


class ServerSettings(JobSettings):
    """Every field may be set as ``SYNTH_<NAME>`` in the environment."""

    model_config = SettingsConfigDict(env_prefix="SYNTH_", frozen=True, env_ignore_empty=True)

    store: Path = Field(default_factory=store_folder)
    """Folder of artifacts; it need not exist yet."""
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    """0 takes any free port."""
    allow_remote: bool = False
    """Listen on addresses that other machines can reach, though there are no keys."""
    keys: Path = Field(default_factory=lambda: home() / "keys.json")
    """Who may use the server: see ``synth.serving.keys``. Without the file nobody is asked for a key."""
    rate: Annotated[str, AfterValidator(check_rate)] | None = None
    """Requests that one client may send, as in 100/minute, unless its key says otherwise; None: any."""
    quota: int | None = Field(default=None, ge=0)
    """Images that one client may have in a day, unless its key says otherwise; None: any number."""
    open_metrics: bool = False
    """/metrics needs no key."""
    access_log: LogForm = "auto"
    """json: a line of JSON on stderr for each request, warning and error; auto: unless that is a terminal."""
    tracing: bool | None = None
    """Send traces by OpenTelemetry; None: if there is OTEL_EXPORTER_OTLP_ENDPOINT to send them to."""
    drift_share: float = Field(default=0.01, ge=0, le=1, allow_inf_nan=False)
    """Share of the time that is spent on comparing images with those that models were trained on; 0: none."""
    allowed_hosts: str = ""
    """Names, separated by commas, that the header Host may have on loopback without keys."""
    allowed_origins: str = ""
    """Origins, separated by commas, of web pages elsewhere that may use the server; none by default."""
    device: str = "auto"
    precision: Literal["auto", "32", "bf16", "16"] = "auto"
    processes: int | None = Field(default=None, ge=0, le=64)
    """That compute on a CPU; None: one for each CPU, up to eight; 0: threads of the server itself. An
    accelerator is always computed on by the server itself."""
    max_images_per_request: int = Field(default=4096, ge=1)
    max_response_bytes: int = Field(default=256 * 2**20, ge=1)
    """Raw pixels of one answer: count x height x width x channels."""
    max_bytes_in_flight: int = Field(default=2 * 2**30, ge=1)
    """Memory of all uploads that arrive, and of all answers that are waited for, made, encoded or sent: at
    the most several times their raw pixels. Further requests are refused with 503."""
    max_body_bytes: int = Field(default=2**20, ge=1)
    """Of requests without images, and of all fields of an upload that are not images."""
    max_upload_bytes: int = Field(default=64 * 2**20, ge=1)
    """Of requests with images."""
    max_image_bytes: int = Field(default=32 * 2**20, ge=1)
    """Of each image in an upload."""
    max_image_pixels: int = Field(default=2**24, ge=1)
    """Width x height of each image in an upload. Decoding takes up to 17 bytes for each pixel, in up to four
    threads at once; they count towards max_bytes_in_flight."""
    max_upload_pixels: int = Field(default=2**28, ge=1)
    """Width x height of all images in an upload together: what decoding them may cost."""
    upload_seconds: float = Field(default=120.0, gt=0)
    """How long a client may take to send images."""
    queue_limit: int = Field(default=1024, ge=1)
    """Requests that are waiting or running; further ones are refused with 503."""
    deadline_seconds: float = Field(default=60.0, gt=0)
    """How long a request may take; clients may ask for less. What would take longer is refused with 503."""
    max_model_bytes: int | None = Field(default=None, ge=1)
    """Memory of all models that are loaded; the one unused for longest goes first. None: half of the memory
    that is free when the server starts, 80 % on an accelerator."""
    watch_seconds: float = Field(default=1.0, gt=0)
    """How often the store is looked at for new versions."""
    preload: str = "*"
    """Models, separated by commas, that are loaded at the start; until they are, the server is not ready.
    ``*``: the latest version of every name, as far as they can be loaded and the memory goes."""
    pipelines: Path | None = None
    """Folder of pipelines in YAML or JSON, that clients name by their files' names without suffix."""
    max_attack_steps: int = Field(default=200, ge=0)
    """Gradient steps, times restarts, of all attacks in a pipeline that a client sends."""
    max_attack_queries: int = Field(default=2000, ge=0)
    """Queries of all attacks by decisions in a pipeline that a client sends."""
    workers: int = Field(default=1, ge=0, le=64)
    """Processes that do jobs; 0 where others do them (synth jobs work)."""
    max_images_per_job: int = Field(default=10_000_000, ge=1)
    max_open_jobs: int = Field(default=1_000, ge=1)
    """Jobs that are waiting or running; further ones are refused with 503."""
    event_stream_seconds: float = Field(default=600.0, gt=0)
    """After so long a stream of events ends; its client comes back and misses nothing."""
    drain_seconds: float = Field(default=30.0, ge=0)
    """At shutdown, how long accepted requests may take to finish."""


def listed(value: str) -> list[str]:
    """The items of a setting that is a list separated by commas."""
    return [item.strip() for item in value.split(",") if item.strip()]


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
