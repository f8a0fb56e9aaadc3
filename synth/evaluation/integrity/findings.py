"""What every check answers with: typed facts, and findings that say what to do."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

Subject = Literal[
    "unreadable",
    "duplicates",
    "near-duplicates",
    "leaks",
    "outliers",
    "labels",
    "imbalance",
    "shortcuts",
    "changes",
]
SUBJECTS: tuple[str, ...] = get_args(Subject)


class Record(BaseModel):
    """Of all results: frozen, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Finding(Record):
    """Something that the user should look at."""

    subject: Subject
    severity: Literal["problem", "warning"]
    """A problem spoils what is measured on the data; a warning may have a good reason."""
    message: str
    """What, and where."""
    remedy: str
    """What to do about it."""
    count: int = Field(ge=0)
    """Samples, or classes, that it is about."""
    samples: list[str] = []
    """The first of them, as the source calls them."""


class Cluster(Record):
    """Samples that are equal, or look alike."""

    samples: list[str]
    labels: list[str] | None
    """Class of each, or None where there are none."""
    places: list[str] | None = None
    """Part or fold of each, where a split was given."""

    @property
    def conflicting(self) -> bool:
        """Whether the same picture is in several classes."""
        return self.labels is not None and len(set(self.labels)) > 1


class Spread(Record):
    """A statistic over some images."""

    count: int
    median: FiniteFloat
    low: FiniteFloat
    """Lower quartile."""
    high: FiniteFloat
    """Upper quartile."""


SHOWN = 5
"""Samples named in a finding's message."""
LISTED = 1_000
"""Samples or clusters at most in a report; counts are complete."""
