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
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synth.artifacts import Metric
from synth.data import ImageSet
from synth.models.gan import Discriminator
from synth.models.program import ImageShape, NetworkConfig
from synth.randomness import normals, stream_id, uniforms
from synth.training.compiling import compiled
from synth.training.diffaugment import DRAWS, change
from synth.training.diversity import Diversity
from synth.training.gan_recipe import HEALTHY, GANRecipe
from synth.training.gan_watch import Decided, Watch, diversity_of
from synth.training.module import GeneratorModule

_LATENT = stream_id("training/gan/latent")
_REAL, _FAKE = stream_id("training/gan/augment/real"), stream_id("training/gan/augment/fake")
_VALUES = 28 * 28
"""Of an image for which ``gamma`` is meant. A gradient's squared norm falls as the values become more."""
_LARGEST_LEAD = 60.0
"""Of a real image's score over a fake's, in the generator's weight exp(lead). What that undoes, a gradient of
exp(-lead), float32 and bfloat16 can still hold, with room for what the network makes of it."""


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
        # Not the networks, which are looked at by other ways and in other numbers too.
        self._generate = self.network.forward
        self._change = change
        self._judge, self._judge_with_gradient = self.discriminator.forward, self.discriminator.with_gradient

    def network_config(self) -> NetworkConfig:
        fields = {"widths", "blocks", "expansion", "group_width", "patch", "latent"}
        return self.recipe.model_dump(mode="json", include=fields)

    def compile_networks(self) -> None:
        self._generate, self._judge = compiled(self._generate), compiled(self._judge)
        self._judge_with_gradient = compiled(self._judge_with_gradient)
        self._change = compiled(self._change, captured=False)

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
        fakes = cast(Tensor, self._generate(self._latents(position), labels))
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
        shown = self._shown(fakes, position, _FAKE)
        scores: Tensor = torch.func.functional_call(self.discriminator, fixed, (shown, labels))
        return F.softplus(real - scores).mean()

    def _shown(self, images: Tensor, position: Tensor, stream: int) -> Tensor:
        """What the discriminator sees of them."""
        if self.recipe.augment == "off" or not self.decided.share > 0:
            return images
        return self._change(images, self.decided.share, uniforms(self.recipe.seed, position, stream, DRAWS))

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
        real, fake = self._shown(images, position, _REAL), self._shown(fakes, position, _FAKE)
        first = max(1, round(self.recipe.penalty_share * len(images)))
        scores, gradients = self._judge_with_gradient(
            torch.cat([real[:first], fake[:first]]), _twice(labels, slice(first))
        )
        penalties = gradients.square().sum(dim=(1, 2, 3)).reshape(2, first).mean(dim=1)
        pairs = [scores.reshape(2, first)]
        if first < len(images):
            rest = torch.cat([real[first:], fake[first:]])
            scores = self._judge(rest, _twice(labels, slice(first, None)))
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
