"""Decoding of uploaded images, under limits of pixels and memory, in threads that all requests share.

No file is written, and no path or address that a client names is ever opened.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Literal

import numpy as np
import torch
from fastapi.exceptions import RequestValidationError
from torch import Tensor

from synth.artifacts import ImageInfo
from synth.data.decode import check_size, decode
from synth.data.images import fit
from synth.errors import UnreadableError
from synth.machine import worker_threads
from synth.sampling.sizes import LEAST_SIDE
from synth.serving.memory import Memory, Reservation
from synth.serving.multipart import File
from synth.serving.problems import TooLargeError

Fit = Literal["resize"]
"""What is done to images of another size than the model's: as training does, see ``load_images``."""

FORMATS = ("JPEG", "PNG", "WEBP")
"""The content decides, whatever the name or the type that a file is sent with."""

_MOST_THREADS = 4
_BLOCK = 16
"""Files that a thread decodes before it is the next request's turn."""
_BYTES_PER_PIXEL = 17
"""That decoding takes at the most: 16-bit colour with transparency, turned upright and laid over white."""
_NOTHING = np.empty((0, 0, 0), dtype=np.uint8)
_NAMED = 10
"""Files at fault after which no more are looked at."""

_MOST_SCANS = 100
# Each scan of a progressive JPEG goes over all pixels, however few bytes it has; ten or so are usual.
_SCAN = re.compile(rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")


@dataclass(frozen=True)
class OwnSize:
    """Images keep their sizes.

    Attributes:
        channels: of all of them; None: 1 where an image is grey and 3 elsewhere, as sources have it.
        least_side: pixels.
    """

    channels: int | None
    least_side: int = LEAST_SIDE


class Decoder:
    """Decodes the images of uploads in a few threads that all requests share, in turns."""

    def __init__(self, *, image_pixels: int, upload_pixels: int, memory: Memory | None = None) -> None:
        """
        Args:
            image_pixels: the most of one image.
            upload_pixels: of one request.
            memory: what the images that are being decoded are counted in; None: in none.
        """
        self._memory = memory or Memory(_MOST_THREADS * _BYTES_PER_PIXEL * image_pixels)
        self._image_pixels, self._upload_pixels = image_pixels, upload_pixels
        self._threads = min(_MOST_THREADS, worker_threads())
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="decode")

    async def decode(self, files: Sequence[File], image: ImageInfo, fit: Fit | None, *, field: str) -> Tensor:
        """uint8 [N, C, H, W]: the files (at least one) in the shape of a model's images.

        Colour becomes grey, or grey is repeated, as in training. If the caller is cancelled, no more than
        what is being decoded is finished. It takes N x C x H x W bytes besides the files, which the caller
        counts; what each thread needs for the image that it is at is counted here.

        Raises:
            RequestValidationError: files that are no images of ``FORMATS``, damaged, animated, too large, or,
                without ``fit``, of another size; ``field`` and their numbers say which.
            TooLargeError: the images have too many pixels together, or one has too many for the whole memory.
            OverloadError: there is no memory left to decode them in.
        """
        job = _Job(files, image, fit, self._image_pixels, self._upload_pixels, self._memory)
        await self._do(job, field)
        return torch.from_numpy(np.stack(job.images))

    async def decode_any(
        self, files: Sequence[File], wanted: OwnSize, held: Reservation, *, field: str
    ) -> list[Tensor]:
        """uint8 [C, H, W]: the files (at least one) in their own sizes, which ``held`` grows by.

        What is raised, and the rest, is as in ``decode``.
        """
        job = _Job(files, wanted, None, self._image_pixels, self._upload_pixels, self._memory, held)
        await self._do(job, field)
        return [torch.from_numpy(pixels) for pixels in job.images]

    async def _do(self, job: _Job, field: str) -> None:
        blocks = iter(range(0, len(job.images), _BLOCK))
        loop = asyncio.get_running_loop()

        async def work() -> None:
            for begin in blocks:
                await loop.run_in_executor(self._pool, job.decode, begin)

        workers = [asyncio.ensure_future(work()) for _ in range(self._threads)]
        try:
            await asyncio.gather(*workers)
        finally:
            job.stopped = True
            for worker in workers:
                worker.cancel()
        if job.failures:
            raise _unusable(job.failures, field)

    def close(self) -> None:
        """Decode nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Job:
    """The images of one request. ``decode`` may run in several threads."""

    def __init__(
        self,
        files: Sequence[File],
        image: ImageInfo | OwnSize,
        fit: Fit | None,
        image_pixels: int,
        upload_pixels: int,
        memory: Memory,
        kept: Reservation | None = None,
    ) -> None:
        """
        Args:
            image: what all are to be like.
            kept: grows by what is kept; None: the caller has counted that already.
        """
        self.images: list[np.ndarray] = [_NOTHING] * len(files)
        """uint8 [C, H, W] each, once decoded."""
        self.failures: dict[int, str] = {}
        """By number of the file."""
        self.stopped = False
        self._files, self._image, self._fit = files, image, fit
        self._image_pixels, self._upload_pixels = image_pixels, upload_pixels
        self._left = upload_pixels
        self._memory, self._kept = memory, kept
        self._lock = threading.Lock()

    def decode(self, begin: int) -> None:
        """One block of files; raises TooLargeError."""
        for number in range(begin, min(begin + _BLOCK, len(self._files))):
            if self.stopped or len(self.failures) >= _NAMED:
                return
            try:
                self.images[number] = self._pixels(self._files[number].content)
            except UnreadableError as error:
                self.failures[number] = f"{self._files[number].name} {error}"

    def _pixels(self, content: bytes) -> np.ndarray:
        """uint8 [C, H, W], or [1, H, W] for grey."""
        if content.startswith(b"\xff\xd8") and any(islice(_SCAN.finditer(content), _MOST_SCANS, None)):
            raise UnreadableError(f"has more than {_MOST_SCANS} scans; save it anew")
        with self._memory.reserve(0) as held:
            check = partial(self._check, held)
            pixels = decode(content, formats=FORMATS, check=check, animated=False).pixels
            image = self._image
            if isinstance(image, OwnSize):
                channels = image.channels or pixels.shape[2]
                return self._keep(fit(pixels, None, channels).transpose(2, 0, 1), channels)
            size = image.height, image.width
            if self._fit is None and pixels.shape[:2] != size:
                raise _misfit(image, *pixels.shape[:2])
            return _in_channels(fit(pixels, size, image.channels).transpose(2, 0, 1), image.channels)

    def _keep(self, pixels: np.ndarray, channels: int) -> np.ndarray:
        """uint8 [channels, H, W], counted in memory first."""
        if self._kept is not None:
            with self._lock:
                self._kept.grow(channels * pixels[0].size)
        return _in_channels(pixels, channels)

    def _check(self, held: Reservation, width: int, height: int) -> None:
        """By the header: nothing has been decoded yet. ``held`` grows by what decoding may take."""
        image = self._image
        check_size(width, height, self._image_pixels)
        if isinstance(image, OwnSize):
            if min(width, height) < image.least_side:
                raise UnreadableError(
                    f"is {height} x {width}, and sides from {image.least_side} pixels on are taken"
                )
        # Either way round: the picture may have been taken with the camera on its side.
        elif self._fit is None and {height, width} != {image.height, image.width}:
            raise _misfit(image, height, width)
        with self._lock:
            self._left -= width * height
            if self._left < 0:
                raise TooLargeError(
                    f"The images have more than {self._upload_pixels:,} pixels together, the most that one "
                    "request may have. Send fewer at a time, or smaller ones."
                )
        needed = _BYTES_PER_PIXEL * width * height
        if needed > self._memory.limit:
            raise TooLargeError(
                f"Decoding an image of {width} x {height} pixels may take {needed:,} bytes, and all requests "
                f"together may have {self._memory.limit:,}. Send a smaller one."
            )
        held.grow(needed)


def _misfit(image: ImageInfo, height: int, width: int) -> UnreadableError:
    return UnreadableError(
        f"is {height} x {width} (height x width), and the model takes {image.height} x {image.width}. Send "
        "fit=resize to have it resized, and cropped at the centre"
    )


def _in_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """uint8 [1 or C, H, W] as [channels, H, W] in order: grey is repeated where colour is wanted."""
    if len(pixels) != channels:
        pixels = np.broadcast_to(pixels, (channels, *pixels.shape[1:]))
    return np.ascontiguousarray(pixels)


def _unusable(failures: dict[int, str], field: str) -> RequestValidationError:
    return RequestValidationError(
        [
            {"type": "value_error", "loc": ("body", field, number), "msg": message}
            for number, message in sorted(failures.items())[:_NAMED]
        ]
    )
