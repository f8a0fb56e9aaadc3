"""What translators from one domain to another are built from: a generator of residual blocks, and its judge.

The generator is that of Johnson et al. (arXiv 1603.08155) as CycleGAN uses it (Zhu et al., arXiv 1703.10593):
convolutions that halve the sides, residual blocks, and the way back, with instance normalisation and edges
that are extended by reflection. Sides are halved and doubled without aliasing (Zhang, "Making convolutional
networks shift-invariant again", arXiv 1904.11486): a blur comes with each change of the grid. It is put where
it is cheapest and changes nothing: convolution and blur commute, so that a blur before a convolution of
stride 2 is what a blur after one of stride 1 would be, for a quarter of the work (Karras et al., arXiv
1912.04958).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synth.models.program import ImageShape, NetworkConfig, Parameter
from synth.text import plural

_SLOPE = 0.2
"""Of the judge's leaky ReLUs, on their negative side."""
_DEVIATION = 0.02
"""Of initial weights, as in the original."""
_LEAST_SIDE = 8
_EDGE = 3
"""Pixels that the first and the last convolution reach to each side."""

STRENGTH = Parameter(
    "strength", 1.0, 0.0, 1.0, "how far towards the other domain: 0 leaves images as they are"
)


def blur(x: Tensor, padding: Literal["reflect", "replicate"] = "reflect") -> Tensor:
    """[N, C, H, W] under (1 2 1) / 4 along both sides, edges extended."""
    line = x.new_full((3,), 0.25)
    line[1:2] = 0.5
    kernel = torch.outer(line, line).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode=padding), kernel, groups=x.shape[1])


class Down(nn.Module):
    """[N, C, H, W] to [N, D, H / 2, W / 2]."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(blur(x), (1, 0, 1, 0), mode="reflect")
        return F.relu(normalised(self.conv(x)))


class Up(nn.Module):
    """[N, C, H, W] to [N, D, 2 H, 2 W]."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels, width, 3, stride=2, padding=1, output_padding=1)

    def forward(self, x: Tensor) -> Tensor:
        # The blur fills the zeros between known pixels, and leaves a quarter of the size: norms do not mind.
        return F.relu(normalised(blur(self.conv(x), "replicate")))


