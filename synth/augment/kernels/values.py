"""Between bytes and floating point, and through tables: what kernels begin and end with.

On a CPU both are numpy's loops, which take a quarter of torch's time on one thread; elsewhere torch's.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

BYTES = np.arange(256, dtype=np.float32)
"""All values there are."""
_BLACK, _WHITE = np.float32(0), np.float32(255)


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
    if values.device.type != "cpu":
        return values.round_().clamp_(0, 255).to(torch.uint8)
    return torch.from_numpy(bytes_of(np.rint(plain := values.numpy(), out=plain)))


def bytes_of(values: np.ndarray) -> np.ndarray:
    """uint8 of any float32, which is overwritten: cut off at 0 and 255, and fractions too."""
    np.maximum(values, _BLACK, out=values)
    return np.asarray(np.minimum(values, _WHITE, out=values).astype(np.uint8))


def look_up(images: Tensor, tables: np.ndarray) -> Tensor:
    """Every value replaced by its table's; a table for each image or each channel, uint8 [..., 256]."""
    if images.device.type != "cpu":
        planes = images.contiguous().reshape(len(tables), -1).long()
        return torch.from_numpy(tables).to(images.device).gather(1, planes).reshape(images.shape)
    # A plane at a time: the C library's loop over bytes takes a fraction of numpy's over indices.
    source, codes = images.numpy().tobytes(), tables.tobytes()
    size = len(source) // len(tables)
    changed = bytearray().join(
        source[size * at : size * (at + 1)].translate(codes[256 * at : 256 * (at + 1)])
        for at in range(len(tables))
    )
    return torch.from_numpy(np.frombuffer(changed, dtype=np.uint8).reshape(images.shape))
