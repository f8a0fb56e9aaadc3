"""What clients ask for: one pydantic model for each kind of job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import BeforeValidator, Field, StrictBool, StrictStr, field_validator, model_validator

from synth.artifacts import Manifest, Store, check_name
from synth.batch import Mode
from synth.data import BUILTINS, builtin_count
from synth.data.encode import QUALITY, Encoding
from synth.data.writers.formats import get_format
from synth.errors import LabelError, SynthError, UsageError
from synth.families import check_target, get_family, require_generator, require_translator
from synth.fields import Integer, LabelsField, Number, ParametersField, RequestBody
from synth.jobs.kinds import DATASET_KINDS
from synth.jobs.queue import Queue
from synth.jobs.records import ID_PATTERN, Job
from synth.labels import Labels, class_number, normalise_labels, resolve_labels
from synth.randomness import MAX_INDEX, MAX_SEED
from synth.text import closest

_PARTS = ("train", "test")


class JobBody(RequestBody):
    """Base of all bodies."""

    kind: str

    @property
    def images(self) -> int:
        """How many images are asked for; they count towards the client's quota."""
        return 0

    def pin(self, store: Store, queue: Queue) -> dict[str, Any]:
        """Settle what could change before a worker begins, and refuse what cannot be done."""
        raise NotImplementedError


class DatasetBody(JobBody):
    """What all bodies have that ask for a data set."""

    model: Annotated[StrictStr, Field(max_length=256, examples=["fashion", "fashion@3"])] = Field(
        description="NAME, NAME@latest, NAME@3 or NAME@ALIAS; the version is settled when the job is made."
    )
    seed: Integer = Field(
        default=0, ge=0, le=MAX_SEED, description="With an image's index it decides the image."
    )
    start: Integer = Field(default=0, ge=0, le=MAX_INDEX, description="Index of the first image.")
    mode: Mode = Field(
        default="fast", description="'exact': the same bytes again, on one machine type, whatever happens."
    )
    parameters: ParametersField = Field(
        default_factory=dict, description="Sampling parameters of the model's family, by name."
    )
    format: Literal["imagefolder", "webdataset", "npz"] = "imagefolder"
    image_format: Literal["png", "jpeg", "webp"] = Field(default="png", description="Not with npz.")
    quality: Integer = Field(default=QUALITY, ge=1, le=100, description="Of jpeg and webp.")
    shard_size: Integer = Field(
        default=1_000, ge=1, le=10_000, description="Images at a time: the job goes on from its last shard."
    )

    @property
    def encoding(self) -> Encoding:
        """Of the images."""
        return Encoding(self.image_format, self.quality)

    def pin_model(self, store: Store) -> Manifest:
        """The manifest of the version that ``model`` means now; refuses what makes or writes no images."""
        get_format(self.format, self.encoding)
        artifact = store.find(self.model)
        artifact.require_images()
        return artifact.manifest


class SourceBody(JobBody):
    """What all bodies have that work on images."""

    data: StrictStr | None = Field(
        default=None,
        description="A built-in data set, as in fashion-mnist or digits:test. No path or address is opened.",
        examples=["fashion-mnist"],
    )
    dataset: Annotated[StrictStr, Field(pattern=ID_PATTERN)] | None = Field(
        default=None, description="Id of a job, instead of data: take the data set that it made."
    )

    @field_validator("data")
    @classmethod
    def _built_in(cls, value: str | None) -> str | None:
        return value if value is None else check_built_in(value)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.data is None) == (self.dataset is None):
            raise ValueError(
                "Set either data, to a built-in data set, or dataset, to the id of a job that makes one"
            )
        return self

    def pin_source(self, queue: Queue) -> Job | None:
        """The job whose data set is meant, if it is one that can be read; None for a built-in one."""
        if self.dataset is None:
            return None
        return readable(self.dataset, queue)


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
        job = self.pin_source(queue)
        if job is not None:
            count = int(job.body.get("count") or job.pinned["count"])
        else:
            assert self.data is not None
            count = builtin_count(self.data)
        if self.labels is not None:
            classes = None if manifest.classes is None else tuple(manifest.classes)
            _check_labels(self.labels, classes, count)
        return {"model": manifest.reference, "digest": manifest.digest, "count": count}


