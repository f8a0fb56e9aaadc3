"""Class-conditional variational autoencoder: the networks, and how they make samples.

Kingma and Welling, "Auto-encoding variational Bayes" (arXiv 1312.6114), with residual convolutions, class
conditioning by feature-wise modulation (Perez et al., FiLM, arXiv 1709.07871), and a Gaussian mixture
fitted to the latent means after training, from which samples are drawn instead of from the unit prior
(Ghosh et al., "From variational to deterministic autoencoders", arXiv 1903.12436, section 4).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synth.models.program import ImageShape, NetworkConfig, NoiseSpec, Parameter, State

_LOG_VARIANCE_RANGE = (-12.0, 6.0)


class Modulation(nn.Module):
    """Scale and shift of feature maps by class; the identity when there are no classes.

    One row per class, starting at zero, so that an untrained network treats all classes alike.
    """

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.table = nn.Embedding(classes, 2 * channels) if classes else None
        if self.table is not None:
            nn.init.zeros_(self.table.weight)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """``labels``: class numbers int64 [N], or shares of classes, float [N, K]."""
        if self.table is None or labels is None:
            return x
        rows = labels @ self.table.weight if labels.is_floating_point() else self.table(labels)
        scale, shift = rows.to(x.dtype)[:, :, None, None].chunk(2, dim=1)
        modulated: Tensor = x * (1.0 + scale) + shift
        return modulated


class ResidualBlock(nn.Module):
    """norm, SiLU, 3x3, norm, modulation, SiLU, 3x3, plus the input; the shape [N, C, H, W] stays."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm1 = _norm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = _norm(channels)
        self.modulation = Modulation(classes, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        h: Tensor = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.modulation(self.norm2(h), labels)))
        return x + h


def _norm(channels: int) -> nn.GroupNorm:
    # A group of one channel, on a map of one pixel, would always be normalised to zero.
    fitting = (groups for groups in (8, 4, 2) if channels % groups == 0 and channels > groups)
    return nn.GroupNorm(next(fitting, 1), channels)


