"""PatchNCE: a patch of a translation is to say of its own place in the image what no other place says.

Park et al. (arXiv 2007.15651), equation 4. Patches are places of a map; the negatives of each are the other
places of the same image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synth.randomness import permutation

_DIMENSIONS = 256


class Projection(nn.Module):
    """Two layers for each map, made up front: rows [..., width] to rows [..., 256] of length 1."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, _DIMENSIONS), nn.ReLU(), nn.Linear(_DIMENSIONS, _DIMENSIONS))
            for width in widths
        )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_normal_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, rows: Sequence[Tensor]) -> list[Tensor]:
        return [F.normalize(head(each).float(), dim=-1) for head, each in zip(self.heads, rows, strict=True)]


def places(maps: Sequence[Tensor], most: int, *, seed: int, position: int, stream: int) -> list[Tensor]:
    """int64 [P] for each map: up to ``most`` of its places, drawn by key, the same in all images."""
    found = []
    for number, each in enumerate(maps):
        count = each.shape[2] * each.shape[3]
        drawn = permutation(seed, position, (stream + number) % 2**32, count)[:most]
        found.append(torch.from_numpy(drawn).to(each.device))
    return found


def rows_at(maps: Sequence[Tensor], where: Sequence[Tensor]) -> list[Tensor]:
    """[N, P, C] of each map [N, C, H, W] at its places."""
    return [each.flatten(2)[:, :, at].transpose(1, 2) for each, at in zip(maps, where, strict=True)]


def patch_nce(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of finding each query's own key among those of its image; [N, P, D], rows of length 1."""
    logits = torch.bmm(queries, keys.transpose(1, 2)) / temperature
    own = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1)
    return F.cross_entropy(logits.flatten(0, 1), own.flatten())
