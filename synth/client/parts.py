"""Large requests in parts: how they are cut, what is sent, and whether the answer is what was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synth.batch import Batch
from synth.client.transport import ServerError, Transport
from synth.data.png import encode_batch

_AT_ONCE = 512
"""Images in one request; the server shares its device out by samples, and not by requests."""
_BYTES_AT_ONCE = 16 * 2**20
"""Of raw pixels in one request."""


def part_size(image_bytes: int) -> int:
    """Images of one request."""
    return max(1, min(_AT_ONCE, _BYTES_AT_ONCE // image_bytes))


def parts(count: int, image_bytes: int) -> Iterator[slice]:
    """The rows of each part of ``count`` images."""
    size = part_size(image_bytes)
    return (slice(first, min(first + size, count)) for first in range(0, count, size))


def image_files(pixels: np.ndarray) -> list[Any]:
    """Images uint8 [N, H, W, C] as PNG files in the field ``images`` of a form."""
    files = encode_batch(pixels, [{}] * len(pixels))
    return [("images", ("image.png", one, "image/png")) for one in files]


def last_axis(pixels: Tensor) -> np.ndarray:
    """uint8 [N, C, H, W] as [N, H, W, C]."""
    return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of numpy and the like as those of JSON."""
    return {
        name: value if isinstance(value, (str, int)) or value is None else float(value)
        for name, value in parameters.items()
    }


def as_asked(transport: Transport, batch: Batch, seed: int, start: int, count: int) -> Batch:
    """``batch``; raises ServerError where it is not of that seed, or not of those indices."""
    if batch.seed != seed or not torch.equal(batch.index, torch.arange(start, start + count)):
        raise ServerError(f"{transport.url} gave other samples than those asked for.")
    return batch
