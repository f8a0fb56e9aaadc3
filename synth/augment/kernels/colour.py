"""Colour and tone, as ``torchvision.transforms.v2.functional`` computes them, each image by its own.

Every step is elementwise and rounded by itself (no fused multiply-add, no sums whose order could change), so
that an image's bytes do not depend on the batch it is in. What maps each value to another is a table of 256.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from synth.augment.kernels.values import BYTES, bytes_of, floats, look_up, whole

_GREY = torch.tensor([0.2989, 0.587, 0.114]).reshape(3, 1, 1)
_SHARES = torch.from_numpy(BYTES / np.float32(255))


def grey(images: Tensor) -> Tensor:
    """float32 [N, 1, H, W]: luminance of uint8 [N, 3, H, W], not rounded; grey images as they are."""
    if images.shape[1] == 1:
        return floats(images)
    values = floats(images).mul_(_GREY.to(images.device))
    return values[:, 0:1].add_(values[:, 1:2]).add_(values[:, 2:3])


def to_grey(images: Tensor) -> Tensor:
    """uint8 of the same shape, with equal channels."""
    return images if images.shape[1] == 1 else whole(grey(images)).expand(images.shape).contiguous()


def brightness(images: Tensor, factor: np.ndarray) -> Tensor:
    """``factor``, [N] from 0, times the values."""
    tables = np.minimum(BYTES * _column(factor), np.float32(255))
    return look_up(images, tables.astype(np.uint8))


def contrast(images: Tensor, factor: np.ndarray) -> Tensor:
    """Away from the mean luminance of each image, or towards it; ``factor`` is [N]."""
    # Whole numbers, whose sum does not depend on the order that they are added in.
    total = (images if images.shape[1] == 1 else whole(grey(images))).sum((1, 2, 3))
    mean = total.cpu().numpy().astype(np.float32) / np.float32(images.shape[-2] * images.shape[-1])
    strength = _column(factor)
    tables = BYTES * strength + mean[:, None] * (np.float32(1) - strength)
    return look_up(images, bytes_of(tables))


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Away from each pixel's luminance, or towards it; grey images have none.

    ``factor``: float32 [N, 1, 1, 1] from 0.
    """
    if images.shape[1] == 1:
        return images
    plain = grey(images).floor_().mul_(1.0 - factor)
    return whole(floats(images).mul_(factor).add_(plain).clamp_(0, 255))


def posterise(images: Tensor, bits: np.ndarray) -> Tensor:
    """Keep the highest ``bits``, whole numbers [N] of 0 to 8."""
    mask = (0xFF00 >> bits.astype(np.int64) & 0xFF).astype(np.uint8).reshape(-1, 1, 1, 1)
    if images.device.type == "cpu":
        return torch.from_numpy(images.numpy() & mask)
    return images & torch.from_numpy(mask).to(images.device)


def solarise(images: Tensor, threshold: np.ndarray) -> Tensor:
    """Invert the values from ``threshold``, [N] of 0 to 256, on."""
    # Integers compare as the threshold's next whole number does; -1 is 255 in a byte, and turns all bits.
    least = np.ceil(threshold)
    whole_least = torch.from_numpy(least.clip(0, 255).astype(np.uint8)).to(images.device).reshape(-1, 1, 1, 1)
    turned = (images >= whole_least).view(torch.uint8).neg_()
    if (least > 255).any():
        turned &= (
            torch.from_numpy(((least <= 255) * 255).astype(np.uint8)).to(images.device).reshape(-1, 1, 1, 1)
        )
    return turned.bitwise_xor_(images)


def invert(images: Tensor) -> Tensor:
    """255 less the value."""
    return images.bitwise_not()


