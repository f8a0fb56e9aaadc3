"""Equal pictures, and such as look alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from synth.data.forest import Forest
from synth.data.perceptual import NearRule, near_links
from synth.evaluation.integrity.findings import LISTED, SHOWN, Cluster, Finding, Record
from synth.evaluation.integrity.survey import Survey
from synth.text import plural, some


class Duplicates(Record):
    """Clusters, largest first; at most ``LISTED`` of each kind, the counts are complete."""

    exact: list[Cluster]
    exact_clusters: int
    exact_surplus: int
    """Samples that could go without losing a picture."""
    near: list[Cluster]
    """Of pictures that are not equal: linked to each other directly, or over others."""
    near_clusters: int
    near_samples: int
    """Distinct pictures that have a near-duplicate."""
    conflicts: int
    """Clusters whose samples are in several classes."""
    how: str


class Alike:
    """Which samples are equal or look alike, as clusters of row numbers."""

    def __init__(self, survey: Survey, difference: float, links: np.ndarray | None = None) -> None:
        """``links``: int64 [M, 2] of near-duplicates found elsewhere (in features)."""
        by_id: dict[str, list[int]] = defaultdict(list)
        for row, name in enumerate(survey.ids):
            by_id[name].append(row)
        self.exact = [rows for rows in by_id.values() if len(rows) > 1]
        first = np.array([rows[0] for rows in by_id.values()], dtype=np.int64)
        forest = Forest(len(survey))
        if difference > 0:
            forest.add(first[near_links(survey.thumbnails[first], NearRule(difference=difference))])
        if links is not None:
            forest.add(links)
        equal = [[rows[0], row] for rows in self.exact for row in rows[1:]]
        forest.add(np.array(equal, dtype=np.int64).reshape(-1, 2))
        self.links = forest.links()
        together: dict[int, list[int]] = defaultdict(list)
        for row in np.unique(self.links).tolist():
            together[int(forest.root[row])].append(row)
        self.together = list(together.values())
        """All of a cluster, equal ones too."""
        ids = survey.ids
        self.near = [rows for rows in self.together if len({ids[row] for row in rows}) > 1]


def find_duplicates(survey: Survey, alike: Alike, how: str) -> tuple[Duplicates, list[Finding]]:
    """The clusters of a source, and what to do about them."""
    exact, near = as_clusters(survey, alike.exact), as_clusters(survey, alike.near)
    surplus = sum(len(cluster.samples) - 1 for cluster in exact)
    distinct = sum(len({survey.ids[row] for row in rows}) for rows in alike.near)
    conflicting = [cluster for cluster in as_clusters(survey, alike.together) if cluster.conflicting]
    found = Duplicates(
        exact=exact[:LISTED],
        exact_clusters=len(exact),
        exact_surplus=surplus,
        near=near[:LISTED],
        near_clusters=len(near),
        near_samples=distinct,
        conflicts=len(conflicting),
        how=how,
    )
    findings = []
    if exact:
        findings.append(
            Finding(
                subject="duplicates",
                severity="warning",
                message=f"{plural(surplus, 'image')} are there more than once: {_examples(exact)}.",
                remedy="Keep one of each, so that no picture counts twice; synth split keeps equal ones in "
                "one part.",
                count=surplus,
                samples=_samples(exact),
            )
        )
    if near:
        findings.append(
            Finding(
                subject="near-duplicates",
                severity="warning",
                message=f"{plural(distinct, 'image')} look like others ({plural(len(near), 'cluster')}): "
                f"{_examples(near)}.",
                remedy="Look at them. Remove copies; keep series of one scene in one part: synth split "
                "does that.",
                count=distinct,
                samples=_samples(near),
            )
        )
    if conflicting:
        findings.append(
            Finding(
                subject="labels",
                severity="problem",
                message=f"{plural(len(conflicting), 'picture')} are in several classes: "
                f"{_examples(conflicting)}.",
                remedy="At most one of these labels is right: correct it, or remove the others.",
                count=len(conflicting),
                samples=_samples(conflicting),
            )
        )
    return found, findings


def as_clusters(
    survey: Survey, clusters: Iterable[Sequence[int]], places: Mapping[int, str] | None = None
) -> list[Cluster]:
    """Row numbers as what the user calls the samples, largest clusters first."""
    ordered = sorted(clusters, key=lambda rows: (-len(rows), rows[0]))
    return [
        Cluster(
            samples=[survey.origins[row] for row in rows[:LISTED]],
            labels=survey.label_names(list(rows[:LISTED])),
            places=None if places is None else [places.get(row, "") for row in rows[:LISTED]],
        )
        for rows in ordered
    ]


def _examples(clusters: Sequence[Cluster]) -> str:
    shown = []
    for cluster in clusters:
        names = cluster.samples
        if cluster.conflicting and cluster.labels is not None:
            names = [f"{name} ({label})" for name, label in zip(names, cluster.labels, strict=True)]
        shown.append(" = ".join([some(names, 3)]))
    return "; ".join(shown[:SHOWN]) + (f"; and {len(shown) - SHOWN} more" if len(shown) > SHOWN else "")


def _samples(clusters: Sequence[Cluster]) -> list[str]:
    return [name for cluster in clusters for name in cluster.samples][:LISTED]
