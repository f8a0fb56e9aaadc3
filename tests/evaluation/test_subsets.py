from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from synth.errors import ConfigError, SourceError, UsageError
from synth.evaluation.subsets import balanced_subset, diverse_subset

METHODS = ["k-center", "facility-location"]


@pytest.fixture
def lopsided() -> torch.Tensor:
    """100 rows about one direction, and one row about each of four others."""
    random = torch.from_numpy(np.random.default_rng(0).normal(size=(104, 8))).float()
    crowd = torch.zeros(104, dtype=torch.int64)
    crowd[100:] = torch.arange(1, 5)
    return F.normalize(10 * torch.eye(8)[crowd] + random, dim=1)


def test_centres_reach_every_region_however_few_live_there(lopsided):
    assert set(diverse_subset(lopsided, 5).tolist()) >= {100, 101, 102, 103}


def test_facilities_are_those_of_the_plain_greedy_rule(lopsided):
    similarity = lopsided @ lopsided.T
    covered, wanted = torch.full((104,), -1.0), []
    for _ in range(12):
        gains = (similarity - covered).clamp(min=0).sum(dim=1)
        gains[wanted] = -1
        wanted.append(int(gains.argmax()))
        covered = torch.maximum(covered, similarity[wanted[-1]])
    assert diverse_subset(lopsided, 12, method="facility-location").tolist() == wanted


@pytest.mark.parametrize("method", METHODS)
def test_a_shorter_choice_begins_a_longer_one_and_all_is_everything(lopsided, method):
    long = diverse_subset(lopsided, 104, method=method)
    assert sorted(long.tolist()) == list(range(104))
    assert torch.equal(diverse_subset(lopsided, 7, method=method), long[:7])
    assert len(diverse_subset(lopsided, 0, method=method)) == 0


@pytest.mark.parametrize("method", METHODS)
def test_equal_rows_are_chosen_once_each(method):
    assert sorted(diverse_subset(torch.ones(6, 3), 6, method=method).tolist()) == list(range(6))


@pytest.mark.parametrize("method", METHODS)
def test_each_class_has_its_quota(lopsided, method):
    labels = torch.arange(104) % 3
    chosen = balanced_subset(lopsided, labels, 5, method=method)
    assert torch.bincount(labels[chosen]).tolist() == [5, 5, 5]
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert torch.bincount(labels[balanced_subset(lopsided, labels, [1, 0, 4])]).tolist() == [1, 0, 4]
    assert torch.bincount(labels[balanced_subset(lopsided, labels, {2: 3})]).tolist() == [0, 0, 3]
    assert len(balanced_subset(lopsided, labels, 0)) == 0


def test_what_cannot_be_chosen_is_refused(lopsided):
    labels = torch.arange(104) % 3
    with pytest.raises(SourceError, match=r"class 1 has 35 of 40; class 7 has 0 of 1"):
        balanced_subset(lopsided, labels, {0: 5, 1: 40, 7: 1})
    with pytest.raises(UsageError, match=r"105 of 104 samples cannot be chosen"):
        diverse_subset(lopsided, 105)
    with pytest.raises(UsageError, match="-1 of 104"):
        diverse_subset(lopsided, -1)
    with pytest.raises(ConfigError, match="no method 'random'; use k-center or facility-location"):
        diverse_subset(lopsided, 5, method="random")
    with pytest.raises(UsageError, match="104 samples need as many labels"):
        balanced_subset(lopsided, labels[:5], 1)
    with pytest.raises(SourceError, match="NaN"):
        diverse_subset(torch.full((3, 2), float("nan")), 1)
