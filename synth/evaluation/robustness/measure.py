"""Attack a classifier on labelled images, at several radii and in several ways."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from synth.augment.adversarial import (
    ThreatModel,
    attack_keys,
    check_radius,
    effective_radius,
    fgsm,
    pgd,
    ray_search,
    reach,
)
from synth.augment.keys import sample_words
from synth.data import ImageSet
from synth.errors import ConfigError, SourceError
from synth.evaluation.classifiers import Opinions
from synth.evaluation.metrics.intervals import share
from synth.evaluation.robustness.checks import Evidence, make_checks
from synth.evaluation.robustness.model import AttackName, Robustness, UnderAttack
from synth.evaluation.robustness.radius import radius_text
from synth.randomness import check_seed

ATTACKS: tuple[AttackName, ...] = ("fgsm", "pgd", "rays")
_CHUNK = 250
Progress = Callable[[float, str], None]
"""Share done, 0 to 1, and what is done now."""


@dataclass(frozen=True)
class Adversary:
    """How hard the attacks try.

    Attributes:
        eps: radii in pixels of 0 to 1, each from 1/255, the least change of a uint8 image.
        norm: of the radii.
        steps, restarts: of PGD, of the step size 2.5 eps / steps.
        queries: of RayS for each image.
        seed: with the content of an image, what its random starts are drawn by.

    Raises ConfigError for values out of range.
    """

    eps: tuple[float, ...]
    norm: Literal["linf", "l2"] = "linf"
    steps: int = 40
    restarts: int = 1
    queries: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.eps or not all(0 < one < math.inf for one in self.eps):
            raise ConfigError(f"Radii are positive, in pixels of 0 to 1, and at least one, not {self.eps}.")
        ThreatModel(max(self.eps), norm=self.norm)
        check_radius(min(self.eps))
        if min(self.steps, self.restarts, self.queries) < 1:
            raise ConfigError("Steps, restarts and queries of attacks are whole numbers from 1.")
        check_seed(self.seed)


def measure_robustness(
    classifier: Opinions,
    images: ImageSet,
    adversary: Adversary,
    *,
    progress: Progress = lambda share, what: None,
) -> Robustness:
    """The report on ``classifier``, of images as its ``load`` gives them. All attacked images are uint8.

    Raises:
        SourceError: there are no images, or no labels.
        LabelError: classes that the classifier does not know.
    """
    if not len(images) or images.labels is None or images.classes is None:
        raise SourceError(
            f"{images.source} has no labelled images, and an attack is to make a classifier miss the class "
            "of each. Give a source with classes."
        )
    labels = classifier.numbers(images.classes, images.source)[images.labels]
    siege = _Siege(classifier, images, labels, adversary, progress)
    clean = siege.right(images.images)
    attacks: list[UnderAttack] = []
    outcomes = siege.run()
    radii = sorted(set(adversary.eps))
    for eps in radii:
        right = {name: outcomes[name, eps] & clean for name in ATTACKS}
        attacks += [siege.result(name, eps, one) for name, one in right.items()]
        attacks.append(siege.result("worst", eps, torch.stack(list(right.values())).all(0)))
    return Robustness(
        model=classifier.artifact.manifest.reference,
        digest=classifier.artifact.manifest.digest,
        source=images.source,
        count=len(images),
        norm=adversary.norm,
        steps=adversary.steps,
        restarts=adversary.restarts,
        queries=adversary.queries,
        seed=adversary.seed,
        clean=share(clean, f"of {len(images):,} images"),
        clean_per_class=siege.per_class(clean),
        attacks=attacks,
        checks=make_checks(siege.evidence(clean, outcomes, radii)),
    )


class _Siege:
    """All attacks on one classifier; those on images of a chunk have keys by content."""

    def __init__(
        self,
        classifier: Opinions,
        images: ImageSet,
        labels: Tensor,
        adversary: Adversary,
        progress: Progress,
    ) -> None:
        self._network, self._device = classifier.network, classifier.device
        self._images, self._labels, self._classes = images.images, labels, classifier.classes
        self._keys = attack_keys(adversary.seed, torch.from_numpy(sample_words(images.ids)))
        self._adversary, self._progress = adversary, progress
        self._done, self._all = 0, 2 * len(set(adversary.eps)) + 4

    def run(self) -> dict[tuple[str, float], Tensor]:
        """By attack and radius: bool [N], whether the classifier is still right."""
        found: dict[tuple[str, float], Tensor] = {}
        radii = sorted(set(self._adversary.eps))
        for eps in radii:
            found["fgsm", eps] = self._by_gradient("FGSM", eps, steps=0)
            found["pgd", eps] = self._by_gradient("PGD", eps)
        return found | {("rays", eps): one for eps, one in self._by_rays(radii).items()}

    def evidence(
        self, clean: Tensor, outcomes: Mapping[tuple[str, float], Tensor], radii: Sequence[float]
    ) -> Evidence:
        """What the checks are made of: further attacks, at the largest radius and beyond."""
        largest = radii[-1]
        fewer = max(1, self._adversary.steps // 4)
        # The whole cube: an image of any other class is within reach.
        everything = 1.0 if self._adversary.norm == "linf" else math.sqrt(self._images[0].numel())

        def accuracy(right: Tensor) -> float:
            return float((right & clean).double().mean())

        found = Evidence(
            radii=tuple(radii),
            accuracies={name: accuracy(right) for name, right in outcomes.items()},
            fewer_steps=(fewer, accuracy(self._by_gradient("PGD of fewer steps", largest, steps=fewer))),
            steps=self._adversary.steps,
            margin=accuracy(self._by_gradient("PGD of the margin", largest, margin=True)),
            everything=accuracy(self._by_gradient("PGD without a radius", everything)),
        )
        self._progress(1.0, "done")
        return found

    def right(self, images: Tensor) -> Tensor:
        """bool [N], of uint8 images in the place of those that there are."""
        parts = []
        threat = ThreatModel(0.0)
        with torch.no_grad():
            for part in torch.split(images, _CHUNK):
                logits = self._network(threat.inputs(threat.pixels(part.to(self._device))))
                parts.append(logits.argmax(1).cpu())
        return torch.cat(parts) == self._labels

    def result(self, name: AttackName, eps: float, right: Tensor) -> UnderAttack:
        accuracy = share(right, f"of {len(right):,} images")
        effective = effective_radius(eps, self._adversary.norm)
        return UnderAttack(
            attack=name, eps=eps, effective_eps=effective, accuracy=accuracy, per_class=self.per_class(right)
        )

    def per_class(self, right: Tensor) -> dict[str, float]:
        """The accuracy of each class that there are images of."""
        return {
            name: float(right[self._labels == number].double().mean())
            for number, name in enumerate(self._classes)
            if bool((self._labels == number).any())
        }

    def _by_gradient(
        self, what: str, eps: float, *, steps: int | None = None, margin: bool = False
    ) -> Tensor:
        """PGD; FGSM where ``steps`` is 0."""
        self._tell(f"{what}, eps {radius_text(eps)}")
        threat, adversary = ThreatModel(eps, norm=self._adversary.norm), self._adversary
        made = []
        for at in range(0, len(self._images), _CHUNK):
            rows = slice(at, at + _CHUNK)
            part, labels = self._images[rows].to(self._device), self._labels[rows].to(self._device)
            pixels = threat.pixels(part)
            if steps == 0:
                found = fgsm(self._network, pixels, labels, threat)
            else:
                found = pgd(
                    self._network,
                    pixels,
                    labels,
                    threat,
                    steps=steps or adversary.steps,
                    restarts=adversary.restarts,
                    keys=self._keys[rows],
                    loss="margin" if margin else "cross_entropy",
                    originals=part,
                )
            made.append(threat.images(found, part).cpu())
        return self.right(torch.cat(made))

    def _by_rays(self, radii: Sequence[float]) -> dict[float, Tensor]:
        """One search, down to the least radius, serves all."""
        self._tell("RayS")
        threats = {eps: ThreatModel(eps, norm=self._adversary.norm) for eps in radii}
        made: dict[float, list[Tensor]] = {eps: [] for eps in radii}
        for at in range(0, len(self._images), _CHUNK):
            rows = slice(at, at + _CHUNK)
            part, labels = self._images[rows].to(self._device), self._labels[rows].to(self._device)
            found = ray_search(
                self._network,
                part,
                labels,
                threats[radii[0]],
                queries=self._adversary.queries,
                keys=self._keys[rows],
                enough=reach(threats[radii[0]], part),
            )
            for eps, threat in threats.items():
                made[eps].append(found.images(part, threat).cpu())
        return {eps: self.right(torch.cat(parts)) for eps, parts in made.items()}

    def _tell(self, what: str) -> None:
        self._progress(self._done / self._all, what)
        self._done += 1
