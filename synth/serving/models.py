"""``/v1/models``: what can be asked for."""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from synth.artifacts import Entry
from synth.errors import NotFoundError
from synth.families import generates, makes_images, translates
from synth.models.program import AnyParameter, PictureParameter, TextParameter
from synth.serving.documentation import problems
from synth.serving.registry import Registry
from synth.serving.services import InjectedServices
from synth.text import some

router = APIRouter(prefix="/v1/models", tags=["models"])

Name = Annotated[str, Path(description="Name of a model, as in NAME@3.", examples=["fashion"])]


class ImageFormat(BaseModel):
    """Of the images that the model makes."""

    channels: int = Field(description="1 (grey) or 3 (RGB).")
    height: int
    width: int


class MetricValue(BaseModel):
    """A measured figure."""

    value: float | None = Field(description="None if it is not finite.")
    how: str = Field(description="How it was measured.")


class ParameterInfo(BaseModel):
    """A sampling parameter: a number from ``low`` to ``high``, a text, or pictures, sent as files."""

    name: str
    kind: Literal["number", "whole number", "text", "pictures"]
    default: float | str
    low: float | None = None
    high: float | None = None
    choices: list[str] | None = Field(default=None, description="The only texts that there may be.")
    most_characters: int | None = None
    most_pictures: int | None = None
    meaning: str

    @staticmethod
    def of(parameter: AnyParameter) -> ParameterInfo:
        """What is told of a parameter."""
        name, default, meaning = parameter.name, parameter.default, parameter.meaning
        if isinstance(parameter, PictureParameter):
            most = parameter.most
            return ParameterInfo(
                name=name, kind="pictures", default=default, most_pictures=most, meaning=meaning
            )
        if isinstance(parameter, TextParameter):
            choices = None if parameter.choices is None else list(parameter.choices)
            return ParameterInfo(
                name=name,
                kind="text",
                default=default,
                choices=choices,
                most_characters=None if choices else parameter.most_characters,
                meaning=meaning,
            )
        kind: Literal["number", "whole number"] = "whole number" if parameter.whole else "number"
        return ParameterInfo(
            name=name, kind=kind, default=default, low=parameter.low, high=parameter.high, meaning=meaning
        )


class ModelVersion(BaseModel):
    """One version of a model. Of a damaged one, only name, version and error are known."""

    reference: str = Field(examples=["fashion@3"])
    name: str
    version: int
    status: Literal["available", "loading", "loaded", "failed"] = Field(
        description="available: it is loaded when it is first asked for. failed: it cannot be loaded."
    )
    error: str | None = Field(default=None, description="What is wrong with it, and what to do.")
    aliases: list[str] = Field(description="As in NAME@ALIAS.")
    memory_bytes: int | None = Field(default=None, description="Memory that it takes, if it is loaded.")
    requests: int = Field(description="That use it at this moment.")
    family: str | None = Field(default=None, examples=["vae"])
    operations: list[Literal["generate", "translate"]] | None = Field(
        default=None, description="generate: images from nothing. translate: images from images."
    )
    any_size: bool | None = Field(
        default=None, description="Whether it translates images of any size, if it is loaded."
    )
    image: ImageFormat | None = None
    classes: list[str] | None = Field(
        default=None, description="Class names in order of their numbers, if any."
    )
    digest: str | None = Field(default=None, description="Equal digests make equal images from equal keys.")
    created: str | None = Field(default=None, description="ISO 8601.")
    metrics: dict[str, MetricValue] | None = None
    training_images: int | None = Field(
        default=None, description="0 of models that were adopted from elsewhere: it is not known."
    )
    parameters: list[ParameterInfo] | None = Field(
        default=None, description="That requests may set, if it is loaded."
    )


class Model(ModelVersion):
    """The latest version of a model, and which versions there are."""

    versions: list[int]
    serving: str | None = Field(
        description="What the bare name means: the latest version, or the one before until that is loaded; "
        "None of models that make no images, such as encoders."
    )


class ModelList(BaseModel):
    """All models of the store; empty if there are none."""

    models: list[Model]


@router.get("", responses=problems(507))
async def list_models(services: InjectedServices) -> ModelList:
    """All models, each with its latest version."""
    entries = await asyncio.to_thread(services.registry.entries)
    groups = groupby(entries, lambda entry: entry.name)
    return ModelList(models=[_model(services.registry, list(group)) for _, group in groups])


@router.get("/{name}", responses=problems(404, 422, 507))
async def show_model(name: Name, services: InjectedServices) -> Model:
    """The latest version of a model. One that cannot be loaded is told as such, with the status 200."""
    registry = services.registry
    return _model(registry, await asyncio.to_thread(registry.entries, name))


@router.get("/{name}/versions/{version}", responses=problems(404, 422, 507))
async def show_version(name: Name, version: int, services: InjectedServices) -> ModelVersion:
    """One version of a model."""
    registry = services.registry
    entries = await asyncio.to_thread(registry.entries, name)
    for entry in entries:
        if entry.version == version:
            return ModelVersion(**_fields(registry, entry))
    known = some([entry.version for entry in entries])
    raise NotFoundError(f"{name} has no version {version}. Versions: {known}.")


def _model(registry: Registry, entries: list[Entry]) -> Model:
    latest = entries[-1]
    return Model(
        **_fields(registry, latest),
        versions=[entry.version for entry in entries],
        serving=registry.serving(latest.name) or (latest.reference if _can_serve(latest) else None),
    )


def _can_serve(entry: Entry) -> bool:
    return entry.error is None and entry.card is not None and makes_images(entry.card.family)


def _operations(family: str) -> list[str]:
    able = {"generate": makes_images(family) and generates(family), "translate": translates(family)}
    return [operation for operation, can in able.items() if can]


def _fields(registry: Registry, entry: Entry) -> dict[str, Any]:
    known = entry.card.as_dict() if entry.card else {}
    state = registry.state(entry)
    return {
        **known,
        "operations": None if entry.card is None else _operations(entry.card.family),
        "reference": entry.reference,
        "name": entry.name,
        "version": entry.version,
        "status": state.status,
        "error": state.error,
        "aliases": list(state.aliases),
        "any_size": state.any_size,
        "memory_bytes": state.bytes,
        "requests": state.leases,
        "parameters": None
        if state.parameters is None
        else [ParameterInfo.of(one) for one in state.parameters],
    }