class ResidualBlock(nn.Module):
    """3x3, norm, ReLU, 3x3, norm, plus the input; the shape [N, C, H, W] stays."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3), nn.Conv2d(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(normalised(self.conv1(_extended(x, 1))))
        summed: Tensor = x + normalised(self.conv2(_extended(h, 1)))
        return summed


class ResidualGenerator(nn.Module):
    """Images [N, C, H, W] of one domain to those of another, in [-1, 1]; sides from four times ``multiple``.

    Other sides are extended by reflection and cropped. A grey domain in an artifact of colour comes in, and
    goes out, as three equal channels.

    Args:
        channels: of images, 1 or 3.
        width: channels at full size, where they cost most; there are four times as many after the first
            halving of the sides, and twice as many after each further one.
        downs: how often that is.
        blocks: residual blocks at the smallest size.
        grey: whether what it makes is grey.
        residual: whether it makes the difference from the image instead of the image. Then it begins with
            leaving images as they are, and may leave [-1, 1].
    """

    def __init__(
        self, channels: int, *, width: int, downs: int, blocks: int, grey: bool, residual: bool = False
    ) -> None:
        super().__init__()
        self.channels, self.multiple, self.residual = channels, 1 << downs, residual
        widths = [width, *(width * 2**step for step in range(2, downs + 2))]
        self.enter = nn.Conv2d(channels, width, 2 * _EDGE + 1)
        self.downs = nn.ModuleList(Down(*pair) for pair in pairwise(widths))
        self.blocks = nn.ModuleList(ResidualBlock(widths[-1]) for _ in range(blocks))
        deep_first = widths[::-1]
        self.ups = nn.ModuleList(Up(*pair) for pair in pairwise(deep_first))
        self.leave = nn.Conv2d(width, 1 if grey else channels, 2 * _EDGE + 1)
        initialise(self)
        if residual:
            nn.init.zeros_(self.leave.weight)

    @property
    def context(self) -> int:
        """Pixels to each side that an output pixel is computed from, norms aside."""
        # Each level's reach counts in pixels of full size: a convolution 1, a blur 1.
        ways = sum(4 << level for level in range(len(self.downs)))
        return 2 * _EDGE + ways + 2 * len(self.blocks) * self.multiple

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each of the maps that ``encode`` gives, in their order."""
        downs = [cast(Down, down).conv.out_channels for down in self.downs]
        return (
            self.enter.out_channels,
            *downs,
            *(downs[-1:] or [self.enter.out_channels]) * len(self.blocks),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.translate(images)[0]

    def translate(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What it makes, and all maps on the way there, see ``encode``."""
        height, width = images.shape[2:]
        maps = self.encode(images)
        x = maps[-1]
        for up in self.ups:
            x = up(x)
        x = self.leave(_extended(x, _EDGE)).float()[:, :, :height, :width]
        if self.residual:
            x = x + (images if x.shape[1] == images.shape[1] else images.mean(dim=1, keepdim=True))
        else:
            x = torch.tanh(x)
        return x.expand(-1, self.channels, -1, -1), maps

    def encode(self, images: Tensor, until: int | None = None) -> list[Tensor]:
        """The maps after the first convolution, after each halving and after each residual block.

        No further than to number ``until`` of them, counted from 0.
        """
        x = fill_up(images, self.multiple)
        maps = [F.relu(normalised(self.enter(_extended(x, _EDGE))))]
        stages = (*self.downs, *self.blocks)
        for stage in stages[:until]:
            maps.append(stage(maps[-1]))
        return maps


class PatchJudge(nn.Module):
    """Scores [N, 1, h, w], one for each patch: is it real? PatchGAN of Isola et al. (arXiv 1611.07004).

    Args:
        channels: of images.
        width: channels after the first halving; they double with each further one, up to eight times that.
        layers: halvings of the sides, 1 or more; each about doubles the patch.
    """

    def __init__(self, channels: int, *, width: int, layers: int) -> None:
        super().__init__()
        widths = [width * min(2**step, 8) for step in range(layers + 1)]
        self.enter = nn.Conv2d(channels, widths[0], 4, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(one, other, 4, padding=1) for one, other in pairwise(widths))
        self.leave = nn.Conv2d(widths[-1], 1, 4, padding=1)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        x = F.leaky_relu(self._halved(self.enter, images), _SLOPE)
        for number, conv in enumerate(self.convs, start=1):
            last = number == len(self.convs)
            x = conv(x) if last else self._halved(cast(nn.Conv2d, conv), x)
            x = F.leaky_relu(normalised(x), _SLOPE)
        scores: Tensor = self.leave(x)
        return scores.float()

    def _halved(self, conv: nn.Conv2d, x: Tensor) -> Tensor:
        """The convolution with a stride of 2, of ``x`` without what the coarser grid could not show."""
        return F.conv2d(blur(x), conv.weight, conv.bias, stride=2, padding=1)


def normalised(x: Tensor) -> Tensor:
    """Each map of each image with mean 0 and variance 1 (Ulyanov et al., arXiv 1607.08022)."""
    return F.instance_norm(x)


def fill_up(images: Tensor, multiple: int) -> Tensor:
    """[N, C, H, W] extended by reflection to the right and downwards: sides divide by ``multiple``."""
    down, right = -images.shape[2] % multiple, -images.shape[3] % multiple
    return F.pad(images, (0, right, 0, down), mode="reflect") if down or right else images


def _extended(x: Tensor, pixels: int) -> Tensor:
    return F.pad(x, (pixels,) * 4, mode="reflect")


def initialise(network: nn.Module) -> None:
    """Small normal weights and no biases, for all convolutions."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(layer.weight, std=_DEVIATION)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def generator_of(config: NetworkConfig, image: ImageShape, *, grey: bool) -> ResidualGenerator:
    """A generator from ``width``, ``downs`` and ``blocks``; ValueError where the image is too small."""
    width, downs, blocks = (int(config[name]) for name in ("width", "downs", "blocks"))
    least, side = least_side(downs), min(image.height, image.width)
    if side < least:
        fewer = "" if side < _LEAST_SIDE else "fewer --set downs=..., or "
        raise ValueError(
            f"translators that halve sides {plural(downs, 'time')} need at least {least} pixels, not {side}. "
            f"Use {fewer}--size {least} or larger"
        )
    return ResidualGenerator(
        image.channels,
        width=width,
        downs=downs,
        blocks=blocks,
        grey=grey,
        residual=bool(config.get("residual", False)),
    )


def least_side(downs: int) -> int:
    """The smallest side that may be halved so often: of four pixels there is something to reflect.

    And where there are no halvings, the smallest that a judge can tell patches of.
    """
    return max(_LEAST_SIDE, 4 << downs)


def judge_of(images: ImageShape, *, width: int, layers: int) -> PatchJudge:
    """A judge; of small images one with fewer halvings, so that patches stay smaller than they are."""
    fitting = max(1, min(images.height, images.width).bit_length() - 3)
    return PatchJudge(images.channels, width=width, layers=min(layers, fitting))


def zoomed(images: Tensor, factors: tuple[float, float]) -> Tensor:
    """[N, C, H, W] enlarged about the centre, down and across; what is missing at the edges is repeated."""
    if factors == (1.0, 1.0):
        return images
    down, across = factors
    rows = images.new_tensor([[1.0 / across, 0.0, 0.0], [0.0, 1.0 / down, 0.0]], dtype=torch.float32)
    grid = F.affine_grid(rows.expand(len(images), -1, -1), list(images.shape), align_corners=False)
    found = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return found.to(images.dtype)


def zoom_of(config: NetworkConfig) -> tuple[float, float]:
    """How much larger contents are in the second domain, down and across."""
    down, across = config.get("zoom", (1.0, 1.0))
    return float(down), float(across)


def blend(images: Tensor, translated: Tensor, strength: float | Tensor) -> Tensor:
    """``images`` at 0, ``translated`` at 1, no further than -1 to 1; float32 [N, C, H, W]."""
    made = translated.float().clamp(-1.0, 1.0)
    return torch.lerp(images.float(), made, torch.as_tensor(strength, dtype=torch.float32))


def downs_for(image: ImageShape) -> int:
    """Halvings for a size: one up to 47 pixels a side, two up to 255, and then three."""
    side = min(image.height, image.width)
    return 1 if side < 48 else 2 if side < 256 else 3
