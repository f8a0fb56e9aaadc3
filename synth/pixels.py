"""Canonical pixels, and the id that follows from them.

Canonical pixels are uint8 [H, W, C] without transparency. C is 1 where the picture is grey, even if its file
stores three equal channels, and 3 (RGB) otherwise. Equal pictures in different containers (a grey JPEG, an
RGB PNG, a row of an npz) therefore have equal pixels, and equal ids.
"""

from __future__ import annotations

import hashlib

import numpy as np


def canonical(pixels: np.ndarray) -> np.ndarray:
    """uint8 [H, W], [H, W, 1] or [H, W, 3] as canonical pixels; a view where that is possible."""
    if pixels.ndim == 2:
        return pixels[:, :, None]
    if pixels.shape[2] == 3 and is_grey(pixels):
        return np.ascontiguousarray(pixels[:, :, :1])
    return pixels


def is_grey(pixels: np.ndarray) -> bool:
    """Whether the three channels of uint8 [H, W, 3] are equal everywhere."""
    if pixels.size:
        # Most pictures in colour show it in their first pixel.
        first = pixels[0, 0].tolist()
        if first[0] != first[1] or first[1] != first[2]:
            return False
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    return np.array_equal(red, green) and np.array_equal(green, blue)


def content_id(pixels: np.ndarray) -> str:
    """SHA-256, hexadecimal, over the shape and the bytes of canonical pixels."""
    height, width, channels = pixels.shape
    digest = hashlib.sha256(f"{height}x{width}x{channels}:".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def picture_id(pixels: np.ndarray) -> str:
    """The content id of uint8 [H, W, C], the same for a picture in grey and in three equal channels."""
    return content_id(canonical(pixels))
