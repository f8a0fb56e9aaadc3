"""A metric for each class by itself."""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor

from synth.errors import UsageError
from synth.evaluation.metrics.floor import Measure, with_floor

_Measured = TypeVar("_Measured")


def per_class(
    measure: Measure[_Measured],
    real: tuple[Tensor, Tensor],
    synthetic: tuple[Tensor, Tensor],
    *,
    classes: int,
    seed: int,
    floor: bool = False,
) -> list[_Measured]:
    """The figure of each class, in the order of their numbers; classes with too few images are not measured.

    Args:
        measure: ``manifold``, ``vendi_ratio`` and so on.
        real: features float [N, D] and labels int64 [N]; synthetic: the same of M images.
        classes: how many there are, whether they have images or not.
        floor: with the floor beside each figure, between two halves of the real images of the class.

    Raises:
        UsageError: labels that are not one for each row.
    """
    for name, (features, labels) in (("real", real), ("synthetic", synthetic)):
        if labels.shape != features.shape[:1]:
            raise UsageError(
                f"There are {len(labels)} labels for {len(features)} {name} images; give one for each."
            )
    figures = []
    for number in range(classes):
        a, b = real[0][real[1] == number], synthetic[0][synthetic[1] == number]
        figures.append(with_floor(measure, a, b, seed=seed) if floor else measure(a, b, seed=seed))
    return figures
