"""An accepted order on its way: made, encoded and sent, as long as somebody is there to take it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from synth.batch import Batch
from synth.errors import SynthError
from synth.serving.encoders import Encoder
from synth.serving.forms import Form, answer_headers
from synth.serving.memory import Reservation
from synth.serving.orders import Order, memory_of, turn_of
from synth.serving.problems import DeadlineError
from synth.serving.request_id import request_id_of
from synth.serving.services import Services
from synth.serving.tickets import Ticket

PIECE_BYTES = 256 * 1024
"""Servers wait for a slow client between two pieces, and would take all of one piece into memory."""
_WHOLE_BYTES = 4 * 2**20
"""Reserved memory: smaller answers are finished before they are sent, so that every error has its status."""
_AT_ONCE_BYTES = 2**16
"""The system takes so much of an answer, also for a client that does not read."""
_INLINE_BYTES = 2**16
"""Raw pixels: fewer are encoded sooner than a thread takes them over."""
_BYTES_OF_LABEL = 64
"""A label, or the share of a class, takes as long to write as so many bytes of pixels."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Answer(Response):
    """Images for one client. Its memory is held until the body is sent or the client has gone.

    When called, it raises what ``_deliver`` raises before anything is sent. What goes wrong later ends the
    connection in the middle of the body, which clients can tell from its end.
    """

    def __init__(self, services: Services, form: Form, *, deadline: float) -> None:
        """``deadline``: by the event loop's clock; until then the images are to be made."""
        super().__init__()
        self._services, self._form, self._deadline = services, form, deadline

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await unless_gone(receive, self._deliver(scope, send))

    async def _deliver(self, scope: Scope, send: Send) -> None:
        raise NotImplementedError

    async def _send(
        self,
        scope: Scope,
        send: Send,
        whole: Batch,
        parts: AsyncIterator[Batch],
        reserved: Reservation,
        size: int,
    ) -> None:
        """Encode and send what is made; ``reserved`` holds ``size`` bytes for that."""
        scope["state"].update(model=whole.fingerprint.model, images=len(whole))
        encoder = self._form.open(whole)
        pieces = encoded(parts, encoder, partial(encode, self._services, self._form, encoder))
        head = {"Content-Type": encoder.media_type, **answer_headers(whole, self._form)}
        if size <= _WHOLE_BYTES:
            body = b"".join([piece async for piece in pieces])
            self._check_deadline()
            reserved.resize(len(body))
            await _send_whole(send, head, body)
        else:
            if encoder.length is not None:
                head["Content-Length"] = str(encoder.length)
            await send_stream(scope, send, head, gathered(pieces), self._check_deadline)

    def _check_deadline(self) -> None:
        if asyncio.get_running_loop().time() > self._deadline:
            raise DeadlineError("The deadline passed before the answer was ready.")


class Delivery(Answer):
    """An order's images, made by a model.

    When called, it raises NotFoundError, UsageError, OverloadError, RateError, DeadlineError, or what loading
    and computing raise, before anything is sent.
    """

    def __init__(self, services: Services, order: Order, form: Form, *, deadline: float) -> None:
        """See ``Answer``."""
        super().__init__(services, form, deadline=deadline)
        self._order = order

    async def _deliver(self, scope: Scope, send: Send) -> None:
        services, order = self._services, self._order
        with ExitStack() as held, ExitStack() as lent:
            lease = lent.enter_context(await services.registry.lease(order.model))
            # Once more with its own cost when it is planned; most of what has to be refused need not be.
            services.engine.check(self._deadline)
            shape = None if order.images is None else tuple(order.images.shape[1:])
            size = memory_of(order.count, lease.artifact, self._form, services.settings, shape)
            reserved = held.enter_context(services.memory.reserve(size))
            work, whole = await order.plan(lease.sampler)
            ticket = held.enter_context(
                services.engine.accept(
                    lease.sampler,
                    work,
                    client=turn_of(scope),
                    deadline=self._deadline,
                    release=lent.pop_all().close,
                )
            )
            del lease, work
            services.rates.take_images(scope, order.count)
            await self._send(scope, send, whole, whole_of(ticket, whole), reserved, size)


def _nothing() -> None: ...


