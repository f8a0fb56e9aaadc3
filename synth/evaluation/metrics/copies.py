"""Copies of training images: what is found, and a rule whose false alarms are known.

An image is a copy if it is far nearer to one training image than to the next (the ratio of the distances is
below 1/3: Yoon et al., "Diffusion probabilistic models generalize when they fail to memorize", ICML 2023
workshop SPIGM), or nearer to one than real images ever are. How near these come, holdout images tell: they
cannot be copies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from synth.errors import UsageError
from synth.evaluation.metrics.checks import check_features
from synth.evaluation.metrics.distances import nearest
from synth.evaluation.metrics.pictures import aligned_distances, shrink, spectrum

CALIBRATION = 100
"""Holdout images from which on the rule is calibrated."""

_FALSE_ALARMS = 0.01
_UNSURE = 0.05
_RATIO = 1 / 3
_LARGEST_RATIO = 2 / 3
_CANDIDATES = 8
_ROUNDING = 1e-6
_ALIKE = 1e-3


class Look:
    """Images as they are compared: by features, and by their pixels where these are given.

    Args:
        features: float [N, D].
        images: uint8 [N, C, H, W] of the same images, or None.
    """

    def __init__(self, features: Tensor, images: Tensor | None = None) -> None:
        if images is not None and (images.ndim != 4 or len(images) != len(features)):
            raise UsageError(
                f"The images {list(images.shape)} are not those of the features {list(features.shape)}. "
                "Give [N, C, H, W] and [N, D] of the same N."
            )
        self.features = features
        self.pictures = None if images is None else shrink(images)

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def spectrum(self) -> Tensor:
        """Of the pictures, which must be there."""
        assert self.pictures is not None
        return spectrum(self.pictures)


@dataclass(frozen=True)
class Matches:
    """For each of N images the training image that it is likest to.

    Attributes:
        index: int64 [N], rows of the training set.
        distance: float64 [N], to it; of pixels (``aligned_distances``) where there are any, of features else.
        second: float64 [N], to the next one; infinite where there is none.
        features: float64 [N], the distance to the nearest training image by features.
        same: bool [N]: equal to a training image but for rounding, by features, and by pixels where there are
            any.
    """

    index: Tensor
    distance: Tensor
    second: Tensor
    features: Tensor
    same: Tensor

    @property
    def ratio(self) -> Tensor:
        """float64 [N], 0 to 1: distance by second distance; 0 for equal images."""
        return torch.where(self.distance > 0, self.distance / self.second, 0.0)

    def rows(self, rows: Tensor) -> Matches:
        """Of these images only."""
        return Matches(
            *(part[rows] for part in (self.index, self.distance, self.second, self.features, self.same))
        )


@dataclass(frozen=True)
class Rule:
    """What counts as a copy: anything nearer than ``distance``, or with a ratio below ``ratio``, or equal."""

    distance: float
    ratio: float

    def flags(self, matches: Matches) -> Tensor:
        """bool [N]"""
        return matches.same | (matches.distance < self.distance) | (matches.ratio < self.ratio)


def match(queries: Look, training: Look) -> Matches:
    """Find the likest training image of each query; all training images are searched.

    With pixels: the 8 nearest by features and the 8 nearest by spectrum are compared with the query pixel by
    pixel. A copy that was shifted, brightened, compressed or made noisy is near in one of the two.
    """
    distances, indices = nearest(queries.features, training.features, _CANDIDATES)
    scale = training.features.double().square().sum(dim=1).mean().sqrt()
    by_features = distances[:, 0].clone()
    same = by_features <= _ROUNDING * scale
    if queries.pictures is not None and training.pictures is not None:
        alike = nearest(queries.spectrum, training.spectrum, _CANDIDATES)[1]
        indices = torch.cat([indices, alike], dim=1)
        distances = aligned_distances(queries.pictures, training.pictures, indices)
        same &= distances[:, 0] <= _ALIKE
        order = distances.argsort(dim=1, stable=True)
        distances, indices = distances.gather(1, order), indices.gather(1, order)
    first = indices[:, :1]
    # The same training image may have been found in both ways.
    second = distances.masked_fill(indices == first, torch.inf).amin(dim=1)
    return Matches(first[:, 0], distances[:, 0], second, by_features, same)


def calibrate(holdout: Matches) -> Rule:
    """The widest rule that, with 95 % confidence, takes no more than 1 % of real images for copies.

    Half of the false alarms allowed among the holdout images go to the distance, and half to the ratio. With
    fewer than 100 holdout images nothing can be said of 1 %: equal images count, and the ratio 1/3.
    """
    count = len(holdout.distance)
    if count < CALIBRATION:
        return Rule(0.0, _RATIO)
    each = _allowed(count) // 2
    distance = float(holdout.distance.sort().values[each])
    return Rule(distance, min(float(holdout.ratio.sort().values[each]), _LARGEST_RATIO))


def _allowed(count: int) -> int:
    """The largest k with P(binomial(count, 1 %) <= k) <= 5 %; 0 where there is none."""
    chance, k = 0.0, -1
    while True:
        log = math.lgamma(count + 1) - math.lgamma(k + 2) - math.lgamma(count - k)
        chance += math.exp(
            log + (k + 1) * math.log(_FALSE_ALARMS) + (count - k - 1) * math.log1p(-_FALSE_ALARMS)
        )
        if chance > _UNSURE:
            return max(k, 0)
        k += 1


class CopyDetector:
    """The rule for one training set, calibrated on real images that are not in it.

    Args:
        training: at least 2 images.
        holdout: of the same kind, and none of the training images.

    Raises:
        UsageError: unlike dimensions, or too few training images; SourceError: features that are not finite.
    """

    def __init__(self, training: Look, holdout: Look) -> None:
        check_features(training=training.features, holdout=holdout.features)
        if len(training) < 2:
            raise UsageError(
                f"Copies are looked for among at least 2 training images; there are {len(training)}."
            )
        self.training = training
        self.holdout = match(holdout, training)
        self.rule = calibrate(self.holdout)

    @property
    def calibrated(self) -> bool:
        return len(self.holdout.distance) >= CALIBRATION

    def false_alarms(self) -> Tensor:
        """bool [N]: holdout images taken for copies, each half by a rule that was calibrated on the other."""
        count = len(self.holdout.distance)
        even = torch.arange(count) % 2 == 0
        flags = torch.zeros(count, dtype=torch.bool)
        for part in (even, ~even):
            flags[part] = calibrate(self.holdout.rows(~part)).flags(self.holdout.rows(part))
        return flags
