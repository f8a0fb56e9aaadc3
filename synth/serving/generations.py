"""``POST /v1/images/generations``: synthetic images."""

from __future__ import annotations

import asyncio
import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from starlette.responses import Response

from synth.artifacts import Artifact
from synth.serving.answers import GenerationAnswer
from synth.serving.delivery import Delivery
from synth.serving.documentation import header, problems, reference
from synth.serving.engine import Generation
from synth.serving.form_examples import REQUESTS, form_content
from synth.serving.forms import Form
from synth.serving.json_body import JsonRoute
from synth.serving.negotiation import choose_form
from synth.serving.problems import TooLargeError
from synth.serving.requests import GenerationRequest
from synth.serving.services import InjectedServices
from synth.serving.settings import ServerSettings

router = APIRouter(prefix="/v1/images", tags=["images"], route_class=JsonRoute)

_SEED_BITS = 53
"""Of seeds drawn here: every JSON reader, JavaScript's too, takes such integers without rounding."""

_ANSWER: dict[str, Any] = {
    "description": "The images, in the form that `format` or `Accept` asks for. Unasked, one image comes as "
    "PNG and several come as JSON. Each image's seed and index are in every form: in the PNG's text, the "
    "JSON records, the arrays, and for raw pixels in the headers.",
    "content": form_content(reference(GenerationAnswer)),
    "headers": {
        "X-Synth-Model": header("NAME@VERSION."),
        "X-Synth-Digest": header("Digest of the model."),
        "X-Synth-Seed": header("Seed of all images; with the index it is the key of an image."),
        "X-Synth-Start": header("Index of the first image; the others follow."),
        "X-Synth-Shape": header("N,H,W,C."),
        "X-Synth-Dtype": header("uint8; raw pixels are in C order."),
        "X-Synth-Labels": header(
            "Class number of each image, separated by commas. Left out without classes, and, except for raw "
            "pixels, beyond 4,096 characters."
        ),
        "X-Synth-Fingerprint": header("JSON: all else that decides the pixels."),
    },
}


@router.post(
    "/generations",
    response_class=Response,
    responses={200: _ANSWER, **problems(404, 406, 422, 503, 507)},
)
async def generate(
    body: Annotated[GenerationRequest, Body(openapi_examples=REQUESTS)],
    request: Request,
    services: InjectedServices,
) -> Response:
    """Make images: (seed, start) to (seed, start + count - 1). The same keys always make the same images."""
    form = choose_form(body.format, ",".join(request.headers.getlist("accept")), body.count)
    _check_count(body.count, services.settings)
    artifact = await asyncio.to_thread(services.registry.find, body.model)
    request.state.model, request.state.images = artifact.manifest.reference, body.count
    size = _memory(body.count, artifact, form, services.settings)
    work = Generation(
        artifact=artifact,
        count=body.count,
        labels=body.labels,
        seed=secrets.randbits(_SEED_BITS) if body.seed is None else body.seed,
        start=body.start,
        mode=body.mode,
        parameters=body.parameters,
    )
    return Delivery(services.engine, services.memory, services.telemetry, work, form, size)


def _check_count(count: int, settings: ServerSettings) -> None:
    limit = settings.max_images_per_request
    if count > limit:
        raise TooLargeError(
            f"{count:,} images were asked for, and one request may have {limit:,}. Ask in several requests "
            f"with one seed and start 0, {limit}, {2 * limit}, ...: together they are the same images."
        )


def _memory(count: int, artifact: Artifact, form: Form, settings: ServerSettings) -> int:
    """Bytes of memory that the answer takes at the most; TooLargeError if that can never be had."""
    image = artifact.manifest.image
    each = image.height * image.width * image.channels
    fitting = min(settings.max_response_bytes // each, settings.max_bytes_in_flight // form.memory(each))
    if count > fitting:
        remedy = (
            f"Ask for {fitting:,} at a time, going on with start."
            if fitting
            else "The server needs a higher SYNTH_MAX_RESPONSE_BYTES or SYNTH_MAX_BYTES_IN_FLIGHT for it."
        )
        raise TooLargeError(
            f"{count:,} images of {each:,} bytes as {form.name} are more than one answer may have. {remedy}"
        )
    return count * form.memory(each)
