"""What several ways of adapting a classifier came to, and which of them to take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from synth.evaluation.figures import Estimate, Figure, NotMeasured
from synth.evaluation.metrics.intervals import Z, share

SCHEMA = 1
"""Raised when fields change their meaning."""
LOST = 0.03
"""So much of its own validation accuracy may a method lose against source-only, and still be chosen."""
CHOSEN_BY = (
    "the information of predictions for unlabelled target images, among the methods whose accuracy on "
    f"validation images of what they were trained on is at most {LOST:g} below that of source-only; no label "
    "of the target is looked at"
)

Transfer = Literal["none", "positive", "unclear", "negative", "suspected negative"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Outcome(_Record):
    """One method and the classifier that it made."""

    method: str
    model: str
    """NAME@VERSION, in the store."""
    accuracy: Figure
    """On labelled images of the target."""
    gain: Figure
    """That less the accuracy of source-only, on the same images: 0.01 is one point."""
    validation: float
    """Accuracy on images of the labelled domain (for translate: translated ones) that were kept back."""
    information: float
    """What the predictions for target images tell, 0 to 1; see ``synth.training.alignment``."""
    transfer: Transfer
    """Whether the target was served by it; ``none`` of source-only itself."""
    images_seen: int
    seconds: float
    notes: list[str] = []


class Comparison(_Record):
    """What ``synth adapt`` found, as it is printed and written."""

    kind: Literal["synth-adaptation"] = "synth-adaptation"
    schema_version: int = SCHEMA
    software: str
    source: str
    target: str
    tested_on: str
    """The labelled target images, in words; or that there are none."""
    size: tuple[int, int]
    channels: int
    classes: list[str]
    seed: int
    outcomes: list[Outcome]
    chosen: str
    """The model to take."""
    chosen_by: str = CHOSEN_BY
    notes: list[str]

    @property
    def warnings(self) -> list[str]:
        """A line for each method that served the target worse than none at all, or may have."""
        found = []
        for one in self.outcomes:
            if one.transfer == "negative" and isinstance(one.gain, Estimate):
                found.append(
                    f"negative transfer: {one.method} is {-100 * one.gain.value:.1f} points below "
                    f"source-only ({100 * one.gain.low:+.1f} to {100 * one.gain.high:+.1f})"
                )
            elif one.transfer == "suspected negative":
                found.append(
                    f"negative transfer is to be suspected of {one.method}: its predictions for the "
                    "target tell less than those of source-only, or it does worse where labels are. Label "
                    "some target images and give them as --test."
                )
        return found


def gain_of(right: Tensor, baseline: Tensor) -> Estimate:
    """How much more often bool [N] is true than ``baseline``, image by image, and its 95 % interval."""
    apart = right.double() - baseline.double()
    value = float(apart.mean())
    half = Z * float(apart.std(correction=0)) / math.sqrt(len(apart))
    # With no image on which they differ there is still one that might have been: the rule of three.
    half = max(half, 3.0 / len(apart))
    return Estimate(
        value=value,
        low=max(-1.0, value - half),
        high=min(1.0, value + half),
        how=f"paired over {len(apart):,} images; one training of each",
    )


def accuracy_of(right: Tensor | None, what: str) -> Figure:
    """The share of bool [N] with its interval; of None that there is none."""
    if right is None:
        return NotMeasured(reason="needs labelled images of the target; give some with --test")
    return share(right, f"{len(right):,} images of {what}")


def transfer_of(
    gain: Figure, validation: float, information: float, baseline: tuple[float, float]
) -> Transfer:
    """Whether a method served the target; ``baseline`` are validation and information of source-only."""
    if isinstance(gain, Estimate):
        return "positive" if gain.low > 0 else "negative" if gain.high < 0 else "unclear"
    worse = validation < baseline[0] - LOST or information < baseline[1] - LOST
    return "suspected negative" if worse else "unclear"


def choose(outcomes: Sequence[Outcome]) -> Outcome:
    """The one to take, see ``CHOSEN_BY``; the first of equals."""
    source = next((one for one in outcomes if one.method == "source"), None)
    least = -math.inf if source is None else source.validation - LOST
    able = [one for one in outcomes if one.validation >= least]
    return max(able or list(outcomes), key=lambda one: one.information)


def is_right(probabilities: Tensor, labels: Tensor) -> Tensor:
    """bool [N] of [N, K] and int64 [N]."""
    return torch.eq(probabilities.argmax(dim=1), labels)
