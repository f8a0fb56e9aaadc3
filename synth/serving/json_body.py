"""Bodies in JSON, read strictly: one encoding, one meaning.

What other parsers may read in another way is refused: names that come twice (RFC 8259 leaves open which one
counts), and other encodings than UTF-8 (the standard library guesses).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from synth.text import repeated


def read_json(data: bytes) -> Any:
    """What a body says. Raises UnicodeDecodeError, ValueError, or JSONDecodeError, which names the place."""
    text = data.decode()

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if (twice := repeated(name for name, _ in pairs)) is not None:
            place = max(text.rfind(json.dumps(twice, ensure_ascii=False)), 0)
            raise json.JSONDecodeError(f"the name {twice!r} comes twice", text, place)
        return dict(pairs)

    return json.loads(text, object_pairs_hook=unique)


class JsonRequest(Request):
    """A request whose JSON is read strictly."""

    async def json(self) -> Any:
        """What the body says."""
        return read_json(await self.body())


Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class JsonRoute(APIRoute):
    """A route that takes JSON. For routers: ``APIRouter(route_class=JsonRoute)``."""

    def get_route_handler(self) -> Handler:
        """As FastAPI's, for a JsonRequest."""
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            # A JsonRequest may have read the body already.
            strict = (
                request if isinstance(request, JsonRequest) else JsonRequest(request.scope, request.receive)
            )
            return await handle(strict)

        return handle_json


def is_json(request: Request) -> bool:
    """Whether the body is said to be JSON, in the usual words."""
    return request.headers.get("content-type", "").lower() == "application/json"
