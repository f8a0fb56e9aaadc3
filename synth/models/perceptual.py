"""Frozen networks whose maps tell what an image shows and how it is painted.

Gatys et al., "A neural algorithm of artistic style" (arXiv 1508.06576), took VGG's; any network that has
learnt to see will do. Each of these takes float [N, C, H, W] in [-1, 1], grey or RGB, and gives maps of
several depths, the finest first.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synth.models.efficientnet import EfficientNetLite0, InvertedBottleneck, SameConv
from synth.models.encoder import Encoder

_IMAGENET_MEAN, _IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_VGG_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512))
"""Channels of the convolutions before each pooling, of the first four of five."""
_LEAST_SIDE = 56
"""Smaller images are enlarged by a whole factor: these networks halve them at once, and know photographs."""


class VGG16Maps(nn.Module):
    """relu1_2, relu2_2, relu3_3 and relu4_3 of VGG-16 (Simonyan and Zisserman, arXiv 1409.1556).

    Weights go by torchvision's names, ``features.0.weight`` and so on.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.ends: list[int] = []
        inputs = 3
        for block in _VGG_BLOCKS:
            for outputs in block:
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
                inputs = outputs
            self.ends.append(len(layers) - 1)
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers[:-1])
        self.register_buffer("mean", _channels(_IMAGENET_MEAN), persistent=False)
        self.register_buffer("deviation", _channels(_IMAGENET_DEVIATION), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = (0.5 * enlarged(images).expand(-1, 3, -1, -1) + 0.5 - self.mean) / self.deviation
        maps = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.ends:
                maps.append(x)
        return maps


class EfficientNetMaps(nn.Module):
    """Maps of EfficientNet-Lite0 at 1/2, 1/2, 1/4, 1/8 and 1/16 of the size.

    Batch normalisations are folded into their convolutions, since nothing is learnt here.
    """

    ENDS = (1, 3, 5, 8)
    """Blocks after which maps are taken."""

    def __init__(self, network: EfficientNetLite0) -> None:
        super().__init__()
        self.stem = _folded(network.conv_stem, network.bn0)
        self.blocks = nn.ModuleList(_FoldedBlock(block) for block in list(network.blocks)[: self.ENDS[-1]])

    def forward(self, images: Tensor) -> list[Tensor]:
        # (255 x - 127) / 128 for x in [0, 1], as its weights were trained.
        x = enlarged(images).expand(-1, 3, -1, -1) * (127.5 / 128.0) + 0.5 / 128.0
        x = F.relu6(self.stem(x))
        maps = [x]
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            if number in self.ENDS:
                maps.append(x)
        return maps


class _FoldedBlock(nn.Module):
    """An ``InvertedBottleneck`` in evaluation mode."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        assert isinstance(block, InvertedBottleneck)
        self.expand = _folded(block.expand_conv, block.bn0) if block.expands else None
        self.depthwise = _folded(block.depthwise_conv, block.bn1)
        self.project = _folded(block.project_conv, block.bn2)
        self.residual = block.residual

    def forward(self, x: Tensor) -> Tensor:
        h = x if self.expand is None else F.relu6(self.expand(x))
        h = self.project(F.relu6(self.depthwise(h)))
        out: Tensor = x + h if self.residual else h
        return out


def _folded(conv: SameConv, norm: nn.BatchNorm2d) -> SameConv:
    """One convolution that does what both do in evaluation mode."""
    folded = copy.deepcopy(conv)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    folded.weight = nn.Parameter(conv.weight * scale[:, None, None, None])
    folded.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
    return folded


class EncoderMaps(nn.Module):
    """Maps of the project's own encoder, after its stem and at each of its sizes."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        first = encoder.stem[0]
        assert isinstance(first, nn.Conv2d)
        self.channels = first.in_channels

    def forward(self, images: Tensor) -> list[Tensor]:
        if images.shape[1] > self.channels:
            images = images.mean(dim=1, keepdim=True)
        x = self.encoder.stem(images.expand(-1, self.channels, -1, -1))
        maps, side = [x], x.shape[2]
        for block in self.encoder.body:
            x = block(x)
            if x.shape[2] != side:
                maps.append(x)
                side = x.shape[2]
            else:
                maps[-1] = x
        return maps


def enlarged(images: Tensor) -> Tensor:
    """Images of at least 56 pixels a side, by a whole factor."""
    factor = -(-_LEAST_SIDE // min(images.shape[2:]))
    if factor == 1:
        return images
    return F.interpolate(images, scale_factor=float(factor), mode="bilinear", align_corners=False)


def vgg16_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of torchvision's ``vgg16`` that ``VGG16Maps`` has."""
    wanted = {f"features.{name}" for name, _ in VGG16Maps().features.named_parameters()}
    return {name: tensor for name, tensor in weights.items() if name in wanted}


def _channels(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).reshape(1, -1, 1, 1)
