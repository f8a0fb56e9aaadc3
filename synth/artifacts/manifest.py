"""The manifest: all that is known of an artifact except its weights, as JSON with a schema version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from synth.artifacts.reference import NAME_PATTERN

SCHEMA = 1
"""Raised when an older synth could misread a newer manifest."""

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""A bare name: a manifest can name no file outside its own folder."""


class _Record(BaseModel):
    # JSON has no NaN: as a string it survives, and is read back as a float.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class ImageInfo(_Record):
    """Shape of the images that the model makes, or takes."""

    channels: int = Field(ge=1, le=3)
    height: int = Field(ge=1)
    width: int = Field(ge=1)


class FileInfo(_Record):
    """A file that the network needs."""

    file: FileName
    sha256: Sha256
    bytes: int = Field(ge=0)


class WeightsInfo(FileInfo):
    """The weights file: every tensor that the network and its sampling density need."""

    file: FileName = "weights.safetensors"
    parameters: int = Field(ge=0)
    """Number of trained values in the network."""


class TargetInfo(_Record):
    """The images of the domain that a translator has learnt the way to."""

    source: str
    """As the user wrote it."""
    images: int = Field(ge=0)
    pixel_mean: list[float]
    """Mean per channel over these images, 0 to 1."""
    pixel_std: list[float]


class TrainingInfo(_Record):
    """What the generator was trained on, and how far."""

    source: str
    """The source as the user wrote it; a label for people, never opened again."""
    images: int = Field(ge=0)
    images_seen: int = Field(ge=0)
    seconds: float
    ids_file: FileName = "training_ids.safetensors"
    ids_sha256: Sha256
    """Digest of the file with the ids of all training images, of both domains where there are two."""
    class_counts: list[int] | None = None
    """Training images per class; what labels="any" is drawn in proportion to."""
    pixel_mean: list[float]
    """Mean per channel over the training images, 0 to 1."""
    pixel_std: list[float]
    target: TargetInfo | None = None
    """Of a translator between two domains; all else here is of the first one."""


class Origin(_Record):
    """The model whose weights a training started from."""

    reference: str
    """NAME@VERSION, in the store where it was then."""
    digest: Sha256


class StatisticsInfo(_Record):
    """The file with statistics of the training images, which drift is told from."""

    file: FileName = "reference.json"
    sha256: Sha256


class Metric(_Record):
    """One figure and how it was measured."""

    value: float | None
    """None: it could not be measured, and ``how`` says why."""
    how: str


class Manifest(_Record):
    """See the module's docstring. ``digest`` identifies the generator, whatever its name or place."""

    schema_version: int = SCHEMA
    name: Name
    version: int = Field(ge=1)
    family: str
    network: dict[str, Any]
    image: ImageInfo
    classes: list[str] | None
    weights: WeightsInfo
    digest: Sha256
    recipe: dict[str, Any]
    training: TrainingInfo
    metrics: dict[str, Metric] = Field(default_factory=dict)
    statistics: StatisticsInfo | None = None
    """None in artifacts that were made before there was one."""
    origin: Origin | None = None
    """None where the weights were random at first."""
    files: list[FileInfo] = Field(default_factory=list)
    """What the network needs besides weights, as a tokenizer."""
    libraries: dict[str, str]
    created: AwareDatetime

    @model_validator(mode="after")
    def _one_value_for_each(self) -> Self:
        training = self.training
        if (self.classes is None) != (training.class_counts is None):
            raise ValueError("classes and training.class_counts go together")
        if self.classes is not None and len(self.classes) != len(training.class_counts or ()):
            raise ValueError("training.class_counts must hold one number for each class")
        if not len(training.pixel_mean) == len(training.pixel_std) == self.image.channels:
            raise ValueError("training.pixel_mean and pixel_std must hold one number for each channel")
        return self

    @property
    def reference(self) -> str:
        """``NAME@VERSION``."""
        return f"{self.name}@{self.version}"


def generator_digest(
    *,
    family: str,
    network: dict[str, Any],
    image: ImageInfo,
    classes: list[str] | None,
    weights_sha256: str,
    files: Sequence[FileInfo] = (),
) -> str:
    """SHA-256 over all that decides pixels: equal digests make equal images from equal keys."""
    content: dict[str, Any] = {
        "family": family,
        "network": network,
        "image": image.model_dump(),
        "classes": classes,
        "weights": weights_sha256,
    }
    if files:
        content["files"] = {info.file: info.sha256 for info in files}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
