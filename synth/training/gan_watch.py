"""What keeps a GAN from collapse and from overfitting: now and then it is looked at, and helped."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from synth.data import ImageSet
from synth.errors import CollapseError
from synth.randomness import normals, stream_id
from synth.training.diversity import Diversity
from synth.training.gan_recipe import HEALTHY, GANRecipe
from synth.training.overfitting import adapted, overfitting

if TYPE_CHECKING:  # modules own a watch
    from synth.training.gan import GANModule

_STREAM = stream_id("training/gan/watched")
_JUDGED = 256
"""Images of a kind by whose scores overfitting is found."""
_MORE_AUGMENTATION = 0.2
_MOST_COLLAPSES = 3


class Decided(nn.Module):
    """What the watch has found and decided: saved with the weights, and kept where these go back."""

    share: Tensor
    """Of the images, that are augmented."""
    slower: Tensor
    """What the learning rate is multiplied by."""
    collapses: Tensor
    overfitting: Tensor

    def __init__(self, share: float) -> None:
        super().__init__()
        first = {"share": share, "slower": 1.0, "collapses": 0, "overfitting": 0.0}
        for name, value in first.items():
            self.register_buffer(name, torch.tensor(value, dtype=torch.float64))


class Watch:
    """Adapts the augmentation, keeps good states, and goes back to the last one after a collapse.

    It looks before a step and not after one, so that a state that was saved in between leads to the same.

    Attributes:
        good: the last state in which samples were diverse, None before there is one.
    """

    def __init__(self, recipe: GANRecipe) -> None:
        self._recipe = recipe
        self._real: Diversity | None = None
        self._judged: tuple[ImageSet, ...] = ()
        self.good: dict[str, Any] | None = None

    def prepare(self, training: ImageSet, validation: ImageSet) -> None:
        """Take real images to compare with."""
        self._real = Diversity(training)
        # What is trained on as well tells nothing of overfitting.
        if self._recipe.augment == "adaptive" and set(validation.ids).isdisjoint(training.ids):
            chosen = validation.sample(_JUDGED)
            self._judged = (_alike(training, chosen), chosen)

    @torch.no_grad()
    def look(self, module: GANModule, position: int) -> None:
        """Do what is due before the step that sees the image at ``position``.

        All processes of a training do the same, whichever part of the batch is theirs: what the leader finds
        counts, for rounding may differ. Raises CollapseError after too many collapses.
        """
        batch_size = self._recipe.batch_size
        seen = position // batch_size * batch_size
        if self._real is None or not seen or seen % self._recipe.watch_images >= batch_size:
            return
        if self._judged:
            self._adapt(module)
        if self._real.count < Diversity.LEAST:
            return
        diversity = module.team.leaders(diversity_of(module, module.network, self._real))[0]
        if diversity >= HEALTHY:
            self._keep(module)
        elif diversity < self._recipe.collapse and self.good is not None:
            self._go_back(module, seen, diversity)

    def _adapt(self, module: GANModule) -> None:
        """More augmentation where the discriminator knows its images by heart, less where it does not."""
        training, validation = (_ready(module, part) for part in self._judged)
        latents, labels = _latents(module, len(training[0])), training[1]
        fakes = module.network(latents, labels)
        scores = [module.discriminator(*these) for these in (training, validation, (fakes, labels))]
        found = module.team.leaders(overfitting(scores[0], scores[1], scores[2]))[0]
        module.decided.overfitting.fill_(found)
        share = adapted(
            float(module.decided.share),
            found,
            target=self._recipe.augment_target,
            images=self._recipe.watch_images,
            most=self._recipe.augment_most,
        )
        module.decided.share.fill_(share)

    def _keep(self, module: GANModule) -> None:
        state = module.state()
        weights = {name: value for name, value in state["module"].items() if not name.startswith("decided.")}
        self.good = copy.deepcopy({"module": weights, "optimisers": state["optimisers"]})

    def _go_back(self, module: GANModule, seen: int, diversity: float) -> None:
        """To the last good state, with more augmentation and at half the rate."""
        recipe = self._recipe
        found = (
            f"The generator collapsed after {seen:,} images: within a class its images differ "
            f"{diversity:.2f} times as much as real ones"
        )
        if int(module.decided.collapses) >= _MOST_COLLAPSES:
            raise CollapseError(
                f"{found}, and going back {_MOST_COLLAPSES} times did not help. Train with a lower learning "
                f"rate (--set learning_rate={recipe.learning_rate / 4:g}), with stronger penalties (--set "
                f"gamma={4 * recipe.gamma:g} --set gamma_end={4 * recipe.gamma_end:g}), or on more images."
            )
        # Copied: an optimiser goes on to write into the tensors that it is given.
        good = copy.deepcopy(cast(dict[str, Any], self.good))
        module.load_state_dict(good["module"], strict=False)
        for optimiser, state in zip(module.trainer.optimizers, good["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        module.decided.collapses.add_(1)
        module.decided.slower.mul_(0.5)
        for optimiser in module.trainer.optimizers:  # the rate of this step was set before, and went back too
            for group in optimiser.param_groups:
                group["lr"] = module.learning_rate()
        change = "half the learning rate"
        if recipe.augment != "off":
            share = min(1.0, float(module.decided.share) + _MORE_AUGMENTATION)
            module.decided.share.fill_(share)
            change += f", and {share:.0%} of the images augmented"
        module.notes.append(f"{found}. Went back to the last good state, with {change}.")


def _alike(images: ImageSet, others: ImageSet) -> ImageSet:
    """As many of the images as there are others, and of each class as many, from all over.

    What a discriminator scores under a label has an offset of its own, which only goes out where both sides
    have the same labels. Few images are taken more than once.
    """
    if images.labels is None or others.labels is None:
        return images.sample(len(others))
    mixed = images.mixed()
    labels, rows = images.labels[mixed], []
    for label in range(len(others.classes or ())):
        there = mixed[labels == label]
        rows.append(there[torch.arange(int((others.labels == label).sum())) % max(len(there), 1)])
    return images.subset(torch.cat(rows))


@torch.no_grad()
def diversity_of(module: GANModule, generator: nn.Module, real: Diversity) -> float:
    """The diversity of what a generator makes of fixed latents, beside real images."""
    labels = None if real.labels is None or not module.classes else real.labels.to(module.device)
    with module.autocast():
        made: Tensor = generator(_latents(module, real.count), labels)
    return real.of(made.clamp(-1.0, 1.0))


def _latents(module: GANModule, count: int) -> Tensor:
    index = torch.arange(count, device=module.device)
    return normals(module.recipe.seed, index, _STREAM, module.recipe.latent)


def _ready(module: GANModule, images: ImageSet) -> tuple[Tensor, Tensor | None]:
    real = images.images.to(module.device).to(torch.float32) / 127.5 - 1.0
    return real, None if images.labels is None or not module.classes else images.labels.to(module.device)
