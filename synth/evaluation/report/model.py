"""The report as plain, frozen values: what the JSON holds, and all that the HTML is drawn from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat

from synth.evaluation.figures import Figure

SCHEMA = 1
"""Raised when an older reader could misread a newer report."""

Status = Literal["invalid", "copies", "harmful", "helps", "does-not-help", "cannot-tell"]
Tone = Literal["good", "bad", "neutral"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Picture(_Record):
    """A PNG."""

    png: str
    """Base64."""
    width: int
    height: int
    about: str
    """What is to be seen, in words."""


class Reason(_Record):
    """One finding behind the verdict."""

    tone: Tone
    text: str


class Verdict(_Record):
    """What the figures come to, in words; see ``synth.evaluation.report.verdict`` for the rules."""

    status: Status
    headline: str
    reasons: list[Reason]


class SetFacts(_Record):
    """One of the sets that were compared."""

    source: str
    count: int
    digest: str
    """SHA-256 over the sorted content hashes: equal digests mean equal images."""
    class_counts: list[int] | None


class Facts(_Record):
    """What was compared, and by what."""

    real: SetFacts
    synthetic: SetFacts
    holdout: SetFacts | None
    shape: tuple[int, int, int]
    """Channels, height, width."""
    classes: list[str] | None
    model: str | None
    """Reference of the generator, where it is known."""
    model_digest: str | None
    extractor: str
    extractor_digest: str
    dimensions: int
    seed: int
    seeds: int
    notes: list[str]
    seconds: FiniteFloat


class ValidityPart(_Record):
    """Section 2."""

    valid_share: Figure
    problems: list[str]


class ProjectionPoints(_Record):
    """The features in the plane of their two largest principal components."""

    real: list[tuple[float, float]]
    synthetic: list[tuple[float, float]]
    explained: Share
    """Of the variance of the real features, by the plane."""


class FidelityPart(_Record):
    """Section 3."""

    kernel_distance: Figure
    frechet_distance: Figure
    precision: Figure
    density: Figure
    two_sample_accuracy: Figure
    two_sample_p: Figure
    samples: list[Picture]
    projection: ProjectionPoints | None


class ClassDiversity(_Record):
    """Of the images of one class."""

    name: str
    recall: Figure
    coverage: Figure
    vendi_ratio: Figure


class DiversityPart(_Record):
    """Section 4."""

    recall: Figure
    coverage: Figure
    vendi_ratio: Figure
    duplicates: Figure
    per_class: list[ClassDiversity]


class Mix(_Record):
    """One training set of the utility study."""

    name: str
    real: int
    synthetic: int
    classical: bool
    accuracy: Figure
    gain: Figure | None
    """Accuracy less that on the real images alone, seed by seed; None for those themselves."""


class ClassUtility(_Record):
    """Recall of one class, or accuracy on one group, before and after synthetic images are added."""

    name: str
    before: Figure
    after: Figure
    delta: Figure
    tstr: Figure


class UtilityPart(_Record):
    """Section 5."""

    real_accuracy: Figure
    tstr_accuracy: Figure
    tstr_ratio: Figure
    trts_accuracy: Figure
    gain: Figure
    """Of real + synthetic over real alone, with all real images."""
    gain_small: Figure
    """The same with few real images."""
    classical_gain: Figure
    gain_over_classical: Figure
    mixes: list[Mix]
    per_class: list[ClassUtility]
    how: str


class Pair(_Record):
    """A synthetic image and its nearest training image."""

    synthetic: int
    training: int
    """Places in their sets."""
    distance: FiniteFloat
    ratio: FiniteFloat
    picture: Picture
    """The synthetic image on the left, the training image on the right."""


class Power(_Record):
    """What the search for copies finds of copies put in on purpose."""

    share: Share
    planted: int
    recall: Figure
    false_alarms: Figure
    by_kind: dict[str, Figure]
    """Recall by how the copies were changed."""


class Histogram(_Record):
    """Counts of nearest distances to the training images, as shares of each set."""

    edges: list[FiniteFloat]
    synthetic: list[Share]
    holdout: list[Share]


class NoveltyPart(_Record):
    """Section 6."""

    nearer_to_training: Figure
    copies: Figure
    identical: int
    """Synthetic images with the very pixels of a real or held-out one."""
    pairs: list[Pair]
    power: list[Power]
    distances: Histogram | None


class Proportion(_Record):
    """Of a class or group, before and after the synthetic images are added."""

    name: str
    real: Share
    synthetic: Share | None
    together: Share | None


class BiasPart(_Record):
    """Section 7."""

    class_shift: Figure
    """Total variation distance between the class proportions of real and synthetic images, 0 to 1."""
    classes: list[Proportion]
    groups: list[Proportion]
    per_group: list[ClassUtility]
    note: str


class ClassAgreement(_Record):
    """Of the synthetic images of one class, the share that is taken for it."""

    name: str
    agreement: Figure


class Disagreement(_Record):
    """A synthetic image that is taken for another class than it is labelled as."""

    synthetic: int
    """Its place in the set."""
    label: str
    taken_for: str
    confidence: Share
    picture: Picture


class LabelPart(_Record):
    """Section 8."""

    agreement: Figure
    confident_disagreement: Figure
    per_class: list[ClassAgreement]
    disagreements: list[Disagreement]
    """The most confident ones."""


class Report(_Record):
    """The evidence on one synthetic set. ``synth.evaluation.report.names`` names each figure."""

    kind: Literal["synth-report"] = "synth-report"
    schema_version: int = SCHEMA
    software: str
    created: AwareDatetime
    verdict: Verdict
    facts: Facts
    validity: ValidityPart
    fidelity: FidelityPart
    diversity: DiversityPart
    utility: UtilityPart
    novelty: NoveltyPart
    bias: BiasPart
    labels: LabelPart
    limits: list[str]