def reordered(images: Tensor, order: np.ndarray) -> Tensor:
    """The channels in another order each, int64 [N, C]."""
    if images.device.type != "cpu":
        rows = torch.arange(len(images), device=images.device)[:, None]
        return images[rows, torch.from_numpy(order).to(images.device)]
    source = images.numpy()
    result = np.empty(source.shape, dtype=source.dtype)
    for row, channels in enumerate(order):
        source[row].take(channels, axis=0, out=result[row], mode="clip")
    return torch.from_numpy(result)


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel to 0 and 255; flat channels stay."""
    planes = _planes(images)
    least, most = planes.min(1)[:, None].astype(np.float32), planes.max(1)[:, None].astype(np.float32)
    flat = most == least
    # Flat ones are divided by 1 and have nothing taken away.
    scale = (most - least) * np.float32(1 / 255) + flat
    tables = BYTES - least * ~flat
    tables /= scale
    return look_up(images, bytes_of(tables))


def hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the colour circle by ``shift``, float32 [N, 1, 1] of -0.5 to 0.5; grey images have none."""
    if images.shape[1] == 1:
        return images
    values = floats(images).div_(255)
    least, most = torch.aminmax(values, dim=1)
    span = most - least
    flat = span == 0
    one = torch.ones_like(most)
    chroma = span / torch.where(flat, one, most)
    red, green, blue = values.unbind(1)
    divisor = torch.where(flat, one, span)
    from_red, from_green, from_blue = ((most - channel).div_(divisor) for channel in (red, green, blue))
    is_red, is_green = most == red, most == green
    angle = torch.where(
        is_red,
        from_blue - from_green,
        torch.where(is_green, from_red.add(2.0).sub_(from_blue), from_green.add(4.0).sub_(from_red)),
    )
    angle = angle.mul_(1.0 / 6.0).add_(1.0).fmod_(1.0).add_(shift).remainder_(1.0)
    return _from_hsv(angle, chroma, most)


def _from_hsv(angle: Tensor, chroma: Tensor, value: Tensor) -> Tensor:
    """uint8 [N, 3, H, W] of three float32 [N, H, W] in [0, 1].

    A channel is ``value * (1 - chroma * clamp(min(k, 4 - k), 0, 1))`` with k its distance on the
    circle; Smith, "Color gamut transform pairs", SIGGRAPH 1978.
    """
    sixths = angle.mul(6.0)
    channels = []
    for offset in (5.0, 3.0, 1.0):
        k = (sixths + offset).remainder_(6.0)
        ramp = torch.minimum(k, 4.0 - k).clamp_(0.0, 1.0)
        channels.append((1.0 - ramp.mul_(chroma)).mul_(value))
    return whole(torch.stack(channels, dim=1).mul_(255 + 1.0 - 1e-3))


def gamma_tables(gamma: np.ndarray) -> np.ndarray:
    """uint8 [N, 256]: ``255 * (value / 255) ** gamma`` for each gamma, [N]."""
    powers = _SHARES.pow(torch.from_numpy(_column(gamma)))
    return np.asarray(powers.mul_(255 + 1.0 - 1e-3).numpy().astype(np.uint8))


def equalise_tables(images: Tensor) -> np.ndarray:
    """uint8 [N * C, 256]: for each channel the table that makes its histogram flat, as Pillow does."""
    planes = torch.from_numpy(_planes(images))
    count, size = planes.shape
    histogram = np.stack([torch.bincount(plane, minlength=256).numpy() for plane in planes])
    above = histogram.cumsum(1)
    last = above.argmax(1)
    step = (size - histogram[np.arange(count), last]) // 255
    safe = np.maximum(step, 1)[:, None]
    tables = np.zeros((count, 256), dtype=np.uint8)
    tables[:, 1:] = np.clip((above[:, :-1] + (step // 2)[:, None]) // safe, 0, 255)
    tables[step == 0] = np.arange(256, dtype=np.uint8)
    return tables


def _column(values: np.ndarray) -> np.ndarray:
    """float32 [n, 1] of [n]."""
    return values.astype(np.float32)[:, None]


def _planes(images: Tensor) -> np.ndarray:
    """uint8 [N * C, H * W] in this process's memory."""
    return np.asarray(images.cpu().numpy().reshape(images.shape[0] * images.shape[1], -1))
