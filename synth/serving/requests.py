"""What clients send, as pydantic models: unknown fields and wrong types are refused with a remedy."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import Header
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictStr, model_validator
from starlette.types import Scope

from synth.batch import Mode
from synth.randomness import MAX_INDEX, MAX_SEED
from synth.serving.settings import ServerSettings
from synth.text import closest

SEED_BITS = 53
"""Of seeds drawn by the server: every JSON reader, JavaScript's too, takes such integers without rounding."""

# Parameters are handed to `generate` as keywords, beside these.
_RESERVED = frozenset({"self", "count", "labels", "seed", "start", "mode"})


class RequestBody(BaseModel):
    """Base of all bodies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name in data:
                if name not in cls.model_fields:
                    raise ValueError(
                        f"There is no field {name!r}{closest(str(name), cls.model_fields)}. "
                        f"Fields: {', '.join(cls.model_fields)}"
                    )
        return data


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_labels(value: Any) -> Any:
    """One message in place of one for each member of the union."""
    if isinstance(value, str) or _is_count(value):
        return value
    if isinstance(value, dict) and all(_is_count(count) and count >= 0 for count in value.values()):
        return value
    if isinstance(value, list) and all(isinstance(label, str) or _is_count(label) for label in value):
        return value
    raise ValueError(
        "Labels are 'any', 'balanced', a class name or number, counts such as "
        '{"cat": 10, "dog": 30}, or a list with one class for each image'
    )


def _check_parameters(value: Any) -> Any:
    if isinstance(value, dict):
        for name in value:
            if name in _RESERVED:
                raise ValueError(f"{name!r} is no sampling parameter; set it as a field of the request")
    return value


Integer = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


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
    labels: Annotated[
        str | Integer | dict[str, Integer] | list[str | Integer], BeforeValidator(_check_labels)
    ] = Field(
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
    parameters: Annotated[dict[str, Number], BeforeValidator(_check_parameters)] = Field(
        default_factory=dict, description="Sampling parameters of the model's family, by name."
    )

    @model_validator(mode="after")
    def _indices_exist(self) -> GenerationRequest:
        if self.start + self.count > MAX_INDEX:
            raise ValueError(f"start + count must not exceed {MAX_INDEX}")
        return self
