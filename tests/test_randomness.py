import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synth.errors import UsageError
from synth.randomness import (
    MAX_INDEX,
    MAX_SEED,
    bits,
    check_seed,
    normals,
    permutation,
    philox,
    stream_id,
    uniforms,
)

INDEX = np.array([0, 1, 2, 2**32, 2**40 + 5, MAX_INDEX], dtype=np.int64)
KNOWN_ANSWERS = [
    # counter, key, output: the vectors for philox4x32-10 that Random123 publishes
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


def column(value: int) -> np.ndarray:
    return np.array([value], dtype=np.int64)


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN_ANSWERS)
def test_philox_gives_the_published_answers(counter, key, output):
    found = philox(tuple(map(column, words(counter))), tuple(map(column, words(key))))
    assert [int(word[0]) for word in found] == words(output)

    tensors = [torch.tensor([word]) for word in words(counter) + words(key)]
    found = philox(tuple(tensors[:4]), tuple(tensors[4:]))
    assert [int(word[0]) for word in found] == words(output)


def test_words_come_from_the_documented_counter_and_key():
    seed, stream, index = 0x299F31D0_A4093822, 0x85A308D3, 0x03707344_13198A2E
    found = bits(seed, np.array([index]), stream, 12)[0].tolist()
    for block in range(3):
        counter = (block, stream, 0x13198A2E, 0x03707344)
        answer = philox(tuple(map(column, counter)), (column(0xA4093822), column(0x299F31D0)))
        assert found[4 * block : 4 * block + 4] == [int(word[0]) for word in answer]
    assert bits(0, np.array([0]), 0, 4)[0].tolist() == words(KNOWN_ANSWERS[0][2])


@pytest.mark.parametrize("seed", [0, 1, 2**32, MAX_SEED])
def test_numpy_and_torch_give_the_same_bits(seed):
    stream = stream_id("noise")
    assert np.array_equal(
        bits(seed, INDEX, stream, 11), bits(seed, torch.from_numpy(INDEX), stream, 11).numpy()
    )
    assert np.array_equal(
        uniforms(seed, INDEX, stream, 11), uniforms(seed, torch.from_numpy(INDEX), stream, 11).numpy()
    )


def test_numpy_and_torch_give_the_same_normals_but_for_the_last_places():
    index = np.arange(1000)
    difference = normals(3, index, 9, 16) - normals(3, torch.from_numpy(index), 9, 16).numpy()
    assert np.abs(difference).max() < 1e-5


@pytest.mark.parametrize("draw", [bits, uniforms, normals])
def test_a_sample_depends_on_its_own_key_alone(draw):
    whole = draw(5, INDEX, 1, 12)
    for row, index in enumerate(INDEX):
        assert np.array_equal(draw(5, np.array([index]), 1, 12)[0], whole[row])


@pytest.mark.parametrize("draw", [bits, uniforms, normals])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 12])
def test_fewer_words_are_the_beginning_of_more(draw, count):
    assert np.array_equal(draw(5, INDEX, 1, count), draw(5, INDEX, 1, 13)[:, :count])


@pytest.mark.parametrize("draw", [bits, uniforms, normals])
@pytest.mark.parametrize("index", [np.empty(0, dtype=np.int64), torch.empty(0, dtype=torch.int64)])
def test_no_index_gives_no_rows(draw, index):
    assert draw(5, index, 1, 3).shape == (0, 3)


def test_seeds_indices_and_streams_all_tell():
    def draw(seed, index, stream):
        return tuple(bits(seed, np.array([index]), stream, 4)[0].tolist())

    keys = [(0, 0, 0), (1, 0, 0), (2**32, 0, 0), (0, 1, 0), (0, 2**32, 0), (0, 0, 1)]
    assert len({draw(*key) for key in keys}) == len(keys)


def test_words_fill_32_bits_evenly():
    found = bits(0, np.arange(4096), 0, 16)
    assert found.min() >= 0
    assert found.max() < 2**32
    share = ((found[..., None] >> np.arange(32)) & 1).mean(axis=(0, 1))
    assert np.abs(share - 0.5).max() < 5 * 0.5 / math.sqrt(found.size)


