"""Reference statistics: what a generator's training images look like, kept with it to tell drift from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator
from torch import Tensor

from synth.artifacts import Artifact
from synth.errors import ArtifactError
from synth.evaluation.drift import stability_index
from synth.evaluation.figures import Figure, NotMeasured
from synth.evaluation.statistics import image_statistics
from synth.randomness import permutation, stream_id
from synth.text import brief

CLASSES = "classes"
"""The statistic that is no property of pixels: how many images there are of each class."""
_SCHEMA = 1
_BINS = 20
_MOST_IMAGES = 50_000
"""More tell no more."""
_STREAM = stream_id("evaluation/reference")

Count = Annotated[int, Field(ge=0)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Histogram(_Record):
    """One statistic over many images.

    Bins lie between the cuts, and below the first and above the last; a value on a cut belongs to the bin
    above. The cuts are quantiles, with the least value and one just above the greatest: whatever lies beyond
    what was ever seen is in a bin of its own.
    """

    cuts: list[FiniteFloat] = Field(min_length=1)
    counts: list[Count]
    mean: FiniteFloat
    std: FiniteFloat

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.counts) != len(self.cuts) + 1 or not sum(self.counts):
            raise ValueError("counts must hold one number more than cuts, not all of them 0")
        if any(low >= high for low, high in zip(self.cuts, self.cuts[1:], strict=False)):
            raise ValueError("cuts must ascend")
        return self

    @classmethod
    def of(cls, values: np.ndarray) -> Self:
        """Of finite float64 [N], N from 1."""
        inner = np.quantile(values, np.arange(1, _BINS) / _BINS, method="inverted_cdf")
        cuts = np.unique([values.min(), *inner, np.nextafter(values.max(), np.inf)])
        counts = np.bincount(np.searchsorted(cuts, values, side="right"), minlength=len(cuts) + 1)
        return cls(
            cuts=cuts.tolist(), counts=counts.tolist(), mean=float(values.mean()), std=float(values.std())
        )

    def bins(self, values: np.ndarray) -> np.ndarray:
        """int64 [N]: the bin of each value."""
        return np.searchsorted(np.asarray(self.cuts), values, side="right")

    def count(self, values: np.ndarray) -> np.ndarray:
        """int64 [B]: how many values there are in each bin."""
        return np.bincount(self.bins(values), minlength=len(self.counts))


class Reference(_Record):
    """The statistics of a set of images."""

    schema_version: int = _SCHEMA
    images: int = Field(ge=1)
    channels: int
    height: int
    width: int
    statistics: dict[str, Histogram]
    """By name, see ``synth.evaluation.statistics.image_statistics``."""
    class_counts: list[Count] | None = None
    """Images of each class, in the order of the generator's classes."""

    @classmethod
    def of(cls, images: Tensor, class_counts: Sequence[int] | None = None, *, seed: int = 0) -> Self:
        """Of uint8 [N, C, H, W], N from 1; of more than 50,000 images so many are drawn by ``seed``."""
        count = len(images)
        if count > _MOST_IMAGES:
            images = images[torch.from_numpy(np.sort(permutation(seed, 0, _STREAM, count)[:_MOST_IMAGES]))]
        return cls(
            images=count,
            channels=images.shape[1],
            height=images.shape[2],
            width=images.shape[3],
            statistics={name: Histogram.of(values) for name, values in image_statistics(images).items()},
            class_counts=None if class_counts is None else list(class_counts),
        )

    @classmethod
    def read(cls, artifact: Artifact) -> Self | None:
        """The reference of an artifact; None where it was made before there were any.

        Raises ArtifactError where the file is not what was published, or of a newer synth.
        """
        data = artifact.statistics()
        if data is None:
            return None
        try:
            content = json.loads(data)
            if isinstance(content, dict) and content.get("schema_version", 0) > _SCHEMA:
                raise ArtifactError(
                    f"The reference statistics of {artifact.path} are those of a newer synth. Upgrade synth."
                )
            return cls.model_validate(content)
        except (ValueError, TypeError, RecursionError) as error:
            raise ArtifactError(
                f"The reference statistics of {artifact.path} cannot be used ({brief(error)}). Restore the "
                "folder from a copy, or train the model again."
            ) from error


class Comparison(_Record):
    """How far images are from a reference."""

    images: int
    drift: dict[str, Figure]
    """Population stability index by statistic, or why there is none."""
    means: dict[str, tuple[float, float]]
    """By statistic: mean in the reference, and of these images."""


def compare(
    reference: Reference,
    values: Mapping[str, np.ndarray],
    *,
    class_counts: Sequence[int] | None = None,
    unlike: Mapping[str, str] | None = None,
) -> Comparison:
    """Compare the statistics of images with a reference.

    Args:
        values: float64 [N] by name, as ``image_statistics`` gives them.
        class_counts: images of each class, in the order of the reference's classes; None: not known.
        unlike: statistics that cannot be compared, each with the reason.
    """
    unlike = unlike or {}
    drift: dict[str, Figure] = {name: NotMeasured(reason=reason) for name, reason in unlike.items()}
    means: dict[str, tuple[float, float]] = {}
    for name, histogram in reference.statistics.items():
        if name in unlike:
            continue
        if name not in values:
            drift[name] = NotMeasured(reason="these images do not have it")
            continue
        if len(values[name]):
            means[name] = histogram.mean, float(values[name].mean())
        drift[name] = stability_index(np.asarray(histogram.counts), histogram.count(values[name]))
    for name in values.keys() - reference.statistics.keys() - unlike.keys():
        drift[name] = NotMeasured(reason="the images that the model was trained on do not have it")
    if reference.class_counts is not None and CLASSES not in unlike:
        drift[CLASSES] = (
            NotMeasured(reason="the classes of these images are not known")
            if class_counts is None
            else stability_index(np.asarray(reference.class_counts), np.asarray(class_counts))
        )
    images = max((len(each) for each in values.values()), default=0)
    return Comparison(images=images, drift=dict(sorted(drift.items())), means=means)
