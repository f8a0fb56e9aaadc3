"""The measures that every generator, ours or another's, is held to.

Real images are divided once: all training images teach the classifier that "real" stands for; a fixed
in-domain classifier, of whose features distances are made, learns from every other training image only, so
that 10,000 of the rest, which it has not seen either, give the floor of two real sets.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from synth.data import ImageSet, load_images, open_source
from synth.evaluation import score_classifier, train_classifier
from synth.evaluation.figures import Figure, NotMeasured
from synth.evaluation.metrics import kernel_distance, manifold
from synth.evaluation.metrics.distances import nearest
from synth.evaluation.utility import classifier_features
from synth.evaluation.weights import weights_digest
from synth.models.classifier import SmallCNN
from synth.models.program import ImageShape

FEATURE_SEED = 1_000
"""Of the fixed classifier; no seed of a measurement."""
COPY_RATIO = 1 / 3


@dataclass(frozen=True)
class Extent:
    """How much is measured; the full extent is the default.

    Attributes:
        images_seen: training of one classifier.
        compared: images of each set in distances, precision, recall, density and coverage.
        real: training images looked at; None takes all.
    """

    images_seen: int = 300_000
    compared: int = 10_000
    real: int | None = None


QUICK = Extent(images_seen=30_000, compared=1_000, real=6_000)


def held_out(options: argparse.Namespace) -> str:
    """The real test images: those named, or the part ``test`` of the data."""
    return options.test or f"{options.data}:test"


class Yardstick:
    """Measures against one data set.

    Args:
        data: the real training images; test: the real test images; as ``synth.data.open_source`` takes them.
        out: where what is the same for all generators is kept.
    """

    def __init__(
        self, data: str, test: str, out: Path, extent: Extent, device: str = "auto", size: int | None = None
    ) -> None:
        sides = None if size is None else (size, size)
        self.data, self.extent, self.device = data, extent, device  # features: always on the CPU
        real = load_images(open_source(data), size=sides)
        self.real = real if extent.real is None else real.subset(range(min(extent.real, len(real))))
        self.test = load_images(open_source(test), size=sides)
        if self.real.classes is None or self.real.classes != self.test.classes:
            raise SystemExit(f"{data} and {test} must have the same classes: TSTR is measured on labels.")
        self._out = out / "yardstick"
        self._out.mkdir(parents=True, exist_ok=True)

    @property
    def classes(self) -> int:
        return len(self.real.classes or ())

    def real_accuracy(self, seed: int) -> float:
        """Of the classifier trained on the real images; measured once for each seed."""
        path = self._out / f"{self._stem}-accuracy-{seed}.json"
        if not path.exists():
            accuracy = self.accuracy(self.real, seed)
            path.write_text(json.dumps(accuracy), encoding="utf-8")
        found: float = json.loads(path.read_text(encoding="utf-8"))
        return found

    def accuracy(self, images: ImageSet, seed: int) -> float:
        """On the real test images, of a classifier trained on ``images``; always the same budget."""
        assert images.labels is not None
        assert self.test.labels is not None
        network = train_classifier(
            images.images,
            images.labels,
            self.classes,
            seed=seed,
            images_seen=self.extent.images_seen,
            device=self.device,
        )
        return score_classifier(network, self.test.images, self.test.labels).accuracy

    def tstr(self, synthetic: ImageSet, seed: int) -> dict[str, float]:
        """Train on synthetic, test on real, beside the same with real images."""
        if synthetic.classes != self.real.classes:
            raise SystemExit(f"The classes {synthetic.classes} are not those of {self.data}.")
        real, tstr = self.real_accuracy(seed), self.accuracy(synthetic, seed)
        return {"real_accuracy": real, "tstr_accuracy": tstr, "ratio": tstr / real}

    def fidelity(self, synthetic: ImageSet) -> dict[str, Any]:
        """Distance and overlap in the fixed features, and the share of near-copies."""
        features = self.features(synthetic.images[: self.extent.compared])
        return {
            **self._overlap(features),
            "near_copies": self.near_copies(synthetic.images),
            "compared": len(features),
        }

    @cached_property
    def floor(self) -> dict[str, Any]:
        """The figures of ``fidelity`` for real images in place of synthetic ones."""
        return {
            **self._overlap(self.features(self.real.images[1::2][: self.extent.compared])),
            "near_copies": self.near_copies(self.test.images),
            "features": weights_digest(self._network),
        }

    def _overlap(self, features: Tensor) -> dict[str, float | None]:
        found = manifold(self._reference, features)
        figures: dict[str, Figure] = {
            "kernel_distance": kernel_distance(self._reference, features),
            "precision": found.precision,
            "recall": found.recall,
            "density": found.density,
            "coverage": found.coverage,
        }
        return {
            name: None if isinstance(figure, NotMeasured) else figure.value
            for name, figure in figures.items()
        }

    def near_copies(self, images: Tensor) -> float:
        """Share of images whose nearest training image is less than a third as far as the second, in pixels.

        The rule of Yoon et al., "Diffusion probabilistic models generalize when they fail to memorize" (ICML
        2023 workshop SPIGM). A copy of an image that the training set holds twice is not seen by it, unless
        it is equal to the last bit.
        """
        training = self.real.images.flatten(1).float()
        distances = torch.cat(
            [nearest(part, training, 2)[0] for part in images.flatten(1).float().split(2_000)]
        )
        copies = (distances[:, 0] < COPY_RATIO * distances[:, 1]) | (distances[:, 0] == 0)
        return float(copies.double().mean())

    def features(self, images: Tensor) -> Tensor:
        """float32 [N, 128]: the last hidden layer of the fixed classifier for uint8 [N, C, H, W]."""
        return classifier_features(self._network, images)

    @cached_property
    def _network(self) -> SmallCNN:
        path = self._out / f"{self._stem}-features.safetensors"
        if not path.exists():
            assert self.real.labels is not None
            network = train_classifier(
                self.real.images[::2],
                self.real.labels[::2],
                self.classes,
                seed=FEATURE_SEED,
                images_seen=self.extent.images_seen,
                device=self.device,
            )
            save_file({name: part.contiguous() for name, part in network.state_dict().items()}, path)
        network = SmallCNN(ImageShape(*self.real.images.shape[1:]), self.classes)
        network.load_state_dict(load_file(path))
        return network.eval().requires_grad_(False)

    @cached_property
    def _reference(self) -> Tensor:
        return self.features(self.test.images[: self.extent.compared])

    @property
    def _stem(self) -> str:
        return f"{Path(self.data).stem}-{len(self.real)}-{self.extent.images_seen}"
