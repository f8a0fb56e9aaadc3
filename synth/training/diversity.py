"""How different generated images are from each other, beside how different real ones are."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from synth.data import ImageSet

_SIDE = 8
"""Images are compared at this size, where noise has been averaged out and differences are of content."""
_MOST_OF_A_CLASS = 32
_MOST = 1_024
_LEAST_OF_A_CLASS = 4
_FLOOR = 0.01
"""Share of the mean real distance below which two images are counted as equal."""


class Diversity:
    """Pairwise diversity of images over that of real ones with the same labels.

    Within each class, the geometric mean of the distances of all pairs: of images in k heaps one pair in k
    has a distance near zero, which an arithmetic mean would hardly notice.

    Attributes:
        labels: int64 [N], of the images that ``of`` expects; None where there are no classes.
        count: how many they are; less than ``LEAST`` says nothing.
    """

    LEAST = _LEAST_OF_A_CLASS

    def __init__(self, images: ImageSet) -> None:
        groups = _groups(images)
        rows = torch.cat(groups) if groups else torch.empty(0, dtype=torch.int64)
        self.count = len(rows)
        self.labels = None if images.labels is None else images.labels[rows]
        self._sizes = [len(group) for group in groups]
        self._real = [_distances(part) for part in self._parts(images.images[rows].float() / 127.5 - 1.0)]

    def of(self, images: Tensor) -> float:
        """1 where float images [count, C, H, W] are as diverse as real ones, 0 where all are equal.

        The mean over the classes, of which each counts at most 1. Pixels lie in [-1, 1].
        """
        ratios = []
        for part, real in zip(self._parts(images), self._real, strict=True):
            scale = float(real.mean())
            if scale > 0.0:  # of a class of equal images nothing is asked
                ours, theirs = (
                    float((d / scale).clamp(min=_FLOOR).log().mean()) for d in (_distances(part), real)
                )
                # From the floor up: equal images are 0 and not a hundredth.
                low = math.log(_FLOOR)
                ratios.append(min(1.0, math.expm1(ours - low) / max(math.expm1(theirs - low), 1e-6)))
        return sum(ratios) / len(ratios) if ratios else 1.0

    def _parts(self, images: Tensor) -> tuple[Tensor, ...]:
        height, width = images.shape[2:]
        small = F.adaptive_avg_pool2d(images.float(), (min(height, _SIDE), min(width, _SIDE)))
        return torch.split(small.flatten(1).cpu(), self._sizes)


def _groups(images: ImageSet) -> list[Tensor]:
    """Rows to compare with each other: those of each class, or all where classes are too small or absent."""
    mixed = images.mixed()
    if images.labels is not None:
        labels = images.labels[mixed]
        of_classes = [mixed[labels == label][:_MOST_OF_A_CLASS] for label in range(len(images.classes or ()))]
        large = [rows for rows in of_classes if len(rows) >= _LEAST_OF_A_CLASS]
        if large:
            return large[: max(1, _MOST // _MOST_OF_A_CLASS)]
    rows = mixed[: 4 * _MOST_OF_A_CLASS]
    return [rows] if len(rows) >= _LEAST_OF_A_CLASS else []


def _distances(rows: Tensor) -> Tensor:
    """Of all pairs, once each."""
    return F.pdist(rows)
