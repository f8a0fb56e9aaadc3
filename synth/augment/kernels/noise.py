"""Noise and holes. Fields of noise follow from a key for each image, by Philox-4x64-10 in numpy's C code.

They are made on the CPU wherever images lie, so that they are the same everywhere; numpy promises that the
words of its bit generators do not change.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synth.augment.kernels.values import floats, rounded
from synth.randomness import stream_id

_FIELD = stream_id("augment:field")
_BEGIN = (0, 0, 0, 0)


def fields(keys: np.ndarray, counts: list[int]) -> Iterator[np.ndarray]:
    """For each key, int64 [N] of 0 to 2**63 - 1, a field of so many uniform bytes: uint8 [count]."""
    philox: Any = _philox(threading.get_ident())  # whose state takes tuples too, which are made sooner
    for key, count in zip(keys.tolist(), counts, strict=True):
        philox.state = {
            "bit_generator": "Philox",
            "state": {"counter": _BEGIN, "key": (key, _FIELD)},
            "buffer": _BEGIN,
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }
        words = philox.random_raw(-(-count // 8))
        yield words.astype("<u8", copy=False).view(np.uint8)[:count]


@lru_cache(maxsize=256)
def _philox(thread: int) -> np.random.Philox:
    """One for each thread, whose state is set before each use: a new one asks the system for entropy."""
    return np.random.Philox(key=0)


def halves(keys: np.ndarray, count: int) -> np.ndarray:
    """int64 [N, count] of 0 to 65535 for keys int64 [N]: uniform, a field for each key."""
    result = np.empty((len(keys), count), dtype=np.int64)
    for row, field in zip(result, fields(keys, [2 * count] * len(keys)), strict=True):
        row[:] = field.view("<u2")
    return result


@lru_cache(maxsize=1)
def _quantiles() -> np.ndarray:
    """float32 [65536]: the normal quantile in the middle of each of as many equal shares; |z| < 4.4."""
    from scipy.special import ndtri

    return np.asarray(ndtri((np.arange(65536) + 0.5) / 65536), dtype=np.float32)


def _normals(keys: np.ndarray, like: Tensor) -> np.ndarray:
    """float32 of the shape of ``like``, [N, C, H, W]: standard normal noise in 65,536 steps."""
    result = np.empty((len(keys), math.prod(like.shape[1:])), dtype=np.float32)
    table = _quantiles()
    for row, field in zip(result, fields(keys, [2 * result.shape[1]] * len(keys)), strict=True):
        table.take(field.view("<u2"), out=row, mode="clip")
    return result.reshape(like.shape)


def _plain(values: Any, like: Tensor) -> Any:
    """A tensor or array as what computes soonest where ``like`` lies: numpy's array on a CPU, else a tensor.

    Both have the operators that noise is made with, and round alike.
    """
    if like.device.type == "cpu":
        return values.numpy() if isinstance(values, Tensor) else values
    return values if isinstance(values, Tensor) else torch.from_numpy(values).to(like.device)


def _rounded(values: Any) -> Tensor:
    return rounded(values if isinstance(values, Tensor) else torch.from_numpy(values))


def gaussian(images: Tensor, keys: np.ndarray, std: Tensor) -> Tensor:
    """Plus noise of ``std``, float32 [N, 1, 1, 1] in values of 0 to 255."""
    found = _plain(_normals(keys, images), images)
    found *= _plain(std, images)
    found += _plain(images, images)
    return _rounded(found)


def speckle(images: Tensor, keys: np.ndarray, std: Tensor) -> Tensor:
    """Times 1 plus noise of ``std``."""
    found = _plain(_normals(keys, images), images)
    found *= _plain(std, images)
    found += 1.0
    found *= _plain(images, images)
    return _rounded(found)


def poisson(images: Tensor, keys: np.ndarray, photons: Tensor) -> Tensor:
    """Shot noise where a value of 255 stands for so many photons, [N, 1, 1, 1].

    Normal noise in the square root, where Poisson's has the same variance everywhere (Anscombe, "The
    transformation of Poisson, binomial and negative-binomial data", Biometrika 1948).
    """
    scale = _plain(photons / 255, images)
    root = _plain(floats(images), images)
    root *= scale
    root += 0.375
    root **= 0.5
    found = _plain(_normals(keys, images), images)
    found *= 0.5
    found += root
    found *= found > 0
    found *= found
    found -= 0.375
    found /= scale
    return _rounded(found)


def salt_and_pepper(images: Tensor, keys: np.ndarray, share: np.ndarray) -> Tensor:
    """A ``share``, [N] of 0 to 1, of the pixels black or white, each as often."""
    shape = (len(images), 1, *images.shape[-2:])
    draw = halves(keys, shape[-2] * shape[-1])
    black = draw < np.round(share * 32768)[:, None]
    struck = draw < np.round(share * 65536)[:, None]
    # Two bit operations, instead of a choice among three images: all bits off, or all on.
    keep = torch.from_numpy(np.where(struck, 0, 255).astype(np.uint8)).reshape(shape).to(images.device)
    white = (
        torch.from_numpy(np.where(struck & ~black, 255, 0).astype(np.uint8)).reshape(shape).to(images.device)
    )
    return (images & keep).bitwise_or_(white)


def filled(images: Tensor, rectangles: np.ndarray, fill: int) -> Tensor:
    """With a rectangle of each set to a value; int [N, 4] of left, top, right, bottom, also outside."""
    result = images.clone()
    target = _plain(result, images)
    for row, (left, top, right, bottom) in enumerate(rectangles.clip(0).tolist()):
        target[row, :, top:bottom, left:right] = fill
    return result


def erased(images: Tensor, rectangles: np.ndarray, keys: np.ndarray) -> Tensor:
    """With a rectangle of each, which lies inside, set to uniform noise."""
    result = images.clone()
    target, channels, places = _plain(result, images), images.shape[1], rectangles.tolist()
    counts = [channels * (right - left) * (bottom - top) for left, top, right, bottom in places]
    for row, field in enumerate(fields(keys, counts)):
        left, top, right, bottom = places[row]
        part = _plain(field.reshape(channels, bottom - top, right - left), images)
        target[row, :, top:bottom, left:right] = part
    return result


def grid(period: np.ndarray, offset: np.ndarray, share: np.ndarray, size: tuple[int, int]) -> Tensor:
    """bool [N, 1, H, W]: squares of ``share`` of a period of pixels, [N], from offsets [N, 2] on."""
    places = [
        (np.arange(length)[None] + offset[:, axis, None]) % period[:, None]
        < np.round(share * period)[:, None]
        for axis, length in ((1, size[0]), (0, size[1]))
    ]
    return torch.from_numpy(places[0][:, None, :, None] & places[1][:, None, None, :])
