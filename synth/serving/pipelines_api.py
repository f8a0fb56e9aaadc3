"""``/v1/pipelines``: the pipelines that can be named, and what one may say."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from synth.augment import Specification
from synth.augment.schema import pipeline_schema
from synth.serving.documentation import problems
from synth.serving.services import InjectedServices

router = APIRouter(prefix="/v1/pipelines", tags=["pipelines"])

SCHEMA_TYPE = "application/schema+json"


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
    services: InjectedServices,
) -> PipelineView:
    """One pipeline, by its name, or by the digest of one that was sent before."""
    found = await services.pipelines.find(pipeline)
    return PipelineView.of(pipeline if pipeline in services.pipelines.named else None, found)
