"""The fields of a form with images: read as a pydantic model, and told to the OpenAPI description."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from synth.serving.multipart import Form, field_error

Read = Callable[[str], Any]
"""The value that a text stands for; ValueError or RecursionError where it is no JSON."""

_TYPES = ("image/png", "image/jpeg", "image/webp")

B = TypeVar("B", bound=BaseModel)


def require_files(form: Form, name: str) -> None:
    """Raise RequestValidationError where a form has no files in its field ``name``."""
    if not form.files:
        raise field_error(f"Send one or more files: curl -F {name}=@photo.png", name)


def read_texts(texts: Mapping[str, str], read: Mapping[str, Read]) -> dict[str, Any]:
    """The values of a form's texts, each read by the function of its name, if there is one.

    Raises RequestValidationError, which names the field.
    """
    values: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            values[name] = read.get(name, str)(text)
        except (ValueError, RecursionError) as error:
            raise field_error(f"The text is not JSON ({error})", name) from None
    return values


def checked(kind: type[B], values: Mapping[str, Any], *, whole: str) -> B:
    """What a form asks for; raises RequestValidationError, which names the fields at fault.

    ``whole``: the field that is named where the fault is none of a single one.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise RequestValidationError(
            [{**item, "loc": ("body", *(item["loc"] or (whole,)))} for item in error.errors()]
        ) from None


def integer(text: str) -> int | str:
    """A whole number; the text where it is none, for the model to refuse."""
    return int(text) if re.fullmatch("-?[0-9]{1,20}", text) else text


def maybe_json(text: str) -> Any:
    """A word, or JSON if it begins like a list or an object."""
    return json.loads(text) if text.lstrip()[:1] in ("[", "{") else text


def form_body(
    files: str, texts: Mapping[str, Any], pictures: Mapping[str, Any] | None = None, *required: str
) -> dict[str, Any]:
    """``requestBody`` of a form.

    Args:
        files: name of the field with the images.
        texts: schemas of the fields that are text.
        pictures: schemas of further fields with files.
        required: names of texts that have to be there.
    """
    images = file_field(
        "PNG, JPEG or WebP files without animation; transparency is laid over white.", minItems=1
    )
    fields = {files: images, **(pictures or {}), **texts}
    form = {"type": "object", "properties": fields, "required": [files, *required]}
    return {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {**form, "additionalProperties": False},
                "encoding": {name: {"contentType": ", ".join(_TYPES)} for name in (files, *(pictures or {}))},
            }
        },
    }


def file_field(about: str, **more: Any) -> dict[str, Any]:
    """The schema of a field that holds files."""
    return {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        **more,
        "description": about,
    }


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field that is left out, or text."""
    about = {key: value for key, value in schema.items() if key != "anyOf"}
    if about.get("default", ...) is None:
        del about["default"]
    if "enum" in about:
        about["enum"] = [value for value in about["enum"] if value is not None]
    able = [option for option in schema.get("anyOf", []) if option != {"type": "null"}]
    return {**(able[0] if len(able) == 1 else {"anyOf": able} if able else {}), **about}
