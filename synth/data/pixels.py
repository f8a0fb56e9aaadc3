"""The one form in which pixels leave a source, and the id that follows from it.

Canonical pixels are uint8 [H, W, C] without transparency. C is 1 where the picture is grey, even if its file
stores three equal channels, and 3 (RGB) otherwise. Equal pictures in different containers (a grey JPEG, an
RGB PNG, a row of an npz) therefore have equal pixels, and equal ids.
"""

from __future__ import annotations

import hashlib

import numpy as np

_BAND = 1 << 16
"""Pixels laid over white at once: what is in between, in 16 bits, stays in the processor's cache."""


def canonical(pixels: np.ndarray) -> np.ndarray:
    """uint8 [H, W], [H, W, 1] or [H, W, 3] as canonical pixels; a view where that is possible."""
    if pixels.ndim == 2:
        return pixels[:, :, None]
    if pixels.shape[2] == 3 and is_grey(pixels):
        return np.ascontiguousarray(pixels[:, :, :1])
    return pixels


def is_grey(pixels: np.ndarray) -> bool:
    """Whether the three channels of uint8 [H, W, 3] are equal everywhere."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    return np.array_equal(red, green) and np.array_equal(green, blue)


def over_white(rgba: np.ndarray) -> np.ndarray:
    """uint8 [..., 4] (RGB and straight alpha) laid over white: uint8 [..., 3], rounded to nearest."""
    flat = rgba.reshape(-1, 4)
    laid = np.empty((len(flat), 3), dtype=np.uint8)
    for at in range(0, len(flat), _BAND):
        band = flat[at : at + _BAND]
        alpha = band[:, 3:].astype(np.uint16)
        # At most 255 * 255 + 127, which fits into 16 bits.
        laid[at : at + _BAND] = (band[:, :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return laid.reshape(*rgba.shape[:-1], 3)


def content_id(pixels: np.ndarray) -> str:
    """SHA-256, hexadecimal, over the shape and the bytes of canonical pixels."""
    height, width, channels = pixels.shape
    digest = hashlib.sha256(f"{height}x{width}x{channels}:".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()
