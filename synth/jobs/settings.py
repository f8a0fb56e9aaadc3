"""The settings of what works on jobs: ``SYNTH_*`` environment variables, then these defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from synth.errors import ConfigError
from synth.home import home, store_folder
from synth.jobs.database import Database
from synth.jobs.leases import LEASE_SECONDS
from synth.jobs.queue import Queue


class JobSettings(BaseSettings):
    """Where jobs are kept; servers and workers must agree on it."""

    model_config = SettingsConfigDict(env_prefix="SYNTH_", frozen=True, env_ignore_empty=True)

    database: str | None = Field(default=None, repr=False)
    """``sqlite:///PATH`` or ``postgresql://...``; None: SYNTH_HOME/jobs.db."""
    jobs_folder: Path = Field(default_factory=lambda: home() / "jobs")
    """What jobs make lies in it, ``ID/`` for each."""
    lease_seconds: float = Field(default=LEASE_SECONDS, gt=0)
    """How long a worker may be silent before its job is given to another one."""

    jobs_keep_days: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """How long a job that has ended is kept, with what it made; None: until it is removed."""

    def queue(self) -> Queue:
        """The queue of these settings, opened at its first use. Raises ConfigError for a bad ``database``."""
        return Queue(Database(self.database), lease_seconds=self.lease_seconds)


class WorkerSettings(JobSettings):
    """What a worker needs besides."""

    store: Path = Field(default_factory=store_folder)
    device: str = "auto"
    precision: Literal["auto", "32", "bf16", "16"] = "auto"
    poll_seconds: float = Field(default=1.0, gt=0)
    """How often an idle worker looks for a job."""


_Settings = TypeVar("_Settings", bound=JobSettings)


def load_job_settings() -> JobSettings:
    """Settings from the environment; ConfigError names the variable that is wrong."""
    return _load(JobSettings)


def load_worker_settings() -> WorkerSettings:
    """The same for workers."""
    return _load(WorkerSettings)


def _load(kind: type[_Settings]) -> _Settings:
    try:
        return kind()
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"SYNTH_{str(first['loc'][0]).upper()} is {first['input']!r}: {first['msg']}."
        ) from None
