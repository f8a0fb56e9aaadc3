"""The training sets of the utility study: which real and synthetic images a classifier is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synth.randomness import permutation, stream_id

_REAL = stream_id("evaluation/real rows")
_SYNTHETIC = stream_id("evaluation/synthetic rows")

SMALL = 0.1
"""Share of the real images in the study of few."""
RATIOS = (0.5, 1.0, 4.0)
"""Synthetic images for each real one."""
PRIMARY_RATIO = 1.0
_LEAST_PER_CLASS = 5


@dataclass(frozen=True)
class Mixture:
    """A recipe for a training set; ``real`` and ``synthetic`` are numbers of images."""

    size: str
    """``all``, ``few`` or ``none`` of the real images."""
    real: int
    synthetic: int
    classical: bool = False

    @property
    def name(self) -> str:
        """For people."""
        if not self.real:
            return f"{self.synthetic:,} synthetic"
        if self.classical:
            return f"{self.real:,} real, augmented"
        return f"{self.real:,} real" + (f" + {self.synthetic:,} synthetic" if self.synthetic else "")


def mixtures(real: int, synthetic: int, classes: int, ratios: Sequence[float]) -> list[Mixture]:
    """The study's training sets, by size; the first of each size is the real images alone.

    Ratios that need more synthetic images than there are take all of them, once.
    """
    few = max(round(real * SMALL), _LEAST_PER_CLASS * classes)
    found = [Mixture("none", 0, synthetic)]
    for size, count in (("all", real), ("few", few)):
        if size == "few" and 2 * few > real:
            continue
        amounts = sorted({min(synthetic, max(1, round(count * ratio))) for ratio in ratios})
        found += [Mixture(size, count, 0), Mixture(size, count, 0, classical=True)]
        found += [Mixture(size, count, amount) for amount in amounts]
    return found


def primary(found: Sequence[Mixture], size: str) -> Mixture | None:
    """The mixture whose gain counts: the one nearest to one synthetic image for each real one."""
    mixed = [one for one in found if one.size == size and one.synthetic]
    return min(mixed, key=lambda one: abs(one.synthetic / one.real - PRIMARY_RATIO), default=None)


def take(
    mixture: Mixture, real: tuple[Tensor, Tensor], synthetic: tuple[Tensor, Tensor], *, seed: int
) -> tuple[Tensor, Tensor]:
    """Images uint8 [N, C, H, W] and labels int64 [N] of a mixture.

    The real images of one seed and size are the same in all mixtures, and in the classes' proportions.
    """
    parts = []
    if mixture.real:
        parts.append(_rows(real, stratified(real[1], mixture.real, seed=seed)))
    if mixture.synthetic:
        order = permutation(seed, 0, _SYNTHETIC, len(synthetic[1]))[: mixture.synthetic]
        parts.append(_rows(synthetic, order))
    return torch.cat([images for images, _ in parts]), torch.cat([labels for _, labels in parts])


def stratified(labels: Tensor, count: int, *, seed: int) -> np.ndarray:
    """int64 [count]: random rows with the classes in the proportions of ``labels`` int64 [N >= count]."""
    order = permutation(seed, 0, _REAL, len(labels))
    shuffled = labels.numpy()[order]
    # The place of each image within its class, as a share of it: the first rows by it have all proportions.
    place = np.empty(len(order))
    for label in np.unique(shuffled):
        rows = np.flatnonzero(shuffled == label)
        place[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return order[np.argsort(place, kind="stable")[:count]]


def _rows(pair: tuple[Tensor, Tensor], rows: np.ndarray) -> tuple[Tensor, Tensor]:
    chosen = torch.from_numpy(rows)
    return pair[0][chosen], pair[1][chosen]
