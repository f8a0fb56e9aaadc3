"""Filters with a strength for each image, by shifted sums: the order of their terms is always the same."""

from __future__ import annotations

import importlib
import io
from functools import lru_cache
from typing import cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from synth.augment.kernels.frame import mirrored
from synth.augment.kernels.values import floats, rounded, whole


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Away from a smoothed copy (3 x 3, five times the weight in the middle), or towards it.

    ``factor``: float32 [N, 1, 1, 1] from 0. The outermost pixels stay; so do images of up to 2 pixels a side.
    """
    height, width = images.shape[-2:]
    if height <= 2 or width <= 2:
        return images
    values = images.to(torch.int16)
    rows = values[..., :-2, :] + values[..., 1:-1, :] + values[..., 2:, :]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    middle = values[..., 1:-1, 1:-1]
    smooth = (total + 4 * middle).to(torch.float32).mul_(1.0 / 13).round_()
    inner = middle.to(torch.float32)
    changed = inner.add(smooth.sub_(inner).mul_(1.0 - factor)).clamp_(0, 255)
    result = images.clone()
    result[..., 1:-1, 1:-1] = whole(changed)
    return result


def blur(images: Tensor, sigma: np.ndarray, radius: int) -> Tensor:
    """Gaussian blur of ``2 * radius + 1`` pixels, one sigma in pixels for each image, [N]; edges mirrored."""
    places = torch.arange(-radius, radius + 1, dtype=torch.float32)
    width = torch.from_numpy(sigma.astype(np.float32)).reshape(-1, 1)
    weights = torch.exp(-0.5 * (places / width) ** 2)
    # Added one after the other, always in this order.
    total = weights[:, 0].clone()
    for tap in range(1, weights.shape[1]):
        total += weights[:, tap]
    weights = (weights / total[:, None]).to(images.device)
    values = floats(mirrored(images, radius))
    values = _smoothed(values, weights, radius, dim=-2)
    return rounded(_smoothed(values, weights, radius, dim=-1))


def _smoothed(values: Tensor, weights: Tensor, radius: int, dim: int) -> Tensor:
    size = values.shape[dim] - 2 * radius
    result = values.narrow(dim, radius, size) * weights[:, radius].reshape(-1, 1, 1, 1)
    for reach in range(1, radius + 1):
        pair = values.narrow(dim, radius - reach, size) + values.narrow(dim, radius + reach, size)
        result += pair.mul_(weights[:, radius + reach].reshape(-1, 1, 1, 1))
    return result


def jpeg(images: Tensor, quality: np.ndarray) -> Tensor:
    """Written as JPEG of each quality, whole numbers [N] of 1 to 100, and read again."""
    coded = _coded_by_torchvision if _has_coders() else coded_by_pillow
    pairs = zip(images.cpu(), quality.tolist(), strict=True)
    return torch.stack([coded(image, int(level)) for image, level in pairs]).to(images.device)


@lru_cache(maxsize=1)
def _has_coders() -> bool:
    """Whether torchvision still has its own, which it has announced to give up."""
    try:
        importlib.import_module("torchvision.io")
    except ImportError:
        return False
    return all(hasattr(torch.ops.image, name) for name in ("encode_jpeg", "decode_jpeg"))


def _coded_by_torchvision(image: Tensor, level: int) -> Tensor:
    # The operators themselves: in a third of Pillow's time, and libjpeg-turbo makes the same of it there.
    return cast(Tensor, torch.ops.image.decode_jpeg(torch.ops.image.encode_jpeg(image, level), 0, False))


def coded_by_pillow(image: Tensor, level: int) -> Tensor:
    """uint8 [C, H, W] of the same, with 1 or 3 channels."""
    pixels = image.permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "JPEG", quality=level)
    read = np.array(Image.open(file, formats=["JPEG"]))
    return torch.from_numpy(read.reshape(pixels.shape)).permute(2, 0, 1).contiguous()
