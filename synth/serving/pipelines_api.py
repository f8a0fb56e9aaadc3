"""``/v1/pipelines``: the pipelines that can be named, and what one may say."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field, StrictStr
from starlette.responses import JSONResponse, Response

from synth.augment import Specification
from synth.augment.schema import pipeline_schema
from synth.fields import RequestBody
from synth.serving.documentation import problems
from synth.serving.json_body import JsonRoute
from synth.serving.orders import turn_of
from synth.serving.services import InjectedServices, Services

router = APIRouter(prefix="/v1/pipelines", tags=["pipelines"], route_class=JsonRoute)

SCHEMA_TYPE = "application/schema+json"


class PipelineBody(RequestBody):
    """A pipeline that somebody wants to use."""

    pipeline: Annotated[StrictStr, Field(min_length=1)] | dict[str, Any] = Field(
        description="In YAML or JSON as text, or as an object; or a name or digest.", examples=["basic"]
    )


class PipelineView(BaseModel):
    """A pipeline of augmentation."""

    name: str | None = Field(description="None of one that a client has sent.")
    digest: str = Field(description="Of its canonical form: equal digests make equal images of equal ones.")
    specification: dict[str, Any] = Field(description="With every default and version filled in.")

    @staticmethod
    def of(name: str | None, found: Specification) -> PipelineView:
        """What is told of a pipeline."""
        return PipelineView(name=name, digest=found.digest, specification=found.plain())


class PipelineList(BaseModel):
    """All pipelines that have a name."""

    pipelines: list[PipelineView]


@router.get("", name="pipelines")
async def pipelines(services: InjectedServices) -> PipelineList:
    """The presets, and those of the server's configuration."""
    named = sorted(services.pipelines.named.items())
    return PipelineList(pipelines=[PipelineView.of(name, found) for name, found in named])


@router.post("", responses=problems(404, 422))
async def tell_pipeline(body: PipelineBody, request: Request, services: InjectedServices) -> PipelineView:
    """Check a pipeline, and have it known by its digest, which will do for it in further requests."""
    said = body.pipeline if isinstance(body.pipeline, str) else json.dumps(body.pipeline)
    return _view(services, said, await services.pipelines.find(said, turn_of(request.scope)))


@router.get(
    "/schema",
    response_class=Response,
    responses={200: {"description": "The schema.", "content": {SCHEMA_TYPE: {"schema": {"type": "object"}}}}},
)
async def pipeline_json_schema() -> Response:
    """The JSON Schema of pipelines (draft 2020-12): all operations with their parameters and ranges."""
    return JSONResponse(pipeline_schema(), media_type=SCHEMA_TYPE)


@router.get("/{pipeline}", responses=problems(404, 422))
async def pipeline(
    pipeline: Annotated[
        str,
        Path(description="Its name, or its digest.", pattern="^[A-Za-z0-9_.-]{1,64}$", examples=["basic"]),
    ],
    request: Request,
    services: InjectedServices,
) -> PipelineView:
    """One pipeline, by its name, or by the digest of one that was sent before."""
    return _view(services, pipeline, await services.pipelines.find(pipeline, turn_of(request.scope)))


def _view(services: Services, said: str, found: Specification) -> PipelineView:
    word = said.strip()
    return PipelineView.of(word if word in services.pipelines.named else None, found)
