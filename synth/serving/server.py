"""The server process: one socket, one event loop, and an end in order."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import ipaddress
import math
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn
from fastapi import FastAPI

from synth.errors import UsageError
from synth.serving.access_log import logs_on_stderr
from synth.serving.app import create_app
from synth.serving.keys import KeyFile
from synth.serving.loader import OpenGenerator
from synth.serving.protocol import configure
from synth.serving.services import Services
from synth.serving.settings import ServerSettings
from synth.serving.workers import Workers

Say = Callable[[str], None]
"""Tells the user a line."""


def run(settings: ServerSettings, *, say: Say, open_generator: OpenGenerator | None = None) -> None:
    """Serve until SIGTERM or SIGINT (Ctrl-C), then end in order and return.

    In order: new work is refused with 503 while what was accepted is finished, for up to
    ``settings.drain_seconds``. A second Ctrl-C ends at once.

    Raises:
        UsageError: the address cannot be listened on, or other machines could reach it unallowed.
        KeyFileError: the file of keys is damaged, or open to others.
    """
    with bind(settings) as listener, logs_on_stderr(settings.access_log):
        app = create_app(settings, open_generator=open_generator)
        _Server(app, settings, listener, say).run(sockets=[listener])


def bind(settings: ServerSettings) -> socket.socket:
    """A listening socket on ``settings.host`` and ``settings.port``; raises as ``run`` does."""
    host, port = settings.host, settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise UsageError(f"There is no host {host!r} to listen on ({error}). Try --host 127.0.0.1.") from None
    # localhost may be both ::1 and 127.0.0.1: the latter is what clients try if they try only one.
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    local = ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback
    if not (local or settings.allow_remote or KeyFile(settings.keys).keys()):
        raise UsageError(
            f"Other machines can reach {host}, and this server asks nobody for a key. "
            "Make one with synth keys create NAME, or add --allow-remote if everyone on that network may use "
            "it; otherwise leave --host out."
        )
    try:
        return socket.create_server(address, family=family, backlog=2048)
    except OSError as error:
        raise UsageError(_cannot_listen(host, port, error)) from None


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} of {host} is in use. Choose another with --port, or --port 0 for any that is free."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} is reserved to the administrator. Choose one from 1024 on, as in --port 8000."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine. Try --host 127.0.0.1."
    return f"Cannot listen on {host}, port {port}: {error.strerror}. Try --host 127.0.0.1 --port 0."


class _Server(uvicorn.Server):
    """Uvicorn, except that its socket stays open while work is finished, so that /readyz can say so."""

    def __init__(self, app: FastAPI, settings: ServerSettings, listener: socket.socket, say: Say) -> None:
        super().__init__(configure(app))
        services = app.state.services
        assert isinstance(services, Services)
        self._engine, self._jobs = services.engine, services.jobs
        self._settings = settings
        self._listener = listener
        self._say = say
        self._loop: asyncio.AbstractEventLoop | None = None
        self._workers: Workers | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        # The collector would stop the loop for a tenth of a second, now and then, to look through modules
        # that stay until the end.
        gc.collect()
        gc.freeze()
        if self.started:
            self._workers = Workers(self._settings, self._jobs, self._say)
            self._workers.start()
            self._say(f"Serving {self._settings.store} at {_url(self._listener)} (Ctrl-C stops)")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        assert self._loop is not None
        if self._workers is not None:
            self._workers.terminate()
        deadline = self._loop.time() + self._settings.drain_seconds
        self._say("Stopping: what was accepted is finished first (Ctrl-C again stops at once).")
        await self._engine.shut_down(self._settings.drain_seconds)
        # What remains is encoding and sending; a client that does not read must not hold the server.
        self.config.timeout_graceful_shutdown = max(1, math.ceil(deadline - self._loop.time()))
        await super().shutdown(sockets)
        if self._workers is not None:
            await self._workers.stop(deadline - self._loop.time())
        if self.force_exit:  # uvicorn leaves the lifespan hanging then
            await self.lifespan.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self.force_exit and self._loop is not None:
            self._loop.call_soon_threadsafe(self._engine.abandon)
            if self._workers is not None:
                self._loop.call_soon_threadsafe(self._workers.kill)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does, but without raising the signals once more after an end in order: exit code 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"
