"""Images far from all others of their class: foreign pictures, broken scans, wrong crops."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from synth.evaluation.figures import NotMeasured
from synth.evaluation.integrity.findings import LISTED, SHOWN, Finding, Record
from synth.evaluation.integrity.survey import Survey
from synth.text import plural, some

NEIGHBOURS = 5
LEAST = 20
"""A class of fewer images has no scale to call one of them far."""
DEVIATIONS = 6.0
_BLOCK = 1_024


class Outlier(Record):
    """An image, and how far it is from its class."""

    sample: str
    label: str | None
    distance: float
    """To the fifth nearest of its class."""
    typical: float
    """The median of these distances in the class."""


class Outliers(Record):
    """Farthest first, by the multiple of what is typical; at most ``LISTED``, the count is complete."""

    samples: list[Outlier]
    count: int
    skipped_classes: list[str]
    """Of too few images."""
    how: str


def find_outliers(survey: Survey, features: Tensor, how: str) -> tuple[Outliers | NotMeasured, list[Finding]]:
    """The images whose distance to their fifth neighbour is far above what is usual in their class.

    Far is more than ``DEVIATIONS`` robust deviations (1.4826 times the median absolute one) above the median,
    of the distances' logarithms, which are much nearer to a normal distribution than the distances.

    Args:
        features: float32 [N, D], finite, of all samples.
        how: what they are, in words.
    """
    found: list[tuple[float, Outlier]] = []
    skipped: list[str] = []
    measured = False
    for name, rows in _classes(survey):
        if len(rows) < LEAST:
            skipped.append(name or "all")
            continue
        measured = True
        distances = neighbour_distances(features[torch.from_numpy(rows)], NEIGHBOURS)
        typical = float(np.median(distances))
        for at in np.flatnonzero(far(distances)):
            outlier = Outlier(
                sample=survey.origins[rows[at]], label=name, distance=float(distances[at]), typical=typical
            )
            found.append((float(distances[at]) / max(typical, 1e-12), outlier))
    if not measured:
        reason = f"needs at least {LEAST} images in a class; the largest has {_largest(survey)}"
        return NotMeasured(reason=reason), []
    found.sort(key=lambda pair: -pair[0])
    samples = [outlier for _, outlier in found]
    findings = []
    if samples:
        names = [one.sample if one.label is None else f"{one.sample} ({one.label})" for one in samples]
        findings.append(
            Finding(
                subject="outliers",
                severity="warning",
                message=f"{plural(len(samples), 'image')} are far from all others of their class: "
                f"{some(names, SHOWN)}.",
                remedy="Look at them: remove what does not belong there, correct the label, or add more of "
                "the kind.",
                count=len(samples),
                samples=[one.sample for one in samples][:LISTED],
            )
        )
    how = f"distance to neighbour {NEIGHBOURS} within the class, in {how}"
    return Outliers(samples=samples[:LISTED], count=len(samples), skipped_classes=skipped, how=how), findings


def neighbour_distances(features: Tensor, neighbours: int) -> np.ndarray:
    """float64 [N]: Euclidean distance of each row to its ``neighbours``-th nearest other one, N >
    neighbours."""
    nearest = [
        torch.cdist(block, features, compute_mode="donot_use_mm_for_euclid_dist")
        .kthvalue(neighbours + 1)
        .values
        for block in torch.split(features.float(), _BLOCK)
    ]
    found: np.ndarray = torch.cat(nearest).double().numpy()
    return found


def far(distances: np.ndarray) -> np.ndarray:
    """bool [N]: which of these distances are far above the others; none where all are equal."""
    scale = float(np.median(distances))
    if scale <= 0.0:
        # More than half have equal neighbours: whatever has none is alone among copies.
        return (
            np.asarray(distances > 0.0) if (distances > 0.0).mean() < 0.1 else np.zeros(len(distances), bool)
        )
    logarithms = np.log(np.maximum(distances, 1e-3 * scale) / scale)
    deviation = 1.4826 * float(np.median(np.abs(logarithms)))
    # A class of copies with the same distances has no deviation, but a tenth more is not far.
    return np.asarray(logarithms > DEVIATIONS * max(deviation, 0.05))


def _classes(survey: Survey) -> list[tuple[str | None, np.ndarray]]:
    if survey.labels is None or survey.classes is None:
        return [(None, np.arange(len(survey)))]
    return [(name, np.flatnonzero(survey.labels == number)) for number, name in enumerate(survey.classes)]


def _largest(survey: Survey) -> int:
    return max(len(rows) for _, rows in _classes(survey))
