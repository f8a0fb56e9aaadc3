from __future__ import annotations

import torch

from synth.evaluation.figures import Estimate, NotMeasured
from synth.evaluation.metrics import distances, kernel_distance


def normal(count: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed)) + shift


def by_definition(x: torch.Tensor, y: torch.Tensor) -> float:
    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a.double() @ b.double().T / a.shape[1] + 1) ** 3

    n, m = len(x), len(y)
    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    within = (xx.sum() - xx.trace()) / (n * (n - 1)) + (yy.sum() - yy.trace()) / (m * (m - 1))
    return float(within - 2 * xy.mean())


def test_it_is_the_unbiased_estimate_over_all_pairs_for_unlike_counts():
    x, y = normal(37, 0), normal(55, 1, 0.3)
    figure = kernel_distance(x, y)
    assert isinstance(figure, Estimate)
    assert abs(figure.value - by_definition(x, y)) < 1e-9


def test_it_does_not_depend_on_the_size_of_its_blocks(monkeypatch):
    x, y = normal(60, 0), normal(45, 1, 0.3)
    whole = kernel_distance(x, y)
    monkeypatch.setattr(distances, "_BLOCK", 7 * 60)
    parts = kernel_distance(x, y)
    assert abs(parts.value - whole.value) < 1e-12
    assert abs(parts.low - whole.low) < 1e-9


def test_few_images_do_not_bias_it_and_the_interval_holds_the_truth_as_often_as_it_says():
    for shift in (0.0, 0.5):
        truth = 0.0 if not shift else by_definition(normal(6_000, 1), normal(6_000, 2, shift))
        found = [kernel_distance(normal(25, 10 + 2 * n), normal(40, 11 + 2 * n, shift)) for n in range(120)]
        values = torch.tensor([figure.value for figure in found])
        assert abs(float(values.mean()) - truth) < 3 * float(values.std()) / 120**0.5
        held = sum(figure.low <= truth <= figure.high for figure in found) / len(found)
        assert held > 0.85


def test_fewer_than_ten_images_are_not_measured():
    assert kernel_distance(normal(9, 0), normal(3, 1)) == NotMeasured(
        reason="needs at least 10 images in each set; there are 9 real images and 3 synthetic images"
    )
