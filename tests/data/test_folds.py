from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.data.folds import fold_by_hash
from synth.data.split import split_by_hash
from synth.errors import ConfigError, UsageError


def make_ids(count: int) -> list[str]:
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in range(count)]


def test_each_class_is_spread_evenly_over_the_folds():
    labels = np.arange(10_000) % 4
    folds = fold_by_hash(make_ids(10_000), 5, labels)
    assert folds.dtype == np.int64
    for label in range(4):
        shares = np.bincount(folds[labels == label], minlength=5) / 2500
        assert np.abs(shares - 0.2).max() < 0.03


def test_a_class_of_few_samples_is_in_every_fold_while_it_has_enough():
    labels = np.arange(40) % 4
    for seed in range(100):
        folds = fold_by_hash(make_ids(40), 5, labels, seed=seed)
        assert all(set(folds[labels == label]) == {0, 1, 2, 3, 4} for label in range(4))


def test_the_folds_depend_on_ids_and_seed_alone():
    ids = make_ids(300)
    whole = fold_by_hash(ids, 3)
    order = np.random.default_rng(0).permutation(300)
    assert (fold_by_hash([ids[row] for row in order], 3) == whole[order]).all()
    assert (fold_by_hash(ids, 3, seed=1) != whole).any()
    # The rule is a promise across versions: these numbers must never change.
    assert fold_by_hash([f"{number:064x}" for number in range(12)], 3).tolist() == [
        0,
        1,
        2,
        0,
        1,
        1,
        1,
        0,
        1,
        1,
        1,
        2,
    ]


def test_samples_stay_in_their_fold_as_data_grow():
    labels = np.arange(2_000) % 4
    ids = make_ids(2_000)
    before = fold_by_hash(ids[:1_000], 5, labels[:1_000])
    assert (fold_by_hash(ids, 5, labels)[:1_000] == before).all()


def test_the_training_part_of_a_split_is_folded_evenly():
    ids = make_ids(5_000)
    train = split_by_hash(ids, {"train": 0.6, "val": 0.2, "test": 0.2})["train"]
    shares = np.bincount(fold_by_hash([ids[row] for row in train], 5)) / len(train)
    assert np.abs(shares - 0.2).max() < 0.03


@settings(max_examples=200, deadline=None)
@given(
    samples=st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 2), st.none() | st.integers(0, 8)),
        min_size=2,
        max_size=40,
    ),
    links=st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=5),
    seed=st.integers(0, 2**64 - 1),
)
def test_equal_ids_groups_and_linked_samples_are_never_apart(samples, links, seed):
    numbers, labels, groups = zip(*samples, strict=True)
    ids = [hashlib.sha256(bytes([number])).hexdigest() for number in numbers]
    pairs = np.array([pair for pair in links if max(pair) < len(ids)], dtype=np.int64).reshape(-1, 2)
    folds = fold_by_hash(ids, 4, labels, groups, seed, pairs)
    assert folds.shape == (len(ids),)
    assert ((folds >= 0) & (folds < 4)).all()
    assert (folds[pairs[:, 0]] == folds[pairs[:, 1]]).all()
    for column in (0, 2):
        places: dict[int, set[int]] = {}
        for sample, fold in zip(samples, folds, strict=True):
            if sample[column] is not None:
                places.setdefault(sample[column], set()).add(int(fold))
        assert all(len(found) == 1 for found in places.values())


@pytest.mark.parametrize("folds", [1, 0, -3, 101, True])
def test_a_number_of_folds_that_cannot_be_is_refused(folds):
    with pytest.raises(ConfigError, match="2 to 100 folds"):
        fold_by_hash(make_ids(3), folds)


def test_lengths_and_seed_are_checked():
    with pytest.raises(UsageError, match="2 labels were given for 3 ids"):
        fold_by_hash(make_ids(3), 2, labels=[0, 1])
    with pytest.raises(UsageError, match="seed"):
        fold_by_hash(make_ids(3), 2, seed=-1)
    assert fold_by_hash([], 2).shape == (0,)
