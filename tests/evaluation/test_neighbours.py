"""Neighbours, near duplicates, partners and pseudo-labels, on closed cases and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synth.errors import SourceError, UsageError
from synth.evaluation import neighbours, similarity
from synth.evaluation.neighbours import (
    knn_accuracy,
    knn_vote,
    near_duplicates,
    near_pairs,
    nearest,
    partners,
    pseudo_labels,
)


def normal(count: int, dimensions: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, dimensions))).float()


@pytest.fixture
def clusters() -> tuple[torch.Tensor, torch.Tensor]:
    """60 rows about three orthogonal directions, and which."""
    labels = torch.arange(60) % 3
    return 5 * torch.eye(16)[labels] + 0.5 * normal(60), labels


@pytest.fixture(params=[1, 100, 1 << 24], ids=["one row", "some rows", "all"])
def band(request, monkeypatch) -> None:
    """However few similarities are held at once, the answer is the same."""
    monkeypatch.setattr(similarity, "_BAND", request.param)


def test_the_nearest_are_those_of_brute_force_whatever_is_held_at_once(band):
    queries, bank = normal(20), normal(50, seed=1)
    every = torch.nn.functional.cosine_similarity(queries[:, None], bank[None], dim=2)
    found = nearest(queries, bank, 7)
    torch.testing.assert_close(found.similarity, every.topk(7).values)
    assert torch.equal(found.rows, every.topk(7).indices)


def test_no_row_is_its_own_neighbour_where_that_is_asked(band):
    bank = normal(30)
    assert torch.equal(nearest(bank, bank, 1).rows[:, 0], torch.arange(30))
    assert not (nearest(bank, bank, 29, same=True).rows == torch.arange(30)[:, None]).any()


def test_a_vote_weighs_by_similarity_and_its_shares_sum_to_one():
    bank = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    votes = knn_vote(torch.tensor([[2.0, 0.0]]), bank, torch.tensor([0, 1, 1]), 3, temperature=1.0)
    weights = torch.tensor([1.0, 0.0, 0.5**0.5]).exp()
    wanted = torch.stack([weights[0], weights[1] + weights[2], torch.tensor(0.0)]) / weights.sum()
    torch.testing.assert_close(votes[0], wanted)


def test_accuracy_is_full_for_clusters_and_chance_for_shuffled_labels(clusters):
    features, labels = clusters
    queries, wanted = features[:30] + 0.1, labels[:30]
    assert knn_accuracy(queries, wanted, features, labels, neighbours=5) == 1.0
    assert knn_accuracy(queries, (wanted + 1) % 3, features, labels, neighbours=5) == 0.0


def test_pseudo_labels_below_the_floor_are_left_out_and_none_is_made_up(clusters):
    features, labels = clusters
    between = features[0] / features[0].norm() + features[1] / features[1].norm()
    unlabelled = torch.cat([features[:3] + 0.1, between[None]])
    given = pseudo_labels(unlabelled, features, labels, 3, floor=0.95, neighbours=10)
    assert given.labels.tolist() == [0, 1, 2, -1]
    assert 0.3 < float(given.confidence[3]) < 0.95 <= float(given.confidence[:3].min())
    assert -1 not in pseudo_labels(unlabelled, features, labels, 3, floor=0.0).labels.tolist()
    assert len(pseudo_labels(features[:0], features, labels, 3).labels) == 0
    with pytest.raises(UsageError, match=r"floor lies from 0 to 1, not at 1\.5"):
        pseudo_labels(unlabelled, features, labels, 3, floor=1.5)


def test_near_duplicates_are_grouped_across_chains(band):
    rows = normal(40)
    chained = torch.stack([rows[0], rows[0] + 0.2 * rows[1], rows[0] + 0.4 * rows[1]])
    features = torch.cat([rows[2:12], chained, rows[12:20], rows[5:6] * 3])
    assert near_duplicates(features, 0.97) == [[3, 21], [10, 11, 12]]
    assert near_duplicates(features, 1.0) == [[3, 21]]
    pairs = near_pairs(features, 0.97)
    assert pairs.first.tolist() == [3, 11, 10]
    assert pairs.second.tolist() == [21, 12, 11]
    assert pairs.similarity.tolist() == sorted(pairs.similarity.tolist(), reverse=True)


def test_groups_are_the_connected_components_of_brute_force(band):
    features = normal(80, dimensions=3)
    every = torch.nn.functional.normalize(features, dim=1)
    reach = (every @ every.T >= 0.98).int()
    for _ in range(7):
        reach = (reach @ reach > 0).int()
    wanted = sorted({tuple(row.nonzero()[:, 0].tolist()) for row in reach if row.sum() > 1})
    assert [tuple(group) for group in near_duplicates(features, 0.98)] == wanted


def test_of_too_many_pairs_the_most_alike_are_kept(band):
    features = normal(30, dimensions=4)
    assert torch.equal(near_pairs(features, 0.0, most=5).first, near_pairs(features, 0.0).first[:5])


def test_all_equal_rows_are_one_group_and_no_rows_are_none():
    assert near_duplicates(torch.ones(3000, 4), 0.999) == [list(range(3000))]
    assert near_duplicates(torch.ones(0, 4), 0.9) == near_duplicates(torch.ones(1, 4), 0.9) == []


def test_partners_are_near_and_another_and_decided_by_the_key(clusters):
    features, labels = clusters
    chosen = partners(features, seed=3, neighbours=5)
    assert not (chosen == torch.arange(60)).any()
    assert torch.equal(labels[chosen], labels)  # the nearest lie in the same cluster
    assert torch.equal(chosen, partners(features, seed=3, neighbours=5))
    assert not torch.equal(chosen, partners(features, seed=4, neighbours=5))
    only = partners(features, seed=3, neighbours=1)
    assert torch.equal(only, nearest(features, features, 1, same=True).rows[:, 0])


def test_partners_of_another_class_are_the_nearest_beyond_the_border(clusters):
    features, labels = clusters
    chosen = partners(features, seed=0, neighbours=4, labels=labels, other_class=True)
    assert (labels[chosen] != labels).all()
    every = torch.nn.functional.cosine_similarity(features[:, None], features[None], dim=2)
    every[labels[:, None] == labels[None]] = -2
    assert (every.topk(4).indices == chosen[:, None]).any(dim=1).all()


def test_partners_that_cannot_be_are_refused(clusters):
    features, _ = clusters
    with pytest.raises(UsageError, match="need labels"):
        partners(features, seed=0, other_class=True)
    with pytest.raises(SourceError, match="All samples are of one class"):
        partners(features, seed=0, labels=torch.zeros(60, dtype=torch.int64), other_class=True)
    with pytest.raises(UsageError, match="2 or more samples and 1 or more neighbours, not 1 and 10"):
        partners(features[:1], seed=0)


def test_features_that_cannot_be_compared_are_refused():
    rows = normal(5)
    broken = rows.clone()
    broken[2, 3] = float("nan")
    with pytest.raises(SourceError, match="1 of 5 rows of features hold NaN or infinite"):
        near_duplicates(broken, 0.9)
    with pytest.raises(UsageError, match="of 16 and of 8 dimensions"):
        nearest(rows, normal(5, 8), 1)
    with pytest.raises(UsageError, match="9 neighbours were asked for, and there are 5"):
        nearest(rows, rows, 9)
    with pytest.raises(UsageError, match=r"must be \[N, D\], not \[5\]"):
        near_pairs(rows[:, 0], 0.9)
    with pytest.raises(UsageError, match="A threshold is a cosine"):
        near_pairs(rows, 1.5)
    with pytest.raises(UsageError, match="5 samples need as many labels"):
        neighbours.knn_vote(rows, rows, torch.zeros(4, dtype=torch.int64), 1)
    with pytest.raises(UsageError, match="class numbers from 0 to 1"):
        neighbours.knn_vote(rows, rows, torch.full((5,), -1), 2)
