"""The queue: who asked for what, and which worker does it now."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from synth.errors import OverloadError, UsageError
from synth.jobs.leases import OPEN, Leases
from synth.jobs.records import FINAL, Event, Job, State, check_id
from synth.jobs.rows import as_job, end_job, find_row, require_row, say_state
from synth.jobs.tables import EventRow, JobRow


class JobMismatchError(UsageError):
    """There is a job of that id, and it was asked for with another body."""

    code = "job-mismatch"
    title = "The id stands for another job"


class JobActiveError(UsageError):
    """The job waits or runs, and what it makes cannot be taken from it."""

    status = 409
    code = "job-active"
    title = "The job has not ended"


class Queue(Leases):
    """What clients do with jobs, and what workers do with them."""

    def create(
        self,
        id: str,
        kind: str,
        body: Mapping[str, Any],
        *,
        pinned: Mapping[str, Any] | None = None,
        client: str = "anonymous",
        most_open: int | None = None,
    ) -> tuple[Job, bool]:
        """A new job, and True; or the job of that id as it is, and False.

        Raises:
            UsageError: a job cannot be called so.
            JobMismatchError: there is a job of that id with another kind or body.
            OverloadError: ``most_open`` jobs are waiting or running already.
        """
        check_id(id)
        try:
            with self.database.writing() as session:
                row = find_row(session, id)
                if row is None:
                    self._check_room(session, most_open)
                    row = JobRow(id=id, kind=kind, body=dict(body), pinned=dict(pinned or {}), client=client)
                    row.created = self._now(session)
                    row.state, row.cancelling, row.attempt, row.crashes, row.last_event = (
                        "queued",
                        False,
                        0,
                        0,
                        0,
                    )
                    session.add(row)
                    session.flush()
                    say_state(session, row, row.created)
                    return as_job(row), True
                job = as_job(row)
        except IntegrityError:  # PostgreSQL: another request made it in the meantime
            job = self.get(id)
        # As text: the order of counted labels is a part of the request.
        if job.kind != kind or json.dumps(job.body) != json.dumps(body):
            raise JobMismatchError(
                f"The job {id} was asked for with another body. Repeat that body, or choose another id."
            )
        return job, False

    def get(self, id: str) -> Job:
        """The job of that id; NotFoundError if there is none."""
        with self.database.reading() as session:
            return as_job(require_row(session, id))

    def list(
        self,
        *,
        state: State | None = None,
        kind: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[Job]:
        """The newest jobs first; ``before``: only those whose number is lower."""
        query = select(JobRow).order_by(JobRow.number.desc()).limit(limit)
        if state is not None:
            query = query.where(JobRow.state == state)
        if kind is not None:
            query = query.where(JobRow.kind == kind)
        if before is not None:
            query = query.where(JobRow.number < before)
        with self.database.reading() as session:
            return [as_job(row) for row in session.scalars(query)]

    def counts(self) -> dict[str, int]:
        """How many jobs there are in each state that has any."""
        query = select(JobRow.state, func.count()).group_by(JobRow.state)
        with self.database.reading() as session:
            return {row[0]: row[1] for row in session.execute(query)}

    def events(self, id: str, *, after: int = 0, limit: int = 1_000) -> tuple[Job, Sequence[Event]]:
        """The job, and what happened to it after the event of that number; NotFoundError without a job."""
        with self.database.reading() as session:
            row = require_row(session, id)
            found: Sequence[EventRow] = []
            if row.last_event > after:
                query = select(EventRow).where(EventRow.job == row.number, EventRow.number > after)
                found = session.scalars(query.order_by(EventRow.number).limit(limit)).all()
            return as_job(row), [
                Event(event.number, event.time, event.type, event.data)  # type: ignore[arg-type]
                for event in found
            ]

    def cancel(self, id: str) -> Job:
        """Stop a job: at once if it waits, soon if it runs; one that has ended stays as it is.

        Raises NotFoundError if there is none of that id.
        """
        with self.database.writing() as session:
            row = require_row(session, id, lock=True)
            now = self._now(session)
            if row.state == "queued":
                end_job(session, row, "cancelled", now)
            elif row.state == "running" and not row.cancelling:
                row.cancelling = True
                say_state(session, row, now)
            return as_job(row)

    def retry(self, id: str) -> Job:
        """Queue a failed or cancelled job again; it goes on with what is finished.

        Raises NotFoundError if there is none of that id, and UsageError if it has not ended so.
        """
        with self.database.writing() as session:
            row = require_row(session, id, lock=True)
            if row.state not in ("failed", "cancelled"):
                raise UsageError(
                    f"The job {id} is {row.state}; only a failed or cancelled one is tried again."
                )
            row.state, row.cancelling, row.crashes, row.available_at = "queued", False, 0, 0.0
            row.finished = row.error = None
            say_state(session, row, self._now(session))
            return as_job(row)

    def remove(self, id: str, discard: Callable[[], None]) -> bool:
        """Forget a job that has ended, after ``discard`` has taken away what it made; False if there is none.

        While ``discard`` runs, which must be short, nobody can retry the job. Raises JobActiveError if it
        waits or runs.
        """
        check_id(id)
        with self.database.writing() as session:
            row = find_row(session, id, lock=True)
            if row is None:
                return False
            if row.state not in FINAL:
                raise JobActiveError(
                    f"The job {id} is {row.state}. Cancel it, wait until it has stopped, and remove it then."
                )
            discard()
            session.execute(delete(EventRow).where(EventRow.job == row.number))
            session.delete(row)
            return True

    def ended_before(self, seconds: float) -> Sequence[str]:
        """Ids of the jobs that ended more than so many seconds ago, the oldest first."""
        with self.database.reading() as session:
            query = select(JobRow.id).where(
                JobRow.state.in_(sorted(FINAL)), JobRow.finished <= self._now(session) - seconds
            )
            return session.scalars(query.order_by(JobRow.finished)).all()

    def _check_room(self, session: Session, most_open: int | None) -> None:
        if most_open is None:
            return
        count = session.scalar(select(func.count()).where(JobRow.state.in_(OPEN))) or 0
        if count >= most_open:
            raise OverloadError(
                f"{count:,} jobs are waiting or running, and no more are taken. Try again later.",
                retry_after_seconds=30,
            )
