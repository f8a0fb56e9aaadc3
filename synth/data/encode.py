"""One image as a file of a format that clients ask for; PNG fast, the others by Pillow."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from synth.data.png import encode_png
from synth.errors import UsageError

ImageFormat = Literal["png", "jpeg", "webp"]

# High, as such images may be trained on; WebP by its fastest method.
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "jpeg": {"quality": 95},
    "webp": {"quality": 95, "method": 0},
}


def encode_image(image: np.ndarray, format: ImageFormat) -> bytes:
    """A file in memory: PNG without loss, JPEG and WebP with some.

    Args:
        image: uint8 [H, W, C], C 1 (grey) or 3 (RGB). WebP has no grey: it is written as RGB.

    Raises:
        UsageError: another format.
    """
    if format == "png":
        return encode_png(image, {})
    if format not in _OPTIONS:
        raise UsageError(
            f"Images cannot be written as {format!r}. Formats: {', '.join(get_args(ImageFormat))}."
        )
    buffer = io.BytesIO()
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    picture.save(buffer, format=format, **_OPTIONS[format])
    return buffer.getvalue()
