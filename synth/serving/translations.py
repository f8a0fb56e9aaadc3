"""``POST /v1/images/translations``: synthetic images made from images."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from torch import Tensor

from synth.artifacts import Artifact
from synth.artifacts.preservation import check_drift
from synth.errors import UsageError
from synth.families import translates
from synth.sampling.pictures import Embedded
from synth.serving.decoding import Fit, OwnSize
from synth.serving.delivery import Delivery, unless_gone
from synth.serving.documentation import problems
from synth.serving.form_fields import (
    Read,
    checked,
    file_field,
    form_body,
    integer,
    maybe_json,
    read_texts,
    require_files,
    without_null,
)
from synth.serving.forms import Form as AnswerForm
from synth.serving.generations import ANSWER
from synth.serving.memory import Reservation
from synth.serving.mixed import MixedDelivery, check_form
from synth.serving.multipart import Form
from synth.serving.negotiation import choose_form
from synth.serving.orders import Order, memory_of, memory_of_all
from synth.serving.problems import MalformedBodyError
from synth.serving.registry import Registry
from synth.serving.requests import SEED_BITS, DeadlineSeconds, GenerationRequest, deadline_of
from synth.serving.residency import Lease
from synth.serving.services import InjectedServices, Services
from synth.serving.uploads import read_form
from synth.text import some

router = APIRouter(prefix="/v1/images", tags=["images"])

PATH = "/v1/images/translations"
FILES = "images"
"""The field with the images; it may be given many times."""
PICTURES = ("style",)
"""Fields with pictures that models take as parameters of that name; see ``PictureParameter``."""


class TranslationRequest(GenerationRequest):
    """A request for synthetic images made from images, of which there are ``count``."""

    fit: Fit | None = Field(
        default=None,
        description="'resize': images of another size than the model's are resized and cropped at the "
        "centre, as in training. If left out, they keep their size where the model takes any, and are "
        "refused elsewhere.",
    )
    allow_label_drift: bool = Field(
        default=False,
        description="Take labels although the model was not found to preserve what images show.",
    )


_COLOUR = 3
"""Channels that pictures are decoded in: their ids are of canonical pixels, whatever the model's channels."""

TEXTS = tuple(name for name in TranslationRequest.model_fields if name != "count")
"""The fields that are text."""


def translation_request(form: Form) -> TranslationRequest:
    """What a form asks for; raises RequestValidationError, which names the fields at fault."""
    require_files(form, FILES)
    values = {"count": len(form.files), **read_texts(form.texts, _READ)}
    # What is said of the whole is said of start: the only such rule is where the indices end.
    return checked(TranslationRequest, values, whole="start")


_READ: Mapping[str, Read] = {
    "labels": maybe_json,
    "seed": integer,
    "start": integer,
    "parameters": json.loads,
    "allow_label_drift": lambda text: {"true": True, "false": False}.get(text, text),
}


def _body() -> dict[str, Any]:
    """The description of the form."""
    schema = TranslationRequest.model_json_schema()["properties"]
    texts = {name: without_null(schema[name]) for name in TEXTS}
    texts["labels"] = {
        "type": "string",
        "description": "What the images show, where the model has classes: a class name or number for all, "
        'or JSON: a list with one class for each image, or counts such as {"cat": 10, "dog": 30}, in this '
        "order.",
        "examples": ["cat", '["cat", "dog"]'],
    }
    texts["parameters"]["description"] += " As JSON."
    pictures = file_field(
        "Pictures, one or more, that the model's parameter of this name takes, if it has one."
    )
    return form_body(FILES, texts, dict.fromkeys(PICTURES, pictures))


