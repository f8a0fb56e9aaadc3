"""Adversarial training: a classifier learns from images that were changed so that it errs.

    fgsm   one step from a random start (Wong et al., "Fast is better than free", arXiv 2001.03994)
    pgd    several (Madry et al., arXiv 1706.06083)

The radius rises at first, since at its full size a new network learns to say the same of all images. Attacks
are made on the network as it is evaluated, and in the precision of the training; in float32 where that is
float16, in which small gradients vanish.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from synth.artifacts import Metric
from synth.augment.adversarial import ThreatModel, attack_keys, check_radius, fgsm, pgd
from synth.data import ImageSet
from synth.evaluation.metrics.intervals import wilson
from synth.randomness import stream_id, uniforms
from synth.text import plural
from synth.training.recipe import Recipe

_CHOSEN = stream_id("training/adversarial")
_STEPS_TO_MEASURE = 20
_CHUNK = 500
_ONLY_ADVERSARIAL = ("eps", "eps_norm", "steps", "step_size", "adversarial_share", "eps_rise")


class AdversarialRecipe(Recipe):
    """What recipes of classifiers say of adversarial training."""

    adversarial: Literal["none", "fgsm", "pgd"] = Field(
        "none", description="Learn from adversarial images: of one step, or of several."
    )
    eps: float = Field(
        8 / 255, gt=0, le=100, description="adversarial: radius of attacks, in pixels of 0 to 1."
    )
    eps_norm: Literal["linf", "l2"] = Field("linf", description="adversarial: of the radius.")
    steps: int = Field(7, ge=1, le=1000, description="adversarial=pgd: steps of an attack.")
    step_size: float | None = Field(
        None, gt=0, description="adversarial: of a step; default: fgsm 1.25 eps, pgd 2.5 eps / steps."
    )
    adversarial_share: float = Field(
        1.0, gt=0, le=1, description="adversarial: share of the images that are attacked; others stay clean."
    )
    eps_rise: float = Field(
        0.2, ge=0, le=1, description="adversarial: share of training over which the radius rises."
    )

    @model_validator(mode="after")
    def _only_with_attacks(self) -> AdversarialRecipe:
        if self.adversarial == "none":
            fields = type(self).model_fields
            for name in _ONLY_ADVERSARIAL:
                if getattr(self, name) != fields[name].default:
                    raise ValueError(f"{name} is of adversarial training: set adversarial=fgsm or pgd too")
        else:
            check_radius(self.eps)
        if self.adversarial == "fgsm" and self.steps != type(self).model_fields["steps"].default:
            raise ValueError("fgsm has one step: set adversarial=pgd, or leave out steps")
        return self


def attacked(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    recipe: AdversarialRecipe,
    *,
    position: Tensor,
    progress: float,
) -> Tensor:
    """The share of images that the recipe says attacked, the others as they were.

    Args:
        network: logits of images in [-1, 1]; left as it was.
        images: float32 [N, C, H, W] in [-1, 1].
        labels: int64 [N].
        position: int64 [N], place of each image in the run; with the recipe's seed, its key.
        progress: share of the training that is done, 0 to 1.
    """
    risen = min(1.0, progress / recipe.eps_rise) if recipe.eps_rise else 1.0
    if risen == 0.0:
        return images
    threat = ThreatModel(risen * recipe.eps, norm=recipe.eps_norm)
    chosen = uniforms(recipe.seed, position, _CHOSEN, 1)[:, 0] < recipe.adversarial_share
    rows = torch.nonzero(chosen)[:, 0]
    if not len(rows):
        return images
    at, keys = rows.to(images.device), attack_keys(recipe.seed, position[rows])
    pixels, wanted = (images[at] + 1) / 2, labels[at]
    step = None if recipe.step_size is None else risen * recipe.step_size
    exact = torch.autocast(images.device.type, enabled=False) if recipe.precision == "16" else nullcontext()
    with exact:
        if recipe.adversarial == "fgsm":
            found = fgsm(network, pixels, wanted, threat, step_size=step, keys=keys)
        else:
            found = pgd(network, pixels, wanted, threat, steps=recipe.steps, step_size=step, keys=keys)
    return images.index_copy(0, at, threat.inputs(found).to(images.dtype))


def attacked_images(
    network: nn.Module, images: ImageSet, recipe: AdversarialRecipe, device: torch.device
) -> Tensor:
    """uint8 [N, C, H, W]: labelled images as the end of the training shows them, attacked by its recipe."""
    threat = ThreatModel(recipe.eps, norm=recipe.eps_norm)
    made = []
    for part, labels, position in _chunks(images, device):
        inputs = threat.inputs(threat.pixels(part))
        found = attacked(network, inputs, labels, recipe, position=position, progress=1.0)
        made.append(threat.images((found + 1) / 2, part).cpu())
    return torch.cat(made)


def robust_accuracy(
    network: nn.Module, images: ImageSet, recipe: AdversarialRecipe, device: torch.device
) -> Metric:
    """Share of labelled images that are right as they are and stay so under PGD of 20 steps in the recipe's
    ball, in float32."""
    threat = ThreatModel(recipe.eps, norm=recipe.eps_norm)
    right = 0
    for part, labels, position in _chunks(images, device):
        keys = attack_keys(recipe.seed, position)
        found = pgd(network, threat.pixels(part), labels, threat, steps=_STEPS_TO_MEASURE, keys=keys)
        stays = torch.ones_like(labels, dtype=torch.bool)
        with torch.no_grad():
            for shown in (part, threat.images(found, part)):
                stays &= network(threat.inputs(threat.pixels(shown))).argmax(1) == labels
        right += int(stays.sum())
    low, high = wilson(right, len(images))
    how = (
        f"of {plural(len(images), 'image')} ({low:.4f} to {high:.4f}), under PGD of {_STEPS_TO_MEASURE} "
        f"steps from one random start, {recipe.eps_norm}, eps {recipe.eps:.4g}; averaged weights"
    )
    return Metric(value=right / len(images), how=how)


def _chunks(images: ImageSet, device: torch.device) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Images and labels on the device, and their positions, int64 [n]."""
    assert images.labels is not None
    for at in range(0, len(images), _CHUNK):
        part = slice(at, at + _CHUNK)
        pixels = images.images[part].to(device)
        yield pixels, images.labels[part].to(device), torch.arange(at, at + len(pixels))
