"""What the OpenAPI description says of errors and headers."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from synth.serving.problems import MEDIA_TYPE, Problem

_REFERENCE = "#/components/schemas/{model}"

_MEANINGS = {
    400: "The body cannot be read.",
    404: "There is no such model or version.",
    406: "No form of the answer fits Accept or format.",
    413: "More is asked for than one request may have.",
    415: "The body is not declared as JSON.",
    416: "The answer has no such part.",
    422: "The request cannot be used; the detail says why and what to do.",
    500: "The server failed.",
    503: "Busy, shutting down, or the model is damaged. Busy: come back after Retry-After seconds.",
    507: "The store cannot be read.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses`` for a route: the problems it may answer with."""
    schema = reference(Problem)
    answers: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        answers[status] = {"description": _MEANINGS[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        if status == 503:
            answers[status]["headers"] = {"Retry-After": header("Seconds to wait.", "integer")}
    return answers


def header(description: str, kind: str = "string") -> dict[str, Any]:
    """The description of a response header."""
    return {"description": description, "schema": {"type": kind}}


def reference(model: type[BaseModel]) -> dict[str, str]:
    """The schema of a model that ``describe`` adds."""
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def describe(app: FastAPI, *models: type[BaseModel]) -> None:
    """Add the schemas of ``models`` to the description of ``app``: FastAPI finds only those of routes."""
    without = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            description = without()
            _, definitions = models_json_schema(
                [(model, "serialization") for model in models], ref_template=_REFERENCE
            )
            description["components"]["schemas"] |= definitions["$defs"]
        return without()

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation says
