"""Training of the ``classifier`` family: the classes of images, also of a domain that has no labels.

With a target, images without labels of another domain, it is trained for both:

    source   not at all: what the others have to beat
    coral    the covariances of both domains' features are brought together (Sun and Saenko, arXiv 1607.01719)
    dann     a second network tells the domains apart, and the features are trained against it (Ganin et al.,
             arXiv 1505.07818), by a gradient-reversal layer with its schedule

Each domain passes batch normalisation by itself, and the published statistics are those of the domain that
the classifier is for (Li et al., AdaBN, arXiv 1603.04779). No label of the target is ever looked at.

Adversarial training, of one domain, is in ``synth.training.robust``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from synth.artifacts import Metric
from synth.data import ImageSet
from synth.errors import ConfigError
from synth.evaluation.classifiers import class_probabilities
from synth.models.classifier import Classifier
from synth.models.program import ImageShape, NetworkConfig
from synth.training.alignment import (
    annealed,
    conditioned,
    coral,
    domain_loss,
    domain_network,
    entropy,
    information,
    reversal_strength,
    reverse_gradient,
)
from synth.training.classifier_recipe import ClassifierRecipe
from synth.training.jitter import jitter
from synth.training.module import FamilyModule
from synth.training.opinions import alternating, by_class, has_norms, settle_norms, share_of
from synth.training.parts import Domains, Parts
from synth.training.robust import attacked, attacked_images, robust_accuracy

_SETTLED = 10_000
"""Most images that statistics of batch normalisation are taken from."""
_SHOWN = 2_000
"""Most images that a picture or a curve is of."""
_ATTACKED = 200
"""Most images that a curve of robust accuracy is of."""
_LATE = 0.5
"""Share of the training after which the classifier's own labels count."""


