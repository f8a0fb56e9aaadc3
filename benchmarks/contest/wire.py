"""A client's connection: HTTP/1.1 with keep-alive, and as little work as can be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

Done = Callable[["Connection", int, bytes], None]
"""Told the connection, the status (0: the server hung up) and the body (empty unless it is kept)."""


class Connection(asyncio.Protocol):
    """One request at a time; ``done`` is called at the end of each answer."""

    def __init__(self, done: Done, *, keep_body: bool = False) -> None:
        self._done, self._keep_body = done, keep_body
        self.transport: asyncio.Transport | None = None
        self.received = 0
        """Bytes of the present answer's body."""
        self._body = bytearray()
        self._waiting = False

    @property
    def usable(self) -> bool:
        """Whether a request can be sent."""
        return self.transport is not None and not self.transport.is_closing() and not self._waiting

    def send(self, request: bytes) -> None:
        """Send a whole request."""
        assert self.usable
        assert self.transport is not None
        self.received, self._waiting = 0, True
        self.transport.write(request)

    def hang_up(self) -> None:
        """Close at once, whatever the server is doing; ``done`` is not called."""
        self._waiting = False
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self._waiting:
            self._finish(0)

    def on_body(self, data: bytes) -> None:
        self.received += len(data)
        if self._keep_body:
            self._body += data

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive() and self.transport is not None:
            self.transport.close()
        self._finish(self._parser.get_status_code())

    def _finish(self, status: int) -> None:
        self._waiting = False
        body, self._body = bytes(self._body), bytearray()
        self._done(self, status, body)


def request_bytes(path: str, headers: dict[str, str], body: str) -> bytes:
    """A POST of JSON to a server on this machine."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()
