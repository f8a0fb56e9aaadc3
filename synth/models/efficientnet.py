"""EfficientNet-Lite0, up to its pooled features: a well-known yardstick that is fast on CPUs.

Tan and Le, "EfficientNet" (arXiv 1905.11946), in the variant without squeeze-and-excitation and with ReLU6.
Convolutions are padded as TensorFlow pads ("same"), for that is how the published weights were trained.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_STAGES = (
    # expansion, kernel, stride, channels, blocks
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
DIMENSIONS = 1280


class SameConv(nn.Conv2d):
    """A convolution with ceil(side / stride) pixels a side; where one side is padded more, it is the end."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        sides: list[int] = []
        for size in (x.shape[3], x.shape[2]):
            missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            sides += [missing // 2, missing - missing // 2]
        out: Tensor = super().forward(F.pad(x, sides))
        return out


class InvertedBottleneck(nn.Module):
    """1x1 to more channels, depthwise, 1x1 to few; plus the input where the shape stays."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expands = expansion > 1
        if self.expands:
            self.expand_conv, self.bn0 = SameConv(inputs, wide, 1), _norm(wide)
        self.depthwise_conv, self.bn1 = SameConv(wide, wide, kernel, stride, groups=wide), _norm(wide)
        self.project_conv, self.bn2 = SameConv(wide, outputs, 1), _norm(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu6(self.bn0(self.expand_conv(x))) if self.expands else x
        h = F.relu6(self.bn1(self.depthwise_conv(h)))
        h = self.bn2(self.project_conv(h))
        out: Tensor = x + h if self.residual else h
        return out


class EfficientNetLite0(nn.Module):
    """float [N, 3, 224, 224] to features [N, 1280]. Names of weights are the published ones without ``_``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem, self.bn0 = SameConv(3, 32, 3, 2), _norm(32)
        blocks: list[nn.Module] = []
        inputs = 32
        for expansion, kernel, stride, outputs, count in _STAGES:
            for number in range(count):
                blocks.append(InvertedBottleneck(inputs, outputs, expansion, kernel, 1 if number else stride))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.conv_head, self.bn1 = SameConv(inputs, DIMENSIONS, 1), _norm(DIMENSIONS)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu6(self.bn0(self.conv_stem(images)))
        for block in self.blocks:
            x = block(x)
        x = F.relu6(self.bn1(self.conv_head(x)))
        pooled: Tensor = torch.mean(x, dim=(2, 3))
        return pooled


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)
