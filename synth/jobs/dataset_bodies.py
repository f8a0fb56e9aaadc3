"""What clients ask for that want a data set: generate and translate jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field, StrictBool, model_validator

from synth.artifacts import Store
from synth.errors import LabelError
from synth.families import require_generator, require_translator
from synth.fields import Integer, LabelsField
from synth.jobs.bodies import DatasetBody, SourceBody
from synth.jobs.queue import Queue
from synth.labels import Labels, class_number, normalise_labels, resolve_labels
from synth.randomness import MAX_INDEX


class GenerateBody(DatasetBody):
    """A data set from a trained model."""

    kind: Literal["generate"]
    count: Integer = Field(ge=1, description="How many images.")
    labels: LabelsField | None = Field(
        default=None,
        description="'balanced' (default where the model has classes), 'any' (in the proportions of the "
        'training data), a class name or number for all, counts such as {"cat": 10, "dog": 30}, or a list '
        "with one class for each image.",
        examples=["balanced", {"cat": 10, "dog": 30}],
    )

    @model_validator(mode="after")
    def _indices_exist(self) -> GenerateBody:
        if self.start + self.count > MAX_INDEX:
            raise ValueError(f"start + count must not exceed {MAX_INDEX}")
        return self

    @property
    def images(self) -> int:
        return self.count

    def labels_for(self, classes: tuple[str, ...] | None) -> Labels:
        """The labels, with the default of a model with these classes filled in."""
        if self.labels is not None:
            return self.labels
        return "any" if classes is None else "balanced"

    def pin(self, store: Store, queue: Queue) -> dict[str, Any]:
        manifest = self.pin_model(store)
        require_generator(manifest.family, manifest.reference)
        classes = None if manifest.classes is None else tuple(manifest.classes)
        _check_labels(self.labels_for(classes), classes, self.count)
        return {"model": manifest.reference, "digest": manifest.digest}


class TranslateBody(DatasetBody, SourceBody):
    """A data set made from the images of a built-in data set, or from what another job has made."""

    kind: Literal["translate"]
    labels: LabelsField | None = Field(
        default=None,
        description="What the images show, as in generate jobs. If left out, what the data set says: its "
        "classes are matched to those of the model by name.",
        examples=["cat"],
    )
    fit: Literal["resize"] | None = Field(
        default=None,
        description="'resize': images of another size than the model's are resized and cropped at the "
        "centre, as in training. If left out, they fail the job, unless the model takes images of any size.",
    )
    allow_label_drift: StrictBool = Field(
        default=False,
        description="Keep the labels although the model was not found to preserve what images show.",
    )

    def pin(self, store: Store, queue: Queue) -> dict[str, Any]:
        manifest = self.pin_model(store)
        require_translator(manifest.family, manifest.reference)
        count = self.source_count(queue)
        if self.labels is not None:
            classes = None if manifest.classes is None else tuple(manifest.classes)
            _check_labels(self.labels, classes, count)
        return {"model": manifest.reference, "digest": manifest.digest, "count": count}


def _check_labels(labels: Labels, classes: tuple[str, ...] | None, count: int) -> None:
    """Raise LabelError where a request cannot be met, without making the labels of millions of images."""
    labels = normalise_labels(labels)
    if isinstance(labels, Mapping) and classes is not None:
        if sum(labels.values()) != count:
            raise LabelError(
                f"The label counts add up to {sum(labels.values())}, but {count} samples were asked for."
            )
        for name in labels:
            class_number(name, classes)
        return
    few = count if isinstance(labels, list) else 1
    if isinstance(labels, list) and len(labels) != count:
        raise LabelError(f"{len(labels)} labels were given for {count} samples; give one for each.")
    resolve_labels(labels, classes=classes, index=torch.arange(few), seed=0)
