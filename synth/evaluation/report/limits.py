"""Section 9: what a report does not say, in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from synth.evaluation.report.model import Facts
from synth.evaluation.study import MINIMUM


def limits(facts: Facts, *, studied: bool, trained_on_known: bool) -> list[str]:
    """The limits of this report; those that hold for every one come last."""
    return [*_of_these(facts, studied=studied, trained_on_known=trained_on_known), *_of_all(facts)]


def _of_these(facts: Facts, *, studied: bool, trained_on_known: bool) -> Iterator[str]:
    if facts.holdout is None:
        yield (
            "There was no holdout. Utility was cross-validated on the real images, which the generator may "
            "have been trained on: then its images carry something of the test images over, and the gain is "
            "flattered. Whether images are nearer to training than to unseen images cannot be said at all."
        )
    elif not trained_on_known:
        yield (
            "It is not known which images the generator was trained on. The holdout must be unseen by it; "
            "nothing here can check that."
        )
    if facts.holdout is not None and facts.holdout.count < 10 * MINIMUM:
        yield f"The holdout has {facts.holdout.count:,} images: floors and intervals are wide."
    if studied and facts.seeds < 3:
        yield (
            f"Utility was measured with {facts.seeds} seed{'' if facts.seeds == 1 else 's'}: how much it "
            "varies from training to training is hardly known. Use 3 or more before you decide."
        )
    if studied:
        yield (
            "Classical augmentation pays off in long trainings. These are short, and it is gentle here so "
            "that it costs little in them: take the gain over classical augmentation as an upper bound."
        )
    if "random" in facts.extractor.lower():
        yield "The features are those of a random network: they know nothing of this domain."


def _of_all(facts: Facts) -> Iterator[str]:
    yield (
        f"All distances are in the features of one extractor ({facts.extractor}, "
        f"{facts.extractor_digest[:12]}). They see what it sees, and compare only with figures of the same "
        "digest."
    )
    yield (
        "Utility is that of one small classifier, trained briefly. A large or pretrained network may gain "
        "less, or more; the direction carries over better than the size."
    )
    yield (
        "That no copies were found says that none were found by this extractor, with the power that the "
        "planted copies show. It is no guarantee of privacy."
    )
    yield "Synthetic images share the bias of the images they were learned from, and may sharpen it."
    yield "Intervals are 95 % intervals of each figure by itself: of twenty, one misses its value by chance."
