"""Training of the ``gan`` family.

The relativistic pairing loss with zero-centred gradient penalties on real and on generated images of R3GAN
(Huang et al., arXiv 2501.05441), with the schedules of that paper: the second moment of Adam lengthens, the
learning rate and the penalties fall. Both networks move at once: within the pass that teaches the
discriminator, the gradient that reaches the generated images is turned around and weighed anew, which makes
it the generator's own. That saves a second pass through both networks. Float16, which cannot hold it where
the discriminator wins clearly, takes that pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from synth.artifacts import Metric
from synth.data import ImageSet
from synth.models.gan import Discriminator
from synth.models.program import ImageShape, NetworkConfig
from synth.randomness import normals, stream_id
from synth.training.diffaugment import augment
from synth.training.diversity import Diversity
from synth.training.gan_watch import HEALTHY, Decided, Watch, diversity_of
from synth.training.module import GeneratorModule
from synth.training.recipe import Recipe

_LATENT = stream_id("training/gan/latent")
_REAL, _FAKE = stream_id("training/gan/augment/real"), stream_id("training/gan/augment/fake")
_VALUES = 28 * 28
"""Of an image for which ``gamma`` is meant. A gradient's squared norm falls as the values become more."""
_LARGEST_LEAD = 60.0
"""Of a real image's score over a fake's, in the generator's weight exp(lead). What that undoes, a gradient of
exp(-lead), float32 and bfloat16 can still hold, with room for what the network makes of it."""


class GANRecipe(Recipe):
    """Recipe of a generative adversarial network."""

    enough_images: ClassVar[int] = 2_000
    few_images_hint: ClassVar[str] = (
        "Augmentation follows the overfitting by itself (augment=adaptive); start with more of it by --set "
        "augment_share=0.3, and stop early by --images-seen."
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {
            "widths": [64, 128],
            "blocks": 1,
            "expansion": 1,
            "group_width": 128,
            "patch": 2,
            "batch_size": 64,
            "learning_rate": 1.5e-3,
            "gamma": 5.0,
            "gamma_end": 2.0,
        },
        "small": {
            "widths": [96, 192, 384],
            "blocks": 1,
            "expansion": 2,
            "group_width": 32,
            "patch": 2,
            "batch_size": 128,
            "learning_rate": 1e-3,
            "gamma": 5.0,
            "gamma_end": 1.0,
        },
        "base": {
            "widths": [128, 256, 384, 512, 512],
            "blocks": 2,
            "expansion": 2,
            "group_width": 32,
            "patch": 2,
            "batch_size": 256,
            "learning_rate": 3e-4,
            "gamma": 1.0,
            "gamma_end": 0.1,
        },
        "large": {
            "widths": [128, 256, 512, 768, 768],
            "blocks": 2,
            "expansion": 2,
            "group_width": 16,
            "patch": 1,
            "batch_size": 256,
            "learning_rate": 2e-4,
            "gamma": 1.0,
            "gamma_end": 0.1,
        },
    }

    widths: list[int] = Field(
        default_factory=list,
        description="Channels at 1/patch, 1/(2 patch), ... of the size. Default: by preset.",
    )
    blocks: int = Field(1, ge=1, le=16, description="Residual blocks at each of these.")
    expansion: int = Field(2, ge=1, le=8, description="Channels within a block, as a multiple of its own.")
    group_width: int = Field(32, ge=1, le=4096, description="Channels that a 3x3 convolution mixes.")
    patch: Literal[1, 2, 4] = Field(2, description="Side of the square of pixels made and judged as one.")
    latent: int = Field(64, ge=1, le=1024, description="Dimensions of the latent space.")
    batch_size: int = Field(64, ge=1, description="Images per step.")
    learning_rate: float = Field(1.5e-3, gt=0, description="Peak; warmed up, then decayed by a cosine.")
    weight_decay: float = Field(0.0, ge=0, description="Of AdamW.")
    gamma: float = Field(
        5.0,
        ge=0,
        description="Weight of the gradient penalties at first, for 784 values an image; it grows with them.",
    )
    gamma_end: float = Field(2.0, ge=0, description="The same from half of the training on.")
    penalty_share: float = Field(
        0.25, gt=0, le=1, description="Share of each batch whose gradients are penalised."
    )
    augment: Literal["adaptive", "fixed", "off"] = Field(
        "adaptive",
        description="Augmentation of real and generated images: as the discriminator overfits, or always.",
    )
    augment_share: float = Field(
        0.0, ge=0, le=1, description="Images that each change is made to: at first, or with fixed always."
    )
    augment_target: float = Field(
        0.3, ge=0, le=1, description="Overfitting that is kept to: 0 is none, 1 all known by heart."
    )
    augment_most: float = Field(0.8, ge=0, le=1, description="Most images that adaptive may change.")
    watch_images: int = Field(10_000, ge=1, description="How often diversity and overfitting are looked at.")
    collapse: float = Field(
        0.2, ge=0, lt=HEALTHY, description="Diversity, of that of real images, below which it goes back."
    )

    @model_validator(mode="after")
    def _check(self) -> GANRecipe:
        if not 1 <= len(self.widths) <= 8 or min(self.widths) < 2 or max(self.widths) > 4096:
            raise ValueError(f"widths must be 1 to 8 numbers of channels from 2 to 4096, not {self.widths}")
        for width in self.widths:
            hidden = width * self.expansion
            if hidden % min(self.group_width, hidden):
                raise ValueError(
                    f"group_width {self.group_width} must divide each width x expansion ({hidden})"
                )
        if self.augment_share > self.augment_most:
            raise ValueError("augment_share must not be above augment_most")
        if (self.gamma == 0) != (self.gamma_end == 0):
            raise ValueError("gamma and gamma_end must both be 0, or neither")
        return self


