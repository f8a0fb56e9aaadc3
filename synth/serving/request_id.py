"""A name for every request: the client's ``X-Request-ID`` if it is sane, else a new one."""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"

current_request_id: ContextVar[str | None] = ContextVar("current_request_id", default=None)
"""The id of the request that the current task works on, for what has no scope: logs."""

_SANE = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)


def request_id_of(scope: Scope) -> str:
    """The id that the middleware gave to the request of ``scope``."""
    return str(scope["state"]["request_id"])


class RequestIdMiddleware:
    """Puts the id into ``scope["state"]`` and into the answer's headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if _SANE.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        # Never reset: servers log the errors of a request after it has ended, in the same task.
        current_request_id.set(request_id)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        await self.app(scope, receive, send_with_id)
