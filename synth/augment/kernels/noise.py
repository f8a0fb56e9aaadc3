"""Noise and holes. Fields of noise follow from a key for each image, by Philox-4x64-10 in numpy's C code.

They are made on the CPU wherever images lie, so that they are the same everywhere; numpy promises that the
words of its bit generators do not change.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from synth.augment.kernels.values import floats, rounded
from synth.randomness import stream_id

_FIELD = stream_id("augment:field")


def fields(keys: np.ndarray, counts: list[int]) -> Iterator[np.ndarray]:
    """For each key, int64 [N] of 0 to 2**63 - 1, a field of so many uniform bytes: uint8 [count]."""
    philox = _philox(threading.get_ident())
    begin = np.zeros(4, dtype=np.uint64)
    for key, count in zip(keys.tolist(), counts, strict=True):
        philox.state = {
            "bit_generator": "Philox",
            "state": {"counter": begin, "key": np.array([key, _FIELD], dtype=np.uint64)},
            "buffer": begin,
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


def normal_field(keys: np.ndarray, like: Tensor) -> Tensor:
    """float32 of the shape of ``like``, [N, C, H, W]: standard normal noise in 65,536 steps."""
    result = np.empty((len(keys), like[0].numel()), dtype=np.float32)
    table = _quantiles()
    for row, field in zip(result, fields(keys, [2 * result.shape[1]] * len(keys)), strict=True):
        table.take(field.view("<u2"), out=row, mode="clip")
    return torch.from_numpy(result).reshape(like.shape).to(like.device)


def gaussian(images: Tensor, keys: np.ndarray, std: Tensor) -> Tensor:
    """Plus noise of ``std``, float32 [N, 1, 1, 1] in values of 0 to 255."""
    return rounded(normal_field(keys, images).mul_(std).add_(floats(images)))


def speckle(images: Tensor, keys: np.ndarray, std: Tensor) -> Tensor:
    """Times 1 plus noise of ``std``."""
    return rounded(normal_field(keys, images).mul_(std).add_(1.0).mul_(floats(images)))


def poisson(images: Tensor, keys: np.ndarray, photons: Tensor) -> Tensor:
    """Shot noise where a value of 255 stands for so many photons, [N, 1, 1, 1].

    Normal noise in the square root, where Poisson's has the same variance everywhere (Anscombe, "The
    transformation of Poisson, binomial and negative-binomial data", Biometrika 1948).
    """
    scale = photons / 255
    root = floats(images).mul_(scale).add_(0.375).sqrt_()
    root.add_(normal_field(keys, images).mul_(0.5)).clamp_(min=0)
    return rounded(root.mul_(root).sub_(0.375).div_(scale))


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
    target = result.numpy() if images.device.type == "cpu" else result
    for row, (left, top, right, bottom) in enumerate(rectangles.clip(0).tolist()):
        target[row, :, top:bottom, left:right] = fill
    return result


def erased(images: Tensor, rectangles: np.ndarray, keys: np.ndarray) -> Tensor:
    """With a rectangle of each, which lies inside, set to uniform noise."""
    result = images.clone()
    channels = images.shape[1]
    wide, tall = rectangles[:, 2] - rectangles[:, 0], rectangles[:, 3] - rectangles[:, 1]
    noise = fields(keys, (channels * wide * tall).tolist())
    for row, ((left, top, right, bottom), field) in enumerate(zip(rectangles.tolist(), noise, strict=True)):
        part = field.reshape(channels, bottom - top, right - left)
        if images.device.type == "cpu":
            result.numpy()[row, :, top:bottom, left:right] = part
        else:
            result[row, :, top:bottom, left:right] = torch.from_numpy(part).to(images.device)
    return result


def grid(period: np.ndarray, offset: np.ndarray, share: np.ndarray, size: tuple[int, int]) -> Tensor:
    """bool [N, 1, H, W]: squares of ``share`` of a period of pixels, [N], from offsets [N, 2] on."""
    places = [
        (np.arange(length)[None] + offset[:, axis, None]) % period[:, None]
        < np.round(share * period)[:, None]
        for axis, length in ((1, size[0]), (0, size[1]))
    ]
    return torch.from_numpy(places[0][:, None, :, None] & places[1][:, None, None, :])
