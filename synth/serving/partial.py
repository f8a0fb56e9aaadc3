"""Answers that may be fetched in parts: ``Range``, ``If-Range``, ``If-None-Match`` (RFC 9110, 13 and 14)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Protocol

from fastapi import Header, Request
from starlette.responses import Response, StreamingResponse

from synth.serving.documentation import header
from synth.serving.problems import synth_problem
from synth.serving.ranges import RangeError, parse_range

_PIECE_BYTES = 2**20
_HEADERS = {"ETag": header("Equal tags mean equal bytes."), "Accept-Ranges": header("bytes.")}

Range = Annotated[str | None, Header(alias="Range", description="One part, as in bytes=1000-1999.")]
IfRange = Annotated[str | None, Header(description="Only if this is the tag; else the whole.")]
IfNoneMatch = Annotated[str | None, Header(description="304 if this is the tag.")]


class Content(Protocol):
    """Bytes on a disk."""

    @property
    def size(self) -> int: ...

    @property
    def etag(self) -> str:
        """A strong entity tag: equal tags mean equal bytes."""
        ...

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` to before ``stop``; StorageError where they cannot be read."""
        ...


def answers(description: str, *media_types: str) -> dict[int | str, dict[str, Any]]:
    """``responses`` of a route that answers with ``send_content``."""
    content = {name: {"schema": {"type": "string", "format": "binary"}} for name in media_types}
    return {
        200: {"description": description, "content": content, "headers": _HEADERS},
        206: {
            "description": "The part that `Range` asks for.",
            "content": content,
            "headers": {**_HEADERS, "Content-Range": header("bytes FIRST-LAST/SIZE.")},
        },
        304: {"description": "The client has it already: `If-None-Match` holds its tag."},
    }


def send_content(
    request: Request,
    content: Content,
    *,
    media_type: str,
    range_: str | None,
    if_range: str | None,
    if_none_match: str | None,
    headers: dict[str, str] | None = None,
) -> Response:
    """The whole, the part that is asked for, 304, or 416 as a problem."""
    head = {"ETag": content.etag, "Accept-Ranges": "bytes"}
    if _matches(if_none_match, content.etag):
        return Response(status_code=304, headers=head)
    try:
        part = parse_range(range_ if if_range in (None, content.etag) else None, content.size)
    except RangeError as error:
        return synth_problem(request, error, {**head, "Content-Range": f"bytes */{error.size}"})
    start, stop = part or (0, content.size)
    status = 200 if part is None else 206
    head = {**head, "Content-Length": str(stop - start), **(headers or {})}
    if part is not None:
        head["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
    if request.method == "HEAD":
        return Response(None, status, headers=head, media_type=media_type)
    return StreamingResponse(_pieces(content, start, stop), status, headers=head, media_type=media_type)


async def _pieces(content: Content, start: int, stop: int) -> AsyncIterator[bytes]:
    """Read in a thread, piece by piece, as fast as the client takes them; in between no file is open."""
    for at in range(start, stop, _PIECE_BYTES):
        yield await asyncio.to_thread(content.read, at, min(at + _PIECE_BYTES, stop))


def _matches(condition: str | None, etag: str) -> bool:
    if condition is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in condition.split(",")]
    return "*" in tags or etag in tags
