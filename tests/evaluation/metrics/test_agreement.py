"""The same figures as from torchmetrics, on the same features."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from synth.evaluation.metrics import frechet_distance, kernel_distance


class Given(nn.Module):
    """An extractor for torchmetrics that takes features in place of images."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


def correlated(count: int, width: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    mix = torch.randn(width, width, generator=torch.Generator().manual_seed(9)) / width**0.5
    return torch.randn(count, width, generator=random) @ mix + shift


@pytest.mark.parametrize(("count", "width", "shift"), [(400, 24, 0.0), (400, 24, 0.3), (40, 64, 0.1)])
def test_frechet_distance_is_that_of_torchmetrics(count, width, shift):
    first, second = correlated(count, width, 0), correlated(count + 20, width, 1, shift)
    reference = FrechetInceptionDistance(feature=Given(width)).set_dtype(torch.float64)
    reference.update(first.double(), real=True)
    reference.update(second.double(), real=False)
    assert frechet_distance(first, second) == pytest.approx(float(reference.compute()), rel=1e-6)
    assert frechet_distance(second, first) == pytest.approx(frechet_distance(first, second), rel=1e-6)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save")
@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_kernel_distance_is_that_of_torchmetrics(shift):
    first, second = correlated(300, 24, 0), correlated(300, 24, 1, shift)
    reference = KernelInceptionDistance(feature=Given(24), subsets=1, subset_size=300)
    reference.update(first.double(), real=True)
    reference.update(second.double(), real=False)
    mean, _ = reference.compute()
    assert kernel_distance(first, second).value == pytest.approx(float(mean), rel=1e-4)


def test_frechet_distance_of_known_normal_distributions():
    first, second = torch.tensor([[-1.0], [1.0]]), torch.tensor([[2.0], [8.0]])
    assert frechet_distance(first, second) == pytest.approx(25 + (2**0.5 - 18**0.5) ** 2)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-12)
