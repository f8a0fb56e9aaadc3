from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.data import split_by_hash
from synth.errors import ConfigError, UsageError

THREE = {"train": 0.8, "val": 0.1, "test": 0.1}


def make_ids(count: int, name: str = "") -> list[str]:
    return [hashlib.sha256(f"{name}{number}".encode()).hexdigest() for number in range(count)]


def part_of(parts: dict[str, np.ndarray], count: int) -> list[str]:
    """The part of each position; fails where a position is lost or there twice."""
    names = {int(position): name for name, positions in parts.items() for position in positions}
    assert sum(len(positions) for positions in parts.values()) == len(names) == count
    return [names[position] for position in range(count)]


def test_fractions_hold_within_each_class():
    labels = np.arange(20_000) % 4
    parts = split_by_hash(make_ids(20_000), THREE, labels)
    assert list(parts) == ["train", "val", "test"]
    for name, positions in parts.items():
        assert positions.dtype == np.int64
        assert (np.diff(positions) > 0).all()
        for label in range(4):
            share = (labels[positions] == label).sum() / 5000
            assert abs(share - THREE[name]) < 0.02


def test_the_split_depends_on_ids_and_seed_alone():
    ids = make_ids(500)
    whole = part_of(split_by_hash(ids, THREE), 500)
    order = np.random.default_rng(0).permutation(500)
    shuffled = part_of(split_by_hash([ids[row] for row in order], THREE), 500)
    assert shuffled == [whole[row] for row in order]
    assert part_of(split_by_hash(ids, THREE, seed=1), 500) != whole
    # The rule is a promise across versions: these positions must never change.
    pinned = split_by_hash([f"{number:064x}" for number in range(60)], THREE)
    assert pinned["val"].tolist() == [2, 8, 27, 30, 38, 48]
    assert pinned["test"].tolist() == [0, 1, 12, 18, 33]


def test_a_class_of_ten_is_in_every_part():
    labels = np.arange(30) % 3
    for seed in range(200):
        for positions in split_by_hash(make_ids(30), THREE, labels, seed=seed).values():
            assert set(labels[positions]) == {0, 1, 2}


samples = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 2), st.none() | st.integers(0, 12)), min_size=1, max_size=40
)
fractions = st.sampled_from(
    [THREE, {"train": 0.9, "val": 0.1}, {"a": 0.4, "b": 0.2, "c": 0.0, "d": 0.2, "e": 0.2}]
)


@settings(max_examples=400, deadline=None)
@given(old=samples, new=samples, parts=fractions, seed=st.integers(0, 2**64 - 1))
def test_adding_samples_never_moves_one_from_training_into_a_held_out_part(old, new, parts, seed):
    def split(chosen):
        numbers, labels, groups = zip(*chosen, strict=True)
        ids = [hashlib.sha256(bytes([number])).hexdigest() for number in numbers]
        return part_of(split_by_hash(ids, parts, labels, groups, seed), len(chosen))

    first = next(iter(parts))
    before, after = split(old), split(old + new)
    assert all(now == first for was, now in zip(before, after[: len(old)], strict=True) if was == first)
    # Equal ids and equal groups are never apart.
    for column in (0, 2):
        places: dict[int, set[str]] = {}
        for sample, part in zip(old + new, after, strict=True):
            if sample[column] is not None:
                places.setdefault(sample[column], set()).add(part)
        assert all(len(found) == 1 for found in places.values())


@settings(max_examples=100, deadline=None)
@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4), seed=st.integers(0, 1000))
def test_growing_one_sample_at_a_time_keeps_training_samples_in_training(sizes, seed):
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    ids = make_ids(len(labels), str(seed))
    order = np.random.default_rng(seed).permutation(len(labels))
    trained: set[int] = set()
    for count in range(1, len(labels) + 1):
        rows = order[:count]
        parts = split_by_hash([ids[row] for row in rows], THREE, [labels[row] for row in rows], seed=seed)
        now = {int(rows[position]) for position in parts["train"]}
        assert trained <= now
        trained = now


def test_equal_ids_stay_together_across_classes():
    ids = make_ids(300) * 2
    parts = part_of(split_by_hash(ids, THREE, [0] * 300 + [1] * 300), 600)
    assert parts[:300] == parts[300:]


def test_groups_stay_together_and_a_group_is_not_an_id():
    ids = make_ids(1000)
    groups = [f"patient {number // 10}" for number in range(1000)]
    parts = part_of(split_by_hash(ids, THREE, groups=groups), 1000)
    assert all(len(set(parts[start : start + 10])) == 1 for start in range(0, 1000, 10))
    assert 650 <= parts.count("train") <= 920
    assert len(set(part_of(split_by_hash(ids, THREE, groups=[None] * 1000), 1000))) == 3


def test_edge_cases():
    assert split_by_hash(make_ids(5), {"all": 1.0})["all"].tolist() == [0, 1, 2, 3, 4]
    assert [len(rows) for rows in split_by_hash([], THREE).values()] == [0, 0, 0]
    parts = split_by_hash(make_ids(1000), {"train": 0.7, "val": 0.3, "test": 0.0}, np.arange(1000) % 100)
    assert len(parts["test"]) == 0


@pytest.mark.parametrize(
    "bad", [{}, {"train": 0.8, "val": 0.1}, {"train": 1.2, "val": -0.2}, {"train": float("nan"), "val": 1.0}]
)
def test_fractions_that_do_not_add_up_are_refused(bad):
    with pytest.raises(ConfigError, match=r"add up to|from 0 to 1"):
        split_by_hash(make_ids(3), bad)


def test_labels_groups_and_seed_are_checked():
    with pytest.raises(UsageError, match="2 labels were given for 3 ids"):
        split_by_hash(make_ids(3), THREE, labels=[0, 1])
    with pytest.raises(UsageError, match="1 groups were given for 3 ids"):
        split_by_hash(make_ids(3), THREE, groups=["a"])
    with pytest.raises(UsageError, match="seed"):
        split_by_hash(make_ids(3), THREE, seed=-1)


def test_linked_samples_stay_together_and_growing_keeps_training_samples_in_training():
    ids = make_ids(600)
    links = np.stack([np.arange(0, 598, 2), np.arange(2, 600, 2)], axis=1)[::3]
    parts = part_of(split_by_hash(ids, THREE, links=links), 600)
    assert all(parts[one] == parts[other] for one, other in links.tolist())
    inner = links[links.max(axis=1) < 300]
    before = part_of(split_by_hash(ids[:300], THREE, links=inner), 300)
    assert all(now == "train" for was, now in zip(before, parts, strict=False) if was == "train")


def test_a_part_can_be_split_again_by_another_use():
    ids = make_ids(2_000)
    train = split_by_hash(ids, THREE)["train"]
    again = split_by_hash([ids[row] for row in train], THREE, use="again")
    assert abs(len(again["val"]) / len(train) - 0.1) < 0.03
