"""The tables of the data base of jobs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, Integer, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = 1
"""Raised with every change of the tables."""

_Number = BigInteger().with_variant(Integer, "sqlite")  # there only INTEGER counts by itself


class Base(DeclarativeBase):
    """All tables; the prefix keeps them apart from what else lives in a shared PostgreSQL data base."""


class SchemaRow(Base):
    """One row: the version of these tables."""

    __tablename__ = "synth_schema"

    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)


class JobRow(Base):
    """See ``synth.jobs.records.Job``.

    ``available_at``: when a worker may claim the job, as seconds since 1970. That of a running job is the end
    of its lease: a worker that lives moves it on, and one that does not loses the job.
    """

    __tablename__ = "synth_jobs"
    __table_args__ = (
        Index("synth_jobs_waiting", "state", "available_at", "number"),
        {"sqlite_autoincrement": True},  # a number is never given out twice
    )

    number: Mapped[int] = mapped_column(_Number, primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(32))
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    pinned: Mapped[dict[str, Any]] = mapped_column(JSON)
    client: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    cancelling: Mapped[bool] = mapped_column(default=False)
    attempt: Mapped[int] = mapped_column(default=0)
    crashes: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None] = mapped_column(String(128))
    available_at: Mapped[float] = mapped_column(Float(53), default=0.0)
    created: Mapped[float] = mapped_column(Float(53))
    started: Mapped[float | None] = mapped_column(Float(53))
    finished: Mapped[float | None] = mapped_column(Float(53))
    progress: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    last_event: Mapped[int] = mapped_column(default=0)


class EventRow(Base):
    """See ``synth.jobs.records.Event``."""

    __tablename__ = "synth_job_events"

    job: Mapped[int] = mapped_column(_Number, ForeignKey(JobRow.number), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    time: Mapped[float] = mapped_column(Float(53))
    type: Mapped[str] = mapped_column(String(16))
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
