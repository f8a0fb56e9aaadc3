"""Neural style augmentation: the networks, and how they give images another style.

A predictor turns any image into the embedding of its style; a transfer network redraws a content image in
the style of an embedding, which sets scale and shift of its normalised maps (Ghiasi et al., "Exploring the
structure of a real-time, arbitrary neural artistic stylization network", arXiv 1705.06830). Random styles
come from a normal distribution that is fitted to the embeddings of a collection, and are mixed with the
image's own (Jackson et al., "Style augmentation", arXiv 1809.05375).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synth.models.program import (
    AnyParameter,
    ImageShape,
    NetworkConfig,
    NoiseSpec,
    Parameter,
    PictureParameter,
    State,
    TextParameter,
    Values,
)
from synth.models.style_weights import picture_weights

_EPSILON = 1e-5


class StylePredictor(nn.Module):
    """Image [N, C, H, W] in [-1, 1] of any size to the embedding of its style, float32 [N, D].

    What it goes by are means and deviations of maps over all places, so that it tells what is seen and not
    where. Nothing is normalised on the way: brightness and contrast belong to the style.
    """

    def __init__(self, channels: int, widths: Sequence[int], embedding: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        for inputs, outputs in zip([channels, *widths], widths, strict=False):
            self.stages.append(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, padding_mode="replicate"))
        self.head = StyleHead(2 * (channels + sum(widths)), embedding)

    def forward(self, images: Tensor) -> Tensor:
        found, x = [*moments(images)], images
        for stage in self.stages:
            x = F.relu(stage(x))
            found += moments(x)
        embedding: Tensor = self.head(torch.cat(found, dim=1))
        return embedding


class StyleHead(nn.Module):
    """Statistics float32 [N, S] to embeddings float32 [N, D]."""

    full_precision = True

    def __init__(self, statistics: int, embedding: int) -> None:
        super().__init__()
        self.enter = FullLinear(statistics, 2 * embedding)
        self.leave = FullLinear(2 * embedding, embedding)

    def forward(self, statistics: Tensor) -> Tensor:
        embedding: Tensor = self.leave(F.relu(self.enter(statistics)))
        return embedding


class FullLinear(nn.Linear):
    """Computes in float32 whatever the autocast around it: eight bits are too few for a style."""

    full_precision = True

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            out: Tensor = super().forward(x.float())
        return out


class ConditionalNorm(nn.Module):
    """Instance normalisation whose scale and shift, [N, C] each, come from outside."""

    def forward(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        mean, deviation = moments(x)
        # In float32: eight bits cannot hold how nearly flat maps differ from their mean.
        centred = x.float() - _column(mean)
        return torch.addcmul(_column(shift.float()), centred, _column(scale / deviation)).to(x.dtype)


class TransferNetwork(nn.Module):
    """Content [N, C, H, W] in [-1, 1] and scales and shifts to an image [N, C, H, W] in [-1, 1].

    Both sides must divide by ``2 ** (len(widths) - 1)``. The way down is normalised by instance alone, with
    learnt scales; residual blocks and the way up take theirs from the style.
    """

    def __init__(self, channels: int, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.enter = _conv(channels, widths[0], 5)
        self.downs = nn.ModuleList(_conv(a, b, 3, stride=2) for a, b in pairwise(widths))
        self.down_norms = nn.ModuleList(OwnNorm(width) for width in widths)
        self.blocks = nn.ModuleList(_conv(widths[-1], widths[-1], 3) for _ in range(2 * blocks))
        deep_first = widths[::-1]
        self.ups = nn.ModuleList(_conv(a, b, 3) for a, b in pairwise(deep_first))
        self.leave = _conv(widths[0], channels, 5)
        self.norm = ConditionalNorm()
        self.styled = [widths[-1]] * (2 * blocks) + list(deep_first[1:]) + [channels]
        """Channels of each map that takes scale and shift from the style, in order."""

    def forward(self, content: Tensor, scales: Tensor, shifts: Tensor) -> Tensor:
        parts = (torch.split(one, self.styled, dim=1) for one in (scales, shifts))
        styles = zip(*parts, strict=True)
        x: Tensor = F.relu(self.down_norms[0](self.enter(content)))
        for down, norm in zip(self.downs, list(self.down_norms)[1:], strict=True):
            x = F.relu(norm(down(x)))
        for first, second in zip(self.blocks[::2], self.blocks[1::2], strict=True):
            h = F.relu(self.norm(first(x), *next(styles)))
            x = x + self.norm(second(h), *next(styles))
        for up in self.ups:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = F.relu(self.norm(up(x), *next(styles)))
        return torch.tanh(self.norm(self.leave(x), *next(styles)))


class OwnNorm(nn.Module):
    """Instance normalisation with learnt scale and shift."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ConditionalNorm()
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(x, self.scale.float()[None], self.shift.float()[None])
        return normed


class StyleDistribution(nn.Module):
    """A normal distribution of styles; one of unit variance about zero until it is fitted."""

    full_precision = True

    mean: Tensor
    factor: Tensor

    def __init__(self, embedding: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(embedding))
        self.register_buffer("factor", torch.eye(embedding))

    def forward(self, z: Tensor, spread: Tensor | float = 1.0) -> Tensor:
        """Styles float32 [N, D] of standard normals [N, D]: mean + spread * factor z."""
        styles: Tensor = self.mean + spread * (z.float() @ self.factor.T)
        return styles