class Encoder(nn.Module):
    """Image [N, C, H, W] in [-1, 1] to mean and log-variance, each [N, latent]."""

    def __init__(self, image: ImageShape, widths: list[int], blocks: int, latent: int, classes: int) -> None:
        super().__init__()
        self.padding = _padding(image, len(widths))
        self.downs = nn.ModuleList()
        self.stages = nn.ModuleList()
        for previous, width in zip([image.channels, *widths], widths, strict=False):
            self.downs.append(nn.Conv2d(previous, width, 4, stride=2, padding=1))
            self.stages.append(nn.ModuleList(ResidualBlock(width, classes) for _ in range(blocks)))
        self.norm = _norm(widths[-1])
        height, width = _grid(image, len(widths))
        self.leave = nn.Linear(widths[-1] * height * width, 2 * latent)

    def forward(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        x = F.pad(images, self.padding, mode="replicate") if any(self.padding) else images
        for down, stage in zip(self.downs, self.stages, strict=True):
            x = down(x)
            for block in stage:  # type: ignore[attr-defined]
                x = block(x, labels)
        mean, log_variance = self.leave(F.silu(self.norm(x)).flatten(1)).float().chunk(2, dim=1)
        return mean, log_variance.clamp(*_LOG_VARIANCE_RANGE)


class Decoder(nn.Module):
    """Latent [N, latent] to image [N, C, H, W]; the output is unbounded, images lie in [-1, 1]."""

    def __init__(self, image: ImageShape, widths: list[int], blocks: int, latent: int, classes: int) -> None:
        super().__init__()
        self.image = image
        self.padding = _padding(image, len(widths))
        self.start = (widths[-1], *_grid(image, len(widths)))
        self.enter = nn.Linear(latent, math.prod(self.start))
        self.stages = nn.ModuleList()
        self.ups = nn.ModuleList()
        deep_first = widths[::-1]
        for width, following in zip(deep_first, [*deep_first[1:], image.channels], strict=True):
            self.stages.append(nn.ModuleList(ResidualBlock(width, classes) for _ in range(blocks)))
            # Four channels become 2 x 2 pixels: no convolution has to run at the doubled size.
            self.ups.append(nn.Sequential(nn.Conv2d(width, 4 * following, 3, padding=1), nn.PixelShuffle(2)))
        self.norm = _norm(widths[0])

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        x = self.enter(z).unflatten(1, self.start)
        last = len(self.ups) - 1
        for position, (up, stage) in enumerate(zip(self.ups, self.stages, strict=True)):
            for block in stage:  # type: ignore[attr-defined]
                x = block(x, labels)
            x = up(x if position < last else F.silu(self.norm(x)))
        left, _, top, _ = self.padding
        cropped: Tensor = x[:, :, top : top + self.image.height, left : left + self.image.width]
        return cropped.float()


def _padding(image: ImageShape, levels: int) -> tuple[int, int, int, int]:
    """Left, right, top and bottom padding that makes both sides divide by 2**levels."""
    wide, high = -image.width % 2**levels, -image.height % 2**levels
    return wide // 2, wide - wide // 2, high // 2, high - high // 2


def _grid(image: ImageShape, levels: int) -> tuple[int, int]:
    """Height and width of the coarsest feature map."""
    return -(-image.height // 2**levels), -(-image.width // 2**levels)


class Mixture(nn.Module):
    """A Gaussian mixture over latents for each class (one row where there are no classes).

    Buffers (float32): ``weights`` [K, M] (rows sum to 1; unused components have weight 0), ``means``
    [K, M, D] and ``factors`` [K, M, D, D], lower Cholesky factors of the covariances. Until it is fitted
    it is the unit prior.
    """

    full_precision = True
    """The sampler core leaves it in float32: it costs next to nothing, and tails need the digits."""

    weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, rows: int, components: int, latent: int) -> None:
        super().__init__()
        weights = torch.zeros(rows, components)
        weights[:, 0] = 1.0
        self.register_buffer("weights", weights)
        self.register_buffer("means", torch.zeros(rows, components, latent))
        self.register_buffer("factors", torch.eye(latent).expand(rows, components, -1, -1).clone())

    def forward(self, normal: Tensor, uniform: Tensor, labels: Tensor | None, spread: float) -> Tensor:
        """Latents [N, D] from normals [N, D] and a uniform [N, 1] that picks the component.

        ``spread`` scales the distance from the component's mean; 1 is the fitted density.
        """
        rows = torch.zeros(len(normal), dtype=torch.int64, device=normal.device) if labels is None else labels
        edges = self.weights.float().cumsum(dim=1)
        # By their sum, which rounding may leave below a uniform: an unused component would be next.
        edges = (edges / edges[:, -1:])[rows]
        component = (uniform >= edges[:, :-1]).sum(dim=1)
        factor = self.factors[rows, component].float()
        offset = torch.bmm(factor, normal.float()[:, :, None])[:, :, 0]
        return self.means[rows, component].float() + spread * offset


class VAE(nn.Module):
    """Encoder, decoder and latent density.

    ``config`` holds ``widths`` (channels at 1/2, 1/4, ... of the image size), ``blocks`` (residual blocks
    for each), ``latent`` (dimensions) and ``components`` (of the mixture). ``classes`` is 0 for data
    without labels. Each side of the image must be at least ``2 ** len(widths)`` pixels.
    """

    def __init__(self, config: NetworkConfig, image: ImageShape, classes: int) -> None:
        super().__init__()
        widths, blocks, latent = list(config["widths"]), int(config["blocks"]), int(config["latent"])
        if min(image.height, image.width) < 2 ** len(widths):
            most = min(image.height, image.width).bit_length() - 1
            raise ValueError(
                f"{len(widths)} widths halve each side as many times. Use a smaller preset, at most {most} "
                f"widths (--set widths=[...]), or --size {2 ** len(widths)} or larger"
            )
        self.image, self.classes, self.latent = image, classes, latent
        self.encoder = Encoder(image, widths, blocks, latent, classes)
        self.decoder = Decoder(image, widths, blocks, latent, classes)
        self.density = Mixture(max(classes, 1), int(config["components"]), latent)

    def forward(self, images: Tensor, labels: Tensor | None, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction, mean and log-variance; ``noise`` [N, latent] makes the posterior sample."""
        mean, log_variance = self.encoder(images, labels)
        z = mean + torch.exp(0.5 * log_variance) * noise
        return self.decoder(z, labels), mean, log_variance


class VAEProgram:
    """Samples in one step: a latent from the density, then the decoder."""

    def __init__(self, network: VAE) -> None:
        self.network = network
        self.noise = (
            NoiseSpec("latent", (network.latent,)),
            NoiseSpec("component", (1,), kind="uniform"),
        )
        self.parameters = (
            Parameter("spread", 1.0, 0.0, 2.0, "below 1: more typical samples; above 1: more unusual ones"),
            Parameter("strength", 1.0, 0.0, 10.0, "translate only: how far a variation may leave its image"),
        )

    def steps(self, parameters: Mapping[str, float]) -> int:
        return 1

    def begin(
        self, noise: Mapping[str, Tensor], labels: Tensor | None, parameters: Mapping[str, float]
    ) -> State:
        z = self.network.density(noise["latent"], noise["component"], labels, parameters["spread"])
        return {"z": z}

    def begin_from(
        self,
        images: Tensor,
        noise: Mapping[str, Tensor],
        labels: Tensor | None,
        parameters: Mapping[str, float],
    ) -> State:
        """Variations of images: their latents, moved by ``strength`` times the posterior's deviation."""
        mean, log_variance = self.network.encoder(images, labels)
        return {"z": mean + parameters["strength"] * torch.exp(0.5 * log_variance) * noise["latent"]}

    def step(self, i: int, state: State, labels: Tensor | None, parameters: Mapping[str, float]) -> State:
        dtype = self.network.decoder.enter.weight.dtype
        return {"image": self.network.decoder(state["z"].to(dtype), labels)}

    def image(self, state: State) -> Tensor:
        return state["image"].clamp(-1.0, 1.0)
