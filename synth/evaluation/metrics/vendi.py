"""Vendi score: how many different images there are, in effect.

Friedman and Dieng, TMLR 2023 (arXiv 2210.02410).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from synth.errors import SourceError, UsageError
from synth.evaluation.figures import Estimate, Figure
from synth.evaluation.metrics.checks import check_features, too_few
from synth.evaluation.metrics.intervals import jackknife
from synth.randomness import permutation, stream_id

LEAST = 20
LARGEST = 1_000
"""Images that the ratio is computed of, as its cost is cubic; more of them hardly narrow the interval."""

_GROUPS = 10
_STREAM = stream_id("evaluation/vendi")


def vendi_score(features: Tensor, *, bandwidth: float | None = None) -> float:
    """The exponential of the entropy of the eigenvalues of K / N, K being the similarities of all pairs.

    It is 1 where all images are equal, and N where all are unlike each other. It grows with N: compare sets
    of the same size.

    Args:
        features: float [N, D], N from 1.
        bandwidth: None for cosine similarity, where rows of zeros are similar (1) to each other and to
            nothing else (0); it takes N D**2 or N**2 D operations. A distance from 0 for Gaussian similarity,
            ``exp(-d**2 / (2 bandwidth**2))`` of the Euclidean distance d; it takes N**3.

    Raises:
        UsageError: not [N, D], or a bandwidth below 0; SourceError: no rows, or not finite.
    """
    check_features(given=features)
    if not len(features):
        raise SourceError("The Vendi score needs at least 1 image; there are none.")
    if bandwidth is None:
        return _cosine_score(features.double())
    if not bandwidth >= 0:
        raise UsageError(f"A bandwidth is a distance from 0, not {bandwidth}.")
    return _gaussian_score(_distances(features.double()), bandwidth)


def vendi_ratio(real: Tensor, synthetic: Tensor, *, seed: int = 0) -> Figure:
    """The Vendi score of the synthetic images by that of the real ones: 1 where they are as diverse.

    Similarity is Gaussian, with half the mean distance of real images as the bandwidth: cosines of features
    are often all close to 1, and then hardly tell ten classes from two. Both scores are of equally many
    images, 1,000 at most. Noise counts as diversity: read it beside the figures of fidelity.

    Args:
        real: float [N, D]; synthetic: float [M, D].
        seed: of the images that are left out, and of the groups of the jackknife interval.

    Raises:
        UsageError: unlike dimensions; SourceError: features that are not finite.
    """
    check_features(real=real, synthetic=synthetic)
    missing = too_few(LEAST, real=real, synthetic=synthetic)
    if missing is not None:
        return missing
    count = min(len(real), len(synthetic), LARGEST)
    first, second = (
        _distances(
            features[torch.from_numpy(permutation(seed, number, _STREAM, len(features)))[:count]].double()
        )
        for number, features in enumerate((real, synthetic))
    )
    bandwidth = float(first.sum()) / (count * (count - 1)) / 2

    def ratio(rows: Tensor) -> float:
        kept = (rows[:, None], rows)
        return _gaussian_score(second[kept], bandwidth) / _gaussian_score(first[kept], bandwidth)

    every = torch.arange(count)
    value = ratio(every)
    low, high = jackknife(value, [ratio(every[every % _GROUPS != group]) for group in range(_GROUPS)])
    return Estimate(
        value=value,
        low=max(0.0, low),
        high=high,
        how=f"{count:,} images of each set, bandwidth {bandwidth:.3g}; interval by a jackknife of "
        f"{_GROUPS} groups",
    )


def _distances(features: Tensor) -> Tensor:
    """float64 [N, N]; by differences, so that those of equal rows are exactly 0."""
    return torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")


def _gaussian_score(distances: Tensor, bandwidth: float) -> float:
    if bandwidth == 0:
        return _score((distances == 0).double())
    return _score((distances / bandwidth).square_().div_(-2).exp_())


def _cosine_score(features: Tensor) -> float:
    """The smaller of the two matrices with the same eigenvalues is taken."""
    largest = features.abs().amax(dim=1, keepdim=True)
    zeros = largest[:, 0] == 0
    rows = features[~zeros] / largest[~zeros]  # so that no square overflows, or vanishes
    rows = rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    gram = rows @ rows.T if rows.shape[0] < rows.shape[1] else rows.T @ rows
    # Equal to each other and orthogonal to the rest, rows of zeros add one eigenvalue, their number.
    alike = zeros.double().sum().reshape(1, 1)
    return _score(torch.block_diag(gram, alike))  # type: ignore[no-untyped-call]


def _score(similarities: Tensor) -> float:
    """Of a symmetric float64 matrix whose eigenvalues add up to N."""
    shares = torch.linalg.eigvalsh(similarities).clamp(min=0)
    return math.exp(float(torch.special.entr(shares / shares.sum()).sum()))
