"""The queue: who asked for what, and which worker does it now."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from synth.errors import OverloadError, SynthError, UsageError
from synth.jobs.database import Database
from synth.jobs.records import FINAL, Event, Job, State, check_id
from synth.jobs.rows import as_job, end_job, find_row, require_row, say_progress, say_state
from synth.jobs.tables import EventRow, JobRow

LEASE_SECONDS = 20.0
MOST_CRASHES = 3

_OPEN = ("queued", "running")


class JobMismatchError(UsageError):
    """There is a job of that id, and it was asked for with another body."""

    code = "job-mismatch"
    title = "The id stands for another job"


class JobActiveError(UsageError):
    """The job waits or runs, and what it makes cannot be taken from it."""

    status = 409
    code = "job-active"
    title = "The job has not ended"


class LeaseLostError(SynthError):
    """The job is no longer this worker's: nothing that it says counts any more."""

    code = "lease-lost"
    title = "The job is another worker's"


class Queue:
    """Jobs in the order in which they were asked for; any number of threads and processes share it.

    A worker claims a job for ``lease_seconds`` and moves the end of that lease on while it works. Where the
    lease runs out, the next worker claims the job again: ``attempt`` counts up, and what the earlier worker
    says from then on is refused with LeaseLostError.

    All methods raise what ``Database`` does.
    """

    def __init__(
        self,
        database: Database,
        *,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """``clock``: seconds since 1970; by default the data base's own, which all its workers share."""
        self.database = database
        self.lease_seconds = lease_seconds
        self._clock = clock

    # What clients do

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

    # What workers do

    def claim(self, worker: str, kinds: Collection[str]) -> Job | None:
        """The first job that nobody works on, now this worker's; None if there is none.

        A job whose workers have fallen silent ``MOST_CRASHES`` times is not given out again, but fails.
        """
        if not self._any_claimable(kinds):  # without keeping writers out
            return None
        with self.database.writing() as session:
            now = self._now(session)
            query = _claimable(kinds, now).order_by(JobRow.number).limit(1).with_for_update(skip_locked=True)
            while (row := session.scalars(query).first()) is not None:
                if row.state == "running":
                    row.crashes += 1
                if row.cancelling:
                    end_job(session, row, "cancelled", now)
                elif row.crashes >= MOST_CRASHES:
                    row.error = _crashed(row.crashes)
                    end_job(session, row, "failed", now)
                else:
                    row.state, row.worker, row.attempt = "running", worker, row.attempt + 1
                    row.available_at = now + self.lease_seconds
                    row.started = row.started or now
                    say_state(session, row, now)
                    return as_job(row)
                session.flush()
        return None

    def heartbeat(self, job: Job, progress: Mapping[str, Any] | None) -> bool:
        """Keep a claimed job for another ``lease_seconds``; returns whether it was told to stop.

        Raises LeaseLostError.
        """
        with self._own(job) as (session, row, now):
            row.available_at = now + self.lease_seconds
            say_progress(session, row, now, progress)
            return row.cancelling

    def succeed(self, job: Job, result: Mapping[str, Any], progress: Mapping[str, Any] | None) -> None:
        """The claimed job is done. Raises LeaseLostError."""
        with self._own(job) as (session, row, now):
            say_progress(session, row, now, progress)
            row.result = dict(result)
            end_job(session, row, "succeeded", now)

    def fail(self, job: Job, error: Mapping[str, str]) -> None:
        """The claimed job cannot be done; ``error``: code, title and detail. Raises LeaseLostError."""
        with self._own(job) as (session, row, now):
            row.error = dict(error)
            end_job(session, row, "failed", now)

    def stopped(self, job: Job) -> None:
        """The claimed job was cancelled. Raises LeaseLostError."""
        with self._own(job) as (session, row, now):
            end_job(session, row, "cancelled", now)

    def release(self, job: Job, *, delay_seconds: float = 0.0) -> None:
        """Give a claimed job back, to be gone on with, not before the delay. Raises LeaseLostError."""
        with self._own(job) as (session, row, now):
            if row.cancelling:
                end_job(session, row, "cancelled", now)
            else:
                row.state, row.worker, row.available_at = "queued", None, now + delay_seconds
                say_state(session, row, now)

    def lapse(self, worker: str) -> None:
        """End the leases of a worker that is known to be dead."""
        with self.database.writing() as session:
            session.execute(
                update(JobRow)
                .where(JobRow.worker == worker, JobRow.state == "running")
                .values(available_at=0.0)
            )

    @contextlib.contextmanager
    def _own(self, job: Job) -> Iterator[tuple[Session, JobRow, float]]:
        with self.database.writing() as session:
            query = select(JobRow).where(
                JobRow.id == job.id, JobRow.state == "running", JobRow.attempt == job.attempt
            )
            row = session.scalars(query.with_for_update()).first()
            if row is None:
                raise LeaseLostError(
                    f"The job {job.id} was taken from this worker, which was silent for too long."
                )
            yield session, row, self._now(session)

    def _any_claimable(self, kinds: Collection[str]) -> bool:
        with self.database.reading() as session:
            query = _claimable(kinds, self._now(session)).with_only_columns(literal(1)).limit(1)
            return session.scalar(query) is not None

    def _check_room(self, session: Session, most_open: int | None) -> None:
        if most_open is None:
            return
        count = session.scalar(select(func.count()).where(JobRow.state.in_(_OPEN))) or 0
        if count >= most_open:
            raise OverloadError(
                f"{count:,} jobs are waiting or running, and no more are taken. Try again later.",
                retry_after_seconds=30,
            )

    def _now(self, session: Session) -> float:
        if self._clock is not None:
            return self._clock()
        if session.get_bind().dialect.name == "postgresql":
            # Its clock, for the workers' own may differ.
            return float(session.scalar(select(func.extract("epoch", func.clock_timestamp()))) or 0.0)
        return time.time()


def _claimable(kinds: Collection[str], now: float) -> Any:
    return select(JobRow).where(
        JobRow.state.in_(_OPEN), JobRow.available_at <= now, JobRow.kind.in_(sorted(kinds))
    )


def _crashed(crashes: int) -> dict[str, str]:
    return {
        "code": "crashed",
        "title": "The workers died",
        "detail": f"{crashes} workers in turn died or fell silent over this job: perhaps the machine has too "
        "little memory for it. Ask for less at a time (a smaller shard_size or batch_size), or look at the "
        "workers' messages. POST /v1/jobs/ID/retry tries again.",
    }
