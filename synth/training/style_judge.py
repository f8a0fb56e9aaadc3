"""Whether what images show survives a random style: their classes, and the places of things."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from synth.artifacts import Metric
from synth.data import ImageSet
from synth.evaluation.utility import Augment
from synth.models.style import StyleProgram
from synth.training.preservation import SourceClassifier, changed, structure_similarity
from synth.training.recipe import Recipe
from synth.training.style_pictures import restyled

_SHARE = 0.3
"""Of the usual length of a judge's training, which has to restyle every second image."""
_APART = 2**40
"""Index from which the judge's styles are drawn, far from those of the images that it is to judge."""


def preserved(
    program: StyleProgram,
    training: ImageSet,
    images: ImageSet,
    made: Tensor,
    *,
    recipe: Recipe,
    device: torch.device,
    kind: str,
) -> Mapping[str, Metric]:
    """``label_preservation`` and ``geometry``.

    The judge is a classifier of the training images that has seen every second of them in a random style.
    One that has not would tell how far styles lead from the content, which is what they are for, and not
    whether a class can still be told.

    Args:
        program: with its network on ``device``.
        training: images to teach the judge with.
        images: others, which ``made`` are the translations of.
        made: uint8 [N, C, H, W].
        kind: which ``images`` are, for people.
    """
    what = f"{len(images)} {kind}"
    kept = Metric(value=None, how="not measured: the images have no labels, or are too small")
    if SourceClassifier.can_tell(training):
        assert images.labels is not None
        judge = SourceClassifier(training, recipe, device, share=_SHARE, augment=_in_styles(program))
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


def _in_styles(program: StyleProgram) -> Augment:
    """Every second image in a random style, the others changed as for all judges of translators."""

    @torch.no_grad()
    def augment(images: Tensor, seed: int, index: Tensor) -> Tensor:
        images = images.float()
        seen = changed(images, seed, index)
        styled = restyled(program, images[1::2], index[1::2].to(images.device) + _APART)
        seen[1::2] = styled.to(seen)
        return seen

    return augment
