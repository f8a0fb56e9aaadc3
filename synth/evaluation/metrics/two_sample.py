"""Classifier two-sample test: can real and synthetic images be told apart by their features?

Lopez-Paz and Oquab, ICLR 2017 (arXiv 1610.06545). The classifier is ridge regression on the features and
their squares, fitted to four fifths of the images and tested on the last, five times. Its solution is linear
in the labels, so that it can be fitted to permuted labels as well: the p value is that of a permutation test,
which holds at any number of images.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from synth.evaluation.figures import Estimate, Figure
from synth.evaluation.metrics.checks import check_features, too_few
from synth.evaluation.metrics.intervals import share, wilson
from synth.randomness import bits, permutation, stream_id

LEAST = 20
_FOLDS = 5
_PERMUTATIONS = 199
_ROWS = stream_id("evaluation/two-sample/rows")
_LABELS = stream_id("evaluation/two-sample/labels")


@dataclass(frozen=True)
class TwoSample:
    """How well the two are told apart."""

    accuracy: Figure
    """Of the classifier on images that it was not fitted to: 0.5 where the sets are alike, 1 at worst."""
    p_value: Figure
    """Chance of such an accuracy, were the sets alike; no smaller than 1 / 200. The interval is that of the
    random permutations."""


def two_sample_test(real: Tensor, synthetic: Tensor, *, seed: int = 0) -> TwoSample:
    """Tell real from synthetic images, equally many of each.

    Args:
        real: float [N, D]; synthetic: float [M, D].
        seed: of the images left out of the larger set, of the folds, and of the permutations.

    Raises:
        UsageError: unlike dimensions; SourceError: features that are not finite.
    """
    check_features(real=real, synthetic=synthetic)
    missing = too_few(LEAST, real=real, synthetic=synthetic)
    if missing is not None:
        return TwoSample(missing, missing)
    count = min(len(real), len(synthetic))
    first, second = (
        features[torch.from_numpy(permutation(seed, number, _ROWS, len(features)))[:count]]
        for number, features in enumerate((real, synthetic))
    )
    rows = _standardised(torch.cat([first, second]).double())
    # Rows are in random order already; both sets are spread evenly over the folds.
    folds = (torch.arange(count) % _FOLDS).repeat(2)
    right = _cross_fit(rows, folds, _labels(folds, count, seed))
    accuracies = right.mean(dim=0)
    as_good = int((accuracies[1:] >= accuracies[0] - 1e-12).sum())
    how = f"{count:,} images of each set, ridge classifier on features and squares, {_FOLDS} folds"
    low, high = wilson(as_good + 1, _PERMUTATIONS + 1)
    p_value = Estimate(
        value=(as_good + 1) / (_PERMUTATIONS + 1),
        low=low,
        high=high,
        how=f"{how}, {_PERMUTATIONS} permutations of the labels",
    )
    return TwoSample(accuracy=share(right[:, 0], how), p_value=p_value)


def _standardised(features: Tensor) -> Tensor:
    """float64 [N, 2 D]: features and their squares at mean 0 and variance 1; what hardly varies becomes 0."""
    rows = _scaled(features)
    return torch.cat([rows, _scaled(rows.clamp(-5, 5).square())], dim=1)


def _scaled(rows: Tensor) -> Tensor:
    centre = rows.mean(dim=0)
    moved = rows - centre
    spread = moved.square().mean(dim=0).sqrt()
    return torch.where(spread > 1e-6 * centre.abs(), moved / spread, 0.0)


def _labels(folds: Tensor, count: int, seed: int) -> Tensor:
    """float64 [2 count, 1 + permutations]: 1 for real and -1 for synthetic; permuted within each fold."""
    truth = torch.cat([torch.ones(count), -torch.ones(count)]).double()
    labels = truth[:, None].repeat(1, 1 + _PERMUTATIONS)
    for fold in range(_FOLDS):
        rows = (folds == fold).nonzero()[:, 0]
        words = bits(seed, torch.arange(_PERMUTATIONS) * _FOLDS + fold, _LABELS, len(rows))
        labels[rows, 1:] = truth[rows[words.argsort(dim=1, stable=True).T]]
    return labels


def _cross_fit(rows: Tensor, folds: Tensor, labels: Tensor) -> Tensor:
    """float64 [N, L]: 1 where the fit to the other folds tells a row's label right, 0.5 where it is tied."""
    right = torch.empty_like(labels)
    gram, products = rows.T @ rows, rows.T @ labels
    for fold in range(_FOLDS):
        held = folds == fold
        own, own_labels = rows[held], labels[held]
        # Of the other folds: what is of all, less what is of this one. Labels add up to 0 in every fold.
        rest = int((~held).sum())
        mean = -own.sum(dim=0) / rest
        inner = gram - own.T @ own - rest * torch.outer(mean, mean)
        # The penalty grows with the dimensions: with few images it leaves the difference of the means.
        inner.diagonal().add_(rows.shape[1])
        weights = torch.cholesky_solve(products - own.T @ own_labels, torch.linalg.cholesky(inner))
        scores = (own - mean) @ weights
        right[held] = (scores * own_labels > 0).double() + 0.5 * (scores == 0).double()
    return right
