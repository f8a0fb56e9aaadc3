"""Who is asking: the key in ``Authorization: Bearer`` or ``X-API-Key``, as pure ASGI."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from synth.errors import SynthError
from synth.serving.keys import Key, KeyFile, KeyFileError
from synth.serving.problems import problem_response, synth_problem

_log = logging.getLogger(__name__)

ANONYMOUS = "anonymous"
"""The client of a server that asks for no keys, and of the paths that anybody may see."""


class UnauthorizedError(SynthError):
    """No key, or none that is good."""

    status = 401
    code = "unauthorized"
    title = "A key is needed"


def client_of(scope: Scope) -> str:
    """The id of the key that a request came with, or ``anonymous``."""
    return str(scope.get("state", {}).get("client", ANONYMOUS))


def key_of(scope: Scope) -> Key | None:
    """The key that a request came with, if any."""
    key = scope.get("state", {}).get("key")
    assert key is None or isinstance(key, Key)
    return key


class Doorkeeper:
    """Whether keys are asked for. Once they are, they stay so until the server ends, whatever becomes of the
    file: who can remove a file must not thereby open the server.
    """

    def __init__(self, keys: KeyFile) -> None:
        self.keys = keys
        self._required = keys.exists()

    @property
    def required(self) -> bool:
        """Whether a request needs a key."""
        self._required = self._required or self.keys.exists()
        return self._required

    def identify(self, headers: Headers) -> Key | None:
        """The key of a request; None where none is asked for.

        Raises UnauthorizedError without a good key where one is required, and KeyFileError.
        """
        if not self.required:
            return None
        token = _token(headers)
        if token is None:
            raise UnauthorizedError(
                "Send a key: Authorization: Bearer sk_..., or X-API-Key. synth keys create makes one."
            )
        key = self.keys.find(token)
        if key is None:
            raise UnauthorizedError("This key is unknown here, or was revoked.")
        return key


class AuthenticationMiddleware:
    """Puts the key into ``scope["state"]["key"]`` and its id into ``["client"]``, or answers 401."""

    def __init__(self, app: ASGIApp, doorkeeper: Doorkeeper, public: Iterable[str]) -> None:
        """``public``: paths that need no key."""
        self.app = app
        self._doorkeeper = doorkeeper
        self._public = frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        key = None
        if scope["path"] not in self._public:
            try:
                key = self._doorkeeper.identify(Headers(scope=scope))
            except (UnauthorizedError, KeyFileError) as error:
                await _refusal(scope, error)(scope, receive, send)
                return
        state = scope.setdefault("state", {})
        state["key"], state["client"] = key, ANONYMOUS if key is None else key.id
        await self.app(scope, receive, send)


def _refusal(scope: Scope, error: SynthError) -> Response:
    request = Request(scope)
    if isinstance(error, KeyFileError):
        # What is wrong with the file is for the administrator alone.
        _log.error("%s", error)
        return problem_response(
            request,
            status=error.status,
            title=error.title,
            detail="The server cannot read its keys, and lets nobody in until its administrator mends that.",
            code=error.code,
        )
    return synth_problem(request, error, {"WWW-Authenticate": 'Bearer realm="synth"'})


def _token(headers: Headers) -> str | None:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return headers.get("x-api-key", "").strip() or None
