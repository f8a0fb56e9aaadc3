"""Generators of common shapes with random weights, to measure the sampler core on."""

from __future__ import annotations

from torch import Tensor, nn


def dcgan(latent: int = 100, width: int = 64, channels: int = 3) -> nn.Sequential:
    """64 x 64 pixels from [N, latent, 1, 1], as in Radford et al. (arXiv 1511.06434); 3.6 M parameters."""
    layers: list[nn.Module] = []
    for inputs, outputs, stride, padding in (
        (latent, 8 * width, 1, 0),
        (8 * width, 4 * width, 2, 1),
        (4 * width, 2 * width, 2, 1),
        (2 * width, width, 2, 1),
    ):
        layers += [
            nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False), nn.Tanh())


def resnet9(channels: int = 3, width: int = 64) -> nn.Sequential:
    """Image to image with nine residual blocks, as in CycleGAN (arXiv 1703.10593); 11.4 M parameters."""
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7)]
    layers += [nn.InstanceNorm2d(width), nn.ReLU()]
    for inputs in (width, 2 * width):
        layers += [nn.Conv2d(inputs, 2 * inputs, 3, 2, 1), nn.InstanceNorm2d(2 * inputs), nn.ReLU()]
    layers += [_Residual(4 * width) for _ in range(9)]
    for inputs in (4 * width, 2 * width):
        layers += [
            nn.ConvTranspose2d(inputs, inputs // 2, 3, 2, 1, output_padding=1),
            nn.InstanceNorm2d(inputs // 2),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh())


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width), nn.ReLU()]
        self.body = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        body: Tensor = self.body(x)
        return x + body
