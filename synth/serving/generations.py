"""``POST /v1/images/generations``: synthetic images."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from starlette.responses import Response

from synth.serving.answers import GenerationAnswer
from synth.serving.delivery import Delivery
from synth.serving.documentation import IMAGE_HEADERS, problems, reference
from synth.serving.form_examples import REQUESTS, form_content
from synth.serving.json_body import Handler, JsonRequest, JsonRoute, is_json
from synth.serving.negotiation import choose_form
from synth.serving.orders import Order, check_count
from synth.serving.requests import DEADLINE_HEADER, SEED_BITS, DeadlineSeconds, GenerationRequest, deadline_of
from synth.serving.services import services_of


class GenerationRoute(JsonRoute):
    """Takes good requests in plain JSON the short way: FastAPI's takes as long as all else on the event loop.

    Everything that is not as it should be, or is said in a rarer way, goes FastAPI's way, which tells what is
    wrong with it.
    """

    def get_route_handler(self) -> Handler:
        """See above."""
        long_way = super().get_route_handler()

        async def handle(request: Request) -> Response:
            if not is_json(request) or DEADLINE_HEADER in request.headers:
                return await long_way(request)
            request = JsonRequest(request.scope, request.receive)
            try:
                body = GenerationRequest.model_validate(await request.json())
            except (ValueError, RecursionError):
                return await long_way(request)
            return await generate(body, request)

        return handle


router = APIRouter(prefix="/v1/images", tags=["images"], route_class=GenerationRoute)


ANSWER: dict[str, Any] = {
    "description": "The images, in the form that `format` or `Accept` asks for. Unasked, one image comes as "
    "PNG and several come as JSON. Each image's seed and index are in every form: in the PNG's text, the "
    "JSON records, the arrays, and for raw pixels in the headers.",
    "content": form_content(reference(GenerationAnswer)),
    "headers": IMAGE_HEADERS,
}


@router.post(
    "/generations",
    response_class=Response,
    responses={200: ANSWER, **problems(404, 406, 422, 503, 504, 507)},
)
async def generate(
    body: Annotated[GenerationRequest, Body(openapi_examples=REQUESTS)],
    request: Request,
    deadline_seconds: DeadlineSeconds = None,
) -> Response:
    """Make images: (seed, start) to (seed, start + count - 1). The same keys always make the same images."""
    services = services_of(request)  # not injected, which would take longer than the rest of this function
    form = choose_form(body.format, ",".join(request.headers.getlist("accept")), body.count)
    check_count(body.count, services.settings)
    order = Order(
        model=body.model,
        count=body.count,
        labels=body.labels,
        seed=secrets.randbits(SEED_BITS) if body.seed is None else body.seed,
        start=body.start,
        mode=body.mode,
        parameters=body.parameters,
    )
    return Delivery(
        services, order, form, deadline=deadline_of(request.scope, services.settings, deadline_seconds)
    )
