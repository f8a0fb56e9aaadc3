"""A measured figure with its interval, or the reason why there is none: never a NaN, never a bare number."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat


class Estimate(BaseModel):
    """One figure of a report."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["estimate"] = "estimate"
    value: FiniteFloat
    low: FiniteFloat
    """Lower end of the 95 % interval; equal to ``value`` where the figure is exact."""
    high: FiniteFloat
    floor: FiniteFloat | None = None
    """The same figure between two disjoint real sets: what no generator can be expected to beat."""
    how: str = ""
    """How it was measured, in a few words: counts, estimator, resamples."""


class NotMeasured(BaseModel):
    """A figure that these data cannot give."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["not-measured"] = "not-measured"
    reason: str
    """What is needed, with numbers: 'needs at least 50 images in each set; there are 12'."""


Figure = Annotated[Estimate | NotMeasured, Field(discriminator="kind")]