class ClassifierModule(FamilyModule):
    """Lightning module of the ``classifier`` family."""

    family = "classifier"
    recipe: ClassifierRecipe

    def __init__(self, recipe: ClassifierRecipe, image: ImageShape, classes: int) -> None:
        super().__init__(recipe, image, classes)
        dimensions = recipe.features * (classes if recipe.conditional else 1)
        self.tell = domain_network(dimensions, recipe.domain_hidden) if recipe.adaptation == "dann" else None
        for network in (self.network, self.average):
            network.to(memory_format=torch.channels_last)
        self._source: ImageSet | None = None
        self._target: Parts | None = None

    def meet(self, domains: Domains) -> None:
        if domains.target is not None and self.recipe.adversarial != "none":
            raise ConfigError(
                "Adversarial training is of one domain, and there is a target: leave out adversarial="
                f"{self.recipe.adversarial}, or the target."
            )
        self._target = domains.target
        if domains.target is None:  # nothing to tell apart
            self.tell = None

    @property
    def adapts(self) -> bool:
        """Whether images of a target are learnt from."""
        return self._target is not None and self.recipe.adaptation != "source"

    def network_config(self) -> NetworkConfig:
        kept = {"width", "most", "blocks", "features"}
        # Left out where it is what it was before there was a choice, so that networks of then still fit.
        kept |= set() if self.recipe.normalise == "batch" else {"normalise"}
        return self.recipe.model_dump(mode="json", include=kept)

    def learnt(self) -> list[nn.Parameter]:
        return [*super().learnt(), *(() if self.tell is None else self.tell.parameters())]

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(
            self.learnt(),
            lr=self.recipe.learning_rate,
            momentum=0.9,
            weight_decay=self.recipe.weight_decay,
        )

    def learning_rate(self) -> float:
        """The schedule of Ganin et al., after the warm-up; a cosine in adversarial training."""
        if self.recipe.adversarial != "none":
            return super().learning_rate()
        rise = min(1.0, (self.progress + 1e-4) / max(self.recipe.warmup, 1e-4))
        return rise * annealed(self.recipe.learning_rate, self.progress)

    def loss(
        self, images: Tensor, labels: Tensor | None, position: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of the source, of shares of classes too, and with a target what adaptation adds."""
        assert labels is not None
        network = cast(Classifier, self.network)
        source, target = images[: len(labels)], images[len(labels) :]
        hard = labels if labels.ndim == 1 else labels.argmax(dim=1)  # the class of the greatest share
        features, others = self._both(source, hard, target if self.adapts else target[:0], position)
        logits = network.classify(features)
        loss = F.cross_entropy(logits, labels)
        figures = {"right": (logits.argmax(dim=1) == hard).float().mean()}
        if not self.adapts or not len(target):
            return loss, figures
        guesses = network.classify(others)
        if self.recipe.adaptation == "coral":
            # Ramped up, for at first there is nothing in the features to bring together.
            apart = coral(features, others)
            return loss + self.progress * self.recipe.coral * apart + self._guessed(guesses), {
                **figures,
                "coral": apart,
            }
        told, domains = self._told_apart((features, logits), (others, guesses))
        return loss + domains + self._guessed(guesses), {**figures, "domain_right": told, "domain": domains}

    def _told_apart(
        self, source: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The share of images whose domain is told right, and the loss of DANN; of features and logits."""
        assert self.tell is not None
        strength = self.recipe.reversal * reversal_strength(self.progress, self.recipe.reversal_speed)
        first, second = (
            self.tell(
                reverse_gradient(
                    conditioned(features, logits) if self.recipe.conditional else features, strength
                )
            )[:, 0].float()
            for features, logits in (source, target)
        )
        right = 0.5 * ((first > 0).float().mean() + (second <= 0).float().mean())
        return right, domain_loss(first, second)

    def _guessed(self, logits: Tensor) -> Tensor:
        """What target predictions [N, K] are asked to be: certain, and late what they surely are."""
        loss = logits.new_zeros(())
        if self.recipe.entropy:
            loss = loss + self.recipe.entropy * reversal_strength(self.progress) * entropy(logits)
        if self.recipe.pseudo_labels and self.progress > _LATE:
            certainty, labels = logits.detach().softmax(dim=1).max(dim=1)
            counted = (certainty >= self.recipe.sure).float()
            each = F.cross_entropy(logits, labels, reduction="none")
            loss = loss + self.recipe.pseudo_labels * (each * counted).mean()
        return loss

    def _both(
        self, source: Tensor, labels: Tensor, target: Tensor, position: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Features [N, D] of both domains, of images [N, C, H, W]; of the target there may be none."""
        network, recipe, shown = cast(Classifier, self.network), self.recipe, []
        for images, use in ((source, "source"), (target, "target")):
            changed = images
            if len(images):
                changed = jitter(images, recipe.jitter, seed=recipe.seed, position=position, use=use)
            if use == "source" and recipe.adversarial != "none":
                changed = attacked(
                    network, changed, labels, recipe, position=position, progress=self.progress
                )
            shown.append(changed.contiguous(memory_format=torch.channels_last))
        if self.recipe.norms == "together":
            features = network.features(torch.cat(shown))
            return features[: len(source)], features[len(source) :]
        features = network.features(shown[0])
        return features, network.features(shown[1]) if len(target) else features[:0]

    def complete(self, images: ImageSet, limit: int | None = None) -> None:
        """Give ``average`` the statistics of its own maps: on the target where one was learnt from."""
        self._source = images
        home = images if self._home is None else self._home
        if self.adapts and self.recipe.norms == "together":
            home = alternating(images, home, _SETTLED)
        self._settle(home, limit)

    @property
    def _home(self) -> ImageSet | None:
        """The images of the target that the published statistics are those of; None: the source's are."""
        return self._target.training if self._target is not None and self.adapts else None

    def measure(self, images: ImageSet, kind: str) -> Mapping[str, Metric]:
        assert images.labels is not None
        right = self._of_source(images).argmax(dim=1) == images.labels
        metrics = {"accuracy": share_of(right, f"{kind}, averaged weights"), **self._worst(right, images)}
        if self.recipe.adversarial != "none":
            metrics["robust_accuracy"] = robust_accuracy(self.average, images, self.recipe, self.device)
        if self._target is None:
            return metrics
        return {**metrics, **self._measure_target(self._target)}

    def _worst(self, right: Tensor, images: ImageSet) -> dict[str, Metric]:
        assert images.labels is not None
        assert images.classes is not None
        recalls = {
            name: float(right[images.labels == number].float().mean())
            for number, name in enumerate(images.classes)
            if bool((images.labels == number).any())
        }
        name = min(recalls, key=lambda one: recalls[one])
        return {"worst_recall": Metric(value=recalls[name], how=f"least accuracy of a class: {name}")}

    def _measure_target(self, target: Parts) -> dict[str, Metric]:
        """What can be said of the target without its labels."""
        images = target.validation
        probabilities = class_probabilities(self.average, images.images, self.device)
        how = (
            f"what predictions tell of {len(images)} {target.measured_on} of the target, from 0 to 1, "
            "without labels: entropy of their mean less mean of their entropies"
        )
        return {"target_information": Metric(value=information(probabilities), how=how)}

    def watch(self, images: ImageSet) -> Mapping[str, float]:
        assert images.labels is not None
        right = self._of_source(images).argmax(dim=1) == images.labels
        figures = {"accuracy": float(right.float().mean())}
        if self.recipe.adversarial != "none":
            few = images.sample(_ATTACKED)
            robust = robust_accuracy(self.average, few, self.recipe, self.device).value
            assert robust is not None
            figures["robust_accuracy"] = robust
        if self._target is not None:
            some = self._target.validation.sample(_SHOWN).images
            figures["target_information"] = information(class_probabilities(self.average, some, self.device))
        return figures

    def preview(self) -> Image.Image:
        """A row for each of up to 10 classes: images taken for it, from the most to the least certain."""
        assert self._source is not None
        chosen = (self._source if self._home is None else self._home).sample(_SHOWN).images
        return by_class(chosen, class_probabilities(self.average, chosen, self.device))

    def _of_source(self, images: ImageSet) -> Tensor:
        """Probabilities, float32 [N, K], of images of the source under the statistics of the source."""
        if self._home is None or self.recipe.norms == "together":
            return class_probabilities(self.average, images.images, self.device)
        assert self._source is not None
        kept = {name: buffer.clone() for name, buffer in self.average.named_buffers()}
        self._settle(self._source)
        found = class_probabilities(self.average, images.images, self.device)
        for name, buffer in self.average.named_buffers():
            buffer.copy_(kept[name])
        return found

    def _settle(self, images: ImageSet, limit: int | None = None) -> None:
        some = images.sample(_SETTLED if limit is None else limit)
        chosen = some.images
        if self.recipe.adversarial != "none" and has_norms(self.average):
            # The statistics of what was learnt from: those of clean images are others.
            chosen = attacked_images(self.average, some, self.recipe, self.device)
        settle_norms(self.average, chosen, self.device)
