"""What is to be evaluated: the body of a job of the kind ``evaluate``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictStr, field_validator, model_validator

from synth.artifacts import Store
from synth.fields import Integer
from synth.jobs.bodies import JobBody, check_built_in, readable
from synth.jobs.queue import Queue
from synth.jobs.records import ID_PATTERN
from synth.randomness import MAX_SEED

_GENERATED = 10_000
"""Images that an evaluation of a model makes at the most, unless it says how many."""


class EvaluateBody(JobBody):
    """A report on a model, or on what a generate job has made."""

    kind: Literal["evaluate"]
    real: StrictStr = Field(
        description="A built-in data set, as in fashion-mnist or digits:train: the images that the generator "
        "was trained on. No path or address is opened.",
        examples=["fashion-mnist"],
    )
    holdout: StrictStr | None = Field(
        default=None,
        description="A built-in data set that the generator has never seen; by default those real images "
        "that it was not trained on.",
        examples=["fashion-mnist:test"],
    )
    model: Annotated[StrictStr, Field(max_length=256, examples=["fashion", "fashion@3"])] | None = Field(
        default=None, description="NAME, NAME@latest, NAME@3 or NAME@ALIAS: images of it are generated."
    )
    dataset: Annotated[StrictStr, Field(pattern=ID_PATTERN)] | None = Field(
        default=None, description="Id of a generate job, instead of model: the images that it made."
    )
    encoder: Annotated[StrictStr, Field(max_length=256)] | None = Field(
        default=None,
        description="An encoder of the store, for the features. By default one that was trained on the real "
        "images, if there is one, or else is trained now, in a minute.",
    )
    count: Integer | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Synthetic images; by default as many as real, up to 10,000.",
    )
    seed: Integer = Field(default=0, ge=0, le=MAX_SEED, description="Decides everything that is drawn.")
    seeds: Integer = Field(default=3, ge=1, le=30, description="Trainings of each classifier.")
    flip: StrictBool = Field(
        default=True, description="Whether classical augmentation may mirror; not for digits and letters."
    )
    quick: StrictBool = Field(default=False, description="Short trainings: a first look.")

    @field_validator("real", "holdout")
    @classmethod
    def _built_in(cls, value: str | None) -> str | None:
        return value if value is None else check_built_in(value)

    @model_validator(mode="after")
    def _one_set(self) -> EvaluateBody:
        if (self.model is None) == (self.dataset is None):
            raise ValueError("Set either model, or dataset, to the id of a generate job")
        return self

    @property
    def images(self) -> int:
        return 0 if self.model is None else self.count or _GENERATED

    def pin(self, store: Store, queue: Queue) -> dict[str, Any]:
        pinned: dict[str, Any] = {}
        if self.dataset is not None:
            readable(self.dataset, queue)
        if self.model is not None:
            artifact = store.find(self.model)
            artifact.require_generator()
            manifest = artifact.manifest
            pinned |= {"model": manifest.reference, "digest": manifest.digest}
        if self.encoder is not None:
            pinned["encoder"] = store.find(self.encoder).manifest.reference
        return pinned
