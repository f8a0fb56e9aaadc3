"""Classical augmentation of a batch at once: the rival that synthetic images have to beat.

Each change is made in a tenth of the draws, drawn for each by itself: a shift by up to 2 pixels of 28, a
crop by up to a tenth (brought back to the image's size), a mirroring, and a small rectangle that is lost
(random erasing, Zhong et al., arXiv 1708.04896).
Two thirds of the draws leave the image whole: the trainings of the
study are short, and there a classifier that sees mostly changed images does worse than one that sees none.
All of it is a function of (seed, index).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from synth.randomness import stream_id, uniforms

_STREAM = stream_id("evaluation/classical")
_EACH = 0.1
"""Share of the draws that a change is made in."""
_SHIFT = 2 / 28
_CROP = 0.1
_LEAST, _MOST = 0.1, 0.3
"""Sides of an erased rectangle, as shares of the image's."""


def augment_classically(images: Tensor, seed: int, index: Tensor, *, flip: bool = True) -> Tensor:
    """Copies, of which about a third are changed.

    Args:
        images: float32 [N, C, H, W].
        seed, index: 0 to 2**64 - 1, and int64 [N]: the key of each change.
        flip: mirror; leave it out where left and right mean something, as in digits and letters.

    Returns:
        float32 [N, C, H, W] on the device of ``images``; those left whole are as they were, to the bit.
    """
    draws = uniforms(seed, index, _STREAM, 11).to(images.device)
    shifts, crops, mirrors, erases = (draws[:, :4] < _EACH).unbind(dim=1)
    images = _move(images, shifts, crops, mirrors & flip, draws[:, 4:7])
    return _erase(images, erases, draws[:, 7:])


def _move(images: Tensor, shifts: Tensor, crops: Tensor, mirrors: Tensor, draws: Tensor) -> Tensor:
    """Crop, shift and mirror by one resampling; what comes in from outside repeats the border.

    The flags are bool [N], and ``draws`` [N, 3] from 0 to 1: how much is cropped, and the two shifts.
    """
    scale = 1.0 - _CROP * draws[:, 0] * crops
    mirror = torch.where(mirrors, -1.0, 1.0)
    shift = (2.0 * draws[:, 1:3] - 1.0) * 2.0 * _SHIFT * shifts[:, None]  # the grid is 2 wide
    zero = torch.zeros_like(scale)
    rows = [scale * mirror, zero, shift[:, 0], zero, scale, shift[:, 1]]
    grid = F.affine_grid(torch.stack(rows, dim=1).view(-1, 2, 3), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return torch.where((shifts | crops | mirrors)[:, None, None, None], moved, images)


def _erase(images: Tensor, erases: Tensor, draws: Tensor) -> Tensor:
    """A rectangle of the image's mean; ``erases`` is bool [N], ``draws`` [N, 4] of size and place, 0 to 1."""
    height, width = images.shape[2:]
    sides = _LEAST + (_MOST - _LEAST) * draws[:, :2]
    start = draws[:, 2:] * (1.0 - sides)
    inside = erases[:, None, None]
    for axis, length in ((0, height), (1, width)):
        place = (torch.arange(length, device=images.device) + 0.5) / length
        first, last = start[:, axis, None], (start + sides)[:, axis, None]
        line = (place >= first) & (place < last)
        inside = inside & (line[:, :, None] if axis == 0 else line[:, None, :])
    return torch.where(inside[:, None], images.mean(dim=(1, 2, 3), keepdim=True), images)
