"""Tensors that lie in a file instead of in memory, for images that memory cannot hold.

The file has no name: the system frees it when the process ends, however it ends, so that nothing is ever
left over, grows stale or has to be cleaned up.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from synth.artifacts.files import make_folder, storage_errors

_CHUNK_BYTES = 2**26


def scratch_tensor(shape: tuple[int, ...], folder: Path) -> Tensor:
    """uint8 zeros of this shape, mapped from a file in ``folder``; the system keeps in memory what it can.

    Raises:
        StorageError: the disk has no room. It is reserved at once, for a mapped file that finds the disk full
            later could only kill the process.
    """
    size = int(np.prod(shape, dtype=np.int64))
    with storage_errors(f"keep {size / 2**30:.1f} GiB of decoded images", folder):
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder) as handle:
            os.posix_fallocate(handle.fileno(), 0, size)
            mapped = mmap.mmap(handle.fileno(), size)
    return torch.from_numpy(np.frombuffer(mapped, dtype=np.uint8).reshape(shape))


def gather(images: Tensor, rows: Tensor, folder: Path) -> Tensor:
    """``images[rows]`` of uint8 [N, C, H, W] and int64 [M] as a scratch tensor, a part at a time."""
    chosen = scratch_tensor((len(rows), *images.shape[1:]), folder)
    step = chunk_of(images)
    for at in range(0, len(rows), step):
        chosen[at : at + step] = images[rows[at : at + step]]
    return chosen


def widened(images: Tensor, folder: Path) -> Tensor:
    """Grey uint8 [N, 1, H, W] repeated to [N, 3, H, W], as a scratch tensor."""
    colour = scratch_tensor((len(images), 3, *images.shape[2:]), folder)
    step = chunk_of(colour)
    for at in range(0, len(images), step):
        colour[at : at + step] = images[at : at + step]
    return colour


def chunk_of(images: Tensor) -> int:
    """How many of these images, uint8 [N, C, H, W], are worth handling at a time."""
    return max(1, _CHUNK_BYTES // max(images[:1].numel(), 1))
