"""The workers' half of the queue: which of them does a job now, and what it says of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import func, literal, select, update
from sqlalchemy.orm import Session

from synth.errors import SynthError
from synth.jobs.database import Database
from synth.jobs.records import Job
from synth.jobs.rows import as_job, end_job, say_progress, say_state
from synth.jobs.tables import JobRow

LEASE_SECONDS = 20.0
MOST_CRASHES = 3

OPEN = ("queued", "running")


class LeaseLostError(SynthError):
    """The job is no longer this worker's: nothing that it says counts any more."""

    code = "lease-lost"
    title = "The job is another worker's"


class Leases:
    """Jobs in the order in which they were asked for; any number of threads and processes share them.

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

    def _now(self, session: Session) -> float:
        if self._clock is not None:
            return self._clock()
        if session.get_bind().dialect.name == "postgresql":
            # Its clock, for the workers' own may differ.
            return float(session.scalar(select(func.extract("epoch", func.clock_timestamp()))) or 0.0)
        return time.time()


def _claimable(kinds: Collection[str], now: float) -> Any:
    return select(JobRow).where(
        JobRow.state.in_(OPEN), JobRow.available_at <= now, JobRow.kind.in_(sorted(kinds))
    )


def _crashed(crashes: int) -> dict[str, str]:
    return {
        "code": "crashed",
        "title": "The workers died",
        "detail": f"{crashes} workers in turn died or fell silent over this job: perhaps the machine has too "
        "little memory for it. Ask for less at a time (a smaller shard_size or batch_size), or look at the "
        "workers' messages. POST /v1/jobs/ID/retry tries again.",
    }