def test_uniforms_lie_in_the_half_open_interval_and_spread_evenly():
    found = uniforms(1, torch.arange(4096), 2, 16)
    assert found.dtype == torch.float32
    assert found.min() >= 0
    assert found.max() < 1
    counts = torch.histc(found, bins=16, min=0, max=1)
    expected = found.numel() / 16
    assert float(((counts - expected) ** 2 / expected).sum()) < 40  # chi-square, 15 degrees: 1 in 2,000


def test_normals_have_the_moments_of_the_normal_distribution():
    found = normals(1, torch.arange(10_000), 2, 10)
    assert found.dtype == torch.float32
    assert found.abs().max() < 6.7
    x = found.double()
    n = x.numel()
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float((x**power).mean()) - moment) < 4 * math.sqrt(variance / n)
    # Both halves of a Box-Muller pair, and neighbours in index, are uncorrelated.
    assert abs(float((x[:, 0::2] * x[:, 1::2]).mean())) < 4 / math.sqrt(n / 2)
    assert abs(float((x[1:] * x[:-1]).mean())) < 4 / math.sqrt(n)


def test_the_smallest_and_largest_words_give_finite_normals(monkeypatch):
    for word in (0, 2**32 - 1):
        for like in (np.array([0]), torch.tensor([0])):
            full = np.full((1, 2), word) if isinstance(like, np.ndarray) else torch.full((1, 2), word)
            monkeypatch.setattr("synth.randomness.bits", lambda *_, full=full: full)
            assert np.isfinite(np.asarray(normals(0, like, 0, 2))).all()


@pytest.mark.parametrize("size", [0, 1, 7, 1000])
def test_a_permutation_holds_every_position_once(size):
    assert np.array_equal(np.sort(permutation(3, 0, 1, size)), np.arange(size))


def test_a_permutation_is_a_function_of_its_key():
    order = permutation(3, 4, 5, 100)
    assert np.array_equal(order, permutation(3, 4, 5, 100))
    for other in ((4, 4, 5), (3, 5, 5), (3, 4, 6)):
        assert not np.array_equal(order, permutation(*other, 100))


def test_all_permutations_are_about_equally_likely():
    orders = [tuple(permutation(0, index, 0, 3).tolist()) for index in range(1200)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6
    assert sum((count - 200) ** 2 / 200 for count in counts) < 22  # chi-square, 5 degrees: 1 in 2,000


def test_streams_are_named_once_and_for_all():
    # Published samples depend on these numbers.
    assert stream_id("noise") == 0x36781254
    assert stream_id("label") == 0x5AF52FED


@pytest.mark.parametrize("seed", [0, MAX_SEED, np.int64(3), np.uint64(2**63)])
def test_integers_of_64_bits_are_seeds(seed):
    assert check_seed(seed) == int(seed)
    assert type(check_seed(seed)) is int


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, "1", None, True])
def test_anything_else_is_refused_as_a_seed(seed):
    with pytest.raises(UsageError, match="seed"):
        bits(seed, INDEX, 0, 1)


def test_no_global_generator_is_touched():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    normals(0, torch.arange(4), 0, 4)
    permutation(0, 0, 0, 4)
    assert torch.equal(torch_state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])


@given(
    seed=st.integers(0, 2**64 - 1),
    index=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5),
    stream=st.integers(0, 2**32 - 1),
    count=st.integers(1, 19),
)
def test_bits_are_those_of_the_plain_algorithm(seed, index, stream, count):
    def low_and_high(value: int) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray([value & 0xFFFFFFFF]), np.asarray([value >> 32])

    found = bits(seed, torch.tensor(index), stream, count)
    for row, own in zip(found, index, strict=True):
        words = [
            word.item()
            for block in range(-(-count // 4))
            for word in philox(
                (np.asarray([block]), np.asarray([stream]), *low_and_high(own)), low_and_high(seed)
            )
        ]
        assert row.tolist() == words[:count]
