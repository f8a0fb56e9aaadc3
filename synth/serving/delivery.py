"""An accepted request on its way: made, encoded and sent, as long as somebody is there to take it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from synth.batch import Batch
from synth.serving.engine import Engine, Generation
from synth.serving.forms import Answer, Form, encode_answer
from synth.serving.memory import Memory
from synth.serving.telemetry import Telemetry

_PIECE = 256 * 1024
"""Bytes. Servers wait for a slow client between two pieces, and would take all of one piece into memory."""

T = TypeVar("T")


class Delivery(Response):
    """Images for one client. Its memory is held until the body is sent or the client has gone.

    When called, it raises OverloadError, or what the engine raises, before anything is sent.
    """

    def __init__(
        self, engine: Engine, memory: Memory, telemetry: Telemetry, work: Generation, form: Form, size: int
    ) -> None:
        """``size``: bytes of memory that the answer takes at the most."""
        super().__init__()
        self._engine, self._memory, self._telemetry = engine, memory, telemetry
        self._work, self._form, self._size = work, form, size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._memory.reserve(self._size) as reserved:
            answer = await self._answer(receive)
            if answer is not None:
                reserved.resize(len(answer.body))
                await unless_gone(receive, _send(answer, send))

    async def _answer(self, receive: Receive) -> Answer | None:
        """None if the client has gone. The raw pixels are let go of here, before anything is sent."""
        batch = await unless_gone(receive, self._engine.submit(self._work))
        if batch is None:
            return None
        # To its end in any case: a thread cannot be stopped, and its memory has to be counted.
        return await asyncio.to_thread(self._encode, batch)

    def _encode(self, batch: Batch) -> Answer:
        with self._telemetry.encoding(self._form.name):
            return encode_answer(batch, self._form)


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
    """What ``work`` returns; if the client goes away first, ``work`` is cancelled and None returned.

    Servers do not cancel an application whose client has gone: they only tell it so. The request's body must
    have been received.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        leaving.result()
        return None
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(answer: Answer, send: Send) -> None:
    about = {"Content-Type": answer.media_type, "Content-Length": str(len(answer.body))}
    await send({"type": "http.response.start", "status": 200, "headers": Headers(about | answer.headers).raw})
    for at in range(0, len(answer.body), _PIECE):
        await send({"type": "http.response.body", "body": answer.body[at : at + _PIECE], "more_body": True})
    # By itself: only before a message does the server wait until the client has taken what came earlier.
    await send({"type": "http.response.body", "body": b""})
