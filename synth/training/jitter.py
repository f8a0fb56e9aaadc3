"""Small random affine changes of a batch: the augmentation of classifiers that has a place in any domain.

Turned, scaled, stretched and moved by keyed amounts in one resampling, so that a resumed training draws what
an uninterrupted one would have drawn.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from synth.randomness import stream_id, uniforms

_TURN = math.radians(15.0)
_SCALE, _SHEAR, _MOVE = 0.25, 0.2, 0.1


def jitter(images: Tensor, strength: float, *, seed: int, position: Tensor, use: str = "source") -> Tensor:
    """Copies of float32 [N, C, H, W]; ``strength`` 0 changes nothing.

    With strength 1 images are turned by up to 15 degrees, scaled by up to a quarter, sheared by up to a fifth
    and moved by up to a tenth of their sides; what comes in from outside repeats the border.

    Args:
        position: int64 [N], place of each image in the run; with ``seed`` and ``use`` it decides the change.
        use: whose images these are, so that two kinds of one place are changed apart.
    """
    if not strength:
        return images
    draws = 2.0 * uniforms(seed, position, stream_id(f"training/jitter/{use}"), 5) - 1.0
    draws = strength * draws.to(images.device)
    cosine, sine = torch.cos(_TURN * draws[:, 0]), torch.sin(_TURN * draws[:, 0])
    scale, shear = torch.exp(_SCALE * draws[:, 1]), _SHEAR * draws[:, 2]
    # Pixels are square, the coordinates of grid_sample are not: both axes run from -1 to 1.
    aspect = images.shape[2] / images.shape[3]
    rows = [
        torch.stack([scale * cosine, scale * (shear - sine) * aspect, 2.0 * _MOVE * draws[:, 3]], dim=1),
        torch.stack([scale * sine / aspect, scale * cosine, 2.0 * _MOVE * draws[:, 4]], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
