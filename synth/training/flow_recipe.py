"""Recipe of the ``flow`` family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, model_validator

from synth.training.compiling import CompiledRecipe


class FlowRecipe(CompiledRecipe):
    """Recipe of flow matching."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {
            "widths": [64, 128],
            "blocks": 1,
            "attention": False,
            "batch_size": 64,
            "learning_rate": 2e-3,
        },
        "small": {
            "widths": [96, 192, 192],
            "blocks": 2,
            "attention": True,
            "batch_size": 128,
            "learning_rate": 1e-3,
        },
        "base": {
            "widths": [128, 256, 384, 512],
            "blocks": 2,
            "attention": True,
            "batch_size": 256,
            "learning_rate": 5e-4,
        },
        "large": {
            "widths": [192, 384, 576, 768],
            "blocks": 3,
            "attention": True,
            "batch_size": 512,
            "learning_rate": 2e-4,
        },
    }

    enough_images: ClassVar[int] = 2_000
    few_images_hint: ClassVar[str] = (
        "Shorter training leaves less room for that: of 200 images a classifier gained most when each was "
        "seen 150 times (--images-seen 30000). So does --set flip=true where left and right mean nothing."
    )

    widths: list[int] = Field(
        default_factory=list,
        description="Channels at 1/patch, 1/(2 patch), ... of the size. Default: by preset.",
    )
    blocks: int = Field(1, ge=1, le=16, description="Residual blocks at each of these.")
    patch: int = Field(2, ge=1, le=8, description="Side of the squares of pixels that are one place.")
    attention: bool = Field(False, description="Self-attention at the coarsest resolution.")
    label_dropout: float = Field(
        0.1, ge=0, lt=1, description="Share of labels left out; guidance needs some, and 0 makes it useless."
    )
    time_mean: float = Field(0.0, description="Of the logit of times: below 0, more noise; above, less.")
    time_deviation: float = Field(1.0, gt=0, description="Of the logit of times.")
    flip: bool = Field(
        False, description="Mirror half of the images; right where left and right mean nothing."
    )
    student_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Last share of training, for the student; 0: none; 1: all, with --from.",
    )
    student_calls: int = Field(
        2, ge=1, le=8, description="Network calls of the student's samples: more are slower and truer."
    )
    student_steps: int = Field(
        4, ge=1, le=64, description="Steps of the velocity that a student's call replaces."
    )
    student_guidance: float = Field(
        1.0, ge=0, le=10, description="Guidance of these steps: the student's images come guided at no cost."
    )

    @model_validator(mode="after")
    def _check_widths(self) -> FlowRecipe:
        if not 1 <= len(self.widths) <= 8 or min(self.widths) < 2 or max(self.widths) > 4096:
            raise ValueError(f"widths must be 1 to 8 numbers of channels from 2 to 4096, not {self.widths}")
        if any(width % 2 for width in self.widths):
            raise ValueError(f"widths must be even, not {self.widths}")
        if self.student_share == 1 and self.warm_start is None:
            raise ValueError(
                "student_share=1 trains the student alone, and it learns from a velocity that is there: name "
                "a model with --from, or use a smaller share"
            )
        return self
