"""The idx format of the MNIST family: big-endian header, then the values; often inside gzip."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from synth.errors import UnreadableError

_UINT8 = 8


def find_idx(folder: Path, part: str) -> tuple[Path, Path] | None:
    """The files of images and labels of a part (``train`` or ``test``) in a folder, or None."""
    stem = {"train": "train", "test": "t10k"}[part]
    found = []
    for name in (f"{stem}-images-idx3-ubyte", f"{stem}-labels-idx1-ubyte"):
        path = next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)
        if path is None:
            return None
        found.append(path)
    return found[0], found[1]


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array of an idx file, plain or ``.gz``; UnreadableError where it is damaged."""
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        zero, kind, dimensions = struct.unpack_from(">HBB", data)
        shape = struct.unpack_from(f">{dimensions}I", data, 4)
        values = np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * dimensions)
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
        raise UnreadableError(f"{path} cannot be read ({error}). Remove it, or fetch it again.") from error
    if zero != 0 or kind != _UINT8 or values.size != math.prod(shape):
        raise UnreadableError(
            f"{path} is not an idx file of bytes, or is cut short. Remove it, or fetch it again."
        )
    return values.reshape(shape)