def _check_setting(value: Any) -> Any:
    """One message in place of one for each member of the union."""
    for item in value if isinstance(value, list) else [value]:
        if item is not None and not isinstance(item, (bool, int, float, str)):
            raise ValueError("A setting is a number, a text, true, false, null, or a list of these")
    return value


Plain = StrictBool | Integer | Number | StrictStr | None
Setting = Annotated[Plain | list[Plain], BeforeValidator(_check_setting)]


class TrainBody(SourceBody):
    """A generator, trained on a built-in data set or on what another job has made."""

    kind: Literal["train"]
    family: StrictStr = Field(examples=["vae"])
    name: StrictStr = Field(description="Of the model in the store; a new version of it is published.")
    target: StrictStr | None = Field(
        default=None,
        description="Of translators, which need it: the built-in data set that images are to become like.",
    )
    target_dataset: Annotated[StrictStr, Field(pattern=ID_PATTERN)] | None = Field(
        default=None, description="Id of a job, instead of target: take the data set that it made."
    )
    images_seen: Integer | None = Field(default=None, ge=1, description="Length of the training in images.")
    minutes: Number | None = Field(
        default=None, gt=0, description="Length of the training by the clock, instead of images_seen."
    )
    settings: dict[str, Setting] = Field(
        default_factory=dict,
        description="The rest of the family's recipe, by name; synth config schema shows it.",
        examples=[{"preset": "small", "batch_size": 64}],
    )

    @field_validator("family", "name")
    @classmethod
    def _usable(cls, value: str, info: Any) -> str:
        try:
            if info.field_name == "name":
                return check_name(value)
            get_family(value).require_training()
            return value
        except SynthError as error:
            raise ValueError(str(error)) from None

    @field_validator("target")
    @classmethod
    def _built_in_target(cls, value: str | None) -> str | None:
        return value if value is None else check_built_in(value)

    @model_validator(mode="after")
    def _target_where_needed(self) -> Self:
        if self.target is not None and self.target_dataset is not None:
            raise ValueError("Set either target or target_dataset, not both")
        try:
            check_target(self.family, given=(self.target or self.target_dataset) is not None)
        except SynthError as error:
            raise ValueError(str(error)) from None
        return self

    @field_validator("settings")
    @classmethod
    def _not_twice(cls, value: dict[str, Setting]) -> dict[str, Setting]:
        for name in ("images_seen", "minutes"):
            if name in value:
                raise ValueError(f"Set {name} as a field of the body")
        return value

    @model_validator(mode="after")
    def _one_length(self) -> TrainBody:
        if self.images_seen is not None and self.minutes is not None:
            raise ValueError("Set either minutes or images_seen, not both")
        return self

    @property
    def recipe(self) -> Mapping[str, Any]:
        """What is set of the recipe."""
        lengths = {"images_seen": self.images_seen, "minutes": self.minutes}
        return {**self.settings, **{name: value for name, value in lengths.items() if value is not None}}

    def pin(self, store: Store, queue: Queue) -> dict[str, Any]:
        self.pin_source(queue)
        if self.target_dataset is not None:
            readable(self.target_dataset, queue)
        return {}


def check_built_in(value: str) -> str:
    """``value``, if it names a built-in data set or a part of one; ValueError otherwise."""
    name, colon, part = value.partition(":")
    if name not in BUILTINS or (colon and part not in _PARTS):
        raise ValueError(
            f"There is no built-in data set of that name{closest(name, BUILTINS)}. They are "
            f"{', '.join(BUILTINS)}, each with :train and :test. Servers open nothing else"
        )
    return value


def readable(id: str, queue: Queue) -> Job:
    """The job of that id; UsageError where what it makes cannot be read as a source."""
    job = queue.get(id)
    if job.kind not in DATASET_KINDS or job.body["format"] == "webdataset":
        raise UsageError(
            f"What the job {id} makes cannot be read; name a generate or translate job "
            "with the format imagefolder or npz."
        )
    return job


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
