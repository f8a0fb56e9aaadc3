"""The label contract: how far translations keep what images show, as it was measured when the model was made.

Models that make images from images alone may change what is to be seen. Where the images carry labels, the
figure among the model's metrics has to reach ``THRESHOLD``, or whoever asks has to allow the drift.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from synth.artifacts.card import ModelCard
from synth.errors import UsageError
from synth.families import generates

THRESHOLD = 0.95
"""Least share of images whose class stays, and least similarity of gradients, that labels may rely on."""

Figure = Literal["label_preservation", "geometry"]
"""What classes rely on, and what boxes and masks rely on; of the other direction with ``_b_to_a`` behind."""

_WHAT = {"label_preservation": "classes", "geometry": "boxes and masks"}
_MEANS = {
    "label_preservation": "of labelled images kept their class by a classifier",
    "geometry": "of the structure of gradients was kept",
}


def drift_of(
    card: ModelCard, parameters: Mapping[str, Any], figure: Figure = "label_preservation"
) -> dict[str, Any] | None:
    """What is to be recorded where labels do not rely on a figure: its name and value, and the threshold.

    None where they may, and for generators: what those are given a label for, they make anew.
    """
    if generates(card.family):
        return None
    name = f"{figure}_b_to_a" if parameters.get("direction") == "b_to_a" else figure
    metric = card.metrics.get(name)
    value = None if metric is None else metric.value
    if value is not None and value >= THRESHOLD:
        return None
    return {"figure": name, "value": value, "threshold": THRESHOLD}


def check_drift(
    card: ModelCard,
    parameters: Mapping[str, Any],
    *,
    allow: bool,
    figure: Figure = "label_preservation",
) -> dict[str, Any] | None:
    """``drift_of``, where it is allowed; where it is not, UsageError with what was measured."""
    drift = drift_of(card, parameters, figure)
    if drift is None or allow:
        return drift
    value = drift["value"]
    measured = "was never measured" if value is None else f"is {value:.1%} ({_MEANS[figure]})"
    raise UsageError(
        f"{card.reference} may not keep what labelled images show: its {drift['figure']} {measured}, and "
        f"{_WHAT[figure]} may be relied on from {THRESHOLD:.0%}. Check a sample by eye and allow it: "
        "--allow-label-drift, allow_label_drift in Python, in pipelines and over HTTP. Or use another "
        "model, or images without labels."
    )
