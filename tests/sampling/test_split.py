from __future__ import annotations

from itertools import combinations_with_replacement

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.sampling.split import split

costs = st.dictionaries(
    st.sampled_from([1, 2, 4, 8, 16]), st.integers(1, 100).map(float), min_size=1, max_size=4
)


@given(st.integers(1, 10_000), costs)
def test_the_buckets_hold_all_samples_and_none_is_useless(count: int, seconds: dict[int, float]):
    buckets = split(count, seconds)
    assert sum(buckets) >= count
    assert sum(buckets[:-1]) < count
    assert set(buckets) <= set(seconds)


@given(st.integers(1, 12), costs)
def test_no_other_choice_is_cheaper(count: int, seconds: dict[int, float]):
    cost = sum(seconds[size] for size in split(count, seconds))
    best = min(
        sum(seconds[size] for size in choice)
        for length in range(1, count + 1)
        for choice in combinations_with_replacement(seconds, length)
        if sum(choice) >= count
    )
    assert cost == pytest.approx(best)


def test_a_larger_bucket_is_taken_when_it_is_cheaper_than_two():
    assert split(65, {1: 9.0, 64: 10.0, 128: 15.0}) == [128]
    assert split(65, {1: 1.0, 64: 10.0, 128: 15.0}) == [64, 1]


def test_a_huge_count_is_split_without_delay():
    assert len(split(100_000_000, {256: 1.0, 1: 0.5})) == 390_625
