"""Noise and holes. Fields of noise follow from a key for each image, by Philox in words of 16 bits."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from synth.randomness import bits, stream_id

_FIELD = stream_id("augment:field")


def halves(keys: np.ndarray, count: int) -> np.ndarray:
    """int64 [N, count] of 0 to 65535 for keys int64 [N]: uniform, a field for each key."""
    words = bits(
        torch.from_numpy(keys), torch.zeros(len(keys), dtype=torch.int64), _FIELD, -(-count // 2)
    ).numpy()
    both = np.stack([words & 0xFFFF, words >> 16], axis=-1)
    return both.reshape(len(keys), -1)[:, :count]


@lru_cache(maxsize=1)
def _quantiles() -> np.ndarray:
    """float32 [65536]: the normal quantile in the middle of each of as many equal shares; |z| < 4.4."""
    from scipy.special import ndtri

    return np.asarray(ndtri((np.arange(65536) + 0.5) / 65536), dtype=np.float32)


def normal_field(keys: np.ndarray, like: Tensor) -> Tensor:
    """float32 of the shape of ``like``, [N, C, H, W]: standard normal noise in 65,536 steps."""
    field = _quantiles()[halves(keys, like[0].numel())]
    return torch.from_numpy(field).reshape(like.shape).to(like.device)


def _rounded(values: Tensor) -> Tensor:
    return values.round_().clamp_(0, 255).to(torch.uint8)


def gaussian(images: Tensor, keys: np.ndarray, std: Tensor) -> Tensor:
    """Plus noise of ``std``, float32 [N, 1, 1, 1] in values of 0 to 255."""
    return _rounded(normal_field(keys, images).mul_(std).add_(images))


def speckle(images: Tensor, keys: np.ndarray, std: Tensor) -> Tensor:
    """Times 1 plus noise of ``std``."""
    return _rounded(normal_field(keys, images).mul_(std).add_(1.0).mul_(images))


def poisson(images: Tensor, keys: np.ndarray, photons: Tensor) -> Tensor:
    """Shot noise where a value of 255 stands for so many photons, [N, 1, 1, 1].

    Normal noise in the square root, where Poisson's has the same variance everywhere (Anscombe, "The
    transformation of Poisson, binomial and negative-binomial data", Biometrika 1948).
    """
    scale = photons / 255
    root = (images * scale).add_(0.375).sqrt_().add_(normal_field(keys, images).mul_(0.5)).clamp_(min=0)
    return _rounded((root * root).sub_(0.375).div_(scale))


def salt_and_pepper(images: Tensor, keys: np.ndarray, share: Tensor) -> Tensor:
    """A ``share``, [N, 1, 1, 1] of 0 to 1, of the pixels black or white, each as often."""
    shape = (len(images), 1, *images.shape[-2:])
    draw = torch.from_numpy(halves(keys, shape[-2] * shape[-1])).reshape(shape).to(images.device)
    many = (share * 65536).round()
    half = (share * 32768).round()
    images = torch.where(draw < half, torch.zeros_like(images), images)
    return torch.where((draw >= half) & (draw < many), torch.full_like(images, 255), images)


def inside(rectangles: np.ndarray, size: tuple[int, int], device: torch.device) -> Tensor:
    """bool [N, 1, H, W]: pixels in any of the rectangles, int [N, R, 4] of left, top, right, bottom."""
    corners = torch.from_numpy(rectangles.astype(np.int64)).to(device)
    y = torch.arange(size[0], device=device)
    x = torch.arange(size[1], device=device)
    left, top, right, bottom = (corners[..., side, None] for side in range(4))
    down, across = (y >= top) & (y < bottom), (x >= left) & (x < right)
    return (down[..., :, None] & across[..., None, :]).any(1, keepdim=True)


def grid(period: np.ndarray, offset: np.ndarray, share: np.ndarray, size: tuple[int, int]) -> Tensor:
    """bool [N, 1, H, W]: squares of ``share`` of a period of pixels, [N], from offsets [N, 2] on."""
    places = [
        (np.arange(length)[None] + offset[:, axis, None]) % period[:, None]
        < np.round(share * period)[:, None]
        for axis, length in ((1, size[0]), (0, size[1]))
    ]
    return torch.from_numpy(places[0][:, None, :, None] & places[1][:, None, None, :])
