"""Bodies are counted in bytes as they arrive, so that no client can fill the memory."""

from __future__ import annotations

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimitMiddleware:
    """Answers 413 once a body is longer than ``limit`` bytes, whatever Content-Length says.

    Starlette's own middleware answers in plain text where Content-Length says it first.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self.limit:
                    # Raised where the body is read, so that the handlers inside make a problem of it.
                    raise HTTPException(
                        413, f"The body is longer than the {self.limit:,} bytes that one request may have."
                    )
            return message

        await self.app(scope, receive_counted, send)
