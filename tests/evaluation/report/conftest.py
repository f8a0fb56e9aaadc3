"""Small sets, an extractor that needs no training, and one report for many tests."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from synth.data import ImageSet
from synth.evaluation.report import evaluate


def bars(count: int, *, classes: int = 3, seed: int = 0, wrong: float = 0.0, shape=(1, 12, 12)) -> ImageSet:
    """Images with a bright row whose place tells the class; a share of the labels is ``wrong``."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    images = random.integers(0, 120, (count, *shape), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 3 * label + 1] = random.integers(180, 255)
    labels = np.where(random.random(count) < wrong, (labels + 1) % classes, labels)
    return ImageSet(
        images=torch.from_numpy(images),
        labels=torch.from_numpy(labels),
        ids=tuple(hashlib.sha256(image.tobytes()).hexdigest() for image in images),
        classes=tuple(f"kind{number}" for number in range(classes)),
        source=f"set {seed}",
    )


class Averages:
    """Features are means of patches."""

    name, digest, dimensions = "averages", "ab" * 32, 16

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(images.float().mean(1, keepdim=True), 4).flatten(1)


@pytest.fixture(scope="session")
def make():
    return bars


@pytest.fixture(scope="session")
def extractor():
    return Averages()


@pytest.fixture(scope="session")
def report():
    """Of 150 good images, with a holdout in two groups."""
    holdout = bars(120, seed=2)
    groups = {name: "near" if number < 60 else "far" for number, name in enumerate(holdout.ids)}
    return evaluate(
        bars(150), bars(510, seed=1), extractor=Averages(), holdout=holdout, groups=groups,
        seeds=2, images_seen=1_000, ratios=(1.0,),
    )  # fmt: skip
