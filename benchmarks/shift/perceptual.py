"""A distance of images that looks at features: LPIPS' construction on the SqueezeNet that is at hand.

Zhang et al. (arXiv 1801.03924): unit-normalised features of seven layers, squared differences weighed by
the published linear head, averaged over places and summed. The head was fitted to another training of the
same network, so that the figures do not compare with published LPIPS: they are called
``lpips_like_squeeze``.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

_TAPS = (1, 4, 7, 9, 10, 11, 12)
"""Layers of torchvision's numbering after which features are compared."""
_MEANS = (104.0, 117.0, 123.0)
_CHUNK = 64


class LpipsLike:
    """``LpipsLike(folder)(a, b)`` is float32 [N] for uint8 [N, 3, H, W] of at least 32 x 32 pixels."""

    def __init__(self, folder: Path) -> None:
        from torchvision.models import squeezenet1_1

        network = squeezenet1_1(weights=None)
        weights = load_file(folder / "squeezenet1_1_caffe.safetensors")
        network.load_state_dict({name.replace("squeeze1x1", "squeeze"): w for name, w in weights.items()})
        self._layers = network.features.eval().requires_grad_(False)
        heads = torch.load(folder / "lpips_lin_squeeze_v0.1.pth", map_location="cpu", weights_only=True)
        self._heads = [heads[f"lin{number}.model.1.weight"] for number in range(len(_TAPS))]

    @torch.inference_mode()
    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        parts = []
        for a, b in zip(first.split(_CHUNK), second.split(_CHUNK), strict=True):
            distance = torch.zeros(len(a))
            for head, x, y in zip(self._heads, self._features(a), self._features(b), strict=True):
                distance += F.conv2d((x - y).square(), head).mean(dim=(1, 2, 3))
            parts.append(distance)
        return torch.cat(parts)

    def _features(self, images: Tensor) -> list[Tensor]:
        x = images.flip(1).float() - torch.tensor(_MEANS)[:, None, None]  # blue comes first
        found = []
        for number, layer in enumerate(self._layers):
            x = layer(x)
            if number in _TAPS:
                found.append(F.normalize(x, dim=1, eps=1e-10))
        return found


def pixel_distance(first: Tensor, second: Tensor) -> Tensor:
    """Mean absolute difference, float32 [N], 255 as 1."""
    return (first.float() - second.float()).abs().mean(dim=(1, 2, 3)) / 255.0
