"""Fields that the bodies of requests share: unknown names and wrong types are refused with a remedy."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictStr, model_validator

from synth.text import closest

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


def _check_parameter(value: Any) -> Any:
    """One message in place of one for each member of the union."""
    if isinstance(value, str) or (_is_number(value) and math.isfinite(value)):
        return value
    raise ValueError("A sampling parameter is a finite number or a text")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


Integer = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
LabelsField = Annotated[
    str | Integer | dict[str, Integer] | list[str | Integer], BeforeValidator(_check_labels)
]
"""See ``synth.labels``."""
ParametersField = Annotated[
    dict[str, Annotated[Number | StrictStr, BeforeValidator(_check_parameter)]],
    BeforeValidator(_check_parameters),
]
"""Sampling parameters by name: numbers and texts."""
