"""Every error as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from synth.errors import OverloadError, SynthError, UsageError
from synth.serving.request_id import request_id_of

MEDIA_TYPE = "application/problem+json"


class MalformedBodyError(UsageError):
    """The body cannot be read as what it is declared to be."""

    status = 400
    code = "bad-request"
    title = "The body cannot be read"


class NotAcceptableError(UsageError):
    """No form of the answer fits ``Accept`` or ``format``."""

    status = 406
    code = "not-acceptable"
    title = "No such form of answer"


class TooLargeError(UsageError):
    """More is asked for than one request may have."""

    status = 413
    code = "too-large"
    title = "The request is too large"


class UnsupportedMediaError(UsageError):
    """The body is of another type than the route takes, or is not declared as such."""

    status = 415
    code = "unsupported-media-type"
    title = "The body is of the wrong type"


class DeadlineError(SynthError):
    """The deadline of a request passed while it waited."""

    status = 504
    code = "deadline"
    title = "The deadline has passed"


class DeviceFailureError(SynthError):
    """The device failed while it computed; no fault of the request's."""

    status = 503
    code = "device-failed"
    title = "The device has failed"


class FieldProblem(BaseModel):
    """One field of the request that cannot be used."""

    pointer: str = Field(description="JSON pointer into the body, or the name of a path or query parameter.")
    detail: str


class Problem(BaseModel):
    """The body of every error (RFC 9457)."""

    type: str = Field(examples=["urn:synth:problem:not-found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="What happened, where, and what to do about it.")
    code: str = Field(description="Stable name of the problem, for programs.", examples=["not-found"])
    request_id: str = Field(description="The same as the header X-Request-ID.")
    errors: list[FieldProblem] | None = Field(default=None, description="The fields at fault, if any.")


def problem_body(
    request_id: str,
    *,
    status: int,
    title: str,
    detail: str,
    code: str,
    errors: list[FieldProblem] | None = None,
) -> str:
    """One problem in JSON and ASCII: what the client sent may hold surrogates, which UTF-8 cannot carry."""
    problem = Problem(
        type=f"urn:synth:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
        errors=errors,
    )
    return json.dumps(problem.model_dump(exclude_none=True))


def problem_response(
    request: Request,
    *,
    status: int,
    title: str,
    detail: str,
    code: str,
    headers: Mapping[str, str] | None = None,
    errors: list[FieldProblem] | None = None,
) -> Response:
    """One problem as a response; the request id is in the body and in ``X-Request-ID``."""
    request_id = request_id_of(request.scope)
    request.state.problem = code  # for the metrics and the access log
    body = problem_body(request_id, status=status, title=title, detail=detail, code=code, errors=errors)
    return Response(
        body, status, headers={**(headers or {}), "X-Request-ID": request_id}, media_type=MEDIA_TYPE
    )


def install_problem_handlers(app: FastAPI) -> None:
    """Make every error of ``app`` a problem: our own, the framework's, and unforeseen ones."""
    app.add_exception_handler(SynthError, _synth_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unforeseen)


async def _synth_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, SynthError)
    return synth_problem(request, error)


def synth_problem(request: Request, error: SynthError, headers: Mapping[str, str] | None = None) -> Response:
    """An error of ours as a response, for middleware, whose errors no handler sees."""
    headers = dict(headers or {})
    if error.status == HTTPStatus.REQUEST_TIMEOUT:
        # The rest of the body may still come, and must not be read as the next request (RFC 9110, 15.5.9).
        headers["Connection"] = "close"
    if isinstance(error, OverloadError):
        headers["Retry-After"] = str(error.retry_after_seconds)
    return problem_response(
        request,
        status=error.status,
        title=error.title,
        detail=str(error),
        code=error.code,
        headers=headers,
    )


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    items = error.errors()
    if any(item["loc"] == ("body",) and item["type"] != "missing" for item in items):
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            remedy = "Send the body as JSON, with the header Content-Type: application/json."
            return await _synth_error(request, UnsupportedMediaError(remedy))
    found = [FieldProblem(pointer=_pointer(item["loc"]), detail=_sentence(item)) for item in items]
    detail = " ".join(f"{item.pointer}: {item.detail}" if item.pointer else item.detail for item in found)
    return problem_response(
        request, status=422, title=UsageError.title, detail=detail, code=UsageError.code, errors=found
    )


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == TooLargeError.status:
        return await _synth_error(request, TooLargeError(error.detail))
    phrase = HTTPStatus(error.status_code).phrase
    path, method = request.url.path, request.method
    detail = {
        404: f"There is nothing at {path}; see /docs for what there is.",
        405: f"{path} does not answer to {method}; see the header Allow, and /docs.",
        400: "The body cannot be read as JSON.",
    }.get(error.status_code, str(error.detail))
    return problem_response(
        request,
        status=error.status_code,
        title=phrase,
        detail=detail,
        code=phrase.lower().replace(" ", "-"),
        headers=error.headers,
    )


async def _unforeseen(request: Request, error: Exception) -> Response:
    # The server's log has the traceback; the client gets nothing of it.
    return problem_response(
        request,
        status=500,
        title="The server failed",
        detail="An error that should not happen; the server's log has it under this request id.",
        code="internal-error",
    )


def _pointer(loc: Sequence[Any]) -> str:
    """``("body", "labels", 0)`` as ``/labels/0``; the position in unreadable JSON is no pointer."""
    if loc[0] != "body":
        return str(loc[-1])
    fields = loc[1:]
    if len(fields) == 1 and isinstance(fields[0], int):
        return ""
    return "".join("/" + str(field).replace("~", "~0").replace("/", "~1") for field in fields)


def _sentence(item: Mapping[str, Any]) -> str:
    """Pydantic's message as a sentence; nothing of the input is echoed beyond short plain values."""
    if item["type"] == "json_invalid":
        return f"The body is not JSON ({item['ctx']['error']}, at character {item['loc'][-1]})."
    if item["type"] == "missing" and item["loc"] == ("body",):
        return "The body is empty; send a JSON object, if only {}."
    message = str(item["msg"]).removeprefix("Value error, ").rstrip(".")
    value = item.get("input")
    if (
        item["type"] != "value_error"
        and isinstance(value, (str, int, float, bool))
        and len(repr(value)) <= 40
    ):
        message += f", not {value!r}"
    return message + "."
