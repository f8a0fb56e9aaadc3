"""The names of a report's figures: one table for the HTML, the command line and ``--fail-under``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from synth.errors import ConfigError
from synth.evaluation.figures import Figure
from synth.evaluation.report.model import Report
from synth.text import closest

Better = Literal["higher", "lower", "near"]


@dataclass(frozen=True)
class Meaning:
    """How to read one figure.

    Attributes:
        name: for programs.
        part: of the report; ``name`` is an attribute of it unless ``attribute`` is given.
        title: for people.
        better: which way is better; ``near``: near its floor, or near the value that ``about`` tells.
        unit: ``share`` (0 to 1), ``points`` (a difference of shares) or ``number``.
        about: one sentence.
    """

    name: str
    part: str
    title: str
    better: Better
    unit: Literal["share", "points", "number"]
    about: str


MEANINGS: dict[str, Meaning] = {
    meaning.name: meaning
    for meaning in (
        Meaning("valid_share", "validity", "Valid images", "higher", "share",
                "Images of the right shape, type, range and label set. It must be 100 %."),
        Meaning("kernel_distance", "fidelity", "Kernel distance", "lower", "number",
                "How far the two sets of features lie apart (squared MMD, unbiased for small sets); 0: not "
                "at all."),
        Meaning("frechet_distance", "fidelity", "Fréchet distance", "lower", "number",
                "How far two normal distributions fitted to the features lie apart, extrapolated to "
                "infinitely many images."),
        Meaning("precision", "fidelity", "Precision", "higher", "share",
                "Synthetic images that lie among real ones."),
        Meaning("density", "fidelity", "Density", "near", "number",
                "How densely synthetic images lie among real ones; 1: as real ones do."),
        Meaning("two_sample_accuracy", "fidelity", "Two-sample test", "lower", "share",
                "How often a classifier tells real from synthetic; 50 % is by chance."),
        Meaning("two_sample_p", "fidelity", "Two-sample p-value", "higher", "number",
                "How probable such an accuracy would be if the sets did not differ."),
        Meaning("recall", "diversity", "Recall", "higher", "share",
                "Real images that lie among synthetic ones."),
        Meaning("coverage", "diversity", "Coverage", "higher", "share",
                "Real images with a synthetic one among their neighbours."),
        Meaning("vendi_ratio", "diversity", "Vendi ratio", "near", "number",
                "Number of effectively different synthetic images, per real one; 1: as diverse as real "
                "ones."),
        Meaning("duplicates", "diversity", "Duplicates within", "lower", "share",
                "Synthetic images that are hardly different from another synthetic one."),
        Meaning("real_accuracy", "utility", "Real only", "higher", "share",
                "Accuracy on unseen real images after training on the real ones."),
        Meaning("tstr_accuracy", "utility", "Synthetic only (TSTR)", "higher", "share",
                "Accuracy on unseen real images after training on synthetic ones alone."),
        Meaning("tstr_ratio", "utility", "TSTR ratio", "higher", "number",
                "The two before, divided: 1 means that synthetic images teach as much as real ones."),
        Meaning("trts_accuracy", "utility", "Train on real, test on synthetic (TRTS)", "near", "share",
                "Low: labels or images are wrong. Higher than on real images: the synthetic ones are too "
                "easy."),
        Meaning("gain", "utility", "Gain of real + synthetic", "higher", "points",
                "Accuracy less that of the real images alone, all real images used."),
        Meaning("gain_small", "utility", "The same with few real images", "higher", "points",
                "Where real images are few, synthetic ones have most to give."),
        Meaning("classical_gain", "utility", "Gain of classical augmentation", "higher", "points",
                "What shifts, crops, mirroring and erasing give for nothing."),
        Meaning("gain_over_classical", "utility", "Synthetic against classical", "higher", "points",
                "The gain of synthetic images less that of classical augmentation."),
        Meaning("nearer_to_training", "novelty", "Nearer to training than to holdout", "near", "share",
                "About 50 % is wanted: more means that training images were memorised."),
        Meaning("copies", "novelty", "Copies", "lower", "share",
                "Synthetic images nearer to a training image than unseen real images ever come."),
        Meaning("class_shift", "bias", "Shift of class proportions", "lower", "share",
                "Share of images that would have to change class for equal proportions."),
        Meaning("label_agreement", "labels", "Label agreement", "higher", "share",
                "Synthetic images whose label a classifier trained on real images agrees with."),
        Meaning("confident_disagreement", "labels", "Confident disagreement", "lower", "share",
                "Synthetic images that this classifier takes for another class with more than 90 % "
                "confidence."),
    )
}  # fmt: skip
"""By name, in the order of the report."""

_ATTRIBUTES = {"label_agreement": "agreement"}


def figures(report: Report) -> dict[str, Figure]:
    """All main figures by name."""
    return dict(_pairs(report))


def _pairs(report: Report) -> Iterator[tuple[str, Figure]]:
    for name, meaning in MEANINGS.items():
        yield name, getattr(getattr(report, meaning.part), _ATTRIBUTES.get(name, name))


@dataclass(frozen=True)
class Limit:
    """A value that a figure must reach (``least``) or stay within."""

    name: str
    value: float
    least: bool


def parse_limits(under: list[str], over: list[str]) -> list[Limit]:
    """``NAME=VALUE`` texts of ``--fail-under`` and ``--fail-over``; ConfigError where one cannot be used."""
    return [_parse(text, least=least) for texts, least in ((under, True), (over, False)) for text in texts]


def _parse(text: str, *, least: bool) -> Limit:
    option = "--fail-under" if least else "--fail-over"
    name, equals, number = (part.strip() for part in text.partition("="))
    if name not in MEANINGS:
        raise ConfigError(
            f"{option}: there is no figure {name!r}{closest(name, MEANINGS)}. Figures: {', '.join(MEANINGS)}."
        )
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if not equals or not abs(value) < float("inf"):
        raise ConfigError(f"Cannot read {option} {text!r}; write {name}=NUMBER, as in {name}=0.85.")
    better = MEANINGS[name].better
    if better != "near" and (better == "higher") != least:
        other = "--fail-over" if least else "--fail-under"
        raise ConfigError(
            f"{option} {text}: {name} is better when {better}, so this would fail good sets only. "
            f"Use {other} {text}."
        )
    return Limit(name, value, least)


def missed(report: Report, limits: list[Limit]) -> list[str]:
    """A sentence for each limit that is not kept; a figure that was not measured keeps none."""
    found = figures(report)
    sentences = []
    for limit in limits:
        figure = found[limit.name]
        word = "least" if limit.least else "most"
        if figure.kind == "not-measured":
            sentences.append(f"{limit.name} was not measured: {figure.reason}")
        elif (figure.value < limit.value) if limit.least else (figure.value > limit.value):
            sentences.append(f"{limit.name} is {figure.value:.4g}, and must be at {word} {limit.value:g}")
    return sentences
