from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from synth.training.objectives import barlow, simclr, vicreg


@pytest.fixture
def rows() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(64, 8))).float()


def test_simclr_is_the_cross_entropy_of_the_partner_in_a_closed_case():
    # Two images whose views agree and are orthogonal to each other's.
    rows = torch.eye(2)
    wanted = -math.log(math.exp(2.0) / (math.exp(2.0) + 2.0))
    assert float(simclr(rows, rows, temperature=0.5)) == pytest.approx(wanted, rel=1e-6)


def test_barlow_is_nothing_for_equal_views_of_uncorrelated_features():
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert float(barlow(signs, signs)) == pytest.approx(0.0, abs=1e-6)
    assert float(barlow(signs, -signs)) == pytest.approx(4.0, rel=1e-3)
    same = signs[:, :1].expand(-1, 2)
    assert float(barlow(same, same)) == pytest.approx(5e-3, rel=1e-3)  # 2 correlations of 1, over D = 2


def test_vicreg_is_nothing_for_equal_views_of_uncorrelated_features_with_deviation_one():
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert float(vicreg(signs, signs)) == pytest.approx(0.0, abs=1e-3)
    assert float(vicreg(signs, signs + 0.5)) == pytest.approx(0.25, abs=1e-3)


@pytest.mark.parametrize("objective", [lambda a, b: simclr(a, b, 0.2), barlow, vicreg])
def test_a_collapsed_answer_is_worse_than_an_informed_one_and_has_finite_gradients(rows, objective):
    collapsed = torch.ones(64, 8, requires_grad=True)
    loss = objective(collapsed, collapsed)
    loss.backward()
    assert collapsed.grad.isfinite().all()
    assert float(loss.detach()) > float(objective(rows, rows))


@pytest.mark.parametrize("objective", [lambda a, b: simclr(a, b, 0.2), barlow, vicreg])
def test_views_of_one_image_are_better_than_views_of_different_ones(rows, objective):
    assert float(objective(rows, rows)) < float(objective(rows, rows.roll(1, dims=0)))