class GANModule(GeneratorModule):
    """Lightning module of the ``gan`` family: ``network`` is the generator."""

    family = "gan"
    recipe: GANRecipe

    def __init__(self, recipe: GANRecipe, image: ImageShape, classes: int) -> None:
        super().__init__(recipe, image, classes)
        self.discriminator = Discriminator(self.network_config(), image, classes)
        for network in (self.network, self.average, self.discriminator):
            network.to(memory_format=torch.channels_last)
        self.decided = Decided(recipe.augment_share)
        self._watch = Watch(recipe)

    def network_config(self) -> NetworkConfig:
        fields = {"widths", "blocks", "expansion", "group_width", "patch", "latent"}
        return self.recipe.model_dump(mode="json", include=fields)

    def learnt(self) -> list[nn.Parameter]:
        return [*super().learnt(), *self.discriminator.parameters()]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.learnt(),
            lr=self.recipe.learning_rate,
            betas=(0.0, 0.9),
            weight_decay=self.recipe.weight_decay,
            fused=self.recipe.precision != "16",
        )

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Gradients are not clipped: Adam divides by their size. Its memory of that grows, 0.9 to 0.99."""
        memory = 1.0 - 0.1 ** (1.0 + min(1.0, 2.0 * self.progress))
        for group in optimizer.param_groups:
            group["betas"] = (0.0, memory)

    def learning_rate(self) -> float:
        return super().learning_rate() * float(self.decided.slower)

    def loss(
        self, images: Tensor, labels: Tensor | None, position: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Of the discriminator: E[softplus(D(fake) - D(real))] + gamma / 2 (R1 + R2).

        Its gradient by a generated image is sigmoid(D(fake) - D(real)) times that of D(fake). The generator's
        loss E[softplus(D(real) - D(fake))] has -sigmoid(D(real) - D(fake)) in that place, so that the one
        times -exp(D(real) - D(fake)) is the other. Each real image is paired with a fake of its class.
        """
        self._watch.look(self, int(position[0]))
        fakes = cast(Tensor, self.network(self._latents(position), labels))
        together, weight = self.recipe.precision != "16", cast(list[Tensor], [])
        if together and fakes.requires_grad:
            fakes.register_hook(lambda gradient: gradient * weight[0])  # type: ignore[no-untyped-call]
        real, fake, penalties = self._scores(images, fakes if together else fakes.detach(), labels, position)
        lead = (real - fake).detach()
        weight.append(-lead.clamp(max=_LARGEST_LEAD).exp()[:, None, None, None])
        gamma = self._gamma() * images[0].numel() / _VALUES
        loss = F.softplus(fake - real).mean() + 0.5 * gamma * penalties.sum()
        if not together:
            own = self._generators_loss(real.detach(), fakes, labels, position)
            loss = loss + own - own.detach()  # the figure stays the discriminator's
        return loss, {
            "lead": lead.mean(),
            "r1": penalties[0],
            "r2": penalties[1],
            "augmented": self.decided.share,
            "overfitting": self.decided.overfitting,
            "rate_factor": self.decided.slower,
        }

    def _latents(self, position: Tensor) -> Tensor:
        return normals(self.recipe.seed, position, _LATENT, self.recipe.latent)

    def _generators_loss(
        self, real: Tensor, fakes: Tensor, labels: Tensor | None, position: Tensor
    ) -> Tensor:
        """E[softplus(D(real) - D(fake))], of which the discriminator learns nothing."""
        fixed = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        shown = augment(fakes, self._augmented, seed=self.recipe.seed, position=position, stream=_FAKE)
        scores: Tensor = torch.func.functional_call(self.discriminator, fixed, (shown, labels))
        return F.softplus(real - scores).mean()

    @property
    def _augmented(self) -> float:
        """The share of images that augmentation changes."""
        return float(self.decided.share) if self.recipe.augment != "off" else 0.0

    def _gamma(self) -> float:
        """Falls geometrically until half of the training is done."""
        first, last = self.recipe.gamma, self.recipe.gamma_end
        return first * (last / first) ** min(1.0, 2.0 * self.progress) if first else 0.0

    def _scores(
        self, images: Tensor, fakes: Tensor, labels: Tensor | None, position: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Scores [B] of real and generated images as augmented, and the penalties R1 and R2, [2].

        A penalty is the mean squared norm of the gradients by the first images of the batch, which
        stand for all.
        """
        share, seed = self._augmented, self.recipe.seed
        real = augment(images, share, seed=seed, position=position, stream=_REAL)
        fake = augment(fakes, share, seed=seed, position=position, stream=_FAKE)
        first = max(1, round(self.recipe.penalty_share * len(images)))
        scores, gradients = self.discriminator.with_gradient(
            torch.cat([real[:first], fake[:first]]), _twice(labels, slice(first))
        )
        penalties = gradients.square().sum(dim=(1, 2, 3)).reshape(2, first).mean(dim=1)
        pairs = [scores.reshape(2, first)]
        if first < len(images):
            rest = torch.cat([real[first:], fake[first:]])
            scores = self.discriminator(rest, _twice(labels, slice(first, None)))
            pairs.append(scores.reshape(2, len(images) - first))
        both = torch.cat(pairs, dim=1)
        return both[0], both[1], penalties

    def prepare(self, training: ImageSet, validation: ImageSet) -> None:
        self._watch.prepare(training, validation)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "good": self._watch.good}

    def restore(self, saved: Mapping[str, Any]) -> None:
        super().restore(saved)
        self._watch.good = saved["good"]

    def complete(self, images: ImageSet, limit: int | None = None) -> None:
        """Nothing: all of a generator is learnt."""

    def measure(self, images: ImageSet, kind: str) -> Mapping[str, Metric]:
        real = Diversity(images)
        if real.count < Diversity.LEAST:
            how = f"not measured: there are only {real.count} {kind} to compare with"
            return {"diversity": Metric(value=None, how=how)}
        how = f"distances within a class, over those of {real.count} {kind}; 8 x 8 pixels, averaged weights"
        return {"diversity": Metric(value=diversity_of(self, self.average, real), how=how)}

    def watch(self, images: ImageSet) -> Mapping[str, float]:
        real = Diversity(images)
        return {"diversity": diversity_of(self, self.average, real)} if real.count >= Diversity.LEAST else {}

    def warnings(self, metrics: Mapping[str, Metric]) -> list[str]:
        diversity = metrics["diversity"].value
        if diversity is None or diversity >= HEALTHY:
            return []
        return [
            f"The generated images of a class differ only {diversity:.2f} times as much as real ones. Train "
            "longer, or with stronger penalties (--set gamma=...)."
        ]


def _twice(labels: Tensor | None, rows: slice) -> Tensor | None:
    return None if labels is None else labels[rows].repeat(2)
