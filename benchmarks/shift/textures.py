"""Procedural textures in colour, and digits blended into them: MNIST-M without photographs.

Ganin et al. (arXiv 1505.07818, section 5.2.4) blend MNIST digits over patches of photographs by the
absolute difference of each channel. Here the patches are drawn: a gradient, patterns of waves and of smooth
noise, each in a random colour, half of them hardened into regions with edges. All of it is a function of
(seed, index).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from synth.randomness import stream_id, uniforms

_LAYERS = 4
_GRIDS = (3, 5, 9, 14)
"""Cells a side of the smooth noise of each layer."""
_DRAWS = 12
_CHUNK = 1_000


def textures(count: int, size: int, *, seed: int, start: int = 0) -> Tensor:
    """float32 [N, 3, size, size] in [0, 1]: those of the keys (seed, start) to (seed, start + N - 1)."""
    index = torch.arange(start, start + count)
    line = (torch.arange(size) + 0.5) / size
    y, x = line[None, :, None], line[None, None, :]
    canvas = _colours(seed, index, "base") + 0.5 * _colours(seed, index, "slope") * _slope(seed, index, x, y)
    for layer, cells in enumerate(_GRIDS):
        draws = uniforms(seed, index, stream_id(f"benchmark/texture/{layer}"), _DRAWS)
        waves = _waves(draws, x, y)
        noise = uniforms(seed, index, stream_id(f"benchmark/texture/noise/{layer}"), cells * cells)
        smooth = F.interpolate(
            2.0 * noise.reshape(-1, 1, cells, cells) - 1.0, size=(size, size), mode="bicubic"
        )[:, 0]
        share = draws[:, 0, None, None]
        pattern = share * waves + (1.0 - share) * 1.5 * smooth
        hard = torch.tanh(8.0 * pattern)
        pattern = torch.where(draws[:, 1, None, None] < 0.5, hard, pattern)
        strength = 0.6 * draws[:, 2, None, None, None] / (1.0 + 0.3 * layer)
        canvas = canvas + strength * _colours(seed, index, f"layer/{layer}") * pattern[:, None]
    return (0.5 + 0.5 * canvas).clamp(0.0, 1.0)


def on_textures(digits: Tensor, *, seed: int) -> Tensor:
    """uint8 [N, 3, S, S]: grey digits uint8 [N, 1, S, S] (bright on black) as |background - digit|."""
    parts = []
    for at in range(0, len(digits), _CHUNK):
        chunk = digits[at : at + _CHUNK].float() / 255.0
        ground = textures(len(chunk), chunk.shape[-1], seed=seed, start=at)
        parts.append(((ground - chunk).abs() * 255.0).round().to(torch.uint8))
    return torch.cat(parts)


def _colours(seed: int, index: Tensor, use: str) -> Tensor:
    """[N, 3, 1, 1] in [-1, 1]."""
    draws = uniforms(seed, index, stream_id(f"benchmark/texture/colour/{use}"), 3)
    return (2.0 * draws - 1.0)[:, :, None, None]


def _slope(seed: int, index: Tensor, x: Tensor, y: Tensor) -> Tensor:
    angle = 2.0 * math.pi * uniforms(seed, index, stream_id("benchmark/texture/slope"), 1)[:, :, None]
    return (torch.cos(angle) * (x - 0.5) + torch.sin(angle) * (y - 0.5))[:, None] * 2.0


def _waves(draws: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """[N, S, S]: a wave of half to seven periods in any direction, bent by a second one."""
    periods = 0.5 * 14.0 ** draws[:, 3, None, None]
    angle = math.pi * draws[:, 4, None, None]
    across = torch.cos(angle) * x + torch.sin(angle) * y
    along = torch.cos(angle) * y - torch.sin(angle) * x
    bend = 0.5 * draws[:, 5, None, None] * torch.sin(2.0 * math.pi * (2.0 * along + draws[:, 6, None, None]))
    return torch.sin(2.0 * math.pi * (periods * across + bend + draws[:, 7, None, None]))