async def send_stream(
    scope: Scope,
    send: Send,
    head: dict[str, str],
    pieces: AsyncIterator[bytes],
    check: Callable[[], None] = _nothing,
) -> None:
    """Send an answer while it is made; it begins once there is a first piece and ``check`` does not raise.

    What goes wrong before that is raised; later it can only be logged, and the connection broken off.
    """
    begun = False
    try:
        async for piece in pieces:
            if not begun:
                check()
                await send(_start_message(head))
                begun = True
            await send(_body_message(piece))
        await send({"type": "http.response.body", "body": b""})
    except SynthError as error:
        if not begun:
            raise
        # Returning without the last message is how an ASGI server is told to break the connection off.
        _log.warning("request %s was broken off: %s", request_id_of(scope), error)


async def whole_of(ticket: Ticket, whole: Batch) -> AsyncIterator[Batch]:
    """The samples of ``ticket`` as they are made, with all that is known of them."""
    made = 0
    while made < len(whole):
        batch = whole.part(made, await ticket.get())
        made += len(batch)
        yield batch
        del batch


async def encoded(
    parts: AsyncIterator[Batch], encoder: Encoder, encode: Callable[[Batch], bytes]
) -> AsyncIterator[bytes]:
    """The answer in pieces of any size, as its samples are made."""
    yield encoder.head()
    async for batch in parts:
        labels = 0 if batch.labels is None else batch.labels.numel()
        few = batch.images.numel() + _BYTES_OF_LABEL * labels <= _INLINE_BYTES
        piece = encode(batch) if few else await to_its_end(encode, batch)
        del batch
        yield piece
        del piece
    yield encoder.tail()


def encode(services: Services, form: Form, encoder: Encoder, batch: Batch) -> bytes:
    """``encoder.part``, measured."""
    services.telemetry.made(batch)
    with services.telemetry.encoding(form.name):
        return encoder.part(batch)


async def gathered(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of PIECE_BYTES up to twice as much, except for the last one."""
    waiting: list[bytes] = []
    size = 0
    async for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            for cut in cuts(b"".join(waiting)):
                yield cut
            waiting, size = [], 0
    if size:
        yield b"".join(waiting)


def cuts(body: bytes) -> Iterator[bytes]:
    """``body`` in pieces of PIECE_BYTES, of which the last one may be up to twice as long."""
    count = max(1, len(body) // PIECE_BYTES)
    for number in range(count):
        last = number == count - 1
        yield body[number * PIECE_BYTES : None if last else (number + 1) * PIECE_BYTES]


async def to_its_end(function: Callable[..., T], *arguments: Any) -> T:
    """What ``function`` returns, called in a thread. If the caller is cancelled, that is told once it ended.

    A thread cannot be stopped, and what it holds in memory has to be counted.
    """
    work = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
    """What ``work`` returns; if the client goes away first, ``work`` is cancelled and None returned.

    Servers do not cancel an application whose client has gone: they only tell it so. The request's body must
    have been received.
    """
    working = asyncio.current_task()
    assert working is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        await _disconnected(receive)
        gone = True
        working.cancel()

    watching = asyncio.create_task(watch())
    try:
        return await work
    except asyncio.CancelledError:
        # By the watch, unless somebody else has cancelled this task as well.
        if gone and not working.uncancel():
            return None
        raise
    finally:
        watching.cancel()


def _start_message(head: dict[str, str]) -> dict[str, Any]:
    """The beginning of an answer that is good."""
    return {"type": "http.response.start", "status": 200, "headers": Headers(head).raw}


def _body_message(piece: bytes) -> dict[str, Any]:
    """A part of the body that is not the last one."""
    return {"type": "http.response.body", "body": piece, "more_body": True}


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_whole(send: Send, head: dict[str, str], body: bytes) -> None:
    await send(_start_message({**head, "Content-Length": str(len(body))}))
    if len(body) <= _AT_ONCE_BYTES:
        await send({"type": "http.response.body", "body": body})
        return
    for piece in cuts(body):
        await send(_body_message(piece))
    # By itself: only before a message does the server wait until the client has taken what came earlier.
    await send({"type": "http.response.body", "body": b""})
