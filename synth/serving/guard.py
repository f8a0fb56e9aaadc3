"""What keeps the web pages that a user visits away from the server on the same machine.

A server on loopback needs no keys, since only its user reaches it. But so does the user's browser: a page can
send it requests (cross-site request forgery), and a name that its author points at 127.0.0.1 makes the page
and the server one site to the browser (DNS rebinding). The headers Host and Origin tell such requests.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from synth.errors import SynthError
from synth.serving.problems import synth_problem

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class MisdirectedError(SynthError):
    """The request names a host that this server is not."""

    status = 421
    code = "misdirected-request"
    title = "This is another host"


class ForeignOriginError(SynthError):
    """A web page from elsewhere sent the request."""

    status = 403
    code = "foreign-origin"
    title = "Web pages of other sites may not do this"


class GuardMiddleware:
    """Refuses what foreign web pages send, and forbids browsers to guess at the types of answers."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        keyless: Callable[[], bool],
        hosts: Iterable[str] | None,
        origins: Iterable[str] = (),
    ) -> None:
        """
        Args:
            keyless: whether requests need no key at present. Those that do are left to it: no page has one.
            hosts: names that Host may have besides those of loopback; None: any.
            origins: of web pages elsewhere that may send requests, as in https://lab.example.
        """
        self.app = app
        self._keyless = keyless
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_plainly(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Content-Type-Options"] = "nosniff"
            await send(message)

        try:
            if self._keyless():
                self._check(scope["method"], Headers(scope=scope))
        except (MisdirectedError, ForeignOriginError) as error:
            await synth_problem(Request(scope), error)(scope, receive, send_plainly)
            return
        await self.app(scope, receive, send_plainly)

    def _check(self, method: str, headers: Headers) -> None:
        host = headers.get("host", "").lower()
        # Every browser sends Host; without it (HTTP/1.0) no web page can have asked.
        if self._hosts is not None and host and not _is_ours(host, self._hosts):
            raise MisdirectedError(
                f"This server answers as localhost alone, and was asked as {host[:80]!r}. Use its address, "
                "name further hosts with SYNTH_ALLOWED_HOSTS, or make keys with synth keys create."
            )
        origin = headers.get("origin", "").lower()
        if method in _READING or not origin or origin in self._origins:
            return
        if _place(origin) != host:
            raise ForeignOriginError(
                f"A page of {origin[:80]!r} may not use this server. Allow it with SYNTH_ALLOWED_ORIGINS, or "
                "make keys with synth keys create and send one."
            )


def _is_ours(host: str, known: frozenset[str]) -> bool:
    """Whether a Host header, with or without port, means this machine or a name that is allowed."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name == "localhost" or name.endswith(".localhost") or name in known:
            return True
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _place(origin: str) -> str:
    """Host and port of an origin; nothing for ``null``."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
