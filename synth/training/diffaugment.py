"""Differentiable augmentation: what the discriminator sees of real and of generated images alike.

Colour, translation and cutout of DiffAugment (Zhao et al., arXiv 2006.10738), each on a share of the images
(Karras et al., arXiv 2006.06676). All are differentiable in the pixels, so that the generator learns through
them and not from them. Every draw is keyed by (seed, position of the image in the run, stream).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from synth.randomness import uniforms

DRAWS = 12
_BRIGHTNESS = 0.5
"""Most by which an image in [-1, 1] becomes brighter or darker."""
_CONTRAST = 0.5
_SATURATION = 1.0
_SHIFT = 1 / 8
"""Of the sides."""
_CUT = 1 / 2
"""Sides of the square that is erased, of the image's."""


def augment(images: Tensor, share: float, *, seed: int, position: Tensor, stream: int) -> Tensor:
    """Each of the three changes on a ``share`` of the images, 0 to 1, chosen anew for each.

    Args:
        images: float32 [N, C, H, W] in [-1, 1].
        seed: of the training.
        position: int64 [N], place of each image in the run.
        stream: which use of the position this is.
    """
    if share <= 0.0:
        return images
    return change(images, share, uniforms(seed, position, stream, DRAWS))


def change(images: Tensor, share: float | Tensor, draws: Tensor) -> Tensor:
    """The same for a share above 0, which may be a tensor [], by what was drawn, [N, DRAWS] in [0, 1)."""
    centred = 2.0 * draws - 1.0
    colour, shift, cut = (_column((draws[:, number] < share).to(images.dtype)) for number in range(3))
    images = _colour(images, colour, centred)
    images = _shifted(images, shift[:, 0, 0, 0], centred)
    return images * (1.0 - cut * _square(images, draws))


def _colour(images: Tensor, chosen: Tensor, centred: Tensor) -> Tensor:
    """Brightness, then in RGB the distance from grey, then the distance from the mean."""
    images = images + chosen * _BRIGHTNESS * _column(centred[:, 3])
    if images.shape[1] == 3:
        grey = images.mean(dim=1, keepdim=True)
        images = grey + (images - grey) * (1.0 + chosen * _SATURATION * _column(centred[:, 4]))
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * (1.0 + chosen * _CONTRAST * _column(centred[:, 5]))


def _shifted(images: Tensor, chosen: Tensor, centred: Tensor) -> Tensor:
    """Moved by whole pixels; what moves in is 0, as grey as what is cut out."""
    height, width = images.shape[2:]
    down = (chosen * centred[:, 6] * (height * _SHIFT + 0.5)).round()
    right = (chosen * centred[:, 7] * (width * _SHIFT + 0.5)).round()
    one, none = torch.ones_like(down), torch.zeros_like(down)
    # grid_sample asks where each pixel comes from, in halves of the sides.
    rows = [one, none, -2.0 * right / width], [none, one, -2.0 * down / height]
    moves = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    grid = F.affine_grid(moves, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _square(images: Tensor, draws: Tensor) -> Tensor:
    """1 within a square about a random place, 0 elsewhere: float32 [N, 1, H, W]."""
    inside = images.new_ones(1, 1, 1, 1)
    for dim, draw in ((2, draws[:, 8]), (3, draws[:, 9])):
        size = images.shape[dim]
        shape = [1, 1, 1, 1]
        shape[dim] = size
        at = torch.arange(size, device=images.device, dtype=images.dtype).reshape(shape) + 0.5
        inside = inside * ((at - _column(draw) * size).abs() <= 0.5 * _CUT * size)
    return inside


def _column(values: Tensor) -> Tensor:
    return values.reshape(-1, 1, 1, 1)
