"""What clients ask for: what the pydantic models of all kinds of jobs share."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StrictStr, field_validator, model_validator

from synth.artifacts import Manifest, Store
from synth.batch import Mode
from synth.data import BUILTINS, builtin_count
from synth.data.encode import QUALITY, Encoding
from synth.data.writers.formats import get_format
from synth.errors import UsageError
from synth.fields import Integer, ParametersField, RequestBody
from synth.jobs.kinds import DATASET_KINDS
from synth.jobs.queue import Queue
from synth.jobs.records import ID_PATTERN, Job
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


class OutputBody(JobBody):
    """How a data set is to be written."""

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


class DatasetBody(OutputBody):
    """What all bodies have that ask for a data set that a model makes."""

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

    def source_count(self, queue: Queue) -> int:
        """How many images there are to work on; raises what ``pin_source`` does."""
        job = self.pin_source(queue)
        if job is not None:
            return int(job.body.get("count") or job.pinned["count"])
        assert self.data is not None
        return builtin_count(self.data)


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
            f"What the job {id} makes cannot be read; name a generate, translate or augment job "
            "with the format imagefolder or npz."
        )
    return job
