from __future__ import annotations

import math

import pytest
import torch

from synth.errors import SourceError, UsageError
from synth.evaluation.figures import Estimate, NotMeasured
from synth.evaluation.metrics import vendi_ratio, vendi_score


def test_equal_images_count_as_one_and_orthogonal_ones_each():
    assert vendi_score(torch.full((30, 4), 0.3)) == pytest.approx(1)
    assert vendi_score(torch.eye(7)) == pytest.approx(7)
    assert vendi_score(torch.eye(3).repeat(50, 1) * 1e-30) == pytest.approx(3)


def test_two_unlike_groups_count_by_their_entropy():
    features = torch.tensor([[1.0, 0.0]] * 3 + [[0.0, 1.0]])
    expected = math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert vendi_score(features) == pytest.approx(expected)
    assert vendi_score(features, bandwidth=1e-3) == pytest.approx(expected)


def test_two_images_of_cosine_c_have_the_eigenvalues_1_plus_and_minus_c():
    angle = math.acos(0.6)
    features = torch.tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)]], dtype=torch.float64)
    expected = math.exp(-(0.8 * math.log(0.8) + 0.2 * math.log(0.2)))
    assert vendi_score(features) == pytest.approx(expected)


def test_rows_of_zeros_are_one_more_image():
    features = torch.cat([torch.zeros(2, 3), torch.eye(3)[:1].repeat(2, 1)])
    assert vendi_score(features) == pytest.approx(2)
    assert vendi_score(torch.zeros(5, 3)) == pytest.approx(1)


def test_gaussian_similarity_counts_far_images_each_and_equal_ones_once():
    features = torch.arange(6.0).reshape(-1, 1) * 100
    assert vendi_score(features, bandwidth=1) == pytest.approx(6)
    assert vendi_score(torch.ones(6, 2), bandwidth=1) == pytest.approx(1)
    assert vendi_score(torch.tensor([[0.0], [0.0], [5.0]]), bandwidth=0) < 2


def test_a_third_of_the_modes_have_a_third_of_the_score():
    random = torch.Generator().manual_seed(0)
    modes = torch.randn(12, 16, generator=random) * 20
    real = modes[torch.arange(120) % 12] + 0.01 * torch.randn(120, 16, generator=random)
    few = modes[torch.arange(300) % 4] + 0.01 * torch.randn(300, 16, generator=random)
    figure = vendi_ratio(real, few, seed=3)
    assert isinstance(figure, Estimate)
    assert figure.low < figure.value < figure.high
    assert 0.3 < figure.value < 0.45
    assert figure == vendi_ratio(real, few, seed=3)


def test_equal_images_have_a_score_of_one_beside_any():
    equal = torch.full((40, 3), 7.1)
    varied = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    assert vendi_ratio(equal, equal).value == pytest.approx(1)
    assert vendi_ratio(varied, equal).value < 0.5
    assert vendi_ratio(equal, varied).value == pytest.approx(40)


def test_too_few_images_are_not_measured_and_none_are_refused():
    figure = vendi_ratio(torch.randn(100, 3), torch.randn(19, 3))
    assert figure == NotMeasured(reason="needs at least 20 images in each set; there are 19 synthetic images")
    with pytest.raises(SourceError, match="at least 1 image"):
        vendi_score(torch.zeros(0, 3))
    with pytest.raises(UsageError, match="bandwidth"):
        vendi_score(torch.zeros(3, 3), bandwidth=-1)
