"""Generative adversarial network: generator, discriminator, and how samples are made.

The networks of R3GAN (Huang et al., "The GAN is dead; long live the GAN!", arXiv 2501.05441): residual blocks
without normalisation, bilinear resampling, nothing else. The class is concatenated to the latent in the
generator, and enters the discriminator by projection (Miyato and Koyama, arXiv 1802.05637).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synth.models.program import ImageShape, NetworkConfig, NoiseSpec, Parameter, State

_SLOPE = 0.2
"""Of leaky ReLUs, on their negative side."""


class ResidualBlock(nn.Module):
    """1x1, 3x3 in groups, 1x1, plus the input; the shape [N, C, H, W] stays.

    A block of ResNeXt (Xie et al., arXiv 1611.05431) without normalisation. What stands for that is the
    initialisation of Fixup (Zhang et al., arXiv 1901.09321): the last layer starts at zero, and the others
    are scaled down with the number of blocks in the network.
    """

    def __init__(self, width: int, expansion: int, group_width: int, depth: int) -> None:
        super().__init__()
        hidden = width * expansion
        groups = max(1, hidden // group_width)
        if hidden % groups:
            raise ValueError(f"groups of {group_width} channels do not divide the {hidden} of a block")
        self.enter = nn.Conv2d(width, hidden, 1)
        self.conv = nn.Conv2d(hidden, hidden, 3, padding=1, groups=groups)
        self.leave = nn.Conv2d(hidden, width, 1, bias=False)
        for layer in (self.enter, self.conv):
            _initialise(layer, depth ** (-1 / 4))
        nn.init.zeros_(self.leave.weight)

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.enter(x), _SLOPE)
        h = F.leaky_relu(self.conv(h), _SLOPE)
        summed: Tensor = x + self.leave(h)
        return summed

    def forward_with_inner(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The same, and what the two leaky ReLUs were given, for ``backward``."""
        first = self.enter(x)
        second = self.conv(F.leaky_relu(first, _SLOPE))
        return x + self.leave(F.leaky_relu(second, _SLOPE)), (first.detach(), second.detach())

    def backward(self, gradient: Tensor, inner: tuple[Tensor, Tensor]) -> Tensor:
        """The gradient by the input, from that by the output."""
        first, second = inner
        h = _back(F.conv_transpose2d(gradient, self.leave.weight), second)
        h = F.conv_transpose2d(h, self.conv.weight, padding=1, groups=self.conv.groups)
        return gradient + F.conv_transpose2d(_back(h, first), self.enter.weight)


def _back(gradient: Tensor, given: Tensor) -> Tensor:
    """The gradient by what a leaky ReLU was given; a tenth of the time of masks made by hand."""
    result: Tensor = torch.ops.aten.leaky_relu_backward(gradient, given, _SLOPE, False)
    return result


