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


class GenerationAnswer(BaseModel):
    """The images with all that is needed to make them again."""

    model: str = Field(description="NAME@VERSION.", examples=["fashion@3"])
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
    data: list[GeneratedImage]
