"""``GET /v1/reports/{id}``: what an evaluate job has found, as a page or as JSON."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header
from starlette.responses import Response

from synth.errors import NotFoundError
from synth.jobs.folder import JobFolder
from synth.serving.documentation import header
from synth.serving.job_views import JobId, job_problems
from synth.serving.negotiation import choose_media_type
from synth.serving.services import InjectedServices, Services

router = APIRouter(prefix="/v1/reports", tags=["jobs"])

_FILES = {"application/json": "report.json", "text/html": "report.html"}
"""By media type; the first where ``Accept`` does not say."""

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)
"""The page has a style sheet and pictures in itself, and neither scripts nor links to anything outside."""
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    "Vary": "Accept",
}
_CONTENT: dict[str, Any] = {
    "application/json": {"schema": {"type": "object"}},
    "text/html": {"schema": {"type": "string"}},
}
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The report: one page that needs nothing else, or the same as JSON.",
        "content": _CONTENT,
        "headers": {
            "Content-Security-Policy": header("No scripts, and nothing from elsewhere."),
            "Vary": header("Accept."),
        },
    }
}


@router.get(
    "/{id}",
    response_class=Response,
    responses={**_ANSWER, **job_problems(404, 406, 422, 500, 503, 507)},
)
async def show_report(
    id: JobId,
    services: InjectedServices,
    accept: Annotated[str | None, Header(description="text/html or application/json (default).")] = None,
) -> Response:
    """The report that an evaluate job has made. Its job tells how far it is until then."""
    media_type = choose_media_type(accept, tuple(_FILES))
    content = await asyncio.to_thread(_read, services, id, _FILES[media_type])
    return Response(content, media_type=media_type, headers=_HEADERS)


def _read(services: Services, id: str, name: str) -> bytes:
    job = services.jobs.get(id)
    if job.kind != "evaluate" or job.state != "succeeded":
        raise NotFoundError(f"The job {id} ({job.kind}) is {job.state}: it has made no report to be read.")
    try:
        return (JobFolder.of(services.settings.jobs_folder, id).report / name).read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"The report of the job {id} is no longer there.") from None
