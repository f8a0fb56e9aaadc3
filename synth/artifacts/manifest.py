"""The manifest: all that is known of an artifact except its weights, as JSON with a schema version."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = 1
"""Raised when an older synth could misread a newer manifest."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageInfo(_Record):
    """Shape of the images that the generator makes."""

    channels: int = Field(ge=1, le=3)
    height: int = Field(ge=1)
    width: int = Field(ge=1)


class WeightsInfo(_Record):
    """The weights file: every tensor that the network and its sampling density need."""

    file: str = "weights.safetensors"
    sha256: str
    bytes: int
    parameters: int
    """Number of trained values in the network."""


class TrainingInfo(_Record):
    """What the generator was trained on, and how far."""

    source: str
    """The source as the user wrote it; a label for people, never opened again."""
    images: int
    images_seen: int
    seconds: float
    ids_file: str = "training_ids.safetensors"
    ids_sha256: str
    """Digest of the file with the ids of all training images."""
    class_counts: list[int] | None = None
    """Training images per class; what labels="any" is drawn in proportion to."""
    pixel_mean: list[float]
    """Mean per channel over the training images, 0 to 1."""
    pixel_std: list[float]


class Metric(_Record):
    """One measured figure and how it was measured."""

    value: float
    how: str


class Manifest(_Record):
    """See the module's docstring. ``digest`` identifies the generator, whatever its name or place."""

    schema_version: int = SCHEMA
    name: str
    version: int
    family: str
    network: dict[str, Any]
    image: ImageInfo
    classes: list[str] | None
    weights: WeightsInfo
    digest: str
    recipe: dict[str, Any]
    training: TrainingInfo
    metrics: dict[str, Metric] = Field(default_factory=dict)
    libraries: dict[str, str]
    created: datetime

    @property
    def reference(self) -> str:
        """``NAME@VERSION``."""
        return f"{self.name}@{self.version}"


def generator_digest(
    *, family: str, network: dict[str, Any], image: ImageInfo, classes: list[str] | None, weights_sha256: str
) -> str:
    """SHA-256 over all that decides pixels: equal digests make equal images from equal keys."""
    content = {
        "family": family,
        "network": network,
        "image": image.model_dump(),
        "classes": classes,
        "weights": weights_sha256,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
