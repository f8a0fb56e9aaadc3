"""Whether what images show survives a random style: their classes, and the places of things."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from synth.artifacts import Metric
from synth.data import ImageSet
from synth.training.jitter import jitter
from synth.training.preservation import SourceClassifier, structure_similarity
from synth.training.recipe import Recipe
from synth.training.yardstick import MOST_IMAGES

_RESTYLED, _LEAST_RESTYLED = 8_000 * 28 * 28, 1_500
"""Pixels, and at least so many images, that the judge is shown in random styles."""
_APART = 2**40
"""Index from which the judge's styles are drawn, far from those of the images that it is to judge."""

Translate = Callable[[Tensor, int], Tensor]
"""uint8 [N, C, H, W] in random styles, of the indices from a first one on."""


def preserved(
    translate: Translate,
    training: ImageSet,
    images: ImageSet,
    *,
    recipe: Recipe,
    device: torch.device,
    kind: str,
) -> Mapping[str, Metric]:
    """``label_preservation`` and ``geometry`` of up to 1,000 images; ``kind`` tells people which they are.

    The judge is a classifier of the training images that has seen as many of them in random styles. One that
    has not would tell how far styles lead from the content, which is what they are for, and not whether a
    class can still be told.
    """
    images = images.sample(MOST_IMAGES)
    made = translate(images.images, 0)
    what = f"{len(images)} {kind}"
    kept = Metric(value=None, how="not measured: the images have no labels, or are too small")
    if SourceClassifier.can_tell(training):
        assert images.labels is not None
        shown = training.sample(max(_LEAST_RESTYLED, _RESTYLED // training.images[0, 0].numel()))
        assert shown.labels is not None
        both = replace(
            shown,
            images=torch.cat([shown.images, translate(shown.images, _APART)]),
            labels=torch.cat([shown.labels, shown.labels]),
        )
        judge = SourceClassifier(both, recipe, device, share=1.0, augment=_slightly_turned)
        before = judge.of(images.images)
        accuracy = float((before.classes == images.labels).float().mean())
        kept = Metric(
            value=before.kept(judge.of(made)),
            how="share whose class is the same in a random style, by a classifier that has learnt the "
            "training images as they are and in such styles, and is right for "
            f"{accuracy:.1%} before; {what}",
        )
    geometry = float(structure_similarity(images.images, made).mean())
    how = f"cosine between the structure tensors before and in a random style, mean; {what}"
    return {"label_preservation": kept, "geometry": Metric(value=geometry, how=how)}


def _slightly_turned(images: Tensor, seed: int, index: Tensor) -> Tensor:
    return jitter(images, 0.3, seed=seed, position=index)
