"""``GET /v1/stream``: images without end, which go on at any index."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from synth.batch import Batch, Mode
from synth.errors import OverloadError, UsageError
from synth.randomness import MAX_INDEX, MAX_SEED
from synth.sampling.requests import read_parameters
from synth.serving.delivery import PIECE_BYTES, encode, gathered, send_stream, to_its_end, unless_gone
from synth.serving.documentation import IMAGE_HEADERS, problems
from synth.serving.forms import FORMS, Form, answer_headers
from synth.serving.negotiation import choose_form
from synth.serving.orders import Order, memory_of, turn_of
from synth.serving.requests import SEED_BITS, deadline_of
from synth.serving.residency import Lease
from synth.serving.services import InjectedServices, Services

router = APIRouter(prefix="/v1", tags=["images"])

STREAM_FORMS = {name: FORMS[name] for name in ("tar", "multipart", "raw")}
"""Those that need not know how many images there will be."""

_ANSWER: dict[str, Any] = {
    "description": "The images, one after the other, until the client goes away, the server stops, or there "
    "have been `count`. A tar is a WebDataset shard. Broken off at some image, ask again with its index as "
    "`start`: what follows is the same to the byte.",
    "content": {
        form.media_type: {"schema": {"type": "string", "format": "binary"}} for form in STREAM_FORMS.values()
    },
    "headers": IMAGE_HEADERS,
}


class StreamQuery(BaseModel):
    """What is asked for. Whatever has another name is a sampling parameter."""

    model_config = ConfigDict(extra="allow", frozen=True)

    model: str | None = Field(
        default=None,
        max_length=256,
        description="NAME, NAME@latest, NAME@3 or NAME@ALIAS, which keeps its meaning until the stream ends. "
        "May be left out if the server has one model.",
    )
    labels: str = Field(default="any", description="'any', 'balanced', or a class name or number for all.")
    seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="The server draws one if it is left out; X-Synth-Seed tells it.",
    )
    start: int = Field(default=0, ge=0, lt=MAX_INDEX, description="Index of the first image.")
    count: int | None = Field(default=None, ge=1, description="How many images; without end if left out.")
    mode: Mode = "fast"
    format: str | None = Field(
        default=None,
        description="tar, multipart or raw. If left out, Accept decides; tar if that does not say either.",
        json_schema_extra={"enum": [*STREAM_FORMS, None]},
    )

    @property
    def parameters(self) -> dict[str, str]:
        """The sampling parameters, as they were written."""
        return {name: str(text) for name, text in (self.model_extra or {}).items()}


@router.get(
    "/stream",
    response_class=Response,
    responses={200: _ANSWER, **problems(404, 406, 413, 422, 503, 504, 507)},
)
async def stream(
    query: Annotated[StreamQuery, Query()], request: Request, services: InjectedServices
) -> Response:
    """Images with the keys (seed, start), (seed, start + 1) and so on, without end."""
    if "=" in query.labels:
        raise UsageError(
            "A stream has no end, so its labels are any, balanced, or one class by name or number."
        )
    accept = ",".join(request.headers.getlist("accept"))
    form = choose_form(query.format, accept, count=2, forms=STREAM_FORMS)
    order = Order(
        model=query.model,
        count=min(query.count or MAX_INDEX, MAX_INDEX - query.start),
        labels=query.labels,
        seed=secrets.randbits(SEED_BITS) if query.seed is None else query.seed,
        start=query.start,
        mode=query.mode,
        parameters=query.parameters,
    )
    return Stream(services, order, form)


class Stream(Response):
    """An order of any length for one client, made chunk by chunk as fast as the client reads."""

    def __init__(self, services: Services, order: Order, form: Form) -> None:
        super().__init__()
        self._services, self._order, self._form = services, order, form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await unless_gone(receive, self._run(scope, send))

    async def _run(self, scope: Scope, send: Send) -> None:
        services, form = self._services, self._form
        with ExitStack() as held:
            lease = held.enter_context(await services.registry.lease(self._order.model))
            texts = {name: str(value) for name, value in self._order.parameters.items()}
            order = replace(self._order, parameters=read_parameters(lease.sampler.parameters, texts))
            size = _chunk_size(lease, order, form, services)
            # One chunk is encoded and sent while the next one is made.
            held.enter_context(
                services.memory.reserve(2 * memory_of(size, lease.artifact, form, services.settings))
            )
            chunks = _Chunks(services, lease, scope, replace(order, count=size), order.count)
            first = await chunks.make(0)
            encoder = form.open(first)
            scope["state"]["model"] = first.fingerprint.model
            image = lease.artifact.manifest.image
            head = {
                "Content-Type": encoder.media_type,
                **answer_headers(first, form),
                "X-Synth-Shape": f"*,{image.height},{image.width},{image.channels}",
            }
            head.pop("X-Synth-Labels", None)

            async def pieces() -> AsyncGenerator[bytes, None]:
                yield encoder.head()
                async with aclosing(chunks.following(first)) as batches:
                    async for batch in batches:
                        yield await to_its_end(encode, services, form, encoder, batch)
                yield encoder.tail()

            async with aclosing(pieces()) as encoded:
                await send_stream(scope, send, head, gathered(encoded))


@dataclass(frozen=True)
class _Chunks:
    services: Services
    lease: Lease
    scope: Scope
    chunk: Order
    count: int
    """Images in all."""

    async def make(self, done: int) -> Batch:
        """The chunk after the first ``done`` images; raises what a Delivery raises."""
        services, sampler = self.services, self.lease.sampler
        size = min(self.chunk.count, self.count - done)
        work, _ = await replace(self.chunk, start=self.chunk.start + done, count=size).plan(sampler)
        services.rates.take_images(self.scope, size)
        # Only the first chunk may be refused: a stream that was accepted has its turn like all others.
        deadline = None if done else deadline_of(self.scope, services.settings, None)
        client = turn_of(self.scope)
        pixels = await services.engine.submit(
            sampler, work, client=client, deadline=deadline, continued=bool(done)
        )
        return sampler.batch(work, pixels)

    async def following(self, first: Batch) -> AsyncGenerator[Batch, None]:
        """All chunks from ``first`` on. They end early, in order, if the server stops or a quota is spent."""
        batch: Batch | None = first
        done = 0
        coming: asyncio.Task[Batch] | None = None
        try:
            while batch is not None:
                done += len(batch)
                coming = asyncio.create_task(self.make(done)) if done < self.count else None
                yield batch
                del batch
                batch = None if coming is None else await coming
        except OverloadError:
            return
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)


def _chunk_size(lease: Lease, order: Order, form: Form, services: Services) -> int:
    """Images at once: a piece or more of raw pixels, at least a batch, and no more than the memory allows."""
    image = lease.artifact.manifest.image
    each = image.height * image.width * image.channels
    wanted = max(-(-PIECE_BYTES // each), lease.sampler.best_bucket(order.mode))
    settings = services.settings
    fitting = min(
        settings.max_images_per_request,
        settings.max_response_bytes // each,
        settings.max_bytes_in_flight // (4 * form.memory(each)),
    )
    return max(1, min(wanted, fitting, order.count))
