"""What each status of a problem means, and an example of each problem, for the OpenAPI description."""

from __future__ import annotations

from typing import Any

from synth.errors import (
    ArtifactError,
    LabelError,
    NotFoundError,
    OverloadError,
    StorageError,
    SynthError,
    UsageError,
)
from synth.jobs.queue import JobActiveError, JobMismatchError
from synth.serving.authentication import UnauthorizedError
from synth.serving.guard import ForeignOriginError, MisdirectedError
from synth.serving.keys import KeyFileError
from synth.serving.problems import (
    DeadlineError,
    DeviceFailureError,
    MalformedBodyError,
    NotAcceptableError,
    Problem,
    TooLargeError,
    UnsupportedMediaError,
)
from synth.serving.ranges import RangeError
from synth.serving.rates import RateError
from synth.serving.residency import ModelBudgetError
from synth.serving.uploads import UploadTimeoutError

MEANINGS = {
    400: "The body cannot be read.",
    401: "The server asks for keys, and the request has none that is good.",
    403: "A web page of another site sent the request, or the key is not good for this.",
    404: "There is no such thing here.",
    406: "No form of the answer fits Accept or format.",
    408: "The body did not arrive in time.",
    409: "It is in a state that this does not fit.",
    413: "More is asked for, or the body is longer, than one request may have.",
    415: "The body is not of a type that is taken here, or not declared as such.",
    416: "It has no such part; Content-Range tells how long it is.",
    421: "The server is not the host that the request names. Without keys it answers as localhost alone.",
    422: "The request cannot be used; the detail says why and what to do.",
    429: "The client has asked for more than its rate or quota allows: come back after Retry-After seconds.",
    500: "The server failed.",
    503: "Busy, shutting down, or the model is damaged. Busy: come back after Retry-After seconds.",
    504: "The deadline of the request passed while it waited.",
    507: "The disk is full, or the store cannot be read.",
}

EXAMPLES: list[tuple[type[SynthError], str]] = [
    (
        UnauthorizedError,
        "Send a key: Authorization: Bearer sk_..., or X-API-Key. synth keys create makes one.",
    ),
    (
        ForeignOriginError,
        "A page of 'https://evil.example' may not use this server. Allow it with SYNTH_ALLOWED_ORIGINS, or "
        "make keys with synth keys create and send one.",
    ),
    (
        MalformedBodyError,
        "The body ends at byte 1,204, in the file 'shoe.png', without the last boundary: it was cut short.",
    ),
    (UploadTimeoutError, "The body did not arrive within 120 s. Send fewer images at once."),
    (NotFoundError, "There is no model 'pest' (did you mean 'pets'?). Models: pets."),
    (NotAcceptableError, "There is no format 'gif'. Formats: png, json, tar, npz, raw, multipart."),
    (
        TooLargeError,
        "10,000 images were asked for, and one request may have 4,096. Ask in several requests with one seed "
        "and start 0, 4096, 8192, ...: together they are the same images.",
    ),
    (UnsupportedMediaError, "Send the body as JSON, with the header Content-Type: application/json."),
    (RangeError, "The answer has 10,240 bytes, and none of those asked for."),
    (
        MisdirectedError,
        "This server answers as localhost alone, and was asked as 'lab.example'. Use its address, name "
        "further hosts with SYNTH_ALLOWED_HOSTS, or make keys with synth keys create.",
    ),
    (UsageError, "/count: Input should be greater than or equal to 1, not 0."),
    (
        JobActiveError,
        "The job winter-coats is running. Cancel it, wait until it has stopped, and remove it then.",
    ),
    (
        JobMismatchError,
        "The job winter-coats was asked for with another body. Repeat that body, or choose another id.",
    ),
    (LabelError, "There is no class 'cta' (did you mean 'cat'?)."),
    (RateError, "This client may send 100 requests in 60 seconds. Try again in 12 s."),
    (OverloadError, "The queue is full: 64 requests are waiting or running. Try again later."),
    (
        ModelBudgetError,
        "fashion@3 needs 240.0 MB, and models that are in use leave too little of the 2,000.0 MB. Try "
        "again later, or start the server with a higher SYNTH_MAX_MODEL_BYTES.",
    ),
    (ArtifactError, "weights.safetensors is damaged: its checksum is wrong. Publish the model again."),
    (
        KeyFileError,
        "The server cannot read its keys, and lets nobody in until its administrator mends that.",
    ),
    (DeviceFailureError, "The device cuda:0 failed (CUDA error: unknown error); restart the process."),
    (DeadlineError, "The deadline passed before the images were made."),
    (StorageError, "Cannot read the store: Input/output error."),
]
"""Every error that a request may meet, with a detail as it is told."""
_PLAIN = {
    400: ("bad-request", "Bad Request", "The body cannot be read as JSON."),
    500: (
        "internal-error",
        "The server failed",
        "An error that should not happen; the server's log has it under this request id.",
    ),
}


def examples(status: int) -> dict[str, Any]:
    """OpenAPI examples of the problems with this status, by their codes."""
    known = [(error.code, error.title, detail) for error, detail in EXAMPLES if error.status == status]
    if status in _PLAIN:
        known.append(_PLAIN[status])
    return {code: {"value": _example(status, code, title, detail)} for code, title, detail in known}


def _example(status: int, code: str, title: str, detail: str) -> dict[str, Any]:
    return Problem(
        type=f"urn:synth:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        request_id="5d41402abc4b2a76b9719d911017c592",
    ).model_dump(exclude_none=True)
