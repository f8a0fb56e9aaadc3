"""What the OpenAPI description says beyond the routes' own words: problems, headers, keys and tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from synth.fields import RequestBody
from synth.serving.problem_table import MEANINGS, examples
from synth.serving.problems import MEDIA_TYPE, Problem

_REFERENCE = "#/components/schemas/{model}"
_METHODS = ("get", "put", "post", "delete", "patch")

COMMON_HEADERS = {
    "X-Request-ID": "The client's, or one made by the server; logs and problems have it too.",
    "RateLimit-Policy": 'Limits of this client, as in "requests";q=100;w=60. Left out where there are none.',
    "RateLimit": 'Where it stands, as in "requests";r=99;t=60. Left out where there are none.',
}
"""Of all answers, but that probes have no limits."""

_TAGS = {
    "images": "Images, made or changed on demand.",
    "models": "What can be asked for.",
    "pipelines": "What images can be changed by.",
    "jobs": "Long work that goes on without its client, and what it has made.",
    "health": "For probes and monitoring.",
}

_KEYS = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key of `synth keys create`. Servers without keys ask for none.",
    },
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key."},
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses`` for a route: the problems of its own that it may answer with.

    Those that any route may answer with (401, 403, 413, 415, 421, 429, 500, 503) are added by ``describe``.
    """
    return {status: _problem(status) for status in statuses}


def header(description: str, kind: str = "string") -> dict[str, Any]:
    """The description of a response header."""
    return {"description": description, "schema": {"type": kind}}


def reference(model: type[BaseModel]) -> dict[str, str]:
    """The schema of a model that ``describe`` adds."""
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def describe(
    app: FastAPI, *models: type[BaseModel], public: tuple[str, ...] = (), free: tuple[str, ...] = ()
) -> None:
    """Complete the description of ``app``.

    Args:
        models: whose schemas are added, for FastAPI finds only those of routes, or made exact, for it rounds
            the bounds of integers.
        public: paths that need no key.
        free: paths that no rate holds for.
    """
    without = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            description = without()
            _, definitions = models_json_schema(
                [(model, _mode(model)) for model in models], ref_template=_REFERENCE
            )
            components = description["components"]
            components["schemas"] |= definitions["$defs"]
            components["securitySchemes"] = _KEYS
            description["security"] = [{"bearer": []}, {"api_key": []}, {}]
            used = set()
            for path, method, operation in _operations(description):
                _complete(operation, method, keyed=path not in public, counted=path not in free)
                used.update(operation.get("tags", ()))
            description["tags"] = [
                {"name": name, "description": about} for name, about in _TAGS.items() if name in used
            ]
        return without()

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation says


def _mode(model: type[BaseModel]) -> Literal["validation", "serialization"]:
    return "validation" if issubclass(model, RequestBody) else "serialization"


def _operations(description: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in description["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def _complete(operation: dict[str, Any], method: str, *, keyed: bool, counted: bool) -> None:
    """Add what middleware does to the answers of an operation."""
    statuses = [421, 500]
    if keyed:
        statuses += [401, 503]
    else:
        operation["security"] = []
    if counted:
        statuses.append(429)
    if method != "get":
        statuses.append(403)
    if "requestBody" in operation:
        statuses += [400, 413, 415]
    responses = operation["responses"]
    for status in statuses:
        responses.setdefault(str(status), _problem(status))
    operation["responses"] = dict(sorted(responses.items()))
    common = {
        name: header(about)
        for name, about in COMMON_HEADERS.items()
        if counted or not name.startswith("RateLimit")
    }
    for response in responses.values():
        response["headers"] = {**response.get("headers", {}), **common}


def _problem(status: int) -> dict[str, Any]:
    content = {"schema": reference(Problem), "examples": examples(status)}
    answer: dict[str, Any] = {"description": MEANINGS[status], "content": {MEDIA_TYPE: content}}
    if status in (429, 503):
        answer["headers"] = {"Retry-After": header("Seconds to wait.", "integer")}
    if status == 408:
        answer["headers"] = {"Connection": header("close: the rest of the body is not read.")}
    if status == 401:
        answer["headers"] = {"WWW-Authenticate": header('Bearer realm="synth".')}
    return answer


IMAGE_HEADERS = {
    "X-Synth-Model": header("NAME@VERSION."),
    "X-Synth-Digest": header("Digest of the model."),
    "X-Synth-Seed": header("Seed of all images; with the index it is the key of an image."),
    "X-Synth-Start": header("Index of the first image; the others follow."),
    "X-Synth-Shape": header("N,H,W,C; * for H and W where the images differ in size."),
    "X-Synth-Dtype": header("uint8; raw pixels are in C order."),
    "X-Synth-Labels": header(
        "Class number of each image, separated by commas. Left out without classes, and, except for raw "
        "pixels, beyond 4,096 characters."
    ),
    "X-Synth-Fingerprint": header("JSON: all else that decides the pixels."),
}
"""Of every answer with images."""

AUGMENTATION_HEADERS = {
    **IMAGE_HEADERS,
    "X-Synth-Model": header("pipeline:, and the beginning of its digest."),
    "X-Synth-Digest": header("Digest of the pipeline, which will do for it in further requests."),
    "X-Synth-Seed": header(
        "Seed of all images; with the epoch and an image's id it decides what becomes of it."
    ),
    "X-Synth-Start": header("0: the index of an image is its place in the answer."),
    "X-Synth-Epoch": header("Of the first copy; those of the others follow.", "integer"),
    "X-Synth-Labels": header(
        "Class number of each image, separated by commas; shares of classes are separated by spaces. Left "
        "out without labels, and, except for raw pixels, beyond 4,096 characters."
    ),
}
"""Of every answer with augmented images."""
