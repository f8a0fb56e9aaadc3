"""``/v1/jobs``: long work, asked for here and done by workers."""

from __future__ import annotations

import asyncio
import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response

from synth.artifacts import Store
from synth.errors import NotFoundError
from synth.jobs import Job, State
from synth.jobs.folder import JobFolder
from synth.jobs.kinds import KINDS, get_kind
from synth.jobs.removal import remove_job
from synth.serving.authentication import client_of
from synth.serving.documentation import header, reference
from synth.serving.job_views import (
    JobId,
    JobList,
    JobView,
    Removal,
    body_types,
    job_problems,
    read_body,
    summary,
    view,
)
from synth.serving.problems import TooLargeError
from synth.serving.services import InjectedServices, Services

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_EXAMPLES: dict[str, Any] = {
    "generate": {
        "summary": "A data set of 50,000 images",
        "value": {"kind": "generate", "model": "fashion", "count": 50_000, "seed": 7, "format": "webdataset"},
    },
    "translate": {
        "summary": "Variations of the images that another job has made",
        "value": {
            "kind": "translate",
            "model": "fashion",
            "dataset": "winter-coats",
            "parameters": {"strength": 2.0},
        },
    },
    "augment": {
        "summary": "Three changed copies of each image that another job has made",
        "value": {"kind": "augment", "dataset": "winter-coats", "pipeline": "basic", "copies": 3},
    },
    "train": {
        "summary": "A generator trained for ten minutes",
        "value": {"kind": "train", "family": "vae", "data": "digits", "name": "digits", "minutes": 10},
    },
    "evaluate": {
        "summary": "A report on a model, with a holdout that it has never seen",
        "value": {"kind": "evaluate", "real": "digits:train", "holdout": "digits:test", "model": "digits"},
    },
}
_Fields = Annotated[dict[str, Any], Body(openapi_examples=_EXAMPLES)]
_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [reference(body) for body in body_types()],
                    "discriminator": {
                        "propertyName": "kind",
                        "mapping": {
                            name: reference(kind.load("body"))["$ref"] for name, kind in KINDS.items()
                        },
                    },
                }
            }
        }
    }
}
_LOCATION = {"Location": header("Where the job is told.")}
_MADE: dict[int | str, Any] = {
    201: {"description": "The job was made.", "headers": _LOCATION, "model": JobView}
}


@router.post(
    "",
    status_code=201,
    openapi_extra=_SCHEMA,
    responses={**_MADE, **job_problems(400, 404, 413, 415, 422, 500, 503, 507)},
)
async def make_job(
    fields: _Fields, request: Request, response: Response, services: InjectedServices
) -> JobView:
    """Make a job under an id of the server's. Sent again, it makes another job: PUT does not."""
    return await _make(secrets.token_hex(8), fields, request, response, services)


@router.put(
    "/{id}",
    openapi_extra=_SCHEMA,
    responses={
        200: {"description": "The job was there already, asked for with this body."},
        **_MADE,
        **job_problems(400, 404, 413, 415, 422, 500, 503, 507),
    },
)
async def put_job(
    id: JobId, fields: _Fields, request: Request, response: Response, services: InjectedServices
) -> JobView:
    """Make a job, once, however often this is sent. An id that stands for another body is refused."""
    return await _make(id, fields, request, response, services)


@router.get("", responses=job_problems(404, 422, 500, 503, 507))
async def list_jobs(
    services: InjectedServices,
    state: State | None = None,
    kind: Annotated[str | None, Query(json_schema_extra={"enum": [*KINDS, None]})] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[int | None, Query(ge=1, lt=2**63, description="The `next` of the page before.")] = None,
) -> JobList:
    """Jobs, the newest first."""
    if kind is not None:
        get_kind(kind)
    jobs = await asyncio.to_thread(services.jobs.list, state=state, kind=kind, before=cursor, limit=limit + 1)
    more = len(jobs) > limit
    return JobList(jobs=[summary(job) for job in jobs[:limit]], next=jobs[limit - 1].number if more else None)


