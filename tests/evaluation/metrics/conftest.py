"""Real images, a fixed network to compare them by, and five strengths of what may be wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synth.data import builtin_is_local, load_images, open_source


class FixedNetwork:
    """An extractor: convolutions with weights that are drawn once, 32 features."""

    name = "fixed network"
    digest = "00" * 32
    dimensions = 32

    def __init__(self) -> None:
        random = torch.Generator().manual_seed(0)
        layers = [nn.Conv2d(1, 16, 3, 2, 1), nn.Conv2d(16, 32, 3, 2, 1), nn.Conv2d(32, 8, 3, 1, 1)]
        for layer in layers:
            weight = layer.weight
            nn.init.normal_(weight, std=(2 / weight[0].numel()) ** 0.5, generator=random)
            nn.init.zeros_(layer.bias)
        self.network = nn.Sequential(
            *(part for layer in layers for part in (layer, nn.ReLU())), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        )

    @torch.inference_mode()
    def features(self, images: Tensor) -> Tensor:
        if not len(images):
            return torch.zeros(0, self.dimensions)
        return self.network(images.float() / 127.5 - 1).clone()


@dataclass(frozen=True)
class Real:
    """Disjoint sets of real images uint8 [N, 1, H, W] with their features and labels."""

    extractor: FixedNetwork
    images: dict[str, Tensor]
    features: dict[str, Tensor]
    labels: dict[str, Tensor]


@pytest.fixture(scope="session")
def real() -> Real:
    """``training`` 500, ``holdout`` 300, ``other`` up to 4,000, of Fashion-MNIST's test part or digits."""
    everything = load_images(
        open_source("fashion-mnist:test" if builtin_is_local("fashion-mnist") else "digits")
    )
    assert everything.labels is not None
    extractor, at = FixedNetwork(), 0
    sets: tuple[dict[str, Any], ...] = ({}, {}, {})
    for name, count in (("training", 500), ("holdout", 300), ("other", 4_000)):
        rows = slice(at, at + count)
        images = everything.images[rows]
        for kept, value in zip(
            sets, (images, extractor.features(images), everything.labels[rows]), strict=True
        ):
            kept[name] = value
        at += count
    return Real(extractor, *sets)


COUNT = 500


def blur(images: Tensor, labels: Tensor, training: Tensor, strength: int) -> Tensor:
    blurred = images[:COUNT].float()
    for _ in range(strength):
        blurred = F.avg_pool2d(F.pad(blurred, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return blurred.round().to(torch.uint8)


def noise(images: Tensor, labels: Tensor, training: Tensor, strength: int) -> Tensor:
    random = torch.Generator().manual_seed(1)
    added = 15 * strength * torch.randn(images[:COUNT].shape, generator=random)
    return (images[:COUNT] + added).round().clamp(0, 255).to(torch.uint8)


def dropped(images: Tensor, labels: Tensor, training: Tensor, strength: int) -> Tensor:
    """8, 6, 4, 3 and 2 of the ten classes are left."""
    return images[labels < (10, 8, 6, 4, 3, 2)[strength]][:COUNT]


def repeated(images: Tensor, labels: Tensor, training: Tensor, strength: int) -> Tensor:
    """16, 32, 48, 64 and 80 % are one image."""
    result = images[:COUNT].clone()
    result[: COUNT * 4 * strength // 25] = images[-1]
    return result


def copied(images: Tensor, labels: Tensor, training: Tensor, strength: int) -> Tensor:
    """16, 32, 48, 64 and 80 % are training images."""
    result = images[:COUNT].clone()
    count = COUNT * 4 * strength // 25
    result[:count] = training[:count]
    return result


FAULTS = {"blur": blur, "noise": noise, "dropped": dropped, "repeated": repeated, "copied": copied}


@pytest.fixture(scope="session")
def faulty(real: Real) -> Callable[[str], list[Tensor]]:
    """Features by the name of a fault: of the pictures as they are, and at its five strengths."""
    made: dict[str, list[Tensor]] = {}

    def make(name: str) -> list[Tensor]:
        if name not in made:
            sets = (real.images["other"], real.labels["other"], real.images["training"])
            made[name] = [real.extractor.features(FAULTS[name](*sets, strength)) for strength in range(6)]
        return made[name]

    return make
