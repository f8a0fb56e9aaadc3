"""Between bytes and floating point, and through tables: what kernels begin and end with.

On a CPU both are numpy's loops, which take a quarter of torch's time on one thread; elsewhere torch's.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

BYTES = np.arange(256, dtype=np.float32)
"""All values there are."""


def floats(images: Tensor) -> Tensor:
    """A copy in float32."""
    if images.device.type != "cpu":
        return images.to(torch.float32)
    return torch.from_numpy(images.numpy().astype(np.float32))


def whole(values: Tensor) -> Tensor:
    """uint8 of float32 from 0 to below 256; fractions are cut off."""
    if values.device.type != "cpu":
        return values.to(torch.uint8)
    return torch.from_numpy(values.numpy().astype(np.uint8))


def rounded(values: Tensor) -> Tensor:
    """uint8 of any float32, which is overwritten: to the nearest, and cut off at 0 and 255."""
    return whole(values.round_().clamp_(0, 255))


def look_up(images: Tensor, tables: np.ndarray) -> Tensor:
    """Every value replaced by its table's; a table for each image or each channel, uint8 [..., 256]."""
    planes = images.contiguous().reshape(len(tables), -1)
    if images.device.type != "cpu":
        return torch.from_numpy(tables).to(images.device).gather(1, planes.long()).reshape(images.shape)
    # A plane at a time: the C library's loop over bytes takes a fraction of numpy's over indices.
    source = planes.numpy()
    if len(tables) == 1:
        changed = bytearray(source).translate(tables.tobytes())
        return torch.frombuffer(changed, dtype=torch.uint8).reshape(images.shape)
    result = np.empty_like(source)
    for row, table in enumerate(tables):
        result[row] = np.frombuffer(source[row].tobytes().translate(table.tobytes()), dtype=np.uint8)
    return torch.from_numpy(result).reshape(images.shape)