@router.post(
    "/translations",
    response_class=Response,
    responses={200: ANSWER, **problems(404, 406, 408, 422, 503, 504, 507)},
    openapi_extra={"requestBody": _body()},
)
async def translate(
    request: Request, services: InjectedServices, deadline_seconds: DeadlineSeconds = None
) -> Response:
    """Make images from images: the first has the key (seed, start), the next (seed, start + 1), and so on.

    Models that take images of any size give each image back in its own.
    """
    settings = services.settings
    with services.memory.reserve(0) as held:
        most = settings.max_images_per_request
        form = await read_form(
            request,
            settings,
            texts=TEXTS,
            files=FILES,
            pictures=PICTURES,
            held=held,
            remedy=f"Send them in several, with one seed and start 0, {most}, {2 * most}, ...: the result is "
            "the same.",
        )
        # What it took the client to send the images is not counted.
        request.state.arrived = asyncio.get_running_loop().time()
        deadline = deadline_of(request.scope, settings, deadline_seconds)
        body = translation_request(form)
        answer = choose_form(body.format, ",".join(request.headers.getlist("accept")), body.count)
        with await services.registry.lease(body.model) as lease:
            await _check_family(lease.artifact, services.registry)
            card = lease.artifact.card
            if "labels" in body.model_fields_set:
                check_drift(card, body.parameters, allow=body.allow_label_drift)
            images = await unless_gone(request.receive, _decoded(services, lease, body, form, answer, held))
            if images is None:
                raise MalformedBodyError("The client went away before its images were decoded.")
            for alike in images[:1] if isinstance(images, list) else [images]:
                services.telemetry.sent(card.reference, alike if alike.ndim == 4 else alike[None])
            pictures = await unless_gone(request.receive, _embedded(services, lease, body, form, held))
            if pictures is None:
                raise MalformedBodyError("The client went away before its pictures were looked at.")
    order = Order(
        # What was made of pictures is good for this version alone.
        model=card.reference if pictures else body.model,
        count=body.count,
        # Where there are classes, they have to be told: what an image shows is not for drawing.
        labels=body.labels if "labels" in body.model_fields_set else None,
        seed=secrets.randbits(SEED_BITS) if body.seed is None else body.seed,
        start=body.start,
        mode=body.mode,
        parameters={**body.parameters, **pictures},
        images=None if isinstance(images, list) else images,
    )
    if isinstance(images, list):
        return MixedDelivery(services, order, answer, images, deadline=deadline)
    return _Translation(services, order, answer, deadline=deadline)


async def _decoded(
    services: Services,
    lease: Lease,
    body: TranslationRequest,
    form: Form,
    answer: AnswerForm,
    held: Reservation,
) -> Tensor | list[Tensor]:
    """The images: uint8 [N, C, H, W], or [C, H, W] each where they differ in size."""
    image, settings = lease.artifact.manifest.image, services.settings
    if body.fit is None and lease.sampler.any_size:
        several = await services.decoder.decode_any(form.files, OwnSize(image.channels), held, field=FILES)
        check_form(answer, several)
        memory_of_all([one.nbytes for one in several], answer, settings)
        return torch.stack(several) if len({one.shape for one in several}) == 1 else several
    memory_of(body.count, lease.artifact, answer, settings)  # raises before anything is decoded
    held.grow(body.count * image.channels * image.height * image.width)
    return await services.decoder.decode(form.files, image, body.fit, field=FILES)


async def _embedded(
    services: Services, lease: Lease, body: TranslationRequest, form: Form, held: Reservation
) -> dict[str, Embedded]:
    """What the model makes of the pictures in the form, on the thread that it belongs to."""
    found = {}
    for name, files in form.pictures.items():
        pictures = await services.decoder.decode_any(files, OwnSize(_COLOUR), held, field=name)
        embed = partial(lease.sampler.embed, name, pictures, body.parameters)
        found[name] = await services.engine.call(embed)
    return found


class _Translation(Delivery):
    """Its images are counted in memory too."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._order.images is not None
        with self._services.memory.reserve(self._order.images.nbytes):
            await super().__call__(scope, receive, send)


async def _check_family(artifact: Artifact, registry: Registry) -> None:
    """Raise UsageError, which names those models that can, where a model cannot translate."""
    if translates(artifact.manifest.family):
        return
    entries = await asyncio.to_thread(registry.entries)
    able = [entry.reference for entry in entries if entry.card is not None and translates(entry.card.family)]
    raise UsageError(
        f"{artifact.manifest.reference} is a {artifact.manifest.family}: it makes images from nothing and "
        f"cannot translate. Models here that can: {some(able) if able else 'none'}."
    )
