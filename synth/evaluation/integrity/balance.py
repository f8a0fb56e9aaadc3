"""How evenly classes and groups are filled."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from synth.evaluation.integrity.findings import LISTED, SHOWN, Finding, Record
from synth.evaluation.integrity.survey import Survey
from synth.text import plural, some

RATIO = 3.0
"""The largest class may be so many times the smallest before it is mentioned."""
SERIOUS = 10.0
SHARE = 0.2
"""A group of more than this share of all samples, where there are five or more, is mentioned."""


class GroupCount(Record):
    """A group, and in how many classes it is."""

    name: str
    count: int
    classes: int | None


class Balance(Record):
    """Counts, and how even they are."""

    class_counts: dict[str, int] | None
    ratio: float | None
    """Largest to smallest class that is not empty."""
    effective_classes: float | None
    """exp(entropy): equal to the number of classes where all are of one size."""
    groups: list[GroupCount] | None
    """Largest first."""
    group_count: int | None


def find_imbalance(
    survey: Survey, groups: Sequence[str | None] | None = None
) -> tuple[Balance, list[Finding]]:
    """Counts per class and group, and what stands out."""
    counts = survey.class_counts()
    there = {} if counts is None else {name: count for name, count in counts.items() if count}
    ratio = max(there.values()) / min(there.values()) if there else None
    sizes = None if groups is None else _groups(survey, groups)
    balance = Balance(
        class_counts=counts,
        ratio=ratio,
        effective_classes=_effective(list(there.values())) if there else None,
        groups=None if sizes is None else sizes[:LISTED],
        group_count=None if sizes is None else len(sizes),
    )
    return balance, [*_of_classes(counts, ratio), *_of_groups(sizes, len(survey))]


def _effective(counts: Sequence[int]) -> float:
    total = sum(counts)
    return math.exp(-sum(count / total * math.log(count / total) for count in counts))


def _groups(survey: Survey, groups: Sequence[str | None]) -> list[GroupCount]:
    counts = Counter(group for group in groups if group is not None)
    classes: dict[str, set[int]] = {}
    if survey.labels is not None:
        for group, label in zip(groups, survey.labels.tolist(), strict=True):
            if group is not None:
                classes.setdefault(group, set()).add(label)
    return [
        GroupCount(name=name, count=count, classes=None if survey.labels is None else len(classes[name]))
        for name, count in counts.most_common()
    ]


def _of_classes(counts: dict[str, int] | None, ratio: float | None) -> list[Finding]:
    if counts is None or ratio is None:
        return []
    findings = []
    empty = [name for name, count in counts.items() if not count]
    if empty:
        findings.append(
            Finding(
                subject="imbalance",
                severity="problem",
                message=f"There are no images of {some(empty)}.",
                remedy="Add some, or remove the class: nothing can be learned or measured of it.",
                count=len(empty),
            )
        )
    if ratio > RATIO:
        low = min((name for name in counts if counts[name]), key=lambda name: counts[name])
        high = max(counts, key=lambda name: counts[name])
        findings.append(
            Finding(
                subject="imbalance",
                severity="problem" if ratio > SERIOUS else "warning",
                message=f"{high} has {counts[high]:,} images and {low} {counts[low]:,}: {ratio:.1f} times "
                f"as many.",
                remedy=f"Add images of {low}, generate balanced labels (synth generate --labels balanced), "
                f"and read "
                "figures per class.",
                count=1,
            )
        )
    return findings


def _of_groups(sizes: list[GroupCount] | None, total: int) -> list[Finding]:
    if sizes is None or len(sizes) < 5:
        return []
    large = [group for group in sizes if group.count > SHARE * total]
    if not large:
        return []
    names = [f"{group.name} ({plural(group.count, 'image')})" for group in large]
    return [
        Finding(
            subject="imbalance",
            severity="warning",
            message=f"A few of {len(sizes)} groups hold much of the data: {some(names, SHOWN)}.",
            remedy="Figures will be about these groups: add others, or weigh groups equally when you "
            "measure.",
            count=len(large),
        )
    ]
