"""HTTP/1.1 as uvicorn speaks it, with bounds on what comes before the body, which it does not have.

No key has been looked at by then: without bounds, anybody could fill the memory with headers, or hold
connections open for ever by sending them slowly.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from http import HTTPStatus

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from synth.serving.problems import MEDIA_TYPE, problem_body

HEAD_BYTES = 64 * 1024
"""Of the request line and all headers, give or take what arrives at once."""
HEAD_SECONDS = 30.0
"""That these may take to arrive."""

_log = logging.getLogger(__name__)


class Protocol(HttpToolsProtocol):
    """One connection. What it refuses by itself is a problem as well."""

    _expiry: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The first head has to arrive in time; uvicorn itself limits how long a next one may not begin."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._head_arrived()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first byte of a head has arrived."""
        super().on_message_begin()
        if self._expiry is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head has arrived."""
        self._head_arrived()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived, of a head, of a body, or of both."""
        awaited = self._expiry
        super().data_received(data)
        # A head that has begun just now is no longer than what arrived with it.
        if awaited is not None and awaited is self._expiry:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                self._refuse(431, f"The headers are longer than the {HEAD_BYTES:,} bytes that they may have.")

    def send_400_response(self, msg: str) -> None:
        """Uvicorn cannot read the request."""
        self._refuse(400, "The request is not HTTP/1.1 as RFC 9112 has it.")

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._expiry = self.loop.call_later(HEAD_SECONDS, self._expired)

    def _head_arrived(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    def _expired(self) -> None:
        self._refuse(408, f"The headers did not arrive within {HEAD_SECONDS:g} s.")

    def _refuse(self, status: int, detail: str) -> None:
        self._head_arrived()
        # Within the answer to an earlier request, nothing else can be said.
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_answer(status, detail))
        self.transport.close()


def configure(app: FastAPI) -> uvicorn.Config:
    """How uvicorn is to serve ``app``. Logs go through the standard library's root logger."""
    return uvicorn.Config(
        app, http=Protocol, log_config=None, access_log=False, lifespan="on", server_header=False
    )


def _answer(status: int, detail: str) -> bytes:
    title = HTTPStatus(status).phrase
    code = title.lower().replace(" ", "-")
    request_id = uuid.uuid4().hex
    body = problem_body(request_id, status=status, title=title, detail=detail, code=code)
    _log.warning("%s (request %s)", detail, request_id)
    head = (
        f"HTTP/1.1 {status} {title}\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n"
        f"X-Request-ID: {request_id}\r\nConnection: close\r\n\r\n"
    )
    return (head + body).encode("ascii")
