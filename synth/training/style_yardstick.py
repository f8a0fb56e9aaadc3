"""What a style model is worth in the course of its training, always by the same images and keys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from synth.artifacts import Metric
from synth.evaluation.figures import Estimate
from synth.training.module import FamilyModule
from synth.training.parts import Domains
from synth.training.style import StyleModule
from synth.training.yardstick import Measured, identity_of

_CHECKED, _CHUNK = 256, 64


class StyleYardstick:
    """The loss on fixed pairs of images and styles that are not trained on, and how far styles go."""

    name = "style_loss"
    """Of the figure that weights are chosen by."""

    def __init__(self, domains: Domains) -> None:
        source, target = domains
        assert target is not None
        chosen = source.validation.sample(_CHECKED)
        self._images = chosen.images
        self.identity = identity_of(self._images)  # features are of the module, and come back with it
        self._pairs = f"{len(chosen)} {source.measured_on} in styles of {target.measured_on}"
        self.how = f"content, style and copies, weighed as in training; {self._pairs}"

    def measure(self, module: FamilyModule) -> Measured:
        """The loss, which weights are chosen by, and what styles do."""
        style = cast(StyleModule, module)
        parts = [
            style.checked(images, position)
            for images, position in zip(
                *(torch.split(one, _CHUNK) for one in (self._images, torch.arange(len(self._images)))),
                strict=True,
            )
        ]
        terms = {name: torch.cat([part[0][name] for part in parts]) for name in parts[0][0]}
        before = torch.cat([part[1] for part in parts])
        loss = style.weighed(terms)
        half = 1.96 * float(loss.std(correction=0)) / math.sqrt(len(loss))
        figure = Estimate(
            value=float(loss.mean()), low=float(loss.mean()) - half, high=float(loss.mean()) + half
        )
        return Measured(figure, metrics=self._of_styles(style, terms, before))

    def _of_styles(
        self, module: StyleModule, terms: Mapping[str, Tensor], before: Tensor
    ) -> dict[str, Metric]:
        features = f"in the features of {module.recipe.features}; {self._pairs}"
        taken = 1.0 - float(terms["style"].mean() / before.mean().clamp(min=1e-6))
        first, second = (module.translate(self._images, start=start) for start in (0, _CHECKED))
        diversity = float((first.float() - second.float()).abs().mean()) / 255.0
        return {
            "style_taken": Metric(
                value=taken, how=f"share of the distance from the style image that is gone, {features}"
            ),
            "content_distance": Metric(
                value=float(terms["content"].mean()), how=f"{module.recipe.content}, {features}"
            ),
            "own_style_error": Metric(
                value=float(terms["copy"].mean()) / 2,
                how=f"mean absolute difference at strength 0, pixels in [0, 1]; {self._pairs}",
            ),
            "style_diversity": Metric(
                value=diversity,
                how="mean absolute difference of an image in two random styles, pixels in [0, 1]; "
                f"{self._pairs}",
            ),
        }
