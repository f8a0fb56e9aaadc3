"""What a generator, or an augmentation, changes in the statistics of a source."""

from __future__ import annotations

import numpy as np

from synth.evaluation.integrity.appearance import compared, numbers
from synth.evaluation.integrity.effects import LEAST, Effect, effect
from synth.evaluation.integrity.findings import Finding, Record
from synth.evaluation.integrity.survey import Survey
from synth.text import some

CHANGED = 0.33
"""Cliff's delta from which a change is mentioned: medium (Romano et al. 2006)."""
SHIFT = 0.1
"""Change of a class's share that is mentioned."""
_EXACT = ("height", "width")


class Change(Record):
    """One statistic of synthetic images (here) against real ones (there)."""

    class_name: str | None
    """None: over all images."""
    effect: Effect


class Changes(Record):
    """Synthetic against real."""

    synthetic: str
    count: int
    changes: list[Change]
    """Of every statistic, over all images and per class where both have enough."""
    shares: dict[str, tuple[float, float]] | None
    """Class -> its share of the real and of the synthetic images; None where one of them has no labels."""
    unknown_classes: list[str]
    """Of the synthetic images, that the real ones do not have."""
    missing_classes: list[str]
    colour: tuple[float, float]
    """Share of images that are not grey: real, synthetic."""
    not_measured: str | None
    """Why no statistic is compared, where none is."""


def find_changes(real: Survey, synthetic: Survey) -> tuple[Changes, list[Finding]]:
    """Compare two sources; classes are matched by name, over one range of statistics."""
    names = [name for name in (real.classes or ()) if name in (synthetic.classes or ())]
    changes: list[Change] = []
    reason = None
    if min(len(real), len(synthetic)) < LEAST:
        reason = f"needs at least {LEAST} images in each; there are {len(real)} and {len(synthetic)}"
    else:
        changes += _compare(None, real, synthetic, np.arange(len(real)), np.arange(len(synthetic)))
        for name in names:
            rows, others = _rows(real, name), _rows(synthetic, name)
            if min(len(rows), len(others)) >= LEAST:
                changes += _compare(name, real, synthetic, rows, others)
    both = bool(real.classes and synthetic.classes)
    found = Changes(
        synthetic=synthetic.spec,
        count=len(synthetic),
        changes=changes,
        shares={name: (_share(real, name), _share(synthetic, name)) for name in names} if both else None,
        unknown_classes=[name for name in synthetic.classes or () if real.classes and name not in names],
        missing_classes=[
            name for name in real.classes or () if synthetic.classes and not len(_rows(synthetic, name))
        ],
        colour=(float((real.channels == 3).mean()), float((synthetic.channels == 3).mean())),
        not_measured=reason,
    )
    return found, _findings(found)


def _compare(
    name: str | None, real: Survey, synthetic: Survey, rows: np.ndarray, others: np.ndarray
) -> list[Change]:
    return [
        Change(
            class_name=name,
            effect=effect(statistic, synthetic.statistics[statistic][others], values[rows]),
        )
        for statistic, values in real.statistics.items()
    ]


def _rows(survey: Survey, name: str) -> np.ndarray:
    if survey.labels is None or survey.classes is None or name not in survey.classes:
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(survey.labels == survey.classes.index(name))


def _share(survey: Survey, name: str) -> float:
    return len(_rows(survey, name)) / len(survey)


def _findings(found: Changes) -> list[Finding]:
    findings = []
    for change in found.changes:
        one = change.effect
        if not one.stands_out(CHANGED):
            continue
        kind = "Synthetic images" if change.class_name is None else f"Synthetic images of {change.class_name}"
        remedy = "Train longer or with another recipe, or correct it by a pipeline, before you mix them "
        "with real ones."
        if one.statistic in _EXACT:
            remedy = "Bring both to one size before you mix them; a network tells them apart by it."
        findings.append(
            Finding(
                subject="changes",
                severity="warning",
                message=f"{kind} are {compared(one.statistic, one)} than real ones ({one.statistic}: "
                f"{numbers(one)}).",
                remedy=remedy,
                count=1,
            )
        )
    moved = {
        name: shares for name, shares in (found.shares or {}).items() if abs(shares[1] - shares[0]) >= SHIFT
    }
    if moved:
        texts = [f"{name} from {a:.0%} to {b:.0%}" for name, (a, b) in moved.items()]
        findings.append(
            Finding(
                subject="changes",
                severity="warning",
                message=f"Shares of classes change: {some(texts)}.",
                remedy="Ask for the labels that you want: synth generate --labels balanced, any, or counts.",
                count=len(moved),
            )
        )
    if {0.0, 1.0} == set(found.colour):
        kinds = ("grey", "in colour") if found.colour[1] == 0.0 else ("in colour", "grey")
        findings.append(
            Finding(
                subject="changes",
                severity="problem",
                message=f"The synthetic images are {kinds[0]}, and the real ones {kinds[1]}.",
                remedy="Bring both to the same channels: train the generator on the images as they are used.",
                count=found.count,
            )
        )
    for names, text in (
        (found.unknown_classes, "The synthetic images have classes that the real ones lack"),
        (found.missing_classes, "The synthetic images lack classes of the real ones"),
    ):
        if names:
            findings.append(
                Finding(
                    subject="changes",
                    severity="problem",
                    message=f"{text}: {some(names)}.",
                    remedy="Give both the same class names, or leave these classes out on purpose.",
                    count=len(names),
                )
            )
    return findings
