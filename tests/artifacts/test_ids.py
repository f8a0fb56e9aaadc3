import hashlib

import numpy as np
import pytest
from safetensors.numpy import load

from synth.artifacts import TrainingIds

HASHES = [hashlib.sha256(bytes([number])).hexdigest() for number in range(50)]


def test_the_file_holds_the_sorted_first_eight_bytes_of_each_distinct_id():
    stored = load(TrainingIds.of([*HASHES, HASHES[0]]).to_bytes())["ids"]
    assert stored.dtype == np.int64
    wanted = [int.from_bytes(bytes.fromhex(content_hash[:16]), "big", signed=True) for content_hash in HASHES]
    assert stored.tolist() == sorted(wanted)


def test_members_are_found_and_others_are_not():
    ids = TrainingIds.from_bytes(TrainingIds.of(HASHES[:30]).to_bytes())
    assert ids.contains(HASHES).tolist() == [True] * 30 + [False] * 20
    assert HASHES[0] in ids
    assert HASHES[49] not in ids
    assert 3 not in ids


def test_the_empty_set_contains_nothing():
    ids = TrainingIds.from_bytes(TrainingIds.of([]).to_bytes())
    assert len(ids) == 0
    assert HASHES[0] not in ids
    assert ids.contains([]).tolist() == []


@pytest.mark.parametrize("wrong", ["abc", "g" * 64, ""])
def test_what_is_no_hash_is_refused(wrong):
    with pytest.raises(ValueError, match="hexadecimal"):
        TrainingIds.of([wrong])
