"""What clients send, as pydantic models: unknown fields and wrong types are refused with a remedy."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Header
from pydantic import Field, StrictStr, model_validator
from starlette.types import Scope

from synth.batch import Mode
from synth.fields import Integer, LabelsField, ParametersField, RequestBody
from synth.randomness import MAX_INDEX, MAX_SEED
from synth.serving.settings import ServerSettings

SEED_BITS = 53
"""Of seeds drawn by the server: every JSON reader, JavaScript's too, takes such integers without rounding."""

DEADLINE_HEADER = "X-Synth-Deadline-Seconds"

DeadlineSeconds = Annotated[
    float | None,
    Header(
        alias=DEADLINE_HEADER,
        ge=0.001,
        allow_inf_nan=False,
        description="How long the client waits for the images. What cannot be made by then is refused at "
        "once (503), or given up (504). The server has a limit of its own.",
    ),
]


def deadline_of(scope: Scope, settings: ServerSettings, seconds: float | None) -> float:
    """When a request is to be answered, counted from its arrival, by the running event loop's clock."""
    arrived: float = scope["state"].get("arrived", asyncio.get_running_loop().time())
    limit = settings.deadline_seconds
    return arrived + (limit if seconds is None else min(seconds, limit))


class GenerationRequest(RequestBody):
    """A request for synthetic images."""

    model: Annotated[StrictStr, Field(max_length=256, examples=["fashion", "fashion@3"])] | None = Field(
        default=None,
        description="NAME, NAME@latest, NAME@3 or NAME@ALIAS. May be left out if there is only one model.",
    )
    count: Integer = Field(default=1, ge=1, description="How many images.")
    labels: LabelsField = Field(
        default="any",
        description="'any' (drawn in the proportions of the training data), 'balanced', a class name or "
        'number for all, counts such as {"cat": 10, "dog": 30}, or a list with one class for each image.',
        examples=["balanced", {"cat": 10, "dog": 30}],
    )
    seed: Integer | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="With the index it decides an image. The server draws one if it is left out.",
    )
    start: Integer = Field(
        default=0,
        ge=0,
        le=MAX_INDEX,
        description="Index of the first image: start 64 goes on where a request of 64 ended.",
    )
    mode: Mode = Field(
        default="fast",
        description="'exact': the same bytes whatever else the server is doing, on one machine type.",
    )
    format: StrictStr | None = Field(
        default=None,
        description="Form of the answer: png, json, tar, npz, raw or multipart. If left out, Accept decides.",
        json_schema_extra={"enum": ["png", "json", "tar", "npz", "raw", "multipart", None]},
    )
    parameters: ParametersField = Field(
        default_factory=dict, description="Sampling parameters of the model's family, by name."
    )

    @model_validator(mode="after")
    def _indices_exist(self) -> GenerationRequest:
        if self.start + self.count > MAX_INDEX:
            raise ValueError(f"start + count must not exceed {MAX_INDEX}")
        return self
