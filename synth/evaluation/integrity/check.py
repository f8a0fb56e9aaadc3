"""Every check of a source, one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from synth import __version__
from synth.artifacts import Artifact
from synth.data import Source
from synth.data.perceptual import Looks
from synth.data.splits import SampleRecord, SplitManifest
from synth.errors import UsageError
from synth.evaluation.classifiers import Opinions
from synth.evaluation.extractor import Extractor
from synth.evaluation.figures import NotMeasured
from synth.evaluation.integrity.appearance import describe_appearance
from synth.evaluation.integrity.balance import find_imbalance
from synth.evaluation.integrity.changes import Changes, find_changes
from synth.evaluation.integrity.duplicates import Alike, find_duplicates
from synth.evaluation.integrity.features import check_features, feature_links, feature_matches, features_of
from synth.evaluation.integrity.findings import LISTED, SHOWN, Finding
from synth.evaluation.integrity.label_check import check_labels
from synth.evaluation.integrity.options import CheckOptions
from synth.evaluation.integrity.outliers import find_outliers
from synth.evaluation.integrity.overlaps import Leaks, leaks_between, leaks_within, training_leaks
from synth.evaluation.integrity.report import SourceReport, Unreadable
from synth.evaluation.integrity.survey import Survey, survey
from synth.text import plural, some


def check_source(
    source: Source,
    *,
    split: tuple[SplitManifest, Sequence[SampleRecord]] | None = None,
    against: Source | None = None,
    synthetic: Source | None = None,
    model: Artifact | None = None,
    extractor: Extractor | None = None,
    classifier: Opinions | None = None,
    groups: Sequence[str | None] | None = None,
    options: CheckOptions | None = None,
) -> SourceReport:
    """Look for what may be wrong with a source. Nothing is changed.

    Args:
        source: opened with ``skip_unreadable``, it reports unreadable files instead of raising.
        split: of this source; its parts must not share anything.
        against: another source that must not share anything with this one.
        synthetic: images to compare with these.
        model: a generator that must not have been trained on held-out parts of ``split``; with ``against``,
        on
            nothing in there.
        extractor: in whose features outliers, near-duplicates and labels are looked for. Without one outliers
            are looked for in thumbnails, and labels are judged by a classifier that is trained here.
        classifier: a published one, by which labels are judged instead.
        groups: the group of each sample; by default those of ``split``.

    Raises:
        SourceError: no images; images of unlike sizes, with an extractor and without ``options.size``.
        UsageError: features that are not finite, or groups of another number than the samples.
        LabelError: classes that the classifier does not know.
        LeakError: the classifier has learnt these very labels.
    """
    options = options or CheckOptions()
    seen = survey(source)
    if groups is not None and len(groups) != len(seen):
        raise UsageError(
            f"{len(groups)} groups were given for {plural(len(seen), 'image')}; give one for each."
        )
    features, described = _features(source, seen, extractor, options)
    links = None if extractor is None else feature_links(features, options.similarity)
    alike = Alike(seen, options.near_duplicates, links)
    duplicates, findings = find_duplicates(seen, alike, _how_alike(extractor, options))
    findings = [*_unreadable(seen), *findings]
    leaks, found = _leaks(seen, alike, features, split, against, model, extractor, options)
    findings += found
    outliers, found = find_outliers(seen, features, described)
    findings += found
    labels, found = check_labels(source, seen, alike, features, extractor, classifier, options)
    findings += found
    balance, found = find_imbalance(seen, _groups(seen, split) if groups is None else groups)
    findings += found
    appearance, found = describe_appearance(seen)
    findings += found
    changes: Changes | NotMeasured = NotMeasured(reason="needs synthetic images, or a model, to compare with")
    if synthetic is not None:
        changes, found = find_changes(seen, survey(synthetic))
        findings += found
    return SourceReport(
        software=f"synth {__version__}",
        source=seen.spec,
        count=len(seen),
        distinct=len(set(seen.ids)),
        classes=None if seen.classes is None else list(seen.classes),
        digest=hashlib.sha256("\n".join(sorted(seen.ids)).encode()).hexdigest(),
        seed=options.seed,
        extractor=described,
        extractor_digest=None if extractor is None else extractor.digest,
        notes=list(seen.notes),
        unreadable=[Unreadable(file=origin, reason=reason) for origin, reason in seen.unreadable],
        duplicates=duplicates,
        leaks=leaks,
        outliers=outliers,
        labels=labels,
        balance=balance,
        appearance=appearance,
        changes=changes,
        findings=sorted(findings, key=lambda one: one.severity != "problem"),
    )


def _features(
    source: Source, seen: Survey, extractor: Extractor | None, options: CheckOptions
) -> tuple[Tensor, str]:
    """float32 [N, D], and what they are in words."""
    if extractor is not None:
        return features_of(source, extractor, options.size), f"features of {extractor.name}"
    looks = Looks(seen.thumbnails)
    values = np.concatenate([looks.low, (looks.mean / 64.0)[:, None], (looks.std / 64.0)[:, None]], axis=1)
    return check_features(torch.from_numpy(values)), "the low frequencies of thumbnails"


def _how_alike(extractor: Extractor | None, options: CheckOptions) -> str:
    if not options.near_duplicates:
        look = "perceptual hashes not compared"
    else:
        look = f"perceptual hash and thumbnails that differ by at most {options.near_duplicates:g}"
    if extractor is None:
        return look
    return f"{look}; cosine of at least {options.similarity:g} in features of {extractor.name}"


def _unreadable(seen: Survey) -> list[Finding]:
    if not seen.unreadable:
        return []
    names = [f"{origin} {reason}" for origin, reason in seen.unreadable]
    return [
        Finding(
            subject="unreadable",
            severity="problem",
            message=f"{len(names):,} files or annotations cannot be read: {some(names, SHOWN)}.",
            remedy="Mend, fetch or remove them; --skip-unreadable leaves them out elsewhere.",
            count=len(names),
            samples=[origin for origin, _ in seen.unreadable][:LISTED],
        )
    ]


def _groups(
    seen: Survey, split: tuple[SplitManifest, Sequence[SampleRecord]] | None
) -> list[str | None] | None:
    if split is None or all(record.group is None for record in split[1]):
        return None
    group_of = {record.id: record.group for record in split[1]}
    return [group_of.get(name) for name in seen.ids]


def _leaks(
    seen: Survey,
    alike: Alike,
    features: Tensor,
    split: tuple[SplitManifest, Sequence[SampleRecord]] | None,
    against: Source | None,
    model: Artifact | None,
    extractor: Extractor | None,
    options: CheckOptions,
) -> tuple[Leaks | NotMeasured, list[Finding]]:
    if split is not None:
        manifest, records = split
        leaks, findings = leaks_within(seen, alike, records)
        if model is not None:
            findings += training_leaks(model, seen, records, manifest.parts[0].name)
        return leaks, findings
    if against is None:
        reason = "needs a split of this source (--split), or a source that it must not share images with "
        "(--against)"
        return NotMeasured(reason=reason), []
    other = survey(against)
    matches = None
    if extractor is not None:
        matches = feature_matches(features, features_of(against, extractor, options.size), options.similarity)
    leaks, findings = leaks_between(seen, other, options.near_duplicates, matches)
    return leaks, findings + _unlike(seen, other)


def _unlike(seen: Survey, other: Survey) -> list[Finding]:
    """What makes two sources that are to be used together unfit for it."""
    faults = []
    if (seen.classes is None) != (other.classes is None):
        faults.append(
            f"one has labels and the other ({(seen if seen.classes is None else other).spec}) has none"
        )
    elif seen.classes is not None and other.classes is not None and set(seen.classes) != set(other.classes):
        odd = sorted(set(seen.classes) ^ set(other.classes))
        faults.append(f"these classes are in one of them only: {some(odd)}")
    colours = {bool((one.channels == 3).any()) for one in (seen, other)}
    if len(colours) > 1:
        faults.append("one is grey and the other has colour")
    return [
        Finding(
            subject="changes",
            severity="problem",
            message=f"{seen.spec} and {other.spec} do not fit together: {fault}.",
            remedy="Bring both to the same classes and channels before you train on one and measure on the "
            "other.",
            count=1,
        )
        for fault in faults
    ]
