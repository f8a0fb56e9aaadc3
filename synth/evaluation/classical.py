"""Classical augmentation of a batch at once: the rival that synthetic images have to beat.

Each image is shifted by up to an eighth of its side, cropped by up to a fifth (and brought back to its size),
mirrored in every second draw, and loses a rectangle in every fourth (random erasing, Zhong et al.,
arXiv 1708.04896). All of it is a function of (seed, index).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from synth.randomness import stream_id, uniforms

_STREAM = stream_id("evaluation/classical")
_SHIFT = 1 / 8
_CROP = 0.2
_ERASED = 0.25
_LEAST, _MOST = 0.15, 0.4
"""Sides of an erased rectangle, as shares of the image's."""


def augment_classically(images: Tensor, seed: int, index: Tensor, *, flip: bool = True) -> Tensor:
    """Changed copies.

    Args:
        images: float32 [N, C, H, W].
        seed, index: 0 to 2**64 - 1, and int64 [N]: the key of each change.
        flip: mirror; leave it out where left and right mean something, as in digits and letters.

    Returns:
        float32 [N, C, H, W] on the device of ``images``.
    """
    draws = uniforms(seed, index, _STREAM, 9).to(images.device)
    return _erase(_move(images, draws[:, :4], flip), draws[:, 4:])


def _move(images: Tensor, draws: Tensor, flip: bool) -> Tensor:
    """Crop, shift and mirror by one resampling; what comes in from outside repeats the border."""
    scale = 1.0 - _CROP * draws[:, 0]
    mirror = torch.where(draws[:, 1] < 0.5, -1.0, 1.0) if flip else torch.ones_like(scale)
    shift = (2.0 * draws[:, 2:4] - 1.0) * 2.0 * _SHIFT  # the grid is 2 wide
    zero = torch.zeros_like(scale)
    rows = [scale * mirror, zero, shift[:, 0], zero, scale, shift[:, 1]]
    grid = F.affine_grid(torch.stack(rows, dim=1).view(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _erase(images: Tensor, draws: Tensor) -> Tensor:
    """A rectangle of the image's mean, in every fourth image."""
    height, width = images.shape[2:]
    sides = _LEAST + (_MOST - _LEAST) * draws[:, 1:3]
    start = draws[:, 3:5] * (1.0 - sides)
    inside = torch.ones(1, dtype=torch.bool, device=images.device)
    for axis, length in ((0, height), (1, width)):
        place = (torch.arange(length, device=images.device) + 0.5) / length
        first, last = start[:, axis, None], (start + sides)[:, axis, None]
        line = (place >= first) & (place < last)
        inside = inside & (line[:, :, None] if axis == 0 else line[:, None, :])
    inside = inside & (draws[:, 0] < _ERASED)[:, None, None]
    return torch.where(inside[:, None], images.mean(dim=(1, 2, 3), keepdim=True), images)
