"""Duplicates within a set."""

from __future__ import annotations

from torch import Tensor

from synth.evaluation.figures import Figure
from synth.evaluation.metrics.checks import check_features, too_few
from synth.evaluation.metrics.distances import nearest
from synth.evaluation.metrics.intervals import share

LEAST = 10
_CLOSE = 0.05
_ROUNDING = 1e-5


def duplicates_within(features: Tensor, *, reference: Tensor | None = None) -> Figure:
    """The share of images that have a duplicate in the same set: 0 is best.

    A duplicate is nearer than a twentieth of the distance that a nearest neighbour usually (median) has in
    the reference, or equal but for rounding.

    Args:
        features: float [N, D].
        reference: float [M, D], real images that say which distances are usual. Without it, the set itself
            does: where more than half of it are duplicates, only equal images then count.

    Raises:
        UsageError: unlike dimensions; SourceError: features that are not finite.
    """
    usual = features if reference is None else reference
    check_features(given=features, reference=usual)
    missing = too_few(LEAST, given=features) or too_few(LEAST, reference=usual)
    if missing is not None:
        return missing
    distances = nearest(features, features, 1, same=True)[0][:, 0]
    typical = distances if reference is None else nearest(reference, reference, 1, same=True)[0][:, 0]
    scale = features.double().square().sum(dim=1).mean().sqrt()  # that of an image's features
    limit = max(_CLOSE * float(typical.median()), _ROUNDING * float(scale))
    return share(
        distances <= limit,
        f"{len(features):,} images; a duplicate is nearer than {limit:.3g}, 1/20 of the usual distance",
    )
