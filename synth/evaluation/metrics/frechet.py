"""Frechet distance of two sets of features, taken as normal distributions.

Heusel et al., NeurIPS 2017 (arXiv 1706.08500). It is biased upwards by about c / N + c' / M; what it would be
for infinitely many images is extrapolated (Chong and Forsyth, CVPR 2020, arXiv 1911.07023).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synth.errors import SourceError
from synth.evaluation.figures import Estimate, Figure
from synth.evaluation.metrics.checks import check_features, too_few
from synth.evaluation.metrics.intervals import jackknife
from synth.randomness import permutation, stream_id

_STREAM = stream_id("evaluation/frechet")
LEAST = 100
_PARTS = 2
_GROUPS = 10


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """``|m - m'|**2 + trace(C + C' - 2 (C C')**0.5)``, from 0, in double precision; C divides by N - 1.

    Args:
        first: float [N, D]; second: float [M, D]; N and M from 2.

    Raises:
        UsageError: unlike dimensions; SourceError: features that are not finite, or fewer than 2 images.
    """
    check_features(first=first, second=second)
    if min(len(first), len(second)) < 2:
        raise SourceError(
            f"A Frechet distance needs at least 2 images in each set, not {len(first)} and {len(second)}."
        )
    centre = second.double().mean(dim=0)
    return _distance(_moments(first.double() - centre), _moments(second.double() - centre))


def frechet_extrapolated(real: Tensor, synthetic: Tensor, *, seed: int = 0) -> Figure:
    """The Frechet distance for infinitely many images: 0 where the sets are alike, larger is worse.

    Both sets are cut into 2 disjoint parts. The distance of whole sets is F + b, with b the bias; the mean
    over the pairs of parts, which have half as many images, is F + 2 b. F is twice the first less the second:
    the line through the two points over 1 / N. It may come out below 0 where the sets are alike.

    Args:
        real: float [N, D]; synthetic: float [M, D]; N and M may differ.
        seed: of the parts, and of the groups of the jackknife interval.

    Raises:
        UsageError: unlike dimensions; SourceError: features that are not finite.
    """
    check_features(real=real, synthetic=synthetic)
    width = real.shape[1]
    missing = too_few(max(LEAST, 3 * width), real=real, synthetic=synthetic)
    if missing is not None:
        reason = f"{missing.reason} (3 for each of {width:,} dimensions, and no less than {LEAST})"
        return missing.model_copy(update={"reason": reason})
    centre = real.double().mean(dim=0)
    a, b = (
        _pieces(features.double() - centre, permutation(seed, number, _STREAM, len(features)))
        for number, features in enumerate((real, synthetic))
    )
    value = _extrapolate(a, b, range(_GROUPS))
    groups = [[other for other in range(_GROUPS) if other != group] for group in range(_GROUPS)]
    without = [_extrapolate(a, b, kept) for kept in groups]
    low, high = jackknife(value, without)
    return Estimate(
        value=value,
        low=low,
        high=high,
        how=f"extrapolated to infinity from {len(real):,} real and {len(synthetic):,} synthetic images "
        f"in {width:,} dimensions; interval by a jackknife of {_GROUPS} groups",
    )


@dataclass(frozen=True)
class _Moments:
    """Sums over some images: those of disjoint images add up to those of all."""

    count: int
    total: Tensor
    """float64 [D]"""
    outer: Tensor
    """float64 [D, D]: sum of the outer products."""

    @property
    def mean(self) -> Tensor:
        return self.total / self.count

    @property
    def covariance(self) -> Tensor:
        return (self.outer - torch.outer(self.mean, self.total)) / (self.count - 1)


def _moments(features: Tensor) -> _Moments:
    """Of float64 [N, D], which lie around a common centre near 0, so that no digits are lost in the sums."""
    return _Moments(len(features), features.sum(dim=0), features.T @ features)


def _union(pieces: Iterable[_Moments]) -> _Moments:
    count, total, outer = 0, torch.zeros(()), torch.zeros(())
    for piece in pieces:
        count, total, outer = count + piece.count, total + piece.total, outer + piece.outer
    return _Moments(count, total, outer)


def _pieces(features: Tensor, order: np.ndarray) -> list[list[_Moments]]:
    """Moments by part and group, computed once: those of any parts and groups are sums of them."""
    rows = torch.from_numpy(order)
    return [
        [_moments(features[group]) for group in part.tensor_split(_GROUPS)]
        for part in rows.tensor_split(_PARTS)
    ]


def _extrapolate(a: list[list[_Moments]], b: list[list[_Moments]], groups: Iterable[int]) -> float:
    """2 F(N) - F(N / 2), of these groups only."""
    kept = list(groups)
    a_parts, b_parts = ([_union(part[group] for group in kept) for part in pieces] for pieces in (a, b))
    whole = _distance(_union(a_parts), _union(b_parts))
    parts = [_distance(one, other) for one, other in zip(a_parts, b_parts, strict=True)]
    return 2 * whole - sum(parts) / len(parts)


def _distance(a: _Moments, b: _Moments) -> float:
    """The trace of (C C')**0.5 is the sum of the roots of the eigenvalues of R' C' R, with C = R R'."""
    first, second = a.covariance, b.covariance
    values, vectors = torch.linalg.eigh(first)
    # Below this an eigenvalue is rounding, and its root would be far larger than what it stands for.
    kept = values > values[-1].clamp(min=0) * len(values) * torch.finfo(torch.float64).eps
    root = vectors[:, kept] * values[kept].sqrt()
    shared = torch.linalg.eigvalsh(root.T @ second @ root).clamp(min=0).sqrt().sum()
    distance = (a.mean - b.mean).square().sum() + first.trace() + second.trace() - 2 * shared
    return max(0.0, float(distance))
