"""Rows of the data base as values, and what is said of them in events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from synth.errors import NotFoundError
from synth.jobs.records import FINAL, Job, State
from synth.jobs.tables import EventRow, JobRow

_KEPT_PROGRESS = 100
"""Progress events of a job; older ones say nothing that a later one does not."""


def find_row(session: Session, id: str, *, lock: bool = False) -> JobRow | None:
    """The job of that id, or None. ``lock``: until the end of the transaction."""
    query = select(JobRow).where(JobRow.id == id)
    return session.scalars(query.with_for_update() if lock else query).first()


def require_row(session: Session, id: str, *, lock: bool = False) -> JobRow:
    """The job of that id; NotFoundError if there is none."""
    row = find_row(session, id, lock=lock)
    if row is None:
        raise NotFoundError(
            f"There is no job {id[:80]!r}. synth jobs list, and GET /v1/jobs, show those there are."
        )
    return row


def end_job(session: Session, row: JobRow, state: State, now: float) -> None:
    """Bring a job into a state that it stays in."""
    row.state, row.cancelling, row.finished = state, False, now
    say_state(session, row, now)


def say_state(session: Session, row: JobRow, now: float) -> None:
    """Add an event with the state of a job, and what came of it."""
    data: dict[str, Any] = {"state": row.state, "cancelling": row.cancelling, "attempt": row.attempt}
    if row.state in FINAL:
        data |= {"result": row.result, "error": row.error}
    _say(session, row, now, "state", data)


def say_progress(session: Session, row: JobRow, now: float, progress: Mapping[str, Any] | None) -> None:
    """Keep how far a job is, and add an event with it, if it is news."""
    if progress is None or progress == row.progress:
        return
    row.progress = dict(progress)
    _say(session, row, now, "progress", progress)
    old = (EventRow.job == row.number, EventRow.number <= row.last_event - _KEPT_PROGRESS)
    session.execute(delete(EventRow).where(*old, EventRow.type == "progress"))


def _say(session: Session, row: JobRow, now: float, type: str, data: Mapping[str, Any]) -> None:
    row.last_event += 1
    session.add(EventRow(job=row.number, number=row.last_event, time=now, type=type, data=dict(data)))


def as_job(row: JobRow) -> Job:
    """All columns as a value that outlives the session."""
    return Job(
        number=row.number,
        id=row.id,
        kind=row.kind,
        body=row.body,
        pinned=row.pinned,
        client=row.client,
        state=row.state,  # type: ignore[arg-type]
        cancelling=row.cancelling,
        attempt=row.attempt,
        crashes=row.crashes,
        worker=row.worker,
        created=row.created,
        started=row.started,
        finished=row.finished,
        progress=row.progress,
        result=row.result,
        error=row.error,
        last_event=row.last_event,
    )
