"""What brings domains together, in closed cases."""

from __future__ import annotations

import math

import pytest
import torch

from synth.training.alignment import (
    annealed,
    conditioned,
    coral,
    domain_loss,
    entropy,
    information,
    reversal_strength,
    reverse_gradient,
)
from synth.training.jitter import jitter


def test_the_reversal_layer_turns_the_gradient_and_nothing_else():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = reverse_gradient(x, 0.25)
    assert torch.equal(y, x)
    (3.0 * y).sum().backward()
    assert x.grad.tolist() == [-0.75, -0.75]


def test_the_schedules_are_those_of_the_paper():
    assert reversal_strength(0.0) == 0.0
    assert reversal_strength(0.1) == pytest.approx(2 / (1 + math.exp(-1)) - 1)
    assert reversal_strength(1.0) == pytest.approx(1.0, abs=1e-4)
    assert annealed(0.01, 0.0) == 0.01
    assert annealed(0.01, 1.0) == pytest.approx(0.01 / 11**0.75)


def test_domains_that_cannot_be_told_apart_cost_log_2():
    assert float(domain_loss(torch.zeros(3), torch.zeros(5))) == pytest.approx(math.log(2))
    assert float(domain_loss(torch.full((3,), 20.0), torch.full((5,), -20.0))) < 1e-6


def test_coral_is_the_distance_of_covariances():
    random = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert float(coral(random, random + 5.0)) == pytest.approx(0.0, abs=1e-9)  # means do not count
    covariance = torch.cov(random.T)
    expected = (3.0 * covariance).square().sum() / (4 * 3**2)
    assert float(coral(2.0 * random, random)) == pytest.approx(float(expected), rel=1e-4)


def test_features_under_a_sure_class_have_their_place_alone():
    features, logits = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 50.0]], requires_grad=True)
    found = conditioned(features, logits)
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0, 1.0, 2.0]]))
    assert not found.requires_grad


def test_entropy_and_information_tell_sure_from_collapsed():
    sure = 50.0 * torch.eye(4)
    assert float(entropy(sure)) == pytest.approx(0.0, abs=1e-6)
    assert float(entropy(torch.zeros(3, 4))) == pytest.approx(math.log(4))
    assert information(sure.softmax(dim=1)) == pytest.approx(1.0, abs=1e-6)
    assert information(sure[:1].expand(9, -1).softmax(dim=1)) == pytest.approx(0.0, abs=1e-6)  # collapsed
    assert information(torch.full((5, 4), 0.25)) == 0.0  # knows nothing


def test_jitter_is_keyed_by_position_and_keeps_what_it_is_told_to():
    images = torch.rand(4, 3, 12, 20)
    position = torch.arange(4)
    assert jitter(images, 0.0, seed=1, position=position) is images
    whole = jitter(images, 1.0, seed=1, position=position)
    assert torch.equal(whole[2:], jitter(images[2:], 1.0, seed=1, position=position[2:]))
    assert not torch.equal(whole, jitter(images, 1.0, seed=2, position=position))
    assert not torch.equal(whole, jitter(images, 1.0, seed=1, position=position, use="target"))
    assert whole.min() >= images.min() - 1e-6
    assert whole.max() <= images.max() + 1e-6
    torch.testing.assert_close(jitter(images, 1e-6, seed=1, position=position), images, atol=1e-3, rtol=0)
