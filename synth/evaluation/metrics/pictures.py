"""Images compared by their pixels, but for a shift of a pixel, brightness and contrast: to find copies."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_SIDE = 32
_FREQUENCIES = 8
_CHUNK = 8_000_000


def shrink(images: Tensor) -> Tensor:
    """Pictures uint8 [N, C, h, w] of images uint8 [N, C, H, W]: means of areas, at most 32 pixels a side."""
    height, width = images.shape[2:]
    largest = max(height, width)
    if largest <= _SIDE:
        return images
    size = (max(1, round(height * _SIDE / largest)), max(1, round(width * _SIDE / largest)))
    step = max(1, _CHUNK // images[:1].numel()) if len(images) else 1
    return torch.cat(
        [
            F.adaptive_avg_pool2d(part.float(), size).round().to(torch.uint8)
            for part in torch.split(images, step)
        ]
    )


def spectrum(pictures: Tensor) -> Tensor:
    """float32 [N, F]: magnitudes of the low frequencies in grey, at length 1. A shift hardly changes them."""
    height, width = pictures.shape[2:]
    rows = (torch.fft.fftfreq(height) * height).abs() < _FREQUENCIES
    columns = torch.fft.rfftfreq(width) * width < _FREQUENCIES
    parts = []
    for part in torch.split(pictures, max(1, _CHUNK // (pictures.shape[1] * height * width))):
        grey = part.float().mean(dim=1)
        waves = torch.fft.rfft2(grey - grey.mean(dim=(1, 2), keepdim=True)).abs()
        parts.append(F.normalize(waves[:, rows][:, :, columns].flatten(1), dim=1))
    return torch.cat(parts)


def aligned_distances(queries: Tensor, reference: Tensor, candidates: Tensor) -> Tensor:
    """The distance of each query to its candidates where a shift of up to one pixel makes it least.

    Compared are the inner parts (a pixel from the edge), at mean 0 and length 1: the distance is the root of
    2 - 2 r, with r the correlation. Flat pictures are equal to each other, and uncorrelated with all others.

    Args:
        queries: uint8 [N, C, h, w]; reference: uint8 [M, C, h, w].
        candidates: int64 [N, K], rows of the reference.

    Returns:
        float64 [N, K], 0 to 2.
    """
    height, width = queries.shape[2:]
    margin = 1 if min(height, width) > 4 else 0
    inner_height, inner_width = height - 2 * margin, width - 2 * margin
    shifts = [(top, left) for top in range(2 * margin + 1) for left in range(2 * margin + 1)]
    size = queries.shape[1] * inner_height * inner_width
    step = max(1, _CHUNK // (size * (candidates.shape[1] + len(shifts))))
    found = []
    for part, rows in zip(torch.split(queries, step), torch.split(candidates, step), strict=True):
        moved = torch.stack(
            [
                part[..., top : top + inner_height, left : left + inner_width].flatten(1)
                for top, left in shifts
            ],
            dim=1,
        )
        inner = reference[rows][..., margin : height - margin, margin : width - margin].flatten(2)
        correlation = torch.bmm(_unit(inner), _unit(moved).transpose(1, 2)).amax(dim=2)
        found.append((2 - 2 * correlation.double()).clamp(min=0).sqrt())
    return torch.cat(found)


def _unit(values: Tensor) -> Tensor:
    """float32 of the same shape, at mean 0 and length 1 along the last dimension."""
    centred = values.float()
    centred = centred - centred.mean(dim=-1, keepdim=True)
    length = torch.linalg.vector_norm(centred, dim=-1, keepdim=True)
    # A constant is at right angles to everything of mean 0.
    return torch.where(length > 1e-3, centred / length, values.shape[-1] ** -0.5)
