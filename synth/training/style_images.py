"""What a collection of style images gives to a training step: pieces of them, varied by key.

A style is how something is painted, so that any piece of a picture has it, at any scale. Bright on dark or
dark on bright, more or less contrast, and which colours are exchanged are styles too, which a collection of
few pictures has not all of: ``vary`` says how often and how far pieces are changed in these.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from synth.randomness import uniforms

_DRAWS = 12
"""Uniform numbers of one piece; each has its place, so that a new one changes none of the others."""
_EXCHANGES = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
_CONTRAST = math.log(2.0)
"""Most by which contrast is multiplied or divided, as a logarithm."""
_LEAST_DEVIATION, _MOST_LIFT = 0.3, 6.0
"""Standard deviation that a piece has at least, in [-1, 1], if that takes no more than such a factor."""
_BRIGHTNESS = 0.4
"""Most by which an image in [-1, 1] becomes brighter or darker."""


def style_pieces(
    pictures: Tensor, size: tuple[int, int], vary: float, *, seed: int, position: Tensor, stream: int
) -> Tensor:
    """A varied piece of a picture for each position: float32 [N, C, *size] in [-1, 1].

    Args:
        pictures: uint8 [M, C, H, W] of any size.
        size: height and width of the pieces.
        vary: share of pieces to which each change is made, 0 to 1.
        seed: of the training.
        position: int64 [N], place in the run.
        stream: which use of the position this is.
    """
    draws = uniforms(seed, position, stream, _DRAWS)
    chosen = (draws[:, 0] * len(pictures)).long()
    picked = pictures[chosen.to(pictures.device)].to(position.device).float() / 127.5 - 1.0
    return _vary(_contrasted(_cut(picked, size, draws)), vary, draws)


def varied(images: Tensor, vary: float, *, seed: int, position: Tensor, stream: int) -> Tensor:
    """Whole images, float [N, C, H, W] in [-1, 1], with the same changes as ``style_pieces`` makes."""
    return _vary(images, vary, uniforms(seed, position, stream, _DRAWS))


def _cut(pictures: Tensor, size: tuple[int, int], draws: Tensor) -> Tensor:
    """A rectangle of the aspect of ``size``, from as many pixels up to the whole picture, mirrored or not."""
    height, width = pictures.shape[2:]
    largest = min(height / size[0], width / size[1])
    scale = (
        torch.clamp(largest ** draws[:, 1], min=1.0)
        if largest > 1.0
        else torch.full_like(draws[:, 1], largest)
    )
    high, wide = scale * size[0] / height, scale * size[1] / width
    down = (1.0 - high) * (2.0 * draws[:, 2] - 1.0)
    right = (1.0 - wide) * (2.0 * draws[:, 3] - 1.0)
    mirror = torch.where(draws[:, 4] < 0.5, -1.0, 1.0)
    zero = torch.zeros_like(high)
    rows = torch.stack(
        [torch.stack([wide * mirror, zero, right], dim=1), torch.stack([zero, high, down], dim=1)], dim=1
    )
    # Twice as fine where pixels are dropped, and then averaged, so that they do not flicker.
    finer = 2 if largest > 1.5 else 1
    shape = [len(pictures), pictures.shape[1], size[0] * finer, size[1] * finer]
    grid = F.affine_grid(rows, shape, align_corners=False)
    cut = F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return F.avg_pool2d(cut, finer) if finer > 1 else cut


def _contrasted(pieces: Tensor) -> Tensor:
    """Pieces that are all but flat with more contrast: in their style nothing could be seen."""
    mean = pieces.mean(dim=(1, 2, 3), keepdim=True)
    deviation = pieces.std(dim=(1, 2, 3), keepdim=True, correction=0)
    factor = (_LEAST_DEVIATION / deviation.clamp(min=1e-3)).clamp(1.0, _MOST_LIFT)
    return (mean + (pieces - mean) * factor).clamp(-1.0, 1.0)


def _vary(pieces: Tensor, vary: float, draws: Tensor) -> Tensor:
    """Each piece, float [N, C, H, W] in [-1, 1], inverted, of other contrast and brightness, recoloured.

    ``draws`` are uniforms [N, 12], of which the sixth and later are used. Half of the pieces that are chosen
    are inverted.
    """
    if vary <= 0.0:
        return pieces
    inverted = _column(torch.where(draws[:, 5] < 0.5 * vary, -1.0, 1.0))
    pieces = pieces * inverted
    lit = _column(draws[:, 6] < vary)
    contrast = torch.exp(_CONTRAST * (2.0 * draws[:, 7] - 1.0))
    brightness = _BRIGHTNESS * (2.0 * draws[:, 8] - 1.0)
    mean = pieces.mean(dim=(1, 2, 3), keepdim=True)
    changed = mean + (pieces - mean) * _column(contrast) + _column(brightness)
    pieces = torch.where(lit, changed, pieces).clamp(-1.0, 1.0)
    if pieces.shape[1] == 3:
        orders = torch.tensor(_EXCHANGES, device=pieces.device)
        order = orders[(draws[:, 9] * len(_EXCHANGES)).long().to(pieces.device)]
        order = torch.where((draws[:, 10] < vary).to(pieces.device)[:, None], order, orders[0])
        pieces = pieces.gather(1, order[:, :, None, None].expand_as(pieces))
    return pieces


def _column(values: Tensor) -> Tensor:
    return values.reshape(-1, 1, 1, 1)
