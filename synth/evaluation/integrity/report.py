"""All that was found out about one source."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from synth.errors import ConfigError
from synth.evaluation.figures import NotMeasured
from synth.evaluation.integrity.appearance import Appearance
from synth.evaluation.integrity.balance import Balance
from synth.evaluation.integrity.changes import Changes
from synth.evaluation.integrity.duplicates import Duplicates
from synth.evaluation.integrity.findings import SUBJECTS, Finding, Record
from synth.evaluation.integrity.labels import LabelIssues
from synth.evaluation.integrity.outliers import Outliers
from synth.evaluation.integrity.overlaps import Leaks
from synth.text import closest

SCHEMA = 1
"""Raised when fields change their meaning."""


class Unreadable(Record):
    """A file that cannot be decoded."""

    file: str
    reason: str


class SourceReport(Record):
    """What ``synth check --json`` prints. Figures in features are comparable under one ``extractor`` digest
    only."""

    kind: Literal["synth-check"] = "synth-check"
    schema_version: int = SCHEMA
    software: str
    source: str
    count: int
    """Readable images."""
    distinct: int
    """Different pictures among them."""
    classes: list[str] | None
    digest: str
    """SHA-256 over the sorted ids."""
    seed: int
    extractor: str
    """Name of what the features are, of outliers and similar images."""
    extractor_digest: str | None
    """None for thumbnails, which need no network."""
    notes: list[str]
    unreadable: list[Unreadable]
    duplicates: Duplicates
    leaks: Leaks | NotMeasured
    outliers: Outliers | NotMeasured
    labels: LabelIssues | NotMeasured
    balance: Balance
    appearance: Appearance
    changes: Changes | NotMeasured
    findings: list[Finding]
    """Problems first."""

    def failing(self, subjects: Collection[str]) -> list[Finding]:
        """The findings about these subjects; ``any`` stands for all."""
        check_subjects(subjects)
        return [one for one in self.findings if one.subject in subjects or "any" in subjects]


def check_subjects(subjects: Collection[str]) -> None:
    """Raise ConfigError where one is neither a subject of findings nor ``any``."""
    for subject in subjects:
        if subject not in (*SUBJECTS, "any"):
            raise ConfigError(
                f"There is no check {subject!r}{closest(subject, SUBJECTS)}. Checks: "
                f"{', '.join(SUBJECTS)}, any."
            )
