"""How close samples come to validation images: one figure, in features that stay the same for a run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor

from synth.artifacts import Metric
from synth.data import ImageSet
from synth.evaluation import open_extractor
from synth.evaluation.figures import Estimate, Figure
from synth.evaluation.metrics import kernel_distance
from synth.evaluation.utility import classifier_features, train_classifier
from synth.training.module import FamilyModule, GeneratorModule
from synth.training.parts import Parts
from synth.training.preview import samples
from synth.training.recipe import Recipe

MOST_IMAGES = 1_000
_MOST_REAL = 5_000
"""Images to compare with: their features are taken once, while samples are made at each look."""
_CLEARLY_WORSE = 1.5
"""So many times the distance of samples by default, beyond both intervals."""
_CLASSIFIER_WIDTH = 16
_CLASSIFIER_PIXELS = 20_000 * 28 * 28
"""Seen in training: some five seconds on two CPU cores."""
_SHARE_OF_IMAGES, _MINUTES = 0.04, 3.0
"""A run of fewer images, or of fewer minutes, trains it on fewer images, and draws fewer samples."""
_FEWEST_SAMPLES = 100
_CHUNK = 200
_SMALLEST_SIDE = 4

Features = Callable[[Tensor], Tensor]
"""uint8 [N, C, H, W] to float32 [N, D] on the CPU."""


class Measured(NamedTuple):
    """What the weights of a module are worth.

    ``shortfall``: by how much they miss what must hold whatever the figure is; 0 where nothing is missed.
    ``metrics``: what else was found, by name. ``notes``: what the user should know of it.
    """

    figure: Figure
    shortfall: float = 0.0
    metrics: Mapping[str, Metric] = {}
    notes: Sequence[str] = ()


class AnyYardstick(Protocol):
    """What weights are compared by: the name of its figure, and ``how`` in words.

    Figures of two yardsticks can be compared where their ``identity`` is the same.
    """

    name: str
    how: str
    identity: str

    def measure(self, module: FamilyModule) -> Measured:
        """Of the averaged weights; the less the figure, the better."""


class Yardstick:
    """The kernel distance of samples from validation images, always from the same keys.

    Its features are those of a small classifier of the training images' own classes; where there are none to
    tell apart, those of an untrained network (Ulyanov et al., "Deep image prior", shows what these hold).
    """

    name = "kernel_distance"

    def __init__(self, parts: Parts, recipe: Recipe, device: torch.device) -> None:
        name, self._features = _features(parts.training, recipe, device)
        chosen = parts.validation.sample(_MOST_REAL)
        self._count = min(len(chosen), _samples_of(recipe))
        self.how = (
            f"{self._count} samples and {len(chosen)} {parts.measured_on}, in the features of {name}; "
            "unbiased, all pairs"
        )
        """What is compared, in words."""
        self._real, self._labels = self._features(chosen.images), None
        if chosen.labels is not None:  # in the shares of all of them
            self._labels = chosen.labels.sort().values[torch.arange(self._count) * len(chosen) // self._count]

        self.identity = identity_of(self._real)

    def measure(self, module: FamilyModule) -> Measured:
        """Of samples with the labels of validation images, of which it needs 10."""
        figure = self._distance(module, {})
        metrics, notes = {}, []
        for name, way in cast(GeneratorModule, module).other_ways().items():
            other = self._distance(module, way.parameters)
            told = ", ".join(f"{key}={value}" for key, value in way.parameters.items())
            if not isinstance(other, Estimate) or not isinstance(figure, Estimate):
                metrics[name] = Metric(value=None, how=f"of samples by {told}: not measured, too few images")
                continue
            metrics[name] = Metric(value=other.value, how=f"of samples by {told}; {self.how}")
            if other.low > _CLEARLY_WORSE * max(figure.high, 0.0):
                notes.append(
                    f"Samples by {told} are clearly worse than those by default: {name} "
                    f"{other.value:.3g} ({other.low:.3g} to {other.high:.3g}), {self.name} {figure.value:.3g}"
                    f". What helps: {way.remedy}."
                )
        return Measured(figure, metrics=metrics, notes=notes)

    def _distance(self, module: FamilyModule, parameters: Mapping[str, float | str]) -> Figure:
        made = []
        for index in torch.split(torch.arange(self._count, device=module.device), _CHUNK):
            labels = None
            if module.classes and self._labels is not None:
                labels = self._labels.to(module.device)[index]
            made.append(samples(module, index, labels, parameters))
        return kernel_distance(self._real, self._features(torch.cat(made)))


def _samples_of(recipe: Recipe) -> int:
    """How many are drawn at a look: in a run of a minute, those of a long one would take most of the time."""
    count = MOST_IMAGES * min(1.0, (recipe.minutes or _MINUTES) / _MINUTES)
    if recipe.images_seen is not None:
        count = min(count, _SHARE_OF_IMAGES * recipe.images_seen)
    return max(_FEWEST_SAMPLES, round(count))


def identity_of(*tensors: Tensor) -> str:
    """A digest of what a yardstick has, on the CPU: another network finds other features in the images."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tuple(tensor.shape)} ".encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _features(training: ImageSet, recipe: Recipe, device: torch.device) -> tuple[str, Features]:
    classes = len(training.classes or ())
    if classes < 2 or training.labels is None or min(training.images.shape[2:]) < _SMALLEST_SIDE:
        return "an untrained network", open_extractor("random", device=str(device)).features
    pixels = training.images[0, 0].numel()
    seen = _CLASSIFIER_PIXELS / pixels * min(1.0, (recipe.minutes or _MINUTES) / _MINUTES)
    if recipe.images_seen is not None:
        seen = min(seen, _SHARE_OF_IMAGES * recipe.images_seen)
    network = train_classifier(
        training.images,
        training.labels,
        classes,
        seed=recipe.seed,
        images_seen=max(1, int(seen)),
        device=str(device),
        width=_CLASSIFIER_WIDTH,
    )
    name = "a small classifier of the training images"
    return name, lambda images: classifier_features(network, images)
