"""What translations are worth, always of the same images: how close they come, and what they keep."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor

from synth.artifacts import Metric
from synth.artifacts.preservation import THRESHOLD
from synth.evaluation import open_extractor
from synth.evaluation.figures import Estimate, Figure
from synth.evaluation.metrics import kernel_distance
from synth.training.framing import zoom_between
from synth.training.module import FamilyModule
from synth.training.parts import Domains, Parts
from synth.training.preservation import (
    SourceClassifier,
    changed,
    inverted_too,
    luma_of,
    structure_similarity,
)
from synth.training.recipe import Recipe
from synth.training.translator import TranslatorModule
from synth.training.yardstick import MOST_IMAGES, Features, Measured, identity_of

_INVERTED = -0.3
"""Correlation of brightness before and after, below which light and dark count as exchanged."""


class Reading(NamedTuple):
    """Of one direction.

    ``gap_closed``: the share of the kernel distance between the domains that is gone, 1 where all is.
    ``change``: the root mean square difference from the images before, pixels in 0 to 1.
    ``inverted``: the share of images in which light and dark are exchanged.
    """

    distance: Figure
    gap_closed: float | None
    label_preservation: float | None
    geometry: float
    change: float
    inverted: float


class TranslationYardstick:
    """Measures a translator on validation images of both domains, in each of its directions.

    The distance is taken in the features of an untrained network (Ulyanov et al., "Deep image prior", shows
    what these hold): a trained one, which looks through style, could not tell how close two styles are.
    """

    name = "kernel_distance"

    def __init__(
        self, domains: Domains, recipe: Recipe, device: torch.device, module: TranslatorModule
    ) -> None:
        source, target = domains
        assert target is not None
        features = open_extractor("random", device=str(device)).features
        ways = {"a_to_b": (source, target), "b_to_a": (target, source)}
        self._ways = {
            # Weights are chosen by the first direction, which therefore has the better classifier.
            direction: _Way(*ways[direction], features, recipe, device, share=1.0 if number == 0 else 0.3)
            for number, direction in enumerate(module.directions)
        }
        self.how = self._ways["a_to_b"].how
        """What is compared, in words."""
        self.identity = identity_of(*(tensor for way in self._ways.values() for tensor in way.known))

    def measure(self, module: FamilyModule) -> Measured:
        """All figures; the distance of the first direction is what weights are chosen by."""
        translator = cast(TranslatorModule, module)
        readings = {
            direction: way.read(translator.translate(way.images, direction))
            for direction, way in self._ways.items()
        }
        metrics: dict[str, Metric] = {}
        for direction, reading in readings.items():
            suffix = "" if direction == "a_to_b" else f"_{direction}"
            metrics |= {
                f"{name}{suffix}": metric for name, metric in self._ways[direction].metrics(reading).items()
            }
        kept = readings["a_to_b"].label_preservation
        shortfall = 0.0 if kept is None else max(0.0, THRESHOLD - kept)
        return Measured(readings["a_to_b"].distance, shortfall, metrics)


class _Way:
    """One direction: images to translate, and those to compare with."""

    def __init__(
        self,
        before: Parts,
        after: Parts,
        features: Features,
        recipe: Recipe,
        device: torch.device,
        *,
        share: float,
    ) -> None:
        self._features = features
        chosen, other = (parts.validation.sample(MOST_IMAGES) for parts in (before, after))
        self.images = chosen.images
        self._real = features(other.images)
        self._gap = kernel_distance(self._real, features(self.images))
        self._what = f"{len(chosen)} {before.measured_on}"
        self.how = (
            f"translations of {len(chosen)} {before.measured_on} and {len(other)} of the target, in the "
            "features of an untrained network; unbiased, all pairs"
        )
        self._classifier = None
        if SourceClassifier.can_tell(before.training):
            dark = [float(luma_of(images).mean()) < 0.5 for images in (self.images, other.images)]
            # Where digits fill their frame there, the classifier is to know such from here.
            down, across = zoom_between(chosen.images, other.images)
            augment = partial(changed if dark[0] == dark[1] else inverted_too, zoom=(down * across) ** 0.5)
            self._classifier = SourceClassifier(
                before.training,
                recipe,
                device,
                share=share,
                augment=augment,
            )
            self._opinion = self._classifier.of(self.images)
            assert chosen.labels is not None
            self._accuracy = float((self._opinion.classes == chosen.labels).float().mean())

    @property
    def known(self) -> tuple[Tensor, ...]:
        """What it holds translations against."""
        return (self._real, *(() if self._classifier is None else (self._opinion.classes,)))

    def read(self, translated: Tensor) -> Reading:
        """Of uint8 [N, C, H, W], the translations of ``images``."""
        distance = kernel_distance(self._real, self._features(translated))
        closed = None
        if isinstance(distance, Estimate) and isinstance(self._gap, Estimate) and self._gap.value > 0:
            closed = 1.0 - distance.value / self._gap.value
        kept = None
        if self._classifier is not None:
            kept = self._opinion.kept(self._classifier.of(translated))
        before, after = luma_of(self.images), luma_of(translated)
        difference = (self.images.float() - translated.float()) / 255.0
        return Reading(
            distance=distance,
            gap_closed=closed,
            label_preservation=kept,
            geometry=float(structure_similarity(self.images, translated).mean()),
            change=float(difference.square().mean().sqrt()),
            inverted=float((_correlation(before, after) < _INVERTED).float().mean()),
        )

    def metrics(self, reading: Reading) -> Mapping[str, Metric]:
        """The reading by name, each with how it was measured."""
        what = self._what
        found = {
            "gap_closed": Metric(
                value=reading.gap_closed,
                how=f"share of the kernel distance between the domains that is gone; {what}"
                if reading.gap_closed is not None
                else "not measured: too few images, or the domains are alike",
            ),
            "geometry": Metric(
                value=reading.geometry,
                how=f"cosine between the structure tensors before and after, mean; {what}",
            ),
            "change": Metric(
                value=reading.change, how=f"root mean square difference, pixels in [0, 1]; {what}"
            ),
            "inverted": Metric(
                value=reading.inverted,
                how=f"share in which light and dark are exchanged (correlation below {_INVERTED}); {what}",
            ),
            "label_preservation": Metric(
                value=None, how="not measured: the images have no labels, or are too small"
            ),
        }
        if self._classifier is not None:
            found["label_preservation"] = Metric(
                value=reading.label_preservation,
                how="share whose class, by a classifier of their domain that is right for "
                f"{self._accuracy:.1%} of them before, is the same after; {what}",
            )
        return found


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    """float32 [N]: Pearson's, of values [N, ...]; 0 where one of both does not vary."""
    one, other = (
        values.flatten(1) - values.flatten(1).mean(dim=1, keepdim=True) for values in (first, second)
    )
    size = one.square().sum(dim=1).sqrt() * other.square().sum(dim=1).sqrt()
    return torch.where(size > 1e-6, (one * other).sum(dim=1) / size.clamp(min=1e-6), 0.0)
