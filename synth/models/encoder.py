"""The encoder: a small residual network from images to features, in which images are compared.

He et al., "Deep residual learning" (arXiv 1512.03385), narrow and shallow, with average pooling in the short
cuts (He et al., arXiv 1812.01187, model D). What leaves it is whitened: along the principal axes of the
features of the training images, fitted after training, so that no direction counts more than another merely
because it is loud.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synth.models.program import ImageShape, NetworkConfig


class EncoderBlock(nn.Module):
    """3x3, norm, ReLU, 3x3, norm, plus the input, ReLU: [N, inputs, H, W] to [N, outputs, H/2, W/2]."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.short_cut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.short_cut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x)))
        h = self.norm2(self.conv2(h))
        return F.relu(h + self.short_cut(x))


class Whitening(nn.Module):
    """Features [N, D] along their principal axes; the identity until it is fitted."""

    full_precision = True

    mean: Tensor
    axes: Tensor

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dimensions))
        self.register_buffer("axes", torch.eye(dimensions))

    def forward(self, features: Tensor) -> Tensor:
        whitened: Tensor = (features.float() - self.mean) @ self.axes
        return whitened

    @torch.no_grad()
    def fit(self, features: Tensor, power: float, floor: float) -> None:
        """Divide each principal axis of float [N, D] by its standard deviation to the ``power``.

        0 turns, 1 whitens. Variances below ``floor`` times the largest are counted as that, so that axes on
        which nothing is seen do not drown the others in noise.
        """
        rows = features.double()
        mean = rows.mean(dim=0)
        covariance = (rows - mean).T @ (rows - mean) / len(rows)
        variances, axes = torch.linalg.eigh(covariance)
        largest = float(variances.max())
        if largest > 0.0:
            # Where all features are equal there is nothing to divide by.
            axes = axes * variances.clamp(min=floor * largest) ** (-0.5 * power)
        self.mean.copy_(mean)
        self.axes.copy_(axes)


class Encoder(nn.Module):
    """Image [N, C, H, W] in [-1, 1] to features, float32 [N, D]; D is the last of ``widths``."""

    def __init__(self, config: NetworkConfig, image: ImageShape, classes: int = 0) -> None:
        """``config``: ``stem``, ``widths`` and ``blocks``. Classes are not asked for: labels are not seen.

        Raises ValueError where the image is too small to be halved once for each width.
        """
        super().__init__()
        widths, blocks = config["widths"], config["blocks"]
        side = min(image.height, image.width)
        if side < 2 ** len(widths):
            raise ValueError(
                f"{len(widths)} widths halve the image as often, which takes sides of at least "
                f"{2 ** len(widths)} pixels; use fewer widths, or a larger size"
            )
        self.stem = nn.Sequential(
            nn.Conv2d(image.channels, config["stem"], 3, padding=1, bias=False),
            nn.BatchNorm2d(config["stem"]),
            nn.ReLU(),
        )
        layers: list[nn.Module] = []
        inputs = config["stem"]
        for width in widths:
            for number in range(blocks):
                layers.append(EncoderBlock(inputs, width, 1 if number else 2))
                inputs = width
        self.body = nn.Sequential(*layers)
        self.dimensions = inputs
        self.whitening = Whitening(inputs)

    def pooled(self, images: Tensor) -> Tensor:
        """Features before whitening: float32 [N, D], what is trained on."""
        maps: Tensor = self.body(self.stem(images))
        return maps.float().mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.whitening(self.pooled(images))
        return features
