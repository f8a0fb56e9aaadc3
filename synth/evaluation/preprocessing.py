"""How images are brought to what a network was trained on; a part of an extractor's digest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Preprocessing:
    """Resize, then (levels of 0 to 255 - mean) / deviation; grey images become RGB."""

    size: int
    """Pixels a side that the network sees; whatever the aspect, nothing is cut off."""
    mode: str
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    @property
    def text(self) -> str:
        """All that decides its output, for a digest."""
        return f"{self.mode} {self.size} antialias {self.mean} {self.deviation}"

    def __call__(self, images: Tensor) -> Tensor:
        """float32 [N, 3, size, size] of uint8 [N, 1 or 3, H, W]."""
        levels = images.to(torch.float32)
        if tuple(images.shape[2:]) != (self.size, self.size):
            levels = F.interpolate(
                levels, (self.size, self.size), mode=self.mode, align_corners=False, antialias=True
            ).clamp(0.0, 255.0)
        mean = levels.new_tensor(self.mean).reshape(1, 3, 1, 1)
        deviation = levels.new_tensor(self.deviation).reshape(1, 3, 1, 1)
        return (levels.expand(-1, 3, -1, -1) - mean) / deviation


_IMAGENET_MEAN = (123.675, 116.28, 103.53)
_IMAGENET_DEVIATION = (58.395, 57.12, 57.375)

RANDOM = Preprocessing(32, "bilinear", (127.5,) * 3, (127.5,) * 3)
EFFICIENTNET_LITE0 = Preprocessing(224, "bicubic", (127.0,) * 3, (128.0,) * 3)
INCEPTION = Preprocessing(299, "bilinear", _IMAGENET_MEAN, _IMAGENET_DEVIATION)
DINOV2 = Preprocessing(224, "bicubic", _IMAGENET_MEAN, _IMAGENET_DEVIATION)
