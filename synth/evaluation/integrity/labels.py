"""Labels that are probably wrong, most suspicious first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synth.evaluation.integrity.confident import (
    confident_guess,
    estimate_joint,
    margin,
    prune,
    ranking,
    self_confidence,
)
from synth.evaluation.integrity.findings import LISTED, SHOWN, Finding, Record
from synth.text import plural, some

LEAST_IMAGES = 50
LEAST_PER_CLASS = 6
"""Two in each of three folds: of fewer a classifier learns nothing that could be held against a label."""


class LabelIssue(Record):
    """A sample whose label is doubted."""

    sample: str
    given: str
    suggested: str
    self_confidence: float
    """Probability of the given label, 0 to 1."""
    margin: float
    """That less the probability of the best other one."""


class Confusion(Record):
    """How often one class is probably labelled as another."""

    given: str
    true: str
    share: float
    """Of all samples."""


class LabelIssues(Record):
    """Of confident learning; at most ``LISTED`` issues, the count is complete."""

    issues: list[LabelIssue]
    count: int
    examined: int
    skipped_classes: list[str]
    """Of too few images."""
    noise: float
    """Estimated share of wrong labels. Classes that are hard to tell apart make it larger than it is."""
    confusions: list[Confusion]
    accuracy: float
    """Of the predictor against the given labels, out of sample: how much it can be trusted."""
    how: str


def judge(
    probabilities: np.ndarray,
    labels: np.ndarray,
    origins: Sequence[str],
    classes: Sequence[str],
    how: str,
    skipped: Sequence[str] = (),
) -> tuple[LabelIssues, list[Finding]]:
    """The labels that out-of-sample probabilities float [N, K] speak against; labels int64 [N]."""
    doubted = prune(probabilities, labels)
    order = [int(row) for row in ranking(probabilities, labels) if doubted[row]]
    guess = confident_guess(probabilities, labels)
    best = np.where((guess >= 0) & (guess != labels), guess, probabilities.argmax(axis=1))
    confidence, margins = self_confidence(probabilities, labels), margin(probabilities, labels)
    issues = [
        LabelIssue(
            sample=origins[row],
            given=classes[labels[row]],
            suggested=classes[best[row]],
            self_confidence=float(confidence[row]),
            margin=float(margins[row]),
        )
        for row in order
    ]
    joint = estimate_joint(probabilities, labels)
    noise = float(joint.sum() - np.trace(joint))
    found = LabelIssues(
        issues=issues[:LISTED],
        count=len(issues),
        examined=len(labels),
        skipped_classes=list(skipped),
        noise=min(max(noise, 0.0), 1.0),
        confusions=_confusions(joint, classes),
        accuracy=float((probabilities.argmax(axis=1) == labels).mean()),
        how=how,
    )
    return found, _findings(found)


def _confusions(joint: np.ndarray, classes: Sequence[str]) -> list[Confusion]:
    found = [
        Confusion(given=classes[i], true=classes[j], share=float(joint[i, j]))
        for i in range(len(joint))
        for j in range(len(joint))
        if i != j and joint[i, j] > 0
    ]
    return sorted(found, key=lambda one: -one.share)[:20]


def _findings(found: LabelIssues) -> list[Finding]:
    if not found.count:
        return []
    names = [
        f"{one.sample} ({one.given}, rather {one.suggested}; {one.self_confidence:.2f})"
        for one in found.issues
    ]
    return [
        Finding(
            subject="labels",
            severity="warning",
            message=f"{found.count:,} of {plural(found.examined, 'label')} are doubted, most suspicious "
            f"first: "
            f"{some(names, SHOWN)}.",
            remedy="Look at them in this order, and correct what is wrong, until most that you see are "
            "right.",
            count=found.count,
            samples=[one.sample for one in found.issues],
        )
    ]