def _initialise(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> None:
    """Weights that keep the variance through a leaky ReLU (He et al., arXiv 1502.01852), times ``gain``."""
    nn.init.kaiming_normal_(layer.weight, a=_SLOPE)
    with torch.no_grad():
        layer.weight.mul_(gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class _Plan:
    """What the two networks share: the sizes of their maps, from the finest to the coarsest.

    ``patch`` x ``patch`` pixels are one place of the finest map, and each further width halves the sides.
    """

    def __init__(self, config: NetworkConfig, image: ImageShape) -> None:
        self.widths, self.blocks = list(config["widths"]), int(config["blocks"])
        self.patch = int(config["patch"])
        self.shape = (int(config["expansion"]), int(config["group_width"]), self.blocks * len(self.widths))
        unit = self.patch * 2 ** (len(self.widths) - 1)
        if min(image.height, image.width) < unit:
            most = (min(image.height, image.width) // self.patch).bit_length()
            raise ValueError(
                f"{len(self.widths)} widths, of which the first is at 1/{self.patch} of the size, need sides "
                f"of at least {unit} pixels. Use a smaller preset, at most {most} widths (--set "
                f"widths=[...]), or --size {unit} or larger"
            )
        wide, high = -image.width % unit, -image.height % unit
        self.padding = (wide // 2, wide - wide // 2, high // 2, high - high // 2)
        """Left, right, top and bottom: makes both sides divide by the unit."""
        self.grid = ((image.height + high) // unit, (image.width + wide) // unit)

    def stage(self, width: int) -> nn.Sequential:
        return nn.Sequential(*(ResidualBlock(width, *self.shape) for _ in range(self.blocks)))


class Generator(nn.Module):
    """Latent [N, latent] and class to image [N, C, H, W]; unbounded, where images lie in [-1, 1].

    ``config`` holds ``widths`` (channels at 1/patch, 1/(2 patch), ... of the size), ``blocks`` (for each
    width), ``patch``, ``expansion`` (of a block's channels), ``group_width`` (channels a group of its 3x3)
    and ``latent``. ``classes`` is 0 for data without labels. ValueError where the image is too small.
    """

    def __init__(self, config: NetworkConfig, image: ImageShape, classes: int) -> None:
        super().__init__()
        plan = _Plan(config, image)
        self.image, self.classes, self.latent = image, classes, int(config["latent"])
        self.padding = plan.padding
        self.start = (plan.widths[-1], *plan.grid)
        self.table = nn.Embedding(classes, self.latent) if classes else None
        self.enter = nn.Linear(self.latent * (2 if classes else 1), math.prod(self.start))
        _initialise(self.enter)
        self.stages, self.ups = nn.ModuleList(), nn.ModuleList()
        deep_first = plan.widths[::-1]
        for width, following in pairwise(deep_first):
            self.stages.append(plan.stage(width))
            self.ups.append(_Up(width, following))
        self.stages.append(plan.stage(plan.widths[0]))
        self.leave = nn.Conv2d(plan.widths[0], image.channels * plan.patch**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(plan.patch)
        nn.init.normal_(self.leave.weight, std=(9 * plan.widths[0]) ** -0.5)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        if self.table is not None:
            assert labels is not None
            z = torch.cat([z, self.table(labels).to(z.dtype)], dim=1)
        x = self.enter(z).unflatten(1, self.start).contiguous(memory_format=torch.channels_last)
        x = self.stages[0](x)
        for up, stage in zip(self.ups, list(self.stages)[1:], strict=True):
            x = stage(up(x))
        x = self.shuffle(self.leave(x))
        left, _, top, _ = self.padding
        cropped: Tensor = x[:, :, top : top + self.image.height, left : left + self.image.width]
        return cropped.float()


class _Up(nn.Module):
    """Twice the sides, bilinear; another width by 1x1 before that, where it costs a quarter."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.change = _change(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.change(x), scale_factor=2, mode="bilinear", align_corners=False)


class _Down(nn.Module):
    """Half of the sides, bilinear: the mean of 2 x 2; then another width by 1x1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.change = _change(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.change(F.avg_pool2d(x, 2))
        return changed

    def backward(self, gradient: Tensor) -> Tensor:
        """The gradient by the input, from that by the output."""
        if isinstance(self.change, nn.Conv2d):
            gradient = F.conv_transpose2d(gradient, self.change.weight)
        return F.interpolate(0.25 * gradient, scale_factor=2, mode="nearest")


def _change(inputs: int, outputs: int) -> nn.Module:
    if inputs == outputs:
        return nn.Identity()
    layer = nn.Conv2d(inputs, outputs, 1, bias=False)
    nn.init.normal_(layer.weight, std=inputs**-0.5)
    return layer


class Discriminator(nn.Module):
    """Image [N, C, H, W] and class to a score [N], float32, that only means something beside another's.

    Its configuration is that of the generator. All of it is linear but for the leaky ReLUs, so that its
    gradient by the image can be written out as a network of the same layers in reverse. That makes the
    gradient penalties ordinary terms of the loss: torch's own second derivative of a convolution is several
    times slower.
    """

    def __init__(self, config: NetworkConfig, image: ImageShape, classes: int) -> None:
        super().__init__()
        plan = _Plan(config, image)
        self.padding = plan.padding
        self.patch = plan.patch
        self.enter = nn.Conv2d(image.channels * plan.patch**2, plan.widths[0], 3, padding=1)
        nn.init.normal_(self.enter.weight, std=(9 * image.channels * plan.patch**2) ** -0.5)
        self.stages = nn.ModuleList(plan.stage(width) for width in plan.widths)
        self.downs = nn.ModuleList(map(_Down, plan.widths, plan.widths[1:]))
        features = plan.widths[-1]
        self.basis = nn.Parameter(torch.randn(features, *plan.grid) * math.prod(plan.grid) ** -0.5)
        self.leave = nn.Linear(features, 1)
        nn.init.normal_(self.leave.weight, std=features**-0.5)
        self.table = nn.Embedding(classes, features) if classes else None
        if self.table is not None:
            nn.init.normal_(self.table.weight, std=features**-0.5)

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        x = self._first_map(images)
        for number, stage in enumerate(self.stages):
            x = stage(self.downs[number - 1](x) if number else x)
        return self._score(x, labels)

    def with_gradient(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Scores [N] and their gradients by the images, float32 [N, C, H, W], which have a gradient too."""
        x, inner = self._first_map(images), []
        for number, stage in enumerate(self.stages):
            x = self.downs[number - 1](x) if number else x
            for block in stage:  # type: ignore[attr-defined]
                x, given = block.forward_with_inner(x)
                inner.append(given)
        direction = self._direction(labels, len(images))
        gradient = (direction[:, :, None, None] * self.basis).to(x.dtype, memory_format=torch.channels_last)
        for number in range(len(self.stages) - 1, -1, -1):
            for block in reversed(list(self.stages[number])):  # type: ignore[call-overload]
                gradient = block.backward(gradient, inner.pop())
            gradient = self.downs[number - 1].backward(gradient) if number else gradient  # type: ignore[operator]
        gradient = F.conv_transpose2d(gradient, self.enter.weight, padding=1)
        gradient = F.pixel_shuffle(gradient.float(), self.patch)
        return self._score(x, labels), _fold(gradient, self.padding)

    def _first_map(self, images: Tensor) -> Tensor:
        x = F.pad(images, self.padding, mode="replicate") if any(self.padding) else images
        x = F.pixel_unshuffle(x, self.patch)
        first: Tensor = self.enter(x.contiguous(memory_format=torch.channels_last))
        return first

    def _score(self, x: Tensor, labels: Tensor | None) -> Tensor:
        # In float32: scores are small differences of large sums.
        with torch.autocast(x.device.type, enabled=False):
            features = (x.float() * self.basis).sum(dim=(2, 3))
            return (features * self._direction(labels, len(x))).sum(dim=1) + self.leave.bias

    def _direction(self, labels: Tensor | None, count: int) -> Tensor:
        """float32 [N, features]: what the features are multiplied with, the same for all or by class."""
        direction = self.leave.weight.expand(count, -1)
        if self.table is None:
            return direction
        assert labels is not None
        looked_up: Tensor = self.table(labels)
        return direction + looked_up


def _fold(gradient: Tensor, padding: tuple[int, int, int, int]) -> Tensor:
    """The gradient by an image, from that by the image with its edges repeated ``padding`` times."""
    left, right, top, bottom = padding
    for dim, before, after in ((3, left, right), (2, top, bottom)):
        if before + after:
            size = gradient.shape[dim] - before - after
            first, inner, last = torch.split(gradient, [before + 1, size - 2, after + 1], dim=dim)
            edges = [edge.sum(dim=dim, keepdim=True) for edge in (first, last)]
            gradient = torch.cat([edges[0], inner, edges[1]], dim=dim)
    return gradient


class GANProgram:
    """Samples in one step; a latent drawn in towards the mean makes typical images, and more alike."""

    def __init__(self, network: Generator) -> None:
        self.network = network
        self.noise = (NoiseSpec("latent", (network.latent,)),)
        self.parameters = (
            Parameter(
                "truncation", 1.0, 0.0, 2.0, "below 1: more typical samples; above 1: more unusual ones"
            ),
        )

    def steps(self, parameters: Mapping[str, float]) -> int:
        return 1

    def begin(
        self, noise: Mapping[str, Tensor], labels: Tensor | None, parameters: Mapping[str, float]
    ) -> State:
        return {"z": parameters["truncation"] * noise["latent"]}

    def step(self, i: int, state: State, labels: Tensor | None, parameters: Mapping[str, float]) -> State:
        return {"image": self.network(state["z"].to(self.network.enter.weight.dtype), labels)}

    def image(self, state: State) -> Tensor:
        return state["image"].clamp(-1.0, 1.0)
