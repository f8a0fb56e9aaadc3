"""``POST /v1/images/translations``: synthetic images made from images."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from synth.artifacts import Artifact
from synth.errors import UsageError
from synth.families import translates
from synth.serving.delivery import Delivery, unless_gone
from synth.serving.documentation import problems
from synth.serving.generations import ANSWER
from synth.serving.multipart import Form, MalformedBodyError, field_error
from synth.serving.negotiation import choose_form
from synth.serving.orders import Order, memory_of
from synth.serving.registry import Registry
from synth.serving.requests import SEED_BITS, DeadlineSeconds, GenerationRequest, deadline_of
from synth.serving.services import InjectedServices
from synth.serving.uploads import Fit, read_form
from synth.text import some

router = APIRouter(prefix="/v1/images", tags=["images"])

PATH = "/v1/images/translations"
FILES = "images"
"""The field with the images; it may be given many times."""


class TranslationRequest(GenerationRequest):
    """A request for synthetic images made from images, of which there are ``count``."""

    fit: Fit | None = Field(
        default=None,
        description="'resize': images of another size than the model's are resized and cropped at the "
        "centre, as in training. If left out, they are refused.",
    )


TEXTS = tuple(name for name in TranslationRequest.model_fields if name != "count")
"""The fields that are text."""


def translation_request(form: Form) -> TranslationRequest:
    """What a form asks for; raises RequestValidationError, which names the fields at fault."""
    if not form.files:
        raise field_error("Send one or more files: curl -F images=@photo.png", FILES)
    values: dict[str, Any] = {"count": len(form.files)}
    for name, text in form.texts.items():
        try:
            values[name] = _READ.get(name, str)(text)
        except (ValueError, RecursionError) as error:
            raise field_error(f"The text is not JSON ({error})", name) from None
    try:
        return TranslationRequest.model_validate(values)
    except ValidationError as error:
        # What is said of the whole is said of start: the only such rule is where the indices end.
        raise RequestValidationError(
            [{**item, "loc": ("body", *(item["loc"] or ("start",)))} for item in error.errors()]
        ) from None


def _integer(text: str) -> int | str:
    return int(text) if re.fullmatch("-?[0-9]{1,20}", text) else text


def _labels(text: str) -> Any:
    """A class or a word, or JSON if it begins like a list or an object."""
    return json.loads(text) if text.lstrip()[:1] in ("[", "{") else text


_READ: Mapping[str, Callable[[str], Any]] = {
    "labels": _labels,
    "seed": _integer,
    "start": _integer,
    "parameters": json.loads,
}


def _body() -> dict[str, Any]:
    """The description of the form."""
    schema = TranslationRequest.model_json_schema()["properties"]
    texts = {name: _without_null(schema[name]) for name in TEXTS}
    texts["labels"] = {
        "type": "string",
        "description": "What the images show, where the model has classes: a class name or number for all, "
        'or JSON: a list with one class for each image, or counts such as {"cat": 10, "dog": 30}, in this '
        "order.",
        "examples": ["cat", '["cat", "dog"]'],
    }
    texts["parameters"]["description"] += " As JSON."
    images = {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "minItems": 1,
        "description": "PNG, JPEG or WebP files without animation; transparency is laid over white.",
    }
    form = {"type": "object", "properties": {FILES: images, **texts}, "required": [FILES]}
    return {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {**form, "additionalProperties": False},
                "encoding": {FILES: {"contentType": "image/png, image/jpeg, image/webp"}},
            }
        },
    }


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A field of a form is left out, or text."""
    about = {key: value for key, value in schema.items() if key != "anyOf"}
    if about.get("default", ...) is None:
        del about["default"]
    if "enum" in about:
        about["enum"] = [value for value in about["enum"] if value is not None]
    able = [option for option in schema.get("anyOf", []) if option != {"type": "null"}]
    return {**(able[0] if len(able) == 1 else {"anyOf": able} if able else {}), **about}


@router.post(
    "/translations",
    response_class=Response,
    responses={200: ANSWER, **problems(404, 406, 408, 422, 503, 504, 507)},
    openapi_extra={"requestBody": _body()},
)
async def translate(
    request: Request, services: InjectedServices, deadline_seconds: DeadlineSeconds = None
) -> Response:
    """Make images from images: the first has the key (seed, start), the next (seed, start + 1), and so on."""
    settings = services.settings
    with services.memory.reserve(0) as held:
        form = await read_form(request, settings, texts=TEXTS, files=FILES, held=held)
        # What it took the client to send the images is not counted.
        request.state.arrived = asyncio.get_running_loop().time()
        deadline = deadline_of(request.scope, settings, deadline_seconds)
        body = translation_request(form)
        answer = choose_form(body.format, ",".join(request.headers.getlist("accept")), body.count)
        with await services.registry.lease(body.model) as lease:
            await _check_family(lease.artifact, services.registry)
            memory_of(body.count, lease.artifact, answer, settings)  # raises before anything is decoded
            image = lease.artifact.manifest.image
            held.grow(body.count * image.channels * image.height * image.width)
            decoding = services.decoder.decode(form.files, image, body.fit, field=FILES)
            images = await unless_gone(request.receive, decoding)
            if images is not None:
                services.telemetry.sent(lease.artifact.manifest.reference, images)
    if images is None:
        raise MalformedBodyError("The client went away before its images were decoded.")
    order = Order(
        model=body.model,
        count=body.count,
        # Where there are classes, they have to be told: what an image shows is not for drawing.
        labels=body.labels if "labels" in body.model_fields_set else None,
        seed=secrets.randbits(SEED_BITS) if body.seed is None else body.seed,
        start=body.start,
        mode=body.mode,
        parameters=body.parameters,
        images=images,
    )
    return _Translation(services, order, answer, deadline=deadline)


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
