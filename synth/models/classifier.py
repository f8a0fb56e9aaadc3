"""Classifiers: the project's yardstick of how useful images are for training, and the family."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synth.models.program import ImageShape, NetworkConfig


class SmallCNN(nn.Module):
    """Two 3x3 convolutions with max-pooling and two dense layers; [N, C, H, W] in [-1, 1] to [N, classes].

    Without batch normalisation: its running statistics would tie the network to the brightness and contrast
    of the set it was trained on, and so measure those instead of the use of the images.
    """

    def __init__(self, image: ImageShape, classes: int, width: int = 32) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(image.channels, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        # Large images are brought to a grid that the dense layer can take.
        self.pool = nn.AdaptiveAvgPool2d((min(image.height // 4, 8), min(image.width // 4, 8)))
        grid = min(image.height // 4, 8) * min(image.width // 4, 8)
        self.dense = nn.Linear(2 * width * grid, 128)
        self.leave = nn.Linear(128, classes)
        self.drop_maps, self.drop_features = nn.Dropout(0.25), nn.Dropout(0.5)

    def features(self, images: Tensor) -> Tensor:
        """[N, 128], 0 or larger: what the last layer tells the classes by."""
        # Pooling first: the same values, for ReLU keeps order, from a quarter of the work.
        x = F.relu(F.max_pool2d(self.conv1(images), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        if x.shape[2:] != self.pool.output_size:  # else each average is of one value
            x = self.pool(x)
        x = self.drop_maps(x.flatten(1))
        return F.relu(self.dense(x))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.leave(self.drop_features(self.features(images)))
        return logits.to(torch.float32)


_GRID = 8
"""Sides of the maps that the dense layer takes, at most."""


class Classifier(nn.Module):
    """Convolutions in stages that halve the image, a dense layer to features, and one to the classes.

    Each stage is ``blocks`` times convolution 3x3, batch normalisation and ReLU, then max-pooling; there are
    as many as bring the shorter side to 8 or less, at least two. Batch normalisation is what lets two domains
    have statistics of their own (Li et al., "Revisiting batch normalization for practical domain adaptation",
    arXiv 1603.04779): a batch of one domain is normalised by itself.
    """

    def __init__(self, config: NetworkConfig, image: ImageShape, classes: int) -> None:
        """``config``: ``width`` of the first stage, doubled by each up to ``most``, ``blocks``, ``features``,
        and ``normalise``: ``batch``, which is the default, or ``none``.

        Raises ValueError for less than two classes: there is nothing to tell.
        """
        super().__init__()
        if classes < 2:
            raise ValueError(f"a classifier tells two classes or more, and there are {classes}")
        batch_norm = config.get("normalise", "batch") == "batch"
        stages: list[nn.Module] = []
        inputs, width = image.channels, int(config["width"])
        height, breadth = image.height, image.width
        while len(stages) < 2 or min(height, breadth) > _GRID:
            stages.append(_stage(inputs, width, int(config["blocks"]), batch_norm))
            inputs, width = width, min(2 * width, int(config["most"]))
            height, breadth = -(-height // 2), -(-breadth // 2)
        self.stages = nn.Sequential(*stages)
        # Of long images the longer side is still large.
        self.pool = nn.AdaptiveAvgPool2d((min(height, _GRID), min(breadth, _GRID)))
        grid = min(height, _GRID) * min(breadth, _GRID)
        self.dense = nn.Linear(inputs * grid, int(config["features"]))
        self.norm = nn.BatchNorm1d(int(config["features"])) if batch_norm else nn.Identity()
        self.leave = nn.Linear(int(config["features"]), classes)

    @property
    def dimensions(self) -> int:
        """D of the features."""
        return self.leave.in_features

    def features(self, images: Tensor) -> Tensor:
        """float32 [N, D], 0 or larger, of [N, C, H, W] in [-1, 1]: what the last layer tells classes by."""
        maps = self.stages(images)
        if maps.shape[2:] != self.pool.output_size:  # else each average is of one value
            maps = self.pool(maps)
        features: Tensor = self.norm(self.dense(maps.flatten(1)).float())
        return F.relu(features)

    def classify(self, features: Tensor) -> Tensor:
        """Logits, float32 [N, classes], of features."""
        return cast(Tensor, self.leave(features)).float()

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.features(images))


def _stage(inputs: int, width: int, blocks: int, batch_norm: bool) -> nn.Module:
    layers: list[nn.Module] = []
    for _ in range(blocks):
        layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=not batch_norm)]
        layers += [nn.BatchNorm2d(width), nn.ReLU()] if batch_norm else [nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.MaxPool2d(2, ceil_mode=True))
