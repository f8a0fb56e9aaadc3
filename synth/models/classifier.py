"""The project's small classifier: the yardstick of how useful images are for training."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synth.models.program import ImageShape


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
