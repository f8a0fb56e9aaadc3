"""``/v1/datasets/{id}``: what a job has made, as a list of files, one file, or all of them in a tar."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi import Path as PathParameter
from pydantic import BaseModel, Field
from starlette.responses import Response

from synth.errors import NotFoundError, SourceError, StorageError
from synth.jobs.folder import JobFolder
from synth.jobs.kinds import DATASET_KINDS
from synth.serving.archive import DatasetArchive
from synth.serving.dataset_files import MEDIA_TYPES, UNKNOWN, DatasetFiles
from synth.serving.job_views import JobId, job_problems
from synth.serving.partial import IfNoneMatch, IfRange, Range, answers, send_content
from synth.serving.services import InjectedServices, Services

router = APIRouter(prefix="/v1/datasets", tags=["jobs"])

MEDIA_TYPE = "application/x-tar"

T = TypeVar("T")


class FileView(BaseModel):
    """One file of a data set."""

    path: str = Field(examples=["coat/000000000007.png"])
    bytes: int
    sha256: str
    url: str = Field(description="Where to fetch it.")


class DatasetView(BaseModel):
    """A data set, and some of its files, in the order in which they were made."""

    id: str
    format: str
    count: int = Field(description="Images.")
    classes: list[str] | None
    class_counts: list[int] | None
    archive: str = Field(description="Where to fetch all files in a tar.")
    files: list[FileView]
    total: int = Field(description="Files in all.")
    next: int | None = Field(description="The cursor of the next page; null on the last one.")


@router.get("/{id}", responses=job_problems(404, 422, 500, 503, 507))
async def list_files(
    id: JobId,
    services: InjectedServices,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    cursor: Annotated[int, Query(ge=0, lt=2**63, description="The `next` of the page before.")] = 0,
) -> DatasetView:
    """The files of a data set that a job has made, with their sizes and digests."""
    files = await asyncio.to_thread(_open, services, id, DatasetFiles.open)
    manifest = files.manifest
    page = manifest.files[cursor : cursor + limit]
    after = cursor + len(page)
    return DatasetView(
        id=id,
        format=manifest.format,
        count=manifest.count,
        classes=manifest.classes,
        class_counts=manifest.class_counts,
        archive=f"/v1/datasets/{id}/archive",
        files=[
            FileView(
                path=file.path,
                bytes=file.bytes,
                sha256=file.sha256,
                url=f"/v1/datasets/{id}/files/{quote(file.path)}",
            )
            for file in page
        ],
        total=len(manifest.files),
        next=after if page and after < len(manifest.files) else None,
    )


@router.head("/{id}/files/{path:path}", include_in_schema=False)
@router.get(
    "/{id}/files/{path:path}",
    response_class=Response,
    responses={
        **answers("The file.", *MEDIA_TYPES.values(), UNKNOWN),
        **job_problems(404, 416, 422, 500, 503, 507),
    },
)
async def fetch_file(
    id: JobId,
    path: Annotated[str, PathParameter(description="As the list of files names it.", max_length=4_096)],
    request: Request,
    services: InjectedServices,
    range_: Range = None,
    if_range: IfRange = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """One file of a data set; only what its list names is there."""
    files = await asyncio.to_thread(_open, services, id, DatasetFiles.open)
    file = files.find(path)
    return send_content(
        request,
        file,
        media_type=file.media_type,
        range_=range_,
        if_range=if_range,
        if_none_match=if_none_match,
    )


@router.head("/{id}/archive", include_in_schema=False)
@router.get(
    "/{id}/archive",
    response_class=Response,
    responses={
        **answers("All files in a tar, sorted by name.", MEDIA_TYPE),
        **job_problems(404, 416, 422, 500, 503, 507),
    },
)
async def fetch_archive(
    id: JobId,
    request: Request,
    services: InjectedServices,
    range_: Range = None,
    if_range: IfRange = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The data set that a job has made. A broken download goes on with `Range` and `If-Range`."""
    archive = await asyncio.to_thread(_open, services, id, DatasetArchive)
    return send_content(
        request,
        archive,
        media_type=MEDIA_TYPE,
        range_=range_,
        if_range=if_range,
        if_none_match=if_none_match,
        headers={"Content-Disposition": f'attachment; filename="{id}.tar"'},
    )


def _open(services: Services, id: str, open_folder: Callable[[Path], T]) -> T:
    job = services.jobs.get(id)
    if job.kind not in DATASET_KINDS or job.state != "succeeded":
        raise NotFoundError(
            f"The job {id} ({job.kind}) is {job.state}: it has made no data set to be fetched."
        )
    try:
        return open_folder(JobFolder.of(services.settings.jobs_folder, id).dataset)
    except NotFoundError:
        raise NotFoundError(f"The data set of the job {id} is no longer there.") from None
    except SourceError as error:
        raise StorageError(str(error)) from error
