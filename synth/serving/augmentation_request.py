"""What a client says that has images augmented: a form, read as a pydantic model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictStr, model_validator

from synth.errors import LabelError
from synth.fields import Integer, RequestBody
from synth.labels import class_number
from synth.randomness import MAX_INDEX, MAX_SEED
from synth.serving.form_fields import (
    Read,
    checked,
    form_body,
    integer,
    maybe_json,
    read_texts,
    require_files,
    without_null,
)
from synth.serving.multipart import Form

FILES = "images"
"""The field with the images; it may be given many times."""
_MOST_CLASSES = 100_000


def _words_or_numbers(value: Any) -> Any:
    """One message in place of one for each member of the union."""
    many = value if isinstance(value, list) else [value]
    if all(_usable(one) if isinstance(one, str) else _is_whole(one) for one in many):
        return value
    raise ValueError(f"Give {_A_TEXT} or a whole number for each image, as a JSON list")


def _names_or_number(value: Any) -> Any:
    if isinstance(value, list) and value and all(isinstance(name, str) and _usable(name) for name in value):
        if len(set(value)) < len(value):
            raise ValueError("Two classes have one name")
        return value
    if _is_whole(value) and 1 <= value <= _MOST_CLASSES:
        return value
    raise ValueError(f'Give {_A_TEXT} for each class, as a JSON list such as ["cat", "dog"], or their number')


_LONGEST = 256
_A_TEXT = f"a text of up to {_LONGEST} characters"


def _usable(text: str) -> bool:
    """Whether files and headers can hold it."""
    return len(text) <= _LONGEST and "\0" not in text and not any("\ud800" <= one <= "\udfff" for one in text)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_Labels = Annotated[StrictStr | Integer | list[StrictStr | Integer], BeforeValidator(_words_or_numbers)]


class AugmentationRequest(RequestBody):
    """A request for images that are changed by a pipeline; ``count`` of them are sent."""

    count: Integer
    pipeline: Annotated[StrictStr, Field(min_length=1)] = Field(
        description="In YAML or JSON; or its name, of a preset (basic) or of the server's configuration; or "
        "the digest of one that the server knows or was sent before.",
        examples=["basic", '{"sample": ["horizontal_flip", {"operation": "rotate", "degrees": [-10, 10]}]}'],
    )
    seed: Integer | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="With epoch and id it decides what becomes of an image. The server draws one if it is "
        "left out.",
    )
    epoch: Integer = Field(
        default=0, ge=0, le=MAX_INDEX, description="Of the training that the images are for."
    )
    copies: Integer = Field(
        default=1,
        ge=1,
        description="Of each image; copy k, from 0, is what it becomes in the epoch epoch + k.",
    )
    ids: Annotated[list[StrictStr | Integer], BeforeValidator(_words_or_numbers)] | None = Field(
        default=None,
        description="Of the images, as a JSON list of texts or whole numbers. By default the SHA-256 of "
        "their pixels, as in training and in data sets on disk, so that the results are the same as there.",
    )
    labels: _Labels | None = Field(
        default=None,
        description="What the images show: a JSON list with one class for each, by name or number, or one "
        "for all.",
        examples=['["cat", 1]', "cat"],
    )
    classes: Annotated[list[StrictStr] | Integer, BeforeValidator(_names_or_number)] | None = Field(
        default=None,
        description="Names of all classes, in order, as a JSON list; or their number. Labels by name, and "
        "pipelines that mix labels, need them.",
        examples=['["cat", "dog"]', "10"],
    )
    channels: Literal[1, 3] | None = Field(
        default=None,
        description="1: images are changed as grey ones, 3: as colour. By default each as what it is, and "
        "grey results are repeated where others are of colour.",
    )
    format: StrictStr | None = Field(
        default=None,
        description="Form of the answer: png, json, tar, npz, raw or multipart. If left out, Accept decides.",
        json_schema_extra={"enum": ["png", "json", "tar", "npz", "raw", "multipart", None]},
    )

    @model_validator(mode="after")
    def _one_for_each(self) -> AugmentationRequest:
        for name, given in (("ids", self.ids), ("labels", self.labels)):
            if isinstance(given, list) and len(given) != self.count:
                raise ValueError(f"{len(given)} {name} were given for {self.count} images; give one for each")
        if self.epoch + self.copies > MAX_INDEX:
            raise ValueError(f"epoch + copies must not exceed {MAX_INDEX}")
        return self

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Where they were told."""
        return tuple(self.classes) if isinstance(self.classes, list) else None

    def numbers(self) -> list[int] | None:
        """The class number of each image, or None; raises LabelError."""
        if self.labels is None:
            return None
        given = self.labels if isinstance(self.labels, list) else [self.labels] * self.count
        if self.classes is None:
            named = next((one for one in given if isinstance(one, str) or not 0 <= one <= MAX_INDEX), None)
            if named is not None:
                raise LabelError(
                    f"{named!r} is no class number: send classes, the names of all classes in their order, "
                    "as a JSON list."
                )
            return [int(one) for one in given]
        names = self.class_names or tuple(map(str, range(int(str(self.classes)))))
        return [class_number(one, names) for one in given]


TEXTS = tuple(name for name in AugmentationRequest.model_fields if name != "count")
"""The fields that are text."""

_READ: Mapping[str, Read] = {
    "seed": integer,
    "epoch": integer,
    "copies": integer,
    "channels": integer,
    "ids": json.loads,
    "labels": lambda text: integer(text) if text.isdecimal() else maybe_json(text),
    "classes": lambda text: integer(text) if text.isdecimal() else json.loads(text),
}


_TOLD = ("description", "examples")


def augmentation_request(form: Form) -> AugmentationRequest:
    """What a form asks for; raises RequestValidationError, which names the fields at fault."""
    require_files(form, FILES)
    values = {"count": len(form.files), **read_texts(form.texts, _READ)}
    return checked(AugmentationRequest, values, whole="pipeline")


def request_body() -> dict[str, Any]:
    """The description of the form."""
    schema = AugmentationRequest.model_json_schema()["properties"]
    texts = {name: without_null(schema[name]) for name in TEXTS}
    for name in ("ids", "labels", "classes"):
        told = texts[name]
        texts[name] = {"type": "string", **{key: told[key] for key in _TOLD if key in told}}
    return form_body(FILES, texts, None, "pipeline")
