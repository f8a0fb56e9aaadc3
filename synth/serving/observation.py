"""What becomes of each request: measured once, as pure ASGI, for the metrics and the access log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from synth.serving.access_log import AccessLog
from synth.serving.telemetry import Telemetry

CLIENT_GONE = 499
"""Status of requests whose client went away before the end of its answer, as nginx has it. Nobody gets it."""


@dataclass(slots=True)
class Visit:
    """One request, from its arrival to the last byte of its answer."""

    scope: Scope
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    status: int = 0
    sent: int = 0
    """Bytes of the body."""
    complete: bool = False
    error: str | None = None
    """Type of an exception that nothing foresaw."""

    @property
    def route(self) -> str | None:
        """Template of the path; None if the request was refused before, or there is no such path."""
        return getattr(self.scope.get("route"), "path", None)

    @property
    def state(self) -> MutableMapping[str, Any]:
        """What middleware and routes have noted of the request."""
        state: MutableMapping[str, Any] = self.scope.get("state", {})
        return state


class ObservationMiddleware:
    """Measures every request; what it does adds some microseconds."""

    def __init__(self, app: ASGIApp, *, telemetry: Telemetry, log: AccessLog) -> None:
        self.app = app
        self._telemetry = telemetry
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        visit = Visit(scope)
        gone = False

        async def receive_watched() -> Message:
            nonlocal gone
            message = await receive()
            gone = gone or (message["type"] == "http.disconnect" and not visit.complete)
            return message

        async def send_measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
            elif not gone:  # what is sent to nobody does not count
                visit.sent += len(message.get("body", b""))
                # Before it is sent: servers tell of a disconnection as soon as an answer is complete.
                visit.complete = not message.get("more_body", False)
            await send(message)

        try:
            await self.app(scope, receive_watched, send_measured)
        except asyncio.CancelledError:  # the server has given up waiting for it
            visit.status = visit.status or 503
            raise
        except Exception as error:
            # The answer, 500, is made outside of all middleware.
            visit.status, visit.error = visit.status or 500, type(error).__name__
            raise
        finally:
            self._end(visit, gone)

    def _end(self, visit: Visit, gone: bool) -> None:
        visit.seconds = time.monotonic() - visit.began
        if gone or not visit.status:
            visit.status = CLIENT_GONE
        metrics, code = self._telemetry.metrics, visit.state.get("problem")
        if visit.error is not None or code is not None:
            metrics.problem("internal-error" if visit.error else str(code), visit.status)
        metrics.request(
            str(visit.scope["method"]), visit.route, visit.status, seconds=visit.seconds, sent=visit.sent
        )
        if self._telemetry.tracer is not None:
            visit.state["trace_id"] = self._telemetry.tracer.trace_id()
        self._log.write(visit)
