"""How far a discriminator knows its training images by heart, and how much augmentation that asks for."""

from __future__ import annotations

from torch import Tensor

_IMAGES_TO_FULL = 100_000
"""Images over which the share of augmented images may rise from 0 to 1, or fall back."""


def overfitting(training: Tensor, validation: Tensor, generated: Tensor) -> float:
    """0 where scores of validation images are like those of training images, 1 where like those of fakes.

    The heuristic r_v of Karras et al. (arXiv 2006.06676), equation 1: (E[training] - E[validation]) /
    (E[training] - E[generated]) of the discriminator's scores [N]. Their other one, the sign of the score,
    means nothing under a relativistic loss, whose scores have no zero.
    """
    known = float(training.mean())
    lead = known - float(generated.mean())
    if lead <= 0.0:  # it cannot tell training images from fakes: it knows none by heart
        return 0.0
    return min(1.0, max(0.0, (known - float(validation.mean())) / lead))


def adapted(share: float, found: float, *, target: float, images: int, most: float) -> float:
    """The share of images to augment, ``images`` after ``share``: up where ``found`` is over ``target``."""
    step = images / _IMAGES_TO_FULL
    return min(most, max(0.0, share + (step if found > target else -step)))
