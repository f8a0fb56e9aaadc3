"""Jobs as clients see them, and what they send to make one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import Path
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError

from synth.jobs import Job, State
from synth.jobs.bodies import JobBody
from synth.jobs.kinds import DATASET_KINDS, KINDS, get_kind
from synth.jobs.records import ID_PATTERN
from synth.serving.documentation import problems
from synth.text import closest

JobId = Annotated[
    str,
    Path(
        pattern=ID_PATTERN,
        description="1 to 64 letters, digits, hyphens or underscores, beginning with a letter or digit.",
    ),
]


class JobProgress(BaseModel):
    """How far a job is."""

    done: int = Field(description="Images.")
    total: int | None = Field(description="Images; null if the length is a time.")
    share: float = Field(description="0 to 1.")
    images_per_second: float | None
    eta_seconds: float | None
    figures: dict[str, float] = Field(description="What training measures, by name.")


class JobError(BaseModel):
    """Why a job failed; the fields mean what they do in a problem."""

    code: str
    title: str
    detail: str


class JobSummary(BaseModel):
    """One job in a list: all but what was asked for and what it made, which may be long."""

    id: str
    kind: str = Field(examples=list(KINDS))
    state: State
    cancelling: bool = Field(description="It was told to stop, and will.")
    attempt: int = Field(description="How often a worker has begun it, or gone on with it.")
    created: datetime
    started: datetime | None
    finished: datetime | None
    progress: JobProgress | None
    error: JobError | None


class JobView(JobSummary):
    """One job."""

    result: dict[str, Any] | None = Field(description="What it made, once it has succeeded.")
    archive: str | None = Field(description="Where to fetch the data set that it made.")
    report: str | None = Field(description="Where to read the report that it made.")
    request: dict[str, Any] = Field(description="What was asked for, defaults filled in.")
    pinned: dict[str, Any] = Field(description="What was settled when the job was made.")


class JobList(BaseModel):
    """Some jobs, the newest first."""

    jobs: list[JobSummary]
    next: int | None = Field(description="The cursor of the next page; null on the last one.")


class Removal(BaseModel):
    """A job that is there no more."""

    id: str
    removed: bool = Field(description="Just now; false if there was no such job.")


def summary(job: Job) -> JobSummary:
    """The job for a list."""
    return JobSummary(
        id=job.id,
        kind=job.kind,
        state=job.state,
        cancelling=job.cancelling,
        attempt=job.attempt,
        created=_time(job.created),
        started=None if job.started is None else _time(job.started),
        finished=None if job.finished is None else _time(job.finished),
        progress=None if job.progress is None else JobProgress.model_validate(job.progress),
        error=None if job.error is None else JobError.model_validate(job.error),
    )


def view(job: Job) -> JobView:
    """All of a job."""
    done = job.state == "succeeded"
    return JobView(
        **dict(summary(job)),
        result=None if job.result is None else dict(job.result),
        archive=f"/v1/datasets/{job.id}/archive" if done and job.kind in DATASET_KINDS else None,
        report=f"/v1/reports/{job.id}" if done and job.kind == "evaluate" else None,
        request=dict(job.body),
        pinned=dict(job.pinned),
    )


def read_body(data: Mapping[str, Any]) -> JobBody:
    """The body of the kind that it names; RequestValidationError as from any other body."""
    try:
        json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
    except (
        ValueError,
        RecursionError,
    ):  # Python's reader takes more than JSON is, and than a data base holds
        message = "Texts must be Unicode without lone surrogates, and numbers finite"
        raise RequestValidationError([{"type": "value_error", "loc": ("body",), "msg": message}]) from None
    name = data.get("kind")
    if not isinstance(name, str) or name not in KINDS:
        hint = closest(name, KINDS) if isinstance(name, str) else ""
        message = f"Say which kind of job{hint}: {', '.join(KINDS)}"
        raise RequestValidationError([{"type": "value_error", "loc": ("body", "kind"), "msg": message}])
    try:
        body = get_kind(name).load("body").model_validate(data)
    except ValidationError as error:
        faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]
        raise RequestValidationError(faults) from None
    assert isinstance(body, JobBody)
    return body


def body_types() -> list[type[JobBody]]:
    """Of all kinds, for the OpenAPI description."""
    return [kind.load("body") for kind in KINDS.values()]


def job_problems(
    *statuses: Literal[400, 404, 406, 409, 413, 415, 416, 422, 500, 503, 507],
) -> dict[int | str, Any]:
    """``responses`` of a route about jobs."""
    answers = problems(*statuses)
    if 404 in answers:
        answers[404]["description"] = "There is no such job, or not what is asked for of it."
    if 409 in answers:
        answers[409]["description"] = "The job waits or runs."
    if 503 in answers:
        answers[503]["description"] = "The data base is locked, or too many jobs wait. Come back later."
    if 507 in answers:
        answers[507]["description"] = "The data base or the disk fails, or is full."
    return answers


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
