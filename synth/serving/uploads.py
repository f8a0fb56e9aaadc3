"""Uploads: forms with images, received under limits. ``synth.serving.decoding`` makes pixels of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import Request
from starlette.requests import ClientDisconnect

from synth.errors import UsageError
from synth.serving.memory import Reservation
from synth.serving.multipart import Form, FormLimits, FormReader
from synth.serving.problems import MalformedBodyError
from synth.serving.settings import ServerSettings


class UploadTimeoutError(UsageError):
    """The client took too long to send a body."""

    status = 408
    code = "upload-timeout"
    title = "The upload took too long"


async def read_form(
    request: Request,
    settings: ServerSettings,
    *,
    texts: Sequence[str],
    files: str,
    pictures: Sequence[str] = (),
    held: Reservation,
    remedy: str = "Send them in several requests.",
) -> Form:
    """The form in the body of a request, which nobody else may have begun to read.

    Args:
        texts, files, pictures: names of the fields, see ``FormReader``.
        held: grows as the body arrives. ``BodyLimitMiddleware`` bounds it.
        remedy: what is to be done with more files than one request may have.

    Raises:
        UnsupportedMediaError, MalformedBodyError, TooLargeError, RequestValidationError: see ``FormReader``;
            MalformedBodyError also if the client goes away.
        UploadTimeoutError: it took longer than ``upload_seconds``.
        OverloadError: there is no memory left for it.
    """
    reader = FormReader(
        request.headers.get("content-type", ""),
        texts=texts,
        files=files,
        pictures=pictures,
        limits=FormLimits(
            files=settings.max_images_per_request,
            file_bytes=settings.max_image_bytes,
            text_bytes=settings.max_body_bytes,
            remedy=remedy,
        ),
    )
    try:
        async with asyncio.timeout(settings.upload_seconds):
            async for piece in request.stream():
                held.grow(len(piece))
                reader.write(piece)
    except TimeoutError:
        raise UploadTimeoutError(
            f"The body was not there within {settings.upload_seconds:g} s. Send fewer images at a time."
        ) from None
    except ClientDisconnect:
        raise MalformedBodyError("The client went away before all of the body was there.") from None
    return reader.finish()