class StyleNetwork(nn.Module):
    """Predictor, transfer network and distribution of styles."""

    def __init__(self, config: NetworkConfig, image: ImageShape, classes: int = 0) -> None:
        """``config``: channels at 1, 1/2, ... of the size (``widths``) and at 1/2, 1/4, ... (``predictor``),
        ``blocks``, and the dimensions of the ``embedding``. Labels are not looked at.

        Raises ValueError where the image is too small to be halved so often.
        """
        super().__init__()
        widths = config["widths"]
        self.multiple: int = 2 ** (len(widths) - 1)
        if min(image.height, image.width) < 2 * self.multiple:
            raise ValueError(
                f"{len(widths)} widths halve the image {len(widths) - 1} times, which takes sides of at "
                f"least {2 * self.multiple} pixels; use fewer widths, or a larger size"
            )
        self.embedding: int = config["embedding"]
        self.predictor = StylePredictor(image.channels, config["predictor"], self.embedding)
        self.transfer = TransferNetwork(image.channels, widths, config["blocks"])
        self.modulation = FullLinear(self.embedding, 2 * sum(self.transfer.styled))
        self.distribution = StyleDistribution(self.embedding)

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Images [N, C, H, W] in [-1, 1]: each content in the style of its embedding, [N, D].

        Sides that cannot be halved are extended by reflection meanwhile.
        """
        height, width = content.shape[2:]
        missing = (0, -width % self.multiple, 0, -height % self.multiple)
        whole = F.pad(content, missing, mode="reflect") if any(missing) else content
        scales, shifts = self.modulation(style).chunk(2, dim=1)
        image: Tensor = self.transfer(whole, 1.0 + scales, shifts)
        return image[:, :, :height, :width]

    @property
    def context(self) -> int:
        """How many pixels away an output pixel still depends on the input, statistics of maps aside."""
        convolutions = len(self.transfer.blocks)
        # Of a map halved n times, a pixel to the side is 2**n pixels of the image.
        return 2 + (self.multiple - 1) + convolutions * self.multiple + 2 * (self.multiple - 1) + 2


def blend_styles(own: Tensor, style: Tensor, strength: Tensor | float) -> Tensor:
    """``strength * style + (1 - strength) * own``: from the image's own style, 0, to the other one, 1."""
    return own + strength * (style - own)


class StyleProgram:
    """Redraws each image in a style: a random one by its key, or that of the pictures that came along."""

    def __init__(self, network: StyleNetwork) -> None:
        self.network = network
        self.noise = (NoiseSpec("style", (network.embedding,)),)
        self.multiple, self.context = network.multiple, network.context

    parameters: ClassVar[tuple[AnyParameter, ...]] = (
        Parameter("strength", 1.0, 0.0, 1.0, "0 keeps the image's own style, 1 takes the other one whole"),
        Parameter("spread", 1.0, 0.0, 3.0, "of random styles about the collection's mean, 0 is that mean"),
        PictureParameter("style", "pictures whose style is taken instead of random ones"),
        TextParameter(
            "mix", "", "shares of the pictures of style, as 3,1 for three parts to one; else equal parts"
        ),
    )

    def steps(self, parameters: Values) -> int:
        return 1

    def style_from(self, pictures: Sequence[Tensor], parameters: Values) -> Tensor:
        """float32 [D]: the mean embedding of pictures [1, C, H, W] of any size, weighed by ``mix``.

        Raises UsageError where ``mix`` has not one share for each picture.
        """
        weights = picture_weights(str(parameters["mix"]), len(pictures))
        embeddings = torch.cat([self.network.predictor(picture) for picture in pictures])
        return embeddings.new_tensor(weights) @ embeddings

    def begin_from(
        self, images: Tensor, noise: Mapping[str, Tensor], labels: Tensor | None, parameters: Values
    ) -> State:
        # In one memory layout whatever they came in, for sums depend on it in the last place.
        images = images.clone(memory_format=torch.channels_last)
        given = parameters.get("style")
        if isinstance(given, Tensor):
            style = given
        else:
            style = self.network.distribution(noise["style"], parameters["spread"])
        own = self.network.predictor(images)
        return {"image": images, "style": blend_styles(own, style, parameters["strength"])}

    def step(self, i: int, state: State, labels: Tensor | None, parameters: Values) -> State:
        return {"image": self.network(state["image"], state["style"])}

    def image(self, state: State) -> Tensor:
        return state["image"]


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over all places, float32 [N, C] each; the latter is never 0."""
    wide = x.float()
    mean = wide.mean(dim=(2, 3))
    variance = wide.square().mean(dim=(2, 3)) - mean.square()
    return mean, torch.sqrt(variance.clamp(min=0.0) + _EPSILON)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    # A border of zeros would be seen as a frame in every style.
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, padding_mode="reflect")


def _column(values: Tensor) -> Tensor:
    return values[:, :, None, None]
