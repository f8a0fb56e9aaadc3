"""Bodies are counted in bytes as they arrive, so that no client can fill the memory."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from synth.errors import SynthError
from synth.serving.problems import TooLargeError, UnsupportedMediaError, synth_problem

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class BodyLimitMiddleware:
    """Answers 413 once a body is too long, whatever Content-Length says, and 415 where it is compressed.

    Nothing is ever decompressed: some bytes could become any number of them.
    """

    def __init__(self, app: ASGIApp, limit: int, paths: Mapping[str, int] | None = None) -> None:
        """``limit``: bytes. ``paths``: those that have a limit of their own."""
        self.app = app
        self._limit = limit
        self._paths = paths or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self._paths.get(scope["path"], self._limit)
        error = _refusal(scope, limit)
        if error is not None:
            about = {"Accept-Encoding": "identity"} if isinstance(error, UnsupportedMediaError) else None
            await synth_problem(Request(scope), error, about)(scope, receive, send)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > limit:
                    # Raised where the body is read, so that the handlers inside make a problem of it.
                    raise HTTPException(413, _too_long(limit))
            return message

        await self.app(scope, receive_counted, send)


def _refusal(scope: Scope, limit: int) -> SynthError | None:
    """What is wrong by the headers alone: then clients that wait for 100 Continue need not send the body."""
    headers = Headers(scope=scope)
    encodings = {name.strip().lower() for name in ",".join(headers.getlist("content-encoding")).split(",")}
    if scope["method"] in _WITH_BODY and encodings - {"", "identity"}:
        return UnsupportedMediaError("Compressed bodies are not taken. Send it without Content-Encoding.")
    length = headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 18 or int(length) > limit):
        return TooLargeError(_too_long(limit))
    return None


def _too_long(limit: int) -> str:
    return f"The body is longer than the {limit:,} bytes that one request may have here. Send less at a time."
