"""What the trainings of ``cyclegan`` and ``cut`` share: networks by preset and size, schedule, optimiser."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from synth.models.program import ImageShape, NetworkConfig
from synth.models.translation import PatchJudge, downs_for, judge_of
from synth.training.adversarial import Augmentation, falling, optimiser_of
from synth.training.translator import TranslatorModule, TranslatorRecipe


class UnpairedRecipe(TranslatorRecipe):
    """Recipe of an adversarial translator."""

    enough_images: ClassVar[int] = 500
    few_images_hint: ClassVar[str] = (
        "Show judges more augmented images by --set augment_share=0.6, and stop early by --images-seen."
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {"width": 12, "blocks": 3, "judge_width": 32, "batch_size": 32, "learning_rate": 1e-3},
        "small": {"width": 16, "blocks": 6, "judge_width": 48, "batch_size": 16, "learning_rate": 5e-4},
        "base": {"width": 32, "blocks": 9, "judge_width": 64, "batch_size": 8, "learning_rate": 2e-4},
        "large": {"width": 64, "blocks": 9, "judge_width": 96, "batch_size": 8, "learning_rate": 2e-4},
    }

    width: int = Field(12, ge=4, le=512, description="Channels of the generator at full size.")
    downs: int | None = Field(
        None,
        ge=0,
        le=4,
        description="Halvings of the sides. Default: 1 below 48 pixels, 2 below 256, 3.",
    )
    blocks: int = Field(3, ge=0, le=32, description="Its residual blocks, at the smallest size.")
    residual: bool = Field(
        False,
        description="Learn the difference from the image instead of the image: for domains of one layout, "
        "and for short trainings, which then begin with images as they are.",
    )
    judge_width: int = Field(32, ge=4, le=512, description="Channels of a judge after its first halving.")
    judge_layers: int = Field(
        3,
        ge=1,
        le=5,
        description="Halvings within a judge, fewer in small images; each doubles its patches.",
    )
    batch_size: int = Field(32, ge=1, description="Images of each domain per step.")
    learning_rate: float = Field(
        1e-3, gt=0, description="Warmed up, then constant, and at last falling linearly."
    )
    weight_decay: float = Field(0.0, ge=0, description="Of AdamW.")
    decay: float = Field(0.5, ge=0, le=1, description="Share of the training in which the rate falls.")
    augment_share: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Images that judges see changed in colour, place or by a hole, each kind.",
    )


class UnpairedModule(TranslatorModule):
    """A translator that learns from judges; ``network`` holds the generators."""

    recipe: UnpairedRecipe

    def __init__(self, recipe: UnpairedRecipe, image: ImageShape, classes: int) -> None:
        super().__init__(recipe, image, classes)

    def network_config(self) -> NetworkConfig:
        downs = self.recipe.downs
        framed = {"zoom": list(self.recipe.zoom)} if self.recipe.framing and self.recipe.zoom else {}
        return {
            **framed,
            **({"residual": True} if self.recipe.residual else {}),
            "width": self.recipe.width,
            "downs": downs_for(self.image) if downs is None else downs,
            "blocks": self.recipe.blocks,
            "grey": [True, True] if self.image.channels == 1 else list(self.recipe.grey or (False, False)),
        }

    def new_judge(self) -> PatchJudge:
        """A judge of one domain."""
        return judge_of(self.image, width=self.recipe.judge_width, layers=self.recipe.judge_layers)

    @abstractmethod
    def helpers(self) -> list[nn.Parameter]:
        """The weights that are learnt besides those of ``network``."""

    def learnt(self) -> list[nn.Parameter]:
        return [*super().learnt(), *self.helpers()]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return optimiser_of(
            super().learnt(),
            self.helpers(),
            rate=self.recipe.learning_rate,
            decay=self.recipe.weight_decay,
            fused=self.recipe.precision != "16",
        )

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Gradients are not clipped: Adam divides by their size."""

    def learning_rate(self) -> float:
        return falling(
            self.recipe.learning_rate, self.progress, warmup=self.recipe.warmup, decay=self.recipe.decay
        )

    def augmentation(self, position: Tensor) -> Augmentation:
        """Of what judges see of the images at these places of the run, int64 [N]."""
        return Augmentation(self.recipe.augment_share, self.recipe.seed, position)
