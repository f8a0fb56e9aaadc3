"""Samples that a pipeline would leave wrong, or cannot do anything with: refused before anything is done."""

from __future__ import annotations

import torch

from synth.augment.objects import has_objects
from synth.augment.rules import check_chiral
from synth.augment.samples import Samples
from synth.augment.specification import Specification
from synth.errors import SourceError


def refuse_unfit(found: Specification, samples: Samples) -> None:
    """Raise SourceError for what samples have that would be wrong, or do not have and need.

    Raises ConfigError where chiral classes would be mirrored at the edges of images of that size.
    """
    for name, step in found.unfit.items():
        if getattr(samples, "labels" if name == "label" else name, None) is not None:
            raise SourceError(
                f"{step} would leave the {name} of samples wrong, and these have {name}: leave it out of "
                f"the pipeline, or give it samples without {name}."
            )
    if found.on_objects is not None and not has_objects(samples):
        raise SourceError(
            f"{found.on_objects} takes objects by their pixels, and these samples have neither masks nor "
            "boxes with masks: leave it out of the pipeline, or give it samples with masks."
        )
    if found.on_labels is not None and samples.labels is None:
        raise SourceError(
            f"{found.on_labels} needs the class of each image, and these samples have no labels. Give a "
            "source with classes, or leave the operation out."
        )
    check_chiral(found, samples.size)
    if samples.masks is not None:
        _refuse_fill(found, samples.masks.dtype)


def _refuse_fill(found: Specification, kind: torch.dtype) -> None:
    fill, step = found.mask_fill
    if kind.is_floating_point or kind.is_complex:
        return  # are none, which the checks of samples say
    most = 1 if kind == torch.bool else torch.iinfo(kind).max
    if fill > most:
        raise SourceError(
            f"{step} fills masks with {fill}, and these hold {most} at most: give it another mask_fill, or "
            "the samples masks of another type."
        )
