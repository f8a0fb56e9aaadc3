"""Filters with a strength for each image, by shifted sums: the order of their terms is always the same."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.io import decode_jpeg, encode_jpeg

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
    """Written as JPEG of each quality, int [N] of 1 to 100, and read again."""
    files = [encode_jpeg(one, int(level)) for one, level in zip(images.cpu(), quality.tolist(), strict=True)]
    return torch.stack([decode_jpeg(file) for file in files]).to(images.device)
