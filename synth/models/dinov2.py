"""DINOv2's vision transformer, up to its class token, for weights that the user has.

Oquab et al., "DINOv2" (arXiv 2304.07193); Darcet et al., "Vision transformers need registers" (arXiv
2309.16588). The sizes S, B and L, with registers or without; depth and width are read off the weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_PATCH = 14
_HEAD_WIDTH = 64


class LayerScale(nn.Module):
    """Each channel times its own factor."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Attention(nn.Module):
    """Multi-head self-attention over tokens [N, T, width]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // _HEAD_WIDTH
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        count, tokens, width = x.shape
        query, key, value = self.qkv(x).reshape(count, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(count, tokens, width))
        return out


class Block(nn.Module):
    """Attention and perceptron, each normalised before and scaled after."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.attn, self.ls1 = nn.LayerNorm(width, eps=1e-6), Attention(width), LayerScale(width)
        self.norm2, self.ls2 = nn.LayerNorm(width, eps=1e-6), LayerScale(width)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        hidden = self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))
        out: Tensor = x + self.ls2(hidden)
        return out


class DINOv2(nn.Module):
    """float [N, 3, H, W], sides multiples of 14, to the class token [N, width]."""

    def __init__(self, width: int, depth: int, positions: int, registers: int) -> None:
        """``positions``: patches that the weights have positions for; other grids are interpolated."""
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + positions, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))
        self.register_tokens = nn.Parameter(torch.zeros(1, registers, width)) if registers else None
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, _PATCH, _PATCH)})
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    @staticmethod
    def like(weights: Mapping[str, Tensor]) -> DINOv2:
        """The network that such weights are of; KeyError or ValueError where they are of another kind."""
        width, positions = weights["cls_token"].shape[-1], weights["pos_embed"].shape[1] - 1
        depth = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
        if width % _HEAD_WIDTH or math.isqrt(positions) ** 2 != positions or depth > 64:
            raise ValueError(f"a width of {width} with {positions} positions and {depth} blocks cannot be")
        registers = weights["register_tokens"].shape[1] if "register_tokens" in weights else 0
        return DINOv2(width, depth, positions, registers)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patch_embed["proj"](images)
        grid = patches.shape[2:]
        x = torch.cat([self.cls_token.expand(len(images), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        x = x + self._positions((int(grid[0]), int(grid[1])))
        if self.register_tokens is not None:
            registers = self.register_tokens.expand(len(images), -1, -1)
            x = torch.cat([x[:, :1], registers, x[:, 1:]], dim=1)
        for block in self.blocks:
            x = block(x)
        token: Tensor = self.norm(x)[:, 0]
        return token

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        """Positions for a grid of patches, interpolated as the published models do."""
        first, rest = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        side = math.isqrt(rest.shape[1])
        if grid == (side, side):
            return self.pos_embed
        maps = rest.reshape(1, side, side, -1).permute(0, 3, 1, 2)
        if self.register_tokens is not None:
            maps = F.interpolate(maps, grid, mode="bicubic", antialias=True)
        else:
            # The first models were evaluated with this offset against rounding; their features depend on it.
            scales = [(count + 0.1) / side for count in grid]
            maps = F.interpolate(maps, scale_factor=scales, mode="bicubic")
        return torch.cat([first, maps.flatten(2).transpose(1, 2)], dim=1)
