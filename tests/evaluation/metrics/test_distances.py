from __future__ import annotations

import pytest
import torch

from synth.evaluation.metrics import distances
from synth.evaluation.metrics.distances import nearest, squared_blocks


def normal(count: int, seed: int = 0, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(seed)) + shift


@pytest.mark.parametrize("block", [1, 200, 4_000_000])
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e11])
def test_the_nearest_are_those_of_all_distances(monkeypatch, block, scale):
    monkeypatch.setattr(distances, "_BLOCK", block)
    queries, reference = normal(30) * scale, normal(50, 1) * scale
    every = (queries.double()[:, None] - reference.double()[None]).square().sum(dim=2).sqrt()
    expected = every.sort(dim=1)
    found, rows = nearest(queries, reference, 4)
    assert torch.equal(rows, expected.indices[:, :4])
    assert torch.allclose(found, expected.values[:, :4], rtol=1e-12, atol=0)


def test_equal_rows_are_at_no_distance_however_far_from_the_origin():
    features = normal(40, shift=1e5)
    assert torch.equal(nearest(features, features, 1)[0][:, 0], torch.zeros(40).double())
    own, rows = nearest(features, features, 1, same=True)
    assert (own > 0).all()
    assert not (rows[:, 0] == torch.arange(40)).any()


def test_fewer_come_back_where_there_are_fewer():
    assert nearest(normal(3), normal(2, 1), 5)[0].shape == (3, 2)
    assert nearest(normal(1), normal(1), 5, same=True)[0].shape == (1, 0)
    assert nearest(normal(0), normal(9, 1), 5)[1].shape == (0, 5)


def test_squared_distances_come_in_double_precision(monkeypatch):
    monkeypatch.setattr(distances, "_BLOCK", 120)
    rows, columns = normal(17, shift=100), normal(20, 1, shift=100)
    every = (rows.double()[:, None] - columns.double()[None]).square().sum(dim=2)
    for block, squared, slack in squared_blocks(rows, columns):
        assert len(squared) <= 6
        assert ((squared - every[block]).abs() <= slack).all()
