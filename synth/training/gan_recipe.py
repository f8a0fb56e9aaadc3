"""Recipe of the ``gan`` family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from synth.training.compiling import CompiledRecipe

HEALTHY = 0.5
"""Diversity of samples, of that of real images, from which on a state is worth going back to."""


class GANRecipe(CompiledRecipe):
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
