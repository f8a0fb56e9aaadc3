"""Images as files of the format that is asked for: PNG by our own writer, JPEG and WebP by Pillow."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image
from PIL.ExifTags import Base

from synth.data.png import encode_batch
from synth.errors import UsageError
from synth.machine import worker_threads
from synth.text import closest

ImageFormat = Literal["png", "jpeg", "webp"]

QUALITY = 95
"""High, as such images may be trained on."""
_SUFFIXES: Mapping[str, str] = {"png": "png", "jpeg": "jpg", "webp": "webp"}
# WebP by its fastest method.
_OPTIONS: Mapping[str, Mapping[str, Any]] = {"jpeg": {}, "webp": {"method": 0}}


@dataclass(frozen=True)
class Encoding:
    """How images become files.

    Attributes:
        format: ``png`` without loss, ``jpeg`` and ``webp`` with some.
        quality: 1 to 100, of JPEG and WebP.
    """

    format: ImageFormat = "png"
    quality: int = QUALITY

    def __post_init__(self) -> None:
        known = get_args(ImageFormat)
        if self.format not in known:
            raise UsageError(
                f"Images cannot be written as {self.format!r}{closest(str(self.format), known)}. "
                f"Formats: {', '.join(known)}."
            )
        if isinstance(self.quality, bool) or not isinstance(self.quality, int):
            raise UsageError(f"quality must be a whole number, not {self.quality!r}.")
        if not 1 <= self.quality <= 100:
            raise UsageError(f"quality must be from 1 to 100, not {self.quality}.")

    @property
    def suffix(self) -> str:
        """Of file names, without the dot."""
        return _SUFFIXES[self.format]

    def encode(self, images: np.ndarray, texts: Sequence[Mapping[str, str]]) -> list[bytes]:
        """A file for each image; equal input gives equal bytes. In threads where they pay.

        Args:
            images: uint8 [N, H, W, C], C 1 (grey) or 3 (RGB). WebP has no grey: it is written as RGB.
            texts: keyword -> text for each image: text chunks of a PNG; elsewhere JSON in EXIF's
                ImageDescription, since there is no other place that all readers keep.
        """
        if self.format == "png":
            return encode_batch(images, texts)
        if len(images) != len(texts):
            raise ValueError(f"There are {len(images)} images and {len(texts)} texts.")
        with ThreadPoolExecutor(worker_threads()) as pool:
            return list(pool.map(self._with_pillow, images, texts))

    def _with_pillow(self, image: np.ndarray, text: Mapping[str, str]) -> bytes:
        exif = Image.Exif()
        if "Software" in text:
            exif[Base.Software] = text["Software"]
        exif[Base.ImageDescription] = json.dumps(dict(text))
        buffer = io.BytesIO()
        picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        picture.save(buffer, format=self.format, quality=self.quality, exif=exif, **_OPTIONS[self.format])
        return buffer.getvalue()


PNG = Encoding()
