"""Novelty and privacy: are the synthetic images new, or the training images once more?

Neither the training nor the holdout images are ever sub-sampled: that would hide copies.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from synth.evaluation.figures import Estimate, Figure
from synth.evaluation.metrics.checks import check_features, too_few
from synth.evaluation.metrics.copies import CALIBRATION, CopyDetector, Look, Matches, match
from synth.evaluation.metrics.distances import nearest
from synth.evaluation.metrics.intervals import share, wilson

LEAST = 20
_PAIRS = 20


@dataclass(frozen=True)
class Pair:
    """A synthetic image and the training image that it is likest to."""

    synthetic: int
    """Row of the synthetic set."""
    training: int
    """Row of the training set."""
    distance: float
    ratio: float
    """Distance by that to the next training image: about 1 for new images, near 0 for copies."""


@dataclass(frozen=True)
class Novelty:
    """What was found."""

    nearer_to_training: Figure
    """Share of synthetic images nearer to a training image than to any holdout image, were there as many of
    either: about 0.5 is wanted."""
    copies: Figure
    """Share of synthetic images that are copies of a training image; its floor is that of holdout images."""
    pairs: list[Pair]
    """The 20 closest pairs, closest first."""


def novelty(
    training: Tensor,
    holdout: Tensor,
    synthetic: Tensor,
    *,
    images: tuple[Tensor, Tensor, Tensor] | None = None,
    detector: CopyDetector | None = None,
    seed: int = 0,
) -> Novelty:
    """Compare synthetic images with those that the generator was trained on, and with real ones it never saw.

    Args:
        training: float [N, D]; holdout: float [M, D]; synthetic: float [K, D].
        images: the same three sets as uint8 [., C, H, W]: copies are then found by their pixels as well,
            which finds many more of those that are shifted, brightened, compressed or noisy.
        detector: of the same training and holdout images, where there is one already.
        seed: not used, as nothing is drawn; all figures are asked for alike.

    Raises:
        UsageError: unlike dimensions, or images that are not those of the features; SourceError: features
            that are not finite.
    """
    check_features(training=training, holdout=holdout, synthetic=synthetic)
    missing = too_few(2, training=training) or too_few(1, synthetic=synthetic)
    if missing is not None:
        return Novelty(missing, missing, [])
    first, second, third = images or (None, None, None)
    if detector is None:
        detector = CopyDetector(Look(training, first), Look(holdout, second))
    matches = match(Look(synthetic, third), detector.training)
    flags = detector.rule.flags(matches)
    missing = too_few(LEAST, training=training, holdout=holdout, synthetic=synthetic)
    return Novelty(
        missing or _nearer(matches, holdout, synthetic, len(training)),
        _copies(flags, detector),
        _pairs(matches),
    )


def _nearer(matches: Matches, holdout: Tensor, synthetic: Tensor, training_count: int) -> Estimate:
    """The share nearer to training, corrected for unlike counts by its expectation.

    If nothing was memorised, training and holdout images are alike to a synthetic image, and the nearest of
    all N + M is a training image with probability e = N / (N + M). If a share c is of copies, it is one in
    c + (1 - c) e of all cases. The figure is 1/2 + c / 2, with c solved for: what equal counts would give.
    (To draw as many from the larger set instead would leave most of the copied images out of it.)
    """
    to_holdout = nearest(synthetic, holdout, 1)[0][:, 0]
    hits = (matches.features < to_holdout).double() + 0.5 * (matches.features == to_holdout).double()
    expected = training_count / (training_count + len(holdout))

    def equalised(value: float) -> float:
        if value < expected:
            return 0.5 * value / expected
        return 0.5 + 0.5 * (value - expected) / (1 - expected)

    raw = float(hits.mean())
    low, high = wilson(float(hits.sum()), len(hits))
    return Estimate(
        value=equalised(raw),
        low=equalised(low),
        high=equalised(high),
        how=f"{len(synthetic):,} synthetic images against all {training_count:,} training and "
        f"{len(holdout):,} holdout images; {raw:.3f} are nearer to training, of which the counts alone "
        f"would give {expected:.3f}",
    )


def _copies(flags: Tensor, detector: CopyDetector) -> Estimate:
    rule, count = detector.rule, len(detector.holdout.distance)
    by = "features" if detector.training.pictures is None else "features and pixels"
    how = f"{len(flags):,} synthetic images against all {len(detector.training):,} training images, by {by}; "
    if not detector.calibrated:
        how += (
            f"equal, or a distance ratio below 1/3 (not calibrated, which needs {CALIBRATION} holdout images)"
        )
        return share(flags, how)
    how += (
        f"distance below {rule.distance:.3g} or ratio below {rule.ratio:.2f}, so that of {count:,} holdout "
    )
    how += "images at most 1 % are flagged"
    return share(flags, how).model_copy(update={"floor": float(detector.false_alarms().double().mean())})


def _pairs(matches: Matches) -> list[Pair]:
    rows = matches.distance.argsort(stable=True)[:_PAIRS]
    columns = (rows, matches.index[rows], matches.distance[rows], matches.ratio[rows])
    return [Pair(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]
