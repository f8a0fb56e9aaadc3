"""From a source and a rule to the place of every sample."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from synth.data.folds import fold_by_hash
from synth.data.forest import Forest
from synth.data.perceptual import NearRule, near_links, thumbnail
from synth.data.source import Source
from synth.data.split import split_by_hash
from synth.data.splits.manifest import PartSummary, SampleRecord
from synth.data.splits.rule import SplitRule
from synth.errors import SourceError
from synth.text import plural, some


@dataclass(frozen=True)
class Split:
    """A split that is not on disk yet.

    Attributes:
        rule: what decided it.
        records: a line for each sample, in the source's order.
        parts, folds: how much each holds.
        notes: what the user should know.
        digest: see ``SplitManifest``.
    """

    rule: SplitRule
    records: list[SampleRecord]
    parts: list[PartSummary]
    folds: list[PartSummary]
    notes: list[str]

    @property
    def digest(self) -> str:
        lines = sorted(f"{record.id} {record.part} {record.fold}" for record in self.records)
        content = "\n".join([self.rule.model_dump_json(), *lines])
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def near_duplicates(self) -> int | None:
        """Samples that have a near-duplicate; None where these were not looked for."""
        if self.rule.near_duplicates is None and self.rule.encoder is None:
            return None
        return sum(record.near is not None for record in self.records)


def make_split(
    source: Source,
    rule: SplitRule,
    *,
    group: Callable[[Sequence[str]], Sequence[str | None]] | None = None,
    links: np.ndarray | None = None,
) -> Split:
    """Divide a source; see ``split_by_hash`` and ``fold_by_hash`` for the rules and what they promise.

    Args:
        source: at least one sample; it is decoded once.
        rule: fractions, folds, seed and how near-duplicates are found.
        group: from the samples' origins to the group of each, or None where it has none.
        links: int64 [M, 2], pairs that an extractor found to be near-duplicates.

    Raises:
        SourceError: no samples.
        ConfigError: fractions that do not add up to 1.
    """
    origins, thumbnails = _look(source, rule)
    ids, labels, classes = list(source.ids), source.labels, source.info.classes
    if not ids:
        raise SourceError(f"There are no images in {source.info.spec}; there is nothing to split.")
    groups = None if group is None else group(origins)
    together = np.concatenate([_near(ids, thumbnails, rule), np.empty((0, 2), dtype=np.int64)])
    if links is not None:
        together = np.concatenate([together, links])
    parts = split_by_hash(ids, rule.fractions, labels, groups, rule.seed, together, f"split-{rule.level}")
    part_of = {int(row): name for name, rows in parts.items() for row in rows}
    fold_of = _folds(rule, parts[next(iter(rule.fractions))], ids, labels, groups, together)
    near_of = _clusters(together, len(ids))
    records = [
        SampleRecord(
            id=ids[row],
            origin=origins[row],
            part=part_of[row],
            fold=fold_of.get(row),
            label=None if labels is None or classes is None else classes[labels[row]],
            group=None if groups is None else groups[row],
            near=near_of.get(row),
        )
        for row in range(len(ids))
    ]
    summaries = [
        _summary(name, [records[row] for row in rows.tolist()], classes) for name, rows in parts.items()
    ]
    folds = [
        _summary(f"fold-{number}", [record for record in records if record.fold == number], classes)
        for number in range(1, (rule.folds or 0) + 1)
    ]
    return Split(rule, records, summaries, folds, _notes(summaries, folds, rule, records))


def _look(source: Source, rule: SplitRule) -> tuple[list[str], np.ndarray]:
    """All origins, and the thumbnails where they are needed; the ids are known afterwards."""
    if rule.near_duplicates is None:
        return [origin for origin, _ in source.each(lambda pixels: None)], np.empty((0, 0, 0))
    seen = list(source.each(thumbnail))
    return [origin for origin, _ in seen], np.stack([picture for _, picture in seen]) if seen else np.empty(0)


def _near(ids: Sequence[str], thumbnails: np.ndarray, rule: SplitRule) -> np.ndarray:
    """Links between near-duplicates; equal ids are together anyway and are looked at once."""
    if rule.near_duplicates is None:
        return np.empty((0, 2), dtype=np.int64)
    first = np.array(sorted({name: row for row, name in reversed(list(enumerate(ids)))}.values()))
    links: np.ndarray = first[near_links(thumbnails[first], NearRule(difference=rule.near_duplicates))]
    return links


def _folds(
    rule: SplitRule,
    rows: np.ndarray,
    ids: Sequence[str],
    labels: np.ndarray | None,
    groups: Sequence[str | None] | None,
    links: np.ndarray,
) -> dict[int, int]:
    """Row -> fold from 1, of the samples in the first part."""
    if rule.folds is None:
        return {}
    place = np.full(len(ids), -1)
    place[rows] = np.arange(len(rows))
    # What is linked is in one part, so that a link has both ends in it, or none.
    inner = place[links[place[links[:, 0]] >= 0]] if len(links) else links
    folds = fold_by_hash(
        [ids[row] for row in rows],
        rule.folds,
        None if labels is None else labels[rows],
        None if groups is None else [groups[row] for row in rows],
        rule.seed,
        inner,
        f"folds-{rule.level}",
    )
    return {int(row): int(fold) + 1 for row, fold in zip(rows, folds, strict=True)}


def _clusters(links: np.ndarray, count: int) -> dict[int, int]:
    """Row -> number of its cluster, from 1 in the order of first rows; rows without a link have none."""
    forest = Forest(count)
    forest.add(links)
    numbers: dict[int, int] = {}
    return {
        row: numbers.setdefault(int(forest.root[row]), len(numbers) + 1)
        for row in sorted(set(links.flatten().tolist()))
    }


def _summary(name: str, records: Sequence[SampleRecord], classes: Sequence[str] | None) -> PartSummary:
    counts = Counter(record.label for record in records)
    groups = {record.group for record in records} - {None}
    return PartSummary(
        name=name,
        count=len(records),
        class_counts=None if classes is None else {one: counts[one] for one in classes},
        groups=len(groups) or None,
    )


def _notes(
    parts: Sequence[PartSummary],
    folds: Sequence[PartSummary],
    rule: SplitRule,
    records: Sequence[SampleRecord],
) -> list[str]:
    notes = []
    for summary in [*parts, *folds]:
        if not summary.count and rule.fractions.get(summary.name, 1.0) > 0:
            notes.append(f"{summary.name} is empty: there are too few samples, or groups, to fill it")
        lacking = [one for one, count in (summary.class_counts or {}).items() if not count]
        if summary.count and lacking:
            notes.append(f"{summary.name} lacks {some(lacking)}: too few samples of their own")
    linked = sum(record.near is not None for record in records)
    if linked:
        notes.append(f"{plural(linked, 'sample')} look like others and are kept together with them")
    return notes
