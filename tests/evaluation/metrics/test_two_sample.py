from __future__ import annotations

import pytest
import torch

from synth.evaluation.metrics import two_sample_test


def normal(count: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(seed)) * scale + shift


def test_alike_sets_are_told_apart_no_more_often_than_by_chance():
    found = [two_sample_test(normal(40, 2 * n), normal(60, 2 * n + 1), seed=n) for n in range(60)]
    assert sum(test.p_value.value <= 0.1 for test in found) <= 13
    assert sum(test.accuracy.value for test in found) / 60 == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("shift", "scale"), [(1.0, 1.0), (0.0, 2.0)])
def test_a_shift_and_a_wider_spread_are_told(shift, scale):
    found = two_sample_test(normal(150, 0), normal(400, 1, shift, scale))
    assert found.accuracy.low > 0.7
    assert found.p_value.value == pytest.approx(1 / 200)


def test_a_set_is_not_told_from_itself():
    same = normal(100, 0)
    found = two_sample_test(same, same)
    assert found.accuracy.value <= 0.5
    assert found.p_value.value > 0.5


def test_the_seed_decides():
    sets = normal(60, 0), normal(60, 1, 0.2)
    assert two_sample_test(*sets, seed=1) == two_sample_test(*sets, seed=1)
    assert two_sample_test(*sets, seed=1) != two_sample_test(*sets, seed=2)
