"""The one form in which pixels leave a source (see ``synth.pixels``), and how transparency gets there."""

from __future__ import annotations

import numpy as np

from synth.pixels import canonical, content_id, is_grey

__all__ = ["canonical", "content_id", "is_grey", "over_white"]

_BAND = 1 << 16
"""Pixels laid over white at once: what is in between, in 16 bits, stays in the processor's cache."""


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
