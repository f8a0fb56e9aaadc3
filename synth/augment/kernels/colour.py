"""Colour and tone, as ``torchvision.transforms.v2.functional`` computes them, each image by its own.

Every step is elementwise and rounded by itself (no fused multiply-add, no sums whose order could change), so
that an image's bytes do not depend on the batch it is in.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_GREY = (0.2989, 0.587, 0.114)


def grey(images: Tensor) -> Tensor:
    """float32 [N, 1, H, W]: luminance of uint8 [N, 3, H, W], not rounded; grey images as they are."""
    if images.shape[1] == 1:
        return images.to(torch.float32)
    red, green, blue = (images[:, channel : channel + 1] * weight for channel, weight in enumerate(_GREY))
    return red.add_(green).add_(blue)


def to_grey(images: Tensor) -> Tensor:
    """uint8 of the same shape, with equal channels."""
    return images if images.shape[1] == 1 else grey(images).to(torch.uint8).expand(images.shape).contiguous()


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """``factor``, float32 [N, 1, 1, 1] from 0, times the values."""
    return (images * factor).clamp_(max=255).to(torch.uint8)


def blend(images: Tensor, others: Tensor, factor: Tensor) -> Tensor:
    """``factor * images + (1 - factor) * others``, cut off at 0 and 255; others is float32."""
    return (images * factor).add_(others * (1.0 - factor)).clamp_(0, 255).to(torch.uint8)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Away from the mean luminance of each image, or towards it."""
    values = grey(images)
    if images.shape[1] != 1:
        values.floor_()
    # Whole numbers, whose sum in int64 does not depend on the order that they are added in.
    total = values.to(torch.int32).flatten(1).sum(1, dtype=torch.int64)
    mean = total.to(torch.float32) / (values.shape[-2] * values.shape[-1])
    return blend(images, mean.reshape(-1, 1, 1, 1), factor)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Away from each pixel's luminance, or towards it; grey images have none."""
    return images if images.shape[1] == 1 else blend(images, grey(images).floor_(), factor)


def posterise(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest ``bits``, uint8 [N, 1, 1, 1] of 0 to 8."""
    mask = torch.full_like(bits, 0xFF) << (8 - bits.to(torch.int32)).to(torch.uint8)
    return images & torch.where(bits == 0, torch.zeros_like(mask), mask)


def solarise(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert the values from ``threshold``, float32 [N, 1, 1, 1] of 0 to 255, on."""
    # Integers compare as the threshold's next whole number does, without a copy in floating point.
    least = torch.ceil(threshold).to(torch.int32)
    whole = least.clamp(0, 255).to(torch.uint8)
    turned = torch.where(images >= whole, images.bitwise_not(), images)
    return torch.where(least > 255, images, turned) if bool((least > 255).any()) else turned


def invert(images: Tensor) -> Tensor:
    """255 less the value."""
    return images.bitwise_not()


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel to 0 and 255; flat channels stay."""
    least = images.amin((-2, -1), keepdim=True).to(torch.float32)
    most = images.amax((-2, -1), keepdim=True).to(torch.float32)
    flat = most == least
    scale = torch.where(flat, torch.ones_like(most), (most - least) * (1.0 / 255))
    least = torch.where(flat, torch.zeros_like(least), least)
    return (images - least).div_(scale).clamp_(0, 255).to(torch.uint8)


def hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the colour circle by ``shift``, float32 [N, 1, 1] of -0.5 to 0.5; grey images have none."""
    if images.shape[1] == 1:
        return images
    values = images.to(torch.float32).div_(255)
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
    return torch.stack(channels, dim=1).mul_(255 + 1.0 - 1e-3).to(torch.uint8)


def gamma_tables(gamma: np.ndarray) -> np.ndarray:
    """uint8 [N, 256]: ``255 * (value / 255) ** gamma`` for each gamma, [N]."""
    values = torch.arange(256, dtype=torch.float32).div_(255)
    powers = values.pow(torch.from_numpy(gamma.astype(np.float32)).reshape(-1, 1))
    return np.asarray(powers.mul_(255 + 1.0 - 1e-3).to(torch.uint8).numpy())


def equalise_tables(images: Tensor) -> np.ndarray:
    """uint8 [N * C, 256]: for each channel the table that makes its histogram flat, as Pillow does."""
    planes = images.reshape(-1, images.shape[-2] * images.shape[-1]).cpu().numpy()
    count = planes.shape[0]
    offsets = (np.arange(count, dtype=np.int64) * 256)[:, None]
    histogram = np.bincount((planes + offsets).ravel(), minlength=256 * count).reshape(count, 256)
    above = histogram.cumsum(1)
    last = above.argmax(1)
    step = (planes.shape[1] - histogram[np.arange(count), last]) // 255
    safe = np.maximum(step, 1)[:, None]
    tables = np.zeros((count, 256), dtype=np.uint8)
    tables[:, 1:] = np.clip((above[:, :-1] + (step // 2)[:, None]) // safe, 0, 255)
    tables[step == 0] = np.arange(256, dtype=np.uint8)
    return tables


def look_up(images: Tensor, tables: np.ndarray) -> Tensor:
    """Every value replaced by its table's; a table for each image or each channel, uint8 [..., 256]."""
    planes = images.contiguous().reshape(len(tables), -1)
    if images.device.type != "cpu":
        return torch.from_numpy(tables).to(images.device).gather(1, planes.long()).reshape(images.shape)
    source = planes.numpy()
    result = np.empty_like(source)
    # A plane at a time: the C library's loop over bytes takes a fraction of numpy's over indices.
    for row, table in enumerate(tables):
        result[row] = np.frombuffer(source[row].tobytes().translate(table.tobytes()), dtype=np.uint8)
    return torch.from_numpy(result).reshape(images.shape)
