"""What is known of a job, as plain values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from synth.errors import UsageError

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
STATES: tuple[State, ...] = get_args(State)
FINAL: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})
"""States that a job stays in."""

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""Ids name folders: no dots and no separators, so that none can lead elsewhere."""


@dataclass(frozen=True)
class Job:
    """One job. Times are seconds since 1970 (UTC).

    Attributes:
        number: its place in the queue; later jobs have higher ones.
        id: the client's, or one made by the server.
        kind: a name of ``synth.jobs.kinds.KINDS``.
        body: the request, defaults filled in.
        pinned: what was settled when the job was made, such as the version of its model.
        client: whose job it is: the id of an API key, or ``anonymous``.
        state: see ``State``.
        cancelling: whether it was told to stop.
        attempt: how often a worker has begun it; also the token without which nothing may be said of it.
        crashes: how many of these workers fell silent.
        worker: the name of the last of them.
        progress: ``synth.jobs.progress.Progress`` as a mapping, once there is some.
        result: what a succeeded job made.
        error: ``code``, ``title`` and ``detail`` of a failed job.
        last_event: number of its newest event.
    """

    number: int
    id: str
    kind: str
    body: Mapping[str, Any]
    pinned: Mapping[str, Any]
    client: str
    state: State
    cancelling: bool
    attempt: int
    crashes: int
    worker: str | None
    created: float
    started: float | None
    finished: float | None
    progress: Mapping[str, Any] | None
    result: Mapping[str, Any] | None
    error: Mapping[str, str] | None
    last_event: int

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in FINAL


@dataclass(frozen=True)
class Event:
    """Something that happened to a job; ``number`` counts from 1 for each job, without gaps when made."""

    number: int
    time: float
    type: Literal["state", "progress"]
    data: Mapping[str, Any]


def check_id(id: str) -> str:
    """``id`` if a job may be called so; otherwise UsageError."""
    if re.fullmatch(ID_PATTERN, id) is None or not id.isascii():
        raise UsageError(
            f"A job cannot be called {id[:80]!r}. An id is 1 to 64 letters, digits, hyphens or underscores, "
            "beginning with a letter or digit."
        )
    return id
