"""The JSON form of an answer with images, as the OpenAPI description tells it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class GeneratedImage(BaseModel):
    """One image and its key."""

    b64_png: str = Field(description="The PNG file in base64.")
    seed: int
    index: int
    label: int | None = Field(description="Class number; null without classes.")
    label_name: str | None


class AugmentedImage(GeneratedImage):
    """One image, and what decided it besides seed and pipeline."""

    source_id: str = Field(description="Of the image that was sent.")
    epoch: int
    shares: list[float] | None = Field(
        default=None, description="Of each class, where the pipeline mixed; left out elsewhere."
    )


class _ImageAnswer(BaseModel):
    digest: str
    seed: int
    start: int
    shape: tuple[int, int | None, int | None, int] = Field(
        description="N, H, W, C; null for H and W where the images differ in size."
    )
    classes: list[str] | None
    parameters: dict[str, float | str] = Field(description="Sampling parameters in use, defaults filled in.")
    fingerprint: dict[str, str] = Field(description="All else that decides the pixels.")
    synthetic: Literal[True]


class GenerationAnswer(_ImageAnswer):
    """The images with all that is needed to make them again."""

    model: str = Field(description="NAME@VERSION.", examples=["fashion@3"])
    data: list[GeneratedImage]


class AugmentationAnswer(_ImageAnswer):
    """The images with all that is needed to make them again."""

    model: str = Field(description="pipeline:, and the beginning of its digest.")
    data: list[AugmentedImage]
