"""Leaks: pictures of one part of a split, or of one source, that are in another, too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from synth.artifacts import Artifact
from synth.data.perceptual import NearRule, near_matches
from synth.data.splits import SampleRecord
from synth.data.splits.parts import folder_of
from synth.evaluation.integrity.duplicates import Alike
from synth.evaluation.integrity.findings import LISTED, SHOWN, Finding, Record
from synth.evaluation.integrity.survey import Survey
from synth.text import plural, some


class Pair(Record):
    """A sample and the one elsewhere that it equals or looks like."""

    sample: str
    other: str
    exact: bool


class Overlap(Record):
    """What two parts, or two sources, share."""

    one: str
    other: str
    exact: int
    """Samples of ``one`` that are in ``other``, too."""
    near: int
    """Samples of ``one`` that look like one of ``other`` and are not equal to any."""
    groups: list[str]
    """Groups that are in both."""
    pairs: list[Pair]


class Leaks(Record):
    """Every two parts that share something, and a model that was trained on a held-out part."""

    compared: list[str]
    overlaps: list[Overlap]
    unplaced: int = 0
    """Samples of the source that the split does not know."""


def leaks_between(
    survey: Survey, other: Survey, difference: float, matches: np.ndarray | None = None
) -> tuple[Leaks, list[Finding]]:
    """What two sources share.

    Args:
        survey, other: of the two.
        difference: of near-duplicates, see ``NearRule``; 0: only equal ones are looked for.
        matches: int64 [N], for each sample the one of ``other`` that is near in features, or -1.
    """
    where = {name: row for row, name in reversed(list(enumerate(other.ids)))}
    nearest = np.full(len(survey), -1, dtype=np.int64)
    if difference > 0:
        nearest, _ = near_matches(survey.thumbnails, other.thumbnails, NearRule(difference=difference))
    if matches is not None:
        nearest = np.where(nearest < 0, matches, nearest)
    pairs = []
    for row, name in enumerate(survey.ids):
        if name in where:
            pairs.append(Pair(sample=survey.origins[row], other=other.origins[where[name]], exact=True))
        elif nearest[row] >= 0:
            pairs.append(Pair(sample=survey.origins[row], other=other.origins[nearest[row]], exact=False))
    overlap = _overlap(survey.spec, other.spec, pairs)
    found = [overlap] if pairs else []
    return Leaks(compared=[survey.spec, other.spec], overlaps=found), _findings(found)


def leaks_within(
    survey: Survey, alike: Alike, records: Sequence[SampleRecord]
) -> tuple[Leaks, list[Finding]]:
    """What the parts of a split share: equal pictures, near-duplicates and groups.

    Samples are known by origin and content; those that the split does not know are counted.
    """
    known = {(record.origin, record.id): record for record in records}
    by_id: dict[str, SampleRecord] = {record.id: record for record in records}
    placed: dict[int, SampleRecord] = {}
    for row, key in enumerate(zip(survey.origins, survey.ids, strict=True)):
        record = known.get(key) or by_id.get(key[1])
        if record is not None:
            placed[row] = record
    places = {row: folder_of(record) for row, record in placed.items()}
    names = list(dict.fromkeys(folder_of(record) for record in records))
    shared: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for rows in alike.together:
        firsts: dict[str, int] = {}
        for row in rows:
            if row in places:
                firsts.setdefault(places[row], row)
        for (one, a), (other, b) in combinations(firsts.items(), 2):
            pair = Pair(
                sample=survey.origins[a], other=survey.origins[b], exact=survey.ids[a] == survey.ids[b]
            )
            shared[one, other].append(pair)
    groups = _shared_groups(records)
    overlaps = [
        _overlap(one, other, shared.get((one, other), []) + _turned(shared.get((other, one), [])),
                 groups.get((one, other), []))
        for one, other in combinations(names, 2)
        if (one, other) in shared or (other, one) in shared or (one, other) in groups
    ]  # fmt: skip
    leaks = Leaks(compared=names, overlaps=overlaps, unplaced=len(survey) - len(placed))
    return leaks, _findings(overlaps)


def training_leaks(
    artifact: Artifact, survey: Survey, records: Sequence[SampleRecord], training_part: str
) -> list[Finding]:
    """The held-out parts of a split, all but ``training_part``, that a model was trained on."""
    trained = set(np.array(survey.ids)[artifact.training_ids().contains(survey.ids)].tolist())
    seen: dict[str, list[SampleRecord]] = defaultdict(list)
    everything: dict[str, int] = defaultdict(int)
    for record in records:
        everything[folder_of(record)] += 1
        if record.id in trained:
            seen[folder_of(record)].append(record)
    return [
        Finding(
            subject="leaks",
            severity="problem",
            message=f"{artifact.manifest.reference} was trained on {len(found):,} of the "
            f"{plural(everything[place], 'sample')} of {place}: "
            f"{some([one.origin for one in found], SHOWN)}.",
            remedy=f"Do not measure it on {place}: train again on a part that leaves {place} out.",
            count=len(found),
            samples=[one.origin for one in found][:LISTED],
        )
        for place, found in sorted(seen.items())
        if found[0].part != training_part
    ]


def _shared_groups(records: Sequence[SampleRecord]) -> dict[tuple[str, str], list[str]]:
    places: dict[str, list[str]] = defaultdict(list)
    for record in records:
        if record.group is not None and folder_of(record) not in places[record.group]:
            places[record.group].append(folder_of(record))
    names = list(dict.fromkeys(folder_of(record) for record in records))
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for group, there in places.items():
        for one, other in combinations(sorted(there, key=names.index), 2):
            found[one, other].append(group)
    return found


def _turned(pairs: Sequence[Pair]) -> list[Pair]:
    return [Pair(sample=pair.other, other=pair.sample, exact=pair.exact) for pair in pairs]


def _overlap(one: str, other: str, pairs: Sequence[Pair], groups: Sequence[str] = ()) -> Overlap:
    exact = sum(pair.exact for pair in pairs)
    return Overlap(
        one=one,
        other=other,
        exact=exact,
        near=len(pairs) - exact,
        groups=list(groups)[:LISTED],
        pairs=sorted(pairs, key=lambda pair: not pair.exact)[:LISTED],
    )


def _findings(overlaps: Sequence[Overlap]) -> list[Finding]:
    findings = []
    for overlap in overlaps:
        count = overlap.exact + overlap.near
        parts = []
        if overlap.exact:
            parts.append(f"{plural(overlap.exact, 'equal picture')}")
        if overlap.near:
            parts.append(f"{plural(overlap.near, 'near-duplicate')}")
        if overlap.groups:
            parts.append(f"{plural(len(overlap.groups), 'group')} ({some(overlap.groups, SHOWN)})")
        examples = [f"{pair.sample} and {pair.other}" for pair in overlap.pairs]
        shown = f": {some(examples, SHOWN)}" if examples else ""
        findings.append(
            Finding(
                subject="leaks",
                severity="problem",
                message=f"{overlap.one} and {overlap.other} share {', '.join(parts)}{shown}.",
                remedy=f"What is measured on one after training on the other is too good. Remove these from "
                f"{overlap.one}, or divide everything anew with synth split, which keeps them together.",
                count=count or len(overlap.groups),
                samples=[pair.sample for pair in overlap.pairs],
            )
        )
    return findings
