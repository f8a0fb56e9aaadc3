"""The model card: what users and the API are told of a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from synth.artifacts.manifest import ImageInfo, Manifest, Metric


@dataclass(frozen=True)
class ModelCard:
    """A generator in short: enough to choose one, to ask it for samples, and to tell it from others."""

    name: str
    version: int
    family: str
    image: ImageInfo
    classes: tuple[str, ...] | None
    digest: str
    """Hexadecimal SHA-256 over all that decides pixels."""
    created: datetime
    metrics: Mapping[str, Metric]
    training_images: int

    @staticmethod
    def of(manifest: Manifest) -> ModelCard:
        """The card of the generator that a manifest describes."""
        return ModelCard(
            name=manifest.name,
            version=manifest.version,
            family=manifest.family,
            image=manifest.image,
            classes=None if manifest.classes is None else tuple(manifest.classes),
            digest=manifest.digest,
            created=manifest.created,
            metrics=manifest.metrics,
            training_images=manifest.training.images,
        )

    @property
    def reference(self) -> str:
        """``NAME@VERSION``."""
        return f"{self.name}@{self.version}"

    def as_dict(self) -> dict[str, Any]:
        """The card as plain JSON values; a metric that is not finite has the value None."""
        return {
            "reference": self.reference,
            "name": self.name,
            "version": self.version,
            "family": self.family,
            "image": self.image.model_dump(),
            "classes": None if self.classes is None else list(self.classes),
            "digest": self.digest,
            "created": self.created.isoformat(),
            "metrics": {
                name: {"value": _finite(metric.value), "how": metric.how}
                for name, metric in self.metrics.items()
            },
            "training_images": self.training_images,
        }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
