"""Curves on validation images during training: the drift of samples, and the family's own figures."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from synth.data import ImageSet
from synth.evaluation.drift import LEAST
from synth.evaluation.figures import Estimate
from synth.evaluation.reference import Reference, compare
from synth.evaluation.statistics import image_statistics
from synth.training.module import FamilyModule, GeneratorModule
from synth.training.preview import samples

_SAMPLES = 200
_MOST_IMAGES = 1_000
"""Validation images that a curve is of."""


class Curves:
    """Measures a module now and then, always in the same way."""

    def __init__(self, validation: ImageSet) -> None:
        self._images = validation.sample(_MOST_IMAGES)
        self._reference = Reference.of(self._images.images) if len(self._images) >= LEAST else None

    def measure(self, module: FamilyModule) -> dict[str, float]:
        """Figures by name, for the log: ``validation/...`` of the family, and ``drift/...`` of 200 samples.

        The drift, a population stability index, is that of samples with the labels of validation images from
        these in brightness, contrast, sharpness and colour; of fewer than 50 images there is none.
        """
        figures = {f"validation/{name}": value for name, value in module.watch(self._images).items()}
        return figures | {f"drift/{name}": value for name, value in self._drift(module).items()}

    def _drift(self, module: FamilyModule) -> Mapping[str, float]:
        if self._reference is None or not isinstance(module, GeneratorModule):
            return {}
        index = torch.arange(_SAMPLES, device=module.device)
        labels = None
        if module.classes and self._images.labels is not None:
            labels = self._images.labels.to(module.device)[index % len(self._images)]
        found = compare(self._reference, image_statistics(samples(module, index, labels)))
        return {name: one.value for name, one in found.drift.items() if isinstance(one, Estimate)}
