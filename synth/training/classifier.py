"""Training of the ``classifier`` family: the classes of images, also of a domain that has no labels.

With a target, images without labels of another domain, it is trained for both:

    source   not at all: what the others have to beat
    coral    the covariances of both domains' features are brought together (Sun and Saenko, arXiv 1607.01719)
    dann     a second network tells the domains apart, and the features are trained against it (Ganin et al.,
             arXiv 1505.07818), by a gradient-reversal layer with its schedule

Each domain passes batch normalisation by itself, and the published statistics are those of the domain that
the classifier is for (Li et al., AdaBN, arXiv 1603.04779). No label of the target is ever looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import torch
from PIL import Image
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from synth.artifacts import Metric
from synth.data import ImageSet
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
from synth.training.jitter import jitter
from synth.training.module import FamilyModule
from synth.training.opinions import alternating, by_class, settle_norms, share_of
from synth.training.parts import Domains, Parts
from synth.training.recipe import Recipe

_SETTLED = 10_000
"""Most images that statistics of batch normalisation are taken from."""
_SHOWN = 2_000
"""Most images that a picture or a curve is of."""
_LATE = 0.5
"""Share of the training after which the classifier's own labels count."""


class ClassifierRecipe(Recipe):
    """Recipe of a classifier, for one domain or for two."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {"width": 32, "most": 128, "blocks": 1, "features": 128},
        "small": {"width": 48, "most": 256, "blocks": 2, "features": 256},
        "base": {"width": 64, "most": 512, "blocks": 2, "features": 512},
        "large": {"width": 128, "most": 1024, "blocks": 3, "features": 1024},
    }
    needs_labels: ClassVar[bool] = True
    few_images_hint: ClassVar[str] = "Small changes of the images (--set jitter=1) help against that."

    width: int = Field(32, ge=4, le=1024, description="Channels of the first stage; each doubles them.")
    most: int = Field(128, ge=4, le=4096, description="Channels of a stage at most.")
    blocks: int = Field(1, ge=1, le=16, description="Convolutions of a stage.")
    features: int = Field(128, ge=2, le=8192, description="Dimensions that the classes are told by.")
    jitter: float = Field(
        0.0, ge=0, le=2, description="Random turns, scales and shifts of images; 1: 15 degrees, a quarter."
    )
    adaptation: Literal["source", "coral", "dann"] = Field(
        "dann", description="With a target: how its unlabelled images are learnt from; source: not at all."
    )
    norms: Literal["apart", "together"] = Field(
        "apart",
        description="With a target: whether each domain passes batch normalisation by itself, and the "
        "target's statistics are published (AdaBN), or both pass it in one batch.",
    )
    coral: float = Field(1.0, ge=0, le=1e6, description="coral: weight of the distance of covariances.")
    reversal: float = Field(1.0, ge=0, le=100, description="dann: the reversed gradient's greatest weight.")
    reversal_speed: float = Field(10.0, gt=0, le=1e3, description="dann: how soon it is reached (gamma).")
    domain_hidden: int = Field(256, ge=4, le=8192, description="dann: width of what tells domains apart.")
    conditional: bool = Field(
        False, description="dann: domains are told apart under the predicted class (CDAN)."
    )
    entropy: float = Field(
        0.0, ge=0, le=100, description="coral, dann: weight of the entropy of predictions for the target."
    )
    pseudo_labels: float = Field(
        0.0, ge=0, le=100, description="coral, dann: weight of the classifier's own sure labels, late."
    )
    sure: float = Field(0.95, ge=0, le=1, description="Probability from which on such a label counts.")
    batch_size: int = Field(64, ge=2, description="Images per step, of each domain.")
    learning_rate: float = Field(1e-2, gt=0, description="At first; falls by 1 / (1 + 10 p)^0.75.")
    weight_decay: float = Field(5e-4, ge=0, description="Of SGD with momentum.")

    @model_validator(mode="after")
    def _wants_labels(self) -> ClassifierRecipe:
        if self.labels is False:
            raise ValueError("a classifier learns labels: leave --no-labels out, or train an encoder")
        return self


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
        self._target = domains.target
        if domains.target is None:  # nothing to tell apart
            self.tell = None

    @property
    def adapts(self) -> bool:
        """Whether images of a target are learnt from."""
        return self._target is not None and self.recipe.adaptation != "source"

    def network_config(self) -> NetworkConfig:
        return self.recipe.model_dump(mode="json", include={"width", "most", "blocks", "features"})

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
        """The schedule of Ganin et al., after the warm-up."""
        rise = min(1.0, (self.progress + 1e-4) / max(self.recipe.warmup, 1e-4))
        return rise * annealed(self.recipe.learning_rate, self.progress)

    def loss(
        self, images: Tensor, labels: Tensor | None, position: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of the source, and with a target what the adaptation adds."""
        assert labels is not None
        network = cast(Classifier, self.network)
        source, target = images[: len(labels)], images[len(labels) :]
        features, others = self._both(source, target if self.adapts else target[:0], position)
        logits = network.classify(features)
        loss = F.cross_entropy(logits, labels)
        figures = {"right": (logits.argmax(dim=1) == labels).float().mean()}
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

    def _both(self, source: Tensor, target: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """Features [N, D] of both domains, of images [N, C, H, W]; of the target there may be none."""
        network, shown = cast(Classifier, self.network), []
        for images, use in ((source, "source"), (target, "target")):
            changed = images
            if len(images):
                changed = jitter(
                    images, self.recipe.jitter, seed=self.recipe.seed, position=position, use=use
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
        if self._target is not None:
            chosen = self._target.validation
            some = chosen.images[: min(len(chosen), _SHOWN)]
            figures["target_information"] = information(class_probabilities(self.average, some, self.device))
        return figures

    def preview(self) -> Image.Image:
        """A row for each of up to 10 classes: images taken for it, from the most to the least certain."""
        assert self._source is not None
        images = (self._source if self._home is None else self._home).images
        chosen = images[: min(len(images), _SHOWN)]
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
        count = min(len(images), _SETTLED if limit is None else limit)
        settle_norms(self.average, images.images[:count], self.device)
