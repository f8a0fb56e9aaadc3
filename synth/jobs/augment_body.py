"""What clients ask for that have a data set augmented."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, StrictStr, field_validator

from synth.artifacts import Store
from synth.augment.told import LONGEST, read_told
from synth.data.provenance import PIPELINE
from synth.data.writers.formats import get_format
from synth.fields import Integer
from synth.jobs.bodies import OutputBody, SourceBody
from synth.jobs.queue import Queue
from synth.randomness import MAX_SEED


class AugmentBody(OutputBody, SourceBody):
    """A data set of changed copies of the images of a built-in data set, or of what another job has made."""

    kind: Literal["augment"]
    pipeline: Annotated[StrictStr, Field(min_length=1)] | dict[str, Any] = Field(
        description="In YAML or JSON as text, or as an object; or a preset's name. The versions of models in "
        "it are settled when the job is made.",
        examples=["basic"],
    )
    copies: Integer = Field(default=1, ge=1, description="Of each image; copy k has the epoch k.")
    seed: Integer = Field(
        default=0,
        ge=0,
        le=MAX_SEED,
        description="With an image's content and the copy it decides all.",
    )

    @field_validator("pipeline")
    @classmethod
    def _short(cls, value: str | dict[str, Any]) -> str | dict[str, Any]:
        if len(value if isinstance(value, str) else json.dumps(value)) > LONGEST:
            raise ValueError(f"A pipeline may have {LONGEST:,} characters")
        return value

    def pin(self, store: Store, queue: Queue) -> dict[str, Any]:
        get_format(self.format, self.encoding)
        found = read_told(self.pipeline, store)
        return {
            "model": f"{PIPELINE}{found.digest[:12]}",
            "digest": found.digest,
            "pipeline": found.plain(),
            "count": self.copies * self.source_count(queue),
        }