@router.get("/{id}", responses=job_problems(404, 422, 500, 503, 507))
async def show_job(id: JobId, services: InjectedServices) -> JobView:
    """One job as it is now."""
    return view(await asyncio.to_thread(services.jobs.get, id))


@router.post("/{id}/cancel", responses=job_problems(404, 422, 500, 503, 507))
async def cancel_job(id: JobId, services: InjectedServices) -> JobView:
    """Stop a job: at once if it waits, at its next step if it runs. One that has ended stays as it is."""
    return view(await asyncio.to_thread(services.jobs.cancel, id))


@router.delete("/{id}", responses=job_problems(404, 422, 500, 503, 507))
async def delete_job(id: JobId, services: InjectedServices) -> JobView:
    """The same as cancel: nothing that a job has made is deleted; remove does that."""
    return view(await asyncio.to_thread(services.jobs.cancel, id))


@router.post("/{id}/remove", responses=job_problems(409, 422, 500, 503, 507))
async def remove_one(id: JobId, services: InjectedServices) -> Removal:
    """Remove a job that has ended, with the data set or training state that it made.

    A model that it published stays. Sent again, it changes nothing. What waits or runs has to be cancelled
    first.
    """
    removed = await asyncio.to_thread(remove_job, services.jobs, services.settings, id)
    return Removal(id=id, removed=removed)


@router.post("/{id}/retry", responses=job_problems(404, 422, 500, 503, 507))
async def retry_job(id: JobId, services: InjectedServices) -> JobView:
    """Queue a failed or cancelled job again; it goes on with what is finished."""
    return view(await asyncio.to_thread(services.jobs.retry, id))


@router.get(
    "/{id}/preview",
    response_class=Response,
    responses={
        200: {
            "description": "A picture of what is being made; it changes as training goes on.",
            "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
        },
        **job_problems(404, 422, 500, 503, 507),
    },
)
async def show_preview(id: JobId, services: InjectedServices) -> Response:
    """Some images, in rows."""
    await asyncio.to_thread(services.jobs.get, id)
    picture = await asyncio.to_thread(_read, JobFolder.of(services.settings.jobs_folder, id))
    if picture is None:
        raise NotFoundError(f"The job {id} has no preview yet. Its events tell how far it is.")
    return Response(picture, media_type="image/png", headers={"Cache-Control": "no-cache"})


async def _make(
    id: str, fields: dict[str, Any], request: Request, response: Response, services: Services
) -> JobView:
    body = read_body(fields)
    queue, settings = services.jobs, services.settings
    pinned: dict[str, Any] = {}
    if await asyncio.to_thread(_existing, services, id) is None:
        _check_count(body.images, settings.max_images_per_job)
        pinned = await asyncio.to_thread(body.pin, Store(settings.store), queue)
        images = pinned.get("count", body.images)
        _check_count(images, settings.max_images_per_job)
        services.rates.take_images(request.scope, images)
    job, new = await asyncio.to_thread(
        queue.create,
        id,
        body.kind,
        body.model_dump(mode="json"),
        pinned=pinned,
        client=client_of(request.scope),
        most_open=settings.max_open_jobs,
    )
    if new:
        response.status_code = 201
        response.headers["Location"] = f"/v1/jobs/{job.id}"
    return view(job)


def _existing(services: Services, id: str) -> Job | None:
    try:
        return services.jobs.get(id)
    except NotFoundError:
        return None


def _check_count(images: int, limit: int) -> None:
    if images > limit:
        raise TooLargeError(
            f"{images:,} images were asked for, and one job may make {limit:,}. Make several jobs "
            f"with one seed and start 0, {limit}, {2 * limit}, ...: together they are the same images."
        )


def _read(folder: JobFolder) -> bytes | None:
    try:
        return folder.preview.read_bytes()
    except FileNotFoundError:
        return None
