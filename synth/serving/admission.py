"""Admission before anything is done: a request that the device has no time for is not even read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from synth.errors import SynthError
from synth.serving.engine import Engine
from synth.serving.problems import synth_problem
from synth.serving.requests import DEADLINE_HEADER, deadline_of
from synth.serving.settings import ServerSettings


class AdmissionMiddleware:
    """Answers 503 where the backlog alone takes longer than a request may. Its own cost is judged later."""

    def __init__(self, app: ASGIApp, engine: Engine, settings: ServerSettings, paths: Iterable[str]) -> None:
        """``paths``: those of requests for images."""
        self.app = app
        self._engine, self._settings = engine, settings
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in self._paths:
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})["arrived"] = asyncio.get_running_loop().time()
        try:
            self._engine.check(deadline_of(scope, self._settings, _seconds(scope)))
        except SynthError as error:
            await synth_problem(Request(scope), error)(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _seconds(scope: Scope) -> float | None:
    """What the client says; None also for what the route will refuse."""
    try:
        seconds = float(Headers(scope=scope).get(DEADLINE_HEADER, ""))
    except ValueError:
        return None
    return seconds if seconds > 0 else None
