from __future__ import annotations

import pytest
import torch

from synth.errors import UsageError
from synth.evaluation.figures import Estimate, NotMeasured
from synth.evaluation.metrics import halves, kernel_distance, manifold, per_class, vendi_ratio, with_floor


def normal(count: int, seed: int = 0, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed)) + shift


def test_halves_are_disjoint_and_random():
    rows = torch.arange(11.0).reshape(-1, 1)
    first, second = halves(rows, seed=0)
    assert len(first) == len(second) == 5
    assert len(set(first[:, 0].tolist()) | set(second[:, 0].tolist())) == 10
    assert not torch.equal(halves(rows, seed=1)[0], first)


def test_the_floor_is_the_figure_between_two_real_sets():
    real, other, synthetic = normal(120), normal(80, 1), normal(100, 2, 1.0)
    figure = with_floor(kernel_distance, real, synthetic, seed=3)
    plain, floor = kernel_distance(real, synthetic), kernel_distance(*halves(real, seed=3))
    assert isinstance(figure, Estimate)
    assert (figure.value, figure.low, figure.high, figure.floor) == (
        plain.value,
        plain.low,
        plain.high,
        floor.value,
    )
    assert figure.how.endswith("; floor between 60 and 60 real images")
    given = with_floor(kernel_distance, real, synthetic, seed=3, other=other)
    assert given.floor == kernel_distance(real, other).value
    assert given.how.endswith("; floor between 120 and 80 real images")


def test_every_figure_of_a_group_has_its_floor():
    measured = with_floor(manifold, normal(120), normal(100, 2, 0.5), seed=0)
    floors = manifold(*halves(normal(120), seed=0), seed=0)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(measured, name).floor == getattr(floors, name).value


def test_without_enough_images_for_a_floor_the_figure_says_so():
    figure = with_floor(kernel_distance, normal(15), normal(100, 1), seed=0)
    assert figure.floor is None
    assert "no floor, which needs at least 10 images in each set" in figure.how
    assert isinstance(with_floor(kernel_distance, normal(5), normal(100), seed=0), NotMeasured)


def test_classes_are_measured_apart_and_those_with_too_few_images_not():
    features = torch.cat([normal(60), normal(60, 1, 5.0), normal(3, 2)])
    labels = torch.tensor([0] * 60 + [1] * 60 + [2] * 3)
    made = (torch.cat([normal(60, 3), normal(1, 4).repeat(60, 1)]), torch.tensor([0] * 60 + [1] * 60))
    first, second, third, fourth = per_class(
        vendi_ratio, (features, labels), made, classes=4, seed=0, floor=True
    )
    assert 0.8 < first.value < 1.2
    assert 0.7 < first.floor < 1.3
    assert second.value < 0.2
    assert "there are 3 real images and 0 synthetic images" in third.reason
    assert isinstance(fourth, NotMeasured)
    with pytest.raises(UsageError, match="2 labels for 123 real images"):
        per_class(vendi_ratio, (features, labels[:2]), made, classes=3, seed=0)
