"""``GET /v1/datasets/{id}/archive``: what a generate job has made, whole or in parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from starlette.responses import Response, StreamingResponse

from synth.errors import NotFoundError, SourceError, StorageError
from synth.jobs.folder import JobFolder
from synth.serving.archive import DatasetArchive
from synth.serving.documentation import header
from synth.serving.job_views import JobId, job_problems
from synth.serving.problems import synth_problem
from synth.serving.ranges import RangeError, parse_range
from synth.serving.services import InjectedServices, Services

router = APIRouter(prefix="/v1/datasets", tags=["jobs"])

MEDIA_TYPE = "application/x-tar"
_PIECE_BYTES = 2**20
_HEADERS = {"ETag": header("Equal tags mean equal bytes."), "Accept-Ranges": header("bytes.")}
_CONTENT = {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "All files in a tar, sorted by name.", "content": _CONTENT, "headers": _HEADERS},
    206: {
        "description": "The part that `Range` asks for.",
        "content": _CONTENT,
        "headers": {**_HEADERS, "Content-Range": header("bytes FIRST-LAST/SIZE.")},
    },
    304: {"description": "The client has it already: `If-None-Match` holds its tag."},
}


@router.head("/{id}/archive", include_in_schema=False)
@router.get(
    "/{id}/archive",
    response_class=Response,
    responses={**_ANSWERS, **job_problems(404, 416, 422, 500, 503, 507)},
)
async def fetch_archive(
    id: JobId,
    request: Request,
    services: InjectedServices,
    range_: Annotated[
        str | None, Header(alias="Range", description="One part, as in bytes=1000-1999.")
    ] = None,
    if_range: Annotated[str | None, Header(description="Only if this is the tag; else the whole.")] = None,
    if_none_match: Annotated[str | None, Header(description="304 if this is the tag.")] = None,
) -> Response:
    """The data set that a generate job has made. A broken download goes on with `Range` and `If-Range`."""
    archive = await asyncio.to_thread(_open, services, id)
    headers = {"ETag": archive.etag, "Accept-Ranges": "bytes"}
    if _matches(if_none_match, archive.etag):
        return Response(status_code=304, headers=headers)
    try:
        part = parse_range(range_ if if_range in (None, archive.etag) else None, archive.size)
    except RangeError as error:
        return synth_problem(request, error, {**headers, "Content-Range": f"bytes */{error.size}"})
    start, stop = part or (0, archive.size)
    status = 200 if part is None else 206
    headers["Content-Length"] = str(stop - start)
    headers["Content-Disposition"] = f'attachment; filename="{id}.tar"'
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{archive.size}"
    if request.method == "HEAD":
        return Response(None, status, headers=headers, media_type=MEDIA_TYPE)
    return StreamingResponse(_pieces(archive, start, stop), status, headers=headers, media_type=MEDIA_TYPE)


def _open(services: Services, id: str) -> DatasetArchive:
    job = services.jobs.get(id)
    if job.kind != "generate" or job.state != "succeeded":
        raise NotFoundError(
            f"The job {id} ({job.kind}) is {job.state}: it has made no data set to be fetched."
        )
    try:
        return DatasetArchive(JobFolder.of(services.settings.jobs_folder, id).dataset)
    except NotFoundError:
        raise NotFoundError(f"The data set of the job {id} is no longer there.") from None
    except SourceError as error:
        raise StorageError(str(error)) from error


async def _pieces(archive: DatasetArchive, start: int, stop: int) -> AsyncIterator[bytes]:
    """Read in a thread, piece by piece, as fast as the client takes them; in between no file is open."""
    for at in range(start, stop, _PIECE_BYTES):
        yield await asyncio.to_thread(archive.read, at, min(at + _PIECE_BYTES, stop))


def _matches(condition: str | None, etag: str) -> bool:
    if condition is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in condition.split(",")]
    return "*" in tags or etag in tags
