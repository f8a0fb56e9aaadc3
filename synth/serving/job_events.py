"""``GET /v1/jobs/{id}/events``: what happens to a job, as Server-Sent Events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header
from starlette.responses import StreamingResponse

from synth.errors import OverloadError, StorageError
from synth.jobs import Event, Job
from synth.serving.job_views import JobId, job_problems
from synth.serving.services import InjectedServices, Services

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_POLL_SECONDS = 0.5
_SILENT_POLLS = 30
"""After so many without an event a comment is sent, so that nothing in between takes the line for dead."""
_RETRY_MILLISECONDS = 2_000

_ANSWER: dict[str, Any] = {
    "description": "`event: state` with the state, and at the end result or error; `event: progress` with "
    "done, total, share, images_per_second, eta_seconds and figures. The stream ends after the final event, "
    "and now and then before: a client that comes back with `Last-Event-ID` misses nothing.",
    "content": {
        "text/event-stream": {
            "schema": {  # of one event
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "event": {"enum": ["state", "progress"]},
                    "data": {"type": "string", "contentMediaType": "application/json"},
                },
            }
        }
    },
}


@router.get(
    "/{id}/events",
    response_class=StreamingResponse,
    responses={200: _ANSWER, **job_problems(404, 422, 500, 503, 507)},
)
async def watch_job(
    id: JobId,
    services: InjectedServices,
    last_event_id: Annotated[
        str | None, Header(description="Number of the last event that the client has seen.")
    ] = None,
) -> StreamingResponse:
    """Everything that has happened to the job since `Last-Event-ID`, and then what happens, as it does."""
    if services.watchers.locked():
        raise OverloadError("As many clients as may are watching jobs. Ask for the job itself now and then.")
    after = _number(last_event_id)
    job, events = await asyncio.to_thread(services.jobs.events, id, after=after)
    return StreamingResponse(
        _stream(services, job, events, after),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},  # nginx would hold it back
    )


async def _stream(services: Services, job: Job, events: Sequence[Event], after: int) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    end = loop.time() + services.settings.event_stream_seconds
    async with services.watchers:
        yield f"retry: {_RETRY_MILLISECONDS}\n\n"
        silent = 0
        while True:
            for event in events:
                yield _frame(event)
                after = event.number
            silent = 0 if events else silent + 1
            # A server that stops must not wait for its watchers; they come back to the next one.
            stopping = services.engine.state in ("draining", "stopped") or loop.time() >= end
            if stopping or (job.final and job.last_event <= after):
                return
            if silent >= _SILENT_POLLS:
                silent = 0
                yield ": still here\n\n"
            await asyncio.sleep(_POLL_SECONDS)
            try:
                job, events = await asyncio.to_thread(services.jobs.events, job.id, after=after)
            except (OverloadError, StorageError):  # the answer has begun, and trouble may pass
                events = []


def _frame(event: Event) -> str:
    time = datetime.fromtimestamp(event.time, UTC).isoformat()
    # ASCII on one line: a line break would end the data.
    return f"id: {event.number}\nevent: {event.type}\ndata: {json.dumps({'time': time, **event.data})}\n\n"


def _number(text: str | None) -> int:
    """Of an event; 0, from the beginning, for whatever is none."""
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 10 else 0
