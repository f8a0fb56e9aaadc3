"""Recipe of the ``style`` family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from synth.training.recipe import Recipe
from synth.training.style_features import settle

_SCALES, _LARGEST_PICTURE = 4, 256
"""Style pictures are as many times as large as images, but not beyond so many pixels a side."""


class StyleRecipe(Recipe):
    """Recipe of a neural style augmentation."""

    pairs_target: ClassVar[bool] = False
    least_targets: ClassVar[int] = 2
    enough_targets: ClassVar[int] = 50
    targets_hint: ClassVar[str] = (
        "random styles are like those of a collection, and vary as far as its pictures do."
    )
    enough_images: ClassVar[int] = 200
    few_images_hint: ClassVar[str] = "What matters more is that --target holds many different pictures."

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {"predictor": [24, 48, 96], "widths": [16, 48, 64], "blocks": 3, "embedding": 32},
        "small": {"predictor": [32, 64, 128], "widths": [24, 64, 96], "blocks": 4, "embedding": 64},
        "base": {"predictor": [32, 64, 128, 256], "widths": [32, 64, 128], "blocks": 5, "embedding": 100},
        "large": {"predictor": [48, 96, 192, 384], "widths": [48, 96, 192], "blocks": 8, "embedding": 100},
    }

    predictor: list[int] = Field(
        default_factory=list,
        description="Predictor of styles: channels at 1/2, 1/4, ... of the size. Default: by preset.",
    )
    widths: list[int] = Field(
        default_factory=list,
        description="Transfer network: channels at 1, 1/2, ... of the size. Default: by preset and size.",
    )
    blocks: int = Field(3, ge=1, le=16, description="Residual blocks at the smallest of these.")
    embedding: int = Field(32, ge=2, le=512, description="Numbers that a style is described by.")
    features: str = Field(
        "auto",
        description="Network that content and style are told by: vgg16, efficientnet-lite0, trained, an "
        "encoder of the store, or auto, which takes what is on this machine.",
    )
    content: Literal["similarity", "features"] = Field(
        "similarity",
        description="What has to stay: which places are alike, so that dark and bright may change places, or "
        "the features themselves.",
    )
    content_weight: float = Field(8.0, ge=0, description="Of what has to stay.")
    style_weight: float = Field(1.0, ge=0, description="Of the style.")
    copy_weight: float = Field(
        10.0, ge=0, description="Of giving a varied copy of the image back in the copy's own style."
    )
    copy_share: float = Field(0.5, ge=0, le=1, description="Share of the images that this is asked of.")
    vary: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of styles recoloured, of other contrast and brightness, or inverted (half of it).",
    )
    own_styles: float = Field(
        0.25,
        ge=0,
        lt=1,
        description="Share of varied content among the pictures that random styles are like.",
    )
    batch_size: int = Field(32, ge=1, description="Images per step.")
    weight_decay: float = Field(0.0, ge=0, description="Of AdamW.")

    @model_validator(mode="after")
    def _check(self) -> StyleRecipe:
        for name in ("predictor", "widths"):
            widths = getattr(self, name)
            if not 1 <= len(widths) <= 6 or min(widths) < 2 or max(widths) > 2048:
                raise ValueError(f"{name} must be 1 to 6 numbers of channels from 2 to 2048, not {widths}")
        return self

    def target_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """So large that pieces can be taken of it at several scales."""
        scale = max(1, min(_SCALES, _LARGEST_PICTURE // max(size)))
        return scale * size[0], scale * size[1]

    def settled(self) -> StyleRecipe:
        return self.model_copy(update={"features": settle(self.features)})
