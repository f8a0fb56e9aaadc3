"""Vendi score: how many different images there are, in effect.

Friedman and Dieng, TMLR 2023 (arXiv 2210.02410).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from synth.errors import SourceError
from synth.evaluation.figures import Estimate, Figure
from synth.evaluation.metrics.checks import check_features, too_few
from synth.evaluation.metrics.intervals import jackknife
from synth.randomness import permutation, stream_id

LEAST = 20
_GROUPS = 10
_STREAM = stream_id("evaluation/vendi")


def vendi_score(features: Tensor) -> float:
    """The exponential of the entropy of the eigenvalues of K / N, K being the cosine similarities.

    It is 1 where all images are equal, and N where all are orthogonal to each other. It grows with N: compare
    sets of the same size.

    Args:
        features: float [N, D], N from 1. Rows of zeros are similar (1) to each other and to nothing else (0).

    Raises:
        UsageError: not [N, D]; SourceError: no rows, or features that are not finite.
    """
    check_features(given=features)
    if not len(features):
        raise SourceError("The Vendi score needs at least 1 image; there are none.")
    return _score(features.double())


def vendi_ratio(real: Tensor, synthetic: Tensor, *, seed: int = 0) -> Figure:
    """The Vendi score of the synthetic images by that of the real ones: 1 where they are as diverse.

    Both scores are taken around the mean of the real features, since what all images share would hide in
    what they differ; and of equally many images, as the score grows with their number. Noise counts as
    diversity: read it beside the figures of fidelity.

    Args:
        real: float [N, D]; synthetic: float [M, D].
        seed: of the images that are left out of the larger set, and of the groups of the jackknife interval.

    Raises:
        UsageError: unlike dimensions; SourceError: features that are not finite.
    """
    check_features(real=real, synthetic=synthetic)
    missing = too_few(LEAST, real=real, synthetic=synthetic)
    if missing is not None:
        return missing
    count = min(len(real), len(synthetic))
    centre = real.double().mean(dim=0)
    first, second = (
        features[torch.from_numpy(permutation(seed, number, _STREAM, len(features)))[:count]].double()
        - centre
        for number, features in enumerate((real, synthetic))
    )
    value = _score(second) / _score(first)
    groups = torch.arange(count) % _GROUPS
    without = [_score(second[groups != group]) / _score(first[groups != group]) for group in range(_GROUPS)]
    low, high = jackknife(value, without)
    return Estimate(
        value=value,
        low=max(0.0, low),
        high=high,
        how=f"{count:,} images of each set; interval by a jackknife of {_GROUPS} groups",
    )


def _score(features: Tensor) -> float:
    """Of float64 [N, D]; the smaller of the two matrices with the same eigenvalues is taken."""
    largest = features.abs().amax(dim=1, keepdim=True)
    zeros = largest[:, 0] == 0
    rows = features[~zeros] / largest[~zeros]  # so that no square overflows, or vanishes
    rows = rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    gram = rows @ rows.T if rows.shape[0] < rows.shape[1] else rows.T @ rows
    shares = torch.linalg.eigvalsh(gram / len(features)).clamp(min=0)
    shares = torch.cat([shares, zeros.double().mean().reshape(1)])
    shares = shares / shares.sum()
    return math.exp(float(torch.special.entr(shares).sum()))
