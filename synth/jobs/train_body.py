"""What clients ask for that have a generator trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StrictBool, StrictStr, field_validator, model_validator

from synth.artifacts import Store, check_name
from synth.errors import SynthError
from synth.families import check_target, get_family
from synth.fields import Integer, Number
from synth.jobs.bodies import SourceBody, check_built_in, readable
from synth.jobs.queue import Queue
from synth.jobs.records import ID_PATTERN


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
