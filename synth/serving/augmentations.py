"""``POST /v1/images/augmentations``: images changed by a pipeline."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

import torch
from fastapi import APIRouter, Request
from starlette.responses import Response
from torch import Tensor

from synth.augment import Partners, Pipeline, Samples, Specification
from synth.augment.keys import sample_words
from synth.errors import LabelError
from synth.pixels import picture_id
from synth.serving.answers import AugmentationAnswer
from synth.serving.augment_answer import AugmentedAnswer
from synth.serving.augment_plan import Augmentation, Group, check_form
from synth.serving.augmentation_request import (
    FILES,
    TEXTS,
    AugmentationRequest,
    augmentation_request,
    request_body,
)
from synth.serving.decoding import OwnSize
from synth.serving.delivery import unless_gone
from synth.serving.documentation import AUGMENTATION_HEADERS, problems, reference
from synth.serving.form_examples import form_content
from synth.serving.negotiation import choose_form
from synth.serving.orders import turn_of
from synth.serving.problems import MalformedBodyError, TooLargeError
from synth.serving.requests import SEED_BITS, DeadlineSeconds, deadline_of
from synth.serving.services import InjectedServices
from synth.serving.settings import ServerSettings
from synth.serving.uploads import read_form

router = APIRouter(prefix="/v1/images", tags=["images"])

PATH = "/v1/images/augmentations"

_ANSWER: dict[str, Any] = {
    "description": "The images, copy by copy in the order in which they were sent, in the form that `format` "
    "or `Accept` asks for: unasked, one image comes as PNG and several come as JSON. Labels are those sent, "
    "or after a pipeline that mixes the share of each class.",
    "content": form_content(reference(AugmentationAnswer), example=False),
    "headers": AUGMENTATION_HEADERS,
}


@router.post(
    "/augmentations",
    response_class=Response,
    responses={200: _ANSWER, **problems(404, 406, 408, 422, 503, 504, 507)},
    openapi_extra={"requestBody": request_body()},
)
async def augment(
    request: Request, services: InjectedServices, deadline_seconds: DeadlineSeconds = None
) -> Response:
    """Change images by a pipeline, as the same pipeline does in training and in data sets on disk.

    What becomes of an image follows from pipeline, seed, epoch and its id alone. Partners of operations that
    mix (mixup, cutmix) are the other images of the request. Boxes, masks and points are not taken here.
    """
    settings = services.settings
    with services.memory.reserve(0) as held:
        form = await read_form(
            request,
            settings,
            texts=TEXTS,
            files=FILES,
            held=held,
            remedy="Send them in several: what becomes of an image does not depend on the others, unless the "
            "pipeline mixes.",
        )
        # What it took the client to send the images is not counted.
        request.state.arrived = asyncio.get_running_loop().time()
        deadline = deadline_of(request.scope, settings, deadline_seconds)
        body = augmentation_request(form)
        specification = await services.pipelines.find(body.pipeline, turn_of(request.scope))
        _check_count(body.count * body.copies, settings)
        answer = choose_form(
            body.format, ",".join(request.headers.getlist("accept")), body.count * body.copies
        )
        wanted = OwnSize(body.channels, least_side=1)
        images = await unless_gone(
            request.receive, services.decoder.decode_any(form.files, wanted, held, field=FILES)
        )
        if images is None:
            raise MalformedBodyError("The client went away before its images were decoded.")
        # What an id is made of takes a moment for large images.
        work = await asyncio.to_thread(make_augmentation, body, specification, images)
        check_form(answer, work.sizes())
    return AugmentedAnswer(services, work, answer, deadline=deadline)


def make_augmentation(
    body: AugmentationRequest, specification: Specification, images: Sequence[Tensor]
) -> Augmentation:
    """The work; ``images``: uint8 [C, H, W] each.

    Raises LabelError for labels that are no classes, and UsageError for ids that are none.
    """
    # Where none are told, as sources have them.
    told = [picture_id(one.permute(1, 2, 0).numpy()) for one in images] if body.ids is None else body.ids
    ids = tuple(told)
    sample_words(ids)  # raises now, and not when half of the answer is sent
    numbers = body.numbers()
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for place, image in enumerate(images):
        by_shape.setdefault(tuple(image.shape), []).append(place)

    def samples(places: Sequence[int]) -> Samples:
        return Samples(
            torch.stack([images[place] for place in places]),
            tuple(ids[place] for place in places),
            None if numbers is None else torch.tensor([numbers[place] for place in places]),
            classes=body.class_names,
        )

    partners = None
    if specification.batch:
        if numbers is not None and body.classes is None:
            raise LabelError(
                "The pipeline mixes images, and labels become the share of each class: send classes, their "
                "names as a JSON list, or their number."
            )
        count = len(body.classes) if isinstance(body.classes, list) else body.classes or 0
        partners = Partners(ids, lambda place: samples([place]), count)
    return Augmentation(
        pipeline=Pipeline(specification, secrets.randbits(SEED_BITS) if body.seed is None else body.seed),
        groups=tuple(Group(tuple(places), samples(places)) for places in by_shape.values()),
        epoch=body.epoch,
        copies=body.copies,
        partners=partners,
        channels=max(image.shape[0] for image in images),
        classes=body.class_names,
    )


def _check_count(count: int, settings: ServerSettings) -> None:
    limit = settings.max_images_per_request
    if count > limit:
        raise TooLargeError(
            f"{count:,} images were asked for, all copies together, and one request may have {limit:,}. Ask "
            "for fewer copies, going on with epoch, or send fewer images."
        )
